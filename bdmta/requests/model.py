"""What a request is: its kinds, what each has to say, its states, its deadline. No file, no clock, no database."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from bdmta.errors import UsageError
from storage.directory_requests import Request

OPEN = ("draft", "received", "discussing")
"""States in which a request waits for a decision."""

_NEXT: dict[str, tuple[str, ...]] = {
    "draft": ("received", "rejected"),
    "received": ("discussing", "approved", "rejected"),
    "discussing": ("received", "approved", "rejected"),
    "approved": ("working", "discussing", "rejected"),
    "working": ("working", "done", "rejected"),
    "done": (),
    "rejected": (),
}
STATE_VI = {
    "draft": "Chờ xác nhận", "received": "Đã tiếp nhận", "discussing": "Đang trao đổi", "approved": "Đã duyệt",
    "working": "Đang thực hiện", "done": "Đã thực hiện", "rejected": "Không thực hiện",
}  # fmt: skip
KIND_VI = {
    "create": "cấp mới hộp thư", "change": "thay đổi hộp thư", "cancel": "hủy bỏ hộp thư",
    "reset": "cấp lại mật khẩu", "merge": "sáp nhập cơ quan",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """Something that a request says: its name in `details`, what forms call it, whether it must be there."""

    name: str
    label: str
    is_needed: bool = False


FIELDS: dict[str, tuple[Field, ...]] = {
    "create": (
        Field("name", "Họ và tên", True), Field("agency", "Cơ quan", True), Field("mailbox_kind", "Loại hộp thư"),
        Field("position", "Chức vụ"), Field("rank", "Cấp bậc"), Field("address", "Địa chỉ đề nghị"),
        Field("extension", "Phần mở rộng"), Field("published", "Công khai"),
    ),
    "change": (
        Field("mailbox", "Hộp thư", True), Field("new_address", "Địa chỉ mới"), Field("new_name", "Họ và tên mới"),
        Field("new_agency", "Cơ quan mới"), Field("rank", "Cấp bậc"), Field("position", "Chức vụ"),
    ),
    "cancel": (Field("mailbox", "Hộp thư", True),),
    "reset": (Field("mailbox", "Hộp thư", True),),
    "merge": (Field("old_agency", "Cơ quan cũ", True), Field("into_agency", "Cơ quan nhận", True)),
}  # fmt: skip
"""What each kind may say. Everything else is refused by name."""

_CHANGES = ("new_address", "new_name", "new_agency", "rank")
_TEXT_MAX = 300


def checked(kind: str, details: Mapping[str, Any], *, is_draft: bool = False) -> dict[str, Any]:
    """`details` in good form for `kind`; UsageError names what is missing, unknown or too long. A draft may lack."""
    known = {field.name: field for field in FIELDS.get(kind, ())}
    if not known:
        raise UsageError(f"{kind}: a request is one of {', '.join(FIELDS)}")
    made: dict[str, Any] = {}
    for name, value in details.items():
        if value is None or value == "":
            continue
        if name not in known:
            raise UsageError(f"{name}: a request to {kind} does not say this; it says {', '.join(known)}")
        made[name] = _value(name, value)
    if not is_draft:
        missing = [field for field in known.values() if field.is_needed and field.name not in made]
        if missing:
            raise UsageError(f"a request to {kind} needs {', '.join(f'{f.name} ({f.label})' for f in missing)}")
        if kind == "change" and not any(name in made for name in _CHANGES):
            raise UsageError(f"a request to change says what is to be changed: {', '.join(_CHANGES)}")
    return made


def _value(name: str, value: Any) -> Any:
    if name == "rank":
        if isinstance(value, bool) or not str(value).isdecimal() or not 1 <= int(value) <= 99:
            raise UsageError(f"rank: {value}: a whole number from 1 (the highest) to 99 (Điều 5.4)")
        return int(value)
    if name == "published":
        return bool(value)
    text = " ".join(str(value).split())
    if len(text) > _TEXT_MAX:
        raise UsageError(f"{name}: over {_TEXT_MAX} characters")
    if name == "mailbox_kind" and text not in ("person", "agency"):
        raise UsageError(f"mailbox_kind: {text}: a mailbox is of a person or an agency")
    return text.lower() if name in ("agency", "new_agency", "old_agency", "into_agency", "extension") else text


def check_step(request: Request, state: str) -> None:
    """Raise UsageError unless the request may go into `state` from where it is."""
    if state not in _NEXT[request.state]:
        may = ", ".join(_NEXT[request.state]) or "nothing; it is closed"
        raise UsageError(f"{request.number}: is {request.state}; from there it goes to {may}")


def due_on(received: date, working_days: int, holidays: Container[date]) -> date:
    """The last day to deal with what came on `received`: so many working days later, Saturdays and Sundays none."""
    day = received
    left = working_days
    while left:
        day += timedelta(days=1)
        if day.weekday() < 5 and day not in holidays:
            left -= 1
    return day
