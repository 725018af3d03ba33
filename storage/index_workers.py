"""Processes that read letters for the index, so that the first opening of a large folder holds nobody else up.

Made when first needed, gone after half a minute without work, and with their parent: a worker ends when its pipe does,
however the parent died. An `Executor`, so that `Mailboxes(builders=...)` takes it, or any other.
"""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, BinaryIO

IDLE_S = 30.0
_CODE = "import sys; sys.path[:] = {path!r}; from storage.index_workers import main; main()"


class _Worker:
    """One process; given one task at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", _CODE.format(path=sys.path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.used_at = time.monotonic()

    def run(self, task: Any) -> Any:
        """Have the task done; raises what it raised, EOFError or BrokenPipeError when the process died."""
        assert self._process.stdin is not None and self._process.stdout is not None
        _send(self._process.stdin, task)
        is_good, result = _receive(self._process.stdout)
        self.used_at = time.monotonic()
        if is_good:
            return result
        raise result

    def close(self) -> None:
        """End the process and wait for it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
        self._process.wait()


class Workers(Executor):
    """At most `count` worker processes. Tasks are functions of modules, with arguments that can be pickled."""

    def __init__(self, count: int, *, idle_s: float = IDLE_S) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="index-worker")
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._timer: threading.Timer | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a function run in a worker process."""
        return self._threads.submit(self._run, fn, args, kwargs)

    def _run(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        worker = worker or _Worker()
        try:
            result = worker.run((fn, args, kwargs))
        except (EOFError, OSError):
            worker.close()
            raise
        except BaseException:
            self._rest(worker)
            raise
        self._rest(worker)
        return result

    def _rest(self, worker: _Worker) -> None:
        with self._lock:
            self._idle.append(worker)
            if self._timer is None:
                self._timer = threading.Timer(self._idle_s, self._close_idle)
                self._timer.daemon = True
                self._timer.start()

    def _close_idle(self) -> None:
        with self._lock:
            oldest_at = time.monotonic() - self._idle_s
            closing = [worker for worker in self._idle if worker.used_at <= oldest_at]
            self._idle = [worker for worker in self._idle if worker.used_at > oldest_at]
            self._timer = None
            if self._idle:
                self._timer = threading.Timer(self._idle_s, self._close_idle)
                self._timer.daemon = True
                self._timer.start()
        for worker in closing:
            worker.close()

    @property
    def idle_count(self) -> int:
        """Processes that wait for work."""
        return len(self._idle)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        with self._lock:
            closing, self._idle = self._idle, []
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for worker in closing:
            worker.close()


def _send(pipe: BinaryIO | Any, value: Any) -> None:
    octets = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    pipe.write(len(octets).to_bytes(8, "big") + octets)
    pipe.flush()


def _receive(pipe: BinaryIO | Any) -> Any:
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError("the worker process ended")
    octets = pipe.read(int.from_bytes(head, "big"))
    return pickle.loads(octets)  # noqa: S301 - written by our own process on the other end


def main() -> None:
    """Serve one parent until its pipe ends."""
    gc.freeze()
    gc.set_threshold(50_000)  # what is made here goes by its reference counts
    while True:
        try:
            fn, args, kwargs = _receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = (True, fn(*args, **kwargs))
        except Exception as error:
            answer = (False, error)
        try:
            _send(sys.stdout.buffer, answer)
        except BrokenPipeError:
            return
