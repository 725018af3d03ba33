"""The people of the traffic: agencies, officials named by Điều 5, and the CSV files that tell of them.

Surnames are drawn by their share among Vietnamese (Lê Trung Hoa, Họ và tên người Việt Nam, 2005); middle and given
names evenly from common ones, an assumption.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

from bdmta.errors import UsageError
from bdmta.naming import Held, Pending, abbreviations, place, propose

SURNAMES = {
    "Nguyễn": 38.4, "Trần": 11.0, "Lê": 9.5, "Phạm": 7.1, "Huỳnh": 2.6, "Hoàng": 2.5, "Phan": 4.5, "Võ": 2.0,
    "Vũ": 1.9, "Đặng": 2.1, "Bùi": 2.0, "Đỗ": 1.4, "Hồ": 1.3, "Ngô": 1.3, "Dương": 1.0, "Lý": 0.5,
}  # fmt: skip
_WOMEN = (
    ("Thị", "Thị Thu", "Thị Ngọc", "Thị Minh", "Thị Thanh", "Thị Kim", "Ngọc", "Thị Bích", "Thị Hồng", "Thị Mỹ"),
    ("Hoa", "Lan", "Hương", "Khai", "Ngọc", "Trang", "Thảo", "Hạnh", "Nga", "Yến", "Dung", "Phương", "Hằng", "Mai",
     "Tuyết", "Vân", "Loan", "Oanh", "Quỳnh", "Thủy", "Trinh", "Diễm", "Như", "Xuân", "Ánh"),
)  # fmt: skip
_MEN = (
    ("Văn", "Văn", "Quốc", "Minh", "Hữu", "Đức", "Thanh", "Ngọc", "Công", "Hoàng", "Xuân", "Trọng", "Anh", "Đình"),
    ("Minh", "Long", "Hùng", "Dũng", "Sơn", "Hải", "Tuấn", "Nam", "Phong", "Thắng", "Tâm", "Bình", "Cường", "Đạt",
     "Khoa", "Lâm", "Nghĩa", "Phúc", "Quang", "Tài", "Thịnh", "Trung", "Việt", "Vinh", "Khánh"),
)  # fmt: skip
AGENCIES = (
    "Sở Thông tin và Truyền thông", "Sở Nội vụ", "Văn phòng Ủy ban nhân dân tỉnh", "Ủy ban nhân dân thị xã Dĩ An",
    "Sở Tài chính", "Sở Kế hoạch và Đầu tư", "Sở Giáo dục và Đào tạo", "Sở Y tế", "Sở Tư pháp", "Sở Xây dựng",
    "Ủy ban nhân dân thị xã Thuận An", "Ủy ban nhân dân huyện Tân Uyên", "Ủy ban nhân dân huyện Bến Cát",
    "Ủy ban nhân dân huyện Phú Giáo", "Ủy ban nhân dân huyện Dầu Tiếng", "Sở Công Thương",
    "Sở Tài nguyên và Môi trường", "Sở Giao thông vận tải", "Sở Khoa học và Công nghệ",
    "Sở Lao động, Thương binh và Xã hội", "Sở Nông nghiệp và Phát triển nông thôn",
    "Sở Văn hóa, Thể thao và Du lịch", "Thanh tra tỉnh", "Trung tâm Thông tin điện tử",
)  # fmt: skip
_PEOPLE_PER_AGENCY = 12
_TRIES = 200


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox of the server under test; without a password nobody logs in to it. `agency`: its local part."""

    address: str
    password: str = ""
    name: str = ""
    kind: str = "person"
    agency: str = ""

    @property
    def is_agency(self) -> bool:
        """An agency's mailbox (Điều 5.2), not a person's."""
        return self.kind == "agency"


def invent(count: int, domain: str, seed: int = 1) -> list[Account]:
    """`count` accounts of `domain`, agencies first, each with a name and the address it gives by Điều 5.2 to 5.4."""
    draw = Random(seed)
    taken: dict[str, Held] = {}
    found: list[Account] = []
    for name in AGENCIES[: min(len(AGENCIES), max(1, count // _PEOPLE_PER_AGENCY))]:
        local = abbreviations(name)[0]
        taken[local] = Held(local_part=local, kind="agency")
        found.append(Account(f"{local}@{domain}", name=name, kind="agency", agency=local))
    agencies = [account.agency for account in found]
    while len(found) < count:
        agency = agencies[len(found) % len(agencies)]
        name, local = _newcomer(draw, taken, agencies, agency)
        taken[local] = Held(local_part=local)
        found.append(Account(f"{local}@{domain}", name=name, agency=agency))
    return found[:count]


def full_name(draw: Random) -> str:
    """A name as it is written on a letter."""
    middles, givens = _WOMEN if draw.random() < 0.5 else _MEN
    surname = draw.choices(list(SURNAMES), list(SURNAMES.values()))[0]
    return f"{surname} {draw.choice(middles)} {draw.choice(givens)}"


def _newcomer(draw: Random, taken: dict[str, Held], agencies: Sequence[str], agency: str) -> tuple[str, str]:
    """A name and a free address for it: plain, or with the agency's place or a word of the name as extension."""
    extension = agency.removeprefix("ubnd").removeprefix("so")[:6]
    for attempt in range(_TRIES):
        name = full_name(draw) if attempt < _TRIES // 2 else f"{full_name(draw)} {draw.choice(_WOMEN[1] + _MEN[1])}"
        wanted = Pending(proposal=propose(name), extension=extension if attempt % 2 == 0 else "")
        made = place(wanted, taken.get, agencies, names=name.split())
        if made.local_part is not None:
            return name, made.local_part
    raise UsageError(f"no free address was found for the {len(taken) + 1}th mailbox; ask for fewer")


def write_people(accounts: Iterable[Account], path: str) -> None:
    """The CSV that `bdmta import` reads."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("address", "name", "kind", "agency"))
        rows.writerows((one.address, one.name, one.kind, one.agency) for one in accounts)


def read_accounts(paths: Sequence[str]) -> list[Account]:
    """The accounts of several CSV files, joined by address: one tells names, another passwords. Raises UsageError.

    Columns by header: `address` in each; `password`, `name`, `kind`, `agency` where there are any. What `bdmta import
    --report` writes is such a file.
    """
    found: dict[str, Account] = {}
    for path in paths:
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"{path}: cannot be read as a CSV file ({error})") from error
        for line, row in enumerate(rows, 2):
            address = (row.get("address") or "").strip().lower()
            if "@" not in address:
                raise UsageError(f"{path}, line {line}: no address; the file needs the column `address`")
            given = {key: row[key] for key in ("password", "name", "kind", "agency") if row.get(key)}
            found[address] = replace(found.get(address, Account(address)), **given)
    if not found:
        raise UsageError(f"{', '.join(paths)}: no accounts")
    return list(found.values())
