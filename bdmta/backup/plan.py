"""What a site's backup consists of, where it goes, and how long it stays: from the configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from bdmta.errors import BdmtaError, ConfigError
from bdmta.site import Site
from storage.backup.repository import FolderRepository
from storage.backup.restic import ResticRepository, read_environment
from storage.backup.retention import Keep
from storage.backup.site_read import Source

_LOW_FACTOR = 2  # times the mail's reserve: letters go on arriving when backups have stopped for want of room


def source_of(site: Site) -> Source:
    """Everything of the site that matters. Raises ConfigError when the passphrase cannot be read."""
    backup = site.config.backup
    databases = tuple(
        path for path in (site.directory_db, site.ledger_db, *_other_databases(site)) if os.path.exists(path)
    )
    return Source(
        mail_root=site.mail_root,
        trees={"data": site.data_dir},
        files=dict(_configuration(site)),
        spools={"queue": site.queue_dir, "quarantine": site.quarantine_dir},
        databases=databases,
        facts_dir=site.facts_dir,
        ledger=site.ledger_db,
        left_out=frozenset(
            (
                site.mail_root, site.queue_dir, site.quarantine_dir, site.backup_dir, site.run_dir, site.index_dir,
                site.state_dir, site.facts_dir, site.snapshot_path, backup.keys_dir, backup.passphrase_file,
                backup.restic_password_file, backup.restic_environment_file, backup.restic_repository,
                os.path.join(site.data_dir, "journal"), stage_dir(site),
            )
        ),
        keys=frozenset(_keys(site)),
        keys_mode=backup.keys,
        keys_dir=backup.keys_dir,
        passphrase=read_secret(backup.passphrase_file) if backup.keys == "encrypted" else b"",
    )  # fmt: skip


def _other_databases(site: Site) -> Iterator[str]:
    """SQLite files beside the two that we know: whoever adds one to db/ need not think of backups."""
    folder = os.path.dirname(site.directory_db)
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if name.endswith((".sqlite", ".db")) and path not in (site.directory_db, site.ledger_db):
            yield path


def _configuration(site: Site) -> Iterator[tuple[str, str]]:
    """Name and path of the configuration's files, unless they are in the data folder: then its tree has them.

    Only what the configuration names, since its folder may be somebody's home.
    """
    if _is_below(site.config_path, site.data_dir):
        return
    authority = (os.path.join(site.tls_dir, name) for name in ("ca.pem", "ca-key.pem"))  # named nowhere, made by init
    for path in sorted({site.config_path, *authority, *_paths_in(site.config.model_dump())}):
        if not _is_below(path, site.config_dir) or _is_below(path, site.data_dir):
            continue
        if os.path.isfile(path):
            yield f"config/{os.path.relpath(path, site.config_dir)}", path
        elif os.path.isdir(path):
            for folder, _, files in os.walk(path):
                for file in files:
                    full = os.path.join(folder, file)
                    yield f"config/{os.path.relpath(full, site.config_dir)}", full


def _paths_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith("/") and os.path.exists(value):
            yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _paths_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _paths_in(one)


def _keys(site: Site) -> Iterator[str]:
    """Private keys and passwords."""
    config = site.config
    yield from (config.tls.key, site.password_key, site.srs_key, config.transport.credentials)
    yield from (config.outage.push_token, config.outage.webhook_secret, config.addressbook.credentials)
    yield os.path.join(site.tls_dir, "ca-key.pem")
    if os.path.isdir(site.dkim_dir):
        for folder, _, files in os.walk(site.dkim_dir):
            yield from (os.path.join(folder, file) for file in files if file.endswith(".pem"))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def read_secret(path: str) -> bytes:
    """The first line of a file of ours. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            line = file.readline(4096).strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if not line:
        raise ConfigError(f"{path} is empty: a passphrase is expected on its first line")
    return line


def stage_dir(site: Site) -> str:
    """Where links to letters wait for restic, on the mailboxes' file system; no domain starts with a dot."""
    return os.path.join(site.mail_root, ".backup")


def folder_repository(site: Site) -> FolderRepository:
    """The repository of plain files."""
    return FolderRepository(site.backup_dir, reserve_octets=_LOW_FACTOR * site.config.mail.reserve_octets)


def keep_of(site: Site) -> Keep:
    """What stays."""
    backup = site.config.backup
    return Keep(backup.keep_hours, backup.keep_days, backup.keep_weeks, backup.keep_months)


def require_running_as_owner(site: Site) -> None:
    """Become [server] user when root runs the command: what is written must be the server's. Raises BdmtaError."""
    from bdmta.service.privileges import drop

    user = site.config.server.user
    if user and os.geteuid() == 0:
        drop(user, site.config.server.group)
        return
    owner = os.stat(site.mail_root).st_uid if os.path.isdir(site.mail_root) else os.geteuid()
    if os.geteuid() not in (0, owner):
        raise BdmtaError(f"{site.mail_root} is another account's; run this as that account, or as root")


def restic_repository(site: Site) -> ResticRepository:
    """The restic repository. Raises ConfigError when its environment file cannot be read."""
    backup = site.config.backup
    try:
        environment = read_environment(backup.restic_environment_file) if backup.restic_environment_file else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{backup.restic_environment_file}: {error}") from None
    return ResticRepository(
        backup.restic_repository, password_file=backup.restic_password_file, stage=stage_dir(site),
        environment=environment, options=backup.restic_options, reserve_octets=site.config.mail.reserve_octets,
    )  # fmt: skip
