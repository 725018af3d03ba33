"""Letters leave the real server and arrive somewhere else."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from bdmta.testing.sink import Sink
from tests.system.wire import here, letter, office, submit


class SinkThread:
    """A sink in a thread of its own, for tests that talk to the server by blocking sockets."""

    def __init__(self, **settings):
        self.loop = asyncio.new_event_loop()
        self.sink = Sink(**settings)
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.run(self.sink.__aenter__())
        return self

    def __exit__(self, *unused):
        self.run(self.sink.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)


@pytest.fixture
def sink():
    with SinkThread() as thread:
        yield thread


def test_a_letter_leaves_at_once_and_as_it_was(own_site, sink):
    site = own_site({"dns": {"servers": "[]"}, "transport": {"routes": f'["* = 127.0.0.1:{sink.sink.port}"]'}})
    site.start()
    began = time.monotonic()
    assert submit(site, letter("Một dòng.\r\n.hai chấm\r\n..ba", author=here("minhnv")), "a@elsewhere.example")
    (taken,) = sink.run(sink.sink.wait_letters(1))
    assert time.monotonic() - began < 2
    assert taken.mail.startswith(f"FROM:<{here('minhnv')}> SIZE=")
    assert [rcpt.split()[0] for rcpt in taken.rcpt] == ["TO:<a@elsewhere.example>"]
    assert taken.octets.startswith(b"DKIM-Signature: v=1; ")
    assert b"\r\nReceived: from" in taken.octets
    assert b"Return-Path" not in taken.octets
    assert taken.octets.endswith("\r\n\r\nMột dòng.\r\n.hai chấm\r\n..ba\r\n".encode())
    site.wait_for(lambda: not list((site.folder / "queue").glob("*.env")))
    assert not list((site.folder / "queue").iterdir())
    assert site.stop() == 0


def waiting(site):
    """What `queue list --json` says."""
    return site.json("queue", "list")


def test_an_operator_holds_releases_retries_and_drops(own_site, sink):
    sink.sink.script = {"RCPT": "451 4.7.1 Later"}
    site = own_site(
        {"dns": {"servers": "[]"}, "transport": {"routes": f'["there.example = 127.0.0.1:{sink.sink.port}"]'}}
    )
    site.start()
    assert submit(site, letter(author=here("minhnv")), "a@there.example", "b@nowhere.example")
    site.wait_for(lambda: sum(f["event"] == "deferred" for f in office(site, "trace", text=here("minhnv"))) == 2)
    (row,) = waiting(site)
    assert (row["sender"], row["recipients"], row["attempts"]) == (
        here("minhnv"), ["a@there.example", "b@nowhere.example"], 1,
    )  # fmt: skip
    assert row["last_reply"] == "451 4.7.1 Later" or "no name server is configured" in row["last_reply"]
    assert row["next_attempt_at"].endswith("+07:00")
    states = site.json("queue", "show", row["id"])["states"]
    assert [state["status"] for state in states] == ["4.7.1", "4.4.3"]
    site.run("queue", "hold", row["id"])
    assert waiting(site)[0]["next_attempt_at"] is None
    sink.sink.script = {}
    assert "tried at once" in site.run("queue", "retry", row["id"]).stdout
    assert not sink.sink.letters
    site.run("queue", "release", row["id"])
    assert sink.run(sink.sink.wait_letters(1))
    site.wait_for(lambda: waiting(site)[0]["recipients"] == ["b@nowhere.example"])
    assert "b@nowhere.example" in site.run("queue", "drop", row["id"]).stdout
    assert waiting(site) == []
    assert site.run("queue", "show", row["id"], check=False).returncode == 1
    events = [(f["event"], f["recipient"]) for f in site.json("trace", row["id"])]
    assert events[0][0] == "accepted"
    assert {("sent", "a@there.example"), ("dropped", "b@nowhere.example")} <= set(events)
    assert site.stop() == 0
