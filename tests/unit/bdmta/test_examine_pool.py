"""The pool: warm processes that can be killed, and lose no letter when they are."""

from __future__ import annotations

import asyncio
import mmap
import os
import select
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bdmta.examine import codec
from bdmta.examine.bounds import Bounds
from bdmta.examine.confine import Limits
from bdmta.examine.errors import ExaminerError
from bdmta.examine.inventory import Inventory, Item
from bdmta.examine.pool import ExaminerPool
from bdmta.examine.walk import take_inventory
from bdmta.message import scan
from tests.corpus.attachments.files import MZ, TEXT, zipped
from tests.corpus.attachments.letters import attached

ZIPPED = attached("a.zip", zipped({"chay.exe": MZ}))


def with_pool(use: Callable[[ExaminerPool], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        pool = ExaminerPool(**options)
        await pool.start()
        try:
            await use(pool)
        finally:
            await pool.close()

    asyncio.run(run())


def test_a_worker_gives_what_the_code_gives_here() -> None:
    async def use(pool: ExaminerPool) -> None:
        for octets in (
            ZIPPED,
            attached(
                "a\u202e\ud800.zip".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
                zipped({"ệ\u202e.txt": TEXT}),
            ),
        ):
            message = scan(octets)
            assert await pool.inventory(message) == take_inventory(message)
        assert pool.asked_count == 2

    with_pool(use)


def test_large_letters_go_by_descriptor() -> None:
    async def use(pool: ExaminerPool) -> None:
        message = scan(attached("a.zip", zipped({"a.txt": os.urandom(3 << 20), "chay.exe": MZ}, 0)))
        inventory = await pool.inventory(message)
        assert any("executable-content" in item.problems for item in inventory.items)

    with_pool(use)


def test_plain_letters_stay_in_the_edge_and_results_are_kept() -> None:
    async def use(pool: ExaminerPool) -> None:
        await pool.inventory(scan(attached("a.txt", TEXT)))
        assert pool.asked_count == 0
        first = await pool.inventory(scan(ZIPPED))
        again = await pool.inventory(scan(b"Received: by another\r\n" + ZIPPED))
        assert again is first
        assert pool.asked_count == 1

    with_pool(use)


def test_the_same_letter_asked_twice_at_once_is_looked_at_once() -> None:
    async def use(pool: ExaminerPool) -> None:
        message = scan(ZIPPED)
        found = await asyncio.gather(*(pool.inventory(message) for _ in range(5)))
        assert all(inventory is found[0] for inventory in found)
        assert pool.asked_count == 1

    with_pool(use)


def test_a_killed_worker_raises_and_is_replaced() -> None:
    async def use(pool: ExaminerPool) -> None:
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        task = asyncio.ensure_future(pool.inventory(scan(ZIPPED)))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ExaminerError):
            await task
        assert pool.failed_count == 1
        assert pid not in pool.pids
        assert await pool.inventory(scan(ZIPPED)) == take_inventory(scan(ZIPPED))

    with_pool(use)


def test_a_worker_that_died_idle_costs_no_letter() -> None:
    async def use(pool: ExaminerPool) -> None:
        (pid,) = pool.pids
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert await pool.inventory(scan(ZIPPED)) == take_inventory(scan(ZIPPED))

    with_pool(use)


def test_a_stopped_worker_is_killed_at_the_time_out() -> None:
    async def use(pool: ExaminerPool) -> None:
        await pool.inventory(scan(attached("b.zip", zipped({"b.txt": TEXT}))))
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ExaminerError):
            await pool.inventory(scan(ZIPPED))
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        await pool.inventory(scan(ZIPPED))

    with_pool(use, answer_s=1.0)


def test_giving_up_replaces_the_worker_so_that_answers_never_mix() -> None:
    async def use(pool: ExaminerPool) -> None:
        task = asyncio.ensure_future(pool.inventory(scan(ZIPPED)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        other = scan(attached("b.zip", zipped({"b.txt": TEXT})))
        assert await pool.inventory(other) == take_inventory(other)

    with_pool(use)


def test_after_giving_up_a_large_letter_can_be_closed_at_once() -> None:
    async def use(pool: ExaminerPool) -> None:
        octets = attached("a.zip", zipped({"a.bin": os.urandom(6 << 20)}, 0))
        letter = mmap.mmap(-1, len(octets))
        letter[:] = octets
        for turns in (1, 3, 5):
            task = asyncio.ensure_future(pool.inventory(scan(letter)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        del task
        letter.close()  # BufferError if a thread still reads it

    with_pool(use)


def test_workers_are_replaced_after_their_letters() -> None:
    async def use(pool: ExaminerPool) -> None:
        before = pool.pids
        for number in range(4):
            await pool.inventory(scan(attached("a.zip", zipped({f"{number}.txt": TEXT}))))
        assert set(before).isdisjoint(pool.pids)

    with_pool(use, letters_per_worker=2)


def test_memory_is_bounded_and_the_letter_is_not_lost() -> None:
    async def use(pool: ExaminerPool) -> None:
        inventory = await pool.inventory(scan(attached("a.zip", zipped({"a.bin": bytes(160 << 20)}))))
        problems = {problem for item in inventory.items for problem in item.problems}
        assert problems == {"expanded"}

    with_pool(use, limits=Limits(memory_octets=180 << 20), bounds=Bounds(ratio=10_000))


def test_a_worker_has_no_network_of_its_own_and_no_privileges() -> None:
    async def use(pool: ExaminerPool) -> None:
        await pool.inventory(scan(ZIPPED))
        (pid,) = pool.pids
        with open(f"/proc/{pid}/status") as file:
            status = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
        assert status["NoNewPrivs"].strip() == "1"
        if os.geteuid() == 0:
            assert set(status["Uid"].split()) == {"65534"}
            assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
        with open(f"/proc/{pid}/limits") as file:
            limits = file.read()
        assert "Max file size             0                    0" in limits

    with_pool(use)


def test_a_closed_pool_says_so() -> None:
    async def run() -> None:
        with pytest.raises(ExaminerError):
            await ExaminerPool().inventory(scan(ZIPPED))

    asyncio.run(run())


def test_a_worker_dies_with_its_edge() -> None:
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        pool = ExaminerPool()
        asyncio.run(pool.start())
        theirs.sendall(str(pool.pids[0]).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    theirs.close()
    pid = int(ours.recv(20))
    os.waitpid(child, 0)
    for _ in range(500):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    break
        except FileNotFoundError:
            break
        select.select([], [], [], 0.01)
    else:
        pytest.fail("the worker outlived its edge")


@pytest.mark.parametrize(
    "octets",
    [b"", b"{}", b"[]", b'{"items":[],"problems":[]}', b'{"items":{},"problems":[],"truncated":false}',
     b'{"items":[[1]],"problems":[],"truncated":false}', b'{"items":[],"problems":[1],"truncated":false}',
     b'{"items":[],"problems":[],"truncated":1}', b"[" * 100_000, b"\xff",
     b'{"items":[[[],[],[],"","","",-1,"",[]]],"problems":[],"truncated":false}'],
)  # fmt: skip
def test_the_codec_believes_nothing(octets: bytes) -> None:
    with pytest.raises(codec.DecodeError):
        codec.decode(octets)


def test_the_codec_gives_back_what_it_took() -> None:
    item = Item(("a\ud800", "b"), ("x\u202e",), ("exe",), "a/b", "mz", "executable", 12, "member", ("macro",))
    inventory = Inventory((item, Item(("c",))), ("depth",), True)
    assert codec.decode(codec.encode(inventory)) == inventory
