"""Each fault is named as what it is; what a server may do is no fault."""

import asyncio
from dataclasses import replace

import pytest

from bdmta.clock import SystemClock
from bdmta.errors import UsageError
from bdmta.testing.sink import Sink
from bdmta.traffic.chart import Axis, Series, line_chart, png
from bdmta.traffic.latency import Latencies
from bdmta.traffic.ledger import Entry, Ledger, State, digest, read_ledger
from bdmta.traffic.letter import Expect, Letter, id_line
from bdmta.traffic.look import Copy, by_maildir
from bdmta.traffic.population import Account
from bdmta.traffic.run import ANSWER, Pace, Run
from bdmta.traffic.target import Target
from bdmta.traffic.verdict import judge, settle
from bdmta.traffic.wire import Endpoint, TlsSettings, endpoint, tls_context

TO, OTHER = "a@x.example", "b@x.example"
GOOD = Copy(1, TO, "INBOX", "d", "b", 100.0)


def entry(state=State.ACCEPTED, **more):
    given = {
        "number": 1, "kind": "inbound", "expect": Expect.ACCEPT, "what": "", "digest": "d", "body_digest": "b",
        "octets": 10, "due_at": 99.0, "answered_at": 100.0, "code": 250, "reply": "OK", "states": {TO: state},
    }  # fmt: skip
    return Entry(**{**given, **more})


def faults(one, *copies, unsure=()):
    ledger = Ledger("run")
    ledger.entries[1] = one
    ledger.unsure.update(unsure)
    verdict = judge(ledger, copies, [TO, OTHER], 30)
    return [fault.what for fault in settle(verdict, (), 30)]


def test_a_letter_once_whole_and_in_time_is_good():
    assert faults(entry(), GOOD) == []
    assert faults(entry(), replace(GOOD, folder="Junk")) == []


@pytest.mark.parametrize(
    ("one", "copies", "expected"),
    [
        (entry(), (), ["lost"]),
        (entry(), (GOOD, GOOD), ["doubled"]),
        (entry(), (GOOD, replace(GOOD, folder="Archive")), ["doubled"]),
        (entry(), (replace(GOOD, digest="x"),), ["corrupted"]),
        (entry(), (replace(GOOD, digest="x", body_digest="x"),), ["corrupted"]),
        (entry(), (replace(GOOD, folder="Sent"),), ["misplaced"]),
        (entry(folders=("Sent",)), (GOOD,), ["misplaced"]),
        (entry(), (replace(GOOD, arrived_at=140.0),), ["late"]),
        (entry(), (GOOD, replace(GOOD, address=OTHER)), ["stray"]),
        (entry(State.REFUSED, code=550, expect=Expect.REFUSE), (GOOD,), ["intruder"]),
        (entry(State.REFUSED, code=550), (), ["kept-out"]),
        (entry(expect=Expect.REFUSE), (GOOD,), ["let-in"]),
    ],
)  # fmt: skip
def test_faults(one, copies, expected):
    assert faults(one, *copies) == expected


@pytest.mark.parametrize(
    ("one", "copies"),
    [
        (entry(State.DEFERRED, code=451), ()),
        (entry(State.DEFERRED, code=451), (GOOD,)),
        (entry(State.DOUBTFUL, code=0), (GOOD,)),
        (entry(State.REFUSED, code=550, expect=Expect.ANY), ()),
        (entry(expect=Expect.ANY), (replace(GOOD, digest="x"),)),
        (entry(folders=("Sent",)), (replace(GOOD, folder="Sent"),)),
        (entry(State.REFUSED, code=0), ()),
    ],
)
def test_what_a_server_may_do(one, copies):
    assert faults(one, *copies) == []


def test_two_copies_of_a_doubtful_letter_are_one_too_many_but_not_those_of_a_reader_that_broke_off():
    assert faults(entry(State.DOUBTFUL, code=0), GOOD, GOOD) == ["doubled"]
    assert faults(entry(), GOOD, GOOD, unsure=[(1, TO)]) == []


def test_what_comes_after_the_first_look_is_late():
    ledger = Ledger("run")
    ledger.entries[1] = entry()
    verdict = judge(ledger, [GOOD], [TO], 30)
    assert [fault.what for fault in settle(verdict, [(1, TO)], 30)] == ["late"]


def test_a_maildir_is_read_whatever_its_line_ends(tmp_path):
    sent = id_line("run", 1) + b"Subject: x\r\n\r\nBody\r\n"
    for folder, name, octets in (
        ("new", "1", b"Received: here\r\n" + sent),
        (".Archive/cur", "2:2,S", b"Received: here\n" + sent.replace(b"\r\n", b"\n")),
        ("cur", "3:2,", b"Subject: another\r\n\r\nx\r\n"),
        (".Archive/new", "4", id_line("other-run", 1) + b"\r\n"),
    ):
        where = tmp_path / "x.example" / "a" / folder
        where.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(octets)
    found = by_maildir("run", [Account(TO)], str(tmp_path), "{domain}/{local}")
    assert [(copy.folder, copy.digest) for copy in found] == [("INBOX", digest(sent)), ("Archive", digest(sent))]


def test_a_ledger_is_read_again_without_a_line_that_was_cut_off(tmp_path):
    path = tmp_path / "ledger"
    with path.open("w") as file:
        kept = Ledger("run", file)
        kept.add(entry())
        kept.begin_move(1, TO)
        kept.begin_move(2, TO)
        kept.end_move(2, TO)
    path.write_text(path.read_text() + '{"number": 2, "ki')
    read = read_ledger(str(path))
    assert (read.label, read.entries, read.unsure) == ("run", {1: entry()}, {(1, TO)})
    path.write_text("nothing")
    with pytest.raises(UsageError, match="not a ledger"):
        read_ledger(str(path))


def test_percentiles_are_within_one_percent():
    latencies = Latencies()
    for number in range(1, 10_001):
        latencies.add(number / 1000)
    for percent in (50, 90, 99, 99.9):
        assert latencies.percentile_s(percent) == pytest.approx(percent / 10, rel=0.011)
    assert latencies.percentile_s(100) == 10.0
    assert Latencies().percentile_s(99) == 0


def test_a_stall_is_felt_by_every_letter_that_fell_due_meanwhile():
    """One session; the first letter waits for the greeting of a server that hangs, the rest for that session."""

    async def stalled():
        async with Sink({"connect": ["hang", ""]}) as sink:
            letters = (
                Letter(number, "inbound", "s@y.example", (TO,), id_line("run", number) + b"\r\nx\r\n")
                for number in range(1, 1000)
            )
            tls = TlsSettings(tls_context("", is_verified=False))
            target = Target([Account(TO)], tls, smtp=Endpoint("smtp", "127.0.0.1", sink.port), timeout_s=1.0)
            pace = Pace(duration_s=1, sessions=1, moments=iter([n / 100 for n in range(50)]))
            run = Run(target, letters, pace, Ledger("run"), SystemClock())
            await run()
            return run

    run = asyncio.run(stalled())
    assert run.counts["failed"] == 1
    assert run.counts["accepted"] == 49
    answers = run.meter.by_name[ANSWER]
    assert answers.percentile_s(1) > 0.4  # the last of them fell due half a second before the stall ended


@pytest.mark.parametrize("text", ["nowhere.example/x", "ftp://a:21", "imap://:5", "a:99999"])
def test_an_address_of_a_service_that_is_none(text):
    with pytest.raises(UsageError):
        endpoint(text, ("imap", "imaps"))


def test_addresses_of_services():
    assert endpoint("127.0.0.1:1143", ("imap", "imaps")) == Endpoint("imap", "127.0.0.1", 1143)
    assert endpoint("imaps://[::1]", ("imap", "imaps")) == Endpoint("imaps", "::1", 993)
    assert endpoint("[::1]:25", ("smtp",)).is_loopback
    assert not endpoint("192.0.2.1", ("smtp",)).is_loopback


def test_a_chart_becomes_a_picture():
    drawn = line_chart("Dài", Axis("s"), Axis("ms"), [Series("p50", [(0, 1), (1, 2)])])
    picture = png(drawn)
    assert picture.startswith(b"\x89PNG\r\n")
    width, height = int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")  # IHDR
    assert width / height == pytest.approx(760 / 400, rel=0.01)


def test_a_chart_is_the_same_for_the_same_numbers():
    series = [Series("bdmta", [(100, 1.5), (20_000, 1.7)], [(1.4, 1.6), (1.5, 1.9)])]
    drawn = line_chart("Cost & growth", Axis("mailboxes", is_log=True), Axis("ms"), series, "note")
    assert drawn == line_chart("Cost & growth", Axis("mailboxes", is_log=True), Axis("ms"), series, "note")
    assert "Cost &amp; growth" in drawn
    assert "20,000" in drawn
    with pytest.raises(ValueError, match="at least one point"):
        line_chart("x", Axis("x"), Axis("y"), [Series("none", [])])
