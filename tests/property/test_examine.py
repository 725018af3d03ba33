"""Whatever is sent, the examiner ends, within its bounds, without an exception."""

from __future__ import annotations

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bdmta.examine import codec
from bdmta.examine.bounds import Bounds
from bdmta.examine.errors import NeedsWorker
from bdmta.examine.names import extensions, name_problems, readings, shown
from bdmta.examine.signatures import FAMILIES, detect
from bdmta.examine.text import bare_base64, decode_base64, hidden_files, is_active_html
from bdmta.examine.walk import take_inventory
from bdmta.message import scan
from tests.corpus.attachments import accepted, files, refused
from tests.corpus.attachments.letters import attached

_SEEDS = [(name, octets) for _, name, octets in refused._containers(files.MZ, "chay.exe")]
_SEEDS += [*files.DOCUMENTS.items(), *files.EXTENDED.items()]
_LETTERS = [c.octets for make in (refused.structures, accepted.structures) for c in make() if len(c.octets) < 20_000]
_TOKENS = st.sampled_from(
    [b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"\xff\xff\xff\xff", b"\0\0\0\0", b"stream\n", b"endstream", b"{",
     b"\\objdata", b"begin 644 a\n", b"--=_bd", b"\r\n\r\n", b"\x7f\xff\xff\xff", b"ustar", b"\x1f\x8b\x08\0"]
)  # fmt: skip
_EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.one_of(_TOKENS, st.binary(min_size=1, max_size=4)), st.booleans()),
    min_size=1,
    max_size=8,
)
_SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)


def _edited(octets: bytes, edits: list[tuple[float, bytes, bool]]) -> bytes:
    for where, token, inserts in edits:
        at = int(where * len(octets))
        octets = octets[:at] + token + octets[at if inserts else at + len(token) :]
    return octets


def _look(octets: bytes) -> None:
    began = time.process_time()
    inventory = take_inventory(scan(octets), Bounds(seconds=5))
    assert time.process_time() - began < 6
    assert codec.decode(codec.encode(inventory)) == inventory
    assert all(not item.detected or item.detected in FAMILIES for item in inventory.items)
    try:
        assert take_inventory(scan(octets), is_edge=True).items == inventory.items
    except NeedsWorker:
        pass


@_SETTINGS
@given(st.sampled_from(_SEEDS), _EDITS)
def test_crooked_files(seed: tuple[str, bytes], edits: list[tuple[float, bytes, bool]]) -> None:
    _look(attached(seed[0], _edited(seed[1], edits)))


@_SETTINGS
@given(st.sampled_from(_LETTERS), _EDITS)
def test_crooked_letters(seed: bytes, edits: list[tuple[float, bytes, bool]]) -> None:
    _look(_edited(seed, edits))


@_SETTINGS
@given(st.text(max_size=300))
def test_names(name: str) -> None:
    assert readings(name) and len(readings(name)) <= 32
    extensions((name,))
    name_problems((name,))
    assert shown(name).isprintable()


@_SETTINGS
@given(
    st.text(alphabet=st.characters(exclude_characters="\0"), max_size=40), st.sampled_from(["exe", "BAT", "js", "Com"])
)
def test_a_name_that_ends_in_an_executable_extension_is_found(stem: str, extension: str) -> None:
    assert "executable-name" in name_problems((f"{stem}x.{extension}",))


@_SETTINGS
@given(st.binary(max_size=2000))
def test_any_octets(octets: bytes) -> None:
    detect(octets)
    list(hidden_files(octets))
    list(bare_base64(octets))
    decode_base64(octets)
    is_active_html(octets)


@_SETTINGS
@given(st.binary(min_size=1, max_size=600))
def test_an_executable_is_found_in_every_container(tail: bytes) -> None:
    program = b"MZ\x90\0" + tail
    for kind, name, octets in refused._containers(program, "congvan.txt"):
        if kind in ("zip", "gz", "tgz", "tnef", "odt-object", "rtf-package", "cms-signed"):
            inventory = take_inventory(scan(attached(name, octets)))
            assert any("executable-content" in item.problems for item in inventory.items), kind
