"""Memory of an edge whatever is sent at once: ten letters of 50 MB, from outside and handed in."""

import threading
import time
from pathlib import Path

import pytest

from bench.process import anonymous_octets, descendants
from tests.site import PASSWORDS, SiteUnderTest
from tests.system.conftest import add_mailboxes
from tests.system.wire import OUTSIDE, Wire, here

pytestmark = pytest.mark.slow

LETTERS = 10
OCTETS = 50_000_000
LINE = b"x" * 76 + b"\r\n"
BLOCK = LINE * 800
BOUND_OCTETS = 40_000_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    site = SiteUnderTest(tmp_path_factory.mktemp("large"), {"dns": {"servers": "[]"}})
    site.start(workers=1)
    add_mailboxes(site, [f"large{number}" for number in range(LETTERS)])
    for local in PASSWORDS:  # whatever is loaded at first use is loaded now
        with Wire(site, "submissions") as wire:
            assert wire.login(local).code == 235
            assert wire.deliver(head(here(local)) + BLOCK * 8, here(local), sender=here(local)).code == 250
    yield site
    assert site.stop() == 0, site.log()


def head(author):
    return (
        f"From: <{author}>\r\nDate: Mon, 5 Jan 2026 09:00:00 +0700\r\nMessage-ID: <large@x.example>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    ).encode()


def send(site, number, listener, answers):
    author = here("minhnv") if listener == "submissions" else OUTSIDE
    with Wire(site, listener) as wire:
        wire.sock.settimeout(300)
        if listener == "submissions":
            assert wire.login("minhnv").code == 235
        wire.envelope(author, here(f"large{number}"))
        assert wire.ask("DATA").code == 354
        wire.send(head(author))
        for _ in range(OCTETS // len(BLOCK)):
            wire.send(BLOCK)
        wire.send(b".\r\n")
        answers.append(wire.answer().code)


def edges_of(site):
    return [p for p in descendants(site.server.pid) if '"role": "edge"' in Path(f"/proc/{p}/cmdline").read_text()]


@pytest.mark.parametrize("listener", ["smtp", "submissions"])
def test_ten_parallel_letters_of_50_mb_arrive_in_little_memory(large, listener, capsys):
    before = {pid: anonymous_octets(pid) for pid in edges_of(large)}
    answers: list[int] = []
    threads = [threading.Thread(target=send, args=(large, number, listener, answers)) for number in range(LETTERS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    peak = 0
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, *(anonymous_octets(pid) - octets for pid, octets in before.items()))
        time.sleep(0.01)
    took_s = time.monotonic() - started
    assert answers == [250] * LETTERS
    with capsys.disabled():
        print(f"\n{listener}: RssAnon of the edge +{peak / 1e6:.1f} MB at its peak, {took_s:.1f} s", end=" ")
    sent = head(here("minhnv") if listener == "submissions" else OUTSIDE) + OCTETS // len(BLOCK) * BLOCK
    for number in range(LETTERS):
        (path,) = (large.mailbox(f"large{number}") / "new").iterdir()
        assert path.read_bytes().endswith(sent)
        path.unlink()
    assert peak < BOUND_OCTETS
