"""aiosmtpd's protocol class, carrying our session; the one module that imports aiosmtpd.

What is aiosmtpd's: the class, its reader and writer, its timer, its life from connection_made to connection_lost.
What is ours, since its own way costs a millisecond a letter or bends the rules (design/traps): the constructor (which
inspects every method on every connection), the command loop (replies to pipelined commands leave in one write), DATA
(read in blocks into the spool, never whole in memory), and STARTTLS (through the loop's own `start_tls`).
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from aiosmtpd.smtp import SMTP

from bdmta.reply import Reply, reply
from bdmta.smtp import replies as said
from bdmta.smtp.data import DataReader
from bdmta.smtp.server import SmtpListener, SmtpServer
from bdmta.smtp.session import Session, Wants
from storage.errors import NoSpace, StoreError

BLOCK_OCTETS = 65536
_MAX_LINE_OCTETS = 12288 + 2  # the longest is an AUTH response (RFC 4954 §4)
_HANDSHAKE_S = 30.0
_TLS_GOODBYE_S = 3.0  # for a client that does not say goodbye when we do
_TURN = 50
_CLOSE_S = 10.0
_NO_SPACE = reply(452, "3.1", "Insufficient system storage", "Máy chủ tạm hết chỗ lưu, xin gửi lại sau")


class _Gone(Exception):
    """The peer went away, or was told to."""


class SmtpProtocol(SMTP):
    """One connection."""

    def __init__(self, server: SmtpServer, listener: SmtpListener) -> None:
        loop = asyncio.get_running_loop()
        # Past SMTP.__init__ on purpose: it walks over all methods by `inspect`, for each connection anew.
        asyncio.StreamReaderProtocol.__init__(
            self,
            asyncio.StreamReader(limit=BLOCK_OCTETS, loop=loop),
            client_connected_cb=self._cb_client_connected,
            loop=loop,
        )
        self.loop = loop
        self.transport: Any = None
        self._server = server
        self._listener = listener
        self._timeout_handle: asyncio.TimerHandle | None = None
        self._handler_coroutine: asyncio.Task[None] | None = None
        self._in = b""  # octets read and not yet looked at
        self._out: list[bytes] = []  # replies not yet written
        self._streak = 0  # commands since the last time we waited for any
        self.mail: Session | None = None

    # -- life of the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session; its address is the counted one."""
        asyncio.StreamReaderProtocol.connection_made(self, transport)
        self.transport = transport
        peer = transport.get_extra_info("peername")
        remote_ip = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        self.mail = Session(self._server, self._listener, remote_ip)
        self._server.live.add(self)
        self._handler_coroutine = self.loop.create_task(self._handle_client())
        self._handler_coroutine.add_done_callback(self._let_go)

    def connection_lost(self, error: Exception | None) -> None:
        """End the session; a letter half read is dropped, one being stored is stored or not, and was not promised."""
        self._disarm()
        self._server.live.discard(self)
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
        if self.mail is not None:
            self.mail.close()
        self.transport = None
        self._let_go()

    def _let_go(self, ended: asyncio.Task[None] | None = None) -> None:
        """Behind connection and handler, let TLS go. Protocol, reader and writer hold one another, and the collector,
        which counts objects and not their 40 KiB, would find them late (docs/decisions/0031).
        """
        if self.transport is None and self._handler_coroutine is not None and self._handler_coroutine.done():
            self._reader._transport = None  # type: ignore[attr-defined]
            self._writer = None  # type: ignore[assignment]

    def eof_received(self) -> bool:
        """A peer that closes its side still gets the replies to what it sent; TLS knows no half-closed state."""
        asyncio.StreamReaderProtocol.eof_received(self)
        return self.mail is not None and not self.mail.has_tls

    def shut_down(self) -> None:
        """SIGTERM: sessions between letters end now; one in DATA is finished first (see `_handle_client`)."""
        if self.mail is not None and self.mail.wants is Wants.COMMAND and self._timeout_handle is not None:
            self._say_and_close(said.SHUTTING_DOWN)

    def _timeout_cb(self) -> None:
        if self.transport is not None and self.transport.get_write_buffer_size():
            self.transport.abort()  # it reads nothing of what it is told
        else:
            self._say_and_close(said.IDLE)

    def _say_and_close(self, last: Reply) -> None:
        if self.transport is not None:
            self.transport.write(b"".join(self._out) + last.encode())
            self._out.clear()
            self._close()

    def _close(self) -> None:
        """Close once the last reply is out; a peer that does not read it is not waited for."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(_CLOSE_S, self.transport.abort)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timeout_handle = self.loop.call_later(seconds, self._timeout_cb)

    def _disarm(self) -> None:
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
            self._timeout_handle = None

    # -- the command loop

    async def _handle_client(self) -> None:
        session = self.mail
        assert session is not None
        try:
            self._reply(await self._guarded(session.greet()))
            while True:
                line = await self._line()
                self._reply(await self._guarded(session.line(line)))
                if session.wants is Wants.DATA:
                    await self._data(session)
                elif session.wants is Wants.TLS:
                    await self._start_tls(session)
                if self._server.draining:
                    self._reply(said.SHUTTING_DOWN)
        except (_Gone, ConnectionError):
            await self._flush_quietly()
        except asyncio.CancelledError:
            pass  # connection_lost has seen to everything
        finally:
            self._disarm()
            if self.transport is not None:
                self._close()

    async def _guarded(self, work: Any) -> Reply:
        """The reply of `work`; what it dies of is logged with a reference, and the peer may try again."""
        try:
            answer: Reply = await work
        except Exception:
            reference = self._server.acceptance.reference()
            self._server.log.error("session failed", reference=reference, exc_info=True)
            answer = reply(451, "3.0", f"Temporary failure (ref {reference})", "Lỗi tạm thời, xin gửi lại sau")
            if self.mail is not None:
                self.mail.rset_now()
        return answer

    def _reply(self, answer: Reply) -> None:
        self._out.append(answer.encode())
        if answer.closes:
            raise _Gone

    async def _flush(self) -> None:
        if self._out:
            octets = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            if self.transport is None:
                raise _Gone
            self.transport.write(octets)
            if self.transport.get_write_buffer_size():
                self._arm(self.mail.settings.idle_timeout_s if self.mail else 300.0)
                await self._writer.drain()
                self._disarm()

    async def _flush_quietly(self) -> None:
        try:
            await asyncio.wait_for(self._flush(), 10)
        except (_Gone, ConnectionError, TimeoutError):
            pass

    async def _line(self) -> bytes:
        """The next command line. Replies wait while there is another line to answer (RFC 2920 §3.2)."""
        end = self._in.find(b"\n")
        if end < 0:
            await self._flush()
            # The whole line within the time, so that a trickle of octets ends too.
            self._arm(self.mail.settings.idle_timeout_s if self.mail else 300.0)
            while end < 0:
                if len(self._in) > _MAX_LINE_OCTETS:
                    self._reply(said.LINE_TOO_LONG)
                block = await self._reader.read(BLOCK_OCTETS)
                if not block:
                    raise _Gone
                self._in = self._in + block if self._in else block
                end = self._in.find(b"\n")
            self._disarm()
            self._streak = 0
        else:
            self._streak += 1
            if self._streak % _TURN == 0:
                await asyncio.sleep(0)  # a flood of pipelined commands takes turns with the other sessions
        if end > _MAX_LINE_OCTETS:
            self._reply(said.LINE_TOO_LONG)
        line, self._in = self._in[:end], self._in[end + 1 :]
        return line[:-1] if line.endswith(b"\r") else line

    # -- DATA

    async def _data(self, session: Session) -> None:
        """Read the letter into the spool, block by block, then ask for the verdict."""
        settings = session.settings
        await self._flush()
        reader = DataReader(
            settings.max_message_octets,
            settings.max_line_octets,
            normalise=session.listener.is_submission,
        )
        incoming = self._server.incoming()
        deadline = self.loop.time() + settings.data_total_s
        full: Reply | None = None
        block, self._in = self._in, b""
        try:
            assert session.envelope is not None
            await incoming.write(self._server.acceptance.trace(session.envelope))
            while True:
                if block:
                    octets = reader.feed(block)
                    if octets and full is None:
                        try:
                            await incoming.write(octets)
                        except NoSpace:
                            full = _NO_SPACE
                        except StoreError:
                            full = _temporary(self._server)
                    if reader.ended:
                        break
                self._arm(min(settings.data_timeout_s, deadline - self.loop.time()))
                block = await self._reader.read(BLOCK_OCTETS)
                self._disarm()
                if not block:
                    raise _Gone
            self._in = reader.rest
            if full is not None:
                session.rset_now()
                self._reply(full)
            else:
                self._reply(await self._guarded(session.data_end(reader, incoming)))
        finally:
            incoming.close()

    # -- TLS

    async def _start_tls(self, session: Session) -> None:
        """Upgrade. Octets already here were sent in the clear behind STARTTLS: the session ends (CVE-2011-0411)."""
        buffered = self._in or self._reader._buffer  # type: ignore[attr-defined]
        if buffered:
            self._out.clear()
            self._reply(said.DATA_BEHIND_TLS)
        await self._flush()
        if self._reader._buffer:  # type: ignore[attr-defined]
            raise _Gone
        context = self._server.tls
        assert context is not None
        try:
            transport = await self.loop.start_tls(
                self.transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=_HANDSHAKE_S,
                ssl_shutdown_timeout=_TLS_GOODBYE_S,
            )
        except (ssl.SSLError, OSError, TimeoutError) as error:
            self._server.log.info("tls handshake failed", ip=session.remote_ip, error=str(error))
            raise _Gone from None
        if transport is None:
            raise _Gone
        self.transport = transport
        self._reader._transport = transport  # type: ignore[attr-defined]
        self._writer._transport = transport  # type: ignore[attr-defined]
        self._over_ssl = True
        session.tls_started()


def _temporary(server: SmtpServer) -> Reply:
    reference = server.acceptance.reference()
    server.log.error("spooling failed", reference=reference, exc_info=True)
    return reply(451, "3.0", f"Temporary failure (ref {reference})", "Lỗi tạm thời, xin gửi lại sau")
