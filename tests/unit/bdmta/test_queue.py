"""The queue over days, by a clock that is moved; real spool, real connections."""

# ruff: noqa: SIM117 - two short lines read better than one long one
from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.dns import TempFail
from bdmta.queue.book import Book
from bdmta.queue.places import Bounds
from bdmta.queue.schedule import Schedule
from bdmta.testing.sink import Sink
from storage.errors import Locked
from storage.spool_entry import QueueRecipient
from tests.unit.bdmta.queue_support import QueueUnderTest

HOUR, DAY = 3600.0, 86_400.0


def mx(*names, address="127.0.0.1"):
    """A world in which each domain has one exchanger at `address`."""
    world = {}
    for name in names:
        world[name] = {"MX": [(10, f"mx.{name}")]}
        world[f"mx.{name}"] = {"A": [address]}
    return world


def test_the_waits_double_up_to_the_longest():
    schedule = Schedule()
    waits = [schedule.wait_s(attempts, 0.5) for attempts in range(1, 10)]
    assert waits == [300, 600, 1200, 2400, 4800, 9600, 14400, 14400, 14400]


@given(attempts=st.integers(0, 10_000), chance=st.floats(0, 1), age=st.floats(0, 10 * DAY))
@settings(max_examples=200, deadline=None)
def test_the_next_attempt_lies_ahead_and_never_beyond_the_end(attempts, chance, age):
    schedule = Schedule()
    now = 1_700_000_000.0
    at = schedule.next_at(now - age, attempts, now, chance)
    assert at >= now
    assert at <= max(now, now - age + schedule.lifetime_s)
    assert 239.9 < schedule.wait_s(attempts, chance) < 17_280.1


def test_a_dead_domain_yields_the_delay_notice_and_then_the_bounce(tmp_path):
    async def run():
        world = {"dead.example": {"MX": TempFail("no answer in time")}}
        async with QueueUnderTest(tmp_path, world) as queue:
            entry = queue.put("a@dead.example", QueueRecipient("b@dead.example", "FAILURE"))
            began = queue.clock.time()
            seen = []
            for _ in range(5 * 24 * 6 + 3):
                await queue.advance(600)
                seen += [(round((queue.clock.time() - began) / HOUR, 1), *r) for r in queue.reports[len(seen) :]]
            delayed, *failed = seen
            assert delayed == (4.0, "delayed", "a@dead.example", "4.4.3")  # b asked for failures only
            assert failed == [(120.0, "failed", f"{x}@dead.example", "4.4.7") for x in "ab"]
            assert queue.ids() == []
            attempts = [f["detail"]["attempts"] for f in queue.facts if f["recipient"] == "a@dead.example"]
            assert attempts == list(range(1, len(attempts) + 1))
            assert 30 < len(attempts) < 60
            assert queue.events()[-1] == ("bounced", "b@dead.example")
            assert entry.id in {fact["reference"] for fact in queue.facts}

    asyncio.run(run())


def test_a_null_sender_is_told_nothing(tmp_path):
    async def run():
        async with QueueUnderTest(tmp_path, {}) as queue:
            queue.put("a@gone.example", sender="")
            await queue.settle()
            assert queue.events() == [("bounced", "a@gone.example")]
            assert (queue.reports, queue.ids()) == ([], [])

    asyncio.run(run())


def test_a_hung_domain_delays_no_other(tmp_path):
    async def run():
        async with Sink({"connect": "hang"}, address="127.0.0.2") as hung:
            world = mx("hung.example", address="127.0.0.2") | mx("quick.example")
            async with Sink(port=hung.port) as quick:
                async with QueueUnderTest(tmp_path, world, port=hung.port, seconds=30) as queue:
                    for number in range(50):
                        queue.put(f"a{number}@hung.example")
                    queue.put("both@quick.example", "both@hung.example")
                    for number in range(50):
                        queue.put(f"a{number}@quick.example")
                    await quick.wait_letters(51, 5)
                    assert hung.connections == 1  # one waits for an answer; the rest of the connections is for others
                    await quick.wait_for(lambda: len(queue.events()) >= 51, 5)
                    assert len(queue.ids()) == 51

    asyncio.run(run())


def test_what_each_recipient_was_told_stands_in_the_spool(tmp_path):
    async def run():
        script = {"RCPT": {"no@there.example": "550 5.1.1 No", "later@there.example": "451 4.2.0 Later"}}
        async with Sink(script) as sink, QueueUnderTest(tmp_path, mx("there.example"), port=sink.port) as queue:
            entry = queue.put("yes@there.example", "no@there.example", "later@there.example")
            await queue.settle()
            yes, no, later = (queue.state(entry, number) for number in range(3))
            assert (yes["state"], yes["last_reply"]) == ("sent", "250 2.0.0 Taken")
            assert (no["state"], no["status"], no["told"]) == ("failed", "5.1.1", True)
            assert "state" not in later
            assert queue.reports == [("failed", "no@there.example", "5.1.1")]
            sink.script = {}
            await queue.advance(HOUR)
            assert queue.ids() == []
            assert [len(letter.rcpt) for letter in sink.letters] == [1, 1]
            assert sink.letters[1].rcpt == ["TO:<later@there.example>"]

    asyncio.run(run())


def test_another_process_sends_no_one_again_who_is_recorded_as_sent(tmp_path):
    async def run():
        async with Sink({"RCPT": {"later@there.example": "451 4.2.0 Later"}}) as sink:
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port) as queue:
                entry = queue.put("yes@there.example", "later@there.example")
                await queue.settle()
            sink.script = {}
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port) as queue:
                queue.clock.advance(HOUR)
                queue.dispatcher.learn(queue.spool.load(entry.id))
                await queue.settle()
                assert queue.ids() == []
            assert [letter.rcpt for letter in sink.letters] == [
                ["TO:<yes@there.example>"],
                ["TO:<later@there.example>"],
            ]

    asyncio.run(run())


def test_a_report_that_a_kill_prevented_is_made_by_the_next_process(tmp_path):
    async def run():
        async with Sink({"RCPT": "550 5.1.1 No"}) as sink:
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port) as queue:

                async def killed(entry, due):
                    raise asyncio.CancelledError

                queue._report = killed
                entry = queue.put("no@there.example")
                await sink.wait_for(lambda: any(c.startswith("RCPT") for c in sink.commands))
                while "state" not in queue.state(entry):
                    await asyncio.sleep(0.01)
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port) as queue:
                queue.dispatcher.learn(queue.spool.load(entry.id))
                await queue.settle()
                assert queue.reports == [("failed", "no@there.example", "5.1.1")]
                assert queue.ids() == []
            assert sum(command.startswith("RCPT") for command in sink.commands) == 1

    asyncio.run(run())


def test_connections_are_reused_and_bounded(tmp_path):
    async def run():
        bounds = Bounds(destination_connections_count=3, connection_letters_count=10, idle_s=0.3)
        async with Sink() as sink:
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port, bounds=bounds) as queue:
                for number in range(60):
                    queue.put(f"a{number}@there.example")
                await queue.settle()
                assert queue.ids() == []
            assert len({letter.rcpt[0] for letter in sink.letters}) == 60
            assert sink.most_open <= 4  # one more while another is being closed
            assert sink.connections <= 9

    asyncio.run(run())


def test_a_resting_connection_makes_room_for_a_new_destination_at_once(tmp_path):
    async def run():
        names = [f"d{number}.example" for number in range(12)]
        world = {key: value for name in names for key, value in mx(name).items()}
        bounds = Bounds(connections_count=2, idle_s=60)
        async with Sink() as sink:
            async with QueueUnderTest(tmp_path, world, port=sink.port, bounds=bounds) as queue:
                async with asyncio.timeout(10):
                    for name in names[:2]:
                        queue.put(f"a@{name}")
                    await queue.settle()
                    for name in names[2:]:
                        queue.put(f"a@{name}")
                    await queue.settle()
                    queue.put(f"b@{names[-1]}", f"b@{names[0]}")
                    await queue.settle()
                assert queue.ids() == []
            assert len(sink.letters) == 14
            assert sink.commands.count("QUIT") == sink.connections >= 12
            assert sink.most_open <= 4  # two more while they are being closed

    asyncio.run(run())


def test_what_is_heard_of_again_while_it_waits_for_a_worker_is_sent_once(tmp_path):
    async def run():
        bounds = Bounds(destination_connections_count=8)
        async with Sink({"letter": ["slow"]}) as sink:
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port, bounds=bounds) as queue:
                queue.put("first@there.example")
                await queue.settle()  # the destination is proven: many may send to it now
                entries = [queue.put(f"a{number}@there.example") for number in range(40)]
                for _ in range(3):  # notices of the kernel that come after the spool has been looked through
                    await asyncio.sleep(0)
                    for entry in entries:
                        if entry.id in queue.ids():
                            queue.dispatcher.learn(queue.spool.load(entry.id))
                await queue.settle()
                assert queue.ids() == []
            sent = sorted(letter.rcpt[0] for letter in sink.letters)
            assert len(sent) == len(set(sent)) == 41

    asyncio.run(run())


def test_a_connection_that_the_peer_has_closed_costs_no_attempt(tmp_path):
    async def run():
        async with Sink() as sink:
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port, bounds=Bounds(idle_s=5)) as queue:
                queue.put("a@there.example")
                await queue.settle()
                sink.script = {"MAIL": ["421 4.4.2 Idle too long", ""]}
                queue.put("b@there.example")
                await queue.settle()
                assert queue.events() == [("sent", "a@there.example"), ("sent", "b@there.example")]
                assert sink.connections == 2

    asyncio.run(run())


def test_the_urgent_goes_first_and_bulk_last(tmp_path):
    async def run():
        async with Sink() as sink:
            bounds = Bounds(destination_connections_count=1)
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port, bounds=bounds) as queue:
                for number, priority in enumerate((0, -1, 2, 0, 1)):
                    queue.put(f"a{number}@there.example", priority=priority)
                    queue.clock.advance(1)
                await queue.settle()
            order = [letter.rcpt[0][4:6] for letter in sink.letters]
            assert order == ["a2", "a4", "a0", "a3", "a1"]

    asyncio.run(run())


def test_a_held_letter_stays_and_a_locked_one_is_waited_for(tmp_path):
    async def run():
        async with Sink() as sink:
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port) as queue:
                held = queue.put("a@there.example", more={"held": True})
                await queue.advance(DAY)
                assert queue.ids() == [held.id]
                locked = queue.put("b@there.example", learn=False)
                lock = queue.spool.lock(locked.id)
                with pytest.raises(Locked):
                    queue.spool.lock(locked.id)
                queue.dispatcher.learn(queue.spool.load(locked.id))
                await queue.settle()
                assert queue.events() == []
                lock.release()
                await queue.advance(5)
                assert queue.events() == [("sent", "b@there.example")]

    asyncio.run(run())


def test_a_destination_that_found_the_entry_locked_is_not_forgotten_when_another_is_done(tmp_path):
    async def run():
        async with Sink() as sink:
            names = mx("one.example") | mx("two.example")
            async with QueueUnderTest(tmp_path, names, port=sink.port) as queue:
                entry = queue.put("a@one.example", "b@two.example", learn=False)
                lock = queue.spool.lock(entry.id)
                queue.dispatcher.learn(queue.spool.load(entry.id))
                await queue.settle()
                lock.release()
                await queue.advance(0.005)  # the first comes again, and is done
                await queue.advance(0.1)  # the second, a little later
                assert sorted(queue.events()) == [("sent", "a@one.example"), ("sent", "b@two.example")]
                assert queue.ids() == []

    asyncio.run(run())


def test_two_destinations_of_a_letter_whose_lock_the_edge_still_holds(tmp_path):
    async def run():
        async with Sink() as sink:
            async with QueueUnderTest(tmp_path, mx("a.example", "b.example"), port=sink.port) as queue:
                entry = queue.put("x@a.example", "x@b.example", learn=False)
                lock = queue.spool.lock(entry.id)
                queue.dispatcher.learn(queue.spool.load(entry.id))
                await queue.settle()
                await queue.advance(0.005)  # one asks again sooner than the other
                lock.release()
                await queue.advance(0.5)
                await queue.advance(0.5)
                assert queue.ids() == []

    asyncio.run(run())


def test_a_letter_to_many_domains_is_one_entry_and_each_has_its_own_fate(tmp_path):
    async def run():
        names = [f"d{number}.example" for number in range(40)]
        world = mx(*names) | {"d7.example": {"MX": [(0, "")]}, "d9.example": {"MX": TempFail("SERVFAIL")}}
        async with Sink() as sink, QueueUnderTest(tmp_path, world, port=sink.port) as queue:
            entry = queue.put(*(f"a@{name}" for name in names))
            await queue.settle()
            assert len(sink.letters) == 38
            assert queue.reports == [("failed", "a@d7.example", "5.1.10")]
            left = [r.address for r in queue.spool.load(entry.id).recipients if "state" not in r.state]
            assert left == ["a@d9.example"]

    asyncio.run(run())


def test_copies_for_mailboxes_without_room_wait_here(tmp_path):
    async def run():
        async with QueueUnderTest(tmp_path) as queue:
            queue.local.has_room = False
            queue.put("m@binhduong.gov.vn")
            await queue.settle()
            assert queue.events() == [("deferred", "m@binhduong.gov.vn")]
            queue.local.has_room = True
            await queue.advance(HOUR)
            assert queue.local.delivered == ["m@binhduong.gov.vn"]
            assert queue.ids() == []

    asyncio.run(run())


def test_after_a_failed_connection_the_others_do_not_try(tmp_path):
    async def run():
        async with Sink({"connect": "421 4.3.2 Busy"}) as sink:
            async with QueueUnderTest(tmp_path, mx("busy.example"), port=sink.port) as queue:
                for number in range(20):
                    queue.put(f"a{number}@busy.example")
                await queue.settle()
                assert sink.connections == 1
                assert len(queue.events()) == 20
                sink.script = {}
                await queue.advance(HOUR)
                assert len(sink.letters) == 20

    asyncio.run(run())


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.floats(0, 100)), max_size=40))
@settings(max_examples=100, deadline=None)
def test_the_book_hands_each_wait_out_once(steps):
    book = Book()
    expected = {}
    for entry, destination, at in steps:
        book.set(f"e{entry}", [(f"d{destination}", at)])
        expected[f"e{entry}"] = (f"d{destination}", at)
    out = [(due.id, due.destination, due.order[1]) for due in book.due(100)]
    assert sorted(out) == sorted((entry, name, at) for entry, (name, at) in expected.items())
    assert list(book.due(100)) == []
