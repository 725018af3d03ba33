"""Dot-stuffing of a letter that leaves in pieces (RFC 1939 §3)."""

from __future__ import annotations


class Stuffer:
    """Feed it pieces; `end` is what is still to send behind them."""

    def __init__(self) -> None:
        self._tail = b"\r\n"  # the letter begins a line

    def feed(self, piece: bytes) -> bytes:
        """The piece with each line that begins with a dot given another one."""
        if not piece:
            return piece
        tail = self._tail
        self._tail = (tail + piece[-2:])[-2:]
        if piece.startswith((b".", b"\n.")):  # only then does a line's beginning lie across the two pieces
            return (tail + piece).replace(b"\r\n.", b"\r\n..")[len(tail) :]
        return piece.replace(b"\r\n.", b"\r\n..")

    def end(self) -> bytes:
        """The last line's end, if it has none, and the final dot."""
        return b".\r\n" if self._tail == b"\r\n" else b"\r\n.\r\n"


def stuffed(octets: bytes) -> bytes:
    """A whole letter, with its end."""
    stuffer = Stuffer()
    return stuffer.feed(octets) + stuffer.end()


def top_of(octets: bytes, line_count: int) -> bytes:
    """The header, the empty line, and so many lines of the body (RFC 1939 §7, TOP)."""
    at = 0 if octets.startswith(b"\r\n") else octets.find(b"\r\n\r\n") + 2
    if at == 1:  # no body
        return octets
    at += 2
    for _ in range(line_count):
        end = octets.find(b"\n", at)
        if end < 0:
            return octets
        at = end + 1
    return octets[:at]
