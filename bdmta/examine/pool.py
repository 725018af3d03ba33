"""The examiner as an edge sees it: small plain letters at once, everything else in warm, bounded processes.

A letter whose worker runs out of time or dies raises ExaminerError, and the worker is replaced; the chain then does
what the step's `on_error` says, so that no letter is lost. Results are kept by what a letter says of its content, so
that the policies that ask, and the same letter coming again, cost one look.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import bdmta
from bdmta.examine import codec
from bdmta.examine.bounds import Bounds
from bdmta.examine.confine import Limits
from bdmta.examine.errors import ExaminerError, NeedsWorker
from bdmta.examine.inventory import Inventory
from bdmta.examine.walk import plain_text, take_inventory
from bdmta.message import Message

if TYPE_CHECKING:
    from bdmta.site import Site

_T = TypeVar("_T")
_R = TypeVar("_R")

INLINE_OCTETS = 256 * 1024
_BLOCKING_OCTETS = 512 * 1024
_SLICE_OCTETS = 1 << 20
_ANSWER_SPARE_S = 5.0


class _Worker:
    """One process and its end of the socket pair."""

    def __init__(self, limits: Limits) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        root = str(Path(bdmta.__file__).parent.parent)
        environment = {
            "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]),
            "LANG": "C",
        }
        arguments = [str(theirs.fileno()), str(os.getpid()), str(limits.memory_octets), str(limits.cpu_s)]
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bdmta.examine.worker", *arguments],
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=environment, cwd="/",
            )  # fmt: skip
        finally:
            theirs.close()
        ours.setblocking(False)
        self.channel = ours
        self.letters_left = 0

    def end(self) -> None:
        """Kill it and take its exit status."""
        self.channel.close()
        self.process.kill()
        self.process.wait()  # it was killed: this returns at once

    async def ask(self, request: bytes, descriptor: int) -> bytes:
        """Send one letter's descriptor and await the answer. Raises OSError, EOFError."""
        socket.send_fds(self.channel, [request], [descriptor])
        size = int.from_bytes(await self._read(4), "big")
        if size > codec.MAX_OCTETS:
            raise EOFError("the answer is too long")
        return await self._read(size)

    async def _read(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        pieces: list[bytes] = []
        while size:
            piece = await loop.sock_recv(self.channel, min(size, 1 << 18))
            if not piece:
                raise EOFError("the worker has died")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


class ExaminerPool:
    """Takes inventories. Safe to ask from many tasks of one loop; `start` before, `close` after.

    `executor` copies and hashes letters too large to do so on the loop.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        bounds: Bounds | None = None,
        limits: Limits | None = None,
        letters_per_worker: int = 500,
        cached_letters: int = 256,
        answer_s: float | None = None,
        executor: Executor | None = None,
        log: Any = None,
    ) -> None:
        self._worker_count = workers
        self._bounds = bounds or Bounds()
        self._limits = limits or Limits()
        self._letters_per_worker = letters_per_worker
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self._all: set[_Worker] = set()
        self._kept: OrderedDict[bytes, Inventory] = OrderedDict()
        self._of: WeakKeyDictionary[Message, Inventory] = WeakKeyDictionary()
        self._cached_letters = cached_letters
        self._under_way: dict[bytes, asyncio.Future[Inventory]] = {}
        self._executor = executor
        self._answer_s = self._bounds.seconds + _ANSWER_SPARE_S if answer_s is None else answer_s
        self._log = log
        self._is_open = False
        self.asked_count = 0
        self.failed_count = 0

    @classmethod
    def for_site(cls, site: Site, log: Any) -> ExaminerPool:
        """A pool by the site's `[examiner]` table."""
        told = site.config.examiner
        bounds = Bounds(
            depth=told.max_depth,
            entries=told.max_files,
            expanded_octets=told.max_expanded_octets,
            ratio=told.max_ratio,
            seconds=0.8 * min(told.cpu_s, told.timeout_s),  # so that the verdict comes before the process is killed
        )
        limits = Limits(memory_octets=told.memory_octets)
        return cls(workers=told.processes, bounds=bounds, limits=limits, answer_s=told.timeout_s, log=log)

    async def start(self) -> None:
        """Start the workers; they import while the caller goes on."""
        self._is_open = True
        for _ in range(self._worker_count):
            self._idle.put_nowait(self._spawn())

    async def close(self) -> None:
        """End the workers. Letters under way raise ExaminerError."""
        self._is_open = False
        for worker in list(self._all):
            self._drop(worker)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers, for status and tests."""
        return tuple(worker.process.pid for worker in self._all)

    async def inventory(self, message: Message) -> Inventory:
        """Every file in the letter. Raises ExaminerError when its worker was killed at a bound or died.

        One policy after another asks about the same letter: the answer is kept with it while it lives.
        """
        inventory = self._of.get(message)
        if inventory is None:
            inventory = self._of[message] = await self._look(message)
        return inventory

    async def _look(self, message: Message) -> Inventory:
        if len(message.octets) > INLINE_OCTETS:
            try:
                plain = await self._beside(partial(plain_text, bounds=self._bounds), message)
            except NeedsWorker:
                plain = None
            if plain is not None:
                return plain
        elif not message.root.children and message.root.media_type == "text/plain":
            try:  # sooner looked through than looked up
                return take_inventory(message, self._bounds, is_edge=True)
            except NeedsWorker:
                pass
        key = await self._key(message)
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
            return known
        waiting = self._under_way.get(key)
        if waiting is not None:
            return await asyncio.shield(waiting)
        if len(message.octets) <= INLINE_OCTETS:
            try:
                return self._keep(key, take_inventory(message, self._bounds, is_edge=True))
            except NeedsWorker:
                pass
        return await self._shared(key, message)

    async def texts(self, message: Message) -> tuple[tuple[str, str], ...]:
        """The words of every attached document, `(path, text)`. Raises ExaminerError as `inventory` does."""
        return await self._ask(message, "texts", _decoded_texts)

    async def _shared(self, key: bytes, message: Message) -> Inventory:
        """Ask a worker, once for all who want the same letter's inventory meanwhile."""
        future: asyncio.Future[Inventory] = asyncio.get_running_loop().create_future()
        self._under_way[key] = future
        try:
            inventory = self._keep(key, await self._ask(message, "inventory", codec.decode))
            future.set_result(inventory)
            return inventory
        except BaseException as error:
            future.set_exception(error if isinstance(error, ExaminerError) else ExaminerError("given up"))
            future.exception()  # nobody else may be waiting
            raise
        finally:
            del self._under_way[key]

    def _keep(self, key: bytes, inventory: Inventory) -> Inventory:
        self._kept[key] = inventory
        if len(self._kept) > self._cached_letters:
            self._kept.popitem(last=False)
        return inventory

    async def _key(self, message: Message) -> bytes:
        """A hash of the body and of the header fields that say how to read it; trace fields do not count."""
        if len(message.octets) <= _BLOCKING_OCTETS:
            return _digest(message)
        return await self._beside(_digest, message)

    async def _ask(self, message: Message, task: str, decode: Callable[[bytes], _T]) -> _T:
        if not self._is_open:
            raise ExaminerError("the examiner is not running")
        self.asked_count += 1
        descriptor = await self._descriptor(message)
        try:
            worker = await self._idle.get()
            if worker.process.poll() is not None:  # it died while idle: no letter's fault
                self._drop(worker)
                worker = self._spawn()
            return await self._ask_worker(worker, descriptor, task, decode)
        finally:
            os.close(descriptor)

    async def _ask_worker(self, worker: _Worker, descriptor: int, task: str, decode: Callable[[bytes], _T]) -> _T:
        request = json.dumps({"task": task, "bounds": dataclasses.asdict(self._bounds)}).encode("ascii")
        answered = False
        try:
            async with asyncio.timeout(self._answer_s):
                octets = await worker.ask(request, descriptor)
            answer = decode(octets)
            answered = True
            return answer
        except (OSError, EOFError, TimeoutError, codec.DecodeError) as error:
            self.failed_count += 1
            if self._log is not None:
                self._log.warning("examiner failed", cause=type(error).__name__, pid=worker.process.pid)
            raise ExaminerError(f"{type(error).__name__}: {error}") from error
        finally:
            self._return(worker, answered)

    def _return(self, worker: _Worker, answered: bool) -> None:
        """Put a worker back, or a new one in its place: when it failed, was given up, or has served its letters."""
        worker.letters_left -= 1
        if answered and worker.letters_left > 0 and self._is_open:
            self._idle.put_nowait(worker)
            return
        self._drop(worker)
        if self._is_open:
            self._idle.put_nowait(self._spawn())

    def _spawn(self) -> _Worker:
        worker = _Worker(self._limits)
        worker.letters_left = self._letters_per_worker
        self._all.add(worker)
        return worker

    def _drop(self, worker: _Worker) -> None:
        if worker in self._all:
            self._all.discard(worker)
            worker.end()

    async def _descriptor(self, message: Message) -> int:
        """The letter in a memfd. Large ones are copied off the loop."""
        octets: Any = message.octets
        if len(octets) <= _BLOCKING_OCTETS:
            return _memfd(octets)
        return await self._beside(_memfd, octets, undo=os.close)

    async def _beside(self, work: Callable[[Any], _R], given: Any, undo: Callable[[_R], None] | None = None) -> _R:
        """`work(given)` off the loop. A cancellation waits for its end, since the letter may be closed then."""
        future = asyncio.get_running_loop().run_in_executor(self._executor, work, given)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if undo is not None and future.exception() is None:
                undo(future.result())
            raise


def _decoded_texts(octets: bytes) -> tuple[tuple[str, str], ...]:
    try:
        return tuple((str(path), str(text)) for path, text in json.loads(octets))
    except (ValueError, TypeError) as error:
        raise codec.DecodeError("texts") from error


def _memfd(octets: Any) -> int:
    descriptor = os.memfd_create("letter", os.MFD_CLOEXEC)
    try:
        with memoryview(octets) as view:
            at = 0
            while at < len(view):
                with view[at : at + (8 << 20)] as block:
                    at += os.write(descriptor, block)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _digest(message: Message) -> bytes:
    hasher = hashlib.sha256()  # in hardware, and without the GIL
    for header in message.headers:
        if header.name.startswith("content-"):
            hasher.update(b"%d:%s:%s\n" % (len(header.value), header.name.encode("latin-1", "replace"), header.value))
    hasher.update("|".join(message.defects).encode())
    with memoryview(message.octets) as view, view[message.body_start :] as body:
        for start in range(0, len(body), _SLICE_OCTETS):  # the interpreter is free between two, and can stop here
            with body[start : start + _SLICE_OCTETS] as piece:
                hasher.update(piece)
    return hasher.digest()
