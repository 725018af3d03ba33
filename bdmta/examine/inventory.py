"""What a letter carries: the pure result types of the examiner; policies read them, and open nothing themselves."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Item:
    """One file in the letter, at whatever depth.

    `path` is the way in, outermost first (`("a.zip", "b.exe")`); each step is the worst reading of its name. `names`
    are all the readings a client could make of this file's own name. `declared` is the media type said of it,
    `detected` the type its content shows (a key of `bdmta.examine.signatures`), "" where unknown. `problems` are codes
    such as `encrypted`, `ratio`, `traversal`, `macro`, `depth`.
    """

    path: tuple[str, ...]
    names: tuple[str, ...] = ()
    declared: str = ""
    detected: str = ""
    size_octets: int = 0
    role: str = "attachment"
    problems: tuple[str, ...] = ()

    @property
    def display(self) -> str:
        """`a.zip/b.exe`, for a person."""
        return "/".join(self.path)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Every file of one letter. `problems` are those of the letter as such; `truncated`: a bound stopped the look."""

    items: tuple[Item, ...] = ()
    problems: tuple[str, ...] = ()
    truncated: bool = False
    digests: dict[str, str] = field(default_factory=dict)
