"""The people of a demonstration: agencies and officials named as Điều 5 names them, and letters with diacritics."""

from __future__ import annotations

from dataclasses import dataclass

from storage.directory_rows import Level


@dataclass(frozen=True, slots=True)
class Holder:
    """A mailbox to make. `agency` is the agency's local part; `parent` that of the one above it."""

    local: str
    name: str
    kind: str
    agency: str
    level: Level = "province"
    parent: str = ""
    paper_address: str = ""


@dataclass(frozen=True, slots=True)
class SampleLetter:
    """A letter that lies in the box at the start. `to`: a local part; `sender`: one, or a full address."""

    sender: str
    sender_name: str
    to: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class People:
    """All of it; `aliases` and `groups` map a local part to those it leads to, `delegates` an agency to its clerks."""

    holders: tuple[Holder, ...]
    aliases: dict[str, tuple[str, ...]]
    groups: dict[str, tuple[str, tuple[str, ...]]]
    delegates: dict[str, tuple[str, ...]]
    letters: tuple[SampleLetter, ...]


_HOLDERS = (
    Holder(
        "sotttt", "Sở Thông tin và Truyền thông", "agency", "sotttt", paper_address="Tháp B, Trung tâm Hành chính tỉnh"
    ),
    Holder("sonv", "Sở Nội vụ", "agency", "sonv", paper_address="Tháp A, Trung tâm Hành chính"),
    Holder("ubnddian", "Ủy ban nhân dân thị xã Dĩ An", "agency", "ubnddian", "district"),
    Holder("tttt", "Trung tâm Thông tin điện tử", "agency", "tttt", "unit", "sotttt"),
    Holder("yeucau", "Tiếp nhận yêu cầu về hộp thư", "agency", "tttt"),
    Holder("minhnv", "Nguyễn Văn Minh", "person", "sotttt"),
    Holder("minhnv.dian", "Nguyễn Văn Minh", "person", "ubnddian"),  # Điều 5.4: a namesake takes an extension
    Holder("khaintm", "Nguyễn Thị Minh Khai", "person", "sonv"),
    Holder("longtq", "Trần Quốc Long", "person", "tttt"),
)

_WELCOME = """\
Kính gửi {name},

Hộp thư {address} đã sẵn sàng. Thông số kết nối được in khi khởi tạo hệ thống.
Theo Điều 14 Quyết định số 82/2009/QĐ-UBND, xin mở hộp thư ít nhất hai lần mỗi ngày làm việc:
buổi sáng từ 8 giờ đến 9 giờ, buổi chiều từ 14 giờ đến 15 giờ.

Trân trọng,
Quản trị hệ thống thư điện tử
"""

_INVITATION = """\
Kính gửi các cơ quan,

Sở Nội vụ kính mời đại diện cơ quan dự họp về việc cấp hộp thư điện tử năm 2026,
vào lúc 8 giờ 30 phút, thứ Hai tuần sau, tại phòng họp số 2.

Trân trọng,
Nguyễn Thị Minh Khai
"""

_CITIZEN = """\
Kính gửi Sở Thông tin và Truyền thông,

Tôi tên là Lê Thị Hồng Ngọc, ngụ tại phường Phú Cường. Xin hỏi thủ tục đăng ký dịch vụ
công trực tuyến cần những giấy tờ gì và nộp ở đâu?

Xin cảm ơn.
"""


def people(domain: str) -> People:
    """The demonstration for `domain`."""
    welcome = tuple(
        SampleLetter("postmaster", "Quản trị hệ thống thư điện tử", holder.local, "Hộp thư của quý vị đã sẵn sàng",
                     _WELCOME.format(name=holder.name, address=f"{holder.local}@{domain}"))
        for holder in _HOLDERS
    )  # fmt: skip
    others = (
        SampleLetter("khaintm", "Nguyễn Thị Minh Khai", "sotttt", "Giấy mời họp về hộp thư điện tử", _INVITATION),
        SampleLetter("khaintm", "Nguyễn Thị Minh Khai", "minhnv", "Giấy mời họp về hộp thư điện tử", _INVITATION),
        SampleLetter("hongngoc@example.com", "Lê Thị Hồng Ngọc", "sotttt", "Hỏi về dịch vụ công trực tuyến", _CITIZEN),
    )
    return People(
        holders=_HOLDERS,
        aliases={"vanthu.sotttt": ("sotttt",)},
        groups={"canbo": ("Cán bộ, công chức", ("minhnv", "minhnv.dian", "khaintm", "longtq"))},
        delegates={"sotttt": ("minhnv",), "sonv": ("khaintm",), "tttt": ("longtq",)},
        letters=welcome + others,
    )
