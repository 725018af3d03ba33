"""Letters leave the real server and arrive somewhere else."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from bdmta.testing.sink import Sink
from tests.system.wire import here, letter, submit


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
    assert taken.octets.startswith(b"Received: from")
    assert taken.octets.endswith("\r\n\r\nMột dòng.\r\n.hai chấm\r\n..ba\r\n".encode())
    site.wait_for(lambda: not list((site.folder / "queue").glob("*.env")))
    assert not list((site.folder / "queue").iterdir())
    assert site.stop() == 0
