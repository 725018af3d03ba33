"""Reading letters for the index: small tasks that a worker process or a thread can take, so that no loop waits for
many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from contextlib import closing
from itertools import islice

from storage.box_letters import letters_ahead, opened_dir
from storage.box_types import Renderer
from storage.index_letters import LetterRow

SLICE_COUNT = 200
_IN_THREAD_COUNT = 64  # fewer letters than this are not worth a process
_SLICES_AHEAD = 8
Wanted = tuple[int, str, int]  # UID, file name in cur, octets


def read_slice(render: Renderer, cur: str, wanted: Sequence[Wanted]) -> list[LetterRow]:
    """Read some letters; those that are gone are left out.

    Runs in a worker: its arguments and result can be pickled.
    """
    rows: list[LetterRow] = []
    with opened_dir(cur) as fd, closing(letters_ahead(fd, [(name, size) for _, name, size in wanted])) as letters:
        for (uid, _, _), octets in zip(wanted, letters, strict=True):
            if octets is not None:
                rows.append((uid, len(octets), render(octets)))
    return rows


def read_many(
    render: Renderer, cur: str, wanted: Sequence[Wanted], builders: Executor | None
) -> Iterator[list[LetterRow]]:
    """Yield slices of read letters, in order; many are read by the builders at once, with a bounded number of slices
    ahead.
    """
    slices = (wanted[start : start + SLICE_COUNT] for start in range(0, len(wanted), SLICE_COUNT))
    if builders is None or len(wanted) < _IN_THREAD_COUNT:
        for piece in slices:
            yield read_slice(render, cur, piece)
        return
    running = deque((piece, builders.submit(read_slice, render, cur, piece)) for piece in islice(slices, _SLICES_AHEAD))
    while running:
        piece, future = running.popleft()
        try:
            rows = future.result()
        except (EOFError, OSError, BrokenExecutor):  # the worker died: read here
            rows = read_slice(render, cur, piece)
        running.extend((piece, builders.submit(read_slice, render, cur, piece)) for piece in islice(slices, 1))
        yield rows
