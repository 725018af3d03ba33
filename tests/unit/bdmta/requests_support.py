"""A province in a temporary folder: Sở Nội vụ, two more agencies, their people; no process, no sleep."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from bdmta.config.schema_requests import Requests
from bdmta.directory.service import DirectoryService
from bdmta.office.calls import REGISTRY
from bdmta.testing.clock import FakeClock
from storage.directory import Directory
from storage.directory_rows import Agency
from storage.ledger import Ledger

D = "binhduong.gov.vn"


def here(local: str) -> str:
    return f"{local}@{D}"


def open_service(root: Path, clock: FakeClock | None = None, **settings) -> DirectoryService:
    """The service over what lies in `root`, made when absent."""
    clock = clock or FakeClock()
    for folder in ("facts", "queue", "mail"):
        os.makedirs(root / folder, exist_ok=True)
    return DirectoryService(
        directory=Directory.open(str(root / "d.db"), clock), clock=clock, mail_root=str(root / "mail"),
        snapshot_path=str(root / "snapshot"), password_key_path=str(root / "key"), postmaster=here("postmaster"),
        ledger=Ledger.open(str(root / "l.db")), facts_dir=str(root / "facts"), queue_dir=str(root / "queue"),
        quarantine_dir=str(root / "quarantine"), requests=Requests(address=here("yeucau"), **settings), actor="lan",
    )  # fmt: skip


def found_province(service: DirectoryService) -> None:
    """Sở Nội vụ, Sở TT&TT with its Center below it, UBND Dĩ An, and one official each."""
    with service.directory.change("test") as change:
        change.set_domains([D])
        for identifier, name, parent in (
            ("sonv", "Sở Nội vụ", None), ("sotttt", "Sở Thông tin và Truyền thông", None),
            ("tttt", "Trung tâm Thông tin điện tử", "sotttt"), ("ubnddian", "Ủy ban nhân dân thị xã Dĩ An", None),
        ):  # fmt: skip
            change.agencies.add(Agency(identifier=identifier, name=name, parent=parent, paper_address="Bình Dương"))
    for local, name, kind, agency, rank in (
        ("sonv", "Sở Nội vụ", "agency", "sonv", None), ("sotttt", "Sở TT&TT", "agency", "sotttt", None),
        ("ubnddian", "UBND Dĩ An", "agency", "ubnddian", None), ("yeucau", "Yêu cầu", "agency", "tttt", None),
        ("minhnv", "Nguyễn Văn Minh", "person", "sotttt", 3), ("khaintm", "Nguyễn Thị Minh Khai", "person", "sonv", 2),
        ("longtq", "Trần Quốc Long", "person", "ubnddian", None),
    ):  # fmt: skip
        ask(service, "mailbox_add", address=here(local), name=name, kind=kind, agency=agency, rank=rank)


def ask(service: DirectoryService, name: str, /, **arguments):
    return REGISTRY[name](service, **arguments)


def as_person(service: DirectoryService, name: str) -> DirectoryService:
    return replace(service, actor=name)


def letters(service: DirectoryService, local: str) -> list[bytes]:
    """What lies in a mailbox's inbox."""
    where = Path(service.mail_root) / D / local
    files = [path for part in ("new", "cur") for path in (where / part).glob("*")]
    return [path.read_bytes() for path in sorted(files)]


def told(shown: dict, purpose: str = "result") -> list[tuple[str, str, bool]]:
    """(recipient, channel, copy) of every notice of one purpose."""
    return [(n["recipient"], n["channel"], n["is_copy"]) for n in shown["notices"] if n["purpose"] == purpose]
