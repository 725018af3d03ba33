"""What a reader is given and what it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bdmta.examine.bounds import Purse


@dataclass(slots=True)
class Member:
    """One file within a container.

    `names` are all the names the container gives it. `octets` is None where it could only be listed. `role` is
    `member` of an archive, `component` of a document (its own parts), or `embedded` in a document by its author.
    """

    names: tuple[str, ...]
    octets: bytes | None = None
    declared: str = ""
    role: str = "member"
    problems: tuple[str, ...] = ()
    size_octets: int = 0


@dataclass(slots=True)
class Opening:
    """A container while it is read. The reader adds to `problems` and may refine `kind`."""

    data: bytes
    purse: Purse
    kind: str
    names: tuple[str, ...] = ()
    problems: set[str] = field(default_factory=set)
    declared: str = ""


Reader = Callable[[Opening], Iterator[Member]]
"""Yields members as it meets them; raises Unreadable or OverBound, after which what it yielded still counts."""
