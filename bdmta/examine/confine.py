"""What a worker gives up before it sees a stranger's octet: network, privileges, memory, time, files."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory_octets` of address space, `cpu_s` of processor time in a worker's life, `files` open at once."""

    memory_octets: int = 1 << 30
    cpu_s: int = 3600
    files: int = 24


def confine(limits: Limits, parent_pid: int) -> None:
    """Take it all away from this process, for good; exit when the parent has died meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(0)
    if libc.unshare(_CLONE_NEWNET) != 0:  # without privileges a user namespace of its own may do; if not, nothing here
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # opens a socket all the same
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a change of user clears it
        if os.getppid() != parent_pid:
            os._exit(0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_octets),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(what, (most, most))
