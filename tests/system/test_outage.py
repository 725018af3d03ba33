"""Notices of outages on a served site: who hears, what senders are told, what lives on when mail is killed."""

from __future__ import annotations

import imaplib
import json
import os
import signal
import time
import urllib.request
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.site import PASSWORDS
from tests.system.conftest import add_mailboxes
from tests.system.test_lifecycle import children
from tests.system.test_sending import SinkThread
from tests.system.wire import OUTSIDE, Wire, deliver, here, letter

_clients = []


def later(**span):
    return (datetime.now(ZoneInfo("Asia/Ho_Chi_Minh")) + timedelta(**span)).isoformat(timespec="minutes")


def told(site, local):
    """The letters about outages in a mailbox."""
    return [octets for octets in site.letters(local) if b"Message-ID: <outage-" in octets]


def opened(site, *words):
    return site.json("outage", "open", "--until", later(hours=2), *words)["id"]


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
    row = next(row for row in site.json("outage", "list") if row["id"] == notice_id)
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
    for row in served.json("outage", "list"):
        if row["state"] in ("planned", "open", "overdue"):
            served.run("outage", "close", row["id"], "--done", "Xong")
    served.wait_for(lambda: Wire(served, hello=False).greeting.code == 220)


def test_without_until_it_is_refused_by_the_rule(calm):
    done = calm.run("outage", "open", "--what", "Mất điện", check=False)
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert "--until" in line and "Điều 15" in line
    assert calm.json("outage", "list") == []


def test_everybody_hears_once_though_it_was_asked_twice(calm):
    connected = login(calm, "minhnv")
    until = later(hours=2)
    words = ("outage", "open", "--what", "Bảo trì ổ đĩa", "--until", until, "--scope", "imap", "--json")
    first, second = (json.loads(calm.run(*words).stdout) for _ in range(2))
    assert first["new"] and not second["new"] and first["id"] == second["id"]
    calm.wait_for(lambda: state(calm, first["id"], "letter") == "done")
    assert [len(told(calm, local)) for local in ("minhnv", "khaintm", "sotttt")] == [1, 1, 1]
    calm.wait_for(lambda: "Bảo trì ổ đĩa" in said(connected))
    late = login(calm, "khaintm")
    assert "Bảo trì ổ đĩa" in greeted(late)
    (row,) = calm.json("outage", "list")
    assert datetime.fromisoformat(row["until"]) == datetime.fromisoformat(until)
    assert set(row) >= {"id", "what", "from", "until", "scope", "state", "channels"} and row["scope"] == ["imap"]
    calm.wait_for(lambda: {c["state"] for c in calm.json("outage", "list")[0]["channels"].values()} == {"done"})
    assert calm.json("status")["outage"]["id"] == first["id"]
    assert "Bảo trì ổ đĩa" in calm.run("status").stdout
    calm.run("outage", "close", first["id"], "--done", "Đã thay ổ đĩa")
    calm.wait_for(lambda: "đã hoạt động trở lại" in said(connected))
    calm.wait_for(lambda: len(told(calm, "minhnv")) == 2)
    assert "ALERT" not in greeted(login(calm, "sotttt"))
    assert calm.json("status")["outage"] is None
    history = calm.json("outage", "show", first["id"])["history"]
    assert [e["event"] for e in history if e["event"] != "sent"] == ["declared", "closed"]
    audit = calm.json("audit", "list")
    assert {"outage.open", "outage.close"} <= {row["action"] for row in audit if row["subject"] == first["id"]}


def test_senders_are_told_when_it_is_back(calm):
    waiting = Wire(calm)
    opened(calm, "--what", "Thay máy chủ", "--scope", "smtp")
    calm.wait_for(lambda: Wire(calm, hello=False).greeting.code == 421)
    greeting = Wire(calm, hello=False).greeting
    assert "421-4.3.2 Service stopped, expected back" in greeting.text and "du kien phuc hoi" in greeting.text
    refused = waiting.ask(f"MAIL FROM:<{OUTSIDE}>")
    assert refused.code == 421 and "expected back" in refused.text


def test_an_agency_is_out_and_the_others_go_on(calm):
    opened(calm, "--what", "Đứt cáp", "--scope", "sotttt")
    calm.wait_for(lambda: deliver(calm, letter(), here("khaintm")).code == 450)
    wire = Wire(calm)
    wire.ask(f"MAIL FROM:<{OUTSIDE}>")
    refused = wire.ask(f"RCPT TO:<{here('khaintm')}>")
    assert refused.text.startswith("450-4.3.2 Service stopped, expected back") and "Dut cap" in refused.text
    assert deliver(calm, letter(), here("minhnv")).code == 250
    calm.wait_for(lambda: any("Đứt cáp" in row["what"] and row["channels"]["letter"]["state"] == "done"
                              for row in calm.json("outage", "list")))  # fmt: skip
    assert not any("Đứt cáp".encode() in octets for octets in told(calm, "minhnv"))


def test_planned_work_is_announced_and_stops_nothing_before_it_begins(calm):
    done = calm.run("outage", "open", "--what", "x", "--from", later(hours=1), "--until", later(hours=2), check=False)
    assert done.returncode == 2 and "--planned" in done.stderr
    row = calm.json(
        "outage", "open", "--what", "Nâng cấp", "--from", later(hours=30), "--until", later(hours=31), "--planned"
    )
    assert row["state"] == "planned"
    calm.wait_for(lambda: state(calm, row["id"], "letter") == "done")
    assert Wire(calm, hello=False).greeting.code == 220
    calm.run("outage", "close", row["id"], "--done", "Hoãn")
    assert calm.json("outage", "show", row["id"])["channels"]["page"]["announcement"] == "cancelled"


def test_texts_are_read_anew_and_broken_ones_are_not(calm):
    from bdmta.config.shipped import shipped

    folder = calm.folder / "notices"
    folder.mkdir()
    text = open(shipped("notices", "vi.toml"), encoding="utf-8").read()
    (folder / "vi.toml").write_text(text.replace("Sự cố từ {{ start }}", "CHÚ Ý {{ start }}"))
    calm.signal(signal.SIGHUP)
    calm.wait_for(lambda: "texts of notices" in calm.log())
    client = login(calm, "minhnv")
    opened(calm, "--what", "Lời mới", "--scope", "imap")
    calm.wait_for(lambda: "CHÚ Ý" in said(client))
    (folder / "vi.toml").write_text(text.replace("Sự cố từ {{ start }}", "{{ nothing }}"))
    done = calm.run("check", check=False)
    assert done.returncode == 1 and "vi.toml: [alert] opened: 'nothing' is undefined" in done.stdout
    calm.signal(signal.SIGHUP)
    calm.wait_for(lambda: "not reloaded" in calm.log())
    (folder / "vi.toml").unlink()


def test_with_no_edge_alive_the_stand_in_gives_the_estimate(own_site):
    site = own_site({"dns": {"servers": "[]"}})
    site.start(workers=1)
    opened(site, "--what", "Hỏng phần mềm")
    site.wait_for(lambda: Wire(site, hello=False).greeting.code == 421)
    (site.folder / "policies.toml").write_text("broken")
    os.kill(children(site, "edge")[0], signal.SIGKILL)
    for listener, opening in (
        ("smtp", "421 4.3.2 Service stopped, expected back"),
        ("imap", "* BYE [UNAVAILABLE] Service st"),
    ):
        site.wait_for(lambda listener=listener, opening=opening: first_line(site, listener).startswith(opening), 30)


def first_line(site, listener):
    import socket

    with socket.create_connection(("127.0.0.1", site.port(listener)), 10) as sock:
        sock.settimeout(10)
        return sock.makefile("rb").readline().decode()


@pytest.mark.crash
def test_killed_in_the_middle_of_the_broadcast_a_restart_finishes_it_once(own_site):
    site = own_site({"dns": {"servers": "[]"}})
    site.start(workers=1)
    crowd = [f"m{number:04d}" for number in range(1500)]
    add_mailboxes(site, crowd)
    notice_id = opened(site, "--what", "Mất điện", "--scope", "imap")
    site.wait_for(lambda: any(told(site, local) for local in crowd[:50]), 30)
    site.kill()
    have = sum(len(told(site, local)) for local in crowd)
    assert 0 < have < len(crowd), "killed too early or too late to say anything"
    site.start(workers=1)
    site.wait_for(lambda: state(site, notice_id, "letter") == "done", 60)
    assert {len(told(site, local)) for local in crowd} == {1}
    assert site.stop() == 0


def test_while_mail_is_down_the_command_tells_everybody_itself(own_site):
    site = own_site({"dns": {"servers": "[]"}})
    notice_id = opened(site, "--what", "Máy chủ hỏng")
    (row,) = site.json("outage", "list")
    assert row["channels"]["letter"]["state"] == row["channels"]["page"]["state"] == "done"
    assert len(told(site, "minhnv")) == 1
    assert "Máy chủ hỏng" in (site.folder / "outage/page/index.html").read_text()
    site.start(workers=0)
    assert Wire(site, hello=False).greeting.code == 421
    site.run("outage", "close", notice_id, "--done", "Đã thay máy chủ")
    site.wait_for(lambda: len(told(site, "minhnv")) == 2)
    assert site.stop() == 0


def test_contacts_outside_hear_by_the_queue(own_site):
    with SinkThread() as sink:
        site = own_site({
            "dns": {"servers": "[]"}, "transport": {"routes": f'["* = 127.0.0.1:{sink.sink.port}"]'},
            "outage": {"contacts": '["cong@portal.example"]'},
        })  # fmt: skip
        site.start()
        notice_id = opened(site, "--what", "Đứt cáp", "--scope", "imap")
        (taken,) = sink.run(sink.sink.wait_letters(1, 30))
        assert taken.mail.startswith("FROM:<>") and taken.rcpt[0].startswith("TO:<cong@portal.example>")
        assert f"Message-ID: <outage-{notice_id}-1@".encode() in taken.octets and taken.octets.startswith(b"DKIM-Sig")
        assert site.stop() == 0


def page(site, name=""):
    with urllib.request.urlopen(f"http://127.0.0.1:{site.base_port + 81}/{name}", timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture
def with_page(own_site):
    site = own_site({"dns": {"servers": "[]"}, "outage": {"status_page": '"serve"'}})
    yield site
    pid = site.json("status")["status_page"]["pid"]
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def test_the_status_page_outlives_every_other_process_and_is_found_again(with_page):
    site = with_page
    site.start(workers=2)
    notice_id = opened(site, "--what", "Bảo trì ổ đĩa", "--scope", "imap")
    site.wait_for(lambda: "Bảo trì ổ đĩa" in page(site), 20)
    pid = site.json("status")["status_page"]["pid"]
    site.kill()
    assert "Bảo trì ổ đĩa" in page(site)
    best = min(timed(lambda: page(site)) for _ in range(20))
    assert best < 0.02
    site.run("outage", "update", notice_id, "--what", "Hỏng cả ổ đĩa dự phòng", "--until", later(hours=5))
    site.wait_for(lambda: "Hỏng cả ổ đĩa dự phòng" in page(site), 20)
    site.start(workers=2)
    assert site.json("status")["status_page"]["pid"] == pid, "the same process, found again"
    assert "Hỏng cả ổ đĩa dự phòng" in page(site)
    assert site.stop() == 0
    assert site.json("status")["status_page"]["pid"] is None, "an orderly stop ends it"


def timed(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


def test_the_page_refuses_what_it_does_not_have(with_page):
    import urllib.error

    site = with_page
    site.start(workers=0)
    site.wait_for(lambda: site.json("status")["status_page"]["pid"] is not None, 20)
    site.wait_for(lambda: "<html" in page(site), 20)
    for name in (
        "../history.jsonl",
        "..%2fhistory.jsonl",
        "history.jsonl",
        "thong-bao-20260101-1.pdf",
        "edges.json",
        "%2e%2e",
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            page(site, name)
        assert caught.value.code in (400, 404)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{site.base_port + 81}/", data=b"x", timeout=10)
    assert caught.value.code == 405
    assert site.stop() == 0


@pytest.mark.slow
def test_mail_that_falls_silent_is_told_to_the_public_and_drafted_when_it_is_back(with_page):
    site = with_page
    site.set("outage", "gap_s", "20")
    site.start(workers=1)
    site.wait_for(lambda: json.loads(page(site, "status.json"))["state"] == "all_well", 20)
    site.kill()
    site.wait_for(lambda: json.loads(page(site, "status.json"))["state"] == "silent", 60)
    assert "Hệ thống không phản hồi" in page(site)
    assert "Hệ thống không phản hồi" in (site.folder / "outage/page/index.html").read_text()
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
