"""What the courier hears of, and what it finds by looking; how often it looks."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bdmta.queue.lookout import Lookout
from storage.commit import Commit, Delivery, Target
from storage.letter import Letter
from storage.maildir import create_mailbox
from tests.unit.bdmta.queue_support import LETTER, QueueUnderTest

HELD = {"held": True}


class Lookings:
    """Counts how often the spool's names are read, by the real method."""

    def __init__(self, spool, monkeypatch) -> None:
        self.count = 0
        self._real = spool.list
        monkeypatch.setattr(spool, "list", self._list)

    def _list(self, kind="remote"):
        self.count += kind == "remote"
        return self._real(kind)


@asynccontextmanager
async def watched(folder: Path, *, hears: bool = True):
    """A queue and its lookout, which has had its first round."""
    (folder / "mail").mkdir()
    async with QueueUnderTest(folder / "queue") as queue:
        commit = Commit(
            mail_root=str(folder / "mail"), spool=queue.spool, host="mx.example", clock=queue.clock,
            executor=queue.executor, reserve_octets=0,
        )  # fmt: skip
        lookout = Lookout(queue.spool, queue.dispatcher, commit, queue.clock, queue.executor, queue.log)
        if hears:
            lookout.start()
            assert lookout.hears
        await lookout.round()
        yield queue, lookout, commit
        await lookout.stop()


async def until(condition) -> None:
    """The kernel tells a moment later."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def put(queue: QueueUnderTest, name: str) -> str:
    """By somebody else: a letter that stays."""
    return queue.put(f"{name}@there.example", learn=False, more=HELD).id


def test_what_comes_while_the_spool_is_listed_is_not_forgotten(tmp_path, monkeypatch):
    """Found by the bench: a letter that came at that moment waited for the next look, a quarter of a minute."""

    async def run():
        async with watched(tmp_path, hears=False) as (queue, lookout, _):
            gone = queue.put("gone@there.example", more=HELD)
            kept = queue.put("kept@there.example", more=HELD)
            queue.spool.discard(gone.id)
            real, entries = queue.spool.list, []
            loop = asyncio.get_running_loop()

            def listing():
                found = real()
                asyncio.run_coroutine_threadsafe(come(), loop).result(10)
                return found

            async def come():
                entries.append(queue.put("held@there.example", more=HELD))

            monkeypatch.setattr(queue.spool, "list", listing)
            await lookout.look()
            assert queue.dispatcher.known() == {kept.id, entries[0].id}

    asyncio.run(run())


def test_what_is_heard_of_needs_no_look(tmp_path, monkeypatch):
    async def run():
        async with watched(tmp_path) as (queue, lookout, _):
            lookings = Lookings(queue.spool, monkeypatch)
            for number in range(5):
                entry_id = put(queue, f"a{number}")
                await until(lambda entry_id=entry_id: entry_id in queue.dispatcher.known())
                queue.clock.advance(15)
                await lookout.round()
            assert lookings.count == 0
            queue.clock.advance(900)
            await lookout.round()
            await lookout.round()
            assert lookings.count == 1

    asyncio.run(run())


def test_what_others_take_out_is_found_at_rest_by_the_next_round_and_else_in_time(tmp_path, monkeypatch):
    async def run():
        async with watched(tmp_path) as (queue, lookout, _):
            lookings = Lookings(queue.spool, monkeypatch)
            one, two = put(queue, "one"), put(queue, "two")
            await until(lambda: queue.dispatcher.known() == {one, two})
            await lookout.round()
            queue.spool.remove(one)  # as an operator's command does
            await lookout.round()
            assert queue.dispatcher.known() == {two}
            assert lookings.count == 1
            await lookout.round()
            queue.spool.remove(two)
            three = put(queue, "three")  # the folder changes by what is heard of as well
            await until(lambda: three in queue.dispatcher.known())
            await lookout.round()
            assert lookings.count == 1
            queue.clock.advance(900)
            await lookout.round()
            assert queue.dispatcher.known() == {three}

    asyncio.run(run())


def test_what_was_sent_is_no_reason_to_look(tmp_path, monkeypatch):
    async def run():
        async with watched(tmp_path) as (queue, lookout, _):
            queue.local.has_room = False
            entry = queue.put("a@binhduong.gov.vn", learn=False)
            await until(lambda: queue.state(entry))
            await queue.settle()
            await lookout.round()
            lookings = Lookings(queue.spool, monkeypatch)
            queue.local.has_room = True
            await queue.advance(400)
            assert queue.local.delivered and queue.ids() == []
            lookings.count = 0  # the test itself has looked
            await lookout.round()
            assert lookings.count == 0

    asyncio.run(run())


def test_more_than_the_kernel_remembers_is_found_by_looking(tmp_path):
    async def run():
        async with watched(tmp_path) as (queue, _, _):
            names = [f"{queue.spool.directory}/.{letter}" for letter in "ab"]
            Path(names[0]).touch()
            limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
            for number in range(limit + 2):  # in one turn of the loop
                os.rename(names[number % 2], names[1 - number % 2])
            entry_id = put(queue, "late")
            await until(lambda: entry_id in queue.dispatcher.known())

    asyncio.run(run())


@pytest.mark.parametrize("hears", [True, False], ids=["inotify", "without"])
def test_a_delivery_to_a_large_group_is_taken_over_when_its_edge_is_gone(tmp_path, monkeypatch, hears):
    async def run():
        async with watched(tmp_path, hears=hears) as (queue, lookout, commit):
            boxes = [tmp_path / "mail" / "binhduong.gov.vn" / f"u{number}" for number in range(101)]
            for box in boxes:
                create_mailbox(str(box))
            delivery = Delivery(Letter.from_octets([LETTER]), tuple(Target(str(box)) for box in boxes))
            _, ((lock, _),) = commit._store([delivery], ())  # as an edge does, before it expands
            if hears:
                await until(lambda: lookout._groups == {lock.id})
            lookings = Lookings(queue.spool, monkeypatch)
            await lookout.round()
            assert not any(os.listdir(box / "new") for box in boxes)  # its edge lives
            lock.release()
            await lookout.round()
            assert all(len(os.listdir(box / "new")) == 1 for box in boxes)
            assert queue.spool.list("expand") == []
            assert lookout._groups == set()
            assert queue.dispatcher.known() == set()
            assert lookings.count == (0 if hears else 2)

    asyncio.run(run())


def test_an_entry_that_could_not_be_read_is_looked_for_again(tmp_path, monkeypatch):
    async def run():
        async with watched(tmp_path) as (queue, lookout, _):
            real, failures = os.open, []

            def failing(path, *arguments, **more):
                if str(path).endswith(".env") and not failures:
                    failures.append(path)
                    raise OSError(5, "Input/output error")
                return real(path, *arguments, **more)

            aside = queue.spool.put_sync

            def put_sync(entry):
                aside(entry)
                monkeypatch.setattr(os, "open", failing)

            monkeypatch.setattr(queue.spool, "put_sync", put_sync)
            entry_id = put(queue, "a")
            await until(lambda: failures)
            assert queue.dispatcher.known() == set()
            await lookout.round()
            assert queue.dispatcher.known() == {entry_id}

    asyncio.run(run())
