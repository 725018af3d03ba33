"""What the tests of folders share: a renderer that needs no MIME, executors, a world in a temporary folder."""

from __future__ import annotations

import os
import re
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from storage.box import IndexRules, Mailboxes, Rendered
from storage.clock import SystemClock
from storage.letter import Letter
from storage.maildir import create_mailbox


def render(octets: Any) -> Rendered:
    """The least that the index wants of a letter."""
    octets = bytes(octets)
    end = octets.find(b"\r\n\r\n") + 4
    subject = re.search(rb"(?im)^subject: *(.*)\r\n", octets[:end])
    text = subject[1].decode("utf-8", "replace").casefold() if subject else ""
    is_plain = octets.isascii()
    body = None if is_plain else octets[end:].decode("utf-8", "replace").casefold()
    return Rendered(
        end, b"(E%d)" % len(octets), b"(B)", b"(S)", text, "", "", "", "", text, "", "", "", 5, 0, "id@x",
        ("a@x", "b@x"),
        False, body, (end, len(octets)) if is_plain else (),
    )  # fmt: skip


RULES = IndexRules(render, str.casefold, "t")


class Inline(Executor):
    """Runs at once, in the caller: tests see the result of what is done "later"."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class World:
    """A mailbox on disk and processes (Mailboxes objects) that have it open."""

    def __init__(self, root: str) -> None:
        self.path = f"{root}/box"
        self.index = f"{root}/index/box.db"
        create_mailbox(self.path)
        self.count = 0
        self.processes: list[Mailboxes] = []

    def process(self, *, inotify: bool = True, executor: Executor | None = None) -> Mailboxes:
        boxes = Mailboxes(rules=RULES, clock=SystemClock(), host="test", executor=executor or Inline())
        if not inotify:
            boxes.watcher.close()
        self.processes.append(boxes)
        return boxes

    def mailbox(self, **options: Any) -> Any:
        return self.process(**options).mailbox(self.path, self.index)

    def deliver(self, text: str = "", *, folder: str = "", name: str = "", sub: str = "new") -> str:
        """A delivery by SMTP or another program: written in tmp, then given its name. Returns the base name."""
        self.count += 1
        octets = letter(text or f"letter {self.count}")
        base = name or f"{1_700_000_000 + self.count}.M{self.count}P1.test,S={len(octets)},W={len(octets)}"
        directory = f"{self.path}/{folder}" if folder else self.path
        temporary = f"{directory}/tmp/{base}"
        with open(temporary, "wb") as file:
            file.write(octets)
        os.rename(temporary, f"{directory}/{sub}/{base}" + (":2," if sub == "cur" else ""))
        return base

    def close(self) -> None:
        for boxes in self.processes:
            boxes.close()


def letter(text: str) -> bytes:
    return f"Subject: {text}\r\n\r\nBody of {text}\r\n".encode()


def to_store(text: str) -> Letter:
    return Letter.from_octets([letter(text)])


__all__ = ["RULES", "Inline", "ThreadPoolExecutor", "World", "letter", "render", "to_store"]
