"""`bdmta policy replay`: what today's chain would say of letters that are already in the mailboxes.

It reports by reference and address, never content, and changes nothing: steps that would wait for DNS or keep state see
an empty state. A letter in several mailboxes (one inode) is judged once.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bdmta.chain import Chain
from bdmta.clock import SystemClock
from bdmta.examine.pool import ExaminerPool
from bdmta.log import configure
from bdmta.message import Message, scan
from bdmta.message.addresses import mailboxes
from bdmta.policy import Direction, Facts, Stage
from bdmta.policytry import open_chain
from bdmta.site import Site
from storage.maildir import folder_dirs

_RECEIVED_ID = re.compile(rb"\bwith (\S{1,20}) id ([0-9a-z]{10,20});")
_NAME_TIME = re.compile(r"(\d{9,11})\.")


@dataclass(frozen=True, slots=True)
class Stored:
    """A letter in a mailbox: where, when it came, in which mailboxes its inode lies."""

    path: str
    at: float
    mailboxes: tuple[str, ...]


def stored_since(site: Site, since: float) -> list[Stored]:
    """Letters that arrived at or after `since` (by their file names), oldest first, each inode once."""
    found: dict[int, tuple[str, float, list[str]]] = {}
    for domain in os.listdir(site.mail_root):
        top = os.path.join(site.mail_root, domain)
        if domain.startswith(".") or not os.path.isdir(top):
            continue
        for name in os.listdir(top):
            for folder in folder_dirs(os.path.join(top, name)):
                _collect(folder, f"{name}@{domain}", since, found)
    letters = [Stored(path, at, tuple(boxes)) for path, at, boxes in found.values()]
    return sorted(letters, key=lambda letter: (letter.at, letter.path))


def _collect(folder: str, address: str, since: float, found: dict[int, tuple[str, float, list[str]]]) -> None:
    for sub in ("new", "cur"):
        try:
            entries = list(os.scandir(os.path.join(folder, sub)))
        except FileNotFoundError:
            continue
        for entry in entries:
            arrived = _NAME_TIME.match(entry.name)
            if arrived is None or float(arrived[1]) < since:
                continue
            _, _, boxes = found.setdefault(entry.inode(), (entry.path, float(arrived[1]), []))
            if address not in boxes:
                boxes.append(address)


def replay(site: Site, since: float, only: frozenset[str]) -> Iterator[dict[str, Any]]:
    """For each letter that the chain would now treat otherwise than it did (it was delivered): what it would say."""
    with asyncio.Runner() as runner:
        examiner = ExaminerPool.for_site(site, configure("error", site.config.log.format))
        runner.run(examiner.start())
        try:
            chain = open_chain(site, examiner)
            chain = chain.only(only) if only else chain
            for letter in stored_since(site, since):
                answer = runner.run(_judge(site, chain, letter))
                if answer is not None:
                    yield answer
        finally:
            runner.run(examiner.close())


async def _judge(site: Site, chain: Chain, letter: Stored) -> dict[str, Any] | None:
    try:
        with open(letter.path, "rb") as file:
            octets = file.read()
    except FileNotFoundError:  # moved or deleted meanwhile
        return None
    message = scan(octets)
    protocol, reference = _received(message)
    direction = Direction.SUBMISSION if protocol.endswith("A") else Direction.INBOUND
    ruling = await chain.rule(Stage.DATA, _facts(site, message, letter, direction, reference))
    if ruling.verdict == "accept" and not ruling.rewritten_by:
        return None
    return {
        "reference": reference,
        "at": datetime.fromtimestamp(letter.at, UTC).isoformat(),
        "mailboxes": list(letter.mailboxes),
        "direction": str(direction),
        "verdict": ruling.verdict if ruling.verdict != "accept" else "rewrite",
        "policy": ruling.refused_by or ruling.quarantined_by or ", ".join(ruling.rewritten_by),
        "codes": sorted({f.code for step in ruling.steps for f in step.findings}),
    }


def _received(message: Message) -> tuple[str, str]:
    """Protocol and reference in our own Received field, which is the first."""
    header = message.first("received")
    found = _RECEIVED_ID.search(header.value.replace(b"\r\n", b"")) if header is not None else None
    return (found[1].decode("ascii", "replace"), found[2].decode()) if found else ("", "")


def _facts(site: Site, message: Message, letter: Stored, direction: Direction, reference: str) -> Facts:
    path = message.first("return-path")
    boxes = mailboxes(path.value) if path is not None else []
    sender = f"{boxes[0].local}@{boxes[0].domain}".casefold() if boxes and boxes[0].domain else ""
    return Facts(
        direction=direction, received_at=SystemClock().now(), reference=reference, listener="replay",
        mail_from=sender, rcpt_to=letter.mailboxes, size=len(message.octets), message=message,
        local_domains=frozenset(site.config.mail.domains),
    )  # fmt: skip
