"""The address of a person from the full name (Điều 5.3): the given name whole, then one initial a word of the rest.

Nguyễn Văn Minh is `minhnv`, Nguyễn Minh `minhn`, Nguyễn Thị Minh Khai `khaintm`. The initial is one letter, never the
digraph (Phạm gives `p`). What the rule leaves open comes with `review` and a proposal.
"""

from __future__ import annotations

from dataclasses import dataclass

from bdmta.address import MAX_LOCAL_OCTETS
from bdmta.naming import surnames
from bdmta.naming.proposal import Proposal, refused
from bdmta.naming.words import Word, read_words

_WORDS_MANY = 6  # more words than Vietnamese names have


@dataclass(frozen=True, slots=True)
class Parts:
    """A name in its parts, and why a person should look at it ("" where the rule is plain)."""

    given: tuple[Word, ...]
    others: tuple[Word, ...]  # family and middle names, in their order
    code: str = ""
    reason: str = ""


def propose(name: str = "", *, family: str = "", middle: str = "", given: str = "") -> Proposal:
    """The local part for `name`, or for its parts where they are given: these override what is guessed.

    Errors (`single-word`, `digit`, `script`, `sign`, `legacy-encoding`, `too-long`, `empty`, `fields`) have no
    local part. The result is made of a-z and is the same for NFC and NFD, capitals and spaces. Bounded in time.
    """
    read: dict[str, tuple[Word, ...]] = {}
    for field, text in (("họ tên", name), ("họ", family), ("tên đệm", middle), ("tên", given)):
        words = read_words(text, field)
        if isinstance(words, Proposal):
            return words
        read[field] = words
    whole = read["họ tên"]
    if family.strip() or middle.strip() or given.strip():
        parts = _from_fields(whole, read["họ"], read["tên đệm"], read["tên"])
    else:
        parts = _guessed(whole)
    return parts if isinstance(parts, Proposal) else _composed(parts)


def _from_fields(
    whole: tuple[Word, ...], family: tuple[Word, ...], middle: tuple[Word, ...], given: tuple[Word, ...]
) -> Parts | Proposal:
    """The parts as they were given; one that was not is what the others leave of the whole name."""
    rest = list(whole)
    for words in (family, middle, given):
        _take_out(rest, words)
    if not given:
        if not rest:
            return refused("fields", "chưa rõ tên: hãy ghi --given, hoặc ghi cả họ tên")
        given = (rest.pop(),)
    others = (*family, *(middle or rest)) if family else (*rest, *middle)
    if not others:
        return _single(given)
    return Parts(given, others)


def _take_out(rest: list[Word], words: tuple[Word, ...]) -> None:
    """Remove `words`, where they stand together, from `rest`; nothing when they do not."""
    letters = [word.letters for word in words]
    for start in range(len(rest) - len(words), -1, -1):
        if words and [word.letters for word in rest[start : start + len(words)]] == letters:
            del rest[start : start + len(words)]
            return


def _guessed(words: tuple[Word, ...]) -> Parts | Proposal:
    if not words:
        return refused("empty", "chưa có họ tên")
    if len(words) == 1 and not (words[0].has_apostrophe and words[0].letters[0] in surnames.MARKERS):
        return _single(words)
    given, others = words[-1:], words[:-1]
    own_first = _own_name_first(words)
    if own_first is not None:
        given, others = own_first
    code, reason = _doubt(words)
    return Parts(given, others, code, reason)


def _single(words: tuple[Word, ...]) -> Proposal:
    return refused(
        "single-word",
        f"chỉ có một từ ({' '.join(word.shown for word in words)}): quy tắc cần tên và chữ cái đầu của họ (Điều 5.3)",
    )


def _own_name_first(words: tuple[Word, ...]) -> tuple[tuple[Word, ...], tuple[Word, ...]] | None:
    """Given name and the rest where the person's own name stands first (H'Hen Niê, Y Moan Ênuôl, K'Brêu)."""
    first = words[0]
    if first.has_apostrophe:
        return (first,), words[1:]
    if len(words) > 2 and _is_marker(first):
        return words[:2], words[2:]
    return None


def _is_marker(word: Word) -> bool:
    """Y, H, K, Ka before the name of a person; Ý and Ỷ are names."""
    return word.shown.lower() in surnames.MARKERS


def _doubt(words: tuple[Word, ...]) -> tuple[str, str]:
    """Why a person should look at this name: code and reason, or two empty strings. The gravest doubt comes first."""
    letters = tuple(word.letters for word in words)
    if any(word.has_apostrophe for word in words):
        return "apostrophe", "tên có dấu nháy: dấu nháy được bỏ; xem lại đâu là tên riêng, đâu là họ"
    if _is_marker(words[0]) or letters[-1] in surnames.SURNAME_LAST or letters[0] in surnames.SURNAME_LAST:
        return "minority-name", "tên theo cách đặt của một dân tộc thiểu số: xem lại đâu là tên riêng, đâu là họ"
    if any(word.is_hyphenated for word in words):
        return "hyphen", "tên có gạch nối: gạch nối được bỏ; xem lại các chữ nối với nhau là một tên hay hai"
    if letters[0] in surnames.TITLES:
        return "title", f"“{words[0].shown}” có vẻ là học hàm, học vị, không thuộc họ tên"
    if letters[0] in surnames.FORMS_OF_ADDRESS and len(words) > 2 and letters[1] in surnames.COMMON:
        return "title", f"“{words[0].shown}” có vẻ là từ xưng hô, không thuộc họ tên"
    if any(word.is_abbreviated or (len(word.letters) == 1 and not word.is_vietnamese) for word in words):
        return "abbreviated", "họ tên có chữ viết tắt: hãy ghi đầy đủ nếu biết"
    for compound in surnames.COMPOUND:
        if letters[: len(compound)] == compound and len(letters) > len(compound):
            shown = " ".join(word.shown for word in words[: len(compound)])
            return "compound-surname", f"họ kép {shown}: quy tắc không nói lấy một hay {len(compound)} chữ cái đầu"
    if letters[-1] in surnames.TELLING and letters[0] not in surnames.COMMON:
        return "order", f"“{words[-1].shown}” thường là họ: họ tên có thể đã bị đảo thứ tự"
    foreign = [word.shown for word in words if not word.is_vietnamese]
    if foreign:
        return "foreign-name", f"không phải âm tiết tiếng Việt: {', '.join(foreign)}; xem lại đâu là tên, đâu là họ"
    if len(words) > _WORDS_MANY:
        return "many-words", f"họ tên có {len(words)} từ: xem lại đâu là tên"
    return "", ""


def _composed(parts: Parts) -> Proposal:
    initials = [piece[0] for word in parts.others for piece in word.parts]
    local = "".join(word.letters for word in parts.given) + "".join(initials)
    steps = (
        f"tên: {_shown(parts.given)} → {''.join(word.letters for word in parts.given)}",
        f"họ và tên đệm: {_shown(parts.others)} → {' + '.join(initials)}" if initials else "họ và tên đệm: không có",
        f"ghép lại: {local}",
    )
    if len(local) > MAX_LOCAL_OCTETS:
        return refused("too-long", f"{local}: dài quá {MAX_LOCAL_OCTETS} ký tự (RFC 5321 §4.5.3.1.1)", steps)
    if parts.code:
        return Proposal(local_part=local, status="review", code=parts.code, reason=parts.reason, steps=steps)
    return Proposal(local_part=local, steps=steps)


def _shown(words: tuple[Word, ...]) -> str:
    return " ".join(word.shown for word in words)
