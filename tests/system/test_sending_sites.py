"""Two sites exchange letters over TLS by the MX records of a DNS world, signed and proved; a site is killed."""

from __future__ import annotations

import asyncio
import base64
import threading

import pytest
from cryptography.hazmat.primitives import serialization

from bdmta.testing.dns import DnsServer
from tests.site import DOMAIN, SiteUnderTest, free_base_port
from tests.system.test_sending import SinkThread
from tests.system.wire import here, letter, submit

OTHER = "thuathienhue.example"


class OtherSite(SiteUnderTest):
    """A site of another domain with one mailbox, lan."""

    def __init__(self, folder, settings):
        self.folder = folder / "other"
        self.base_port = free_base_port()
        self.server = None
        self.run("init", str(self.folder), "--domain", OTHER, "--base-port", str(self.base_port), config=False)
        for table, values in settings.items():
            for key, value in values.items():
                self.set(table, key, value)
        self.run("mailbox", "add", f"lan@{OTHER}", "--name", "Lan", "--password-stdin", stdin="Mat-khau-2026\n")

    def mailbox(self, local):
        return self.folder / "mail" / OTHER / local


class World:
    """A DNS server in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.server = DnsServer({})
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self.server.__aenter__(), self.loop).result(10)

    def publish(self, site, domain, host):
        key = serialization.load_pem_private_key((site.folder / "dkim" / "bdmta.pem").read_bytes(), None)
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.server.world |= {
            domain: {"MX": [(10, host)], "TXT": ["v=spf1 ip4:127.0.0.1 -all"]},
            host: {"A": ["127.0.0.1"]},
            f"bdmta._domainkey.{domain}": {"TXT": [f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"]},
            f"_dmarc.{domain}": {"TXT": ["v=DMARC1; p=reject"]},
        }

    def close(self):
        asyncio.run_coroutine_threadsafe(self.server.__aexit__(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


def test_two_sites_exchange_letters_and_believe_each_other(own_site, tmp_path, world):
    dns = {"servers": f'["{world.server.address}"]'}
    ours = own_site({"dns": dns})
    base_port = ours.base_port
    ours.start()  # its ports are taken now, so the other finds others
    other = OtherSite(tmp_path, {"dns": dns, "transport": {"port": str(base_port + 25)}})
    try:
        other.start()
        ours.stop()
        ours.set("transport", "port", str(other.port("smtp")))
        ours.start()
        world.publish(ours, DOMAIN, "mail.ours.example")
        world.publish(other, OTHER, "mail.other.example")
        words = letter(
            "Kính gửi chị Lan.", "Date: Mon, 23 Nov 2026 10:00:00 +0700", f"To: <lan@{OTHER}>", author=here("minhnv")
        )
        assert submit(ours, words, f"lan@{OTHER}")
        other.wait_for(lambda: other.letters("lan"), 20)
        (received,) = other.letters("lan")
        head = received.partition(b"\r\n\r\n")[0].decode()
        assert f"Return-Path: <{here('minhnv')}>" in head
        assert "with ESMTPS id" in head
        unfolded = head.replace("\r\n\t", " ").replace("\r\n ", " ")
        results = next(line for line in unfolded.split("\r\n") if line.lower().startswith("authentication-results:"))
        assert all(f"{method}=pass" in results for method in ("spf", "dkim", "dmarc")), results
        ours.wait_for(lambda: ours.json("queue", "list") == [])
        events = [fact["event"] for fact in ours.json("trace", f"lan@{OTHER}")]
        assert events[-1] == "sent"
    finally:
        if other.server is not None:
            other.stop()  # its status page would outlive a kill


@pytest.mark.crash
def test_a_killed_server_sends_every_letter_and_those_it_recorded_once(own_site):
    with SinkThread() as sink:
        route = f'["* = 127.0.0.1:{sink.sink.port}"]'
        site = own_site(
            {"dns": {"servers": "[]"}, "transport": {"routes": route}, "queue": {"destination_connections": "3"}}
        )
        sent = []
        for number in range(4):
            site.start()
            for at in range(25):
                address = f"a{number}-{at}@elsewhere.example"
                assert submit(site, letter(author=here("minhnv")), address)
                sent.append(address)
                if at == 24 - number:
                    break
            site.kill()
        site.start()
        wanted = {f"TO:<{address}>" for address in sent}

        def arrived():
            return [one.rcpt[0].split()[0] for one in sink.sink.letters if one.is_taken]

        site.wait_for(lambda: set(arrived()) == wanted, 30)
        site.wait_for(lambda: not list((site.folder / "queue").glob("*.env")))
        assert site.stop() == 0
        doubled = len(arrived()) - len(wanted)
        assert doubled <= 4 * 3  # at each kill, what was between the 250 of the other side and our record of it
