"""The words of delivery reports: Vietnamese first, then English (contract 16). What a peer said is quoted, bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bdmta.queue.recipients import Report

_SHOWN_RECIPIENTS = 50

SUBJECTS = {
    Report.FAILED: "Thư không gửi được (Undelivered mail)",
    Report.DELAYED: "Thư gửi chậm, hệ thống đang gửi lại (Delayed mail)",
    Report.RELAYED: "Thư đã được chuyển đi (Mail relayed)",
    Report.DELIVERED: "Thư đã được chuyển đến nơi (Mail delivered)",
}

_VI = {
    Report.FAILED: "Thư anh/chị gửi lúc {time} KHÔNG chuyển được tới người nhận sau đây. Hệ thống không gửi lại nữa.",
    Report.DELAYED: (
        "Thư anh/chị gửi lúc {time} CHƯA chuyển được tới người nhận sau đây. Đây chỉ là thông báo; anh/chị không cần\n"
        "gửi lại. Hệ thống tiếp tục gửi cho đến {until}, rồi sẽ báo nếu vẫn không được."
    ),
    Report.RELAYED: (
        "Thư anh/chị gửi lúc {time} đã được chuyển sang máy chủ của người nhận. Máy chủ đó không gửi báo phát, nên có\n"
        "thể anh/chị sẽ không nhận được thông báo nào thêm."
    ),
    Report.DELIVERED: "Thư anh/chị gửi lúc {time} đã được đưa vào hộp thư của người nhận sau đây.",
}
_EN = {
    Report.FAILED: "Your message of {time} could NOT be delivered to the following recipients. It is not tried again.",
    Report.DELAYED: (
        "Your message of {time} has NOT been delivered yet to the following recipients. This is only a warning; there\n"
        "is no need to send it again. It is tried until {until}; you will hear if that fails."
    ),
    Report.RELAYED: (
        "Your message of {time} was relayed to the recipient's system, which does not report deliveries; you may hear\n"
        "no more of it."
    ),
    Report.DELIVERED: "Your message of {time} was put into the mailboxes of the following recipients.",
}

_CAUSES_VI = {
    "1.1": "địa chỉ người nhận không tồn tại", "1.2": "tên miền của người nhận không tồn tại",
    "1.10": "tên miền của người nhận không nhận thư", "2.1": "hộp thư của người nhận đã bị khoá",
    "2.2": "hộp thư của người nhận đã đầy", "2.3": "thư quá lớn đối với hộp thư của người nhận",
    "3.4": "thư quá lớn đối với máy chủ của người nhận", "4.1": "máy chủ của người nhận không trả lời",
    "4.2": "kết nối với máy chủ của người nhận bị đứt", "4.3": "không tra được địa chỉ máy chủ của người nhận",
    "4.4": "không tìm được máy chủ của người nhận", "4.6": "thư bị chuyển vòng quanh",
    "4.7": "đã hết thời hạn gửi lại", "6.7": "máy chủ của người nhận không nhận địa chỉ có dấu",
    "7.1": "máy chủ của người nhận từ chối nhận thư này", "7.4": "máy chủ của người nhận không có kết nối mã hoá",
    "7.5": "kết nối mã hoá với máy chủ của người nhận không bảo đảm",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One recipient in the text."""

    address: str
    status: str
    host: str
    reply: str


def text(report: Report, lines: Sequence[Line], *, time: str, until: str, reference: str, postmaster: str) -> str:
    """The human part of a report."""
    shown = lines[:_SHOWN_RECIPIENTS]
    more = len(lines) - len(shown)
    vi = [_VI[report].format(time=time, until=until), ""]
    en = [_EN[report].format(time=time, until=until), ""]
    for line in shown:
        vi.append(f"  {line.address}")
        en.append(f"  {line.address}")
        if report in (Report.FAILED, Report.DELAYED):
            vi.append(f"    Lý do: {_cause_vi(line.status)}")
            source = f" ({line.host})" if line.host else ""
            vi.append(f"    Trả lời của máy chủ{source}: {line.reply}" if line.host else f"    Chi tiết: {line.reply}")
            en.append(f"    {'Reply' if line.host else 'Detail'}{source}: {line.reply}")
    if more > 0:
        vi.append(f"  … và {more} người nhận khác")
        en.append(f"  … and {more} more")
    vi += ["", f"Mã tra cứu: {reference}. Cần hỗ trợ, xin gửi mã này tới {postmaster}."]
    en += ["", f"Reference: {reference}. For help, write to {postmaster}."]
    return "\n".join(["Kính gửi anh/chị,", "", *vi, "", "-" * 70, "", *en, ""])


def _cause_vi(status: str) -> str:
    """The cause by the enhanced status, subject and detail (RFC 3463)."""
    return _CAUSES_VI.get(status.partition(".")[2], "máy chủ của người nhận chưa nhận hoặc không nhận thư")
