"""The preloaded shim (shim.c): how it is built, and how a process that runs under it sets the fault."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

OPEN, WRITE, SYNC, NAME = 1, 2, 4, 8
_KILL, _SHORT, _COUNT = -1, -2, 0
_SOURCE = Path(__file__).with_name("shim.c")


@dataclass(frozen=True)
class Fault:
    """`what` happens to the calls of `kinds` (a sum of OPEN, WRITE, SYNC, NAME), once or, `sticky`, from then on."""

    name: str
    kinds: int
    what: int
    is_sticky: bool = False


KILL = Fault("SIGKILL", OPEN | WRITE | SYNC | NAME, _KILL)
ERRORS = (
    Fault("ENOSPC", OPEN | WRITE | NAME, errno.ENOSPC, is_sticky=True),
    Fault("EIO on write", WRITE, errno.EIO),
    Fault("EIO on fsync", SYNC, errno.EIO),
    Fault("EMFILE", OPEN, errno.EMFILE, is_sticky=True),
    Fault("short write", WRITE, _SHORT),
)
NONE = Fault("none", OPEN | WRITE | SYNC | NAME, _COUNT)


def can_build() -> bool:
    """There is a C compiler."""
    return shutil.which("gcc") is not None or shutil.which("cc") is not None


def build(folder: Path) -> Path:
    """The shim, compiled into `folder`. Raises CalledProcessError with what the compiler said."""
    made = folder / "shim.so"
    compiler = shutil.which("gcc") or shutil.which("cc") or "cc"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, _SOURCE, "-ldl", "-lpthread"], check=True)
    return made


def run_under(shim: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, under the shim."""
    environment = {**os.environ, "LD_PRELOAD": str(shim)}
    return subprocess.run([sys.executable, *arguments], env=environment, text=True, **options)  # type: ignore[call-overload,no-any-return]


class Shim:
    """The shim that this process runs under."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)

    def arm(self, root: str, graves: str, fault: Fault, at: int, log_fd: int, undo_fd: int) -> None:
        """From now on, call number `at` of the fault's kinds on a file below `root` has the fault."""
        self._library.fault_arm(
            root.encode(), graves.encode(), fault.kinds, fault.what, int(fault.is_sticky), ctypes.c_long(at),
            log_fd, undo_fd,
        )  # fmt: skip

    def disarm(self) -> int:
        """No more faults; how many calls of those kinds there were."""
        self._library.fault_disarm.restype = ctypes.c_long
        return int(self._library.fault_disarm())
