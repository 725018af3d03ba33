"""One IMAP session: its state, the way of a command from its octets to its tagged answer, what is told in between.

It reads and writes through a `Wire` and knows no socket. Verbs are functions of the modules named in `verbs.py`: each
takes the session and a cursor behind the verb, sends what is untagged, and returns the tagged answer without its tag.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bdmta.auth import Login
from bdmta.imap.capability import VERB_NEEDS, capabilities
from bdmta.imap.errors import No, no_of
from bdmta.imap.frame import Announced, Bounds
from bdmta.imap.render_flags import flag_lines
from bdmta.imap.response import folder_flags
from bdmta.imap.server import ImapServer
from bdmta.imap.syntax import BadSyntax, Cursor
from bdmta.reply import unaccented
from bdmta.session import Bye, Gone
from storage.box import Mailbox, View
from storage.box_types import Deltas
from storage.errors import NotFound, StoreError

T = TypeVar("T")
MAX_BAD_COMMANDS = 50
_LITERAL_AFTER_LOGIN = 65_536
_READ_FACT_S = 10.0


class Wire(Protocol):
    """The connection, as a session sees it."""

    bounds: Bounds
    has_tls: bool
    remote_ip: str

    def send(self, octets: bytes) -> None:
        """Queue octets; they leave with the next flush."""

    async def flush(self) -> None:
        """Write what is queued and wait until the peer takes more. Raises Gone."""

    async def line(self) -> bytes:
        """The next line, flushing first. Raises Gone, BadSyntax."""

    async def block(self, count: int) -> bytes:
        """One to `count` octets of a literal. Raises Gone."""

    async def news(self, view: View | None, timeout_s: float) -> bool:
        """Wait until the folder may have changed or the peer says something; false at the time-out. Raises Gone."""

    def has_line(self) -> bool:
        """Whether the peer has said something."""

    async def start_tls(self) -> None:
        """Upgrade; raises Gone when the handshake fails."""


ANY, NOT_AUTHENTICATED, AUTHENTICATED, SELECTED = range(4)


@dataclass(frozen=True, slots=True)
class Verb:
    """What answers a verb, and when.

    `has_arguments` None: the verb looks itself. `tells`: changes are told before the tagged answer; `expunges`: those
    too.
    """

    run: Callable[[Session, Cursor], Awaitable[bytes]]
    state: int
    has_arguments: bool | None = True
    tells: bool = True
    expunges: bool = True

    def check_state(self, session: Session) -> None:
        """BadSyntax or No when it is not the time for this verb."""
        if self.state == NOT_AUTHENTICATED and session.mailbox is not None:
            raise BadSyntax("already logged in")
        if self.state >= AUTHENTICATED and session.mailbox is None:
            raise No("Log in first")
        if self.state == SELECTED and session.view is None:
            raise BadSyntax("no folder is selected")


@dataclass(frozen=True, slots=True)
class Commands:
    """The verbs by name, and APPEND, whose letter does not come with it."""

    verbs: Mapping[str, Verb]
    append: Callable[[Session, Announced], Awaitable[bytes]]


class Session:
    """States of RFC 3501 §3: `mailbox` None is not authenticated, `view` None nothing selected."""

    __slots__ = (
        "account", "alerts", "bad_count", "closing", "commands", "condstore", "failures", "last_letter", "login",
        "mailbox", "read_told_at", "server", "tag", "utf8", "view", "wire", "withheld",
    )  # fmt: skip

    def __init__(self, server: ImapServer, wire: Wire, commands: Commands) -> None:
        self.server = server
        self.commands = commands
        self.wire = wire
        self.account = ""
        self.login: Login | None = None
        self.mailbox: Mailbox | None = None
        self.view: View | None = None
        self.condstore = False  # told of mod-sequences from now on (RFC 7162 §3.1)
        self.utf8 = False
        self.withheld: frozenset[str] = frozenset()
        self.alerts: list[str] = []
        self.failures = 0
        self.bad_count = 0
        self.closing = False
        self.read_told_at = -1e9
        self.last_letter: tuple[int, Any] | None = None  # UID and `section.Letter` of the last large one
        self.tag = b""  # of the command that is being answered

    # -- what the verbs use

    def send(self, octets: bytes) -> None:
        """Queue an untagged answer, with its line end."""
        self.wire.send(octets)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a blocking function of the store off the loop."""
        return await self.server.mailboxes.run(function, *arguments)

    def selected(self) -> View:
        """The selected folder's view, or BadSyntax."""
        if self.view is None:
            raise BadSyntax("no folder is selected")
        return self.view

    def owner(self) -> Mailbox:
        """The mailbox of who logged in."""
        assert self.mailbox is not None
        return self.mailbox

    def offers(self, capability: str) -> bool:
        """Whether this account is offered it."""
        return capability not in self.withheld

    def capabilities(self) -> str:
        """The list of this moment."""
        return capabilities(
            logged_in=self.mailbox is not None,
            offers_tls=self.server.tls is not None and not self.wire.has_tls,
            takes_passwords=self.takes_passwords(),
            withheld=self.withheld,
        )

    def takes_passwords(self) -> bool:
        """Passwords travel under TLS only (contract 12)."""
        return self.wire.has_tls or self.server.settings.plaintext_login

    def close_view(self) -> None:
        """Leave the selected folder."""
        view, self.view = self.view, None
        self.last_letter = None
        if view is not None:
            view.close()

    def close(self) -> None:
        """The connection is gone."""
        self.close_view()
        if self.account:
            self.server.accounts[self.account] -= 1
            if self.server.accounts[self.account] <= 0:
                del self.server.accounts[self.account]
            self.account = ""

    def fact(self, event: str, **detail: Any) -> None:
        """One line for the ledger: who did what, never what a letter says (Điều 14, contract 11)."""
        who = self.login.detail() if self.login is not None else {}
        detail = {"protocol": "imap", "ip": self.wire.remote_ip, **who, **detail}
        try:
            self.server.facts.write(
                [{"at": self.server.clock.time(), "event": event, "recipient": self.account, "detail": detail}]
            )
        except OSError as error:
            self.server.log.error("fact not written", fact=event, error=str(error))

    def note_read(self, view: View, count: int) -> None:
        """A person reads here (Điều 14); told every ten seconds at most."""
        now = self.server.clock.monotonic()
        if count and now - self.read_told_at >= _READ_FACT_S:
            self.read_told_at = now
            self.fact("read", folder=view.box.name, count=count)

    def check_login(self) -> None:
        """Bye once the password was changed or revoked, or the mailbox suspended."""
        if self.login is not None and not self.login.holds():
            raise Bye("The login is no longer valid")

    # -- what changed

    async def refresh(self) -> None:
        """Take in what others did to the selected folder, when there is something to look at."""
        view = self.view
        if view is None or not view.box.is_dirty():
            return
        try:
            await self.run(view.box.refresh)
        except NotFound:
            raise Bye("The selected folder was deleted") from None

    def tell_changes(self, *, expunge: bool) -> None:
        """Send what the view's newest state brings."""
        if self.view is not None and self.view.has_news():
            self.tell(self.view.poll(expunge=expunge))

    def tell(self, deltas: Deltas) -> None:
        """Send deltas in the order that keeps the peer's numbers right."""
        view = self.view
        if view is None or not deltas:
            return
        if deltas.expunged:
            self.send(b"".join([b"* %d EXPUNGE\r\n" % number for number in deltas.expunged]))
        if deltas.exists is not None:
            self.send(b"* %d EXISTS\r\n" % deltas.exists)
            if deltas.recent is not None:
                self.send(b"* %d RECENT\r\n" % deltas.recent)
        if deltas.keywords_changed:
            self.send(folder_flags(view.keywords, read_only=view.read_only))
        if deltas.flags:
            self.send(flag_lines(view, deltas.flags, with_uid=False, with_modseq=self.condstore))

    def tell_keywords(self) -> None:
        """New keywords are named before a FETCH shows them."""
        view = self.view
        if view is not None and view.keywords != view.box.keywords:
            view.keywords = view.box.keywords
            self.send(folder_flags(view.keywords, read_only=view.read_only))

    def start_condstore(self) -> None:
        """Tell mod-sequences from now on; the first time the selected folder's highest (RFC 7162 §3.1)."""
        if not self.condstore and self.view is not None:
            self.send(b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % self.view.box.highestmodseq)
        self.condstore = True

    def push_alerts(self) -> None:
        """Send the notices that wait (RFC 3501 §7.1); never before login, so never before TLS."""
        if self.mailbox is not None:
            for text in self.alerts:
                self.send(alert_line(text))
            self.alerts.clear()

    # -- a command's way

    async def command(self, text: bytes) -> None:
        """Answer one command. Raises Bye, Gone."""
        cursor = Cursor(text, utf8=self.utf8)
        tag = b"*"
        try:
            if b"\0" in text:
                raise BadSyntax("NUL in a command")
            self.tag = tag = cursor.tag()
            cursor.space()
            answer = await self._dispatch(cursor)
            self.bad_count = 0
        except BadSyntax as error:
            self.bad_count += 1
            answer = b"BAD " + str(error).encode("ascii", "replace")
            if self.bad_count >= MAX_BAD_COMMANDS or (self.mailbox is None and self.bad_count >= 10):
                raise Bye("Too many errors") from None
        except No as error:
            answer = b"NO " + str(error).encode("ascii", "replace")
        self.push_alerts()
        if answer:  # STARTTLS has answered itself
            self.send(tag + b" " + answer + b"\r\n")

    async def append(self, announced: Announced) -> None:
        """Answer an APPEND, whose letter is still to come. Raises Bye, Gone."""
        tag = announced.text.partition(b" ")[0]
        self.check_login()
        try:
            answer = await self._guarded(self.commands.append(self, announced))
        except BadSyntax as error:
            answer = b"BAD " + str(error).encode("ascii", "replace")
        self.push_alerts()
        self.send(tag + b" " + answer + b"\r\n")

    async def _dispatch(self, cursor: Cursor) -> bytes:
        name = cursor.word()
        by_uid = name == "UID"
        if by_uid:
            cursor.space()
            name = cursor.word()
        verb = self.commands.verbs.get(("UID " if by_uid else "") + name)
        if verb is None or VERB_NEEDS.get(name, "") in self.withheld:
            raise BadSyntax("unknown command")
        verb.check_state(self)
        self.check_login()
        if verb.has_arguments:
            cursor.space()
        elif verb.has_arguments is False:
            cursor.end()
        answer = await self._guarded(verb.run(self, cursor))
        if self.view is not None and verb.tells and not self.closing:
            await self.refresh()
            self.tell_changes(expunge=verb.expunges)
        return answer

    async def _guarded(self, work: Any) -> bytes:
        """What the verb answers; what it dies of is logged, and the peer may try again."""
        try:
            answer: bytes = await work
            return answer
        except No as error:
            return b"NO " + str(error).encode("ascii", "replace")
        except StoreError as error:
            if (no := no_of(error)) is not None:
                return b"NO " + str(no).encode("ascii", "replace")
            return self._failed()
        except (BadSyntax, Bye, Gone, ConnectionError):
            raise
        except Exception:
            return self._failed()

    def _failed(self) -> bytes:
        reference = f"{int(self.server.clock.time() * 1000):x}"
        self.server.log.error(
            "imap command failed", reference=reference, account=self.account, ip=self.wire.remote_ip, exc_info=True
        )
        return f"NO [SERVERBUG] Temporary failure (ref {reference})".encode()

    def raise_bounds(self) -> None:
        """After login lines may be longer: they are of somebody we know."""
        settings = self.server.settings
        self.wire.bounds.line = settings.max_line_octets
        self.wire.bounds.literal = _LITERAL_AFTER_LOGIN
        self.wire.bounds.command = settings.max_line_octets + 2 * _LITERAL_AFTER_LOGIN


def alert_line(text: str) -> bytes:
    """A notice that clients show to their user: one line, in ASCII, without Vietnamese marks (RFC 3501 §9: TEXT-CHAR
    is 7-bit). Thunderbird shows UTF-8 here as if it were Latin-1, whatever was enabled.
    """
    return f"* OK [ALERT] {unaccented(' '.join(text.split()))}\r\n".encode("ascii")
