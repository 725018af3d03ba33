"""What lies in the mailboxes: by IMAP in any server, or in the Maildirs when their root is given."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bdmta.errors import UsageError
from bdmta.traffic.imap_client import ImapClient, Line, numbers
from bdmta.traffic.ledger import body_of, digest
from bdmta.traffic.letter import ID_FIELD
from bdmta.traffic.population import Account
from bdmta.traffic.wire import Endpoint, TlsSettings

_CHUNK = 40
_HEAD_OCTETS = 65_536
_INTERNAL_DATE = re.compile(rb'INTERNALDATE "([^"]{20,30})"')


@dataclass(frozen=True, slots=True)
class Copy:
    """One letter of the run in one folder of one mailbox. `arrived_at`: seconds since 1970, 0 when nobody can tell."""

    number: int
    address: str
    folder: str
    digest: str
    body_digest: str
    arrived_at: float


class Reader:
    """Knows the letters of one run by their id line."""

    def __init__(self, label: str) -> None:
        self.label = label
        self._id = re.compile(rb"(?:^|\n)(%s: %s\.(\d{1,12})\r?\n)" % (ID_FIELD.encode(), re.escape(label.encode())))

    def number(self, head: bytes) -> int | None:
        """The number of the letter whose start this is; None for others."""
        found = self._id.search(head)
        return int(found[2]) if found else None

    def copy(self, octets: bytes, address: str, folder: str, arrived_at: float) -> Copy | None:
        """What is compared; None when it is no letter of this run."""
        found = self._id.search(octets[:_HEAD_OCTETS])
        if found is None:
            return None
        sent = octets[found.start(1) :]
        if b"\r\n" not in sent[:2000]:
            sent = sent.replace(b"\n", b"\r\n")
        return Copy(int(found[2]), address, folder, digest(sent), digest(body_of(sent)), arrived_at)


async def by_imap(
    label: str, accounts: Sequence[Account], to: Endpoint, tls: TlsSettings, timeout_s: float
) -> list[Copy]:
    """Every copy in every folder of the accounts that have a password. Raises WireError."""
    reader = Reader(label)
    found: list[Copy] = []
    for account in accounts:
        if not account.password:
            continue
        client = await ImapClient.open(to, tls, account, timeout_s)
        try:
            for folder in await client.folders():
                found += await _folder(client, reader, account.address, folder)
        finally:
            await client.close()
    return found


async def _folder(client: ImapClient, reader: Reader, address: str, folder: str) -> list[Copy]:
    told = await client.command(f'EXAMINE "{folder}"')
    if not any(numbers(told, "EXISTS")):
        return []
    uids = list(numbers(await client.command(f'UID SEARCH HEADER {ID_FIELD} "{reader.label}."'), "SEARCH"))
    found: list[Copy] = []
    for start in range(0, len(uids), _CHUNK):
        chosen = ",".join(map(str, uids[start : start + _CHUNK]))
        for line in await client.command(f"UID FETCH {chosen} (UID INTERNALDATE BODY.PEEK[])"):
            if line.literals:
                copy = reader.copy(line.literals[-1], address, folder, _arrived_at(line))
                found += [copy] if copy else []
    return found


def _arrived_at(line: Line) -> float:
    found = _INTERNAL_DATE.search(line.text)
    if found is None:
        return 0.0
    try:
        return datetime.strptime(found[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z").timestamp()
    except ValueError:
        return 0.0


def by_maildir(label: str, accounts: Sequence[Account], root: str, layout: str) -> list[Copy]:
    """Every copy below `root`/`layout` (`{domain}/{local}`), in Maildir++ folders. Raises UsageError.

    When a letter arrived is told by its file: a file in `new/` with one link was not renamed since, so the time of its
    last change; else the time of writing.
    """
    reader = Reader(label)
    found: list[Copy] = []
    if not os.path.isdir(root):
        raise UsageError(f"--maildir {root}: no such folder")
    for account in accounts:
        local, _, domain = account.address.partition("@")
        for folder, path in _folders(os.path.join(root, layout.format(domain=domain, local=local))):
            for file in _files(path):
                copy = _read(reader, file, account.address, folder)
                found += [copy] if copy else []
    return found


def _folders(mailbox: str) -> Iterator[tuple[str, str]]:
    yield "INBOX", mailbox
    if os.path.isdir(mailbox):
        for name in sorted(os.listdir(mailbox)):
            if name.startswith(".") and os.path.isdir(os.path.join(mailbox, name, "cur")):
                yield name[1:], os.path.join(mailbox, name)


def _files(folder: str) -> Iterator[str]:
    for part in ("new", "cur"):
        where = os.path.join(folder, part)
        if os.path.isdir(where):
            yield from (os.path.join(where, name) for name in os.listdir(where))


def _read(reader: Reader, path: str, address: str, folder: str) -> Copy | None:
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_OCTETS)
            if reader.number(head) is None:
                return None
            octets = head + file.read()
            stat = os.fstat(file.fileno())
    except FileNotFoundError:  # somebody moved it meanwhile; the next look finds it
        return None
    is_untouched = os.path.basename(os.path.dirname(path)) == "new" and stat.st_nlink == 1
    return reader.copy(octets, address, folder, stat.st_ctime if is_untouched else stat.st_mtime)
