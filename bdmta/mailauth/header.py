"""The Authentication-Results field (RFC 8601): ours written, forged ones recognised."""

from __future__ import annotations

import re
from collections.abc import Container

from bdmta.mailauth.results import AuthResults, DkimResult, DmarcResult, Result

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]+\Z")  # RFC 2045 §5.1; all else is quoted
_UNQUOTABLE = re.compile(r'[^\x20-\x7e]|["\\]')
_MAX_VALUE = 255
_ID = re.compile(rb'"((?:[^"\\\r\n]|\\.)*)"|([^\s;()"/]+)', re.DOTALL)
_BLANKS = b" \t\r\n"


def authentication_results(authserv_id: str, auth: AuthResults) -> bytes:
    """The field with its CRLF, one method a line. What strangers chose is quoted, bounded, and never breaks a line."""
    spf = _method("spf", auth.spf.result, auth.spf.reason, (f"smtp.{auth.spf.identity}", auth.spf.domain))
    signatures = [_dkim(result) for result in auth.dkim] or ["dkim=none"]
    lines = (f"Authentication-Results: {authserv_id}", spf, *signatures, _dmarc(auth.dmarc))
    return (";\r\n\t".join(lines) + "\r\n").encode("ascii")


def _dmarc(verdict: DmarcResult) -> str:
    text = f"dmarc={verdict.result}"
    if verdict.policy:
        softened = verdict.result is Result.FAIL and verdict.disposition != verdict.policy
        text += f" (p={verdict.policy}{f' dis={verdict.disposition}' if softened else ''})"
    return _said(text, verdict.reason, ("header.from", verdict.domain))


def _dkim(result: DkimResult) -> str:
    return _method(
        "dkim", result.result, result.reason, ("header.d", result.domain), ("header.s", result.selector),
        ("header.a", result.algorithm), ("header.b", result.signature),
    )  # fmt: skip


def _method(name: str, result: Result, reason: str, *properties: tuple[str, str]) -> str:
    return _said(f"{name}={result}", reason, *properties)


def _said(text: str, reason: str, *properties: tuple[str, str]) -> str:
    if reason:
        text += f' reason="{_UNQUOTABLE.sub("?", reason[:100])}"'
    return text + "".join(f" {key}={_value(value)}" for key, value in properties if value)


def _value(value: str) -> str:
    value = value[:_MAX_VALUE]
    return value if _TOKEN.match(value) else f'"{_UNQUOTABLE.sub("?", value)}"'


def claims_to_be(value: bytes, ids: Container[str]) -> bool:
    """An Authentication-Results value that says it is from one of `ids` (lower case), or does not say whose it is.

    It came from outside, so it is a forgery of ours and must go (RFC 8601 §5).
    """
    match = _ID.match(value, _behind_comments(value))
    if match is None:
        return True
    name = (re.sub(rb"\\(.)", rb"\1", match[1]) if match[1] is not None else match[2]).decode("latin-1")
    return name.strip().rstrip(".").lower() in ids


def _behind_comments(value: bytes) -> int:
    """Where the blanks and comments at the start end; linear."""
    depth, at = 0, 0
    while at < len(value):
        octet = value[at : at + 1]
        if octet == b"(":
            depth += 1
        elif depth and octet == b")":
            depth -= 1
        elif depth and octet == b"\\":
            at += 1
        elif not depth and octet not in _BLANKS:
            break
        at += 1
    return at
