"""One case: an operation, a fault at one of its calls, what came of it. Runs in a process under the shim."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from storage import uidlist_lock
from tests.faults.operations import EXPECTED_ERRORS, Operation
from tests.faults.power import lose, mixtures, unsafe_steps
from tests.faults.shim import KILL, NONE, Fault, Shim

_SECONDS = 20


@dataclass(frozen=True)
class Outcome:
    """`ended`: done, refused (an error was told), killed, or what should not be; `complaints`: what is wrong after it."""

    ended: str
    said: tuple[str, ...]
    complaints: tuple[str, ...]


class Site:
    """A fresh site in `folder` for each case, made once and copied."""

    def __init__(self, operation: Operation, folder: Path) -> None:
        self.operation = operation
        self._pristine = folder / "pristine"
        self.root, self.graves = folder / "site", folder / "graves"
        self.log, self.undo = folder / "log", folder / "undo"
        shutil.rmtree(folder, ignore_errors=True)
        self._pristine.mkdir(parents=True)
        operation.prepare(self._pristine)

    def fresh(self) -> None:
        for folder in (self.root, self.graves):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._pristine, self.root, symlinks=True)
        self.graves.mkdir()
        self.log.write_bytes(b"")
        self.undo.write_bytes(b"")

    def run(self, shim: Shim, fault: Fault, at: int) -> tuple[str, list[str], int]:
        """Run the operation in a child with the fault: how it ended, what it acknowledged, how many calls there were."""
        self.fresh()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._child(shim, fault, at, writing)
        os.close(writing)
        with open(reading, "rb") as pipe:
            lines = pipe.read().decode().splitlines()
        _, status = os.waitpid(pid, 0)
        said = [line.removeprefix("say ") for line in lines if line.startswith("say ")]
        ended = next((line.removeprefix("end ") for line in lines if line.startswith("end ")), "")
        calls = next((int(line.split()[1]) for line in lines if line.startswith("calls ")), 0)
        if os.WIFSIGNALED(status):
            ended = "killed" if os.WTERMSIG(status) == signal.SIGKILL else f"signal {os.WTERMSIG(status)}"
        return ended or f"exit {status}", said, calls

    def _child(self, shim: Shim, fault: Fault, at: int, writing: int) -> None:
        def tell(line: str) -> None:
            os.write(writing, f"{line}\n".encode())

        signal.alarm(_SECONDS)
        os.chdir("/")
        log_fd = os.open(self.log, os.O_WRONLY | os.O_APPEND)
        undo_fd = os.open(self.undo, os.O_RDWR)
        shim.arm(str(self.root), str(self.graves), fault, at, log_fd, undo_fd)
        try:
            self.operation.run(self.root, lambda line: tell(f"say {line}"))
            tell(f"calls {shim.disarm()}")
            tell("end done")
        except EXPECTED_ERRORS:
            tell(f"calls {shim.disarm()}")
            tell("end refused")
        except BaseException as error:
            tell(f"end {type(error).__name__}: {error}")
        os._exit(0)

    def judge(self, ended: str, said: list[str]) -> Outcome:
        """Restart, and look at everything."""
        complaints = []
        try:
            self.operation.recover(self.root)
            complaints = self.operation.check(self.root, said)
        except Exception as error:
            complaints = [f"{type(error).__name__}: {error}"]
        if ended not in ("done", "refused", "killed"):
            complaints.append(f"it ended by {ended}")
        return Outcome(ended, tuple(said), tuple(complaints))

    def count(self, shim: Shim, fault: Fault) -> int:
        """How many calls of the fault's kinds the operation makes."""
        counting = Fault("none", fault.kinds, NONE.what)
        ended, _, calls = self.run(shim, counting, 0)
        assert ended == "done", f"{self.operation.name} without a fault: {ended}"
        return calls

    def try_fault(self, shim: Shim, fault: Fault, at: int) -> Outcome:
        """The fault at call number `at`, then a restart."""
        ended, said, _ = self.run(shim, fault, at)
        return self.judge(ended, said)

    def try_power(self, shim: Shim, at: int) -> list[tuple[str, Outcome]]:
        """The power goes before call number `at`: every mixture of what was not synced."""
        found: list[tuple[str, Outcome]] = []
        while True:  # run anew for each mixture, since a look and a restart change what is there
            ended, said, _ = self.run(shim, KILL, at)
            steps = unsafe_steps(self.log)
            possible = list(mixtures(steps))
            if len(found) >= len(possible):
                return found
            name, lost = possible[len(found)]
            lose(steps, lost, self.undo, self.graves, self.root)
            uidlist_lock.EMPTY_STALE_AFTER_S = 0.0  # a machine is not up again within 2 s
            found.append((name, self.judge(ended, said)))
