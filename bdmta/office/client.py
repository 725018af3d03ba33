"""Ask the office; with no office running, a command takes its lock and does the work itself: the same functions."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from typing import Any

from bdmta.office import wire
from bdmta.site import Site

_CONNECT_S = 5.0
_grounds = [""]


def remember_grounds(text: str) -> None:
    """On what grounds this command acts (`--grounds`): goes with every call into the audit log."""
    _grounds[0] = text


def grounds() -> str:
    """What `--grounds` said of this command."""
    return _grounds[0]


def actor() -> str:
    """Who gives the command, for the audit: the person behind sudo, else the account."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def call(site: Site, name: str, /, **arguments: Any) -> Any:
    """The result of the office's function `name`; BdmtaError as it raised it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_CONNECT_S)
        try:
            sock.connect(site.office_socket)
        except (FileNotFoundError, ConnectionRefusedError):
            from bdmta.office.calls import run_alone  # a running office spares the command these imports

            return run_alone(site, name, arguments, actor(), _grounds[0])
        sock.settimeout(None)
        sock.sendall(wire.request(name, arguments, actor(), _grounds[0]))
        with sock.makefile("rb") as answers:
            return wire.unpack(answers.readline())


class OfficeClient:
    """The way from an edge to the office."""

    def __init__(self, site: Site) -> None:
        self._path = site.office_socket

    async def send(self, name: str, /, **arguments: Any) -> Any:
        """Call and await the result."""
        reader, writer = await asyncio.wait_for(
            asyncio.open_unix_connection(self._path, limit=wire.MAX_LINE_OCTETS), _CONNECT_S
        )
        try:
            writer.write(wire.request(name, arguments, "bdmta"))
            return wire.unpack(await reader.readline())
        finally:
            writer.close()
