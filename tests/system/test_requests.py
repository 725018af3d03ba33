"""Requests by letter to a served site; a stranger's letter; merging agencies while mail arrives."""

from __future__ import annotations

import json
import re
import smtplib
import threading
from collections import Counter
from pathlib import Path

import pytest

from bdmta.clock import SystemClock
from bdmta.office.client import call
from bdmta.requests.doing import carry_out, resume
from bdmta.site import Site
from tests.site import DOMAIN, PASSWORDS, SiteUnderTest
from tests.system.wire import here, office

CLERK = "Mat-khau-2030"
PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def province(tmp_path_factory):
    """A served site with Sở Nội vụ, Sở TT&TT and the request mailbox."""
    site = SiteUnderTest(
        tmp_path_factory.mktemp("requests"),
        {"requests": {"address": f'"yeucau@{DOMAIN}"'}, "dns": {"servers": "[]"}, "limits": {"auth_backoff_s": "1"}},
    )
    site.start(workers=1)
    for abbreviation, name in (("sotttt", "Sở Thông tin và Truyền thông"), ("sonv", "Sở Nội vụ")):
        office(site, "agency_add", name=name, abbreviation=abbreviation)
    office(site, "mailbox_add", address=here("sonv"), name="Sở Nội vụ", kind="agency", password=CLERK)
    office(site, "mailbox_add", address=here("yeucau"), name="Yêu cầu", kind="agency", agency="tttt", password=CLERK)
    office(site, "mailbox_set", address=here("minhnv"), agency="sotttt")
    yield site
    assert site.stop() == 0, site.log()


def submit(site, local, password, text, subject="Yêu cầu", *fields, attachment=b"", name=""):
    """A letter of an official's mail program."""
    head = [f"From: {here(local)}", f"To: {here('yeucau')}", "Subject: Yeu cau", f"Message-ID: <{subject}@may.tram>"]
    head = [*fields, *head, "MIME-Version: 1.0"]
    if attachment:
        import base64

        body = (
            'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n'
            f"Content-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n--b\r\nContent-Type: application/octet-stream\r\n"
            f'Content-Disposition: attachment; filename="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
            + base64.encodebytes(attachment).decode().replace("\n", "\r\n") + "--b--\r\n"
        )  # fmt: skip
    else:
        body = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n"
    octets = ("\r\n".join(head) + "\r\n" + body).encode()
    with smtplib.SMTP_SSL("localhost", site.port("submissions"), context=site.tls(), timeout=30) as client:
        client.login(here(local), password)
        client.sendmail(here(local), [here("yeucau")], octets)


def ask_of(site):
    opened = Site.open(str(site.config))
    return opened, lambda name, **arguments: call(opened, name, **arguments)


def take_in(site):
    """The requests that the letters at hand have brought. The office looks each minute too: whoever was first."""
    site.run("request", "resume")
    site.wait_for(lambda: office(site, "request_letters") == [], 60)
    seen = site.__dict__.setdefault("numbers_seen", set())
    new = [one["number"] for one in office(site, "request_list") if one["number"] not in seen]
    seen.update(new)
    return [office(site, "request_show", number=number) for number in new]


def subjects(site, local):
    return [one for one in site.letters(local) if b"YC-" in one]


def test_each_kind_by_letter_from_its_coming_in_to_its_notices(province):
    site = province
    office(site, "mailbox_add", address=here("hungpv"), name="Phạm Văn Hùng", agency="sotttt", password=CLERK)
    asked = [
        ("sotttt", PASSWORDS["sotttt"], "Yêu cầu: cấp mới\nHọ và tên: Lê Thị Hồng Gấm\nCơ quan: sotttt\nCăn cứ: QĐ 1"),
        ("minhnv", PASSWORDS["minhnv"], f"yeu cau: thay doi\nhop thu: {here('minhnv')}\nho ten moi: Nguyễn Văn Mình"),
        ("minhnv", PASSWORDS["minhnv"], f"Yêu cầu: cấp lại mật khẩu\nHộp thư: {here('minhnv')}"),
        ("sonv", CLERK, f"Yêu cầu: hủy bỏ\nHộp thư: {here('hungpv')}\nLý do: nghỉ hưu"),
    ]
    for number, (local, password, text) in enumerate(asked):
        submit(site, local, password, text, f"kind{number}")
    shown = take_in(site)
    numbers = [one["number"] for one in shown]
    assert len(numbers) == 4 and take_in(site) == []
    assert {(one["kind"], one["state"], one["requester"].partition("@")[0]) for one in shown} == {
        ("create", "received", "sotttt"), ("change", "received", "minhnv"), ("reset", "received", "minhnv"),
        ("cancel", "received", "sonv"),
    }  # fmt: skip
    receipts = [one for one in site.letters("minhnv") if b"auto-replied" in one]
    assert len(receipts) == 2 and all(re.search(rb"In-Reply-To: <kind[12]@may.tram>", one) for one in receipts)
    for number in numbers:
        site.run("request", "approve", number)
        site.run("request", "done", number)
        site.run("request", "done", number)
    by_kind = {}
    for number in numbers:
        one = office(site, "request_show", number=number)
        by_kind[one["kind"]] = [(n["recipient"], n["channel"]) for n in one["notices"] if n["purpose"] == "result"]
        assert one["state"] == "done"
    assert by_kind == {
        "create": [("sotttt", "paper"), ("sonv", "paper")],
        "change": [(here("sotttt"), "mail"), (here("sonv"), "mail")],
        "reset": [(here("sotttt"), "mail"), (here("sonv"), "mail")],
        "cancel": [(here("sotttt"), "mail"), (here("sonv"), "mail")],
    }
    sent = Counter(local for local in ("sotttt", "sonv", "minhnv", "hungpv") for _ in subjects(site, local))
    assert sent == {"sotttt": 1 + 3, "sonv": 1 + 3, "minhnv": 2}  # receipts, results
    assert office(site, "mailbox_show", address=here("hungpv"))["status"] == "closed"
    exported = site.folder / "backup" / "exports"
    assert len(list(exported.glob(f"*/hungpv@{DOMAIN}.tar"))) == 1
    made = json.loads(site.run("request", "print", "--out", str(site.folder / "paper"), "--json").stdout)
    assert [path.rpartition("/")[2].partition("-2")[0] for path in made["files"]] == [
        "thong-bao",
        "mat-khau",
        "ket-noi",
    ]
    assert office(site, "request_paper") == []


def test_a_form_brings_many_requests(province):
    form = (
        "Yêu cầu,Họ và tên,Cơ quan,Chức vụ,Căn cứ\r\n"
        "Cấp mới,Trần Thị Ngọc Lan,sotttt,Chuyên viên,QĐ 2\r\nCấp mới,Trần Thị Ngọc Lan,sotttt,Phó phòng,QĐ 2\r\n"
    )
    submit(province, "sotttt", PASSWORDS["sotttt"], "Xin gửi biểu mẫu.", "form", attachment=form.encode(), name="a.csv")
    first, second = take_in(province)
    assert first["proposal"]["local_part"] == "lanttn"
    assert second["proposal"]["status"] == "review"  # the second of that name waits behind the first


def test_an_ods_form_from_a_machine_is_taken_and_not_answered(province):
    """RFC 3834 §2: what says that it is automatic gets no answer."""
    form = (PROJECT / "conf" / "templates" / "yeu-cau.ods").read_bytes()
    fields = ("Auto-Submitted: auto-generated",)
    submit(province, "sotttt", PASSWORDS["sotttt"], "x", "ods", *fields, attachment=form, name="yeu-cau.ods")
    (shown,) = take_in(province)
    assert (shown["kind"], shown["state"], shown["details"]["position"]) == ("create", "received", "Chuyên viên")
    assert shown["proposal"]["status"] == "review"  # minhnv is held
    assert [n for n in shown["notices"] if n["purpose"] == "acknowledge"] == []


@pytest.mark.parametrize(
    "forged",
    [
        (),
        (f"Received: from x by mail.{DOMAIN} with ESMTPSA id abcdefgh12345;\r\n\tSat, 28 Nov 2026 10:00:00 +0700",),
        (f"Authentication-Results: mail.{DOMAIN}; auth=pass smtp.auth=sonv@{DOMAIN}",),
    ],
)
def test_what_a_stranger_writes_is_a_draft_and_nobody_is_answered(province, forged):
    before = {local: len(province.letters(local)) for local in ("sonv", "minhnv", "sotttt")}
    text = f"Yêu cầu: hủy bỏ\nHộp thư: {here('minhnv')}\n"
    head = [*forged, "From: Sở Nội vụ <sonv@so-noi-vu.example>", "Subject: x", f"Message-ID: <{len(forged)}@x>"]
    octets = (
        "\r\n".join(head) + "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text.replace("\n", "\r\n")
    ).encode()
    with smtplib.SMTP("127.0.0.1", province.port("smtp"), timeout=30) as client:
        client.sendmail("sonv@so-noi-vu.example", [here("yeucau")], octets)
    (shown,) = take_in(province)
    assert (shown["state"], shown["role"], shown["notices"]) == ("draft", "", [])
    assert shown["requester"].startswith("unverified:")
    assert before == {local: len(province.letters(local)) for local in before}
    refused = province.run("request", "approve", shown["number"], check=False)
    assert refused.returncode == 2 and "draft" in refused.stderr
    province.run("request", "reject", shown["number"], "--reason", "Không xác thực")


def test_an_official_without_the_right_gets_a_draft_and_hears_of_it(province):
    submit(province, "khaintm", PASSWORDS["khaintm"], f"Yêu cầu: hủy bỏ\nHộp thư: {here('minhnv')}", "noright")
    (shown,) = take_in(province)
    assert shown["state"] == "draft" and "may not ask" in shown["history"][-1]["text"]
    assert any(b"<noright@may.tram>" in one for one in province.letters("khaintm"))


def test_an_answer_comes_into_the_thread_and_is_no_new_request(province):
    submit(province, "sotttt", PASSWORDS["sotttt"], f"Yêu cầu: cấp lại mật khẩu\nHộp thư: {here('sotttt')}", "thread")
    number = take_in(province)[0]["number"]
    province.run("request", "note", number, "Xin cho biết lý do.")
    with smtplib.SMTP_SSL("localhost", province.port("submissions"), context=province.tls(), timeout=30) as client:
        client.login(here("sotttt"), PASSWORDS["sotttt"])
        octets = (
            f"From: {here('sotttt')}\r\nSubject: Re: [{number}]\r\nMessage-ID: <answer@x>\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n\r\nVì quên.\r\nYêu cầu: hủy bỏ\r\n"
        ).encode()
        client.sendmail(here("sotttt"), [here("yeucau")], octets)
    assert take_in(province) == []
    shown = office(province, "request_show", number=number)
    assert shown["state"] == "received" and "Vì quên." in shown["history"][-1]["text"]


@pytest.mark.slow
def test_merging_agencies_with_50_mailboxes_under_load_loses_nothing(province):
    site = province
    office(site, "agency_add", name="Sở Bưu chính", abbreviation="sobc")
    office(site, "mailbox_add", address=here("sobc"), name="Sở Bưu chính", kind="agency", password=CLERK)
    people = [f"p{number:02d}bc" for number in range(50)]
    rows = [{"line": n, "address": here(p), "name": p, "agency": "sobc"} for n, p in enumerate(people, 1)]
    assert office(site, "import_rows", rows=rows)["problems"] == []
    office(site, "mailbox_folders", addresses=[here(p) for p in people])
    office(site, "alias_add", address=here("buuchinh"), targets=[here("sobc")])
    office(site, "group_add", address=here("moinguoi-bc"), name="BC", members=[here("sobc"), *map(here, people[:20])])
    stop, accepted, refused = threading.Event(), [], []
    recipients = ["sobc", "buuchinh", "moinguoi-bc", *people]

    def load(worker):
        with smtplib.SMTP("127.0.0.1", site.port("smtp"), timeout=60) as client:
            number = 0
            while not stop.is_set():
                number += 1
                name, to = f"{worker}-{number}", recipients[(worker * 17 + number) % len(recipients)]
                try:
                    client.sendmail("a@b.example", [here(to)], f"Subject: load\r\nX-Load: {name}\r\n\r\nx\r\n".encode())
                except smtplib.SMTPResponseException as error:
                    refused.append((error.smtp_code, error.smtp_error))
                except smtplib.SMTPRecipientsRefused as error:
                    refused.append(error.recipients)
                else:
                    accepted.append((name, to))

    threads = [threading.Thread(target=load, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    opened, ask = ask_of(site)
    try:
        site.wait_for(lambda: len(accepted) > 200, 120)
        number = ask(
            "request_new", kind="merge", requester=here("sonv"),
            details={"old_agency": "sobc", "into_agency": "sotttt"},
        )["number"]  # fmt: skip
        ask("request_approve", number=number)
        carry_out(opened, SystemClock(), ask, number)
        after = len(accepted)
        site.wait_for(lambda: len(accepted) > after + 200, 120)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    resume(opened, SystemClock(), ask)
    assert not (site.mailbox("sobc") / "new").exists() or not list((site.mailbox("sobc") / "new").iterdir())
    wanted = Counter()
    for name, to in accepted:
        homes = ["sotttt"] if to in ("sobc", "buuchinh") else people[:20] + ["sotttt"] if to.startswith("moi") else [to]
        wanted.update((name, home) for home in homes)
    found = Counter()
    for local in ["sobc", "sotttt", *people]:
        for path in site.mailbox(local).rglob("*"):
            if path.is_file() and path.parent.name in ("new", "cur"):
                mark = re.search(rb"X-Load: (\S+)", path.read_bytes())
                if mark:
                    found[mark[1].decode(), local] += 1
    assert wanted - found == Counter() and max(found.values()) == 1
    assert not refused or all(isinstance(one, tuple) and one[0] < 500 for one in refused), refused[:3]
    print(f"{len(accepted)} accepted, {len(refused)} put off, {after} before the merging ended")
    assert {box["agency"] for box in ask("mailbox_list", agency="sotttt")} == {"sotttt"}
    assert ask("mailbox_list", agency="sobc") == []
