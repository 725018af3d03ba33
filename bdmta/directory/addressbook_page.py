"""The address book as one static page: no server behind it, no other file, readable without JavaScript (Điều 6)."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from bdmta.config.shipped import shipped
from bdmta.naming import fold

Json = dict[str, Any]

_LEVELS = {
    "province": "Cơ quan cấp tỉnh", "district": "Cơ quan cấp huyện", "commune": "Cơ quan cấp xã", "unit": "Đơn vị",
}  # fmt: skip
_SHORT = {"province": "Cấp tỉnh", "district": "Cấp huyện", "commune": "Cấp xã", "unit": "Đơn vị"}
_TONES = re.compile("[\u0300\u0301\u0303\u0309\u0323]")


def page(book: Json, downloads: Sequence[tuple[str, str]] = ()) -> bytes:
    """The page for what `addressbook_entries` answered. The same entries give the same octets.

    `downloads`: label and file name of what lies beside it. Nobody is found by the domain, which all have in common.

    Every text goes through Jinja2's autoescape; style and script run by their hashes alone (CSP), so that a name can
    never become either.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(shipped("templates")), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    style, script = _text("addressbook.css"), _text("addressbook.js")
    made = environment.get_template("addressbook.html.j2").render(
        domain=book["domain"],
        updated=datetime.fromisoformat(book["generated_at"]).strftime("%d/%m/%Y %H:%M"),
        counted=lambda count: f"{count:,}".replace(",", "."),
        agencies=book["agencies"],
        officials=book["officials"],
        groups=[*_agency_groups(book["agencies"]), *_official_groups(book["officials"])],
        downloads=downloads,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_hash=Markup(_hash(style)),  # noqa: S704 - base64
        script_hash=Markup(_hash(script)),  # noqa: S704 - base64
    )
    return made.encode()


def _agency_groups(agencies: list[Json]) -> Iterator[Json]:
    for level, members in groupby(agencies, lambda one: str(one["level"])):
        entries = [
            {
                "name": one["name"], "below": one["parent"], "address": one["address"],
                "paper_address": one["paper_address"],
                "key": _key(one["name"], one["parent"], one["address"].partition("@")[0]),
            }
            for one in members
        ]  # fmt: skip
        yield {"id": level, "title": _LEVELS[level], "short": _SHORT[level], "entries": entries}


def _official_groups(officials: list[Json]) -> Iterator[Json]:
    """By the first letter of the given name; they come in that order."""
    for number, (letter, members) in enumerate(groupby(officials, lambda one: _initial(one["name"]))):
        entries = [
            {
                "name": one["name"], "below": one["agency"], "address": one["address"], "paper_address": "",
                "key": _key(one["name"], one["agency"], one["address"].partition("@")[0]),
            }
            for one in members
        ]  # fmt: skip
        yield {"id": f"ten-{number}", "title": f"Cán bộ, công chức – {letter}", "short": letter, "entries": entries}


def _initial(name: str) -> str:
    """Đ of Đỗ Văn Đạo, Â of Ngô Thị Ấn: the letter without its tone, as a dictionary heads its pages."""
    last = re.sub(r"^\W+", "", (name.split() or ["#"])[-1])[:1] or "#"
    return unicodedata.normalize("NFC", _TONES.sub("", unicodedata.normalize("NFD", last))).upper()


def _key(*texts: str) -> str:
    return fold(" ".join(text for text in texts if text))


def _text(name: str) -> str:
    with open(shipped("templates", name), encoding="utf-8") as file:
        return file.read().strip()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
