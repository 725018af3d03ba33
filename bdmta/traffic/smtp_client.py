"""Sending, octet by octet: what a letter holds is sent as it is, since hostile letters break rules on purpose."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from bdmta.traffic.population import Account
from bdmta.traffic.wire import Endpoint, TlsSettings, Wire, WireError

HELO = "traffic.example"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server made of a letter: the reply to it, and to each recipient; code 0: there was no reply.

    `is_in_doubt`: the letter was handed over whole and the answer did not come, so that it may have been taken.
    """

    code: int
    text: str
    recipients: tuple[tuple[str, int], ...] = ()
    is_in_doubt: bool = False


class SmtpClient:
    """One connection, greeted, secured and logged in; `send` as many letters as wanted."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._offers: frozenset[str] = frozenset()

    @classmethod
    async def open(cls, to: Endpoint, tls: TlsSettings, account: Account | None, timeout_s: float) -> SmtpClient:
        """Connect, EHLO, STARTTLS as far as it is offered, AUTH PLAIN as `account`. Raises WireError."""
        client = cls(await Wire.open(to, tls, timeout_s))
        try:
            await client._must(2, b"")
            await client._ehlo()
            if not to.is_tls and "STARTTLS" in client._offers and (account is not None or tls.is_required):
                await client._must(2, b"STARTTLS\r\n")
                await client._wire.start_tls(tls)
                await client._ehlo()
            elif tls.is_required and not to.is_tls:
                raise WireError(f"{to}: offers no STARTTLS; --plain allows to go on without")
            if account is not None:
                secret = base64.b64encode(b"\0".join((b"", account.address.encode(), account.password.encode())))
                await client._must(2, b"AUTH PLAIN " + secret + b"\r\n")
        except BaseException:
            await client._wire.close()
            raise
        return client

    async def _ehlo(self) -> None:
        text = await self._must(2, f"EHLO {HELO}\r\n".encode())
        self._offers = frozenset(line.split(" ")[0].upper() for line in text.split("\n")[1:])

    async def _must(self, first: int, command: bytes) -> str:
        if command:
            await self._wire.send(command)
        code, text = await self._reply()
        if code // 100 != first:
            raise WireError(f"{command[:20].decode('latin-1').strip() or 'greeting'}: {code} {text}")
        return text

    async def _reply(self) -> tuple[int, str]:
        lines: list[str] = []
        while True:
            line = (await self._wire.line()).decode("utf-8", "replace")
            if not line[:3].isdigit():
                raise WireError(f"no reply of SMTP: {line[:80]!r}")
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(lines)

    async def send(self, sender: str, recipients: Sequence[str], octets: bytes, *, utf8: bool = False) -> Answer:
        """One transaction. What breaks it is told in the answer, after which the connection is of no more use."""
        is_handed_over = False
        taken: list[tuple[str, int]] = []
        try:
            code, text = await self._open_transaction(sender, recipients, taken, utf8)
            if code != 354:
                return Answer(code, text, tuple(taken))
            body = b"." + octets if octets.startswith(b".") else octets
            await self._wire.send(body.replace(b"\r\n.", b"\r\n..") + (b"" if body.endswith(b"\r\n") else b"\r\n"))
            is_handed_over = True
            await self._wire.send(b".\r\n")
            code, text = await self._reply()
            return Answer(code, text, tuple(taken))
        except WireError as error:
            return Answer(0, str(error), tuple(taken), is_handed_over)

    async def _open_transaction(
        self, sender: str, recipients: Sequence[str], taken: list[tuple[str, int]], utf8: bool
    ) -> tuple[int, str]:
        """MAIL, RCPT and DATA, sent together where the server takes that (RFC 2920). The reply that ends it, or 354."""
        body = " BODY=8BITMIME" if "8BITMIME" in self._offers else ""
        body += " SMTPUTF8" if utf8 and "SMTPUTF8" in self._offers else ""
        commands = [f"MAIL FROM:<{sender}>{body}", *(f"RCPT TO:<{one}>" for one in recipients), "DATA"]
        is_pipelined = "PIPELINING" in self._offers
        if is_pipelined:
            await self._wire.send("".join(f"{command}\r\n" for command in commands).encode())
        refusal: tuple[int, str] | None = None
        for number, command in enumerate(commands):
            is_last = number == len(commands) - 1
            if not is_pipelined:
                if is_last and not any(code == 250 for _, code in taken):
                    break
                await self._wire.send(f"{command}\r\n".encode())
            code, text = await self._reply()
            if 0 < number <= len(recipients):
                taken.append((recipients[number - 1], code))
            if code >= 400 and refusal is None and not is_last:
                refusal = (code, text)
        if any(code // 100 == 2 for _, code in taken):
            if code == 354:
                return code, text
            await self._reset()
            return code, text
        if (
            is_pipelined and code == 354
        ):  # none of the recipients was taken, and yet it wants the letter (RFC 2920 §3.1)
            await self._wire.send(b".\r\n")
            await self._reply()
        await self._reset()
        return refusal or (code, text)

    async def _reset(self) -> None:
        await self._wire.send(b"RSET\r\n")
        await self._reply()

    async def close(self) -> None:
        """QUIT, without waiting long for the answer."""
        try:
            await self._wire.send(b"QUIT\r\n")
            await self._wire.line(2.0)
        except WireError:
            pass
        await self._wire.close()
