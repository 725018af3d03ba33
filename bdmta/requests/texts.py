"""What people read about requests, in one place: administrative Vietnamese."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from bdmta.requests.model import FIELDS, KIND_VI
from storage.directory_requests import Request

_CENTER = "Trung tâm Thông tin điện tử"
_CLOSING = f"\n\nTrân trọng.\n\n{_CENTER}\n"
_LEGAL = "Điều 7 Quy chế ban hành kèm theo Quyết định số 82/2009/QĐ-UBND"


def acknowledgement(request: Request, due: str) -> tuple[str, str]:
    """Subject and text of the receipt with the number."""
    if request.state == "draft":
        what = (
            "Yêu cầu này chưa được tiếp nhận chính thức, vì hộp thư gửi không thuộc diện được yêu cầu nội dung trên "
            f"hoặc nội dung còn thiếu ({_LEGAL}, Bước 1). Cán bộ của Trung tâm sẽ xem và trả lời."
        )
    else:
        what = f"Thời hạn giải quyết: ngày {day(due)}."
    text = (
        f"Trung tâm đã nhận được yêu cầu {KIND_VI[request.kind]}, số {request.number}.\n\n"
        f"{asked(request)}\n{what}\n\n"
        f"Khi trao đổi thêm, xin trả lời thư này và giữ nguyên số {request.number} trong tiêu đề." + _CLOSING
    )
    return f"[{request.number}] Đã nhận yêu cầu {KIND_VI[request.kind]}", text


def unreadable(reason: str) -> tuple[str, str]:
    """Subject and text for an official's letter in which no request was found."""
    text = (
        f"Trung tâm đã nhận được thư, nhưng chưa đọc được yêu cầu trong thư: {reason}.\n\n"
        "Xin gửi lại theo mẫu, mỗi dòng một mục, ví dụ:\n\n"
        "  Yêu cầu: cấp mới\n  Họ và tên: Nguyễn Văn Minh\n  Cơ quan: sotttt\n  Chức vụ: Chuyên viên\n"
        "  Căn cứ: Quyết định số 12/QĐ-STTTT\n" + _CLOSING
    )
    return "Chưa đọc được yêu cầu trong thư", text


def question(request: Request, text: str) -> tuple[str, str]:
    """Subject and text of what the Center asks or tells the requester (Bước 2)."""
    said = (
        f"Về yêu cầu {KIND_VI[request.kind]} số {request.number}:\n\n{text.strip()}\n\nXin trả lời thư này." + _CLOSING
    )
    return f"[{request.number}] Trao đổi về yêu cầu {KIND_VI[request.kind]}", said


def refusal(request: Request, reason: str) -> tuple[str, str]:
    """Subject and text of a refusal with its reason (Bước 3)."""
    text = (
        f"Yêu cầu {KIND_VI[request.kind]} số {request.number} không thực hiện được.\n\nLý do: {reason.strip()}\n\n"
        f"{asked(request)}\nCăn cứ: {_LEGAL}, Bước 3." + _CLOSING
    )
    return f"[{request.number}] Không thực hiện yêu cầu {KIND_VI[request.kind]}", text


def result(request: Request, lines: list[str]) -> tuple[str, str]:
    """Subject and text of the result."""
    done = "\n".join(f"  - {line}" for line in lines)
    text = (
        f"Yêu cầu {KIND_VI[request.kind]} số {request.number} đã được thực hiện:\n\n{done}\n\n"
        f"{asked(request)}\nCăn cứ: {_LEGAL}." + _CLOSING
    )
    return f"[{request.number}] Đã thực hiện yêu cầu {KIND_VI[request.kind]}", text


def asked(request: Request) -> str:
    """The request's own words, a line each."""
    details: Mapping[str, Any] = request.details
    known = {field.name: field.label for field in FIELDS[request.kind]}
    words = {"person": "cá nhân", "agency": "cơ quan", True: "có", False: "không"}
    lines = [f"  {known[name]}: {words.get(details[name], details[name])}" for name in known if name in details]
    lines.append(f"  Bên yêu cầu: {request.requester}")
    if request.paper.get("number"):
        on = f" ngày {day(request.paper['date'])}" if request.paper.get("date") else ""
        lines.append(f"  Văn bản số: {request.paper['number']}{on}")
    if request.grounds:
        lines.append(f"  Căn cứ: {' '.join(request.grounds.split())}")
    return "Nội dung yêu cầu:\n" + "\n".join(lines) + "\n"


def day(iso: str) -> str:
    """A date as people here write it; what is no date stays as it is."""
    try:
        return date.fromisoformat(iso[:10]).strftime("%d/%m/%Y")
    except ValueError:
        return iso
