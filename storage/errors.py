"""What the store can fail with. Callers turn each into a reply; none is shown to a peer as it is."""

from __future__ import annotations


class StoreError(Exception):
    """The store could not do what was asked; nothing was acknowledged."""


class NoSpace(StoreError):
    """The disk is full or below the reserve (peer: `452 4.3.1`, RFC 3463 §3.4)."""


class OverQuota(StoreError):
    """The mailbox is full (peer: `452 4.2.2`, RFC 3463 §3.3)."""


class NotFound(StoreError):
    """Nothing by that name."""


class Conflict(StoreError):
    """The name is taken, or the state forbids it; the text names the holder and the remedy."""


class Invalid(StoreError):
    """The value cannot be stored; the text names it and what would be right."""


class Corrupt(StoreError):
    """A file is not what its format says; the text names the file."""


class Locked(StoreError):
    """Another process holds the lock; the text says which file."""
