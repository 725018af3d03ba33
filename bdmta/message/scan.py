"""Find the headers and parts of a letter: linear, bounded, never raising, without recursion.

Defect codes of a part: those of `headers.read_headers`, `parameters.read_field` and `boundaries.split`, and
`duplicate-content-type` (and -transfer-encoding, -disposition), `bad-content-type`, `unknown-encoding`,
`boundary-missing` (guessed then, where it can be), `boundary-empty`, `boundary-too-long`, `boundary-ambiguous`,
`boundary-like` (a line begins as a delimiter and goes on), `no-parts`, `encoded-multipart`, `encoded-message`,
`attached-octets`, `depth`, `parts`, `partial`, `external-body`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bdmta.message import transfer
from bdmta.message.boundaries import Split, guessed, split
from bdmta.message.headers import Header, read_headers
from bdmta.message.limits import Limits
from bdmta.message.octets import Octets, flat
from bdmta.message.parameters import Field, read_field, readings
from bdmta.message.part import Part

__all__ = ["Header", "Limits", "Message", "Octets", "Part", "scan"]

_MAX_BOUNDARY_CHARACTERS = 70  # RFC 2046 §5.1.1
_LETTERS = frozenset({"message/rfc822", "message/global", "message/news"})
_KNOWN_ENCODINGS = transfer.IDENTITY | transfer.BASE64 | transfer.QUOTED_PRINTABLE | transfer.UUENCODE
_DEFAULT_LIMITS = Limits()


@dataclass(slots=True, eq=False, weakref_slot=True)
class Message:
    """One scanned letter."""

    octets: Octets
    root: Part
    defects: tuple[str, ...]
    """Every defect of the letter and of its parts, attached letters included, each once."""

    @property
    def headers(self) -> tuple[Header, ...]:
        """The letter's own header fields, in order."""
        return self.root.headers

    @property
    def header_end(self) -> int:
        """Where the header block ends: a field written here is the last one."""
        return self.root.header_end

    @property
    def body_start(self) -> int:
        """Where the body begins, behind the blank line."""
        return self.root.body_start

    def all(self, name: str) -> list[Header]:
        """Every field of the letter called `name` (lower case), in order."""
        return self.root.all(name)

    def first(self, name: str) -> Header | None:
        """The first field of the letter called `name`, or None."""
        return self.root.first(name)

    def walk(self) -> Iterator[Part]:
        """Every part, outermost first, attached letters' too, without recursion."""
        waiting = [self.root]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.children))


def scan(octets: Octets, limits: Limits = _DEFAULT_LIMITS) -> Message:
    """Read a letter; linear in its size, never raises.

    Works on bytes, bytearray, memoryview and mmap without copying them; only header blocks are copied, and attached
    letters that come encoded are decoded (bounded by `limits.attached_octets`).
    """
    return _Scan(flat(octets), limits).read()


class _Scan:
    """One letter's scan: a worklist, and what of the limits is used up."""

    def __init__(self, octets: Octets, limits: Limits) -> None:
        self.octets = octets
        self.limits = limits
        self.parts_count = 0
        self.attached_octets_left = limits.attached_octets
        self.defects: dict[str, None] = {}
        self.letters: list[Message] = []
        self.boundaries: set[bytes] = set()
        self.alike: list[tuple[Part, tuple[bytes, ...]]] = []

    def read(self) -> Message:
        root = self.part(self.octets, 0, len(self.octets), 0, False)
        waiting = [root]
        while waiting:
            part = waiting.pop()
            if part.media_type.startswith("multipart/"):
                self.open_multipart(part)
            elif part.media_type in _LETTERS:
                self.open_letter(part)
            waiting.extend(part.children)
        self.report_alike()
        message = Message(self.octets, root, tuple(self.defects))
        for letter in self.letters:
            found: dict[str, None] = {}
            for part in letter.walk():
                found.update(dict.fromkeys(part.defects))
            letter.defects = tuple(found)
        return message

    def part(self, octets: Octets, start: int, end: int, depth: int, is_digest: bool) -> Part:
        """Read one part's header block."""
        self.parts_count += 1
        block = read_headers(octets, start, end, self.limits)
        part = Part(octets, block.fields, (start, block.end, block.body, end), depth, is_digest)
        if is_digest:
            part.media_type = "message/rfc822"
        defects = block.defects
        self.describe(part, defects)
        self.report(part, defects)
        return part

    def describe(self, part: Part, defects: list[str]) -> None:
        """Content-Type, -Transfer-Encoding and -Disposition, each by its worst reading."""
        types: list[Field] = []
        dispositions: list[Field] = []
        encodings: list[str] = []
        for header in part.headers:
            name = header.name
            if name[:8] != "content-":
                continue
            if name == "content-type":
                types.append(read_field(header.value, self.limits))
            elif name == "content-transfer-encoding":
                encodings.append(_encoding(header.value))
            elif name == "content-disposition":
                dispositions.append(read_field(header.value, self.limits))
        if types:
            _take_types(part, types, defects)
        if dispositions:
            part.dispositions = tuple(dispositions)
            for field in dispositions:
                defects += field.defects
            if len(dispositions) > 1:
                defects.append("duplicate-content-disposition")
        if encodings:
            part.transfer_encodings = tuple(encodings)
            part.transfer_encoding = max(encodings, key=_hides)
            if len(encodings) > 1:
                defects.append("duplicate-content-transfer-encoding")
            if not _KNOWN_ENCODINGS.issuperset(encodings):
                defects.append("unknown-encoding")

    def report(self, part: Part, defects: list[str]) -> None:
        if defects:
            part.defects = tuple(dict.fromkeys((*part.defects, *defects)))
            self.defects.update(dict.fromkeys(defects))

    def report_alike(self) -> None:
        """`boundary-like`, where the line is not the delimiter of another multipart of the letter (`a` and `ab`)."""
        for part, lines in self.alike:
            if not all(line in self.boundaries or line.removesuffix(b"--") in self.boundaries for line in lines):
                self.report(part, ["boundary-like"])

    def may_open(self, part: Part) -> bool:
        if part.depth >= self.limits.depth:
            self.report(part, ["depth"])
        elif self.parts_count >= self.limits.parts:
            self.report(part, ["parts"])
        else:
            return True
        return False

    def open_multipart(self, part: Part) -> None:
        if not self.may_open(part):
            return
        defects: list[str] = []
        octets, start, end = part.octets, part.body_start, part.end
        encoded = part.transfer_encoding not in transfer.IDENTITY
        if encoded:
            defects.append("encoded-multipart")  # RFC 2045 §6.4 forbids it; some clients decode it
        found = self.split(part, octets, start, end, defects)
        if found is None and encoded and (inner := self.unwrapped(part, defects)) is not None:
            octets, start, end = inner, 0, len(inner)
            found = self.split(part, octets, start, end, defects)
        if found is None:
            part.preamble = (start, end)
            self.report(part, [*defects, "no-parts"])
            return
        defects += found.defects
        part.preamble, part.epilogue = found.preamble, found.epilogue
        if found.alike:
            self.alike.append((part, found.alike))
        self.report(part, defects)
        is_digest = part.media_type == "multipart/digest"
        room = self.limits.parts - self.parts_count
        if len(found.parts) > room:
            self.report(part, ["parts"])
        part.children = tuple(
            self.part(octets, child[0], child[1], part.depth + 1, is_digest) for child in found.parts[:room]
        )

    def split(self, part: Part, octets: Octets, start: int, end: int, defects: list[str]) -> Split | None:
        """Take the body apart by the first of the boundaries named that stands in it."""
        chosen: Split | None = None
        candidates = _boundaries(part)
        if not candidates:
            defects.append("boundary-missing")
            guess = guessed(octets, start, end)
            candidates = [guess] if guess is not None else []
        for boundary in candidates:
            found = split(octets, start, end, boundary, self.limits.parts - self.parts_count)
            if found is None:
                continue
            if chosen is not None:
                defects.append("boundary-ambiguous")
                break
            chosen = found
            self.boundaries.add(boundary)
            if not boundary:
                defects.append("boundary-empty")
            if len(boundary) > _MAX_BOUNDARY_CHARACTERS:
                defects.append("boundary-too-long")
        if candidates == [b""] and chosen is None:
            defects.append("boundary-empty")
        return chosen

    def unwrapped(self, part: Part, defects: list[str]) -> bytes | None:
        """A body that should not be encoded, decoded; None when nothing is left of the allowance."""
        allowed = self.attached_octets_left
        octets = part.decoded(allowed + 1)
        if len(octets) > allowed:
            defects.append("attached-octets")
            octets = octets[:allowed]
        self.attached_octets_left -= len(octets)
        return octets or None

    def open_letter(self, part: Part) -> None:
        if not self.may_open(part):
            return
        defects: list[str] = []
        octets, start, end = part.octets, part.body_start, part.end
        if part.transfer_encoding not in transfer.IDENTITY:
            defects.append("encoded-message")  # RFC 2046 §5.2.1 forbids it; clients read it, decoded or not
            if part.transfer_encoding in transfer.QUOTED_PRINTABLE or not _begins_as_letter(octets, start, end):
                inner = self.unwrapped(part, defects)
                if inner is not None:
                    octets, start, end = inner, 0, len(inner)
        self.report(part, defects)
        child = self.part(octets, start, end, part.depth + 1, False)
        part.children = (child,)
        part.letter = Message(octets, child, ())
        self.letters.append(part.letter)


def _begins_as_letter(octets: Octets, start: int, end: int) -> bool:
    return b":" in bytes(octets[start : min(end, start + 100)])


def _encoding(value: bytes) -> str:
    if value.isalnum():
        return value.decode("ascii").lower()
    token = read_field(value, _DEFAULT_LIMITS).token
    return token or value[:100].strip(b"\"' \t").decode("latin-1").lower()


def _hides(encoding: str) -> int:
    return 2 if encoding in transfer.BASE64 else 1 if encoding not in transfer.IDENTITY else 0


def _opens(field: Field) -> int:
    if field.token.startswith("multipart/"):
        return 2
    return 1 if field.token.startswith("message/") else 0


def _take_types(part: Part, types: list[Field], defects: list[str]) -> None:
    part.types = tuple(types)
    part.media_types = tuple(field.token for field in types)
    for field in types:
        defects += field.defects
    worst = types[0] if len(types) == 1 else max(types, key=_opens)
    main, slash, minor = worst.token.partition("/")
    if main and slash and minor and "/" not in minor:
        part.media_type = worst.token
    else:
        defects.append("bad-content-type")
    if len(types) > 1:
        defects.append("duplicate-content-type")
    if "message/partial" in part.media_types:
        defects.append("partial")
    if "message/external-body" in part.media_types:
        defects.append("external-body")


def _boundaries(part: Part) -> list[bytes]:
    """Every reading of the boundary, as octets, the likeliest first; a few at most."""
    out: dict[bytes, None] = {}
    for field in part.types:
        for text in readings(field.parameters, "boundary")[:8]:
            try:
                octets = text.encode("latin-1")
            except UnicodeEncodeError:
                octets = text.encode("utf-8", "surrogatepass")
            out[octets.rstrip(b" \t\r\n")] = None
    named = [boundary for boundary in out if boundary]
    return named[:4] or list(out)
