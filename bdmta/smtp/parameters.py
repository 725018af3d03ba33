"""The parameters of MAIL and RCPT (RFC 5321 §4.1.2): SIZE, BODY, SMTPUTF8, RET, ENVID, AUTH; NOTIFY, ORCPT."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bdmta.reply import Reply, reply

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_VALUE = re.compile(r"[!-<>-~\u0080-\U0010ffff]*")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")  # RFC 3461 §4
_MAX_PARAMETERS = 20
_NOTIFY = {"NEVER", "SUCCESS", "FAILURE", "DELAY"}


@dataclass(frozen=True, slots=True)
class MailParameters:
    """What MAIL said beside the reverse-path; `dsn_ret` and `dsn_envid` are kept with the envelope (RFC 3461 §4.3)."""

    size_octets: int | None = None
    body: str = "7BIT"
    smtputf8: bool = False
    dsn_ret: str = ""
    dsn_envid: str = ""


@dataclass(frozen=True, slots=True)
class RcptParameters:
    """What RCPT said beside the forward-path (RFC 3461 §4.1, §4.2)."""

    dsn_notify: tuple[str, ...] = ()
    dsn_orcpt: str = ""


NO_MAIL_PARAMETERS = MailParameters()
NO_RCPT_PARAMETERS = RcptParameters()


def _pairs(text: str) -> list[tuple[str, str | None]] | Reply:
    pairs: list[tuple[str, str | None]] = []
    for word in text.split():
        name, equals, value = word.partition("=")
        if not _NAME.fullmatch(name) or (equals and not _VALUE.fullmatch(value)):
            return reply(501, "5.4", "Malformed parameter", "Tham số sai cú pháp")
        if len(pairs) >= _MAX_PARAMETERS or any(name.upper() == known for known, _ in pairs):
            return reply(501, "5.4", f"Parameter {name.upper()[:20]} repeated, or too many", "Tham số bị lặp")
        pairs.append((name.upper(), value if equals else None))
    return pairs


def parse_mail_parameters(text: str) -> MailParameters | Reply:
    """The parameters after the reverse-path, or the refusal (501, or 555 for one not known: RFC 5321 §4.1.1.11)."""
    if not text.strip():
        return NO_MAIL_PARAMETERS
    pairs = _pairs(text)
    if isinstance(pairs, Reply):
        return pairs
    size, body, utf8, ret, envid = None, "7BIT", False, "", ""
    for name, value in pairs:
        if name == "SIZE" and value and value.isascii() and value.isdigit() and len(value) <= 20:
            size = int(value)
        elif name == "BODY" and value and value.upper() in ("7BIT", "8BITMIME"):
            body = value.upper()
        elif name == "SMTPUTF8" and value is None:
            utf8 = True
        elif name == "RET" and value and value.upper() in ("FULL", "HDRS"):
            ret = value.upper()
        elif name == "ENVID" and value and len(value) <= 100 and _XTEXT.fullmatch(value):
            envid = value
        elif name == "AUTH" and value:
            continue  # RFC 4954 §5: read and not believed
        else:
            return _refuse(name, ("SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"))
    return MailParameters(size, body, utf8, ret, envid)


def parse_rcpt_parameters(text: str) -> RcptParameters | Reply:
    """The parameters after the forward-path, or the refusal."""
    if not text.strip():
        return NO_RCPT_PARAMETERS
    pairs = _pairs(text)
    if isinstance(pairs, Reply):
        return pairs
    notify: tuple[str, ...] = ()
    orcpt = ""
    for name, value in pairs:
        if name == "NOTIFY" and value:
            notify = tuple(value.upper().split(","))
            if not set(notify) <= _NOTIFY or ("NEVER" in notify and len(notify) > 1):
                return _refuse(name, ("NOTIFY",))
        elif name == "ORCPT" and value and len(value) <= 500 and ";" in value and _VALUE.fullmatch(value):
            orcpt = value
        else:
            return _refuse(name, ("NOTIFY", "ORCPT"))
    return RcptParameters(notify, orcpt)


def _refuse(name: str, known: tuple[str, ...]) -> Reply:
    if name in known:
        return reply(501, "5.4", f"The value of {name} is wrong", f"Giá trị của {name} không đúng")
    return reply(555, "5.4", f"Parameter {name[:20]} is not known here", f"Không hỗ trợ tham số {name[:20]}")
