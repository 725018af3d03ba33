"""No executable in any form, and nothing that cannot be looked into (Điều 13).

An executable refuses the letter as such, in every direction; there is no option for it but to name more of them. What
acts within a document, what is encrypted, damaged or over a bound is each an option, `reject` by default.
"""

from __future__ import annotations

from dataclasses import dataclass

from bdmta.policy import (
    Annotate,
    Direction,
    Facts,
    Finding,
    Item,
    Pass,
    Quarantine,
    Reject,
    Services,
    Stage,
    Verdict,
    option,
)

HEADER = "X-Bdmta-Content"
_ARTICLE = "Điều 13"
_ACTIONS = ("reject", "quarantine", "mark", "accept")


@dataclass(frozen=True)
class Config:
    """Options; each but the first two is what to do: reject, quarantine (to Junk), mark (a header), accept."""

    more_extensions: tuple[str, ...] = option((), "Further file name extensions that count as executable.")
    disguises: str = option(
        "reject", "Names with direction marks, NUL, class identifiers or streams.", choices=_ACTIONS
    )
    macros: str = option("reject", "Documents with macros, DDE commands or a template elsewhere.", choices=_ACTIONS)
    activex: str = option("mark", "Documents with ActiveX controls.", choices=_ACTIONS)
    pdf_active: str = option("reject", "PDF with JavaScript, Launch actions or rich media.", choices=_ACTIONS)
    pdf_embedded: str = option("reject", "PDF with embedded files.", choices=_ACTIONS)
    active_html: str = option("reject", "Attached HTML or SVG with script; in the letter's own text it is marked.",
                              choices=_ACTIONS)  # fmt: skip
    encrypted: str = option("reject", "Archives and documents that need a password.", choices=_ACTIONS)
    encrypted_letters: str = option("mark", "Letters encrypted by S/MIME or PGP (Điều 18.4).", choices=_ACTIONS)
    unreadable: str = option("reject", "Damaged or contradictory archives, documents and MIME structures.",
                             choices=_ACTIONS)  # fmt: skip
    fragments: str = option("reject", "message/partial and message/external-body.", choices=_ACTIONS)
    bounds: str = option("reject", "Letters over a bound of the examiner (depth, entries, octets, ratio, time).",
                         choices=_ACTIONS)  # fmt: skip


_OPTION_OF = {
    "disguised-name": "disguises",
    "macro": "macros", "dde": "macros", "remote-template": "macros", "activex": "activex",
    "pdf-javascript": "pdf_active", "pdf-launch": "pdf_active", "pdf-richmedia": "pdf_active",
    "pdf-embedded": "pdf_embedded", "html-active": "active_html", "encrypted": "encrypted",
    "encrypted-letter": "encrypted_letters", "unreadable": "unreadable", "mismatch": "unreadable",
    "overlap": "unreadable", "hidden-entry": "unreadable", "polyglot": "unreadable", "traversal": "unreadable",
    "link": "unreadable", "ambiguous": "unreadable", "fragment": "fragments", "external-body": "fragments",
    "depth": "bounds", "entries": "bounds", "expanded": "bounds", "ratio": "bounds", "time": "bounds",
    "mime-bound": "bounds",
}  # fmt: skip

_TEXTS: dict[str, tuple[str, str]] = {
    "executable-name": ("an executable file by its name", "tệp thực thi, xét theo tên"),
    "executable-type": ("an executable file by its declared type", "tệp thực thi, xét theo kiểu khai báo"),
    "executable-content": ("an executable file by its content", "tệp thực thi, xét theo nội dung"),
    "disguised-name": ("its name is disguised", "tên tệp bị ngụy trang"),
    "macro": ("it contains macros", "tài liệu chứa macro"),
    "dde": ("it contains commands for other programs (DDE)", "tài liệu chứa lệnh gọi chương trình khác (DDE)"),
    "remote-template": ("it loads a template or object from elsewhere", "tài liệu tải mẫu hoặc đối tượng từ nơi khác"),
    "activex": ("it contains ActiveX controls", "tài liệu chứa điều khiển ActiveX"),
    "pdf-javascript": ("the PDF contains JavaScript", "tệp PDF chứa JavaScript"),
    "pdf-launch": ("the PDF starts programs", "tệp PDF có lệnh khởi chạy chương trình"),
    "pdf-richmedia": ("the PDF contains rich media", "tệp PDF chứa nội dung đa phương tiện hoạt động"),
    "pdf-embedded": ("the PDF carries embedded files", "tệp PDF mang theo tệp khác bên trong"),
    "html-active": ("HTML with script", "tệp HTML chứa mã kịch bản"),
    "encrypted": ("it is encrypted and cannot be inspected", "tệp bị mã hóa, không kiểm tra được"),
    "encrypted-letter": ("the letter is encrypted", "thư được mã hóa"),
    "unreadable": ("it is damaged or cannot be read", "tệp hỏng hoặc không đọc được"),
    "mismatch": ("the archive contradicts itself", "tệp nén có thông tin mâu thuẫn"),
    "overlap": ("the archive's entries overlap", "tệp nén có các mục chồng lên nhau"),
    "hidden-entry": ("the archive hides an entry", "tệp nén có mục bị giấu"),
    "polyglot": ("another file is hidden in it", "bên trong tệp có giấu tệp khác"),
    "traversal": ("an entry's name leads out of its folder", "tên mục trong tệp nén trỏ ra ngoài thư mục"),
    "link": ("the archive contains links or devices", "tệp nén chứa liên kết hoặc thiết bị"),
    "ambiguous": ("its MIME structure is ambiguous", "cấu trúc thư (MIME) không rõ ràng"),
    "fragment": ("a fragment of a letter cannot be inspected", "thư bị chia mảnh, không kiểm tra được"),
    "external-body": ("its content lies elsewhere", "nội dung thư nằm ở nơi khác"),
    "depth": ("too many levels of archives", "tệp nén lồng nhau quá nhiều tầng"),
    "entries": ("too many files", "quá nhiều tệp"),
    "expanded": ("too large when unpacked", "quá lớn khi giải nén"),
    "ratio": ("compressed beyond any honest file", "tỷ lệ nén bất thường"),
    "time": ("it takes too long to inspect", "kiểm tra mất quá nhiều thời gian"),
    "mime-bound": ("its MIME structure is over a limit", "cấu trúc thư (MIME) vượt giới hạn"),
}

_HOW_VI = (
    "Xin bỏ tệp này ra khỏi thư rồi gửi lại. Văn bản đính kèm dùng định dạng .txt, .rtf, .pdf, .doc, .odt, .csv, .xls, "
    ".ods, .ppt, .odp; khi cần thì nén .zip hoặc .gz; không đặt mật khẩu, không kèm tệp thực thi, "
    "macro hay mã kịch bản."
)
_ORDER = {action: rank for rank, action in enumerate(_ACTIONS)}


class Policy:
    """Refuses executables, and what its options say of the rest; findings name each file."""

    stages = frozenset({Stage.DATA})

    def __init__(self, config: Config, services: Services) -> None:
        self._config = config
        self._examiner = services.examiner
        self._more = frozenset(e.lower().lstrip(".") for e in config.more_extensions)

    async def decide(self, stage: Stage, facts: Facts) -> Verdict:
        """Reject 550 5.7.1 naming the file and the rule, or what the options say."""
        if facts.message is None:
            return Pass()
        inventory = await self._examiner.inventory(facts.message)
        found = [(self._action(p, None), _finding(p, None)) for p in inventory.problems]
        for item in inventory.items:
            found += [(self._action(p, item), _finding(p, item)) for p in self._problems(item)]
        if not found:
            return Pass()
        found.sort(key=lambda pair: _ORDER[pair[0]])  # stable: executables of one file come as they were found
        return _verdict(found, facts)

    def _problems(self, item: Item) -> tuple[str, ...]:
        if self._more and not self._more.isdisjoint(item.extensions) and "executable-name" not in item.problems:
            return (*item.problems, "executable-name")
        return item.problems

    def _action(self, problem: str, item: Item | None) -> str:
        if problem == "html-active" and item is not None and item.role == "body":
            return "mark"
        name = _OPTION_OF.get(problem)
        return "reject" if name is None else str(getattr(self._config, name))


def _finding(problem: str, item: Item | None) -> Finding:
    text, text_vi = _TEXTS.get(problem, (problem, problem))
    file = item.display if item is not None else None
    return Finding(code=problem, text=text, text_vi=text_vi, file=file, article=_ARTICLE)


def _verdict(found: list[tuple[str, Finding]], facts: Facts) -> Verdict:
    findings = tuple(finding for _, finding in found[:50])
    action = found[0][0]
    worst = min((f for a, f in found if a == action), key=_rank)
    if action in ("reject", "quarantine"):
        text, text_vi = _sentence(worst)
        how = _HOW_VI if facts.direction is not Direction.INBOUND else ""
        said = {"text": text, "text_vi": text_vi, "findings": findings, "article": _ARTICLE, "how_to_vi": how}
        return Reject(**said) if action == "reject" else Quarantine(**said)  # type: ignore[arg-type]
    if action == "mark":
        marks = sorted({finding.code for a, finding in found if a == "mark"})
        return Annotate(((HEADER, ", ".join(marks)),), findings)
    return Pass(findings)


def _rank(finding: Finding) -> int:
    return next((rank for rank, code in enumerate(_TEXTS) if code == finding.code), len(_TEXTS))


def _sentence(finding: Finding) -> tuple[str, str]:
    rule = "Article 13 of Decision 82/2009/QD-UBND"
    if finding.file is None:
        return (
            f"Message not accepted: {finding.text} ({rule}). Please remove it and send again",
            f"Không nhận thư này: {finding.text_vi} (Điều 13, Quyết định 82/2009/QĐ-UBND). Xin sửa rồi gửi lại",
        )
    return (
        f"File {finding.file} not accepted: {finding.text} ({rule}). Please remove it and send again",
        f"Không nhận tệp {finding.file}: {finding.text_vi} (Điều 13, Quyết định 82/2009/QĐ-UBND). "
        "Xin bỏ tệp này ra rồi gửi lại",
    )
