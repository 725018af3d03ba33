"""The address book as a folder of files: one page while it is small, a page a letter and an agency when it is large.

Everything is found without JavaScript: by agency, by letter, and by the form where the pages of `[web]` answer it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from bdmta.directory.addressbook_files import csv_file, json_file, ldif_file, vcard_file
from bdmta.directory.addressbook_page import agency_groups, entry_of, initial, official_groups, page, render
from bdmta.directory.addressbook_search import search_text
from bdmta.naming import fold

Json = dict[str, Any]

FILES = {
    "html": "index.html", "csv": "addressbook.csv", "vcard": "addressbook.vcf", "ldif": "addressbook.ldif",
    "json": "addressbook.json",
}  # fmt: skip
LABELS = {"csv": "CSV", "vcard": "vCard", "ldif": "LDIF", "json": "JSON"}
ONE_PAGE_ENTRIES = 3_000
_PAGE_ENTRIES = 1_000
_MAKERS = {"csv": csv_file, "vcard": vcard_file, "ldif": ldif_file, "json": json_file}
# Letters of their own, written as they are typed (Telex), so that each has a file name.
_TELEX = {"Ă": "aw", "Â": "aa", "Đ": "dd", "Ê": "ee", "Ô": "oo", "Ơ": "ow", "Ư": "uw"}


def files_of(book: Json, formats: Iterable[str], search_url: str = "", beside: Iterable[str] = ()) -> dict[str, bytes]:
    """Every file by its name. `beside`: forms that lie there already and are to be linked. `search_url`: what answers
    a search without JavaScript. The same entries give the same octets but for the moment in the pages' heads.
    """
    wanted = list(formats)
    found = {FILES[one]: _MAKERS[one](book) for one in wanted if one in _MAKERS}
    if "html" in wanted:
        linked = set(wanted) | set(beside)
        downloads = [(label, FILES[one]) for one, label in LABELS.items() if one in linked]
        found |= _pages(book, downloads, search_url)
    return found


def _pages(book: Json, downloads: Sequence[tuple[str, str]], search_url: str) -> dict[str, bytes]:
    if len(book["agencies"]) + len(book["officials"]) <= ONE_PAGE_ENTRIES:
        return {"index.html": page(book, downloads, search_url)}
    letters = list(_letters(book["officials"]))
    links = [(letter, name) for letter, name, number, _ in letters if number == 1]
    index = agency_groups(book["agencies"], with_pages=True)
    found = {"index.html": render(book, list(index), downloads, search_url=search_url, links=links, is_large=True)}
    counts: dict[str, int] = defaultdict(int)
    for _, _, number, stem in letters:
        counts[stem] = max(counts[stem], number)
    for (letter, name, number, stem), members in zip(letters, _members(book["officials"]), strict=True):
        group = {"id": stem, "title": f"Cán bộ, công chức – {letter}", "short": letter,
                 "entries": [entry_of(one) for one in members]}  # fmt: skip
        around = [(str(n), _file(stem, n)) for n in range(1, counts[stem] + 1)] if counts[stem] > 1 else []
        found[name] = render(book, [group], downloads, links=links, more=around, number=number)
    by_agency: dict[str, list[Json]] = defaultdict(list)
    for one in book["officials"]:
        by_agency[one["agency"]].append(one)
    for agency in book["agencies"]:
        head = list(agency_groups([agency]))
        people = list(official_groups(by_agency[agency["name"]]))
        found[f"co-quan-{agency['abbreviation']}.html"] = render(book, head + people, downloads, links=links)
    found["search-data.js"] = _search_data(book)
    return found


def _letters(officials: list[Json]) -> Iterator[tuple[str, str, int, str]]:
    """Letter, file, which part of the letter, stem; one for each block that `_members` gives."""
    for letter, members in groupby(officials, lambda one: initial(one["name"])):
        stem = f"ten-{_TELEX.get(letter, fold(letter) if fold(letter).isalnum() else 'khac')}"
        count = sum(1 for _ in members)
        for number in range(1, -(-count // _PAGE_ENTRIES) + 1):
            yield letter, _file(stem, number), number, stem


def _members(officials: list[Json]) -> Iterator[list[Json]]:
    for _, members in groupby(officials, lambda one: initial(one["name"])):
        block = list(members)
        for start in range(0, len(block), _PAGE_ENTRIES):
            yield block[start : start + _PAGE_ENTRIES]


def _file(stem: str, number: int) -> str:
    return f"{stem}.html" if number == 1 else f"{stem}-{number}.html"


def _search_data(book: Json) -> bytes:
    """Name, agency or parent, address, key of each entry, for the script of a large book; JSON is JavaScript."""
    rows = [(one["name"], one["parent"], one["address"]) for one in book["agencies"]]
    rows += [(one["name"], one["agency"], one["address"]) for one in book["officials"]]
    data = [[*row, fold(search_text(*row))] for row in rows]
    return f"window.danhba={json.dumps(data, separators=(',', ':'))};\n".encode()
