"""The pages for everybody: the first one, connection settings, settings for mail programs, the address book."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bdmta.address import AddressError, parse_address
from bdmta.config.shipped import shipped
from bdmta.directory.addressbook_files import csv_file, json_file, ldif_file, vcard_file
from bdmta.directory.addressbook_search import QUERY_MAX, Line, search
from bdmta.web import clients
from bdmta.web.house import House, current, house_of, page, required

_PER_PAGE = 50
_FILES = {
    "addressbook.csv": ("text/csv; charset=utf-8", csv_file),
    "addressbook.vcf": ("text/vcard; charset=utf-8", vcard_file),
    "addressbook.ldif": ("text/x-ldif; charset=utf-8", ldif_file),
    "addressbook.json": ("application/json", json_file),
}
_LEVELS = {
    "province": "Cơ quan cấp tỉnh", "district": "Cơ quan cấp huyện", "commune": "Cơ quan cấp xã", "unit": "Đơn vị",
}  # fmt: skip
_STATIC = {"site.css": "text/css; charset=utf-8"}


async def home(request: Request) -> Response:
    """GET /."""
    return page(request, "home.html.j2")


async def no_icon(request: Request) -> Response:
    """GET /favicon.ico: browsers ask whatever a page says."""
    return Response(status_code=204, headers={"cache-control": "public, max-age=86400"})


async def metrics(request: Request) -> Response:
    """GET /metrics: for Prometheus, from `[web] metrics_networks` only; to others there is no such page."""
    house = house_of(request)
    if request.client is None or request.client.host not in house.metrics_networks:
        raise HTTPException(404)
    return Response(await house.off_loop(house.figures), media_type="text/plain; version=0.0.4; charset=utf-8")


async def static(request: Request) -> Response:
    """GET /static/…: our own files by name, nothing else."""
    name = request.path_params["name"]
    if name not in _STATIC:
        raise HTTPException(404)
    with open(os.path.join(shipped("templates", "web"), name), "rb") as file:
        return Response(file.read(), media_type=_STATIC[name], headers={"cache-control": "public, max-age=3600"})


async def connection(request: Request) -> Response:
    """GET /connection: what to type into a mail program (Điều 15)."""
    house, session = house_of(request), current(request)
    return page(request, "connection.html.j2", found=house.offer.found, address=session.address if session else "")


async def thunderbird(request: Request) -> Response:
    """GET /.well-known/autoconfig/mail/config-v1.1.xml and /mail/config-v1.1.xml."""
    house = house_of(request)
    return Response(
        clients.thunderbird(house.offer, house.url), media_type="application/xml", headers=_PUBLIC_FOR_AN_HOUR
    )


_PUBLIC_FOR_AN_HOUR = {"cache-control": "public, max-age=3600"}


async def outlook(request: Request) -> Response:
    """POST /autodiscover/autodiscover.xml."""
    house = house_of(request)
    try:
        address = _of_ours(house, clients.asked_by_outlook(await request.body()))
    except (clients.NotAsked, HTTPException):
        at = house.clock.now().strftime("%H:%M:%S.0000000")
        return Response(clients.outlook_error(at), media_type="application/xml")
    return Response(clients.outlook(house.offer, address), media_type="application/xml")


async def apple(request: Request) -> Response:
    """GET /connection/profile.mobileconfig?address=…"""
    house = house_of(request)
    address = _of_ours(house, request.query_params.get("address", ""))
    return Response(
        clients.apple(house.offer, address), media_type="application/x-apple-aspen-config",
        headers={"content-disposition": 'attachment; filename="thu-cong-vu.mobileconfig"'},
    )  # fmt: skip


def _of_ours(house: House, text: str) -> str:
    """The address, if it is of a domain here; whether there is such a mailbox is not told."""
    try:
        address = parse_address(text.strip()[:320])
    except AddressError:
        raise HTTPException(400, "Địa chỉ thư không đúng.") from None
    if address.domain not in house.offer.domains:
        raise HTTPException(404, "Địa chỉ không thuộc hệ thống này.")
    return address.key


async def addressbook(request: Request) -> Response:
    """GET /addressbook: agencies, or what `q` finds, fifty to a page; `internal` for those who are logged in."""
    house = house_of(request)
    internal = _wants_internal(request, house)
    volume = await house.shelf.volume(internal=internal)
    query, agency = request.query_params.get("q", "").strip()[:QUERY_MAX], request.query_params.get("agency", "")[:40]
    number = _page_number(request)
    hits, title = await house.off_loop(_hits, volume, query, agency)
    shown = hits[(number - 1) * _PER_PAGE : number * _PER_PAGE]
    last = max(1, -(-len(hits) // _PER_PAGE))
    kept = {"q": query, "agency": agency, **({"internal": "1"} if internal else {})}
    link = f"/addressbook?{urlencode({k: v for k, v in kept.items() if v})}"
    return page(
        request, "addressbook.html.j2", lines=shown, count=len(hits), query=query, agency=agency, title=title,
        number=number, last=last, link=link + ("&" if not link.endswith("?") else ""), internal=internal,
        officials=len(volume.book["officials"]), agencies=len(volume.book["agencies"]),
        levels=[] if query or agency else _by_level(volume.book["agencies"]),
    )  # fmt: skip


def _wants_internal(request: Request, house: House) -> bool:
    internal = request.query_params.get("internal") == "1"
    if internal or not house.is_book_public:
        required(request)
    return internal


def _page_number(request: Request) -> int:
    text = request.query_params.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 6 and int(text) > 0 else 1


def _hits(volume: Any, query: str, agency: str) -> tuple[list[Line], str]:
    if agency:
        name = next((one["name"] for one in volume.book["agencies"] if one["abbreviation"] == agency), "")
        return [line for line in volume.lines if name and name in (line.below, line.name)], name
    return (search(volume.lines, query), "") if query else ([], "")


def _by_level(agencies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = [{"title": title, "agencies": [one for one in agencies if one["level"] == level]}
             for level, title in _LEVELS.items()]  # fmt: skip
    return [one for one in found if one["agencies"]]


async def addressbook_file(request: Request) -> Response:
    """GET /addressbook/addressbook.csv, .vcf, .ldif, .json."""
    house, name = house_of(request), request.path_params["file"]
    if name not in _FILES:
        raise HTTPException(404)
    media_type, make = _FILES[name]
    internal = _wants_internal(request, house)
    volume = await house.shelf.volume(internal=internal)
    mark = f'"{volume.mark}"'
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers={"etag": mark})
    octets = await house.off_loop(make, volume.book)
    headers = {"etag": mark, "content-disposition": f'attachment; filename="{name}"'}
    return Response(octets, media_type=media_type, headers=headers)
