"""A Maildir of plausible letters; `x` is in the subject of every tenth."""

from __future__ import annotations

import random
from pathlib import Path

_LINE = "The quick brown fo jumps over the lazy dog while seventy-two letters pas.\r\n"
_BRANCHES = (
    "Content-Type: multipart/alternative; boundary=b1\r\n\r\n--b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
    "Content-Type: text/plain; charset=utf-8\r\n\r\n",
)
_TAIL = "\r\n--b1\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>short</p>\r\n--b1--\r\n"


def letter(number: int, octets: int, draw: random.Random) -> bytes:
    """One of about `octets`; every fourth has two parts."""
    subject = "budget x review" if number % 10 == 0 else "minutes of the meeting"
    day, minute = 1 + number % 28, number % 60
    is_plain = number % 4 != 0
    head = (
        f"Return-Path: <u{number % 97}@example.org>\r\n"
        f"Received: from mx{number % 5}.example.org ([192.0.2.{number % 250}]) by mx.test.local with ESMTP "
        f"id {number:08x};\r\n"
        f"\tMon, {day} Jun 2026 10:{minute:02d}:00 +0000\r\nFrom: User {number % 97} <u{number % 97}@example.org>\r\n"
        f"To: Box <box@test.local>, Other <o{number % 13}@test.local>\r\nCc: third{number % 7}@test.local\r\n"
        f"Subject: {subject} {number}\r\nDate: Mon, {day} Jun 2026 10:{minute:02d}:00 +0000\r\n"
        f"Message-ID: <{number}.{draw.randrange(1 << 60)}@example.org>\r\nMIME-Version: 1.0\r\n{_BRANCHES[is_plain]}"
    )
    tail = "" if is_plain else _TAIL
    return (head + _LINE * max(0, (octets - len(head) - len(tail)) // len(_LINE)) + tail).encode()


def fill(maildir: Path, count: int, octets: int) -> None:
    """Put `count` of them into `cur`, a third unseen, under the names that both servers write."""
    draw = random.Random(1)
    for sub in ("tmp", "new", "cur"):
        (maildir / sub).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        body = letter(number, octets, draw)
        flag = "S" if number % 3 else ""
        name = f"{1780000000 + number}.M{number % 1_000_000}P1.mx,S={len(body)},W={len(body)}:2,{flag}"
        (maildir / "cur" / name).write_bytes(body)
