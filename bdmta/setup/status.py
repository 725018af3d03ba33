"""What `bdmta status` tells: read from the site's files and ports, so that it works while mail is down."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import asdict
from typing import Any

from bdmta import __version__
from bdmta.backup.health import as_status, local_time
from bdmta.clock import SystemClock
from bdmta.errors import BdmtaError
from bdmta.journals import awaits_replay, troubles
from bdmta.setup.inspection import is_running, listening
from bdmta.site import Site
from storage.errors import StoreError


def collect(site: Site) -> dict[str, Any]:
    """The facts, ready for JSON. `last_backup` and `outage` are null while there is none."""
    return {
        "version": __version__,
        "config": site.config_path,
        "domain": site.config.primary_domain,
        "running": is_running(site),
        "listeners": [asdict(one) for one in listening(site)],
        "mailboxes": _mailboxes(site),
        "queue": {"letters": _queued(site.queue_dir)},
        "disk": {"free_octets": shutil.disk_usage(site.data_dir).free},
        "journal": _journal(site),
        "last_backup": as_status(site, SystemClock()),
        "outage": _outage(site),
        "status_page": _status_page(site),
    }


def _journal(site: Site) -> dict[str, Any]:
    """Letters that wait for a replay (of a site that is not served), and journals that were given up."""
    try:
        waiting = 0 if is_running(site) else awaits_replay(site)
    except OSError:
        waiting = 0  # another account's
    given_up = [
        {"journal": one.journal, "at": local_time(one.at, site.config.clock.timezone), "why": one.why}
        for one in troubles(site)
    ]
    return {"letters_to_replay": waiting, "given_up": given_up}


def _outage(site: Site) -> dict[str, Any] | None:
    """The newest notice that is in force, ahead or waits to be confirmed, as `bdmta outage list` has it."""
    from bdmta.outage.book import read_notices
    from bdmta.outage.show import shown

    try:
        notices = read_notices(site.outage_dir)
    except StoreError as error:
        raise BdmtaError(str(error)) from error
    order = ("overdue", "open", "draft", "planned")
    pressing = sorted((n for n in notices if n.state in order), key=lambda n: order.index(n.state))
    return shown(site, pressing[0]) if pressing else None


def _status_page(site: Site) -> dict[str, Any]:
    """Where the status page answers, and whether it does."""
    from bdmta.outage.page_process import page_pid

    addresses = list(site.config.status_page_urls)
    return {"mode": site.config.outage.status_page, "addresses": addresses, "pid": page_pid(site)}


def _queued(queue_dir: str) -> int:
    try:
        with os.scandir(queue_dir) as entries:
            return sum(entry.name.endswith(".env") for entry in entries)
    except FileNotFoundError:
        return 0


def _mailboxes(site: Site) -> dict[str, int]:
    """Counts by state, from the published snapshot."""
    if not os.path.exists(site.snapshot_path):
        return {}
    connection = sqlite3.connect(f"file:{site.snapshot_path}?mode=ro&immutable=1", uri=True)
    try:
        rows = connection.execute(
            "SELECT status, count(*) FROM entries WHERE type = 'mailbox' GROUP BY status"
        ).fetchall()
    except sqlite3.Error as error:
        raise BdmtaError(f"{site.snapshot_path}: {error}") from error
    finally:
        connection.close()
    return dict(rows)
