"""Each kind of request its whole way; exactly the right notices; nobody is evicted; nothing happens twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bdmta.directory.snapshot import Snapshot
from bdmta.errors import BdmtaError, UsageError
from storage.moving import move_letters
from tests.unit.bdmta.requests_support import D, as_person, ask, found_province, here, letters, open_service, told


@pytest.fixture
def service(tmp_path: Path):
    made = open_service(tmp_path)
    found_province(made)
    yield made
    made.close()


def new(service, kind, requester, **details):
    return ask(service, "request_new", kind=kind, requester=requester, details=details)["number"]


def finish(service, number, **decision):
    ask(service, "request_approve", number=number, **decision)
    ask(service, "request_begin", number=number)
    return ask(service, "request_finish", number=number)


NOI_VU_COPY = (here("sonv"), "mail", True)
MATRIX = [
    ("create", "sotttt", {"name": "Lê Thị Hồng Gấm", "agency": "sotttt"},
     [("sotttt", "paper", False), ("sonv", "paper", True)]),
    ("create", "sotttt", {"name": "Trung tâm Thông tin điện tử", "agency": "tttt", "mailbox_kind": "agency"},
     [("sotttt", "paper", False), ("sonv", "paper", True)]),
    ("change", here("longtq"), {"mailbox": here("longtq"), "new_name": "Trần Quốc Long A"},
     [(here("ubnddian"), "mail", False), NOI_VU_COPY]),
    ("change", here("ubnddian"), {"mailbox": here("ubnddian"), "new_name": "UBND thành phố Dĩ An"},
     [(here("ubnddian"), "mail", False), NOI_VU_COPY]),
    ("reset", here("minhnv"), {"mailbox": here("minhnv")}, [(here("sotttt"), "mail", False), NOI_VU_COPY]),
    ("reset", here("sotttt"), {"mailbox": here("sotttt")}, [(here("sotttt"), "mail", False), NOI_VU_COPY]),
    ("cancel", here("sonv"), {"mailbox": here("longtq")},
     [(here("ubnddian"), "mail", False), (here("sonv"), "mail", False)]),
    ("cancel", here("sonv"), {"mailbox": here("ubnddian")}, [(here("sonv"), "mail", False)]),
    ("merge", here("sonv"), {"old_agency": "ubnddian", "into_agency": "sotttt"},
     [(here("sotttt"), "mail", False), NOI_VU_COPY]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "requester", "details", "wanted"), MATRIX)
def test_exactly_these_are_told(service, kind, requester, details, wanted):
    """Điều 7 Bước 3."""
    number = new(service, kind, requester, **details)
    shown = finish(service, number)
    assert told(shown) == wanted
    mailed = [n["recipient"] for n in shown["notices"] if n["channel"] == "mail"]
    for local in os.listdir(f"{service.mail_root}/{D}"):
        found = [one for one in letters(service, local) if f"[{number}]".encode() in one]
        assert len(found) == mailed.count(here(local)), local
    before = {local: letters(service, local) for local in os.listdir(f"{service.mail_root}/{D}")}
    again = ask(service, "request_finish", number=number)
    assert told(again) == wanted
    assert {local: letters(service, local) for local in os.listdir(f"{service.mail_root}/{D}")} == before


@pytest.mark.parametrize("kind", ["create", "change", "reset", "cancel", "merge"])
def test_a_refusal_goes_to_the_asker_and_noi_vu_with_its_reason(service, kind):
    _, requester, details, _ = next(row for row in MATRIX if row[0] == kind)
    number = new(service, kind, requester, **details)
    shown = ask(service, "request_reject", number=number, reason="Không thuộc diện được cấp (Điều 2)")
    asker = requester if "@" in requester else here(requester)
    wanted = [(asker, "mail", False)] + ([NOI_VU_COPY] if asker != here("sonv") else [])
    assert told(shown, "refusal") == wanted
    assert ask(service, "request_reject", number=number, reason="x")["notices"] == shown["notices"]
    with pytest.raises(UsageError, match="rejected"):
        ask(service, "request_approve", number=number)


def test_a_refusal_needs_its_reason(service):
    number = new(service, "reset", here("minhnv"), mailbox=here("minhnv"))
    with pytest.raises(UsageError, match="says why"):
        ask(service, "request_reject", number=number, reason=" ")


@pytest.mark.parametrize(
    ("kind", "requester", "details"),
    [
        ("create", here("minhnv"), {"name": "Lê Minh", "agency": "sotttt"}),  # an official asks for no one else
        ("create", "ubnddian", {"name": "Lê Minh", "agency": "sotttt"}),
        ("reset", here("longtq"), {"mailbox": here("minhnv")}),
        ("change", here("ubnddian"), {"mailbox": here("minhnv"), "new_name": "X Y"}),
        ("cancel", here("sotttt"), {"mailbox": here("minhnv")}),
        ("cancel", here("minhnv"), {"mailbox": here("minhnv")}),
        ("merge", here("sotttt"), {"old_agency": "ubnddian", "into_agency": "sotttt"}),
    ],
)
def test_who_may_not_ask_is_refused_and_an_operator_enters_it_with_a_reason(service, kind, requester, details):
    with pytest.raises(BdmtaError, match="may not ask"):
        new(service, kind, requester, **details)
    assert ask(service, "request_list") == []
    shown = ask(
        service, "request_new", kind=kind, requester=requester, details=details, override="Giám đốc đồng ý miệng"
    )
    assert shown["role"] == "" and shown["history"][0]["text"] == "Giám đốc đồng ý miệng"


def test_numbers_run_by_the_year_and_each_has_its_deadline(service):
    numbers = [new(service, "reset", here("minhnv"), mailbox=here("minhnv")) for _ in range(3)]
    assert numbers == ["YC-2026-000001", "YC-2026-000002", "YC-2026-000003"]
    shown = ask(service, "request_show", number=numbers[0])
    assert shown["due_on"] == "2026-01-12" and not shown["overdue"]
    service.clock.advance(15 * 86_400)
    assert {one["number"] for one in ask(service, "request_list", overdue=True)} == set(numbers)
    service.clock.advance(360 * 86_400)
    assert new(service, "reset", here("minhnv"), mailbox=here("minhnv")) == "YC-2027-000001"


def test_a_latecomer_of_rank_1_evicts_nobody(service):
    number = new(service, "create", "sotttt", name="Nguyễn Văn Minh", agency="sotttt", rank=1)
    proposal = ask(service, "request_show", number=number)["proposal"]
    assert (proposal["status"], proposal["code"], len(proposal["choices"])) == ("review", "higher-rank", 2)
    with pytest.raises(BdmtaError, match="higher-rank"):
        ask(service, "request_approve", number=number)
    with pytest.raises(BdmtaError, match="nobody loses an address"):
        ask(service, "request_approve", number=number, address=here("minhnv"))
    shown = finish(service, number, address=here("minhnv.so"))
    assert shown["subject"] == here("minhnv.so")
    assert ask(service, "mailbox_show", address=here("minhnv"))["name"] == "Nguyễn Văn Minh"


def test_the_holder_who_agrees_keeps_the_old_address_as_an_alias(service):
    """The other choice: a change of the holder's own; the latecomer still does not get the address (Điều 5.4)."""
    number = new(service, "change", here("minhnv"), mailbox=here("minhnv"), new_address=here("minhnv.cv"))
    finish(service, number)
    assert ask(service, "alias_list", target=here("minhnv.cv")) == [
        {"address": here("minhnv"), "targets": [here("minhnv.cv")]}
    ]
    late = new(service, "create", "sotttt", name="Nguyễn Văn Minh", agency="sotttt", rank=1)
    with pytest.raises(BdmtaError, match="an alias"):
        ask(service, "request_approve", number=late, address=here("minhnv"))
    service.clock.advance(366 * 86_400)
    assert ask(service, "request_aliases_end") == [here("minhnv")]
    with pytest.raises(BdmtaError, match="at rest"):
        finish(service, late, address=here("minhnv"))
    assert ask(service, "request_show", number=late)["state"] == "approved"


def test_among_those_who_wait_rank_comes_first_then_time(service):
    first = new(service, "create", "sotttt", name="Lê Quốc Bảo", agency="sotttt")
    service.clock.advance(60)
    second = new(service, "create", "sotttt", name="Lê Quang Bảo", agency="sotttt", rank=4)
    service.clock.advance(60)
    third = new(service, "create", "ubnddian", name="Lê Quỳnh Bảo", agency="ubnddian", rank=2)
    proposals = {n: ask(service, "request_show", number=n)["proposal"] for n in (first, second, third)}
    assert (proposals[third]["local_part"], proposals[third]["status"]) == ("baolq", "ok")
    assert proposals[first]["status"] == proposals[second]["status"] == "review"
    assert finish(service, third)["subject"] == here("baolq")
    assert ask(service, "request_show", number=first)["proposal"]["code"] == "taken"


def test_a_first_password_is_on_the_slip_alone_and_ends_when_it_is_changed(service):
    number = new(service, "create", "sotttt", name="Lê Thị Hồng Gấm", agency="sotttt")
    finish(service, number)
    slip = ask(service, "request_slip", number=number)
    assert slip["address"] == here("gamlth")
    again = ask(service, "request_slip", number=number)
    assert again["password"] != slip["password"]
    kept = service.directory.mailbox(here("gamlth"))
    assert kept.must_change
    credentials = Snapshot(service.snapshot_path).credentials(here("gamlth"))
    assert service.passwords.authenticate(credentials, again["password"]).ok
    assert not service.passwords.authenticate(credentials, slip["password"]).ok
    everything = b"".join(path.read_bytes() for path in Path(service.mail_root).rglob("*") if path.is_file())
    assert slip["password"].encode() not in everything and again["password"].encode() not in everything
    assert slip["password"] not in json.dumps(ask(service, "request_show", number=number))
    ask(service, "mailbox_password", address=here("gamlth"), password="Mat-khau-moi-1")
    with pytest.raises(BdmtaError, match="has chosen a password"):
        ask(service, "request_slip", number=number)


def test_a_reset_ends_the_old_password_at_once(service):
    ask(service, "mailbox_password", address=here("minhnv"), password="Mat-khau-cu-1")
    before = service.directory.mailbox(here("minhnv")).password_hash
    finish(service, new(service, "reset", here("minhnv"), mailbox=here("minhnv")))
    after = service.directory.mailbox(here("minhnv"))
    assert after.password_hash != before and after.must_change


def test_a_thread_is_kept_and_a_question_goes_to_the_asker(service):
    number = new(service, "reset", here("minhnv"), mailbox=here("minhnv"))
    shown = ask(service, "request_note", number=number, text="Xin cho biết số điện thoại.")
    assert shown["state"] == "discussing"
    assert told(shown, "question") == [(here("minhnv"), "mail", False)]
    ask(service, "request_note", number=number, text="Đã gọi.", internal=True)
    assert [e["what"] for e in ask(service, "request_show", number=number)["history"]] == [
        "received", "notice.mail", "question", "notice.mail", "note",
    ]  # fmt: skip


def test_two_persons_when_the_site_asks_for_them(tmp_path):
    service = open_service(tmp_path, two_persons=True)
    found_province(service)
    number = new(service, "cancel", here("sonv"), mailbox=here("longtq"))
    ask(service, "request_approve", number=number)
    with pytest.raises(BdmtaError, match="another person"):
        ask(service, "request_begin", number=number)
    ask(as_person(service, "mai"), "request_begin", number=number)
    service.close()


def test_what_cannot_be_done_is_approved_again_and_says_why(service, tmp_path):
    number = new(service, "change", here("minhnv"), mailbox=here("minhnv"), new_address=here("minhnv.cv"))
    ask(service, "request_approve", number=number)
    ask(service, "request_begin", number=number)
    ask(service, "group_add", address=here("minhnv.cv"), name="Nhóm")
    with pytest.raises(BdmtaError, match="taken"):
        ask(service, "request_finish", number=number)
    shown = ask(service, "request_show", number=number)
    assert shown["state"] == "approved" and "taken" in shown["history"][-1]["text"]
    assert (tmp_path / "mail" / D / "minhnv" / "new").is_dir()
    assert told(shown) == []


def test_paper_is_printed_once_and_noted(service):
    number = new(service, "create", "sotttt", name="Lê Thị Hồng Gấm", agency="sotttt")
    assert not finish(service, number)["notified"]
    papers = ask(service, "request_paper")
    assert [paper["recipient"] for paper in papers] == ["Sở Thông tin và Truyền thông", "Sở Nội vụ"]
    assert ask(service, "request_printed", ids=[paper["id"] for paper in papers]) == 2
    assert ask(service, "request_printed", ids=[paper["id"] for paper in papers]) == 0
    assert ask(service, "request_paper") == []
    assert ask(service, "request_show", number=number)["notified"]
    assert len(ask(service, "request_paper", numbers=[number])) == 2


def test_merging_hands_on_addresses_groups_and_delegates(service):
    ask(service, "alias_add", address=here("dian"), targets=[here("ubnddian")])
    ask(service, "group_add", address=here("coquan"), name="Cơ quan", members=[here("ubnddian"), here("sotttt")])
    ask(service, "delegate_add", address=here("ubnddian"), delegate=here("longtq"))
    number = new(service, "merge", here("sonv"), old_agency="ubnddian", into_agency="sotttt")
    work = ask(service, "request_work")
    finish(service, number)
    assert ask(service, "mailbox_show", address=here("longtq"))["agency"] == "sotttt"
    assert ask(service, "group_members", address=here("coquan")) == [here("sotttt")]
    assert service.directory.targets(here("ubnddian")) == (here("sotttt"),)
    assert service.directory.targets(here("dian")) == (here("sotttt"),)
    assert service.directory.delegates(here("sotttt")) == (here("longtq"),)
    assert ask(service, "agency_show", abbreviation="ubnddian")["parent"] == "sotttt"
    (left,) = [one for one in ask(service, "request_work") if one not in work]
    (item,) = left["work"]
    assert item[:4] == ["drain", here("ubnddian"), here("sotttt"), "Sáp nhập ubnddian"]
    source, target = (f"{service.mail_root}/{D}/{local}" for local in ("ubnddian", "sotttt"))
    Path(source, "new", "1.a.b,S=1").write_bytes(b"x")
    Path(source, ".Sent", "cur", "2.a.b,S=1:2,S").write_bytes(b"y")
    assert move_letters(source, target, item[3]) >= 2
    assert not os.path.exists(source)
    assert move_letters(source, target, item[3]) == 0
    below = list(Path(target).rglob("*.a.b,S=1*"))
    assert sorted(path.read_bytes() for path in below) == [b"x", b"y"]


def test_the_old_address_ends_after_its_months(service):
    finish(service, new(service, "change", here("minhnv"), mailbox=here("minhnv"), new_address=here("minhnv.cv")))
    assert ask(service, "request_aliases_end") == []
    until = service.directory.aliases(here("minhnv.cv"))[0].until
    assert until.startswith("2027-01-05")
