"""The published address book follows the directory, and does not give up when a target is down."""

import asyncio
import os

from bdmta.office.addressbook import REST_S, RETRY_S, AddressBookWatch
from bdmta.testing.clock import FakeClock


class Log:
    def __init__(self):
        self.errors = []

    def error(self, *words, **more):
        self.errors.append(more)


def test_it_publishes_what_changed_and_tries_again_what_failed(tmp_path):
    async def go():
        snapshot, clock, log, done = tmp_path / "snapshot", FakeClock(), Log(), []
        fails = [False]

        async def publish():
            if fails[0]:
                raise RuntimeError("down")
            done.append(clock.monotonic())

        def change(text):
            (tmp_path / "new").write_text(text)
            os.replace(tmp_path / "new", snapshot)

        watch = AddressBookWatch(str(snapshot), publish, clock, log)
        assert not await watch.look()  # no directory yet
        change("1")
        assert await watch.look() and not await watch.look()
        change("2")
        assert not await watch.look()  # it was a moment ago
        clock.advance(REST_S)
        assert await watch.look() and len(done) == 2
        change("3")
        fails[0] = True
        for _ in range(3):
            clock.advance(RETRY_S)
            assert await watch.look()
        assert len(log.errors) == 1
        fails[0] = False
        clock.advance(RETRY_S)
        assert await watch.look() and len(done) == 3
        clock.advance(RETRY_S)
        assert not await watch.look()

    asyncio.run(go())
