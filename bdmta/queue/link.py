"""One connection to another system: greeting, EHLO, TLS and login by aiosmtplib, then letters one after another.

Letters are pipelined and streamed here: aiosmtplib would take four round trips for each, hold it in memory three times,
and rewrite it on the loop.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import aiosmtplib
from aiosmtplib.errors import (
    SMTPConnectResponseError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
)
from aiosmtplib.protocol import SMTPProtocol

from bdmta.config.credentials import Login
from bdmta.queue.conversation import Broken, Conversation, Reply
from bdmta.queue.hops import Tls
from bdmta.queue.outcome import Outcome, Result, by_reply, clean, deferred, failed

_READY = 220
_SERVICE_GONE = 421


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What every connection keeps to; times in seconds."""

    helo: str
    connect_s: float = 30.0
    reply_s: float = 300.0
    data_s: float = 600.0
    source_v4: str = ""
    source_v6: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class To:
    """One recipient as RCPT names it, with its DSN wishes (RFC 3461 §4.1, §4.2)."""

    address: str
    notify: str = ""
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """One transaction. `letter` gives size, 8-bit and DATA for a host that takes 8-bit letters, or does not."""

    sender: str
    to: tuple[To, ...]
    letter: Callable[[bool], Any]
    """Awaitable of `Outgoing`; the argument: whether the host offers 8BITMIME."""
    needs_utf8: bool = False
    """An address is not ASCII."""
    came_with_utf8: bool = False
    """The letter was handed in with SMTPUTF8, which it needs if its header is not ASCII."""
    ret: str = ""
    envid: str = ""


class LinkError(Exception):
    """The connection could not be made or used; `outcome` says it for every recipient. Another host may do better."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reply)
        self.outcome = outcome


class Link:
    """An open connection. `open` makes it; after a LinkError it is of no more use."""

    def __init__(self, client: aiosmtplib.SMTP, host: str, settings: LinkSettings) -> None:
        self._client = client
        self._settings = settings
        self.host = host
        self._talk: Conversation | None = None
        self.tls = ""
        self.letters_count = 0

    @classmethod
    async def open(
        cls,
        host: str,
        address: str,
        port: int,
        settings: LinkSettings,
        *,
        tls: Tls = Tls.MAY,
        login: Login | None = None,
    ) -> Link:
        """Connect, greet, start TLS as far as it is offered or needed. Raises LinkError.

        TLS that fails where it is not needed is done without, over a new connection: better than not at all (RFC 7435).
        """
        try:
            return await cls._open(host, address, port, settings, tls, login, use_tls=True)
        except _TlsFailed as error:
            if tls is not Tls.MAY:
                raise LinkError(error.outcome) from error
        return await cls._open(host, address, port, settings, tls, login, use_tls=False)

    @classmethod
    async def _open(
        cls, host: str, address: str, port: int, settings: LinkSettings, tls: Tls, login: Login | None, *, use_tls: bool
    ) -> Link:
        shown = f"{host}[{address}]" if host != address else address
        link: Link | None = None
        try:
            client = await _connected(address, port, settings)
            link = cls(client, shown, settings)
            await link._greet()
            await link._secure(host, tls, use_tls=use_tls)
            if login is not None:
                await link._login(login)
            if client.transport is None:
                raise SMTPException("the connection was lost")
            link._talk = Conversation(client.transport)
        except BaseException as error:
            if link is not None:
                link._client.close()
            if isinstance(error, TimeoutError | SMTPException | OSError):
                raise LinkError(_unusable(error, shown)) from error
            raise
        return link

    async def _greet(self) -> None:
        """The greeting has `reply_s` (RFC 5321 §4.5.3.2.1); EHLO, or HELO where that is not known."""
        protocol = self._client.protocol
        if protocol is None:
            raise SMTPServerDisconnected("the connection was lost")
        greeting = await protocol.read_response(self._settings.reply_s)
        if greeting.code != _READY:
            raise SMTPConnectResponseError(greeting.code, greeting.message)
        try:
            await self._client.ehlo()
        except SMTPResponseException as error:
            if error.code == _SERVICE_GONE or not self._client.is_connected:
                raise
            await self._client.helo()

    async def _secure(self, host: str, tls: Tls, *, use_tls: bool) -> None:
        if not self._client.supports_extension("starttls"):
            if tls is not Tls.MAY:
                raise LinkError(deferred("4.7.4", "TLS is required and not offered", self.host, hop_failed=True))
            return
        if not use_tls:
            return
        context = _context(tls is Tls.VERIFY, self._settings.ca_file)
        try:
            await self._client.starttls(tls_context=context, server_hostname=host)
            cipher = self._client.get_transport_info("cipher")
            await self._client.ehlo()
        except (SMTPException, OSError, TimeoutError) as error:
            raise _TlsFailed(
                deferred(
                    "4.7.5", f"TLS failed: {clean(str(error)) or type(error).__name__}", self.host, hop_failed=True
                )
            ) from error
        self.tls = f"{cipher[1]} {cipher[0]}" if cipher else "TLS"

    async def _login(self, login: Login) -> None:
        try:
            await self._client.login(login.user, login.password)
        except SMTPException as error:
            # Our own password is wrong: the letters are not to be blamed, and wait for it to be put right.
            text = f"login refused: {clean(str(error))}"
            raise LinkError(deferred("4.7.8", text, self.host, hop_failed=True)) from error

    @property
    def is_open(self) -> bool:
        """The peer has not hung up, as far as is known."""
        return self._talk is not None and self._talk.is_open

    def offers(self, extension: str) -> bool:
        """The host said so in its EHLO."""
        return bool(self._client.supports_extension(extension))

    async def send(self, mail: Mail) -> list[Outcome]:
        """One transaction: the outcome of each recipient, in order. Raises LinkError before the letter's last octet.

        MAIL, RCPT and DATA go in one write to a host that offers PIPELINING (RFC 2920), else one by one. A letter
        whose last reply does not come is deferred: it may have been taken, and is sent again (at least once).
        """
        self.letters_count += 1
        talk = self._talk
        if talk is None:
            raise LinkError(deferred("4.4.2", "the connection was lost", self.host, hop_failed=True))
        outgoing = await mail.letter(self.offers("8bitmime"))
        refusal = self._cannot(mail, outgoing)
        if refusal is not None:
            return [refusal] * len(mail.to)
        try:
            outcomes, is_ready = await self._ask(talk, mail, outgoing)
        except (Broken, OSError, TimeoutError) as error:
            talk.close()
            raise LinkError(_unusable(error, self.host)) from error
        if not is_ready:
            return outcomes
        return _decided(outcomes, await self._data(talk, outgoing.data()))

    async def _ask(self, talk: Conversation, mail: Mail, outgoing: Any) -> tuple[list[Outcome], bool]:
        """MAIL, RCPT, DATA: what each recipient's reply means, and whether the host waits for the letter.

        SENT stands for "accepted so far" until the letter's own reply.
        """
        commands = [self._mail(mail, outgoing), *(self._rcpt(to) for to in mail.to)]
        is_piped = self.offers("pipelining")
        if is_piped:
            talk.say(*commands, b"DATA")
        outcomes: list[Outcome] = []
        try:
            code, text = await self._answer(talk, b"" if is_piped else commands[0])
            is_taken = code == 250
            if not is_taken:
                outcomes = [by_reply(code, text, self.host)] * len(mail.to)
            for command in commands[1:] if is_taken or is_piped else ():
                code, text = await self._answer(talk, b"" if is_piped else command)
                if is_taken:
                    outcomes.append(self._outcome(code, text))
            has_any = any(outcome.result is Result.SENT for outcome in outcomes)
            if not has_any and not is_piped:
                return await self._abandon(talk, outcomes), False
            code, text = await self._answer(talk, b"" if is_piped else b"DATA")
            if code == 354 and has_any:
                return outcomes, True
            if code == 354:  # a host that waits for a letter to nobody gets an empty one (RFC 2920 §3.1)
                talk.expect()
                talk.write(b".\r\n")
                await self._answer(talk, b"")
                return outcomes, False
            if has_any:
                refusal = by_reply(code, text, self.host, knows_dsn=self.offers("dsn"), tls=self.tls)
                outcomes = _decided(outcomes, refusal)
            return await self._abandon(talk, outcomes), False
        except (Broken, TimeoutError, LinkError):
            if len(outcomes) < len(mail.to) or any(outcome.result is Result.SENT for outcome in outcomes):
                raise
            talk.close()  # what became of every recipient is known already
            return outcomes, False

    async def _answer(self, talk: Conversation, command: bytes) -> Reply:
        """The reply to `command`, or to one that was said before. LinkError when the host ends its service (RFC 5321
        §3.8): another may do better.
        """
        if command:
            talk.say(command)
        found = await talk.reply(self._settings.reply_s)
        if found.code == _SERVICE_GONE:
            talk.close()
            raise LinkError(replace(by_reply(found.code, found.text, self.host), hop_failed=True))
        return found

    def _outcome(self, code: int, text: str) -> Outcome:
        return by_reply(code, text, self.host, is_last=True, knows_dsn=self.offers("dsn"), tls=self.tls)

    def _cannot(self, mail: Mail, outgoing: Any) -> Outcome | None:
        """What this host has said it will not take."""
        limit = str(self._client.esmtp_extensions.get("size", "")).strip()
        if limit.isdigit() and 0 < int(limit) < outgoing.size_octets:
            text = f"the letter has {outgoing.size_octets} octets, and {self.host} takes {limit} at most"
            return failed("5.3.4", text, self.host)
        if _needs_utf8(mail, outgoing) and not self.offers("smtputf8"):
            return failed("5.6.7", f"{self.host} does not take addresses outside ASCII (SMTPUTF8)", self.host)
        return None

    def _mail(self, mail: Mail, outgoing: Any) -> bytes:
        words = [b"MAIL FROM:<" + mail.sender.encode() + b">"]
        if self.offers("size"):
            words.append(b"SIZE=%d" % outgoing.size_octets)
        if outgoing.has_8bit and self.offers("8bitmime"):
            words.append(b"BODY=8BITMIME")
        if _needs_utf8(mail, outgoing):
            words.append(b"SMTPUTF8")
        if self.offers("dsn"):
            words += [b"RET=" + mail.ret.encode()] if mail.ret else []
            words += [b"ENVID=" + mail.envid.encode()] if mail.envid else []
        return b" ".join(words)

    def _rcpt(self, to: To) -> bytes:
        words = [b"RCPT TO:<" + to.address.encode() + b">"]
        if self.offers("dsn"):
            words += [b"NOTIFY=" + to.notify.encode()] if to.notify else []
            words += [b"ORCPT=" + to.orcpt.encode()] if to.orcpt else []
        return b" ".join(words)

    async def _data(self, talk: Conversation, blocks: Iterator[bytes]) -> Outcome:
        """Stream the letter, no faster than the host takes it; its reply."""
        try:
            talk.expect()
            for block in blocks:
                talk.write(block)
                await talk.drain(self._settings.reply_s)
            code, text = await talk.reply(self._settings.data_s)
        except (Broken, OSError, TimeoutError) as error:
            talk.close()
            text = clean(str(error)) or type(error).__name__
            return replace(deferred("4.4.2", f"no reply to the letter: {text}", self.host), tls=self.tls)
        if code == _SERVICE_GONE:
            talk.close()
        return self._outcome(code, text)

    async def _abandon(self, talk: Conversation, outcomes: list[Outcome]) -> list[Outcome]:
        """End a transaction that sends nothing, so that the next can begin."""
        if talk.is_open:
            await self._answer(talk, b"RSET")
        return outcomes

    def close(self) -> None:
        """QUIT, and hang up behind it: nothing depends on its reply, and no place is kept for it."""
        if self._talk is not None and self._talk.is_open:
            with suppress(Broken, OSError):
                self._talk.say(b"QUIT")
                self._talk.finish()


class _TlsFailed(LinkError):
    """STARTTLS was offered and did not come about."""


def _needs_utf8(mail: Mail, outgoing: Any) -> bool:
    return mail.needs_utf8 or (mail.came_with_utf8 and outgoing.has_8bit_header)


def _decided(outcomes: Sequence[Outcome], letter: Outcome) -> list[Outcome]:
    """The letter's own reply is that of every recipient accepted before (RFC 5321 §3.3)."""
    return [letter if outcome.result is Result.SENT else outcome for outcome in outcomes]


def _unusable(error: BaseException, host: str) -> Outcome:
    """Why a connection is of no use. A 5yz before any letter is about the host, not about the letter: it waits."""
    if isinstance(error, SMTPResponseException) and 400 <= error.code < 600:
        text = clean(error.message)
        return Outcome(Result.DEFERRED, error.code, "4.3.2", f"{error.code} {text}", host, hop_failed=True)
    if isinstance(error, TimeoutError):
        return deferred("4.4.1", clean(str(error)) or "no answer in time", host, hop_failed=True)
    text = clean(str(error)) or type(error).__name__
    return deferred("4.4.2" if isinstance(error, SMTPException | Broken) else "4.4.1", text, host, hop_failed=True)


def _context(verify: bool, ca_file: str) -> ssl.SSLContext:
    """The same for every connection: to read all authorities takes 18 ms of processor time. Read anew when changed."""
    if not verify:
        return _made_context(False, "", 0)
    path = ca_file or ssl.get_default_verify_paths().cafile or ""
    try:
        stamp = os.stat(path).st_mtime_ns
    except OSError:
        stamp = 0
    return _made_context(True, ca_file, stamp)


@functools.lru_cache(maxsize=4)
def _made_context(verify: bool, ca_file: str, stamp: int) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None) if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _connected(address: str, port: int, settings: LinkSettings) -> aiosmtplib.SMTP:
    """A client whose connection stands within `connect_s`; its greeting is to come. Raises OSError, TimeoutError.

    `SMTP.connect` would start a task for the connection, wait for the greeting under the same time limit, and take half
    as much processor time again.
    """
    client = aiosmtplib.SMTP(local_hostname=settings.helo, timeout=settings.reply_s, start_tls=False)
    source = settings.source_v6 if ":" in address else settings.source_v4
    async with asyncio.timeout(settings.connect_s):
        client.transport, client.protocol = await asyncio.get_running_loop().create_connection(
            SMTPProtocol, address, port, local_addr=(source, 0) if source else None
        )
    return client
