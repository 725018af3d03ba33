"""Notices on paper, first passwords on sealed slips, connection settings: PDFs, many in one file."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bdmta.clock import Clock
from bdmta.config.shipped import shipped
from bdmta.directory.registry import Json
from bdmta.errors import BdmtaError
from bdmta.printing import PrintingError, pdf, qr_svg
from bdmta.setup.accounts import connections
from bdmta.site import Site
from storage.files import write_durable

Ask = Callable[..., Any]

CENTER = "Trung tâm Thông tin điện tử"


def print_papers(
    site: Site, clock: Clock, ask: Ask, numbers: list[str] | None, folder: str, *, with_slips: bool = True
) -> Json:
    """Print what waits (or these `numbers`, again) into `folder`: `files`, and `problems` of slips not made.

    Notices are noted as printed once their file is durable. A slip's password is made for it; nothing else has it.
    """
    papers = ask("request_paper", numbers=numbers)
    now = clock.now().astimezone(ZoneInfo(site.config.clock.timezone))
    os.makedirs(folder, mode=0o700, exist_ok=True)
    stamp = now.strftime("%Y%m%d-%H%M%S")
    files: list[str] = []
    if papers:
        data = {"center": CENTER, "notices": _letters(papers), "day": _long_day(now)}
        files.append(_write(folder, f"thong-bao-{stamp}.pdf", "request-notice.typ", data, now))
        ask("request_printed", ids=[paper["id"] for paper in papers])
    problems: list[str] = []
    if with_slips:
        wanted = numbers if numbers is not None else sorted({paper["number"] for paper in papers})
        slips, problems = _slips(ask, wanted)
        if slips:
            data = {"center": CENTER, "slips": slips, "day": _long_day(now)}
            files.append(_write(folder, f"mat-khau-{stamp}.pdf", "request-slip.typ", data, now))
            pages = [connection_page(site, slip["address"], slip["name"]) for slip in slips]
            data = {"center": CENTER, "pages": pages}
            files.append(_write(folder, f"ket-noi-{stamp}.pdf", "connection.typ", data, now))
    return {"files": files, "problems": problems}


def connection_page(site: Site, address: str, name: str) -> Json:
    """What a mail program is to be told, and the same as a QR code (Điều 15)."""
    offered = [
        {"protocol": c.protocol, "server": c.server, "port": c.port, "security": c.security}
        for c in connections(site.config)
    ]
    lines = [f"{c['protocol']} {c['server']}:{c['port']} {c['security']}" for c in offered]
    return {
        "address": address, "name": name, "offered": offered, "qr": qr_svg("\n".join([f"Email: {address}", *lines])),
        "user": address,
    }  # fmt: skip


def _letters(papers: list[Json]) -> list[Json]:
    """One sheet for each recipient, with the list of all who get this notice."""
    sheets = []
    for paper in papers:
        others = [p for p in papers if p["number"] == paper["number"] and p["purpose"] == paper["purpose"]]
        receivers = [p["recipient"] + (" (đồng gửi)" if p["is_copy"] else "") for p in others]
        sheets.append(
            {
                "number": paper["number"], "to": paper["recipient"], "to_address": paper["paper_address"],
                "title": paper["title"].partition("] ")[2] or paper["title"],
                "paragraphs": [line for line in paper["text"].split("\n") if line.strip()],
                "receivers": receivers,
            }
        )  # fmt: skip
    return sheets


def _slips(ask: Ask, numbers: list[str]) -> tuple[list[Json], list[str]]:
    made, problems = [], []
    for number in numbers:
        try:
            made.append(ask("request_slip", number=number))
        except BdmtaError as error:
            problems.append(str(error))
    return made, problems


def _write(folder: str, name: str, template: str, data: Json, now: datetime) -> str:
    path = os.path.join(folder, name)
    try:
        write_durable(path, pdf(shipped("templates", template), data, made_at=now))
    except PrintingError as error:
        raise BdmtaError(f"{path}: not printed: {error}") from None
    return path


def _long_day(now: datetime) -> str:
    return f"ngày {now.day:02d} tháng {now.month:02d} năm {now.year}"
