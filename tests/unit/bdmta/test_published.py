"""`bdmta check --dns` against a name server of our own: only [dns] servers are asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from bdmta.config import parse
from bdmta.setup import dkim
from bdmta.setup.published import inspect_dns
from bdmta.site import Site

KEY = dkim.make_key()
Zone = dict[tuple[str, str], list[str]]


class NameServer(threading.Thread):
    """Answers from a dict of (name, type); everything else does not exist."""

    def __init__(self, zone: Zone) -> None:
        super().__init__()
        self.zone = zone
        self.asked: list[tuple[str, str]] = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))

    def run(self) -> None:
        while True:
            octets, peer = self.sock.recvfrom(4096)
            if octets == b"stop":
                return self.sock.close()
            query = dns.message.from_wire(octets)
            question = query.question[0]
            asked = (question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype))
            self.asked.append(asked)
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            if asked in self.zone:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", asked[1], *self.zone[asked]))
            elif not any(name == asked[0] for name, _ in self.zone):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            self.sock.sendto(answer.to_wire(), peer)


@pytest.fixture
def server() -> Iterator[NameServer]:
    running = NameServer({})
    address = running.sock.getsockname()
    running.start()
    yield running
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"stop", address)
    running.join()


def _site(tmp_path: Path, server: NameServer) -> Site:
    (tmp_path / "dkim").mkdir()
    (tmp_path / "dkim/bdmta.pem").write_bytes(KEY)
    port = server.sock.getsockname()[1]
    tables = {
        "server": {"hostname": "mail.test.local"}, "mail": {"domains": ["test.local"]},
        "dns": {"servers": [f"127.0.0.1:{port}"], "timeout_s": 2},
    }  # fmt: skip
    return Site(parse(tables, folder=str(tmp_path)), str(tmp_path / "bdmta.toml"))


def _text(value: str) -> str:
    """A TXT record of strings of at most 255 octets (RFC 6376 §3.6.2.2)."""
    return " ".join(f'"{value[start : start + 255]}"' for start in range(0, len(value), 255))


def test_everything_is_published(tmp_path: Path, server: NameServer) -> None:
    server.zone.update({
        ("mail.test.local", "A"): ["192.0.2.1"],
        ("test.local", "MX"): ["10 MAIL.test.local."],
        ("test.local", "TXT"): ['"unrelated"', '"v=spf1 mx -all"'],
        ("bdmta._domainkey.test.local", "TXT"): [_text(dkim.record(KEY))],
    })  # fmt: skip
    findings = list(inspect_dns(_site(tmp_path, server)))
    assert [finding.state for finding in findings] == ["ok"] * 4
    assert ("mail.test.local", "AAAA") in server.asked


def test_nothing_is_published(tmp_path: Path, server: NameServer) -> None:
    findings = list(inspect_dns(_site(tmp_path, server)))
    assert [(finding.state, finding.detail.partition(";")[0]) for finding in findings] == [
        ("fail", "mail.test.local has no address"),
        ("fail", "test.local MX names nobody, not mail.test.local"),
        ("warn", "test.local publishes no SPF"),
        ("warn", "bdmta._domainkey.test.local is not our key"),
    ]


def test_another_key_and_another_host(tmp_path: Path, server: NameServer) -> None:
    server.zone.update({
        ("test.local", "MX"): ["10 old.test.local."],
        ("bdmta._domainkey.test.local", "TXT"): [_text(dkim.record(dkim.make_key()))],
    })  # fmt: skip
    details = [finding.detail for finding in inspect_dns(_site(tmp_path, server))]
    assert "test.local MX names old.test.local, not mail.test.local" in details
    assert any(detail.startswith("bdmta._domainkey.test.local is not our key") for detail in details)
