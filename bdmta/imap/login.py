"""CAPABILITY, ID, STARTTLS, LOGIN, AUTHENTICATE, ENABLE, LOGOUT."""

from __future__ import annotations

import base64
import binascii

from bdmta.auth import Failure
from bdmta.imap.errors import No
from bdmta.imap.session import Session
from bdmta.imap.syntax import BadSyntax, Cursor, as_text
from bdmta.session import Bye
from storage.errors import StoreError

_ID = b'* ID ("name" "bdmta")\r\n'
_MAX_ID_PAIRS = 30  # RFC 2971 §3.3
_MAX_CREDENTIAL_OCTETS = 1024


async def capability(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.1.1."""
    session.send(b"* CAPABILITY %b\r\n" % session.capabilities().encode())
    return b"OK Capability completed"


async def logout(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.1.3."""
    session.send(b"* BYE Logging out\r\n")
    session.closing = True
    return b"OK Logout completed"


async def id_(session: Session, cursor: Cursor) -> bytes:
    """RFC 2971: what the client is goes to the log; we tell our name and no version."""
    told: dict[str, str] = {}
    if cursor.nil():
        cursor.end()
    else:
        cursor.expect(b"(")
        while not cursor.skip(b")"):
            if told:
                cursor.space()
            name = as_text(cursor.string())[:30]
            cursor.space()
            value = cursor.nstring()
            told[name.lower()] = as_text(value or b"")[:200]
            if len(told) > _MAX_ID_PAIRS:
                raise BadSyntax("too many fields")
        cursor.end()
    if told:
        session.server.log.debug(
            "imap client",
            account=session.account,
            ip=session.wire.remote_ip,
            name=told.get("name", ""),
            version=told.get("version", ""),
        )
    session.send(_ID)
    return b"OK ID completed"


async def starttls(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.2.1. Octets already here came in the clear: the session ends (CVE-2011-0411). The wire answers."""
    if session.server.tls is None or session.wire.has_tls:
        raise BadSyntax("TLS is not offered now")
    await session.wire.start_tls()
    return b""


async def login(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.2.3."""
    user = cursor.text()
    cursor.space()
    password = cursor.text()
    cursor.end()
    return await _log_in(session, user, password)


async def authenticate(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.2.2 with SASL-IR (RFC 4959): PLAIN (RFC 4616) and LOGIN."""
    mechanism = cursor.word()
    initial: bytes | None = None
    if not cursor.at_end():
        cursor.space()
        initial = cursor.data[cursor.at :]
    if mechanism not in ("PLAIN", "LOGIN"):
        raise No("Unknown mechanism")
    _needs_tls(session)
    if mechanism == "PLAIN":
        user, password = _plain(await _response(session, b"", initial))
    else:
        user = as_text(await _response(session, b"Username:", initial))
        password = as_text(await _response(session, b"Password:", None))
    return await _log_in(session, user, password)


def _needs_tls(session: Session) -> None:
    if not session.takes_passwords():
        raise No("[PRIVACYREQUIRED] Use STARTTLS first")


async def _response(session: Session, challenge: bytes, initial: bytes | None) -> bytes:
    """A response out of base64. `*` is the client's giving up; `=` an empty initial response."""
    octets = initial
    if octets is None:
        session.send(b"+ " + base64.b64encode(challenge) + b"\r\n")
        octets = await session.wire.line()
    elif octets == b"=":
        return b""
    if octets == b"*":
        raise BadSyntax("authentication given up")
    try:
        return base64.b64decode(octets, validate=True)
    except (binascii.Error, ValueError):
        raise BadSyntax("base64 malformed") from None


def _plain(octets: bytes) -> tuple[str, str]:
    pieces = octets.split(b"\0")
    if len(pieces) != 3 or not pieces[1]:
        raise BadSyntax("authzid NUL user NUL password expected")
    if pieces[0] and pieces[0] != pieces[1]:
        raise No("[AUTHORIZATIONFAILED] Acting as another is not offered")
    return as_text(pieces[1]), as_text(pieces[2])


async def _log_in(session: Session, user: str, password: str) -> bytes:
    """Check, then open the mailbox. What was wrong is for the log; the peer sees one answer."""
    _needs_tls(session)
    server = session.server
    if max(len(user), len(password)) > _MAX_CREDENTIAL_OCTETS:
        raise No("[AUTHENTICATIONFAILED] Wrong user or password")
    found = await server.authenticator.login(user, password, session.wire.remote_ip, "imap")
    if isinstance(found, Failure):
        session.failures += 1
        if session.failures >= server.settings.max_failures:
            raise Bye("Too many wrong passwords")
        if found.told:
            raise No(f"[EXPIRED] {found.told}")  # RFC 5530 §3
        raise No("[AUTHENTICATIONFAILED] Wrong user or password")
    address = found.account.address
    if server.accounts[address] >= server.settings.sessions_per_account and not server.settings.trusts(
        session.wire.remote_ip
    ):
        raise No("[LIMIT] Too many sessions of this account")
    server.accounts[address] += 1
    session.account, session.login = address, found
    try:
        session.mailbox = await session.run(server.mailboxes.mailbox, *server.mail.locate(address))
    except StoreError as error:
        server.log.error("mailbox cannot be opened", account=address, error=str(error))
        raise No("[UNAVAILABLE] The mailbox cannot be opened now") from None
    finally:
        if session.mailbox is None:
            session.close()
    session.withheld = server.withheld(address)
    session.raise_bounds()
    session.alerts.extend(server.alerts(address))
    session.fact("login")
    return b"OK [CAPABILITY %b] Logged in" % session.capabilities().encode()


async def enable(session: Session, cursor: Cursor) -> bytes:
    """RFC 5161: CONDSTORE (RFC 7162) and UTF8=ACCEPT (RFC 6855); what is not known is passed over."""
    asked = [_capability_name(cursor)]
    while not cursor.at_end():
        cursor.space()
        asked.append(_capability_name(cursor))
    enabled = []
    for name in asked:
        if name == "CONDSTORE" and session.offers(name):
            session.start_condstore()
            enabled.append(b"CONDSTORE")
        elif name == "UTF8=ACCEPT" and session.offers(name):
            if session.view is not None:  # RFC 5161 §3.1: authenticated state; names that were told change their form
                raise BadSyntax("ENABLE comes before SELECT")
            session.utf8 = True
            enabled.append(b"UTF8=ACCEPT")
    session.send(b"* ENABLED" + b"".join(b" " + name for name in enabled) + b"\r\n")
    return b"OK Enabled"


def _capability_name(cursor: Cursor) -> str:
    return cursor.word()
