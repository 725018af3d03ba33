"""`bdmta dns records` and `check`: what is printed is a zone, and a world that publishes it is found well."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import dns.rdatatype
import dns.zone
import pytest

from bdmta.config import parse
from bdmta.dns import Mx, TempFail
from bdmta.mailauth.keyring import Keyring
from bdmta.setup import dkim
from bdmta.setup.published import Comparison, compare
from bdmta.setup.zone import Record, fragment, quoted, wanted
from bdmta.site import Site
from bdmta.testing.clock import FakeClock
from bdmta.testing.resolver import FakeResolver

KEY = dkim.make_key()
HOST = "mail.binhduong.gov.vn"
World = dict[str, Any]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "dkim").mkdir()
    (tmp_path / "dkim/bdmta.pem").write_bytes(KEY)
    tables = {
        "server": {"hostname": HOST}, "mail": {"domains": ["binhduong.gov.vn", "dian.gov.vn"]},
        "transport": {"source_addresses": ["203.0.113.9"]},
    }  # fmt: skip
    return Site(parse(tables, folder=str(tmp_path)), str(tmp_path / "bdmta.toml"))


def published(records: list[Record]) -> World:
    """A world with just these records, and the host's address."""
    world: World = {HOST: {"A": ["203.0.113.9"]}, "9.113.0.203.in-addr.arpa": {"PTR": [HOST]}}
    for record in records:
        if not record.value or not record.name:
            continue
        value: Any = record.value
        if record.kind == "MX":
            preference, host = record.value.split()
            value = Mx(int(preference), host.rstrip("."))
        world.setdefault(record.name, {}).setdefault(record.kind, []).append(value)
    return world


def check(site: Site, world: World) -> dict[tuple[str, str], Comparison]:
    compared = asyncio.run(compare(site, FakeResolver(world)))
    return {(one.record.name, one.record.kind): one for one in compared}


def test_the_fragment_is_a_zone(site: Site) -> None:
    text = fragment(wanted(site))
    zone = dns.zone.from_text(text, origin="vn.", relativize=False, check_origin=False)
    mx = zone.find_rdataset("binhduong.gov.vn.", "MX")
    assert [record.to_text() for record in mx] == [f"10 {HOST}."]
    spf = zone.find_rdataset("dian.gov.vn.", "TXT")
    assert [record.strings for record in spf] == [(b"v=spf1 mx ip4:203.0.113.9 -all",)]
    (key,) = zone.find_rdataset("bdmta._domainkey.binhduong.gov.vn.", "TXT")
    assert b"".join(key.strings).decode() == dkim.record(KEY)
    srv = zone.find_rdataset("_imaps._tcp.binhduong.gov.vn.", "SRV")
    assert [record.to_text() for record in srv] == [f"0 1 993 {HOST}."]
    assert {dns.rdatatype.to_text(t) for _, _, r in zone.iterate_rdatas() for t in [r.rdtype]} == {"MX", "TXT", "SRV"}


def test_long_values_are_cut_into_strings() -> None:
    assert quoted("a" * 300) == f'"{"a" * 255}" "{"a" * 45}"'
    assert quoted('say "so"\\') == '"say \\"so\\"\\\\"'


def test_what_is_printed_and_published_is_found_well(site: Site) -> None:
    compared = check(site, published(wanted(site)))
    assert {one.state for one in compared.values()} == {"ok"}
    assert ("", "PTR") in compared and ("dian.gov.vn", "MX") in compared


def test_nothing_published(site: Site) -> None:
    states = {one.state for key, one in check(site, {}).items() if key[1] != "PTR"}
    assert states == {"missing"}


@pytest.mark.parametrize(
    ("name", "kind", "records", "state"),
    [
        ("binhduong.gov.vn", "MX", [(5, "old.example.org")], "differs"),
        ("binhduong.gov.vn", "MX", [(5, "old.example.org"), (10, HOST.upper())], "ok"),
        ("binhduong.gov.vn", "TXT", ["v=spf1 -all"], "differs"),
        ("binhduong.gov.vn", "TXT", ["v=spf1 a:mail.binhduong.gov.vn ~all", "x"], "ok"),
        ("binhduong.gov.vn", "TXT", ["v=spf1 mx -all"] * 2, "differs"),
        ("binhduong.gov.vn", "TXT", ["v=spf1 moo -all"], "differs"),
        ("bdmta._domainkey.binhduong.gov.vn", "TXT", [dkim.record(dkim.make_key())], "differs"),
        ("bdmta._domainkey.binhduong.gov.vn", "TXT", [dkim.record(KEY).replace(";", " ;") + ";t=y"], "ok"),
        ("_dmarc.binhduong.gov.vn", "TXT", ["v=DMARC1; p=none"], "ok"),
        ("_dmarc.binhduong.gov.vn", "TXT", ["v=DMARC1"], "differs"),
        ("_dmarc.binhduong.gov.vn", "TXT", ["v=DMARC1; p=none"] * 2, "differs"),
        ("_imaps._tcp.binhduong.gov.vn", "SRV", [f"0 1 143 {HOST}."], "differs"),
        ("binhduong.gov.vn", "MX", TempFail("no answer in time"), "unknown"),
    ],
)
def test_what_differs_is_said(site: Site, name: str, kind: str, records: Any, state: str) -> None:
    world = published(wanted(site))
    world[name][kind] = records
    compared = check(site, world)
    assert compared[name, kind].state == state, compared[name, kind]
    others = {one.state for key, one in compared.items() if key != (name, kind) and key != (name, "TXT")}
    assert others == {"ok"}


def test_the_reverse_name(site: Site) -> None:
    world = published(wanted(site))
    world["9.113.0.203.in-addr.arpa"] = {"PTR": ["customer.example.net"]}
    assert check(site, world)["", "PTR"].state == "differs"


def test_keys_to_come_and_gone_are_published_too(site: Site) -> None:
    ring, clock = Keyring(site.config.dkim.dir, "bdmta"), FakeClock()
    new = ring.add("two", "ed25519-sha256", clock)
    needs = {r.name: r.need for r in wanted(site) if "_domainkey.dian" in r.name}
    assert needs == {"bdmta._domainkey.dian.gov.vn": "must", "two._domainkey.dian.gov.vn": "should"}
    ring.activate(new, clock)
    assert {r.need for r in wanted(site) if "_domainkey.dian" in r.name} == {"must"}  # ed25519 signs beside rsa
