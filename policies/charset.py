"""Vietnamese text is Unicode (Điều 13: TCVN 6909:2001): TCVN3, VNI and their like are converted or refused.

Found under whatever label, and only when it is certain; text that reads rightly as UTF-8 and text in other languages is
left alone. What a signature covers, forwarded letters, reports and attached files are never rewritten.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bdmta.policy import (
    Annotate,
    CharsetReview,
    Direction,
    Facts,
    Finding,
    Message,
    Pass,
    Reject,
    Rewrite,
    Services,
    Stage,
    Verdict,
    convert_charset,
    option,
    prepare_charset,
    review_charset,
)

HEADER = "X-Bdmta-Charset"
ARTICLE = "Điều 13"
_MODES = ("convert", "refuse", "mark")
_THREAD_OCTETS = 16 * 1024  # beyond it the loop of the edge goes on meanwhile

_NAMES = {
    "tcvn3": "TCVN3 (ABC)", "vni-windows": "VNI", "viscii": "VISCII", "vps": "VPS", "viqr": "VIQR",
    "windows-1258": "windows-1258", "tcvn5712-vn1": "TCVN 5712", "utf-8": "UTF-8",
}  # fmt: skip

_REFUSALS = {
    "nul": (
        "The message contains a NUL octet, which no text may hold (RFC 5322)",
        "Thư có ký tự NUL, không được phép có trong văn bản (RFC 5322)",
    ),
    "undecodable": (
        "The text of the message cannot be decoded: it is not in the character set that it names",
        "Không giải mã được nội dung thư: văn bản không đúng bảng mã đã khai báo",
    ),
    "overlong-utf-8": (
        "The text of the message holds malformed (overlong) UTF-8",
        "Nội dung thư có chuỗi UTF-8 sai quy cách (overlong)",
    ),
    "mixed-encodings": (
        "The text of the message mixes several character sets and cannot be read as a whole",
        "Nội dung thư lẫn nhiều bảng mã khác nhau nên không đọc được trọn vẹn",
    ),
}
_REFUSAL_HOW_TO = (
    "Xin soạn lại thư với bảng mã Unicode (UTF-8): trong UniKey chọn bảng mã “Unicode”, trong phần mềm thư chọn "
    "mã hóa thư đi “Unicode (UTF-8)”, rồi gửi lại. Nội dung dán từ văn bản cũ (TCVN3, VNI) cần được chuyển mã trước: "
    "trong UniKey bấm Ctrl+Shift+F6."
)
_WARNINGS = {
    "not-nfc": (
        "Vietnamese letters are written with combining marks; they are kept as they are",
        "Chữ Việt viết bằng dấu tổ hợp; được giữ nguyên",
    ),
    "malformed-encoded-word": (
        "An encoded word in a header cuts a character in two (RFC 2047 section 5)",
        "Từ mã hóa trong tiêu đề cắt đôi một ký tự (RFC 2047 mục 5)",
    ),
    "control-in-header": (
        "An encoded word in a header hides a control character",
        "Từ mã hóa trong tiêu đề có ẩn ký tự điều khiển",
    ),
    "meta-charset-mismatch": (
        "The HTML names another character set than the message does; the message's label counts",
        "Bảng mã ghi trong HTML khác bảng mã của thư; nhãn của thư được dùng",
    ),
    "nested-legacy-charset": (
        "A forwarded message inside is in a legacy character set; it is evidence and is not changed",
        "Thư chuyển tiếp bên trong dùng bảng mã cũ; được giữ nguyên làm chứng cứ",
    ),
    "attachment-legacy-charset": (
        "An attached text file is in a legacy character set; attached files are not changed",
        "Tệp văn bản đính kèm dùng bảng mã cũ; tệp đính kèm không bị thay đổi",
    ),
    "legacy-charset-in-signed": (
        "The signed text is in a legacy character set; changing it would break the signature",
        "Phần đã ký số dùng bảng mã cũ; chuyển mã sẽ làm hỏng chữ ký",
    ),
    "mojibake-in-part": (
        "Part of the text looks garbled; the rest reads rightly, so nothing is changed",
        "Một phần nội dung có vẻ bị lỗi phông; phần còn lại đọc được nên không thay đổi gì",
    ),
    "viqr": (
        "The text is written in VIQR, Vietnamese in seven bits; it is not converted",
        "Nội dung viết theo quy ước VIQR (chữ Việt 7 bit); không tự động chuyển mã",
    ),
    "unlabelled-8bit": (
        "The text has letters beyond ASCII without a proper label",
        "Nội dung có ký tự ngoài ASCII nhưng không khai báo bảng mã",
    ),
    "undecodable-foreign": (
        "The text does not quite fit the character set that it names",
        "Nội dung không hoàn toàn khớp bảng mã đã khai báo",
    ),
}


@dataclass(frozen=True)
class Config:
    """Options of policies.charset."""

    submission: str = option(
        "convert",
        "What is done with legacy text that officials send: convert to UTF-8, refuse, or mark.",
        choices=_MODES,
    )
    inbound: str = option(
        "convert", "What is done with legacy text from outside that no signature covers: convert, refuse, or mark.",
        choices=_MODES,
    )  # fmt: skip
    undecodable: str = option(
        "refuse", "What is done with text that no character set explains: refuse, or mark.", choices=("refuse", "mark")
    )
    keep_original: bool = option(True, "Whether the original of a converted letter from outside is kept in quarantine.")


class Policy:
    """Converts, refuses or marks Vietnamese text that is not Unicode (Điều 13)."""

    stages = frozenset({Stage.DATA})

    def __init__(self, config: Config, services: Services) -> None:
        self.config = config
        prepare_charset()

    async def decide(self, stage: Stage, facts: Facts) -> Verdict:
        """Rewrite when it is converted; Reject with what to do; Annotate when it may not be changed; else Pass."""
        message = facts.message
        if message is None:
            return Pass()
        if len(message.octets) > _THREAD_OCTETS and not _is_plain_ascii(message):
            return await asyncio.to_thread(self._verdict, message, facts)
        return self._verdict(message, facts)

    def _verdict(self, message: Message, facts: Facts) -> Verdict:
        found = review_charset(message, is_smtputf8=facts.smtputf8)
        findings = _findings(found)
        if found.refusal:
            if found.refusal == "nul" or self.config.undecodable == "refuse":
                return _refused(found.refusal, findings)
            return Annotate(((HEADER, found.refusal),), (*findings, _refusal_finding(found.refusal)))
        if not found.changes:
            return _marked(found, findings)
        mode = self.config.inbound if facts.direction is Direction.INBOUND else self.config.submission
        if mode == "refuse":
            return _not_unicode(found, findings)
        if mode == "mark" or found.seal:
            return Annotate(((HEADER, f"legacy; {_plain(found.encodings)}"),), findings)
        keeps = self.config.keep_original and facts.direction is Direction.INBOUND
        mark = ((HEADER, f"converted; {_plain(found.encodings)}"),)
        return Rewrite(convert_charset(message, found), findings, mark, keep_original=keeps)


def _findings(found: CharsetReview) -> tuple[Finding, ...]:
    out = []
    for code in found.warnings:
        text, text_vi = _WARNINGS.get(code, (code, code))
        out.append(Finding(code=code, text=text, text_vi=text_vi, article=ARTICLE))
    for place in found.changes:
        name = place.truth.encoding
        text = f"The {place.name} is in {_readable(name)}, whatever its label says"
        text_vi = f"{_PLACES_VI.get(place.name, 'Trường ' + place.name)} dùng {_readable_vi(name)}"
        out.append(Finding(code="legacy-charset", text=text, text_vi=text_vi, article=ARTICLE))
    for name in found.suspects:
        text = f"The text may be in {_readable(name)}; it is not certain"
        text_vi = f"Nội dung có thể dùng {_readable_vi(name)}, chưa chắc chắn"
        out.append(Finding(code="suspected-legacy-charset", text=text, text_vi=text_vi, article=ARTICLE))
    return tuple(dict.fromkeys(out))


_PLACES_VI = {"body": "Nội dung thư", "subject": "Tiêu đề thư", "from": "Tên người gửi", "to": "Tên người nhận"}


def _readable(name: str) -> str:
    before, _, base = name.rpartition(":")
    plain = _NAMES.get(base, base)
    return f"{plain} misread and stored again (mojibake)" if before else plain


def _readable_vi(name: str) -> str:
    before, _, base = name.rpartition(":")
    plain = f"bảng mã {_NAMES.get(base, base)}"
    return f"{plain} nhưng đã bị đọc sai và lưu lại (lỗi phông)" if before else plain


def _plain(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def _marked(found: CharsetReview, findings: tuple[Finding, ...]) -> Verdict:
    if found.suspects:
        return Annotate(((HEADER, f"suspected; {_plain(found.suspects)}"),), findings)
    if "viqr" in found.warnings:
        return Annotate(((HEADER, "viqr"),), findings)
    return Pass(findings)


def _refusal_finding(code: str) -> Finding:
    text, text_vi = _REFUSALS[code]
    return Finding(code=code, text=text, text_vi=text_vi, article=ARTICLE)


def _is_plain_ascii(message: Message) -> bool:
    """One text in ASCII, of at most 256 KiB (larger ones are mapped files): there is next to nothing to judge."""
    octets, root = message.octets, message.root
    if not isinstance(octets, bytes) or root.children or root.media_type != "text/plain":
        return False
    return root.transfer_encoding in ("7bit", "8bit", "binary") and b"^" not in octets and octets.isascii()


def _refused(code: str, findings: tuple[Finding, ...]) -> Reject:
    text, text_vi = _REFUSALS[code]
    return Reject(
        text=text, text_vi=text_vi, findings=(*findings, _refusal_finding(code)), code=554, enhanced="6.0",
        article=ARTICLE, how_to_vi=_REFUSAL_HOW_TO,
    )  # fmt: skip


def _not_unicode(found: CharsetReview, findings: tuple[Finding, ...]) -> Reject:
    names, names_vi = _readable(found.encodings[0]), _readable_vi(found.encodings[0])
    return Reject(
        text=f"Vietnamese text must be in Unicode (TCVN 6909:2001); this message is in {names}",
        text_vi=f"Chữ Việt trong thư phải dùng bảng mã Unicode (TCVN 6909:2001); thư này dùng {names_vi}",
        findings=findings, code=554, enhanced="6.0", article=ARTICLE, how_to_vi=_REFUSAL_HOW_TO,
    )  # fmt: skip
