"""SIGKILL to the courier alone, again and again under load: what was answered 250 leaves, and little leaves twice.

The edge goes on taking letters meanwhile, and the supervisor starts the courier again. BDMTA_CRASH_SEED repeats the
instants of a run (not the scheduler's choices).
"""

from __future__ import annotations

import json
import os
import random
import signal
import smtplib
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest

from bdmta.clock import SystemClock
from bdmta.testing.sink import Sink
from bench.process import descendants
from storage.spool import Spool
from tests.site import SiteUnderTest
from tests.system.test_sending import SinkThread

pytestmark = pytest.mark.crash

ROUNDS = 3
KILLS_A_ROUND = 3  # the supervisor waits 0.1, 0.5, 1 s before it starts what fell again, and then ever longer
CONNECTIONS = 4  # to each of two destinations
DOMAINS = ("one.example", "two.example")
LOADS = 3
EVERY_S = 0.02
END = b"the end\r\n"


class Load(threading.Thread):
    """Sends a letter every now and then until told to stop; `acknowledged` are the recipients answered 250."""

    def __init__(self, site: SiteUnderTest, name: str) -> None:
        super().__init__()
        self.acknowledged: list[str] = []
        self._site, self._name = site, name
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        with smtplib.SMTP("127.0.0.1", self._site.port("smtp"), timeout=20) as client:
            number = 0
            while not self._stopping.wait(EVERY_S):
                number += 1
                # Every third goes to both destinations: its envelope is replaced when the first of them has it.
                domains = DOMAINS if number % 3 == 0 else DOMAINS[number % 2 : number % 2 + 1]
                to = [f"{self._name}-{number}@{domain}" for domain in domains]
                octets = f"From: <a@elsewhere.example>\r\nX-Id: {number}\r\n\r\n{'x' * 70}\r\n".encode() + END
                assert client.sendmail("a@elsewhere.example", to, octets) == {}
                self.acknowledged += to

    def stop(self) -> list[str]:
        self._stopping.set()
        self.join(30)
        assert not self.is_alive()
        return self.acknowledged


def courier_of(site: SiteUnderTest) -> int:
    """The courier's process; 0: none runs."""
    assert site.server is not None
    for pid in descendants(site.server.pid):
        with suppress(OSError):
            if b'"role": "courier"' in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return 0


def is_empty(site: SiteUnderTest) -> bool:
    return not list((site.folder / "queue").glob("*.env"))


def kill_again_and_again(site: SiteUnderTest, sink: Sink, dice: random.Random) -> None:
    """Each one has begun to send before it is killed, what came while there was none above all."""
    fallen = {0}
    for _ in range(KILLS_A_ROUND):
        site.wait_for(lambda: courier_of(site) not in fallen, 20)
        before = len(sink.letters)
        site.wait_for(lambda before=before: len(sink.letters) > before, 20)
        time.sleep(dice.uniform(0.0, 0.3))  # the instant is what is tested; nothing is waited for
        pid = courier_of(site)
        assert pid not in fallen
        os.kill(pid, signal.SIGKILL)
        fallen.add(pid)


def last_of_connections(sink: Sink) -> set[int]:
    """The places in `sink.letters` of those behind which nothing came over the same connection."""
    return set({letter.connection: place for place, letter in enumerate(sink.letters)}.values())


def test_a_killed_courier_loses_nothing_and_doubles_only_what_was_in_flight(own_site, capsys):
    seed = int(os.environ.get("BDMTA_CRASH_SEED", time.time_ns() % 1_000_000))
    dice = random.Random(seed)
    with SinkThread() as one, SinkThread(address="127.0.0.2") as two:
        sinks = one.sink, two.sink
        routes = [f"{domain} = {sink.address}:{sink.port}" for domain, sink in zip(DOMAINS, sinks, strict=True)]
        site = own_site(
            {
                "dns": {"servers": "[]"},
                "limits": {"relay_networks": '["127.0.0.0/8"]', "sessions_per_address": "1000"},
                "queue": {"destination_connections": str(CONNECTIONS)},
                "transport": {"routes": json.dumps(routes)},
            }
        )
        acknowledged: list[str] = []
        for number in range(ROUNDS):
            site.start(workers=1)
            loads = [Load(site, f"{number}-{n}") for n in range(LOADS)]
            kill_again_and_again(site, one.sink, dice)
            for load in loads:
                acknowledged += load.stop()
            site.wait_for(lambda: is_empty(site), 20)
            assert site.stop() == 0
    doubled = _check(sinks, acknowledged, f"seed {seed}")
    # What a killed process had not removed yet is no entry any more, or none yet, and is swept when it is an hour old.
    Spool(str(site.folder / "queue"), SystemClock()).sweep(0.0)
    assert os.listdir(site.folder / "queue") == [], f"seed {seed}"
    with capsys.disabled():
        kills = ROUNDS * KILLS_A_ROUND
        print(f"\n{kills} kills, {len(acknowledged)} copies acknowledged, {doubled} doubled, seed {seed}", end=" ")


def _check(sinks: tuple[Sink, ...], acknowledged: list[str], told: str) -> int:
    """Every recipient's copy is there whole; how many are twice, each of them the last of a killed connection."""
    arrivals: dict[str, list[tuple[Sink, int]]] = defaultdict(list)
    for sink in sinks:
        for place, letter in enumerate(sink.letters):
            assert letter.octets.endswith(END)
            for rcpt in letter.rcpt:
                arrivals[rcpt.partition("<")[2].partition(">")[0]].append((sink, place))
    assert sorted(arrivals) == sorted(acknowledged), f"{told}: lost, or never handed in"
    last = {(sink.port, place) for sink in sinks for place in last_of_connections(sink)}
    too_early = [
        to for to, found in arrivals.items() if any((sink.port, place) not in last for sink, place in found[:-1])
    ]
    # A worker takes the next letter up when the one before is recorded as sent: its last alone may be sent again.
    assert too_early == [], f"{told}: doubled, though others left behind it"
    doubled = sum(len(found) - 1 for found in arrivals.values())
    assert doubled <= ROUNDS * KILLS_A_ROUND * CONNECTIONS * len(sinks), told
    return doubled
