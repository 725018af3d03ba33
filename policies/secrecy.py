"""State secrets are never sent by mail (Điều 9.1, 12, 19): what bears a stamp MẬT, TỐI MẬT, TUYỆT MẬT is refused.

A stamp stands on a line of its own, in spaced capitals, or beside a document's number; words such as bảo mật, mật khẩu,
and Mật as a name in running text are no stamps. Looked for in the subject, the text and the words of attached
documents, in any encoding. Nothing of such a letter is kept or logged: findings say where, never what.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from bdmta.policy import (
    Account,
    Direction,
    Facts,
    Finding,
    Message,
    Pass,
    Reject,
    Services,
    Stage,
    Verdict,
    option,
    texts_of,
)

ARTICLE = "Điều 9.1, 12, 19"
_LINE_CHARACTERS = 160
_THREAD_OCTETS = 16 * 1024  # beyond it the loop of the edge goes on meanwhile
_STRUCTURE = ("multipart/", "text/plain", "text/html", "message/", "image/", "audio/", "video/")

# TCVN3 has no capitals with a tone: `MẬT` comes out of it as `MậT`.
_SECRET, _TOP, _UTMOST = "M[Ậậ]T", "T[Ốố]I M[Ậậ]T", "TUY[Ệệ]T M[Ậậ]T"
_STAMP = f"(?:{_UTMOST}|{_TOP}|{_SECRET})"
_SMALL = "(?:[Tt]uyệt [Mm]ật|[Tt]ối [Mm]ật)"
_EDGE = r"[\s\W_]*"
_BESIDE = "(?i:khẩn|thượng khẩn|hỏa tốc|hoả tốc|tài liệu|văn bản|công văn)"  # what stands on the same stamp
_OWN_LINE = re.compile(
    rf"[>|\s]*([^\w;]*)(?:{_BESIDE}[ ,:/–-]{{1,5}})?({_STAMP}|{_SMALL})(?:[ ,/–-]{{1,5}}{_BESIDE})?([^\w;,.:?]*)"
)
_GAP = "[ ._-]{1,3}"
_SPACED = re.compile(
    rf"(?<!\w)(?:{_GAP.join('TUY')}{_GAP}[Ệệ]{_GAP}T[ ._-]{{1,6}}|T{_GAP}[Ốố]{_GAP}I[ ._-]{{1,6}})?"
    rf"M{_GAP}[Ậậ]{_GAP}T(?!\w)"
)
_NEAR = re.compile(r"[Ậậ][ .\t_-]{0,3}[Tt](?!\w)")  # what every stamp has, and few lines
_LEVEL_NAMED = re.compile(
    r"(?:độ|mức)(?: độ)?(?: bảo)? mật ?[:=–-] ?[\[(“\"]?(?:tuyệt mật|tối mật|mật)(?![ ]?\w)", re.IGNORECASE
)
_NUMBER = r"(?:[Ss][Ốố] ?:? ?\d{1,6}(?:[/.-][\w./-]{1,30})?|\b\d{1,6}/(?:\d{4}/)?[A-ZĐ][A-ZĐ0-9./-]{1,30})"
_BESIDE_NUMBER = re.compile(
    rf"{_NUMBER}(?<!BẢO)(?<!BÍ)[\s,;:()\[\]“”\"–-]{{1,12}}(?:độ )?{_STAMP}(?=\W*$)"
    rf"|^[\W_]*{_STAMP}[\W_]{{1,12}}{_NUMBER}"
)
_BESIDE_WORD = re.compile(rf"(?:[Cc]ông văn|CÔNG VĂN|[Vv]ăn bản|VĂN BẢN|[Tt]ài liệu|TÀI LIỆU) \(?{_STAMP}\)? {_NUMBER}")
_NUMBER_SPLIT = re.compile(r"^(?:[Ss]ố|SỐ) ?:")
_REPLY = re.compile(r"^(?:(?:re|fw|fwd|tl|ct|trả lời|chuyển tiếp) ?(?:\[\d+\])?: ?)+", re.IGNORECASE)
_LIST_TAG = re.compile(r"^\[[^\[\]]{1,20}\] ?")
_SUBJECT = re.compile(
    rf"^[\W_]*{_STAMP}(?=\W*$| ?[\]):.|/–—-])|[\[(] ?(?:{_STAMP}|{_SMALL}|Mật|mật) ?[\])]"
    rf"|[–—|:,-] ?{_STAMP}(?=[\W_]*$| ?[–—|:,/-])"
    rf"|^[\W_]*{_SMALL} ?[\]):–—-]|(?<!\w)(?:{_UTMOST}|{_TOP})(?!\w)"
)
_BULLET = re.compile(r"^[>|\s]*(?:[-+*•·]|\w[.)])")


@dataclass(frozen=True)
class Config:
    """Options of policies.secrecy."""

    phrases: tuple[str, ...] = option(
        (), "Further phrases that make a letter secret, for everybody: whole words, in any case of letters."
    )
    agency_phrases: Mapping[str, tuple[str, ...]] = option(
        {}, "Further phrases for the letters of one agency (Điều 17.1), by its name in the directory."
    )
    in_attachments: bool = option(True, "Whether the words of attached documents are looked at too.")


class Policy:
    """Refuses letters of officials that bear a secrecy stamp (Điều 9.1, 12, 19)."""

    stages: ClassVar[frozenset[Stage]] = frozenset({Stage.DATA})

    def __init__(self, config: Config, services: Services) -> None:
        self.config = config
        self._examiner = services.examiner
        self._phrases = {agency: _phrases(words) for agency, words in config.agency_phrases.items()}
        self._for_all = _phrases(config.phrases)

    async def decide(self, stage: Stage, facts: Facts) -> Verdict:
        """Reject at the first stamp, naming the place; never asked of letters from outside."""
        message = facts.message
        if message is None or facts.direction is Direction.INBOUND:
            return Pass()
        phrases = self._own_phrases(facts.account)
        if len(message.octets) > _THREAD_OCTETS:
            where = await asyncio.to_thread(_marked_place, message, phrases)
        else:
            where = _marked_place(message, phrases)
        if where:
            return _refused(where, None)
        if not self.config.in_attachments or not _has_documents(message):
            return Pass()
        for path, text in await self._examiner.texts(message):
            if is_marked(text) or _has_phrase(text, phrases):
                return _refused("attachment", path)
        return Pass()

    def _own_phrases(self, account: Account | None) -> tuple[re.Pattern[str], ...]:
        agency = self._phrases.get(account.agency or "") if account is not None else None
        return tuple(pattern for pattern in (self._for_all, agency) if pattern is not None)


def is_marked(text: str) -> bool:
    """Whether a document's text (NFC, a line as it is shown, cells set off by tabs) bears a stamp."""
    if _NEAR.search(text) is None:
        return False
    own: list[tuple[int, str, bool]] = []
    for index, line in enumerate(text.split("\n")):
        cells = line.split("\t")
        joined = line.replace("\t", " ")
        if len(line) > _LINE_CHARACTERS:
            if _LEVEL_NAMED.search(joined) is not None:
                return True
            continue
        if _is_marked_line(joined):
            return True
        for cell in cells:
            match = _OWN_LINE.fullmatch(cell)
            if match is not None:
                own.append((index, match.group(2).upper(), _BULLET.match(cell) is not None))
    return _has_stamp(own)


def is_marked_subject(subject: str) -> bool:
    """Whether a subject bears a stamp: before or behind the rest, in brackets, or spaced."""
    if "ậ" not in subject.lower():
        return False
    rest = _REPLY.sub("", subject.strip())
    patterns = (_SUBJECT, _SPACED, _LEVEL_NAMED, _BESIDE_NUMBER, _BESIDE_WORD)
    return any(p.search(each) is not None for each in (rest, _LIST_TAG.sub("", rest)) for p in patterns)


def _is_marked_line(line: str) -> bool:
    return any(p.search(line) is not None for p in (_SPACED, _LEVEL_NAMED, _BESIDE_NUMBER, _BESIDE_WORD))


def _has_stamp(own: list[tuple[int, str, bool]]) -> bool:
    """Whether a line is a stamp and not an item of a list of the levels (`- Tuyệt mật`, `- Tối mật`, `- Mật`)."""
    for index, level, has_bullet in own:
        near = {other for at, other, _ in own if 0 < abs(at - index) <= 2 and other != level}
        if not (near and has_bullet):
            return True
    return False


def _marked_place(message: Message, phrases: tuple[re.Pattern[str], ...]) -> str:
    """`subject`, `body`, or "" when neither is marked."""
    for place, text in texts_of(message):
        marked = is_marked_subject(text) if place == "subject" else is_marked(text)
        if marked or _has_phrase(text, phrases):
            return place
    return ""


def _has_documents(message: Message) -> bool:
    return any(part.names or not part.media_type.startswith(_STRUCTURE) for part in message.walk())


def _phrases(words: Iterable[str]) -> re.Pattern[str] | None:
    chosen = [
        re.sub(r"\s+", r"\\s+", re.escape(_folded(word).strip()).replace("\\ ", " ")) for word in words if word.strip()
    ]
    return re.compile(rf"(?<!\w)(?:{'|'.join(chosen)})(?!\w)") if chosen else None


def _has_phrase(text: str, phrases: tuple[re.Pattern[str], ...]) -> bool:
    if not phrases:
        return False
    folded = _folded(text)
    return any(pattern.search(folded) is not None for pattern in phrases)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


_PLACES = {
    "subject": ("the subject", "tiêu đề thư"),
    "body": ("the text", "nội dung thư"),
    "attachment": ("an attached file", "tệp đính kèm"),
}
_HOW_TO = (
    "Tài liệu có độ Mật, Tối mật, Tuyệt mật không được gửi qua hệ thống thư điện tử (Điều 9 khoản 1, Điều 12, "
    "Điều 19); xin gửi theo quy định về bảo vệ bí mật nhà nước. Nội dung thư không được lưu lại trên hệ thống. "
    "Nếu thư không chứa bí mật nhà nước, xin bỏ dòng ghi độ mật rồi gửi lại, hoặc liên hệ Trung tâm Thông tin điện tử."
)


def _refused(place: str, file: str | None) -> Reject:
    name, name_vi = _PLACES[place]
    at, at_vi = (f"{name} {file}", f"{name_vi} {file}") if file else (name, name_vi)
    text = f"Secret documents must not be sent by mail: {at} bears a secrecy marking"
    text_vi = f"Không được gửi tài liệu mật qua thư điện tử: {at_vi} có dấu chỉ độ mật"
    finding = Finding(code="secrecy", text=text, text_vi=text_vi, file=file, article=ARTICLE)
    return Reject(
        text=text, text_vi=text_vi, findings=(finding,), code=554, enhanced="7.1", article=ARTICLE, how_to_vi=_HOW_TO
    )
