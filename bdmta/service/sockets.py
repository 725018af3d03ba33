"""Listening sockets: bound once by the supervisor, inherited by its children (a dying edge loses no backlog)."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

from bdmta.config.listeners import ListenerConfig
from bdmta.errors import BdmtaError

BACKLOG = 1024
WEB = "web"
"""The protocol whose sockets are the office's; all others are the edges'."""


def bind(listeners: Sequence[ListenerConfig]) -> list[tuple[str, socket.socket]]:
    """A listening socket for each endpoint, with its listener's name; BdmtaError names a port that is taken."""
    bound: list[tuple[str, socket.socket]] = []
    try:
        for listener in listeners:
            for address, port in listener.endpoints:
                bound.append((listener.name, bind_one(listener.name, address, port)))
    except BaseException:
        for _, sock in bound:
            sock.close()
        raise
    return bound


def divided(
    bound: Sequence[tuple[str, socket.socket]], listeners: Sequence[ListenerConfig]
) -> tuple[list[tuple[str, socket.socket]], list[tuple[str, socket.socket]]]:
    """The sockets of the edges, and those of the office."""
    web = {listener.name for listener in listeners if listener.protocol == WEB}
    return [pair for pair in bound if pair[0] not in web], [pair for pair in bound if pair[0] in web]


def bind_one(name: str, address: str, port: int) -> socket.socket:
    """A listening socket, not blocking; BdmtaError names a port that cannot be had, and why."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise BdmtaError(f"{name}: cannot listen on {address} port {port}: {_why(error)}") from None
    return sock


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program has it; stop that one, or change base_port or the listener's port"
    if error.errno == errno.EACCES:
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE; or set base_port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return os.strerror(error.errno or 0)


def adopt(fds: Sequence[tuple[str, int]]) -> list[tuple[str, socket.socket]]:
    """The sockets behind inherited descriptors."""
    return [(name, socket.socket(fileno=fd)) for name, fd in fds]
