"""Backups: 200 mailboxes and 100,000 letters, beside `cp -a` of the same tree; what changed since; one letter back.

Everything by the command, as the timetable runs it. Both copies are timed to the disk (`sync` at the end).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.extent import of

BOXES, LETTERS, NEW = 200, of(100_000, 5000), of(1000, 200)
DOMAIN = "binhduong.gov.vn"
_SIZES = (1_500, 3_000, 5_000, 8_000, 12_000, 20_000, 60_000)
_TEXT = b"K\xc3\xadnh g\xe1\xbb\xadi c\xc3\xa1c \xc4\x91\xc6\xa1n v\xe1\xbb\x8b, " * 30 + b"\r\n"


def run(top: Path, base_port: int, say: Callable[[str], None]) -> str:
    """The table for bench/RESULTS.md."""
    site = top / "site"
    bdmta(None, "init", str(site), "--base-port", str(base_port), "--domain", DOMAIN)
    bdmta(
        site,
        "mailbox",
        "add",
        f"u007@{DOMAIN}",
        "--name",
        "Nguyễn Văn Bảy",
        "--password-stdin",
        stdin="Mat-khau-2026\n",
    )
    fill(site / "mail" / DOMAIN, say)
    octets = sum(path.stat().st_size for path in (site / "mail").rglob("*") if path.is_file())
    rows: list[tuple[str, float, str]] = []
    os.sync()
    copied = timed(lambda: (subprocess.run(["cp", "-a", str(site / "mail"), str(top / "copy")], check=True), os.sync()))
    rows.append(("`cp -a` of the mailboxes, and sync", copied, f"{LETTERS / copied:,.0f} letters/s"))
    say(f"cp -a: {copied:.1f} s")
    first = timed(lambda: bdmta(site, "backup", "run"))
    rows.append(("first backup", first, f"{LETTERS / first:,.0f} letters/s, {100 * copied / first:.0f} % of `cp -a`"))
    say(f"first: {first:.1f} s")
    unchanged = timed(lambda: bdmta(site, "backup", "run"))
    rows.append(("backup, nothing changed", unchanged, ""))
    deliver(site / "mail" / DOMAIN)
    after = timed(lambda: bdmta(site, "backup", "run"))
    rows.append((f"backup, {NEW:,} letters later", after, f"in {BOXES} mailboxes"))
    letter = next((site / "mail" / DOMAIN / "u007" / "cur").iterdir())
    message_id = letter.read_bytes().partition(b"Message-ID: ")[2].partition(b"\r\n")[0].decode()
    letter.unlink()
    back = timed(lambda: bdmta(site, "backup", "restore", "--message-id", message_id))
    rows.append(("one letter found and restored", back, "by its Message-ID, mailbox not given"))
    verified = timed(lambda: bdmta(site, "backup", "verify"))
    rows.append(("verify: everything read from the disk", verified, "three backups"))
    shutil.rmtree(top / "copy")
    whole = timed(lambda: bdmta(None, "backup", "restore", "--from", str(site / "backup"), "--onto", str(top / "again"),
                                "--keys", str(site / "backup-keys")))  # fmt: skip
    rows.append(("the whole site onto an empty folder", whole, f"{LETTERS / whole:,.0f} letters/s"))
    kept = json.loads(bdmta(site, "backup", "list", "--json"))
    say(f"{kept[-1]['letters']} letters in the last backup")
    lines = [f"{BOXES} mailboxes, {LETTERS:,} letters, {octets / 1e9:.2f} GB; two cores, one disk.", ""]
    lines += ["| | seconds | |", "| --- | --- | --- |"]
    lines += [f"| {what} | {seconds:.1f} | {more} |" for what, seconds, more in rows]
    return "\n".join(lines)


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def bdmta(site: Path | None, *words: str, stdin: str = "") -> str:
    config = ["-c", str(site / "bdmta.toml")] if site else []
    command = [sys.executable, "-m", "bdmta", *config, *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def fill(domain: Path, say: Callable[[str], None]) -> None:
    """Mailboxes as the server leaves them: letters in cur, uidlists."""
    chance = random.Random(5)
    at = int(time.time()) - 10_000_000
    number = 0
    for box in range(BOXES):
        mailbox = domain / f"u{box:03}"
        for folder in ("", ".Sent", ".Drafts", ".Trash", ".Junk", ".Archive"):
            for sub in ("tmp", "new", "cur"):
                (mailbox / folder / sub).mkdir(parents=True, exist_ok=True)
        lists: dict[str, list[str]] = {"": [], ".Sent": []}
        for _ in range(LETTERS // BOXES):
            number += 1
            folder = ".Sent" if number % 4 == 0 else ""
            octets = letter(number, chance.choice(_SIZES))
            base = f"{at + number}.M1P1Q{number}.mail,S={len(octets)},W={len(octets)}"
            (mailbox / folder / "cur" / f"{base}:2,S").write_bytes(octets)
            lists[folder].append(base)
        for folder, bases in lists.items():
            lines = "".join(f"{uid} :{base}\n" for uid, base in enumerate(bases, 1))
            (mailbox / folder / "dovecot-uidlist").write_text(f"3 V1764000000 N{len(bases) + 1} G{box:032x}\n{lines}")
    say(f"{number} letters written")


def deliver(domain: Path) -> None:
    """New letters, as deliveries leave them."""
    for number in range(LETTERS + 1, LETTERS + NEW + 1):
        octets = letter(number, _SIZES[number % len(_SIZES)])
        name = f"{int(time.time())}.M2P1Q{number}.mail,S={len(octets)},W={len(octets)}"
        (domain / f"u{number % BOXES:03}" / "new" / name).write_bytes(octets)


def letter(number: int, octets: int) -> bytes:
    head = f"From: a{number}@x.example\r\nTo: b@{DOMAIN}\r\nSubject: Công văn {number}\r\nMessage-ID: <{number}@x.example>\r\n\r\n"
    return head.encode() + (_TEXT * (octets // len(_TEXT) + 1))[:octets]
