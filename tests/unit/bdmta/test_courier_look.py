"""The courier's look through the spool, while entries come and go."""

from __future__ import annotations

import asyncio

from bdmta.service.courier import Courier
from bdmta.testing.sink import Sink
from tests.unit.bdmta.queue_support import QueueUnderTest
from tests.unit.bdmta.test_queue import mx


def test_what_comes_while_the_spool_is_listed_is_not_forgotten(tmp_path, monkeypatch):
    """Found by the bench: a letter that came at that moment waited for the next look, a quarter of a minute."""

    async def run():
        async with Sink() as sink:
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port) as queue:
                courier = object.__new__(Courier)
                courier._executor, courier.spool, courier.dispatcher = queue.executor, queue.spool, queue.dispatcher
                gone = queue.put("gone@there.example", more={"held": True})
                kept = queue.put("kept@there.example", more={"held": True})
                queue.spool.discard(gone.id)
                real, entries = queue.spool.list, []
                listed = asyncio.Event()
                loop = asyncio.get_running_loop()

                def listing():
                    found = real()
                    asyncio.run_coroutine_threadsafe(come(), loop).result(10)
                    return found

                async def come():
                    entries.append(queue.put("held@there.example", more={"held": True}))
                    listed.set()

                monkeypatch.setattr(queue.spool, "list", listing)
                await courier.look()
                assert listed.is_set()
                assert queue.dispatcher.known() == {kept.id, entries[0].id}

    asyncio.run(run())
