"""An SMTP relay with planted faults between the traffic and a real server: what `bdmta-traffic` must find."""

from __future__ import annotations

import asyncio
import re
import threading

from bdmta.traffic.smtp_client import Answer, SmtpClient
from bdmta.traffic.wire import Endpoint, TlsSettings, tls_context

_ID = re.compile(rb"X-Traffic-Id: \S+\.(\d+)\r\n")
_TLS = TlsSettings(tls_context("", is_verified=False))


class FaultyRelay:
    """`with FaultyRelay(port, {4: "double"}, stray=address) as relay:` listens on `relay.port` and passes letters on.

    Faults by letter number: drop, double, corrupt, late (250 at once, passed on after `hold_s`), stray (one recipient
    more), intruder (passed on and refused).
    """

    def __init__(self, server_port: int, faults: dict[int, str], *, stray: str = "", hold_s: float = 0.0) -> None:
        self._server = Endpoint("smtp", "127.0.0.1", server_port)
        self._faults = faults
        self._stray = stray
        self._hold_s = hold_s
        self.port = 0

    def __enter__(self) -> FaultyRelay:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._held: list[asyncio.Task[Answer]] = []
        self._listening = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *unused: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 26)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 relay.example ESMTP\r\n")
        sender, recipients = "", []
        while line := await reader.readline():
            verb = line[:4].upper()
            reply = b"250 Yes"
            if verb == b"EHLO":
                reply = b"250-relay.example\r\n250 8BITMIME"
            elif verb == b"MAIL":
                sender, recipients = line.partition(b"<")[2].partition(b">")[0].decode(), []
            elif verb == b"RCPT":
                recipients.append(line.partition(b"<")[2].partition(b">")[0].decode())
            elif verb == b"DATA":
                writer.write(b"354 Go on\r\n")
                octets = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
                answer = await self._letter(sender, recipients, octets)
                reply = f"{answer.code} {answer.text.splitlines()[0]}".encode()
            writer.write(reply + b"\r\n")
            if verb == b"QUIT":
                break
        writer.close()

    async def _letter(self, sender: str, recipients: list[str], octets: bytes) -> Answer:
        found = _ID.match(octets)
        fault = self._faults.get(int(found[1]), "") if found else ""
        if fault == "drop":
            return Answer(250, "Taken")
        if fault == "late":
            self._held.append(asyncio.get_running_loop().create_task(self._later(sender, recipients, octets)))
            return Answer(250, "Taken")
        if fault == "corrupt":
            octets = octets[:-20] + bytes([octets[-20] ^ 1]) + octets[-19:]
        if fault == "stray":
            recipients = [*recipients, self._stray]
        if fault == "double":
            await self._pass_on(sender, recipients, octets)
        answer = await self._pass_on(sender, recipients, octets)
        return Answer(550, "No") if fault == "intruder" else answer

    async def _later(self, sender: str, recipients: list[str], octets: bytes) -> Answer:
        await asyncio.sleep(self._hold_s)
        return await self._pass_on(sender, recipients, octets)

    async def _pass_on(self, sender: str, recipients: list[str], octets: bytes) -> Answer:
        client = await SmtpClient.open(self._server, _TLS, None, 30.0)
        try:
            return await client.send(sender, recipients, octets)
        finally:
            await client.close()
