"""Letters leave the real server and arrive somewhere else."""

from __future__ import annotations

import asyncio
import email
import email.policy
import threading
import time

import pytest

from bdmta.testing.sink import Sink
from tests.system.wire import Wire, deliver, here, letter, office, submit


class SinkThread:
    """A sink in a thread of its own, for tests that talk to the server by blocking sockets."""

    def __init__(self, **settings):
        self.loop = asyncio.new_event_loop()
        self.sink = Sink(**settings)
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.run(self.sink.__aenter__())
        return self

    def __exit__(self, *unused):
        self.run(self.sink.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)


@pytest.fixture
def sink():
    with SinkThread() as thread:
        yield thread


def test_a_letter_leaves_at_once_and_as_it_was(own_site, sink):
    site = own_site({"dns": {"servers": "[]"}, "transport": {"routes": f'["* = 127.0.0.1:{sink.sink.port}"]'}})
    site.start()
    began = time.monotonic()
    assert submit(site, letter("Một dòng.\r\n.hai chấm\r\n..ba", author=here("minhnv")), "a@elsewhere.example")
    (taken,) = sink.run(sink.sink.wait_letters(1))
    assert time.monotonic() - began < 2
    assert taken.mail.startswith(f"FROM:<{here('minhnv')}> SIZE=")
    assert [rcpt.split()[0] for rcpt in taken.rcpt] == ["TO:<a@elsewhere.example>"]
    assert taken.octets.startswith(b"DKIM-Signature: v=1; ")
    assert b"\r\nReceived: from" in taken.octets
    assert b"Return-Path" not in taken.octets
    assert taken.octets.endswith("\r\n\r\nMột dòng.\r\n.hai chấm\r\n..ba\r\n".encode())
    site.wait_for(lambda: not list((site.folder / "queue").glob("*.env")))
    assert not list((site.folder / "queue").iterdir())
    told = 'bdmta_queue_attempts_total{outcome="delivered"} 1.0'
    site.wait_for(lambda: told in (site.folder / "metrics/queue.prom").read_text(), 25)
    shown = site.metrics()
    assert told in shown and 'bdmta_queue_letters{state="waiting"} 0.0' in shown
    assert site.stop() == 0


def waiting(site):
    """What `queue list --json` says."""
    return site.json("queue", "list")


def test_an_operator_holds_releases_retries_and_drops(own_site, sink):
    sink.sink.script = {"RCPT": "451 4.7.1 Later"}
    site = own_site(
        {"dns": {"servers": "[]"}, "transport": {"routes": f'["there.example = 127.0.0.1:{sink.sink.port}"]'}}
    )
    site.start()
    assert submit(site, letter(author=here("minhnv")), "a@there.example", "b@nowhere.example")
    site.wait_for(lambda: sum(f["event"] == "deferred" for f in office(site, "trace", text=here("minhnv"))) == 2)
    (row,) = waiting(site)
    assert (row["sender"], row["recipients"], row["attempts"]) == (
        here("minhnv"), ["a@there.example", "b@nowhere.example"], 1,
    )  # fmt: skip
    assert row["last_reply"] == "451 4.7.1 Later" or "no name server is configured" in row["last_reply"]
    assert row["next_attempt_at"].endswith("+07:00")
    states = site.json("queue", "show", row["id"])["states"]
    assert [state["status"] for state in states] == ["4.7.1", "4.4.3"]
    site.run("queue", "hold", row["id"])
    assert waiting(site)[0]["next_attempt_at"] is None
    sink.sink.script = {}
    assert "0 letters tried at once" in site.run("queue", "retry", "all").stdout
    assert "tried at once" in site.run("queue", "retry", row["id"]).stdout
    assert not sink.sink.letters
    site.run("queue", "release", row["id"])
    assert sink.run(sink.sink.wait_letters(1))
    site.wait_for(lambda: waiting(site)[0]["recipients"] == ["b@nowhere.example"])
    attempts = waiting(site)[0]["attempts"]
    assert "1 letters tried at once" in site.run("queue", "retry", "all").stdout
    site.wait_for(lambda: waiting(site)[0]["attempts"] > attempts)
    assert "b@nowhere.example" in site.run("queue", "drop", row["id"]).stdout
    assert waiting(site) == []
    assert site.run("queue", "show", row["id"], check=False).returncode == 1
    events = [(f["event"], f["recipient"]) for f in site.json("trace", row["id"])]
    assert events[0][0] == "accepted"
    shown = site.run("trace", row["id"]).stdout
    assert "complete: 1 sent, 1 dropped" in shown
    assert [one["state"] for one in site.json("trace", row["id"], "--state")] == ["sent", "dropped"]
    assert {("sent", "a@there.example"), ("dropped", "b@nowhere.example")} <= set(events)
    assert site.stop() == 0


@pytest.fixture
def relay(own_site, sink):
    """A site that sends everything to the sink."""
    site = own_site({"dns": {"servers": "[]"}, "transport": {"routes": f'["* = 127.0.0.1:{sink.sink.port}"]'}})
    site.start()
    return site


def test_success_is_reported_to_whom_asks_for_it(relay):
    with Wire(relay, "submissions") as wire:
        assert wire.login("minhnv")
        assert wire.ask(f"MAIL FROM:<{here('minhnv')}> RET=HDRS ENVID=QQ314159")
        assert wire.ask(f"RCPT TO:<{here('khaintm')}> NOTIFY=SUCCESS ORCPT=rfc822;{here('khaintm')}")
        assert wire.data(letter(author=here("minhnv")))
    relay.wait_for(lambda: relay.letters("minhnv"))
    (report,) = relay.letters("minhnv")
    message = email.message_from_bytes(report, policy=email.policy.SMTP)
    about, recipient = list(message.iter_parts())[1].get_payload()
    assert about["Original-Envelope-Id"] == "QQ314159"
    assert (recipient["Action"], recipient["Status"]) == ("delivered", "2.1.5")
    assert recipient["Final-Recipient"] == f"rfc822; {here('khaintm')}"
    assert message["Return-Path"] == "<>"
    relay.wait_for(lambda: not list((relay.folder / "queue").glob("*.env")))


def test_a_letter_that_fails_comes_back_and_a_report_never_does(relay, sink):
    sink.sink.script = {"RCPT": "550 5.1.1 No such user"}
    assert submit(relay, letter(author=here("minhnv")), "nobody@elsewhere.example")
    relay.wait_for(lambda: relay.letters("minhnv"))
    (report,) = relay.letters("minhnv")
    assert b"Action: failed\r\nStatus: 5.1.1\r\n" in report
    relay.run("alias", "add", here("dencho"), "gone@elsewhere.example")
    assert deliver(relay, letter(), here("dencho"), sender="")
    relay.wait_for(
        lambda: any(
            f["event"] == "bounced" and not f["sender"] for f in office(relay, "trace", text="gone@elsewhere.example")
        )
    )
    relay.wait_for(lambda: not list((relay.folder / "queue").glob("*.env")))
    assert len(relay.letters("minhnv")) == 1
    assert not any(command.startswith("MAIL FROM:<>") for command in sink.sink.commands[:-4])


def test_a_mailbox_sends_on_and_bounces_find_their_way_back(relay, sink):
    relay.run("mailbox", "set", here("minhnv"), "--forward", "minh@home.example,other@home.example")
    relay.run("mailbox", "set", here("khaintm"), "--forward", "khai@home.example", "--no-keep")
    time.sleep(1.1)  # an edge looks at the settings once a second
    assert deliver(relay, letter(), here("minhnv"), here("khaintm"), sender="lan@else.example")
    taken = sink.run(sink.sink.wait_letters(2))
    assert len(relay.letters("minhnv")) == 1
    assert relay.letters("khaintm") == []
    by_via = {one.octets.split(b"\r\n")[0].decode(): one for one in taken}
    one = by_via[f"Delivered-To: {here('minhnv')}"]
    assert len(one.rcpt) == 2
    rewritten = one.mail.partition("<")[2].partition(">")[0]
    assert rewritten.startswith("SRS0=")
    assert rewritten.endswith("=else.example=lan@binhduong.gov.vn")
    assert f"Delivered-To: {here('khaintm')}" in by_via
    assert deliver(relay, letter("không tới", author="x@home.example"), rewritten, sender="")
    bounce = sink.run(sink.sink.wait_letters(3))[-1]
    assert (bounce.mail.split()[0], bounce.rcpt[0].split()[0]) == ("FROM:<>", "TO:<lan@else.example>")
    assert deliver(relay, letter(), "SRS0=aaaaaaaa=aa=else.example=lan@binhduong.gov.vn").code == 550
    looped = b"Delivered-To: " + here("minhnv").encode() + b"\r\n" + letter()
    assert deliver(relay, looped, here("minhnv")).code == 554


def test_one_who_is_away_answers_a_person_once(relay, sink):
    relay.run("mailbox", "set", here("minhnv"), "--absence", "Tôi đi công tác đến hết tuần.")
    time.sleep(1.1)
    to = f"To: <{here('minhnv')}>"
    for fields in (["List-Id: <l.example>", to], ["Precedence: bulk", to], ["Auto-Submitted: auto-replied", to], []):
        assert deliver(relay, letter("x", *fields), here("minhnv"), sender="lan@else.example")
    assert deliver(relay, letter("x", to), here("minhnv"), sender="")
    for _ in range(3):
        assert deliver(relay, letter("x", to, "Message-ID: <q@else>"), here("minhnv"), sender="lan@else.example")
    relay.wait_for(lambda: not list((relay.folder / "queue").glob("*.env")) and len(relay.letters("minhnv")) == 8)
    (answer,) = sink.run(sink.sink.wait_letters(1))
    assert (answer.mail.split()[0], answer.rcpt[0].split()[0]) == ("FROM:<>", "TO:<lan@else.example>")
    message = email.message_from_bytes(answer.octets, policy=email.policy.SMTP)
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == "<q@else>"
    assert message.get_content().strip() == "Tôi đi công tác đến hết tuần."
