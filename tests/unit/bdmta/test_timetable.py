"""The office's timetable: a fake clock, real triggers, real files."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bdmta.errors import BdmtaError
from bdmta.office.errand import run as errand
from bdmta.office.timetable import Duty, Timetable, read_past
from bdmta.tasks import Tasks
from bdmta.testing import FakeClock

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
SEVEN = CronTrigger(hour=7, timezone=ZONE)
DAY_S = 86_400


class World:
    """One duty that counts its runs, and the timetable around it; `again` is a restart."""

    def __init__(self, folder: Path, trigger=SEVEN, *, at=datetime(2026, 1, 5, 1, 0, tzinfo=UTC), **options) -> None:
        self.clock = FakeClock(at)  # 08:00 in Bình Dương
        self.path = folder / "timetable.json"
        self.ran: list[float] = []
        self.fails = False
        self.hold: asyncio.Event | None = None
        self._options = {"jitter_s": 0, "retry_s": 0, **options}
        self._trigger = trigger
        self.again()

    def again(self) -> None:
        log = structlog.get_logger()
        duty = Duty("count", self._trigger, self._count, **self._options)
        self.tasks = Tasks(log)
        self.table = Timetable([duty], str(self.path), self.clock, self.tasks, log, chance=lambda: 0.5)

    async def _count(self) -> None:
        self.ran.append(self.clock.time())
        if self.hold is not None:
            await self.hold.wait()
        if self.fails:
            raise BdmtaError("the disk is not there")

    async def look(self, seconds: float = 0) -> int:
        """Let time pass, look, wait for what was started; how often it has run in all."""
        self.clock.advance(seconds)
        await asyncio.gather(*self.table.look())
        return len(self.ran)


def test_it_runs_at_its_time_and_not_before(tmp_path):
    async def main():
        world = World(tmp_path)
        assert await world.look() == 0
        assert await world.look(22.9 * 3600) == 0
        assert await world.look(0.1 * 3600) == 1
        assert await world.look(3600) == 1
        assert await world.look(23 * 3600) == 2

    asyncio.run(main())


def test_what_was_missed_while_down_is_made_up_once(tmp_path):
    async def main():
        world = World(tmp_path)
        await world.look()
        world.clock.advance(5 * DAY_S)
        world.again()
        assert await world.look() == 1
        assert await world.look(60) == 1
        world.again()
        assert await world.look() == 1
        assert world.table.due_at("count") % DAY_S == 0  # 07:00 in Bình Dương is midnight in UTC

    asyncio.run(main())


def test_never_two_at_once(tmp_path):
    async def main():
        world = World(tmp_path, IntervalTrigger(minutes=1, timezone=UTC))
        world.table.look()
        world.hold = asyncio.Event()
        world.clock.advance(61)
        (task,) = world.table.look()
        await asyncio.sleep(0)
        world.clock.advance(600)
        assert world.table.look() == [] and len(world.ran) == 1
        world.hold.set()
        await task
        assert await world.look() == 2  # what was missed meanwhile, once
        assert await world.look() == 2

    asyncio.run(main())


def test_a_run_that_was_broken_off_is_made_up_once_only(tmp_path):
    async def main():
        world = World(tmp_path)
        await world.look()
        world.hold = asyncio.Event()  # it never ends: the machine falls in the middle
        for expected in (1, 2, 2):
            world.clock.advance(DAY_S if expected == 1 else 60)
            world.table.look()
            await asyncio.sleep(0)
            assert len(world.ran) == expected
            await world.tasks.finish(0)
            await asyncio.sleep(0)
            world.again()
        world.hold = None
        assert await world.look(DAY_S) == 3  # its next time all the same
        assert await world.look(DAY_S) == 4

    asyncio.run(main())


def test_a_failure_is_tried_again_and_remembered(tmp_path):
    async def main():
        world = World(tmp_path, retry_s=600)
        await world.look()
        world.fails = True
        assert await world.look(DAY_S) == 1
        assert read_past(str(world.path))["count"].error == "BdmtaError: the disk is not there"
        assert await world.look(599) == 1
        assert await world.look(1) == 2
        world.again()
        world.fails = False
        assert await world.look(600) == 3
        assert read_past(str(world.path))["count"].error == ""
        assert await world.look(3600) == 3

    asyncio.run(main())


def test_jitter_puts_off_and_survives_no_restart_twice(tmp_path):
    async def main():
        world = World(tmp_path, jitter_s=600)
        await world.look()
        assert await world.look(23 * 3600 + 299) == 0
        assert await world.look(1) == 1

    asyncio.run(main())


def test_a_clock_that_was_wrong_does_not_silence_it(tmp_path):
    async def main():
        world = World(tmp_path, at=datetime(2099, 1, 1, tzinfo=UTC))
        await world.look()
        await world.look(DAY_S)
        world.clock.advance(datetime(2026, 1, 5, 1, tzinfo=UTC).timestamp() - world.clock.time())
        world.again()
        assert await world.look() == 1
        assert await world.look(23 * 3600) == 2

    asyncio.run(main())


def test_a_torn_file_is_no_reason_to_fall(tmp_path):
    (tmp_path / "timetable.json").write_text('{"count": {"base_at": 1, "nonsense": 2}}')

    async def main():
        world = World(tmp_path)
        assert await world.look() == 0
        assert "base_at" in json.loads(world.path.read_text())["count"]

    asyncio.run(main())


def test_an_errand_is_a_command_of_its_own(tmp_path):
    async def main():
        assert (await errand("/absent.toml", ["--version"])).startswith("bdmta ")
        try:
            await errand("/absent.toml", ["status"])
        except BdmtaError as error:
            assert "/absent.toml" in str(error)
        else:
            raise AssertionError("it did not fail")

    asyncio.run(main())
