"""One decision on a whole letter: each header and text judged, the unsure ones by the others, what may not be touched.

`review` decides, `convert` (module `rewrite`) carries out. A short subject proves nothing by itself: it follows the
body, and a short body follows a subject that is sure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bdmta.charset import codec, fields, markup
from bdmta.charset.detect import SURE, best, readings, sample
from bdmta.charset.truth import Kind, Text, Truth, base_encoding, find_truth
from bdmta.message import Header, Message, Part
from bdmta.message.octets import find

MAX_TEXT_OCTETS = 32 * 1024 * 1024  # a body beyond this is not converted
_LOOK_OCTETS = 1024 * 1024  # several letters are looked at at once: the memory of an edge is bounded
_ATTACHED_OCTETS = 256 * 1024
_KNOWN_LETTER_BAR = 3.5  # for a header of a letter that certainly is Vietnamese
_BODIES = frozenset({"text/plain", "text/html", "text/enriched", "text/calendar", "text/x-vcard"})
_SEALS = frozenset({"multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})
_SIGNATURES = frozenset({"dkim-signature", "arc-message-signature", "domainkey-signature"})


@dataclass(frozen=True, slots=True)
class Place:
    """One judged text: a body (`part` alone), or a piece of a header field."""

    part: Part
    text: Text
    truth: Truth
    header: Header | None = None
    piece: fields.Piece | None = None

    @property
    def name(self) -> str:
        """`subject`, `from`, or `body`; for findings, never content."""
        return self.header.name if self.header is not None else "body"


@dataclass(frozen=True, slots=True)
class Review:
    """What is to be done with a letter.

    `refusal`: a code (`nul`, `undecodable`, `overlong-utf-8`, `mixed-encodings`) or "". `changes`: places to convert.
    `suspects`: encodings that are likely and not certain. `warnings`: codes for findings. `seal`: what forbids any
    rewriting (`dkim`, `report`) or "".
    """

    refusal: str = ""
    changes: tuple[Place, ...] = ()
    suspects: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seal: str = ""

    @property
    def encodings(self) -> tuple[str, ...]:
        """The true encodings of what is to be converted, the body's first, each once."""
        return tuple(dict.fromkeys(place.truth.encoding for place in self.changes))

    @property
    def text_octets(self) -> int:
        """How much there is to convert."""
        return sum(len(place.text.octets) for place in self.changes)


def prepare() -> None:
    """Build the syllables and tables now (some 30 ms), so that no letter waits for them."""
    find_truth(Text("Đã chuẩn bị".encode("utf-16-le").replace(b"\0", b"\xb8"), "iso-8859-1"))
    for name in codec.TABLES:
        codec.decode(name, b"a", is_lenient=True)


def review(message: Message, *, is_smtputf8: bool | None = None) -> Review:
    """The decision on `message`; never raises.

    `is_smtputf8`: the sender declared SMTPUTF8 (RFC 6531), so that raw UTF-8 in headers is right; None: unknown, then
    a letter with an 8-bit body in UTF-8 is taken for one.
    """
    if find(message.octets, b"\0", 0, len(message.octets)) >= 0:
        return Review(refusal="nul")
    warnings: dict[str, None] = {}
    own = [part for part, state in _parts(message.root) if state == "own"]
    named = [part for part, state in _parts(message.root) if state in ("own", "attached")]
    bodies = _judged_bodies(own)
    headers = [place for part in named for place in _judged_headers(part, part is message.root, None, SURE, warnings)]
    bodies, headers = _agreed(bodies, headers)
    if is_smtputf8 is None:
        is_smtputf8 = any(_is_8bit_utf8(place) for place in bodies)
    changes = [place for place in bodies + headers if _needs_change(place, is_smtputf8)]
    for place in bodies:
        if place.text.is_html and _meta_differs(place):
            warnings["meta-charset-mismatch"] = None
    for place in bodies + headers:
        warnings.update(dict.fromkeys(place.truth.warnings))
    for part, state in _parts(message.root):
        if state != "own":
            warnings.update(dict.fromkeys(_noted(part, state)))
    return Review(
        refusal=_refusal(bodies + headers),
        changes=tuple(changes),
        suspects=tuple(dict.fromkeys(p.truth.encoding for p in bodies + headers if p.truth.kind is Kind.SUSPECT)),
        warnings=tuple(warnings),
        seal=_seal(message),
    )


def _parts(root: Part) -> Iterator[tuple[Part, str]]:
    """Every part with what may be done to it: `own`, `attached`, `nested` (forwarded, a report), `signed`."""
    waiting: list[tuple[Part, str]] = [(root, "nested" if root.media_type == "multipart/report" else "own")]
    while waiting:
        part, state = waiting.pop()
        inner = state
        if part.media_type.startswith("message/"):
            inner = "nested"
            state = "letter" if state == "own" else state
        elif part.media_type in _SEALS:
            inner = "signed" if state == "own" else state
            state = "container" if part is not root else state
        elif state == "own" and not part.is_multipart and _is_attached(part, part is root):
            state = inner = "attached"
        yield part, state
        waiting.extend((child, inner) for child in reversed(part.children))


def _is_attached(part: Part, is_root: bool) -> bool:
    if part.media_type not in _BODIES:
        return True
    return part.disposition == "attachment" or (not is_root and bool(part.names))


def _body_text(part: Part, max_octets: int = _LOOK_OCTETS) -> Text:
    octets = part.decoded(max_octets)
    is_html = part.media_type == "text/html"
    label = part.charset.strip("'\" ")
    if is_html and not label:
        label = markup.meta_charset(octets)
    return Text(octets, label, is_html)


def _judged_bodies(parts: list[Part]) -> list[Place]:
    places = []
    for part in parts:
        if part.is_multipart or part.media_type not in _BODIES:
            continue
        text = _body_text(part)
        if part.header_end and not part.charset and text.octets.isascii() and not text.is_html:
            truth = find_truth(replace(text, label="us-ascii"))
        else:
            truth = find_truth(text)
        if b"-----BEGIN PGP " in text.octets and truth.kind in (Kind.CONVERT, Kind.RELABEL):
            truth = Truth(Kind.RIGHT, truth.encoding, truth.is_vietnamese, ("legacy-charset-in-signed",))
        places.append(Place(part, text, truth))
    return places


def _judged_headers(
    part: Part, is_root: bool, hint: str | None, bar: float, warnings: dict[str, None]
) -> Iterator[Place]:
    known = fields.PARAMETERS | fields.UNSTRUCTURED | fields.ADDRESSES if is_root else fields.PARAMETERS
    for header in part.headers:
        if header.name not in known:
            continue
        for piece in fields.pieces(header.name, header.value):
            if piece.has_split:
                warnings["malformed-encoded-word"] = None
            if piece.kind == "word" and fields.has_control(piece.octets) and not piece.label.startswith("iso-2022"):
                warnings["control-in-header"] = None
            text = Text(piece.octets, piece.label)
            yield Place(part, text, _truth_of_word(text, piece, hint, bar), header, piece)


def _truth_of_word(text: Text, piece: fields.Piece, hint: str | None, bar: float) -> Truth:
    truth = find_truth(text, hint, bar=bar)
    if truth.kind is Kind.UNDECODABLE and piece.kind == "word" and _is_cut_short(text.octets):
        return Truth(Kind.RIGHT, text.label, warnings=("malformed-encoded-word",))
    return truth


def _is_cut_short(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.end == len(octets) and error.start >= len(octets) - 3
    return False


def _agreed(bodies: list[Place], headers: list[Place]) -> tuple[list[Place], list[Place]]:
    """Judge the unsure once more in the light of those that are sure, or of all that is unsure together."""
    everything = bodies + headers
    hint = next((base_encoding(p.truth.encoding) for p in everything if p.truth.kind is Kind.CONVERT), None)
    if hint is None:
        hint = _pooled(everything)
    is_vietnamese = any(place.truth.is_vietnamese for place in everything)
    if hint is None and not is_vietnamese:
        return bodies, headers
    bar = _KNOWN_LETTER_BAR if is_vietnamese else SURE
    return [_judged_again(place, hint, bar) for place in bodies], [_judged_again(p, hint, bar) for p in headers]


def _judged_again(place: Place, hint: str | None, bar: float) -> Place:
    is_open = place.truth.kind in (Kind.RIGHT, Kind.SUSPECT, Kind.UNDECODABLE, Kind.OVERLONG)
    if not is_open or place.truth.is_vietnamese or place.text.octets.isascii():
        return place
    if place.piece is not None:
        return replace(place, truth=_truth_of_word(place.text, place.piece, hint, bar))
    return replace(place, truth=find_truth(place.text, hint, bar=bar))


def _pooled(places: list[Place]) -> str | None:
    """The set that all unsure 8-bit texts of the letter are in, taken together."""
    unsure: list[bytes] = []
    for place in places:
        if place.truth.kind is Kind.MIXED or place.truth.is_vietnamese:
            continue
        octets = sample(place.text.octets)
        try:
            octets = codec.sloppy_octets(octets.decode("utf-8")) or b""
        except UnicodeDecodeError:
            pass
        if not octets.isascii():
            unsure.append(octets)
    if len(unsure) < 2:
        return None
    reading = best(readings(b"\n".join(unsure)))
    return reading.encoding if reading is not None else None


def _needs_change(place: Place, is_smtputf8: bool) -> bool:
    if place.truth.kind is Kind.CONVERT:
        return len(place.text.octets) < MAX_TEXT_OCTETS
    if place.truth.kind is not Kind.RELABEL:
        return False
    is_raw = place.piece is not None and place.piece.label == ""
    return not (is_raw and is_smtputf8)


def _is_8bit_utf8(place: Place) -> bool:
    part = place.part
    is_8bit = part.transfer_encoding in ("8bit", "binary") and not place.text.octets.isascii()
    return is_8bit and place.truth.kind is Kind.RIGHT and place.truth.encoding == "utf-8"


def _meta_differs(place: Place) -> bool:
    said = markup.meta_charset(place.text.octets)
    label = place.part.charset
    return bool(said and label) and said != label and place.truth.kind is Kind.RIGHT and not _same(said, label)


def _same(one: str, other: str) -> bool:
    return one.replace("-", "").replace("_", "") == other.replace("-", "").replace("_", "")


def _refusal(places: list[Place]) -> str:
    for place in places:
        if place.truth.kind in (Kind.UNDECODABLE, Kind.OVERLONG, Kind.MIXED):
            return place.truth.kind.value
    return ""


def _noted(part: Part, state: str) -> Iterator[str]:
    """Warnings on what is never rewritten: attachments, forwarded letters, signed parts."""
    code = {"nested": "nested-legacy-charset", "signed": "legacy-charset-in-signed"}.get(
        state, "attachment-legacy-charset"
    )
    if state in ("letter", "container") or part.is_multipart:
        return
    is_text = part.media_type.startswith("text/") or (part.names and part.names[0].lower().endswith((".txt", ".csv")))
    if (is_text and find_truth(_body_text(part, _ATTACHED_OCTETS)).kind is Kind.CONVERT) or (
        state == "nested"
        and any(place.truth.kind is Kind.CONVERT for place in _judged_headers(part, True, None, SURE, {}))
    ):
        yield code


def _seal(message: Message) -> str:
    if any(header.name in _SIGNATURES for header in message.headers):
        return "dkim"
    return "report" if message.root.media_type == "multipart/report" else ""
