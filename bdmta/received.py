"""The trace fields put on top of a letter: Return-Path and Received (RFC 5321 §4.4)."""

from __future__ import annotations

import time
from functools import lru_cache

from bdmta.envelope import Envelope

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@lru_cache(maxsize=8)
def rfc5322_date(seconds: int, offset_s: int) -> str:
    """`seconds` since 1970 as a date in the zone `offset_s` east of UTC (RFC 5322 §3.3)."""
    t = time.gmtime(seconds + offset_s)
    sign, minutes = ("-" if offset_s < 0 else "+"), abs(offset_s) // 60
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday} {_MONTHS[t.tm_mon - 1]} {t.tm_year} "
        f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} {sign}{minutes // 60:02d}{minutes % 60:02d}"
    )


def trace_fields(envelope: Envelope, hostname: str, offset_s: int) -> bytes:
    """Return-Path and Received of one letter, the same for all its recipients, so that they can share an inode.

    No `for` clause: it would differ by recipient, and tell a Bcc (contract 2; RFC 5321 §7.2).
    """
    date = rfc5322_date(int(envelope.received_at.timestamp()), offset_s)
    origin = envelope.helo or "localhost"
    if envelope.remote_ip:
        literal = envelope.remote_ip if ":" not in envelope.remote_ip else f"IPv6:{envelope.remote_ip}"
        origin = f"{origin} ([{literal}])"
    text = (
        f"Return-Path: <{envelope.sender_text}>\r\n"
        f"Received: from {origin}\r\n"
        f"\tby {hostname} with {envelope.protocol} id {envelope.reference};\r\n"
        f"\t{date}\r\n"
    )
    return text.encode("utf-8", "surrogateescape")
