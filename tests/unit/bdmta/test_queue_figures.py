"""What the queue tells Prometheus, with a real spool and real sinks; names of destinations are bounded."""

from __future__ import annotations

import asyncio

from bdmta.queue.figures import NAMED_COUNT, OTHER, QueueFigures
from bdmta.testing.sink import Sink
from tests.unit.bdmta.queue_support import QueueUnderTest
from tests.unit.bdmta.test_queue import mx


def value(figures, name, **labels):
    return figures.registry.get_sample_value(f"bdmta_queue_{name}", labels)


def test_attempts_ages_reports_and_states(tmp_path):
    async def run():
        script = {"RCPT": ["", "550 5.1.1 No such user", "451 4.2.0 Later"]}
        async with Sink(script) as sink:
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port) as queue:
                queue.put("yes@there.example", "no@there.example", "later@there.example")
                await queue.settle()
                queue.put("held@there.example", more={"held": True})
                queue.dispatcher.set_aside("broken")
                queue.clock.advance(100)
                queue.dispatcher.take_figures()
                found = queue.figures
                assert [value(found, "attempts_total", outcome=o) for o in ("delivered", "bounced", "deferred")] == [
                    1
                ] * 3
                assert value(found, "reports_total", kind="failed") == 1
                assert value(found, "reports_total", kind="delivered") == 0
                assert value(found, "delivery_seconds_count") == 1
                states = ("waiting", "due", "sending", "held", "unreadable")
                assert [value(found, "letters", state=state) for state in states] == [1, 0, 0, 1, 1]
                assert value(found, "oldest_age_seconds") == 100
                await queue.advance(3600)
                queue.dispatcher.take_figures()
                assert value(found, "attempts_total", outcome="deferred") == 2

    asyncio.run(run())


def test_an_empty_queue_has_no_oldest(tmp_path):
    async def run():
        async with Sink() as sink:
            async with QueueUnderTest(tmp_path, mx("there.example"), port=sink.port) as queue:
                queue.put("a@there.example")
                await queue.settle()
                queue.clock.advance(50)
                queue.dispatcher.take_figures()
                assert value(queue.figures, "oldest_age_seconds") == 0
                assert value(queue.figures, "letters", state="waiting") == 0

    asyncio.run(run())


def test_a_destination_that_does_not_answer_is_named_while_it_holds_letters_up(tmp_path):
    async def run():
        async with Sink({"connect": "554 5.3.2 No service"}) as sink:
            world = mx("dead.example")
            async with QueueUnderTest(tmp_path, world, port=sink.port) as queue:
                for number in range(3):
                    queue.put(f"a{number}@dead.example")
                await queue.settle()
                queue.dispatcher.take_figures()
                assert value(queue.figures, "destinations_down") == 1
                assert value(queue.figures, "held_up_letters", destination="dead.example") == 3

    asyncio.run(run())


def test_no_more_than_some_destinations_are_named():
    figures = QueueFigures()
    figures.take(5.0, {}, set(), {f"d{number}.example": number for number in range(100)})
    text = [
        s for metric in figures.registry.collect() for s in metric.samples if s.name == "bdmta_queue_held_up_letters"
    ]
    assert len(text) == NAMED_COUNT + 1
    assert value(figures, "held_up_letters", destination="d99.example") == 99
    assert value(figures, "held_up_letters", destination="d1.example") is None
    assert value(figures, "held_up_letters", destination=OTHER) == sum(range(80))
    figures.take(6.0, {}, set(), {})
    assert value(figures, "held_up_letters", destination="d99.example") is None
    assert value(figures, "figures_timestamp_seconds") == 6.0
