"""Notices of outages on a served site: who hears, what senders are told, what lives on when mail is killed."""

from __future__ import annotations

import imaplib
import json
import os
import signal
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bdmta.errors import UsageError
from bdmta.outage.book import read_notices
from bdmta.outage.page_process import page_pid
from bdmta.outage.show import shown
from bdmta.site import Site
from tests.site import PASSWORDS
from tests.system.conftest import add_mailboxes
from tests.system.test_lifecycle import children
from tests.system.test_sending import SinkThread
from tests.system.wire import OUTSIDE, Wire, deliver, here, letter, office

_clients = []


def later(**span):
    return (datetime.now(ZoneInfo("Asia/Ho_Chi_Minh")) + timedelta(**span)).isoformat(timespec="minutes")


def told(site, local):
    """The letters about outages in a mailbox."""
    return [octets for octets in site.letters(local) if b"Message-ID: <outage-" in octets]


def opened(site, what, *, hours=2, **more):
    """By the running office, as the command asks it, without a command's start."""
    return office(site, "outage_open", what=what, until=later(hours=hours), **more)["id"]


def closed(site, notice_id):
    office(site, "outage_close", notice_id=notice_id, done="Xong")


def rows(site):
    """What `bdmta outage list --json` prints."""
    opened_site = Site.open(str(site.config))
    return [shown(opened_site, notice) for notice in read_notices(opened_site.outage_dir)]


def login(site, local):
    client = imaplib.IMAP4_SSL("localhost", site.port("imaps"), ssl_context=site.tls(), timeout=20)
    client.login(here(local), PASSWORDS[local])
    _clients.append(client)
    return client


def greeted(client):
    """What was shown at login."""
    return b"".join(line for line in client.untagged_responses.get("OK", []) if line).decode()


def said(client):
    """What has been shown since the last command."""
    client.noop()
    return greeted(client)


def state(site, notice_id, channel):
    row = next(row for row in rows(site) if row["id"] == notice_id)
    return row["channels"].get(channel, {}).get("state")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from tests.site import SiteUnderTest

    site = SiteUnderTest(tmp_path_factory.mktemp("outage"), {"dns": {"servers": "[]"}})
    site.run("mailbox", "set", here("khaintm"), "--agency", "sotttt")
    site.start(workers=1)
    yield site
    assert site.stop() == 0, site.log()


@pytest.fixture
def calm(served):
    """The site, with every notice closed afterwards."""
    yield served
    while _clients:
        _clients.pop().logout()
    for row in rows(served):
        if row["state"] in ("planned", "open", "overdue"):
            closed(served, row["id"])
    served.wait_for(lambda: Wire(served, hello=False).greeting.code == 220)


def test_without_until_it_is_refused_by_the_rule(calm):
    done = calm.run("outage", "open", "--what", "Mất điện", check=False)
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert "--until" in line and "Điều 15" in line
    assert rows(calm) == []


def test_everybody_hears_once_though_it_was_asked_twice(calm):
    connected = login(calm, "minhnv")
    until = later(hours=2)
    words = ("outage", "open", "--what", "Bảo trì ổ đĩa", "--until", until, "--scope", "imap", "--json")
    first, second = (json.loads(calm.run(*words).stdout) for _ in range(2))
    assert first["new"] and not second["new"] and first["id"] == second["id"]
    calm.wait_for(lambda: state(calm, first["id"], "letter") == "done")
    assert [len(told(calm, local)) for local in ("minhnv", "khaintm", "sotttt")] == [1, 1, 1]
    calm.wait_for(lambda: "Bao tri o dia" in said(connected))
    late = login(calm, "khaintm")
    assert "Bao tri o dia" in greeted(late)
    (row,) = calm.json("outage", "list")
    assert datetime.fromisoformat(row["until"]) == datetime.fromisoformat(until)
    assert set(row) >= {"id", "what", "from", "until", "scope", "state", "channels"} and row["scope"] == ["imap"]
    calm.wait_for(lambda: {c["state"] for c in rows(calm)[0]["channels"].values()} == {"done"})
    assert calm.json("status")["outage"]["id"] == first["id"]
    assert "Bảo trì ổ đĩa" in calm.run("status").stdout
    calm.run("outage", "close", first["id"], "--done", "Đã thay ổ đĩa")
    calm.wait_for(lambda: "da hoat dong tro lai" in said(connected))
    calm.wait_for(lambda: len(told(calm, "minhnv")) == 2)
    assert "ALERT" not in greeted(login(calm, "sotttt"))
    assert calm.json("status")["outage"] is None
    history = calm.json("outage", "show", first["id"])["history"]
    assert [e["event"] for e in history if e["event"] != "sent"] == ["declared", "closed"]
    audit = calm.json("audit", "list")
    assert {"outage.open", "outage.close"} <= {row["action"] for row in audit if row["subject"] == first["id"]}


def test_senders_are_told_when_it_is_back(calm):
    waiting = Wire(calm)
    opened(calm, "Thay máy chủ", scope=["smtp"])
    calm.wait_for(lambda: Wire(calm, hello=False).greeting.code == 421)
    greeting = Wire(calm, hello=False).greeting
    assert "421-4.3.2 Service stopped, expected back" in greeting.text and "du kien phuc hoi" in greeting.text
    refused = waiting.ask(f"MAIL FROM:<{OUTSIDE}>")
    assert refused.code == 421 and "expected back" in refused.text


def test_an_agency_is_out_and_the_others_go_on(calm):
    notice_id = opened(calm, "Đứt cáp", scope=["sotttt"])
    calm.wait_for(lambda: deliver(calm, letter(), here("khaintm")).code == 450)
    wire = Wire(calm)
    wire.ask(f"MAIL FROM:<{OUTSIDE}>")
    refused = wire.ask(f"RCPT TO:<{here('khaintm')}>")
    assert refused.text.startswith("450-4.3.2 Service stopped, expected back") and "Dut cap" in refused.text
    assert deliver(calm, letter(), here("minhnv")).code == 250
    calm.wait_for(lambda: state(calm, notice_id, "letter") == "done")
    assert not any("Đứt cáp".encode() in octets for octets in told(calm, "minhnv"))


def test_planned_work_is_announced_and_stops_nothing_before_it_begins(calm):
    with pytest.raises(UsageError, match="--planned"):
        opened(calm, "x", from_=later(hours=1))
    notice_id = opened(calm, "Nâng cấp", from_=later(hours=30), hours=31, planned=True)
    calm.wait_for(lambda: state(calm, notice_id, "letter") == "done")
    assert Wire(calm, hello=False).greeting.code == 220
    closed(calm, notice_id)
    assert rows(calm)[-1]["channels"]["page"]["announcement"] == "cancelled"


def test_texts_are_read_anew_and_broken_ones_are_not(calm):
    from bdmta.config.shipped import shipped

    folder = calm.folder / "notices"
    folder.mkdir()
    text = open(shipped("notices", "vi.toml"), encoding="utf-8").read()
    (folder / "vi.toml").write_text(text.replace("Sự cố từ {{ start }}", "CHÚ Ý {{ start }}"))
    calm.signal(signal.SIGHUP)
    calm.wait_for(lambda: "texts of notices" in calm.log())
    client = login(calm, "minhnv")
    opened(calm, "Lời mới", scope=["imap"])
    calm.wait_for(lambda: "CHU Y" in said(client))
    (folder / "vi.toml").write_text(text.replace("Sự cố từ {{ start }}", "{{ nothing }}"))
    done = calm.run("check", check=False)
    assert done.returncode == 1 and "vi.toml: [alert] opened: 'nothing' is undefined" in done.stdout
    calm.signal(signal.SIGHUP)
    calm.wait_for(lambda: "not reloaded" in calm.log())
    (folder / "vi.toml").unlink()


def test_with_no_edge_alive_the_stand_in_gives_the_estimate(calm):
    opened(calm, "Hỏng phần mềm")
    calm.wait_for(lambda: Wire(calm, hello=False).greeting.code == 421)
    policies = calm.folder / "policies.toml"
    sound = policies.read_bytes()
    policies.write_text("broken")
    try:
        os.kill(children(calm, "edge")[0], signal.SIGKILL)
        for listener, opening in (
            ("smtp", "421 4.3.2 Service stopped, "),
            ("imap", "* BYE [UNAVAILABLE] Service stopped, "),
        ):
            calm.wait_for(lambda at=listener, by=opening: first_line(calm, at).startswith(by), 30)
    finally:
        policies.write_bytes(sound)
    calm.wait_for(lambda: children(calm, "edge") and first_line(calm, "smtp").startswith("421-"), 60)


def first_line(site, listener):
    import socket

    with socket.create_connection(("127.0.0.1", site.port(listener)), 10) as sock:
        sock.settimeout(10)
        return sock.makefile("rb").readline().decode()


@pytest.mark.crash
def test_told_while_mail_is_down_and_killed_in_the_middle_each_mailbox_hears_once(own_site):
    with SinkThread() as sink:
        site = own_site({
            "dns": {"servers": "[]"}, "transport": {"routes": f'["* = 127.0.0.1:{sink.sink.port}"]'},
            "outage": {"contacts": '["cong@portal.example"]'},
        })  # fmt: skip
        site.run("outage", "open", "--what", "Máy chủ hỏng", "--until", "+2h")
        (row,) = rows(site)
        assert {row["channels"][name]["state"] for name in ("letter", "page", "print", "contacts")} == {"done"}
        assert len(told(site, "minhnv")) == 1 and "Máy chủ hỏng" in (site.folder / "outage/page/index.html").read_text()
        site.start(workers=1)
        assert Wire(site, hello=False).greeting.code == 421
        (taken,) = sink.run(sink.sink.wait_letters(1, 60))
        assert taken.mail.startswith("FROM:<>") and taken.rcpt[0].startswith("TO:<cong@portal.example>")
        assert f"Message-ID: <outage-{row['id']}-1@".encode() in taken.octets and taken.octets.startswith(b"DKIM-Sig")
        closed(site, row["id"])
        site.wait_for(lambda: len(told(site, "minhnv")) == 2, 30)
        crowd = [f"m{number:04d}" for number in range(1000)]
        add_mailboxes(site, crowd)
        notice_id = opened(site, "Mất điện", scope=["imap"])
        site.wait_for(lambda: any((site.mailbox(crowd[0]) / "new").iterdir()), 60)
        site.kill()
        have = sum(bool(told(site, local)) for local in crowd)
        assert 0 < have < len(crowd), "killed too early or too late to say anything"
        site.start(workers=1)
        site.wait_for(lambda: state(site, notice_id, "letter") == "done", 60)
        assert {len(told(site, local)) for local in crowd} == {1}
        assert site.stop() == 0


def page(site, name=""):
    with urllib.request.urlopen(f"http://127.0.0.1:{site.base_port + 81}/{name}", timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture
def with_page(own_site):
    site = own_site({"dns": {"servers": "[]"}, "outage": {"status_page": '"serve"'}})
    yield site
    pid = page_pid(Site.open(str(site.config)))
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def test_the_status_page_outlives_every_other_process_and_is_found_again(with_page):
    site = with_page
    site.start(workers=2)
    notice_id = opened(site, "Bảo trì ổ đĩa", scope=["imap"])
    site.wait_for(lambda: "Bảo trì ổ đĩa" in page(site), 30)
    pid = page_pid(Site.open(str(site.config)))
    site.kill()
    assert "Bảo trì ổ đĩa" in page(site) and json.loads(page(site, "status.json"))["state"] == "disturbed"
    assert min(timed(lambda: page(site)) for _ in range(50)) < 0.02
    for name in ("../history.jsonl", "..%2fhistory.jsonl", "history.jsonl", "thong-bao-20260101-1.pdf", "%2e%2e"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            page(site, name)
        assert caught.value.code == 404
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{site.base_port + 81}/", data=b"x", timeout=10)
    assert caught.value.code == 405
    site.run("outage", "update", notice_id, "--what", "Hỏng cả ổ đĩa dự phòng", "--until", later(hours=5))
    site.wait_for(lambda: "Hỏng cả ổ đĩa dự phòng" in page(site), 20)
    site.start(workers=2)
    assert page_pid(Site.open(str(site.config))) == pid, "the same process, found again"
    assert "Hỏng cả ổ đĩa dự phòng" in page(site)
    assert site.stop() == 0
    assert page_pid(Site.open(str(site.config))) is None, "an orderly stop ends it"


def timed(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


@pytest.mark.slow
def test_mail_that_falls_silent_is_told_to_the_public_and_drafted_when_it_is_back(with_page):
    site = with_page
    site.set("outage", "gap_s", "20")
    site.start(workers=1)
    site.wait_for(lambda: json.loads(page(site, "status.json"))["state"] == "all_well", 20)
    site.kill()
    site.wait_for(lambda: json.loads(page(site, "status.json"))["state"] == "silent", 60)
    assert "Hệ thống không phản hồi" in page(site)
    site.wait_for(lambda: "Hệ thống không phản hồi" in (site.folder / "outage/page/index.html").read_text())
    site.start(workers=1)
    site.wait_for(lambda: json.loads(page(site, "status.json"))["state"] == "all_well", 60)
    site.wait_for(lambda: [row["state"] for row in site.json("outage", "list")] == ["draft"], 20)
    (draft,) = site.json("outage", "list")
    assert draft["cause"] == "crash" and draft["id"] not in page(site)
    site.wait_for(lambda: told(site, "postmaster"), 20)
    site.run("outage", "confirm", draft["id"], "--done", "Đã khởi động lại")
    site.wait_for(lambda: draft["id"] in page(site, "status.json"), 20)
    site.wait_for(lambda: told(site, "minhnv"), 20)
    site.wait_for(lambda: site.json("outage", "availability")[0]["services"]["smtp"]["unplanned_s"] >= 20, 20)
    assert site.stop() == 0
