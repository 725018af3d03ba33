"""The address books at hand: made from the directory by a reader beside the office's writer, anew when it changed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bdmta.directory.addressbook_search import Line, lines_of

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Volume:
    """One version of a book. `mark`: an ETag that changes with its entries."""

    book: Json
    lines: list[Line]
    mark: str


class Shelf:
    """The public and the internal book. `read(internal)` makes one, `generation()` tells whether it would differ.

    Both are called in one thread of the shelf's own: requests and commands go on meanwhile.
    """

    def __init__(self, read: Callable[[bool], Json], generation: Callable[[], int]) -> None:
        self._read = read
        self._generation = generation
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="address book")
        self._volumes: dict[bool, tuple[int, Volume]] = {}

    async def volume(self, *, internal: bool) -> Volume:
        """The book of now."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._look, internal)

    def _look(self, internal: bool) -> Volume:
        now = self._generation()
        known = self._volumes.get(internal)
        if known is None or known[0] != now:
            book = self._read(internal)
            lines = lines_of(book)
            told = repr([(one.address, one.name, one.below, one.paper_address) for one in lines])
            known = (now, Volume(book, lines, hashlib.sha256(told.encode()).hexdigest()[:32]))
            self._volumes[internal] = known
        return known[1]

    def close(self) -> None:
        """No more looks."""
        self._thread.shutdown(wait=True)
