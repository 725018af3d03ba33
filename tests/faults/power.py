"""The disk as a loss of power may leave it: what was not synced is there or not, each by itself.

A file's octets are safe once the file was synced after they were written; a name once its directory was (of a rename, the
directory it went to); everything once the file system was, by syncfs. All else may be lost or kept in any mixture. Tried
are: nothing unsynced survives; names without octets; octets without names; single names alone; all names but one (of many
a few are tried).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Step:
    """One thing done that was not safe yet when the power went, and what takes it back."""

    what: str
    arguments: list[str]
    names: list[str]

    @property
    def is_name(self) -> bool:
        return self.what != "write"


def unsafe_steps(log: Path) -> list[Step]:
    """The steps that no sync covers, in their order."""
    steps: list[Step] = []
    for line in log.read_text().splitlines():
        what, *arguments = line.split("\t")
        if what == "all":
            steps.clear()
        elif what == "sync":
            inode, path = arguments
            steps = [step for step in steps if not _is_covered(step, inode, path)]
        else:
            steps.append(Step(what, arguments, [a for a in arguments if a.startswith("/")]))
    return steps


def _is_covered(step: Step, inode: str, path: str) -> bool:
    if step.what == "write":
        return step.arguments[0] == inode
    return os.path.dirname(step.names[-1]) == path  # a rename is one thing in every file system with a journal


def mixtures(steps: list[Step]) -> Iterator[tuple[str, set[int]]]:
    """Sets of steps that are lost (their numbers), each with its name."""
    names = [number for number, step in enumerate(steps) if step.is_name]
    writes = {number for number, step in enumerate(steps) if not step.is_name}
    everything = set(names) | writes
    yield "nothing unsynced survives", everything
    if not everything:
        return
    if writes:
        yield "names without octets", writes
    if names:
        yield "octets without names", set(names)
    if len(names) > 1:
        for number in sorted({names[0], names[1], names[len(names) // 2], names[-1]}):
            yield f"one name survives alone ({steps[number].what})", everything - {number}
            yield f"one name is lost ({steps[number].what})", {number}


def lose(steps: list[Step], lost: set[int], undo: Path, graves: Path, root: Path) -> None:
    """Take back the steps whose numbers are in `lost`, the latest first."""
    held = undo.read_bytes()
    inodes = {str(path.stat().st_ino): path for path in root.rglob("*") if path.is_file() and not path.is_symlink()}
    inodes |= {str(path.stat().st_ino): path for path in graves.iterdir() if str(path.stat().st_ino) not in inodes}
    backwards = [steps[number] for number in sorted(lost, reverse=True)]
    for step in backwards:  # octets first, while every inode has a name
        if not step.is_name:
            _unwrite(step, inodes, held)
    for step in backwards:
        if step.is_name:
            with contextlib.suppress(OSError):  # what it stood on was taken back already
                _unname(step, graves)


def _unwrite(step: Step, inodes: dict[str, Path], held: bytes) -> None:
    inode, at, size, old_octets, undo_at = step.arguments[0], *map(int, step.arguments[1:])
    path = inodes.get(inode)
    if path is None:  # it has no name: it went with its process
        return
    with path.open("r+b") as file:
        file.truncate(max(size, 0))
        file.seek(at)
        file.write(held[undo_at : undo_at + old_octets])


def _unname(step: Step, graves: Path) -> None:
    path = step.arguments[0]
    if step.what in ("create", "link"):
        os.unlink(path)
    elif step.what == "mkdir":
        os.rmdir(path)
    elif step.what == "rmdir":
        os.mkdir(path)
    elif step.what == "unlink":
        if step.arguments[1] != "0":
            os.link(graves / step.arguments[1], path)
    elif step.what == "rename":
        target, grave = step.arguments[1:]
        os.rename(target, path)
        if grave != "0":
            os.link(graves / grave, target)
