"""Addresses as SMTP has them: parsed by a grammar of our own, linear in time (RFC 5321 §4.1.2, RFC 6531 §3.3)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MAX_LOCAL_OCTETS = 64  # RFC 5321 §4.5.3.1.1
MAX_DOMAIN_OCTETS = 255  # §4.5.3.1.2
MAX_PATH_OCTETS = 256  # §4.5.3.1.3

_ATEXT = r"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\U0010ffff"
_DOT_STRING = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*")
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"')
_LABEL = r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9_\-\u0080-\U0010ffff]*[A-Za-z0-9\u0080-\U0010ffff])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LITERAL = re.compile(r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]{2,45})\]")
_SOURCE_ROUTE = re.compile(r"@[^:<>\s]{1,255}:")

# What a mailbox of this system may be called: what Điều 5 makes, and what older systems left behind.
_MAILBOX_LOCAL = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


class AddressError(ValueError):
    """Not an address; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox address; `local` with its quotes taken off, `domain` in lower case."""

    local: str
    domain: str

    def __str__(self) -> str:
        local = self.local
        if not _DOT_STRING.fullmatch(local):
            local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def is_ascii(self) -> bool:
        """No SMTPUTF8 is needed to write it."""
        return self.local.isascii() and self.domain.isascii()

    @property
    def key(self) -> str:
        """The form to look up and compare: NFC, case folded. Dots are significant (Điều 5: `minhnv.dian`)."""
        return unicodedata.normalize("NFC", f"{self.local}@{self.domain}").casefold()


def parse_address(text: str) -> Address:
    """The address in `text` (`local@domain`), or AddressError."""
    local, end = _parse_local(text, 0)
    if end >= len(text) or text[end] != "@":
        raise AddressError("there is no @domain")
    return _checked(local, text[end + 1 :])


def parse_path(text: str) -> tuple[Address | None, str]:
    """The path at the start of a MAIL or RCPT argument, and what follows it.

    None is the null reverse-path `<>`. `postmaster` without a domain is Address("postmaster", "") (RFC 5321
    §4.1.1.3). A source route is read and dropped (Appendix C). Raises AddressError.
    """
    if not text.startswith("<"):
        raise AddressError("the address must stand in < >")
    if text.startswith("<>"):
        return None, text[2:]
    start = 1
    if text.startswith("@", 1):
        route = _SOURCE_ROUTE.match(text, 1)
        if route is None:
            raise AddressError("the source route is malformed")
        start = route.end()
    local, end = _parse_local(text, start)
    close = text.find(">", end)
    if close < 0:
        raise AddressError("the closing > is missing")
    if close == end and local.lower() == "postmaster":
        return Address(local, ""), text[close + 1 :]
    if text[end : end + 1] != "@":
        raise AddressError("there is no @domain")
    if close - start > MAX_PATH_OCTETS + 64:
        raise AddressError("the address is too long")
    return _checked(local, text[end + 1 : close]), text[close + 1 :]


def _parse_local(text: str, start: int) -> tuple[str, int]:
    if text.startswith('"', start):
        quoted = _QUOTED.match(text, start)
        if quoted is None:
            raise AddressError("the quoted local part is malformed")
        return re.sub(r"\\(.)", r"\1", quoted[0][1:-1]), quoted.end()
    plain = _DOT_STRING.match(text, start)
    if plain is None:
        raise AddressError("the local part is malformed")
    return plain[0], plain.end()


def _checked(local: str, domain: str) -> Address:
    if len(local.encode("utf-8", "surrogateescape")) > MAX_LOCAL_OCTETS:
        raise AddressError(f"the local part is over {MAX_LOCAL_OCTETS} octets")
    if len(domain.encode("utf-8", "surrogateescape")) > MAX_DOMAIN_OCTETS:
        raise AddressError(f"the domain is over {MAX_DOMAIN_OCTETS} octets")
    if not (_DOMAIN.fullmatch(domain) or _LITERAL.fullmatch(domain)):
        raise AddressError("the domain is malformed")
    return Address(local, domain.lower())


def is_mailbox_local(local: str) -> bool:
    """`local` (in lower case) can name a mailbox here: letters, digits, `.`, `-`, `_`; never a path."""
    return bool(_MAILBOX_LOCAL.fullmatch(local)) and ".." not in local
