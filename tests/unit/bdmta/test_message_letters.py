"""Whole letters: ours, with what is read of each, and the corpus beside the project where it lies there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bdmta.message import Message, Part, scan
from bdmta.message.addresses import mailboxes

TESTS = Path(__file__).parents[2]
LETTERS = TESTS / "corpus" / "letters"
EXPECTED: dict[str, Any] = json.loads((LETTERS / "expected.json").read_text())
SHARED = TESTS.parent.parent / "shared" / "corpus"
beside = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared corpus does not lie beside the project")


def described(part: Part) -> list[Any]:
    text = None if part.children else part.decoded(60).decode("latin-1")
    return [part.depth, part.media_type, list(part.names), text]


@pytest.mark.parametrize("name", sorted(path.name for path in LETTERS.glob("*.eml")))
def test_letters_of_ours(name: str) -> None:
    message = scan((LETTERS / name).read_bytes())
    assert sorted(message.defects) == EXPECTED[name]["defects"]
    assert [described(part) for part in message.walk()] == EXPECTED[name]["parts"]
    assert [box.address for box in mailboxes(message.all("from")[0].value)] == ["ba@dian.example"]


def shared(name: str) -> Message:
    return scan((SHARED / "mail-attachments" / name).read_bytes())


@beside
def test_every_letter_of_the_corpus_is_read() -> None:
    paths = sorted(SHARED.rglob("*.eml"))
    assert len(paths) >= 80
    for path in paths:
        message = scan(path.read_bytes())
        for part in message.walk():
            part.decoded(1_000_000)
            assert isinstance(part.names, tuple)
        assert len(mailboxes(message.all("from")[0].value)) >= 1, path


@beside
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("008-exe-name-exe.eml", "mo.exe"),
        ("009-exe-name-bat.eml", "mo.bat"),
        ("023-double-ext.eml", "congvan.pdf.exe"),
        ("024-rfc2231-continuation.eml", "congvan.pdf.exe"),
        ("025-rfc2047-filename.eml", "chay.exe"),
        ("026-name-differs-filename-2.eml", "chay.exe"),
        ("027-inline-exe.eml", "chay.exe"),
        ("029-missing-end-boundary.eml", "chay.exe"),
        ("030-duplicate-content-type.eml", "chay.exe"),
        ("034-boundary-trailing-space.eml", "chay.exe"),
        ("035-bare-lf-in-headers.eml", "chay.exe"),
    ],
)
def test_executables_of_the_corpus_show_their_names(name: str, file: str) -> None:
    assert file in {reading for part in shared(name).walk() for reading in part.names}


@beside
@pytest.mark.parametrize(
    ("name", "defect"),
    [
        ("030-duplicate-content-type.eml", "duplicate-content-type"),
        ("031-nested-200.eml", "depth"),
        ("032-message-partial.eml", "partial"),
    ],
)
def test_defects_of_the_corpus(name: str, defect: str) -> None:
    assert defect in shared(name).defects


@beside
def test_the_forwarded_executable_of_the_corpus() -> None:
    parts = list(shared("033-forwarded-exe.eml").walk())
    assert parts[-1].decoded(2) == b"MZ"
    assert parts[-1].depth == 3


@beside
def test_accepted_letters_of_the_corpus_have_no_defects() -> None:
    manifest = json.loads((SHARED / "mail-attachments" / "manifest.json").read_text())
    accepted = [one["file"] for one in manifest["messages"] if one["expected"]["verdict"] == "accept"]
    assert accepted
    assert {name: shared(name).defects for name in accepted} == dict.fromkeys(accepted, ())
