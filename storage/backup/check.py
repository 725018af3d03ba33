"""Reading backups back in full: what differs is named by letter and mailbox."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field

from storage.backup.manifest import Manifest
from storage.backup.objects import Objects
from storage.backup.repository import SITE, FolderRepository, Repository, Taken, Verified
from storage.clock import Clock
from storage.errors import StoreError
from storage.index_workers import Workers

_AT_ONCE_COUNT = 500
_PROBLEMS_MAX = 1000


@dataclass(slots=True)
class Contents:
    """What backups hold, by object: the places where each is needed, and what could not be read at all."""

    places: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    backups: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def verify(
    repository: FolderRepository, backups: Sequence[Taken], clock: Clock, *, workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Verified]:  # fmt: skip
    """Read every object that `backups` name, each once; what was found, by backup, which is noted in the repository.

    A damaged object is put aside, so that the next backup keeps it anew if the site still has it. Raises StoreError.
    """
    if not backups:
        return {}
    with repository.reading(backups[0], ()):
        contents = contents_of(repository, backups)
        damaged = _damaged(repository.objects, sorted(contents.places), workers, progress)
        for sha256 in damaged:
            repository.objects.put_aside(sha256)
    found = {}
    for backup in backups:
        problems = list(contents.problems[backup.id])
        for sha256 in sorted(damaged):
            if backup.id in contents.backups[sha256]:
                problems += contents.places[sha256]
        found[backup.id] = Verified(clock.time(), problems[:_PROBLEMS_MAX])
        repository.note_verified(backup.id, found[backup.id])
    return found


def contents_of(repository: Repository, backups: Iterable[Taken]) -> Contents:
    """Everything that these backups name; manifests that several share are read once."""
    contents = Contents()
    seen: dict[str, tuple[str, set[str]]] = {}
    for backup in backups:
        for file, sha256 in sorted(backup.manifests.items()):
            if sha256 not in seen:
                try:
                    manifest = repository.manifest(backup, file)
                except StoreError as error:
                    contents.problems[backup.id].append(f"{mailbox_of(file) or 'the site'}: {error}")
                    continue
                named = dict(places(file, manifest))
                for one, place in named.items():
                    contents.places[one].append(place)
                seen[sha256] = (file, set(named))
            for one in seen[sha256][1]:
                contents.backups[one].add(backup.id)
    return contents


def places(file: str, manifest: Manifest) -> Iterable[tuple[str, str]]:
    """Each object of a manifest with the letter or file that it is, for people."""
    who = mailbox_of(file)
    for folder, letter in manifest.letters():
        uid = f"UID {letter.uid}" if letter.uid is not None else f"file {letter.base}"
        named = f", Message-ID {letter.message_id}" if letter.message_id else ""
        yield letter.sha256, f"{who}, folder {folder.name or folder.dir}, {uid}{named}: differs or is missing"
    for row in manifest.files:
        for part in row.parts:
            yield part, f"{who or 'the site'}, file {row.path}: differs or is missing"


def mailbox_of(file: str) -> str:
    """The address of the mailbox (as its folder is named) whose manifest this is; "" for the site's."""
    if file == SITE:
        return ""
    _, domain, local = file.removesuffix(".jsonl").split("/", 2)
    return f"{local}@{domain}"


def _damaged(
    objects: Objects, wanted: list[str], workers: int, progress: Callable[[int, int], None]
) -> set[str]:  # fmt: skip
    blocks = [wanted[at : at + _AT_ONCE_COUNT] for at in range(0, len(wanted), _AT_ONCE_COUNT)]
    damaged: set[str] = set()
    done = 0
    root = objects.folder.removesuffix("/objects")
    if workers <= 1 or len(blocks) == 1:
        for block in blocks:
            damaged.update(damaged_of(root, block))
            done += len(block)
            progress(done, len(wanted))
        return damaged
    pool = Workers(workers)
    try:
        sizes = {pool.submit(damaged_of, root, block): len(block) for block in blocks}
        for future in as_completed(sizes):
            damaged.update(future.result())
            done += sizes[future]
            progress(done, len(wanted))
    except EOFError:
        raise StoreError("a process that reads the backup has ended; see the system's log") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return damaged


def damaged_of(root: str, wanted: list[str]) -> list[str]:
    """Those of the objects in the repository at `root` that are not whole."""
    objects = Objects(root)
    return [sha256 for sha256 in wanted if not objects.is_whole(sha256)]
