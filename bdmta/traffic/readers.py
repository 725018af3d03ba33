"""Sessions in the manner of Thunderbird and Outlook (by IMAP) and of Outlook by POP3, as they were seen to speak.

Each reader has accounts of its own, so that no two move the same letter at once, which may double it by no fault of
the server. What is fetched whole is compared with what was sent.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from bdmta.traffic.desk import Desk, Notes
from bdmta.traffic.imap_client import ImapClient, Line, numbers
from bdmta.traffic.pop3_client import Pop3Client
from bdmta.traffic.target import Target
from bdmta.traffic.wire import Silence

_FIELDS = (
    "From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type "
    "Reply-To Received X-Traffic-Id"
)
_UID = re.compile(rb"\bUID (\d+)")
_FETCHED_AT_ONCE = 20
_MOVED_SHARE = 0.05
_IDLE_SLICE_S = 1.0
_COPY = b"From: <%b>\r\nSubject: %b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\nLuu.\r\n"


class ReadingSession:
    """What the three have in common. `idle_s`: how long Thunderbird waits in IDLE."""

    name = ""

    def __init__(self, target: Target, notes: Notes, draw: Random, idle_s: float) -> None:
        self._target = target
        self._notes = notes
        self._draw = draw
        self._idle_s = idle_s

    async def session(self, desk: Desk) -> None:
        """One session on `desk`. Raises WireError."""
        raise NotImplementedError

    @asynccontextmanager
    async def _timed(self, what: str) -> AsyncIterator[None]:
        start = self._notes.monotonic()
        yield
        self._notes.meter.add(f"{self.name}: {what}", self._notes.monotonic() - start)


class _ImapReading(ReadingSession):
    _mechanism = "PLAIN"

    @asynccontextmanager
    async def _client(self, desk: Desk) -> AsyncIterator[ImapClient]:
        assert self._target.imap is not None
        async with self._timed("log in"):
            client = await ImapClient.open(
                self._target.imap, self._target.tls, desk.account, self._target.timeout_s, mechanism=self._mechanism
            )
        try:
            yield client
        except BaseException:
            await client.abandon()
            raise
        await client.close()

    async def _bodies(self, client: ImapClient, desk: Desk, uids: list[int], item: str) -> list[int]:
        """Fetch whole letters, compare each; the UIDs of those that are of this run."""
        ours = []
        for uid in uids:
            async with self._timed("fetch a letter"):
                lines = await client.command(f"UID FETCH {uid} ({item})")
            for line in lines:
                if line.literals and self._notes.read(line.literals[-1], desk.account, self.name) is not None:
                    ours.append(uid)
        return ours

    async def _append(self, client: ImapClient, desk: Desk, folder: str, *, waits: bool) -> None:
        entry, octets = self._notes.own(desk.account, folder, _COPY % (desk.account.address.encode(), folder.encode()))
        async with self._timed("append"):
            await client.append(folder, "\\Seen", octets, waits=waits)
        self._notes.kept(entry)


class Thunderbird(_ImapReading):
    """As Thunderbird 153 was seen to do: headers of what is new, some letters whole, flags, moves, then IDLE."""

    name = "thunderbird"

    async def session(self, desk: Desk) -> None:
        """Log in, list, select, read what is new, file, wait in IDLE, log out."""
        async with self._client(desk) as client:
            await self._greet(client, desk)
            async with self._timed("select"):
                await client.command('SELECT "INBOX"')
            async with self._timed("flags of all"):
                await client.command("UID FETCH 1:* (FLAGS)")
            await self._news(client, desk, "")
            if "Sent" in desk.folders and self._draw.random() < 0.3:
                await self._append(client, desk, "Sent", waits=False)
            await self._wait(client, desk)

    async def _greet(self, client: ImapClient, desk: Desk) -> None:
        await client.capability()
        if "NAMESPACE" in client.capabilities:
            await client.command("NAMESPACE")
        if "ID" in client.capabilities:
            await client.command('ID ("name" "Thunderbird" "version" "153")')
        async with self._timed("list"):
            if {"LIST-EXTENDED", "SPECIAL-USE"} <= client.capabilities:
                await client.command('LIST (SUBSCRIBED) "" "*" RETURN (SPECIAL-USE)')
            desk.folders = tuple(await client.folders())
        for folder in desk.folders[:4]:
            if folder.upper() != "INBOX":
                await client.command(f'STATUS "{folder}" (UIDNEXT MESSAGES UNSEEN RECENT)')

    async def _news(self, client: ImapClient, desk: Desk, seen_as: str) -> None:
        """The headers of what came since, every other letter whole and marked as read, now and then a move."""
        async with self._timed("headers of what is new"):
            lines = await client.command(
                f"UID FETCH {desk.next_uid}:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS ({_FIELDS})])"
            )
        uids = []
        for line in lines:
            uid = _uid(line)
            if uid is None or uid < desk.next_uid:  # n:* always names the last letter (RFC 3501 §6.4.8)
                continue
            uids.append(uid)
            if line.literals and seen_as:
                self._notes.seen(line.literals[-1], seen_as)
        if not uids:
            return
        desk.next_uid = max(uids) + 1
        chosen = [uid for uid in uids[-_FETCHED_AT_ONCE:] if self._draw.random() < 0.5]
        ours = await self._bodies(client, desk, chosen, "UID RFC822.SIZE BODY.PEEK[]")
        for uid in ours:
            async with self._timed("flag"):
                await client.command(f"UID STORE {uid} +FLAGS (\\Seen)")
        if (
            ours
            and "Archive" in desk.folders
            and "MOVE" in client.capabilities
            and self._draw.random() < _MOVED_SHARE * 4
        ):
            async with self._timed("move"):
                await client.command(f'UID MOVE {ours[0]} "Archive"')

    async def _wait(self, client: ImapClient, desk: Desk) -> None:
        if "IDLE" not in client.capabilities:
            return
        end = self._notes.monotonic() + self._idle_s
        while self._notes.monotonic() < end:
            tag = await client.start_idle()
            told = await self._until_told(client, end)
            rest = await client.end_idle(tag)
            if told or any(numbers(rest, "EXISTS")):
                await self._news(client, desk, "seen in IDLE after its 250" if told else "")

    async def _until_told(self, client: ImapClient, end: float) -> bool:
        """Whether EXISTS was said before `end`."""
        while (left := end - self._notes.monotonic()) > 0:
            try:
                line = await client.told(min(left, _IDLE_SLICE_S))
            except Silence:
                continue
            if any(numbers([line], "EXISTS")):
                return True
        return False


class Outlook(_ImapReading):
    """As Outlook: AUTHENTICATE LOGIN, CAPABILITY again, flags of all, whole letters, COPY and EXPUNGE, not MOVE."""

    name = "outlook"
    _mechanism = "LOGIN"

    async def session(self, desk: Desk) -> None:
        """Log in, list, select, fetch what is new, file one, keep a draft, log out."""
        async with self._client(desk) as client:
            await client.capability()
            async with self._timed("list"):
                desk.folders = tuple(await client.folders())
            async with self._timed("select"):
                await client.command('SELECT "INBOX"')
            async with self._timed("flags of all"):
                lines = await client.command("UID FETCH 1:* (UID FLAGS)")
            uids = sorted(uid for uid in map(_uid, lines) if uid is not None and uid >= desk.next_uid)
            if uids:
                desk.next_uid = uids[-1] + 1
                ours = await self._bodies(client, desk, uids[-_FETCHED_AT_ONCE:], "UID BODY.PEEK[]")
                if ours and "Archive" in desk.folders and self._draw.random() < _MOVED_SHARE * 4:
                    await self._file(client, desk, ours[0])
            if "Drafts" in desk.folders and self._draw.random() < 0.3:
                await self._append(client, desk, "Drafts", waits=True)

    async def _file(self, client: ImapClient, desk: Desk, uid: int) -> None:
        lines = await client.command(f"UID FETCH {uid} (BODY.PEEK[HEADER.FIELDS (X-Traffic-Id)])")
        number = next((self._notes.reader.number(line.literals[-1]) for line in lines if line.literals), None)
        if number is None:
            return
        self._notes.ledger.begin_move(number, desk.account.address)  # a session that breaks here leaves two copies
        async with self._timed("copy and expunge"):
            await client.command(f'UID COPY {uid} "Archive"')
            await client.command(f"UID STORE {uid} +FLAGS.SILENT (\\Deleted)")
            await client.command("EXPUNGE")
        self._notes.ledger.end_move(number, desk.account.address)


class Pop3Reader(ReadingSession):
    """As Outlook by POP3 with copies left on the server: UIDL, RETR of what is new, QUIT."""

    name = "pop3"

    async def session(self, desk: Desk) -> None:
        """One session."""
        assert self._target.pop3 is not None
        async with self._timed("log in"):
            client = await Pop3Client.open(self._target.pop3, self._target.tls, desk.account, self._target.timeout_s)
        try:
            async with self._timed("list"):
                ids = await client.unique_ids()
            new = [one for one in ids if one not in desk.known_ids]
            for one in new[-_FETCHED_AT_ONCE:]:
                async with self._timed("fetch a letter"):
                    octets = await client.letter(ids[one])
                self._notes.read(octets, desk.account, self.name)
            desk.known_ids = set(ids)
        finally:
            await client.close()


KINDS: dict[str, type[ReadingSession]] = {kind.name: kind for kind in (Thunderbird, Outlook, Pop3Reader)}


def _uid(line: Line) -> int | None:
    found = _UID.search(line.text)
    return int(found[1]) if found and b" FETCH " in line.text else None
