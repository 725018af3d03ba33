"""Bind as root, run as somebody else; die with the parent; tell systemd."""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import signal
import socket
from collections.abc import Callable

from bdmta.errors import ConfigError

_PR_SET_PDEATHSIG = 1


def drop(user: str, group: str) -> None:
    """Become `user` (and `group`, else the user's own), for good. Nothing happens without a user, or when not root."""
    if not user or os.geteuid() != 0:
        return
    uid, gid = ids_of(user, group)
    os.initgroups(user, gid)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    os.umask(0o077)


def ids_of(user: str, group: str) -> tuple[int, int]:
    """The numbers of `user` and of `group`, else of the user's own group. Raises ConfigError."""
    try:
        account = pwd.getpwnam(user)
        return account.pw_uid, grp.getgrnam(group).gr_gid if group else account.pw_gid
    except KeyError as error:
        raise ConfigError(f"[server] user, group: {error.args[0]}; create the account or correct the name") from None


def as_user(user: str, group: str, work: Callable[[], bytes]) -> bytes:
    """What `work` returns, done as `user` where root asks, in a child, so that the caller stays root.

    For commands: what they write must be the server's. Before any thread is started. Raises ConfigError: no such user.
    """
    if not user or os.geteuid() != 0:
        return work()
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(read_fd)
            drop(user, group)
            with os.fdopen(write_fd, "wb") as out:
                out.write(work())
            status = 0
        except ConfigError:
            status = 3
        finally:
            os._exit(status)
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as answer:
        octets = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise ConfigError(f"[server] user, group: nothing could be done as {user}; is there such an account?")
    return octets


def die_with(parent_pid: int) -> None:
    """End this process when its parent does, also when the parent is killed."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        raise SystemExit(0)


def sd_notify(state: str) -> None:
    """Tell systemd (`READY=1`, `RELOADING=1`, `STOPPING=1`); silent where it is not there."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return
