"""The address book as one static page: no server behind it, no other file, readable without JavaScript (Điều 6)."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bdmta.config.shipped import shipped
from bdmta.directory.addressbook_search import search_text
from bdmta.naming import fold

if TYPE_CHECKING:
    from jinja2 import Template

Json = dict[str, Any]

_LEVELS = {
    "province": "Cơ quan cấp tỉnh", "district": "Cơ quan cấp huyện", "commune": "Cơ quan cấp xã", "unit": "Đơn vị",
}  # fmt: skip
_SHORT = {"province": "Cấp tỉnh", "district": "Cấp huyện", "commune": "Cấp xã", "unit": "Đơn vị"}
_TONES = re.compile("[\u0300\u0301\u0303\u0309\u0323]")


def page(book: Json, downloads: Sequence[tuple[str, str]] = (), search_url: str = "") -> bytes:
    """The page for what `addressbook_entries` answered. The same entries give the same octets.

    `downloads`: label and file name of what lies beside it. `search_url`: what answers a search without JavaScript.
    Nobody is found by the domain, which all have in common.
    """
    groups = [*agency_groups(book["agencies"]), *official_groups(book["officials"])]
    return render(book, groups, downloads, search_url=search_url, has_search=True)


def render(
    book: Json,
    groups: Sequence[Json],
    downloads: Sequence[tuple[str, str]] = (),
    *,
    search_url: str = "",
    has_search: bool = False,
    is_large: bool = False,
    links: Sequence[tuple[str, str]] = (),
    more: Sequence[tuple[str, str]] = (),
    number: int = 1,
) -> bytes:
    """A page of these groups. `has_search`: its script looks through them; `is_large`: through `search-data.js`.

    `links`: the letters' pages; `more`: the other parts of this letter, of which this one is `number`. Every text goes
    through Jinja2's autoescape; style and script run by their hashes alone (CSP), so that a name can never become
    either.
    """
    from markupsafe import Markup

    style = _text("addressbook.css")
    script = _text("addressbook-large.js" if is_large else "addressbook.js") if has_search or is_large else ""
    origin = urlsplit(search_url)
    made = _template().render(
        domain=book["domain"],
        updated=datetime.fromisoformat(book["generated_at"]).strftime("%d/%m/%Y %H:%M"),
        counted=lambda count: f"{count:,}".replace(",", "."),
        agencies=book["agencies"],
        officials=book["officials"],
        is_internal=bool(book.get("internal")),
        groups=groups,
        downloads=downloads,
        links=links,
        more=more,
        number=number,
        is_large=is_large,
        search_url=search_url,
        search_origin=f"{origin.scheme}://{origin.netloc}" if search_url else Markup("'none'"),
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_hash=Markup(_hash(style)),  # noqa: S704 - base64
        script_hash=Markup(_hash(script)),  # noqa: S704 - base64
    )
    return made.encode()


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(shipped("templates")), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("addressbook.html.j2")


def agency_groups(agencies: list[Json], *, with_pages: bool = False) -> Iterator[Json]:
    """By level. `with_pages`: each has a page of its own to lead to."""
    for level, members in groupby(agencies, lambda one: str(one["level"])):
        entries = [
            {
                "name": one["name"], "below": one["parent"], "address": one["address"],
                "paper_address": one["paper_address"],
                "key": fold(search_text(one["name"], one["parent"], one["address"])),
                "page": f"co-quan-{one['abbreviation']}.html" if with_pages else "",
            }
            for one in members
        ]  # fmt: skip
        yield {"id": level, "title": _LEVELS[level], "short": _SHORT[level], "entries": entries}


def official_groups(officials: list[Json]) -> Iterator[Json]:
    """By the first letter of the given name; they come in that order."""
    for number, (letter, members) in enumerate(groupby(officials, lambda one: initial(one["name"]))):
        entries = [entry_of(one) for one in members]
        yield {"id": f"ten-{number}", "title": f"Cán bộ, công chức – {letter}", "short": letter, "entries": entries}


def entry_of(official: Json) -> Json:
    """An official as a line of the page."""
    return {
        "name": official["name"], "below": official["agency"], "address": official["address"], "paper_address": "",
        "key": fold(search_text(official["name"], official["agency"], official["address"])), "page": "",
    }  # fmt: skip


def initial(name: str) -> str:
    """Đ of Đỗ Văn Đạo, Â of Ngô Thị Ấn: the letter without its tone, as a dictionary heads its pages."""
    last = re.sub(r"^\W+", "", (name.split() or ["#"])[-1])[:1] or "#"
    return unicodedata.normalize("NFC", _TONES.sub("", unicodedata.normalize("NFD", last))).upper()


@cache
def _text(name: str) -> str:
    with open(shipped("templates", name), encoding="utf-8") as file:
        return file.read().strip()


@cache
def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
