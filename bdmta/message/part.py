"""One body part: what is said of it, where it lies, what it holds."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from bdmta.message import transfer
from bdmta.message.headers import Header
from bdmta.message.octets import Octets, count
from bdmta.message.parameters import Field, readings
from bdmta.message.words import header_text

if TYPE_CHECKING:
    from bdmta.message.scan import Message

MAX_NAMES = 256


class Part:
    """One body part (the whole letter is the first). All spans count within `octets`.

    Made by `scan()` only. What is read of it is fixed then; names, parameters and bodies are decoded when asked for.
    """

    def __init__(
        self,
        octets: Octets,
        headers: tuple[Header, ...],
        span: tuple[int, int, int, int],
        depth: int,
        parent_is_digest: bool = False,
    ) -> None:
        self.octets = octets
        """The letter's octets; for a part in an attached letter that came encoded, that letter's, decoded."""
        self.headers = headers
        self.start, self.header_end, self.body_start, self.end = span
        self.depth = depth
        self.parent_is_digest = parent_is_digest
        """In a multipart/digest the type is message/rfc822 where none is named (RFC 2046 §5.1.5)."""
        self.children: tuple[Part, ...] = ()
        """The parts of a multipart; of an attached letter, its root."""
        self.letter: Message | None = None
        """The letter attached here (message/rfc822, message/global), scanned."""
        self.preamble: tuple[int, int] = (self.body_start, self.body_start)
        """Text before the first delimiter, in the octets of the children (a multipart in base64 has its own)."""
        self.epilogue: tuple[int, int] = (self.end, self.end)
        self.defects: tuple[str, ...] = ()
        self.media_type = "text/plain"
        """In lower case; with several Content-Types the one that opens most (multipart, then message)."""
        self.media_types: tuple[str, ...] = ()
        """Each type that was named, in order; empty where none was."""
        self.transfer_encoding = "7bit"
        """In lower case; with several the one that hides most."""
        self.transfer_encodings: tuple[str, ...] = ()
        self.types: tuple[Field, ...] = ()
        self.dispositions: tuple[Field, ...] = ()

    def __repr__(self) -> str:
        return f"<Part {self.media_type} {self.start}:{self.body_start}:{self.end} children={len(self.children)}>"

    @property
    def is_multipart(self) -> bool:
        """It is called a multipart (it may have no children: see its defects)."""
        return self.media_type.startswith("multipart/")

    @property
    def disposition(self) -> str:
        """`attachment`, `inline` …, in lower case; "" where none is given."""
        return self.dispositions[0].token if self.dispositions else ""

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The Content-Type's parameters by name in lower case, each by its likeliest reading."""
        field = next((field for field in self.types if field.token == self.media_type), None)
        return _by_name(field)

    @cached_property
    def disposition_parameters(self) -> dict[str, str]:
        """The Content-Disposition's parameters by name in lower case, each by its likeliest reading."""
        return _by_name(self.dispositions[0] if self.dispositions else None)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All distinct readings of this part's file name, the likeliest first; at most 256.

        `filename` and `name` of every Content-Disposition and Content-Type, decoded as this and that client does, and
        raw. NUL and direction characters are kept: they are the point.
        """
        out: dict[str, None] = {}
        for fields, base in (
            (self.dispositions, "filename"),
            (self.types, "name"),
            (self.dispositions, "name"),
            (self.types, "filename"),
        ):
            for field in fields:
                if field.parameters:
                    out.update(dict.fromkeys(readings(field.parameters, base)))
        if self.transfer_encoding in transfer.UUENCODE:
            for file in transfer.uuencoded_files(self.octets, self.body_start, self.end, 1):
                out[header_text(file.name)] = None
        out.pop("", None)
        return tuple(out)[:MAX_NAMES]

    @cached_property
    def charset(self) -> str:
        """The charset named, in lower case; "" where none is."""
        return self.parameters.get("charset", "").strip().lower()

    @property
    def content_id(self) -> str:
        """The Content-ID as it stands, with its < >; "" where none is given."""
        header = self.first("content-id")
        return header.text if header is not None else ""

    def all(self, name: str) -> list[Header]:
        """Every field of this part called `name` (lower case), in order."""
        return [header for header in self.headers if header.name == name]

    def first(self, name: str) -> Header | None:
        """The first field of this part called `name` (lower case), or None."""
        return next((header for header in self.headers if header.name == name), None)

    @property
    def size_octets(self) -> int:
        """Octets of the body as it stands, still encoded."""
        return self.end - self.body_start

    def line_count(self) -> int:
        """Line breaks in the body as it stands (BODYSTRUCTURE's lines, RFC 9051 §7.5.2)."""
        return count(self.octets, b"\n", self.body_start, self.end)

    def raw(self) -> memoryview:
        """The body as it stands, still encoded. Let it go before an mmap beneath it is closed."""
        return memoryview(self.octets)[self.body_start : self.end]

    def decoded(self, max_octets: int, encoding: str | None = None) -> bytes:
        """The body with its transfer encoding undone, at most `max_octets`; junk is skipped as clients skip it.

        `encoding`: read it by this one instead, for a part with several (`transfer_encodings`).
        """
        chosen = self.transfer_encoding if encoding is None else encoding
        return transfer.decoded(self.octets, self.body_start, self.end, chosen, max_octets)


def _by_name(field: Field | None) -> dict[str, str]:
    out: dict[str, str] = {}
    for parameter in field.parameters if field is not None else ():
        base = parameter.name.partition("*")[0]
        if base not in out and field is not None:
            out[base] = next(iter(readings(field.parameters, base)), "")
    return out
