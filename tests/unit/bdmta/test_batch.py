"""Many small works in one hop: each its own result or error, in bounded hops, none forgotten."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bdmta.batch import Batch


def test_each_gets_its_own_result_or_error() -> None:
    def work(number: int) -> int:
        if number % 10 == 3:
            raise ValueError(str(number))
        return number * 2

    async def run() -> list[int | BaseException]:
        with ThreadPoolExecutor(4) as executor:
            batch = Batch(work, executor)
            return await asyncio.gather(*(batch(number) for number in range(300)), return_exceptions=True)

    for number, found in enumerate(asyncio.run(run())):
        if number % 10 == 3:
            assert isinstance(found, ValueError)
            assert str(found) == str(number)
        else:
            assert found == number * 2


def test_what_comes_while_a_hop_is_under_way_goes_into_the_next_together() -> None:
    gate, threads = threading.Event(), []

    def work(number: int) -> int:
        threads.append(threading.get_ident())
        gate.wait(10)
        return number

    async def run() -> int:
        with ThreadPoolExecutor(8) as executor:
            batch, hops = Batch(work, executor, hops_count=1), 0
            real = executor.submit

            def counted(*arguments: object) -> object:
                nonlocal hops
                hops += 1
                return real(*arguments)  # type: ignore[arg-type]

            executor.submit = counted  # type: ignore[method-assign, assignment]
            first = batch(0)
            while not threads:
                await asyncio.sleep(0)
            others = [batch(number) for number in range(1, 60)]
            gate.set()
            assert await asyncio.gather(first, *others) == list(range(60))
            return hops

    assert asyncio.run(run()) == 2


def test_one_that_nobody_waits_for_is_done_and_an_executor_that_is_gone_is_an_error() -> None:
    done: list[int] = []

    async def run() -> None:
        executor = ThreadPoolExecutor(1)
        batch = Batch(done.append, executor)
        batch(1).cancel()
        await batch(2)
        executor.shutdown()
        with pytest.raises(RuntimeError):
            await batch(3)

    asyncio.run(run())
    assert done == [1, 2]
