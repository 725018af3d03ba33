"""The address book of 20,000 people and 400 agencies: read, made in all its forms, searched, published, changed."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bdmta.clock import SystemClock
from bdmta.directory.addressbook import addressbook_entries
from bdmta.directory.addressbook_publish import Wish, publish
from bdmta.directory.addressbook_search import lines_of, search
from bdmta.directory.addressbook_site import FILES, files_of
from bdmta.directory.addressbook_targets import Access
from bdmta.directory.service import DirectoryService
from bench.extent import of
from storage.directory import Directory
from storage.directory_rows import Agency, Mailbox

PEOPLE, AGENCIES = of(20_000, 1000), of(400, 20)
D = "binhduong.gov.vn"
_SURNAMES = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Phan", "Vũ", "Đặng", "Bùi", "Đỗ", "Ngô")
_MIDDLE = ("Văn", "Thị", "Minh", "Hữu", "Thị Thu", "Quốc", "Ngọc", "Đức", "Thanh", "Xuân")
_GIVEN = ("An", "Ân", "Bình", "Châu", "Dũng", "Đạo", "Giang", "Hà", "Hằng", "Khai", "Lan", "Long", "Minh", "Nga",
          "Oanh", "Phúc", "Quân", "Sơn", "Tâm", "Thảo", "Trang", "Tuấn", "Uyên", "Vinh", "Yến", "Ước", "Ý")  # fmt: skip


def run(say: Callable[[str], None]) -> str:
    """A table of seconds and octets."""
    with tempfile.TemporaryDirectory() as top:
        service = _filled(Path(top))
        say(f"{PEOPLE} people and {AGENCIES} agencies are in the directory")
        rows: list[tuple[str, str]] = []

        def timed(what: str, function: Callable[[], Any], more: Callable[[Any], str] = lambda found: "") -> Any:
            started = time.perf_counter()
            found = function()
            rows.append((what, f"{time.perf_counter() - started:.2f} s{more(found)}"))
            say(" ".join(rows[-1]))
            return found

        whole = time.perf_counter()
        book = timed("entries out of the directory, in order", lambda: addressbook_entries(service))
        files = timed(
            "pages, CSV, vCard, LDIF, JSON", lambda: files_of(book, FILES),
            lambda found: f", {len(found)} files, {sum(map(len, found.values())) / 1e6:.1f} MB",
        )  # fmt: skip
        rows.append(
            (f"**both: the book of {PEOPLE:,} is built**", f"**{time.perf_counter() - whole:.2f} s** (asked: 20 s)")
        )
        rows.append(("index.html, which a phone loads first", f"{len(files['index.html']) / 1e3:.0f} KB"))
        wish = Wish("public", (f"{top}/www",), tuple(FILES), "", f"{top}/state", Access({}, "", 60))
        timed("published to a folder, manifest and all", lambda: publish(wish, book))
        with service.change() as change:
            change.set_status(f"m00042@{D}", "closed")
        timed("one leaves: read, built and published anew", lambda: publish(wish, addressbook_entries(service)))
        left = timed("publishing again when nothing changed", lambda: publish(wish, addressbook_entries(service)))
        assert left == []
        lines = timed("the pages' lines for searching", lambda: lines_of(book))
        for query in ("nguyen van minh", "Đạo", "khong co ai"):
            started = time.perf_counter()
            hits = len(search(lines, query))
            rows.append((f"search `{query}`, {hits} found", f"{(time.perf_counter() - started) * 1e3:.0f} ms"))
        service.close()
    return f"| {PEOPLE:,} people, {AGENCIES} agencies | |\n|---|---|\n" + "\n".join(
        f"| {what} | {took} |" for what, took in rows
    )


def _filled(top: Path) -> DirectoryService:
    clock = SystemClock()
    service = DirectoryService(
        directory=Directory.open(str(top / "d.db"), clock), clock=clock, mail_root=str(top / "mail"),
        snapshot_path=str(top / "snapshot"), password_key_path=str(top / "key"), postmaster=f"postmaster@{D}",
    )  # fmt: skip
    names = itertools.cycle(f"{s} {m} {g}" for m in _MIDDLE for g in _GIVEN for s in _SURNAMES)
    with service.change() as change:
        change.set_domains([D])
        for number in range(AGENCIES):
            agency = Agency(identifier=f"coquan{number}", name=f"Cơ quan số {number}", level="commune", published=True)
            change.agencies.add(agency)
            change.add_mailbox(
                Mailbox(address=f"coquan{number}@{D}", name=agency.name, kind="agency", agency=agency.identifier)
            )
        blank = Mailbox(address="", name="x", published=True)
        for number, name in zip(range(PEOPLE), names, strict=False):
            agency_name = f"coquan{number % AGENCIES}"
            change.add_mailbox(replace(blank, address=f"m{number:05d}@{D}", name=name, agency=agency_name))
    return service
