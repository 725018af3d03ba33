"""An SMTP session, without its socket: a line in, a Reply out (RFC 5321 §4.1).

Each verb has the same three beats: check (syntax, order, bounds), ask (the chain), proceed (effects). Two lifetimes,
two types: Session lives as long as the connection, Transaction from MAIL to the end of DATA. `wants` tells the loop
that carries it what comes next: a command, the octets of DATA, or a TLS handshake.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any

from bdmta.address import AddressError, parse_path
from bdmta.auth import Failure, Login
from bdmta.envelope import Earlier, Envelope, Recipient, new_reference
from bdmta.facts import login_fact, refusal_facts
from bdmta.limits import network_of
from bdmta.policy import Account, Direction, Facts, Stage
from bdmta.reply import Reply, reply
from bdmta.smtp import replies as said
from bdmta.smtp.data import DataReader
from bdmta.smtp.login import AuthDialogue
from bdmta.smtp.parameters import parse_mail_parameters, parse_rcpt_parameters
from bdmta.smtp.server import SmtpListener, SmtpServer
from bdmta.smtp.transaction import Transaction
from storage.incoming import Incoming

_HELO_NAME = re.compile(r"[A-Za-z0-9_.:\[\]\-\u0080-\U0010ffff]{1,255}")
_HTTP_VERBS = (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ", b"CONNECT ")


class Wants(Enum):
    """What the peer is to send next."""

    COMMAND = auto()
    DATA = auto()
    TLS = auto()


class Session:
    """One connection's state. `line` never raises for what a peer sends."""

    def __init__(self, server: SmtpServer, listener: SmtpListener, remote_ip: str) -> None:
        self.server = server
        self.listener = listener
        self.settings = listener.settings
        self.remote_ip = remote_ip
        self.has_tls = listener.implicit_tls
        self.wants = Wants.COMMAND
        self.helo = ""
        self.is_extended = False
        self.transaction: Transaction | None = None
        self.envelope: Envelope | None = None
        self._earlier: dict[Stage, Earlier] = {}  # of CONNECT and HELO, for every letter of the session
        self._errors = 0
        self._commands = 0
        self._auth = AuthDialogue(self._login)
        self._network = network_of(remote_ip)
        self._entered = False
        self._is_trusted = remote_ip in self.settings.trusted
        self._verbs: dict[bytes, Callable[[str], Awaitable[Reply]]] = {
            b"EHLO": self.ehlo, b"HELO": self.helo_, b"MAIL": self.mail, b"RCPT": self.rcpt, b"DATA": self.data,
            b"RSET": self.rset, b"NOOP": self.noop, b"QUIT": self.quit, b"AUTH": self.auth,
            b"STARTTLS": self.starttls, b"VRFY": self.vrfy, b"EXPN": self.expn, b"HELP": self.help,
        }  # fmt: skip

    @property
    def account(self) -> Account | None:
        """Who has logged in."""
        return self._auth.account

    # -- the connection

    async def greet(self) -> Reply:
        """The greeting, or 421 when there are too many sessions or the chain wants none of this peer."""
        held = self.server.sessions.enter(self._network)
        self._entered = True
        if self.server.draining:
            return said.SHUTTING_DOWN
        if not self.settings.admits(self.remote_ip):
            return said.NOT_FROM_THERE
        if stopped := self.server.outages().smtp:
            return said.stopped(stopped)
        if not self._is_trusted and held > self.settings.sessions_per_address:
            return said.TOO_MANY_SESSIONS
        if self.server.sessions.total > self.settings.max_sessions:
            return said.TOO_BUSY
        refusal = await self._ask(Stage.CONNECT)
        if refusal is not None:
            return Reply(refusal.code, refusal.enhanced, refusal.lines, closes=True)
        return reply(220, None, f"{self.settings.hostname} ESMTP {self.settings.banner}")

    def close(self) -> None:
        """Forget the session: counts go down, an open letter is dropped."""
        if self._entered:
            self._entered = False
            self.server.sessions.leave(self._network)
        self.rset_now()

    def tls_started(self) -> None:
        """After the handshake the session knows nothing of what was said before it (RFC 3207 §4.2)."""
        self.has_tls = True
        self.wants = Wants.COMMAND
        self.helo, self.is_extended = "", False
        self._auth = AuthDialogue(self._login)
        self.rset_now()

    # -- one line

    async def line(self, octets: bytes) -> Reply:
        """The reply to one command line (without its CRLF)."""
        if self._auth.is_open:
            return self._counted(await self._auth.respond(octets))
        self._commands += 1
        if self._commands > self.settings.max_commands:
            return said.TOO_MANY_COMMANDS
        verb, _, argument = octets.partition(b" ")
        method = self._verbs.get(verb.upper())
        if method is None:
            if octets.startswith(_HTTP_VERBS):  # a browser made to talk to us (cross-protocol attack)
                return said.NOT_HTTP
            return self._counted(said.UNKNOWN_COMMAND)
        if len(octets) > self.settings.max_command_octets:
            return self._counted(said.COMMAND_TOO_LONG)
        try:
            text = argument.decode("utf-8").strip(" ")
        except UnicodeDecodeError:
            return self._counted(said.BAD_SYNTAX)
        if any(c < " " or c == "\x7f" for c in text):
            return self._counted(said.BAD_SYNTAX)
        return self._counted(await method(text))

    def _counted(self, answer: Reply) -> Reply:
        """Errors are counted, and past the bound the session ends."""
        if answer.code < 500:
            return answer
        self._errors += 1
        if self._errors < self.settings.max_errors or answer.closes:
            return answer
        return Reply(421, "7.0", (*answer.lines[:1], "Too many errors, closing"), closes=True)

    # -- verbs

    async def ehlo(self, name: str) -> Reply:
        """EHLO: what this listener offers, here and now."""
        answer = await self._hello(name)
        if answer is not None:
            return answer
        self.is_extended = True
        settings = self.settings
        offers = [
            f"{settings.hostname} greets {self.helo}", "PIPELINING", f"SIZE {settings.max_message_octets}", "8BITMIME",
            "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN",
            f"LIMITS RCPTMAX={settings.max_recipients}",
        ]  # fmt: skip
        if self.server.tls is not None and not self.has_tls:
            offers.append("STARTTLS")
        if self._offers_auth():
            offers.append("AUTH PLAIN LOGIN")
        return Reply(250, None, tuple(offers))

    async def helo_(self, name: str) -> Reply:
        """HELO: no extensions."""
        answer = await self._hello(name)
        if answer is not None:
            return answer
        self.is_extended = False
        return reply(250, None, self.settings.hostname)

    async def _hello(self, name: str) -> Reply | None:
        name = name.split(" ", 1)[0]
        if not _HELO_NAME.fullmatch(name):
            return said.HELO_SYNTAX
        self.rset_now()
        refusal = await self._ask(Stage.HELO, helo=name)
        if refusal is None:
            self.helo = name
        return refusal

    async def mail(self, argument: str) -> Reply:
        """MAIL: the reverse-path and its parameters; on submission it belongs to the login."""
        if not self.helo:
            return said.HELLO_FIRST
        if self.transaction is not None:
            return said.NESTED_MAIL
        if self._auth.login is not None and not self._auth.login.holds():
            return said.LOGIN_OVER
        if stopped := self.server.outages().smtp:
            return said.stopped(stopped)
        if self.listener.is_submission and self.account is None and self.remote_ip not in self.settings.relay:
            return said.TLS_FIRST if not self.has_tls else said.AUTH_FIRST
        if argument[:5].upper() != "FROM:":
            return said.MAIL_SYNTAX
        try:
            sender, rest = parse_path(argument[5:].lstrip(" "))
        except AddressError as error:
            return reply(501, "1.7", f"MAIL FROM: {error}", "Địa chỉ người gửi sai cú pháp")
        parameters = parse_mail_parameters(rest)
        if isinstance(parameters, Reply):
            return parameters
        if parameters.size_octets is not None and parameters.size_octets > self.settings.max_message_octets:
            return said.too_big(self.settings.max_message_octets)
        if sender is not None and not sender.is_ascii and not parameters.smtputf8:
            return said.SMTPUTF8_WANTED
        if self.account is not None and sender is not None and sender.key not in self.account.may_send_as:
            return said.not_your_address(str(sender), self.account.address)
        direction = Direction.SUBMISSION if self.account is not None else Direction.INBOUND
        transaction = Transaction(new_reference(self.server.clock), direction, sender, parameters, self.server.chain())
        refusal = await self._ask(Stage.MAIL, transaction)
        if refusal is None:
            self.transaction = transaction
            return said.SENDER_OK
        return refusal

    async def rcpt(self, argument: str) -> Reply:
        """RCPT: unknown, closed and full mailboxes are refused here, so that nobody is sent a bounce."""
        transaction = self.transaction
        if transaction is None:
            return said.MAIL_FIRST
        if argument[:3].upper() != "TO:":
            return said.RCPT_SYNTAX
        try:
            address, rest = parse_path(argument[3:].lstrip(" "))
        except AddressError as error:
            return reply(501, "1.3", f"RCPT TO: {error}", "Địa chỉ người nhận sai cú pháp")
        if address is None:
            return said.RCPT_SYNTAX
        parameters = parse_rcpt_parameters(rest)
        if isinstance(parameters, Reply):
            return parameters
        if not address.is_ascii and not transaction.parameters.smtputf8:
            return said.SMTPUTF8_WANTED
        if len(transaction.recipients) >= self.settings.max_recipients:  # RFC 5321 §4.5.3.1.8: at least 100
            return said.TOO_MANY_RECIPIENTS
        key = address.key
        route = await self.server.router.find(address, self.server.executor)
        refusal = self._unroutable(str(address), route, transaction)
        if refusal is None:
            refusal = await self._ask(Stage.RCPT, transaction, recipient=key)
        if refusal is not None:
            return refusal
        recipient = Recipient(address, key, route, parameters.dsn_notify, parameters.dsn_orcpt)
        transaction.recipients.setdefault(key, recipient)
        return said.RECIPIENT_OK

    def _unroutable(self, address: str, route: Any, transaction: Transaction) -> Reply | None:
        if route.problem == "closed":
            return said.mailbox_closed(address)
        if route.problem:
            return said.no_such_mailbox(address)
        if not route.mailboxes and len(route.outside) == 1 and route.outside[0].via is None:
            is_relay = self.account is not None or self.remote_ip in self.settings.relay
            return None if is_relay else said.no_relay(address)
        if stopped := self.server.stopped_for(route):
            return said.agency_stopped(stopped)
        if not self.server.acceptance.has_room(route, transaction.parameters.size_octets or 0):
            return said.mailbox_full(address)
        return None

    async def data(self, argument: str) -> Reply:
        """DATA: 354, and the loop reads the letter into the spool."""
        if argument:
            return said.NO_ARGUMENT
        if self.transaction is None:
            return said.MAIL_FIRST
        if not self.transaction.recipients:
            return said.NO_RECIPIENTS
        self.wants = Wants.DATA
        self.envelope = self._envelope(self.transaction)
        return said.START_DATA

    async def data_end(self, reader: DataReader, incoming: Incoming) -> Reply:
        """The verdict on the whole letter; 250 means that it is on disk for every recipient (contract 1)."""
        transaction, envelope = self.transaction, self.envelope
        assert transaction is not None and envelope is not None
        self.rset_now()
        self._commands = 0
        if reader.flaw is not None:
            return self._counted(self.server.acceptance.refuse(envelope, said.data_flaw(reader.flaw, self.settings)))
        return await self.server.acceptance.accept(envelope, incoming, transaction.chain, self.settings.max_received)

    async def rset(self, argument: str) -> Reply:
        """RSET: the transaction is forgotten."""
        if argument:
            return said.NO_ARGUMENT
        self.rset_now()
        return said.RESET

    async def noop(self, argument: str) -> Reply:
        """NOOP."""
        return said.NOOP

    async def quit(self, argument: str) -> Reply:
        """QUIT."""
        return said.NO_ARGUMENT if argument else said.BYE

    async def vrfy(self, argument: str) -> Reply:
        """VRFY tells nothing (RFC 5321 §7.3), politely."""
        return said.VRFY

    async def expn(self, argument: str) -> Reply:
        """EXPN is not offered."""
        return said.NOT_IMPLEMENTED

    async def help(self, argument: str) -> Reply:
        """HELP: where the guide is."""
        return said.HELP

    async def starttls(self, argument: str) -> Reply:
        """STARTTLS (RFC 3207); the loop sees to it that nothing was sent behind the command."""
        if argument:
            return said.NO_ARGUMENT
        if self.has_tls or self.server.tls is None:
            return said.NO_TLS
        self.wants = Wants.TLS
        return said.START_TLS

    # -- AUTH

    def _offers_auth(self) -> bool:
        return self.listener.is_submission and self.has_tls and self.account is None

    async def auth(self, argument: str) -> Reply:
        """AUTH PLAIN and LOGIN, with and without an initial response (RFC 4954); under TLS only."""
        if not self.helo:
            return said.HELLO_FIRST
        if self.transaction is not None or self.account is not None:
            return said.AUTH_NOT_NOW
        if not self.listener.is_submission:
            return said.NOT_IMPLEMENTED
        if not self.has_tls:
            return said.TLS_FIRST
        return await self._auth.start(argument)

    async def _login(self, user: str, password: str) -> Login | Failure:
        outcome = await self.server.authenticator.login(user, password, self.remote_ip, "smtp")
        if isinstance(outcome, Login):
            self.server.acceptance.record([login_fact(outcome, "smtp", self.remote_ip, self.server.clock.time())])
        return outcome

    # -- inside

    def rset_now(self) -> None:
        """Forget the transaction; the next line is a command."""
        self.transaction = None
        self.envelope = None
        self.wants = Wants.COMMAND

    async def _ask(self, stage: Stage, transaction: Transaction | None = None, **known: Any) -> Reply | None:
        """The chain's refusal at this stage as a reply, or None."""
        chain = transaction.chain if transaction is not None else self.server.chain()
        direction = Direction.SUBMISSION if self.account is not None else Direction.INBOUND
        if not chain.asks(direction, stage):
            return None
        if transaction is not None:
            known |= {
                "mail_from": transaction.sender.key if transaction.sender is not None else "",
                "rcpt_to": tuple(transaction.recipients),
                "size": transaction.parameters.size_octets,
                "reference": transaction.reference,
            }
        known.setdefault("reference", "")
        known.setdefault("helo", self.helo)
        facts = Facts(
            direction=direction, received_at=self.server.clock.now(), listener=self.listener.name,
            remote_ip=self.remote_ip, is_trusted_network=self._is_trusted, has_tls=self.has_tls,
            account=self.account, local_domains=frozenset(self.server.local_domains()), **known,
        )  # fmt: skip
        ruling = await chain.rule(stage, facts)
        if ruling.refusal is not None:
            self.server.acceptance.record(refusal_facts(ruling, stage))
        elif transaction is not None:
            transaction.earlier.add(ruling)
        else:
            self._earlier[stage] = Earlier()
            self._earlier[stage].add(ruling)
        return ruling.reply()

    def _envelope(self, transaction: Transaction) -> Envelope:
        protocol = "".join(
            ("UTF8" if transaction.parameters.smtputf8 else "", "E" if self.is_extended else "", "SMTP",
             "S" if self.has_tls else "", "A" if self.account is not None else "")
        )  # fmt: skip
        parameters = transaction.parameters
        return Envelope(
            reference=transaction.reference, direction=transaction.direction, sender=transaction.sender,
            recipients=tuple(transaction.recipients.values()), received_at=self.server.clock.now(),
            listener=self.listener.name, protocol=protocol, remote_ip=self.remote_ip,
            is_trusted_network=self._is_trusted, helo=self.helo, has_tls=self.has_tls, account=self.account,
            smtputf8=parameters.smtputf8, body=parameters.body, dsn_ret=parameters.dsn_ret,
            dsn_envid=parameters.dsn_envid, earlier=(*self._earlier.values(), transaction.earlier),
        )  # fmt: skip
