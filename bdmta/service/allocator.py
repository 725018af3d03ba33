"""glibc's malloc, told to keep a process of many threads and letters of very different sizes flat.

As it comes it opens an arena for each thread, and raises the size from which a block is given back at once up to 32 MB:
holes that large letters left stay in every arena (docs/decisions/0031). Environment variables (mallopt(3)) win.
"""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_ARENAS = 2
_MAPPED_FROM_OCTETS = 256 * 1024
_TRIMMED_FROM_OCTETS = 2 * 1024 * 1024


def settle() -> None:
    """Call before the first thread starts. Nothing happens where the C library has no mallopt (musl)."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return
    for variable, option, value in (
        ("MALLOC_ARENA_MAX", _M_ARENA_MAX, _ARENAS),
        ("MALLOC_MMAP_THRESHOLD_", _M_MMAP_THRESHOLD, _MAPPED_FROM_OCTETS),
        ("MALLOC_TRIM_THRESHOLD_", _M_TRIM_THRESHOLD, _TRIMMED_FROM_OCTETS),
    ):
        if variable not in os.environ:
            libc.mallopt(option, value)
