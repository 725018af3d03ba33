"""The order of system calls behind a 250, as strace sees it (contract 1)."""

import re
import shutil
import subprocess
import time

import pytest

from bench.process import descendants
from tests.system.wire import OUTSIDE, Wire, here, letter

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

CALLS = (
    "trace=fsync,fdatasync,syncfs,linkat,link,rename,renameat,renameat2,write,writev,pwritev,pwritev2,sendto,sendmsg,openat,open,"
    "unlink"
)


class Trace:
    """strace of all processes of a server; the lines in the order of time."""

    def __init__(self, site, path):
        self._site, self._path = site, path

    def __enter__(self):
        pids = ",".join(map(str, descendants(self._site.server.pid)))
        self._strace = subprocess.Popen(
            ["strace", "-f", "-y", "-ttt", "-s", "200", "-e", CALLS, "-o", str(self._path), "-p", pids],
            stderr=subprocess.PIPE,
        )  # fmt: skip
        attached = b""
        while b"attached" not in attached:
            attached = self._strace.stderr.readline()
            if not attached:
                pytest.skip("strace may not attach here")
        time.sleep(0.3)  # it tells of the first thread, and there are others
        return self

    def __exit__(self, *unused):
        time.sleep(0.3)  # the write of the answer that we have read may not have returned yet
        self._strace.terminate()
        self._strace.wait(20)
        self._strace.stderr.close()

    def lines(self):
        """Calls that succeeded, each once, at the time it ended."""
        found, open_calls = [], {}
        for line in self._path.read_text(errors="replace").splitlines():
            pid, _, rest = line.partition(" ")
            rest = rest.strip().partition(" ")[2]
            if rest.endswith("<unfinished ...>"):
                open_calls[pid] = rest.removesuffix("<unfinished ...>").strip()
                continue
            resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest)
            if resumed:
                rest = open_calls.pop(pid, "") + resumed[1]
            if not re.search(r"= -1 ", rest):
                found.append(rest)
        return found


def first(lines, pattern, start=0):
    for number, line in enumerate(lines[start:], start):
        if re.search(pattern, line):
            return number
    raise AssertionError(f"no {pattern} after line {start} in\n" + "\n".join(lines))


def running(folder, form):
    from tests.site import SiteUnderTest

    site = SiteUnderTest(folder, {"dns": {"servers": "[]"}, "mail": {"commit": f'"{form}"'}})
    site.start(workers=1)
    with Wire(site) as wire:  # folders are known and files open: what follows is a letter's own work
        assert wire.deliver(letter(), here("minhnv"), here("khaintm")).code == 250
    yield site
    assert site.stop() == 0, site.log()


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    yield from running(tmp_path_factory.mktemp("traced"), "files")


@pytest.fixture(scope="module")
def journalled(tmp_path_factory):
    yield from running(tmp_path_factory.mktemp("journalled"), "journal")


def test_record_then_sync_then_names_then_250(journalled, tmp_path):
    with Wire(journalled) as wire:
        wire.envelope(OUTSIDE, here("minhnv"), here("khaintm"))
        with Trace(journalled, tmp_path / "strace") as trace:
            assert wire.data(letter()).code == 250
    lines = trace.lines()
    written = first(lines, r"^pwritev2?\(\d+<[^>]*/journal/\d\.[ab]>")
    synced = first(lines, r"^fdatasync\(\d+<[^>]*/journal/\d\.[ab]>\) *= 0", written)
    told = first(lines, r"^(write|writev|sendto|sendmsg)\(.*250 2\.0\.0 OK")
    for local in ("minhnv", "khaintm"):
        assert synced < first(lines, rf"^linkat\(.*/{local}/new.*= 0") < told
    other = [line for line in lines[:told] if re.match(r"(fdatasync|fsync)\(\d+<[^>]*/mail/", line)]
    assert other == []  # the letter's own file waits for the checkpoint
    last = max(n for n, line in enumerate(lines[:synced]) if re.match(r"writev\(\d+<[^>]*(#\d+|\.incoming)", line))
    assert last < written


@pytest.mark.parametrize("octets", [300, 400_000], ids=["in memory", "spooled"])
def test_octets_then_name_then_directory_then_250(traced, tmp_path, octets):
    text = ("x" * 76 + "\r\n") * (octets // 78)
    with Wire(traced) as wire:
        wire.envelope(OUTSIDE, here("minhnv"))
        with Trace(traced, tmp_path / "strace") as trace:
            assert wire.data(letter(text)).code == 250
    lines = trace.lines()
    link = first(lines, r"^linkat\(.*/minhnv/new.*= 0")
    synced = first(lines, r"^(fdatasync|fsync)\(\d+<[^>]*(\.incoming|/#\d+|deleted|mail)[^>]*>.*= 0")
    directory = first(lines, r"^fsync\(\d+<[^>]*/minhnv/new>\) *= 0", link)
    told = first(lines, r'^(write|writev|sendto|sendmsg)\(.*"?250 2\.0\.0 OK')
    assert synced < link < directory < told
    writes = [n for n, line in enumerate(lines) if re.match(r"(write|writev)\(\d+<[^>]*(#\d+|\.incoming)", line)]
    assert writes
    assert max(writes) < synced  # nothing is written to the file after its sync


def test_two_recipients_are_one_file_and_both_directories_are_synced(traced, tmp_path):
    with Wire(traced) as wire:
        wire.envelope(OUTSIDE, here("minhnv"), here("khaintm"))
        with Trace(traced, tmp_path / "strace") as trace:
            assert wire.data(letter()).code == 250
    lines = trace.lines()
    told = first(lines, r"^(write|writev|sendto|sendmsg)\(.*250 2\.0\.0 OK")
    for local in ("minhnv", "khaintm"):
        link = first(lines, rf"^linkat\(.*/{local}/new.*= 0")
        assert first(lines, rf"^fsync\(\d+<[^>]*/{local}/new>\) *= 0", link) < told
    octets_synced = [line for line in lines[:told] if re.match(r"(fdatasync|fsync)\(\d+<[^>]*/mail/[^>]*#\d+", line)]
    assert len(octets_synced) == 1


def test_what_waits_for_outside_is_synced_too(traced, tmp_path):
    from tests.site import PASSWORDS

    with Wire(traced, "submissions") as wire:
        assert wire.login("minhnv", PASSWORDS["minhnv"]).code == 235
        wire.envelope(here("minhnv"), OUTSIDE)
        with Trace(traced, tmp_path / "strace") as trace:
            assert wire.data(letter(author=here("minhnv"))).code == 250
    lines = trace.lines()
    message = first(lines, r"^linkat\(.*/queue.*\.msg.*= 0")
    envelope = first(lines, r"^rename\(.*/queue/\..*\.tmp.*/queue/.*\.env.*= 0", message)
    directory = first(lines, r"^fsync\(\d+<[^>]*/queue>\) *= 0", envelope)
    syncs = [
        n
        for n, line in enumerate(lines)
        if re.match(r"(fdatasync|fsync)\(\d+<[^>]*(#\d+|\.incoming|deleted|\.tmp)", line)
    ]
    assert len([n for n in syncs if n < envelope]) >= 2
    # TLS hides the replies' texts: the first is the 354.
    replies = [n for n, line in enumerate(lines) if re.match(r"(write|writev|sendto|sendmsg)\(\d+<(TCP|socket)", line)]
    assert replies[0] < message < directory < replies[1]
