"""Reading by IMAP: commands, literals both ways, and what the server tells unasked. No library reads into its index."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bdmta.traffic.population import Account
from bdmta.traffic.wire import Endpoint, Silence, TlsSettings, Wire, WireError

MAX_LITERAL_OCTETS = 100_000_000
_LITERAL = re.compile(rb"\{(\d{1,10})\}$")
_LIST = re.compile(rb'^\* LIST \(([^)]*)\) (?:"[^"]*"|NIL) (.+)$', re.I)


@dataclass(frozen=True, slots=True)
class Line:
    """One response: its text without the literals, and these in their order."""

    text: bytes
    literals: tuple[bytes, ...] = ()


class ImapClient:
    """One connection; `command` gives the untagged lines, WireError where the answer is not OK."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._count = 0
        self.capabilities: frozenset[str] = frozenset()

    @classmethod
    async def open(
        cls, to: Endpoint, tls: TlsSettings, account: Account, timeout_s: float, *, mechanism: str = "PLAIN"
    ) -> ImapClient:
        """Connect, CAPABILITY, STARTTLS as far as it is offered, AUTHENTICATE by PLAIN or LOGIN. Raises WireError."""
        client = cls(await Wire.open(to, tls, timeout_s))
        try:
            await client._line()
            await client.capability()
            if not to.is_tls and "STARTTLS" in client.capabilities:
                await client.command("STARTTLS")
                await client._wire.start_tls(tls)
                await client.capability()
            elif tls.is_required and not to.is_tls:
                raise WireError(f"{to}: offers no STARTTLS; --plain allows to go on without")
            await client._authenticate(account, mechanism)
        except BaseException:
            await client._wire.close()
            raise
        return client

    async def _authenticate(self, account: Account, mechanism: str) -> None:
        name, secret = account.address.encode(), account.password.encode()
        said = [b"\0" + name + b"\0" + secret] if mechanism == "PLAIN" else [name, secret]
        tag = self._tag()
        await self._wire.send(f"{tag} AUTHENTICATE {mechanism}\r\n".encode())
        for words in said:
            line = await self._line()
            if not line.text.startswith(b"+"):
                raise WireError(f"AUTHENTICATE {mechanism}: {line.text.decode('latin-1')}")
            await self._wire.send(base64.b64encode(words) + b"\r\n")
        await self._until(tag, f"AUTHENTICATE {mechanism}")

    async def capability(self) -> None:
        """Ask what the server can do."""
        for line in await self.command("CAPABILITY"):
            if line.text.upper().startswith(b"* CAPABILITY "):
                self.capabilities = frozenset(line.text.decode("latin-1").upper().split()[2:])

    def _tag(self) -> str:
        self._count += 1
        return f"t{self._count}"

    async def command(self, text: str) -> list[Line]:
        """Send it and read to its tagged OK."""
        tag = self._tag()
        await self._wire.send(f"{tag} {text}\r\n".encode())
        return await self._until(tag, text)

    async def append(self, folder: str, flags: str, octets: bytes, *, waits: bool) -> None:
        """APPEND; with a synchronising literal (`waits`) as Outlook sends it, or LITERAL+."""
        tag = self._tag()
        sign = "" if waits or "LITERAL+" not in self.capabilities else "+"
        await self._wire.send(f'{tag} APPEND "{folder}" ({flags}) {{{len(octets)}{sign}}}\r\n'.encode())
        if not sign:
            line = await self._line()
            while line.text.startswith(b"*"):
                line = await self._line()
            if not line.text.startswith(b"+"):
                raise WireError(f"APPEND {folder}: {line.text.decode('latin-1')}")
        await self._wire.send(octets + b"\r\n")
        await self._until(tag, f"APPEND {folder}")

    async def start_idle(self) -> str:
        """IDLE (RFC 2177); the tag for `end_idle`."""
        tag = self._tag()
        await self._wire.send(f"{tag} IDLE\r\n".encode())
        line = await self._line()
        while line.text.startswith(b"*"):
            line = await self._line()
        if not line.text.startswith(b"+"):
            raise WireError(f"IDLE: {line.text.decode('latin-1')}")
        return tag

    async def told(self, timeout_s: float) -> Line:
        """What the server says in IDLE. Silence when it says nothing for so long."""
        return await self._line(timeout_s)

    async def end_idle(self, tag: str) -> list[Line]:
        """DONE."""
        await self._wire.send(b"DONE\r\n")
        return await self._until(tag, "IDLE")

    async def _until(self, tag: str, what: str) -> list[Line]:
        found: list[Line] = []
        start = f"{tag} ".encode()
        while True:
            try:
                line = await self._line()
            except Silence as error:
                raise WireError(f"{what[:60]}: {error}") from error
            if not line.text.startswith(start):
                found.append(line)
                continue
            if not line.text[len(start) :].upper().startswith(b"OK"):
                raise WireError(f"{what[:60]}: {line.text[len(start) :].decode('latin-1')}")
            return found

    async def _line(self, timeout_s: float | None = None) -> Line:
        text = await self._wire.line(timeout_s)
        literals: list[bytes] = []
        while (found := _LITERAL.search(text)) is not None:
            count = int(found[1])
            if count > MAX_LITERAL_OCTETS:
                raise WireError(f"a literal of {count} octets")
            literals.append(await self._wire.octets(count))
            text = text[: found.start()] + await self._wire.line(timeout_s)
        return Line(text, tuple(literals))

    async def folders(self) -> list[str]:
        """Every folder that can be selected, by its name as it is sent (mUTF-7), without quotes."""
        found: list[str] = []
        for line in await self.command('LIST "" "*"'):
            matched = _LIST.match(line.text)
            if matched is None or b"\\NOSELECT" in matched[1].upper():
                continue
            name = line.literals[0] if line.literals else matched[2].strip()
            found.append(name.decode("latin-1").strip('"'))
        return found

    async def close(self) -> None:
        """LOGOUT."""
        try:
            await self.command("LOGOUT")
        except WireError:
            pass
        await self._wire.close()

    async def abandon(self) -> None:
        """Hang up without a word."""
        await self._wire.close()


def numbers(lines: list[Line], word: str) -> Iterator[int]:
    """The number before EXISTS, or those after SEARCH."""
    for line in lines:
        parts = line.text.split()
        if len(parts) == 3 and parts[2].upper() == word.encode():
            yield int(parts[1])
        elif len(parts) > 2 and parts[1].upper() == word.encode():
            yield from map(int, parts[2:])
