"""Take the reports out of the mailbox that `rua=` leads to; the letters stay where they are.

Runs as a command, in a process of its own: what strangers have packed is never unpacked where letters are served.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bdmta.mailauth.aggregate import ReportUnreadable
from bdmta.mailauth.kept_reports import KeptReports, kept_report
from bdmta.mailauth.received_report import reports_in
from bdmta.message import Message, scan
from bdmta.site import Site
from storage.errors import NotFound
from storage.files import write_durable
from storage.maildir import mailbox_dir

_QUOTED = re.compile(r'"[^"]*"')
_DMARC = re.compile(r";\s*dmarc=(\w+)[^;]*?\sheader\.from=([^\s;]+)")
_MAX_LETTERS = 500  # a run; the next one goes on
_MAX_LETTER_OCTETS = 24 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Collected:
    """What one run came to: letters looked at, reports that are new, letters whose report could not be read."""

    letters: int
    new: int
    unreadable: tuple[str, ...]
    removed: int


def reports_folder(site: Site) -> str:
    """Where reports are kept."""
    return os.path.join(site.data_dir, "dmarc", "received")


def collect(site: Site, now: float) -> Collected:
    """Read the letters that have come since the last run, keep their reports, let old reports go. Raises StoreError."""
    seen_path = os.path.join(site.data_dir, "dmarc", "seen.json")
    kept, seen = KeptReports(reports_folder(site)), _read_seen(seen_path)
    names = dict(_letters(mailbox_dir(site.mail_root, site.config.dmarc.mailbox or site.config.postmaster)))
    fresh = [name for name in names if name not in seen][:_MAX_LETTERS]
    new, unreadable = 0, []
    for name in fresh:
        try:
            new += _keep(names[name], site, kept)
        except ReportUnreadable as error:
            unreadable.append(f"{os.path.basename(names[name])}: {error}")
        except (FileNotFoundError, NotFound):
            continue  # moved or removed meanwhile
    if fresh or any(name not in names for name in seen):
        os.makedirs(os.path.dirname(seen_path), mode=0o700, exist_ok=True)
        left = sorted((seen & names.keys()) | set(fresh))
        write_durable(seen_path, json.dumps(left).encode() + b"\n")
    removed = kept.tidy(site.config.dmarc.keep_days, now)
    return Collected(len(fresh), new, tuple(unreadable), removed)


def _letters(mailbox: str) -> Iterator[tuple[str, str]]:
    """The letters of the inbox: the name without its flags, which a client changes, and the path; oldest first."""
    for part in ("cur", "new"):
        try:
            found = sorted(os.listdir(f"{mailbox}/{part}"))
        except FileNotFoundError:
            continue
        for name in found:
            yield name.partition(":")[0], f"{mailbox}/{part}/{name}"


def _read_seen(path: str) -> set[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return set(map(str, json.load(file)))
    except (OSError, ValueError, TypeError):
        return set()  # read again: what is kept already is not kept twice


def _keep(path: str, site: Site, kept: KeptReports) -> int:
    """How many reports of the letter are new. ReportUnreadable for one that says it is a report, and is none."""
    with open(path, "rb") as file:
        octets = file.read(_MAX_LETTER_OCTETS + 1)
    if len(octets) > _MAX_LETTER_OCTETS:
        return 0
    message = scan(octets)
    subject = message.first("subject")
    says_so = subject is not None and subject.text.strip().lower().startswith("report domain:")
    try:
        reports = reports_in(octets)
    except ReportUnreadable:
        if says_so:
            raise
        return 0
    author, is_proven = _proof(message, site.config.server.hostname)
    about_us = [report for report in reports if report.domain in site.config.mail.domains]
    return sum(kept.put(kept_report(report, brought_by=author, is_proven=is_proven)) for report in about_us)


def _proof(message: Message, hostname: str) -> tuple[str, bool]:
    """Whose letter it was, and whether our own check believed it; results forged in our name went when it came."""
    results = message.first("authentication-results")
    # What strangers chose stands in quotes, where it can say nothing for us.
    found = _DMARC.search(_QUOTED.sub("", results.text)) if results is not None else None
    if results is None or found is None or results.text.partition(";")[0].strip().lower() != hostname.lower():
        return "", False
    return found[2], found[1] == "pass"
