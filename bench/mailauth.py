"""`scripts/bench mailauth`: the CPU that SPF, DKIM (RSA-2048) and DMARC of one letter cost, the domain's records cached.

A real resolver over a DNS server on loopback; the first letter asks, the others do not. And what our signature costs.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bdmta.address import parse_address
from bdmta.clock import SystemClock
from bdmta.dns import Resolver
from bdmta.envelope import Envelope, Recipient
from bdmta.mailauth.check import MailAuth
from bdmta.mailauth.keyring import record_of
from bdmta.mailauth.results import Result
from bdmta.mailauth.sign import Signer
from bdmta.message import scan
from bdmta.policy import Direction
from bdmta.routing import Route
from bdmta.testing.dns import DnsServer
from bench import results

_HEAD = b"From: A <a@example.org>\r\nTo: b@test.local\r\nDate: Sat, 28 Nov 2026 08:00:00 +0700\r\nSubject: Hai\r\n\r\n"
SIZES = (4096, 102_400, 1 << 20)
_TO = parse_address("b@test.local")
_ENVELOPE = Envelope(
    reference="r", direction=Direction.INBOUND, sender=parse_address("a@example.org"),
    recipients=(Recipient(_TO, _TO.key, Route()),), received_at=datetime(2026, 11, 28, tzinfo=UTC),
    remote_ip="192.0.2.9", helo="mx.example.org",
)  # fmt: skip


async def _measure(folder: Path) -> list[str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "bdmta.pem").write_bytes(key.private_bytes(*pem))
    signer = Signer(str(folder), "bdmta", lambda: ("example.org",), SystemClock())
    world = {
        "example.org": {"TXT": ["v=spf1 include:_spf.example.org mx -all"], "MX": [(10, "mx.example.org")]},
        "_spf.example.org": {"TXT": ["v=spf1 ip4:192.0.2.0/24 ~all"]},
        "mx.example.org": {"A": ["198.51.100.1"]},
        "bdmta._domainkey.example.org": {"TXT": [record_of(key)]},
        "_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject"]},
    }
    lines = ["| letter | check | signature |", "|---|---|---|"]
    async with DnsServer(world) as server:
        auth = MailAuth(Resolver([server.address]), SystemClock())
        for octets in SIZES:
            letter = _HEAD + (b"x" * 70 + b"\r\n") * (octets // 72)
            signing = [_cpu_ms(lambda letter=letter: signer.sign_now([letter])) for _ in range(5)]
            message = scan(signer.sign_now([letter]) + letter)
            found = await auth.check(_ENVELOPE, message, 0)
            assert found is not None
            if {found.spf.result, found.dkim[0].result, found.dmarc.result} != {Result.PASS}:
                raise SystemExit(f"not passed: {found}")
            asked = len(server.asked)
            checking = []
            for _ in range(5):
                begun = time.process_time()
                for _ in range(100):
                    await auth.check(_ENVELOPE, message, 0)
                checking.append((time.process_time() - begun) * 10)
            if len(server.asked) != asked:
                raise SystemExit("the server was asked again: nothing was cached")
            size = f"{octets // 1024} KiB"
            lines.append(f"| {size} | {statistics.median(checking):.2f} | {statistics.median(signing):.2f} |")
    return lines


def _cpu_ms(work: Callable[[], object]) -> float:
    begun = time.process_time()
    for _ in range(100):
        work()
    return (time.process_time() - begun) * 10


def main(say: Callable[[str], None]) -> None:
    """`scripts/bench mailauth`."""
    with tempfile.TemporaryDirectory() as folder:
        lines = asyncio.run(_measure(Path(folder)))
    text = "\n".join([
        "CPU milliseconds a letter, all threads; medians of 5 times 100. Check: SPF (include, ip4), DKIM-2048 and DMARC of a "
        "domain whose records are cached, all three pass. Signature: DKIM-2048.", "", *lines, "",
        "Under 2 ms are wanted for the check of a letter of common size.",
    ])  # fmt: skip
    say(text)
    results.write("mailauth", text)
