"""What `bdmta status` tells: read from the site's files and ports, so that it works while mail is down."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import asdict
from typing import Any

from bdmta import __version__
from bdmta.errors import BdmtaError
from bdmta.setup.inspection import is_running, listening
from bdmta.site import Site


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
        "last_backup": None,
        "outage": None,
    }


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
