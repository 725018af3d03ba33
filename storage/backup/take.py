"""Taking a backup: mailboxes in processes of their own, then the rest; the record of it last."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field

from storage.backup.mailbox_read import MailboxReader
from storage.backup.manifest import Manifest, render
from storage.backup.repository import SITE, FolderRepository, Taken
from storage.backup.site_read import SiteReader, Source, describe, keep_keys
from storage.clock import Clock, SystemClock
from storage.errors import NotFound, StoreError
from storage.files import store_error
from storage.index_workers import Workers

Progress = Callable[[int, int], None]
"""Called with letters and octets done since the last call."""
_PROBLEMS_MAX = 1000


@dataclass(frozen=True, slots=True)
class _Order:
    """One mailbox to be read, for a worker."""

    mailbox: str
    file: str
    backup_id: str


@dataclass(slots=True)
class _Done:
    """What a worker did."""

    file: str
    sha256: str = ""
    letters: int = 0
    octets: int = 0
    new_octets: int = 0
    problems: list[str] = field(default_factory=list)
    is_gone: bool = False


def mailboxes_of(mail_root: str) -> Iterator[tuple[str, str]]:
    """Every mailbox's folder and the name of its manifest, in a stable order. Raises OSError."""
    for domain in sorted(os.listdir(mail_root)):
        if domain.startswith(".") or not os.path.isdir(f"{mail_root}/{domain}"):
            continue
        for local in sorted(os.listdir(f"{mail_root}/{domain}")):
            if os.path.isdir(f"{mail_root}/{domain}/{local}/cur"):
                yield f"{mail_root}/{domain}/{local}", f"mail/{domain}/{local}.jsonl"


def take(
    repository: FolderRepository, source: Source, clock: Clock, *, workers: int = 2, version: str = "",
    progress: Progress = lambda letters, octets: None,
) -> Taken:  # fmt: skip
    """Take a backup of the running site; it is in the repository, on disk, when this returns.

    What cannot be read (a bad sector) is among its `problems`; the rest is kept. Costs what has changed since the
    newest backup. Raises Locked when another is being taken, NoSpace, StoreError; nothing is left then.
    """
    repository.create()
    with repository.running():
        began_at = clock.time()
        before = newest(repository)
        backup_id = repository.new_id(began_at)
        objects = repository.objects
        reader = SiteReader(source, repository.objects, _site_before(repository, before))
        begun_octets = objects.new_octets
        spools = reader.read_spools()
        own_octets = objects.new_octets - begun_octets
        try:
            orders = [_Order(path, file, backup_id) for path, file in mailboxes_of(source.mail_root)]
        except OSError as error:
            raise store_error(error, f"cannot list {source.mail_root}") from error
        done = _read_all(repository, before, orders, clock, workers, progress)
        begun_octets = objects.new_octets
        site = Manifest(files=[*spools, *reader.read_rest()])
        own_octets += objects.new_octets - begun_octets
        _keep_keys(source, reader)
        manifests = {one.file: one.sha256 for one in done}
        manifests[SITE] = repository.write_manifest(backup_id, SITE, render(site))
        problems = [*reader.problems, *(problem for one in done for problem in one.problems)]
        taken = Taken(
            id=backup_id, taken_at=began_at, ended_at=clock.time(), letters=sum(one.letters for one in done),
            octets=sum(one.octets for one in done) + site.octets, mailboxes=len(done),
            new_octets=sum(one.new_octets for one in done) + own_octets, manifests=manifests,
            problems=problems[:_PROBLEMS_MAX], keys=describe(source), version=version,
        )  # fmt: skip
        repository.commit(taken)
        return taken


def newest(repository: FolderRepository) -> Taken | None:
    """The newest backup, or None."""
    taken = repository.taken()
    return taken[-1] if taken else None


def _site_before(repository: FolderRepository, before: Taken | None) -> Manifest | None:
    return _manifest_before(repository, before, SITE, repository.objects.damaged_ones())


def _manifest_before(
    repository: FolderRepository, before: Taken | None, file: str, damaged: set[str]
) -> Manifest | None:
    """The newest backup's manifest; None when there is none to be trusted: everything is then read."""
    if before is None or file not in before.manifests:
        return None
    try:
        manifest = repository.manifest(before, file)
    except StoreError:
        return None
    if damaged and not damaged.isdisjoint(manifest.objects()):
        return None
    return manifest


def _keep_keys(source: Source, reader: SiteReader) -> None:
    if source.keys_mode != "apart":
        return
    try:
        keep_keys(source.keys_dir, reader.key_files)
    except OSError as error:
        raise store_error(error, f"cannot write the keys into {source.keys_dir}") from error


# -- the workers


def _read_all(
    repository: FolderRepository, before: Taken | None, orders: list[_Order], clock: Clock, workers: int,
    progress: Progress,
) -> list[_Done]:  # fmt: skip
    if workers <= 1 or len(orders) <= 1:
        worker = _Worker(repository, before, clock)
        done = []
        for order in orders:
            done.append(worker.read(order))
            progress(done[-1].letters, done[-1].octets)
        return [one for one in done if not one.is_gone]
    where = (repository.place, repository.link, repository.reserve_octets, before.id if before else "")
    pool = Workers(workers)
    try:
        futures: list[Future[_Done]] = [pool.submit(_work, where, order) for order in orders]
        for future in as_completed(futures):
            progress(future.result().letters, future.result().octets)
    except EOFError:
        raise StoreError("a process that reads mailboxes has ended; see the system's log") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [future.result() for future in futures if not future.result().is_gone]


_workers: dict[tuple[str, bool, int, str], _Worker] = {}


def _work(where: tuple[str, bool, int, str], order: _Order) -> _Done:
    """In a process of its own: read one mailbox; what the backup before was is loaded once."""
    if where not in _workers:
        place, link, reserve_octets, before_id = where
        repository = FolderRepository(place, link=link, reserve_octets=reserve_octets)
        before = next((one for one in repository.taken() if one.id == before_id), None)
        _workers[where] = _Worker(repository, before, SystemClock())
    return _workers[where].read(order)


class _Worker:
    """Reads mailboxes, one after the other."""

    def __init__(self, repository: FolderRepository, before: Taken | None, clock: Clock) -> None:
        self._repository = repository
        self._before = before
        self._clock = clock
        self._damaged = repository.objects.damaged_ones()

    def read(self, order: _Order) -> _Done:
        """Keep one mailbox. Raises StoreError."""
        objects = self._repository.objects
        known = _manifest_before(self._repository, self._before, order.file, self._damaged)
        reader = MailboxReader(order.mailbox, objects, self._clock, known)
        begun_octets = objects.new_octets
        try:
            if known is not None and self._before is not None and reader.is_unchanged():
                manifest = known
                sha256 = self._repository.reuse_manifest(self._before, order.backup_id, order.file)
            else:
                manifest = reader.read()
                sha256 = self._repository.write_manifest(order.backup_id, order.file, render(manifest))
        except NotFound:
            return _Done(order.file, is_gone=True)  # the mailbox was removed meanwhile
        except OSError as error:
            raise store_error(error, f"cannot back up {order.mailbox}") from error
        letters = sum(len(folder.letters) for folder in manifest.folders)
        new_octets = objects.new_octets - begun_octets
        return _Done(order.file, sha256, letters, manifest.octets, new_octets, reader.problems)
