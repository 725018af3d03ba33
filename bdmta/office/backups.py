"""Backups as the office sees to them: by calendar, in processes of their own; what goes wrong is a letter."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from typing import TYPE_CHECKING

from bdmta.backup.health import Health, examine, write_metrics
from bdmta.directory.registry import call
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError
from bdmta.office.letters import tell
from storage.files import write_durable

if TYPE_CHECKING:
    from bdmta.office.duties import Desk

_TOLD_AGAIN_S = 86_400

_TEXT = """To whoever operates this mail system:

{alarms}

See `bdmta backup list`, and docs/backup.md for what to do. This is said once a day while it lasts.

bdmta on {hostname}
"""


async def back_up(desk: Desk) -> None:
    """Take a backup; then see whether all is well, also when it failed."""
    await _watched(desk, "backup", "run")


async def verify(desk: Desk) -> None:
    """Read all backups back in full."""
    await _watched(desk, "verification", "verify")


async def drill(desk: Desk) -> None:
    """Restore a sample, and read it by IMAP."""
    await _watched(desk, "drill", "drill")


async def _watched(desk: Desk, what: str, command: str) -> None:
    try:
        await desk.errand("backup", command)
    except BdmtaError as error:
        await watch(desk, f"the last {what} failed: {error}")
        raise
    await watch(desk)


async def watch(desk: Desk, failed: str = "") -> None:
    """Write the metrics; tell postmaster what is wrong, once a day for the same."""
    health: Health = await asyncio.to_thread(_look, desk)
    if failed and failed not in health.alarms:
        health.alarms.insert(0, failed)
    marker = os.path.join(desk.site.state_dir, "backup-told")
    is_news = await asyncio.to_thread(_is_news, marker, health, desk.clock.time()) if health.alarms else False
    if is_news:
        desk.log.error("backups are not well", alarms=health.alarms)
        text = _TEXT.format(
            alarms="\n".join(f"  - {alarm}" for alarm in health.alarms[:50]), hostname=desk.site.config.server.hostname
        )
        await desk.ask("backup_tell", text=text)


def _look(desk: Desk) -> Health:
    health = examine(desk.site, desk.clock)
    write_metrics(desk.site, health)
    return health


def _is_news(marker: str, health: Health, now: float) -> bool:
    """Whether postmaster was not told of these alarms within a day; notes that it is told now."""
    kinds = sorted(alarm.partition(":")[0] for alarm in health.alarms)
    digest = hashlib.sha256("\n".join(kinds).encode()).hexdigest()
    try:
        with open(marker, encoding="utf-8") as file:
            told = json.load(file)
        if told["digest"] == digest and 0 <= now - told["at"] < _TOLD_AGAIN_S:
            return False
    except (OSError, ValueError, KeyError, TypeError):
        pass
    write_durable(marker, json.dumps({"digest": digest, "at": now}).encode() + b"\n")
    return True


@call
def backup_tell(service: DirectoryService, *, text: str) -> None:
    """Put a letter about the backups into postmaster's mailbox."""
    tell(service, service.postmaster, "Backups are not well", text)
