"""HTTP and HTTPS on one port, in the office's loop: connections are counted, slow ones ended, TLS seen by its first
octet.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from bdmta.limits import network_of
from bdmta.tasks import Tasks

HEAD_S = 10.0
"""For a whole request head, from the connection or the end of the request before."""
KEEP_ALIVE_S = 15
CONNECTIONS = 500
CONNECTIONS_PER_NETWORK = 30
_HEAD_OCTETS = 16_384
_TLS_HANDSHAKE = b"\x16"  # RFC 8446 §5.1


class BoundedProtocol(H11Protocol):
    """uvicorn's, with an end to heads that trickle in."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock for the first head starts."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """It stops when a head is whole; a body is the application's to bound."""
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._deadline = self.loop.call_later(HEAD_S, self.transport.abort)
        before = self.cycle
        super().data_received(data)
        if self._deadline is not None and self.cycle is not before:
            self._deadline.cancel()
            self._deadline = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to end."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)


class WebServer:
    """Serves one ASGI application on listening sockets."""

    def __init__(
        self, application: Any, tls: ssl.SSLContext, log: Any, *, admits: Callable[[str, str], bool],
        exempt: Callable[[str], bool],
    ) -> None:  # fmt: skip
        """`admits(listener's name, remote address)`: whether that client may connect there at all; `exempt(remote
        address)`: as often as it likes.
        """
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what strangers send wrongly is no news
        self._config = uvicorn.Config(
            application, http=BoundedProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, date_header=False, proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_S,
            h11_max_incomplete_event_size=_HEAD_OCTETS,
        )  # fmt: skip
        self._config.load()
        self._state = ServerState()
        self._tls = tls
        self._admits = admits
        self._exempt = exempt
        self._log = log
        self._tasks = Tasks(log)
        self._accepting: list[asyncio.Task[Any]] = []
        self._sockets: list[socket.socket] = []
        self._by_network: Counter[str] = Counter()

    def start(self, sockets: Sequence[tuple[str, socket.socket]]) -> None:
        """Accept connections from now on. The sockets listen already."""
        for name, sock in sockets:
            sock.setblocking(False)
            self._sockets.append(sock)
            self._accepting.append(self._tasks.start(self._accept(name, sock), f"accept {name}"))

    async def _accept(self, name: str, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(sock)
            except OSError as error:
                self._log.error("cannot accept", listener=name, reason=str(error))
                await asyncio.sleep(1)  # no descriptors left: what is open may end meanwhile
                continue
            network = network_of(peer[0])
            if (
                self._by_network.total() >= CONNECTIONS
                or (self._by_network[network] >= CONNECTIONS_PER_NETWORK and not self._exempt(peer[0]))
                or not self._admits(name, peer[0])
            ):
                connection.close()
                continue
            self._by_network[network] += 1
            self._tasks.start(self._serve(connection, network), "web connection")

    async def _serve(self, connection: socket.socket, network: str) -> None:
        """Hand the connection over to HTTP; leave it only when it has ended."""
        loop = asyncio.get_running_loop()
        gone = loop.create_future()
        try:
            first = await _first_octet(connection)
            if not first:
                connection.close()
                return
            is_tls = first == _TLS_HANDSHAKE
            await loop.connect_accepted_socket(
                lambda: _Told(self._config, self._state, gone), connection, ssl=self._tls if is_tls else None,
                ssl_handshake_timeout=HEAD_S if is_tls else None,
            )  # fmt: skip
            await gone
        except (OSError, TimeoutError, ssl.SSLError):
            connection.close()  # a client that went away, or speaks no TLS that we speak
        finally:
            self._by_network[network] -= 1
            if self._by_network[network] <= 0:
                del self._by_network[network]

    async def stop(self, grace_s: float) -> None:
        """No new connections; requests that are being answered may end within the grace."""
        for task in self._accepting:
            task.cancel()
        for sock in self._sockets:
            sock.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        await self._tasks.finish(grace_s)


class _Told(BoundedProtocol):
    """Tells when its connection is gone."""

    def __init__(self, config: uvicorn.Config, state: ServerState, gone: asyncio.Future[None]) -> None:
        super().__init__(config=config, server_state=state, app_state={}, _loop=asyncio.get_running_loop())
        self._gone = gone

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self._gone.done():
            self._gone.set_result(None)


async def _first_octet(connection: socket.socket) -> bytes:
    """The first octet that the peer sends, left where it is; TimeoutError when it sends none."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    connection.setblocking(False)
    loop.add_reader(connection.fileno(), lambda: None if readable.done() else readable.set_result(None))
    try:
        async with asyncio.timeout(HEAD_S):
            await readable
    finally:
        loop.remove_reader(connection.fileno())
    return connection.recv(1, socket.MSG_PEEK)
