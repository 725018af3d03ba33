"""Run by the crash tests in a process of its own: store letters and tell each acknowledged one on standard output.

store_child.py DIR storm FORM                sessions that store as fast as they can, until killed; FORM: files, journal
store_child.py DIR step COUNT                one delivery, and SIGKILL at system call number COUNT of the store
store_child.py DIR resume                    what a restart does
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from storage.clock import SystemClock
from storage.commit import Commit, Delivery, Target
from storage.incoming import Incoming
from storage.journal import Journal
from storage.journal_replay import replay_all
from storage.letter import Letter
from storage.quota import Quota
from storage.spool import QueueEntry, QueueRecipient, Spool

MAILBOXES = 130
CALLS = (
    "open", "link", "fsync", "fdatasync", "writev", "write", "unlink", "rename", "copy_file_range", "mkdir", "close",
    "pwrite",
)  # fmt: skip


def mailbox(root: str, number: int) -> str:
    return f"{root}/mail/dian.vn/u{number}"


def make(root: str, executor: ThreadPoolExecutor, form: str = "files") -> tuple[Commit, Spool]:
    clock = SystemClock()
    spool = Spool(f"{root}/queue", clock)
    quota = Quota(clock, executor)
    journals = []
    if form == "journal":  # small segments: they are full, and checkpointed, every few batches
        journals = [
            Journal(
                f"{root}/journal", name, mail_root=f"{root}/mail", tmp_dir=f"{root}/mail/.incoming", host="mx",
                clock=clock, segment_min_octets=1 << 20, segment_max_octets=2 << 20,
            )
            for name in ("0", "1")
        ]  # fmt: skip
    commit = Commit(
        mail_root=f"{root}/mail", spool=spool, host="mx", clock=clock, executor=executor, quota=quota, journals=journals
    )
    return commit, spool


def letter_of(text: str, octets: int) -> bytes:
    head = f"X-Id: {text}\r\n\r\n".encode()
    return head + b"x" * max(0, octets - len(head) - 5) + b"end\r\n"


async def one(commit: Commit, spool: Spool, root: str, executor: ThreadPoolExecutor, who: int, count: int) -> None:
    text = f"{os.getpid()}-{who}-{count}"
    kind = count % 5
    targets = {0: [who], 1: [who, who + 10, who + 20], 2: list(range(30)), 3: list(range(MAILBOXES)), 4: [who]}[kind]
    octets = 300_000 if kind == 4 else 2000 + 17 * count
    body = letter_of(text, octets)
    incoming = Incoming(f"{root}/mail/.incoming", executor, 65_536)
    for start in range(0, len(body), 60_000):
        await incoming.write(body[start : start + 60_000])
    letter = incoming.letter(b"" if count % 2 else b"Received: here\r\n")
    incoming.close()
    entries = []
    if kind == 1:
        entries.append(QueueEntry(id=f"r{text}", sender="", recipients=(QueueRecipient("a@b.vn"),), letter=letter))
    stored = await commit.store([Delivery(letter, tuple(Target(mailbox(root, t)) for t in targets))], entries)
    wanted = ",".join(map(str, targets))
    line = f"{stored.names[0]} {letter.size_octets} {wanted} {entries[0].id if entries else '-'}\n"
    os.write(1, line.encode())


async def storm(root: str, form: str) -> None:
    with ThreadPoolExecutor(8) as executor:
        commit, spool = make(root, executor, form)

        async def session(who: int) -> None:
            for count in range(who, 1_000_000):
                await one(commit, spool, root, executor, who, count)

        async with asyncio.TaskGroup() as group:
            for who in range(8):
                group.create_task(session(who))


def kill_at(count: int) -> None:
    """Die at call number `count` of those that touch the disk."""
    left = [count]

    def wrap(real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, wrap(getattr(os, name)))


def step(root: str, count: int, targets: int) -> None:
    with ThreadPoolExecutor(1) as executor:
        commit, _ = make(root, executor)
        letter = Letter.from_octets([letter_of(f"step-{count}", 4096)])
        entries = [QueueEntry(id=f"step-{count}", sender="", recipients=(QueueRecipient("a@b.vn"),), letter=letter)]
        delivery = Delivery(letter, tuple(Target(mailbox(root, t)) for t in range(targets)))
        real_write = os.write
        kill_at(count)
        if targets > 100:  # acknowledged before the rest is served
            stored, large = commit._store([delivery], entries)
        else:
            stored, large = commit.store_sync([delivery], entries), []
        wanted = ",".join(map(str, range(targets)))
        real_write(1, f"{stored.names[0]} {letter.size_octets} {wanted} step-{count}\n".encode())
        for lock, entry in large:
            commit._expand(lock, entry, is_resumed=False)
        real_write(1, b"done\n")
        os._exit(0)


def resume(root: str) -> None:
    replay_all(f"{root}/journal", f"{root}/mail", f"{root}/mail/.incoming")
    with ThreadPoolExecutor(1) as executor:
        commit, spool = make(root, executor)
        commit.resume()
        spool.sweep(older_s=-1.0)


if __name__ == "__main__":
    folder, what = sys.argv[1:3]
    if what == "storm":
        asyncio.run(storm(folder, sys.argv[3]))
    elif what == "step":
        step(folder, int(sys.argv[3]), int(sys.argv[4]))
    else:
        resume(folder)
