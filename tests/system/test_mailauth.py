"""Two provinces exchange signed letters and verify each other; forgers are refused. Real servers, a DNS of our own."""

from __future__ import annotations

import asyncio
import json
import smtplib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest

import tests.site as place
from bdmta.mailauth.tags import parse_tags
from bdmta.testing.dns import DnsServer
from tests.site import PASSWORDS, SiteUnderTest
from tests.system.wire import Answer, Wire

OURS, THEIRS = "binhduong.gov.vn", "dongnai.gov.vn"


class Province(SiteUnderTest):
    """A site of its own domain."""

    def __init__(self, folder: Path, domain: str, settings: dict[str, dict[str, str]]) -> None:
        self.domain = domain
        with mock.patch.object(place, "DOMAIN", domain):
            super().__init__(folder, settings)

    def mailbox(self, local: str) -> Path:
        return self.folder / "mail" / self.domain / local

    def records(self) -> dict[str, dict[str, list[object]]]:
        """What `bdmta dns records` says, as a world; every province here is on 127.0.0.1."""
        world: dict[str, dict[str, list[object]]] = {f"mail.{self.domain}": {"A": ["127.0.0.1"]}}
        for record in self.json("dns", "records"):  # type: ignore[attr-defined]
            if record["value"] and record["name"]:
                value = record["value"]
                if record["kind"] == "MX":
                    value = (int(value.split()[0]), value.split()[1].rstrip("."))
                if record["name"].startswith("_dmarc."):
                    value = value.replace("p=quarantine", "p=reject")
                world.setdefault(record["name"], {}).setdefault(record["kind"], []).append(value)
        return world

    def submit(self, octets: bytes, *recipients: str) -> None:
        """Hand in a letter as minhnv."""
        with smtplib.SMTP_SSL("localhost", self.port("submissions"), context=self.tls(), timeout=20) as client:
            client.login(f"minhnv@{self.domain}", PASSWORDS["minhnv"])
            assert client.sendmail(f"minhnv@{self.domain}", list(recipients), octets, ["BODY=8BITMIME"]) == {}


class World(threading.Thread):
    """A name server in a thread of its own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.server = DnsServer({})
        self.loop: Future[asyncio.AbstractEventLoop] = Future()
        self.stopping = asyncio.Event()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        async with self.server:
            self.loop.set_result(asyncio.get_running_loop())
            await self.stopping.wait()

    def stop(self) -> None:
        self.loop.result().call_soon_threadsafe(self.stopping.set)
        self.join()


@contextmanager
def held_port(sites: list[Province]) -> Iterator[None]:
    """Keep a port of the first site, so that the next one looks for others."""
    with socket.socket() as held:
        if sites:
            held.bind(("127.0.0.1", sites[0].port("smtp")))
        yield


@pytest.fixture(scope="module")
def provinces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Province, Province]]:
    world = World()
    world.start()
    world.loop.result(10)
    sites: list[Province] = []
    for domain in (OURS, THEIRS):
        settings = {
            "dns": {"servers": f'["{world.server.address}"]', "timeout_s": "2"},
            "transport": {"ip_versions": "[4]", "mta_sts": "false"}, "queue": {"retry_first_s": "1"},
            "limits": {"auth_backoff_s": "0"},
        }  # fmt: skip
        with held_port(sites):
            sites.append(Province(tmp_path_factory.mktemp(domain), domain, settings))
    ours, theirs = sites
    for one, other in ((ours, theirs), (theirs, ours)):
        one.set("transport", "port", str(other.port("smtp")))
        one.start()
        world.server.world.update(one.records())
    world.server.world["example.org"] = {"TXT": ["v=spf1 ip4:127.0.0.3 -all"]}
    world.server.world["_dmarc.example.org"] = {"TXT": ["v=DMARC1; p=quarantine"]}
    yield ours, theirs
    for site in sites:
        assert site.stop() == 0, site.log()
    world.stop()


def letter(author: str, *fields: str, text: str = "Kính gửi anh chị.") -> bytes:
    head = [
        f"From: Nguyễn Văn Minh <{author}>", f"Subject: {text[:10]}", *fields, "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit",
    ]  # fmt: skip
    return ("\r\n".join(head) + f"\r\n\r\n{text}\r\n.một chấm\r\n\r\n\r\n").encode()


def arrived(site: Province, local: str, text: str, folder: str = "") -> bytes:
    """The letter with `text`, once it has come."""
    found: list[bytes] = []

    def look() -> bool:
        found[:] = [octets for octets in site.letters(local, folder) if text.encode() in octets]
        return bool(found)

    site.wait_for(look, 30)
    return found[0]


def results(octets: bytes) -> str:
    """The Authentication-Results, unfolded."""
    head = octets.partition(b"\r\n\r\n")[0].replace(b"\r\n\t", b" ").decode()
    lines = [line for line in head.split("\r\n") if line.lower().startswith("authentication-results:")]
    assert len(lines) == 1, lines
    return lines[0]


def bring(site: Province, octets: bytes, sender: str, source: str, *recipients: str) -> Answer:
    with Wire(site, source=source) as wire:
        return wire.deliver(octets, *(recipients or (f"minhnv@{site.domain}",)), sender=sender)


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("back", [False, True])
def test_two_provinces_verify_each_other(provinces: tuple[Province, Province], size: str, back: bool) -> None:
    one, other = reversed(provinces) if back else provinces
    text = f"Thư {size} từ {one.domain}." + (" Dòng dài thêm nữa.\r\n" * 40_000 if size == "large" else "")
    one.submit(letter(f"minhnv@{one.domain}", text=text), f"khaintm@{other.domain}")
    octets = arrived(other, "khaintm", f"Thư {size} từ {one.domain}.")
    said = results(octets)
    assert said.startswith(f"Authentication-Results: mail.{other.domain};")
    assert f"spf=pass smtp.mailfrom={one.domain}" in said
    assert f"dkim=pass header.d={one.domain} header.s=bdmta header.a=rsa-sha256" in said
    assert f"dmarc=pass (p=reject) header.from={one.domain}" in said
    field = octets[octets.index(b"DKIM-Signature:") :].partition(b":")[2].partition(b"\r\nReceived")[0]
    names = parse_tags(field)["h"].replace(" ", "").split(":")
    assert names.count("from") == 2  # sealed


def test_who_pretends_to_be_a_province_is_refused(provinces: tuple[Province, Province]) -> None:
    _, theirs = provinces
    answer = bring(theirs, letter(f"chutich@{OURS}", text="Lừa đảo"), f"chutich@{OURS}", "127.0.0.2")
    assert answer.text.startswith("550-5.7.26") and OURS in answer.text, answer
    answer = bring(theirs, letter(f"chutich@{OURS}", text="Lừa đảo"), "x@example.org", "127.0.0.3")
    assert answer.code == 550  # SPF passes, for another domain
    assert not any("Lừa đảo".encode() in octets for octets in theirs.letters("minhnv"))
    row = json.loads(theirs.run("trace", f"chutich@{OURS}", "--json").stdout)[-1]
    assert (row["event"], row["detail"]["policy"]) == ("refused", "dmarc")


def test_p_quarantine_goes_to_junk(provinces: tuple[Province, Province]) -> None:
    _, theirs = provinces
    assert bring(theirs, letter("a@example.org", text="Vào thư rác"), "a@example.org", "127.0.0.2").code == 250
    said = results(arrived(theirs, "minhnv", "Vào thư rác", ".Junk"))
    assert "spf=fail" in said and "dkim=none" in said and "dmarc=fail (p=quarantine)" in said
    assert bring(theirs, letter("a@example.org", text="Vào thư đến"), "a@example.org", "127.0.0.3").code == 250
    assert "dmarc=pass" in results(arrived(theirs, "minhnv", "Vào thư đến"))


def test_forged_results_are_removed_and_others_stay(provinces: tuple[Province, Province]) -> None:
    _, theirs = provinces
    forged = (f"Authentication-Results: mail.{THEIRS}; dmarc=pass", f"Authentication-Results: (x) {THEIRS}; spf=pass")
    octets = letter("a@nowhere.example", *forged, "X-Mark: stays", text="Giả mạo")
    assert bring(theirs, octets, "a@nowhere.example", "127.0.0.2").code == 250
    said = results(arrived(theirs, "minhnv", "Giả mạo"))
    assert "dmarc=none" in said and "spf=none" in said


def test_a_letter_that_was_signed_and_changed_is_refused(provinces: tuple[Province, Province]) -> None:
    ours, theirs = provinces
    ours.submit(letter(f"minhnv@{OURS}", text="Bản gốc đã ký"), f"khaintm@{THEIRS}")
    octets = arrived(theirs, "khaintm", "Bản gốc đã ký")
    replayed = octets[octets.index(b"DKIM-Signature:") :]
    assert bring(theirs, replayed, "x@example.org", "127.0.0.3").code == 250  # the signature alone is enough
    changed = replayed.replace("Bản gốc".encode(), "Bản khác".encode())
    assert bring(theirs, changed, "x@example.org", "127.0.0.3").code == 550
    longer = replayed + "Thêm vào.\r\n".encode()
    assert bring(theirs, longer, "x@example.org", "127.0.0.3").code == 550


def test_the_day_is_reported_to_whom_it_concerns_once(provinces: tuple[Province, Province], tmp_path: Path) -> None:
    _, theirs = provinces
    assert bring(theirs, letter(f"chutich@{OURS}", text="Lừa nữa"), f"chutich@{OURS}", "127.0.0.2").code == 550
    today = f"{datetime.now(UTC):%Y-%m-%d}"

    def report(*more: str) -> dict[str, object]:
        rows = json.loads(theirs.run("dmarc", "report", "--day", today, "--json", *more).stdout)
        return next((row for row in rows if row["domain"] == OURS), {})

    theirs.wait_for(lambda: report().get("letters"), 20)
    assert report("--out", str(tmp_path), "--send")["state"] == "sent"
    assert report("--send")["state"] == "sent before"
    (file,) = tmp_path.glob(f"*!{OURS}!*")
    (read,) = json.loads(theirs.run("dmarc", "read", str(file), "--json").stdout)
    assert read["reporter"] == f"mail.{THEIRS}"
    refused = [r for r in read["records"] if r["row/policy_evaluated/disposition"] == "reject"]
    assert any(r["row/source_ip"] == "127.0.0.2" for r in refused)


def test_what_was_published_is_found_well(provinces: tuple[Province, Province]) -> None:
    ours, _ = provinces
    rows = json.loads(ours.run("dns", "check", "--json").stdout)
    assert {row["state"] for row in rows if row["need"] == "must"} == {"ok"}, rows
