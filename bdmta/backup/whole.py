"""Restoring a whole site: onto an empty folder, or where its configuration says, when nothing is there."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bdmta.backup.choose import candidates
from bdmta.clock import Clock
from bdmta.errors import BdmtaError, ConfigError
from bdmta.queue.recipients import HELD
from bdmta.service.privileges import ids_of
from bdmta.site import Site
from storage.backup.check import mailbox_of
from storage.backup.manifest import FileRow
from storage.backup.place import Placer
from storage.backup.repository import SITE, Repository, Taken
from storage.errors import StoreError
from storage.files import store_error, sync_file_system, write_all, write_durable
from storage.maildir import mailbox_dir
from storage.spool_entry import parse_entry, render_entry

Progress = Callable[[int, int], None]
_PATH_KEYS = re.compile(r'(?m)^((?:data_dir|run_dir|root|queue_dir|backup_dir|quarantine_dir|keys_dir)\s*=\s*"/.*)$')


@dataclass(frozen=True, slots=True)
class Roots:
    """Where each part of a site goes. `config` and `data` may be one folder."""

    config: str
    data: str
    mail: str
    queue: str
    quarantine: str

    @classmethod
    def of(cls, site: Site) -> Roots:
        """Where the site's configuration says."""
        return cls(site.config_dir, site.data_dir, site.mail_root, site.queue_dir, site.quarantine_dir)

    @classmethod
    def below(cls, folder: str) -> Roots:
        """Everything in one folder, as `bdmta init` lays a site out."""
        return cls(folder, folder, *(os.path.join(folder, name) for name in ("mail", "queue", "quarantine")))

    def path(self, name: str) -> str:
        """Where the file called `name` in a backup goes. Raises StoreError when it would leave its root."""
        root, _, rest = name.partition("/")
        folders = {
            "config": self.config, "data": self.data, "queue": self.queue, "quarantine": self.quarantine,
        }  # fmt: skip
        if root not in folders or not rest or ".." in rest.split("/"):
            raise StoreError(f"{name!r} is no file of a site")
        return os.path.join(folders[root], rest)


@dataclass(slots=True)
class Whole:
    """What was restored, what was not, and what is left to do."""

    backup: Taken
    letters: int = 0
    octets: int = 0
    files: int = 0
    held: int = 0
    problems: list[str] = field(default_factory=list)
    to_do: list[str] = field(default_factory=list)
    keys_missing: list[str] = field(default_factory=list)
    placed: list[str] = field(default_factory=list)
    """The files beside the letters, by their paths now."""

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the audit log."""
        return {
            "backup": self.backup.id, "restored": self.letters, "octets": self.octets, "files": self.files,
            "held": self.held, "problems": self.problems, "to_do": self.to_do,
        }  # fmt: skip


def require_void(roots: Roots) -> None:
    """Raise BdmtaError unless there is nothing that a restore could overwrite."""
    for path in (os.path.join(roots.data, "db", "directory.sqlite"), os.path.join(roots.data, "db", "ledger.sqlite")):
        if os.path.exists(path):
            raise BdmtaError(
                f"{path} is there: a whole site is restored where nothing is; move it away, or give --onto DIR."
                " For one mailbox give --mailbox"
            )
    domains = [name for name in os.listdir(roots.mail) if name[0] != "."] if os.path.isdir(roots.mail) else []
    for domain in domains:
        if os.path.isdir(f"{roots.mail}/{domain}") and os.listdir(f"{roots.mail}/{domain}"):
            raise BdmtaError(f"{roots.mail}/{domain} has mailboxes: move them away, or give --onto DIR")


def restore_site(
    repository: Repository, roots: Roots, clock: Clock, *, backup_id: str = "", before: float | None = None,
    keys_dir: str = "", passphrase: bytes = b"", holds_queue: bool = True, keeps_config: bool = False,
    mailboxes: Callable[[str], bool] = lambda address: True, progress: Progress = lambda letters, octets: None,
) -> Whole:  # fmt: skip
    """Restore everything; durable when it returns. `keeps_config`: files of the configuration that are there stay.

    Letters that waited for outside are held (`holds_queue`): most of them have been sent since the backup. Raises
    BdmtaError, StoreError.
    """
    backup = candidates(repository, backup_id, before)[0]
    done = Whole(backup)
    site = repository.manifest(backup, SITE)
    files = [file for file in sorted(backup.manifests) if file != SITE and mailboxes(mailbox_of(file))]
    manifests = {file: repository.manifest(backup, file) for file in files}
    wanted = [*site.objects(), *(sha256 for manifest in manifests.values() for sha256 in manifest.objects())]
    with repository.reading(backup, wanted) as objects:
        placer = Placer(objects, progress)
        for row in site.files:
            _place_file(placer, roots, row, passphrase, done, keeps_config=keeps_config)
        for file in files:
            path = mailbox_dir(roots.mail, mailbox_of(file))
            if f"mail/{os.path.relpath(path, roots.mail)}.jsonl" != file:  # not one that we would have named so
                path = os.path.join(roots.mail, file.removeprefix("mail/").removesuffix(".jsonl"))
            placer.mailbox(manifests[file], path, os.path.join(roots.mail, f".restoring.{os.getpid()}"))
    _restore_keys(roots, keys_dir, done, keeps_config=keeps_config)
    if holds_queue:
        done.held = _hold(roots.queue)
    _sync(roots.data, roots.mail)
    done.letters, done.octets = placer.letters, placer.octets
    done.problems += placer.problems
    return done


def _place_file(
    placer: Placer, roots: Roots, row: FileRow, passphrase: bytes, done: Whole, *, keeps_config: bool
) -> None:  # fmt: skip
    path = roots.path(row.path)
    if keeps_config and os.path.exists(path) and not row.path.startswith("data/db/"):
        return
    if row.sealed and not passphrase:
        done.keys_missing.append(row.path)
        return
    try:
        placer.file(row, path, passphrase)
    except StoreError as error:
        done.problems.append(f"{row.path}: {error}")
        return
    done.files += 1
    done.placed.append(path)


def _restore_keys(roots: Roots, keys_dir: str, done: Whole, *, keeps_config: bool) -> None:
    """Keys that were kept apart, from their folder."""
    for folder, _, files in os.walk(keys_dir) if keys_dir else ():
        for file in files:
            source = os.path.join(folder, file)
            path = roots.path(os.path.relpath(source, keys_dir))
            if keeps_config and os.path.exists(path):
                continue
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            with open(source, "rb") as opened:
                octets = opened.read(1 << 20)
            fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR)
            try:
                write_all(fd, [octets])
            finally:
                os.close(fd)
            done.files += 1
            done.placed.append(path)


def _hold(queue_dir: str) -> int:
    """Mark every letter for outside as held; how many."""
    count = 0
    for name in sorted(os.listdir(queue_dir)) if os.path.isdir(queue_dir) else ():
        if not name.endswith(".env"):
            continue
        path = os.path.join(queue_dir, name)
        with open(path, "rb") as file:
            entry = parse_entry(file.read(), path)
        if entry.kind == "remote" and not entry.more.get(HELD):
            write_durable(path, render_entry(replace(entry, more={**entry.more, HELD: True})))
            count += 1
    return count


def adapt_config(folder: str) -> list[str]:
    """Let the restored configuration mean its own folder: paths elsewhere become comments; those lines.

    Raises ConfigError when there is no configuration.
    """
    path = os.path.join(folder, "bdmta.toml")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        raise ConfigError(f"{path} was not in the backup; write one, then restore with -c") from None
    lines = _PATH_KEYS.findall(text)
    if lines:
        with open(path, "w", encoding="utf-8") as file:
            file.write(_PATH_KEYS.sub(r"# elsewhere before the restore: \1", text))
    return lines


def settle(site: Site, done: Whole, clock: Clock, actor: str, grounds: str) -> None:
    """Publish the directory, sum the quotas, and put the restore on record. Raises BdmtaError."""
    from bdmta.delivery import limit_of
    from bdmta.directory.snapshot import Snapshot
    from bdmta.office.calls import open_books, run_alone
    from storage.quota import Quota

    books = open_books(site, clock)
    books.publish()
    books.close()
    quota = Quota(clock)
    for entry in Snapshot.open(site.snapshot_path).mailboxes():
        path = mailbox_dir(site.mail_root, entry.address)
        if os.path.isdir(f"{path}/cur"):
            quota.recalculate(path, limit_of(entry))
    detail = {**done.as_json(), "problems": len(done.problems)}
    note = {"action": "backup.restore", "subject": "site", "detail": json.loads(json.dumps(detail))}
    run_alone(site, "audit_note", note, actor, grounds)


def give_to_server(site: Site, roots: Roots, done: Whole) -> None:
    """Where root has restored a site whose server runs as [server] user: everything restored is that account's.

    Raises ConfigError (no such account), StoreError.
    """
    server = site.config.server
    if not server.user or os.geteuid() != 0:
        return
    uid, gid = ids_of(server.user, server.group)
    try:
        for top in {roots.data, roots.mail, roots.queue, roots.quarantine, site.run_dir, site.index_dir}:
            os.lchown(top, uid, gid)
            for folder, folders, files in os.walk(top):
                for name in (*folders, *files):
                    os.lchown(os.path.join(folder, name), uid, gid)
        for path in done.placed:
            os.lchown(path, uid, gid)
            if os.path.dirname(path) != roots.config:
                os.lchown(os.path.dirname(path), uid, gid)
    except OSError as error:
        raise store_error(error, f"cannot give {error.filename} to {server.user}") from error


def missing_keys(site: Site) -> list[str]:
    """What must be made anew before the site serves as before, when keys were not restored."""
    said = []
    if not os.path.exists(site.config.tls.key):
        said.append(f"{site.config.tls.key} is missing: bring the TLS key, or a new certificate with its key")
    if not os.path.exists(site.password_key):
        said.append(f"{site.password_key} is missing: application passwords must be given anew")
    dkim = os.path.join(site.dkim_dir, f"{site.config.dkim.selector}.pem")
    if not os.path.exists(dkim):
        said.append(f"{dkim} is missing: letters leave unsigned until `bdmta dkim rotate` and its DNS record")
    return said


def _sync(*folders: str) -> None:
    for folder in folders:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_file_system(fd)
        finally:
            os.close(fd)
