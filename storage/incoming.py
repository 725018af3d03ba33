"""A letter while it arrives: in memory while small, then in a file without a name; the loop never waits for it."""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import Sequence
from concurrent.futures import Executor

from storage.errors import StoreError
from storage.files import FreeSpace, HeldFd, open_unnamed, store_error, write_all
from storage.letter import Letter

_BLOCK_OCTETS = 262_144


class Incoming:
    """Takes a letter's octets block by block.

    Memory is bounded by `memory_octets` plus one block. `tmp_dir` lies on the file system of the mailboxes, so that
    the letter can be linked. To have a big letter stored without a second copy, write the octets that go on top of it
    (trace fields) first: `view()` then begins with them, and `letter()` without a prefix is the file itself.
    `space`, when given, keeps the disk's reserve.
    """

    def __init__(
        self, tmp_dir: str, executor: Executor, memory_octets: int = 262_144, space: FreeSpace | None = None
    ) -> None:
        self._tmp_dir = tmp_dir
        self._executor = executor
        self._memory_octets = memory_octets
        self._space = space
        self._blocks: list[bytes] = []
        self._held_octets = 0
        self._file: HeldFd | None = None
        self._view: bytes | mmap.mmap | None = None
        self.size_octets = 0

    @property
    def is_spooled(self) -> bool:
        """The letter is in a file (it was larger than `memory_octets`)."""
        return self._file is not None

    async def write(self, block: bytes) -> None:
        """Append `block`. Raises NoSpace or StoreError, and the letter is lost then."""
        if self._view is not None:
            raise StoreError("the letter is complete already")
        self._blocks.append(block)
        self._held_octets += len(block)
        self.size_octets += len(block)
        if self._held_octets > (self._memory_octets if self._file is None else _BLOCK_OCTETS):
            await asyncio.get_running_loop().run_in_executor(self._executor, self._flush)

    def view(self) -> bytes | mmap.mmap:
        """Everything written: bytes, or a read-only mapping of the file. Nothing can be written afterwards.

        Cheap but for the last block of a spooled letter (at most 256 KiB into the page cache). Raises StoreError.
        """
        if self._view is None:
            if self._file is None:
                self._view = self._blocks[0] if len(self._blocks) == 1 else b"".join(self._blocks)
                self._blocks = [self._view]
            else:
                self._flush()
                try:
                    self._view = mmap.mmap(self._file.fd, self.size_octets, access=mmap.ACCESS_READ)
                except OSError as error:
                    raise store_error(error, "cannot map an arriving letter") from error
        return self._view

    def letter(self, prefix: bytes = b"", spans: Sequence[tuple[int, int]] | None = None) -> Letter:
        """The letter to store: `prefix`, then everything written, or only the `spans` (start, end) of it, in order.

        Nothing is copied here; a spooled letter is copied within the kernel when it is stored. It outlives `close`.
        """
        octets = self.view()
        wanted = [(0, self.size_octets)] if spans is None else list(spans)
        if self._file is not None:
            return Letter.from_span(self._file, prefix, wanted, file_octets=self.size_octets)
        view = memoryview(octets)
        return Letter.from_octets([prefix, *(view[start:end] for start, end in wanted)])

    def close(self) -> None:
        """Let go of everything; a file without a name is gone once no letter refers to it. May be called twice."""
        self._blocks = []
        self._file = None
        self._view = b""

    def _flush(self) -> None:
        """Write what is held in memory to the file. One at a time: `write` is awaited."""
        blocks, self._blocks, self._held_octets = self._blocks, [], 0
        try:
            if self._space is not None:
                self._space.take(sum(map(len, blocks)))
            if self._file is None:
                self._file = open_unnamed(self._tmp_dir)
            write_all(self._file.fd, blocks)
        except OSError as error:
            raise store_error(error, "cannot write an arriving letter") from error
