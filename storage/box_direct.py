"""Answers made from the letters themselves, when there is no index to be had (a full disk, say): slow, but answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from storage.box_types import Rendered

if TYPE_CHECKING:
    from storage.box_read import Box

_SLICE_COUNT = 50


def read_directly(box: Box, uids: Sequence[int]) -> Iterator[tuple[int, Rendered | None, Callable[[], bytes]]]:
    """Yield (UID, what the index would keep or None for a letter that is gone, its octets)."""
    render = box.mailbox.boxes.rules.render
    for start in range(0, len(uids), _SLICE_COUNT):
        piece = uids[start : start + _SLICE_COUNT]
        for uid, octets in zip(piece, box.octets_of(piece), strict=True):
            if octets is None:
                yield uid, None, bytes
            else:
                yield uid, render(octets), lambda octets=octets: bytes(octets[:])  # type: ignore[misc]


def rendered_directly(box: Box, uids: Sequence[int], names: Sequence[str]) -> list[tuple[bytes, ...] | None]:
    """As `Box.rendered`."""
    return [r and tuple(getattr(r, name) for name in names) for _, r, _ in read_directly(box, uids)]


def field_directly(box: Box, uids: Sequence[int], name: str) -> list[Any]:
    """As `Box.fields`."""
    return [r and getattr(r, name) for _, r, _ in read_directly(box, uids)]


def search_directly(box: Box, uids: Sequence[int], needle: str, with_header: bool) -> list[int]:
    """As `Box.search_text`."""
    return [
        uid for uid, r, octets in read_directly(box, uids) if r is not None and _holds(r, octets(), needle, with_header)
    ]


def _holds(r: Rendered, octets: bytes, needle: str, with_header: bool) -> bool:
    texts = [r.text or ""]
    texts += [
        octets[start:end].decode("ascii", "replace").lower()
        for start, end in zip(r.spans[::2], r.spans[1::2], strict=True)
    ]
    if with_header:
        texts.append(
            r.header_text if r.header_text is not None else octets[: r.header_octets].decode("ascii", "replace").lower()
        )
    return any(needle in text for text in texts)
