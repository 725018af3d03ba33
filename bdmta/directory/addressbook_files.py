"""The address book for programs: CSV for Excel and Outlook, vCard 4 (RFC 6350), LDIF (RFC 2849), JSON."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from typing import Any

Json = dict[str, Any]

_LEVELS = {"province": "cấp tỉnh", "district": "cấp huyện", "commune": "cấp xã", "unit": "đơn vị"}
_CSV_COLUMNS = ("Loại", "Tên", "Địa chỉ thư điện tử", "Cơ quan", "Cấp", "Địa chỉ bưu chính")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FOLD_OCTETS = 75
_SAFE_LDIF = re.compile(r"[\x01-\x09\x0b\x0c\x0e-\x1f\x21-\x39\x3b\x3d-\x7f][\x01-\x09\x0b\x0c\x0e-\x7f]*")


def csv_file(book: Json) -> bytes:
    """CSV in UTF-8 with a BOM, CRLF, comma: Excel opens it with its diacritics. Agencies first.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_CSV_COLUMNS)
    for one in book["agencies"]:
        row = ("cơ quan", one["name"], one["address"], one["parent"], _LEVELS[one["level"]], one["paper_address"])
        writer.writerow([_cell(cell) for cell in row])
    for one in book["officials"]:
        writer.writerow([_cell(cell) for cell in ("cá nhân", one["name"], one["address"], one["agency"], "", "")])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def json_file(book: Json) -> bytes:
    """JSON: `domain`, `agencies`, `officials`, each entry as in the book; UTF-8, one entry a line."""
    lists = ",\n".join(
        f'"{name}": [\n' + ",\n".join(json.dumps(one, ensure_ascii=False, sort_keys=True) for one in book[name]) + "\n]"
        for name in ("agencies", "officials")
    )
    return f'{{"domain": {json.dumps(book["domain"])},\n{lists}}}\n'.encode()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def vcard_file(book: Json) -> bytes:
    """One vCard 4.0 each; lines folded at 75 octets, never within a letter (RFC 6350 §3.2)."""
    lines: list[str] = []
    for one in book["agencies"]:
        lines += _card("org", one["name"], one["address"])
        lines.append(
            f"ORG:{_escaped(one['parent'] or one['name'])}" + (f";{_escaped(one['name'])}" if one["parent"] else "")
        )
        if one["paper_address"]:
            lines.append(f"ADR:;;{_escaped(one['paper_address'])};;;;")
        lines.append("END:VCARD")
    for one in book["officials"]:
        lines += _card("individual", one["name"], one["address"])
        family, *rest = one["name"].split() or [one["name"]]
        given = rest[-1:] or [""]
        # one component may hold several names, parted by commas
        lines.append(f"N:{_escaped(family)};{_escaped(given[0])};{','.join(_escaped(word) for word in rest[:-1])};;")
        if one["agency"]:
            lines.append(f"ORG:{_escaped(one['agency'])}")
        lines.append("END:VCARD")
    return b"".join(_folded(line, b"\r\n") for line in lines)


def _card(kind: str, name: str, address: str) -> list[str]:
    return [
        "BEGIN:VCARD", "VERSION:4.0", f"KIND:{kind}", f"UID:mailto:{address}", f"FN:{_escaped(name)}",
        f"EMAIL;TYPE=work:{_escaped(address)}",
    ]  # fmt: skip


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\r", "").replace("\n", "\\n")


def ldif_file(book: Json) -> bytes:
    """LDIF version 1, one inetOrgPerson each, as Thunderbird and LDAP servers take it."""
    base = ",".join(f"dc={label}" for label in str(book["domain"]).split("."))
    records = [["version: 1"]]
    for one in book["agencies"]:
        paper = one["paper_address"].replace("\\", "\\5C").replace("$", "\\24")  # RFC 4517 §3.3.28
        more = [("o", one["name"])] + [("postalAddress", paper)] * bool(paper)
        records.append(_record(one, "agencies", base, one["name"], more))
    for one in book["officials"]:
        words = one["name"].split() or [one["name"]]
        more = [("givenName", words[-1])] + [("o", one["agency"])] * bool(one["agency"])
        records.append(_record(one, "officials", base, words[0], more))
    return b"\n".join(b"".join(_folded(line, b"\n") for line in lines) for lines in records)


def _record(one: Json, branch: str, base: str, surname: str, more: list[tuple[str, str]]) -> list[str]:
    values = [
        ("dn", f"mail={one['address']},ou={branch},{base}"), ("objectClass", "top"), ("objectClass", "person"),
        ("objectClass", "organizationalPerson"), ("objectClass", "inetOrgPerson"), ("cn", one["name"]),
        ("sn", surname), ("mail", one["address"]), *more,
    ]  # fmt: skip
    return [_attribute(name, value) for name, value in values]


def _attribute(name: str, value: str) -> str:
    if _SAFE_LDIF.fullmatch(value) and not value.endswith(" "):
        return f"{name}: {value}"
    return f"{name}:: {base64.b64encode(value.encode()).decode()}"


def _folded(line: str, end: bytes) -> bytes:
    """The line with its end, folded: each following line begins with one space."""
    octets = line.encode()
    if len(octets) <= _FOLD_OCTETS:
        return octets + end
    pieces: list[bytes] = []
    room = _FOLD_OCTETS
    while octets:
        cut = min(room, len(octets))
        while cut < len(octets) and octets[cut] & 0xC0 == 0x80:  # not within a letter
            cut -= 1
        pieces.append(octets[:cut])
        octets, room = octets[cut:], _FOLD_OCTETS - 1
    return (end + b" ").join(pieces) + end
