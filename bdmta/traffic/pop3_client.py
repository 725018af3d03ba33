"""Reading by POP3 as Outlook does with `leave a copy on the server`."""

from __future__ import annotations

from bdmta.traffic.population import Account
from bdmta.traffic.wire import Endpoint, TlsSettings, Wire, WireError


class Pop3Client:
    """One session with the maildrop locked."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @classmethod
    async def open(cls, to: Endpoint, tls: TlsSettings, account: Account, timeout_s: float) -> Pop3Client:
        """Connect, CAPA, STLS as far as it is offered, USER and PASS. Raises WireError."""
        client = cls(await Wire.open(to, tls, timeout_s))
        try:
            await client._ok("")
            offers = {line.split(b" ")[0].upper() for line in await client.lines("CAPA")}
            if not to.is_tls and b"STLS" in offers:
                await client._ok("STLS")
                await client._wire.start_tls(tls)
            elif tls.is_required and not to.is_tls:
                raise WireError(f"{to}: offers no STLS; --plain allows to go on without")
            await client._ok(f"USER {account.address}")
            await client._ok(f"PASS {account.password}")
        except BaseException:
            await client._wire.close()
            raise
        return client

    async def _ok(self, command: str) -> bytes:
        if command:
            await self._wire.send(f"{command}\r\n".encode())
        line = await self._wire.line()
        if not line.startswith(b"+OK"):
            raise WireError(f"{command.split(' ')[0] or 'greeting'}: {line.decode('latin-1')}")
        return line

    async def lines(self, command: str) -> list[bytes]:
        """The lines of an answer that ends with a dot, unstuffed."""
        await self._ok(command)
        found: list[bytes] = []
        while (line := await self._wire.line()) != b".":
            found.append(line[1:] if line.startswith(b".") else line)
        return found

    async def unique_ids(self) -> dict[bytes, int]:
        """UIDL: the number of each letter by its unique id."""
        rows = [line.split(b" ") for line in await self.lines("UIDL")]
        return {row[1]: int(row[0]) for row in rows}

    async def letter(self, number: int) -> bytes:
        """RETR."""
        return b"\r\n".join(await self.lines(f"RETR {number}")) + b"\r\n"

    async def close(self) -> None:
        """QUIT."""
        try:
            await self._ok("QUIT")
        except WireError:
            pass
        await self._wire.close()
