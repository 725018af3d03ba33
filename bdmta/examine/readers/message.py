"""A letter saved as a file (.eml, .mht, MHTML under the name of a document): read as an attached one is."""

from __future__ import annotations

from collections.abc import Iterator

from bdmta.examine.readers.opening import Member, Opening


def read_message(opening: Opening) -> Iterator[Member]:
    """The letter itself; its parts are looked at as if it had come attached."""
    opening.purse.grow(len(opening.data))
    data = opening.data.lstrip()
    if data.startswith(b"From "):
        data = data[data.find(b"\n") + 1 :]
    yield Member((), data, declared="message/rfc822", role="letter")
