"""Agencies in the directory (Điều 5.2), and proposals beside those who have their addresses (Điều 5.4)."""

from __future__ import annotations

import io
import json
import sqlite3
import time
from pathlib import Path

import pytest

from bdmta.cli import run
from bdmta.directory.agencies_csv import read_agencies
from bdmta.directory.calls import REGISTRY
from bdmta.directory.csv_rows import read_rows
from bdmta.directory.service import REST_DAYS, DirectoryService
from bdmta.errors import BdmtaError, UsageError
from bdmta.testing.clock import FakeClock
from storage.directory import Directory
from storage.directory_agencies import refuse_agency_name
from storage.directory_rows import Mailbox
from storage.errors import Conflict
from storage.schema_directory import DIRECTORY_LAYOUTS

D = "binhduong.gov.vn"
MINH = f"minhnv@{D}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service(tmp_path: Path, clock: FakeClock):
    made = DirectoryService(
        directory=Directory.open(str(tmp_path / "d.db"), clock), clock=clock, mail_root=str(tmp_path / "mail"),
        snapshot_path=str(tmp_path / "snapshot"), password_key_path=str(tmp_path / "key"), postmaster=f"postmaster@{D}",
        actor="lan",
    )  # fmt: skip
    with made.directory.change("test") as change:
        change.set_domains([D])
    yield made
    made.close()


def ask(service: DirectoryService, name: str, /, **arguments):
    answer = REGISTRY[name](service, **arguments)
    assert json.loads(json.dumps(answer)) == answer
    return answer


def propose(service: DirectoryService, name: str = "Nguyễn Văn Minh", **more):
    return ask(service, "naming_propose", name=name, **more)


def test_an_agency_from_its_name(service: DirectoryService):
    made = ask(service, "agency_add", name="Sở Thông tin  và Truyền thông", clerk="Trần Thị Lan", published=True)
    assert (made["abbreviation"], made["address"], made["has_mailbox"]) == ("sotttt", f"sotttt@{D}", False)
    assert made["name"] == "Sở Thông tin và Truyền thông"
    below = ask(service, "agency_add", name="Trung tâm Thông tin điện tử", parent="sotttt", level="unit")
    shown = ask(service, "agency_show", abbreviation="SOTTTT")
    assert shown["below"] == [below["abbreviation"]] == ["ttttdt"]
    assert [one["abbreviation"] for one in ask(service, "agency_list", level="unit")] == ["ttttdt"]
    ask(service, "agency_set", abbreviation="ttttdt", parent="", head="Lê Văn Tám")
    assert ask(service, "agency_show", abbreviation="ttttdt")["parent"] is None
    acts = [(row.action, row.actor) for row in service.directory.audit(subject="ttttdt")]
    assert acts == [("agency.set", "lan"), ("agency.add", "lan")]


def test_an_abbreviation_is_nobody_elses(service: DirectoryService, clock: FakeClock):
    """Điều 5.2: unique against agencies, people, aliases, groups, role names and addresses at rest."""
    ask(service, "mailbox_add", address=f"sonv@{D}", name="Nguyễn Văn Sơn")
    ask(service, "alias_add", address=f"sotc@{D}", targets=[f"sonv@{D}"])
    ask(service, "alias_remove", address=f"sotc@{D}")
    ask(service, "group_add", address=f"soyt@{D}", name="Nhóm")
    for wanted, said in (
        ("sonv", "the mailbox of Nguyễn Văn Sơn"), ("sotc", "at rest until"), ("soyt", "the group Nhóm"),
        ("support", "RFC 2142"), ("postmaster", "RFC 2142"),
    ):  # fmt: skip
        with pytest.raises(BdmtaError, match=said):
            ask(service, "agency_add", name="Sở Nội vụ", abbreviation=wanted)
    with pytest.raises(BdmtaError, match="is the abbreviation of Sở Công Thương"):
        ask(service, "agency_add", name="Sở Công Thương", abbreviation="soct")
        ask(service, "agency_add", name="Sở khác", abbreviation="soct")
    for wrong in ("Sở", "so nv", "so.nv", "-so", "so-", "1so", "x" * 33, "a@b"):
        with pytest.raises(UsageError):
            ask(service, "agency_add", name="Sở Nội vụ", abbreviation=wrong)
    assert [one["obstacle"] is None for one in ask(service, "agency_suggest", name="Sở Nội vụ")] == [False, True]
    assert ask(service, "agency_add", name="Sở Nội vụ")["abbreviation"] == "sonoivu"
    clock.advance(REST_DAYS * 86400 + 1)
    ask(service, "alias_add", address=f"sotc@{D}", targets=[f"sonv@{D}"])


def test_nobody_takes_an_agencys_address_before_it_has_a_mailbox(service: DirectoryService):
    ask(service, "agency_add", name="UBND thị xã Dĩ An", level="district")
    for call, more in (("mailbox_add", {"name": "X"}), ("group_add", {"name": "X"})):
        with pytest.raises(BdmtaError, match="abbreviation of UBND thị xã Dĩ An"):
            ask(service, call, address=f"ubnddian@{D}", **more)
    with service.directory.change("test") as change, pytest.raises(Conflict):
        refuse_agency_name(change._conn, f"ubnddian@{D}")
    ask(service, "mailbox_add", address=f"ubnddian@{D}", name="UBND thị xã Dĩ An", kind="agency")
    assert ask(service, "agency_show", abbreviation="ubnddian")["has_mailbox"]


def test_no_agency_is_above_itself(service: DirectoryService):
    ask(service, "agency_add", name="A", abbreviation="aa")
    ask(service, "agency_add", name="B", abbreviation="bb", parent="aa")
    with pytest.raises(BdmtaError, match="above itself"):
        ask(service, "agency_set", abbreviation="aa", parent="bb")
    with pytest.raises(BdmtaError, match="no such agency"):
        ask(service, "agency_set", abbreviation="aa", parent="cc")
    with pytest.raises(UsageError, match="cannot be set"):
        ask(service, "agency_set", abbreviation="aa", identifier="cc")


CSV = """\ufeffname;abbreviation;parent;level;published;paper_address
UBND phường An Bình;;ubnddian;cấp xã;có;"Số 1; An Bình"
UBND thị xã Dĩ An;ubnddian;;huyện;yes;
Sở Nội vụ;;;tỉnh;;
"""


def test_import_with_a_dry_run(service: DirectoryService):
    rows = list(read_agencies(io.StringIO(CSV), "a.csv"))
    tried = ask(service, "agency_import", rows=rows, dry_run=True)
    assert [(one["line"], one["abbreviation"]) for one in tried["agencies"]] == [
        (2, "ubndanbinh"),
        (3, "ubnddian"),
        (4, "sonv"),
    ]
    assert ask(service, "agency_list") == []
    assert ask(service, "agency_import", rows=rows)["problems"] == []
    commune = ask(service, "agency_show", abbreviation="ubndanbinh")
    assert (commune["parent"], commune["level"], commune["published"]) == ("ubnddian", "commune", True)
    assert commune["paper_address"] == "Số 1; An Bình"
    again = ask(service, "agency_import", rows=[{"line": 2, "name": "Sở Y tế"}, *rows[1:2]])
    assert again["problem_count"] == 1 and again["problems"][0][0] == 3
    assert len(ask(service, "agency_list")) == 3


def test_import_of_a_parent_that_is_not_there(service: DirectoryService):
    done = ask(service, "agency_import", rows=[{"line": 2, "name": "Sở Y tế", "parent": "nobody"}])
    assert done["problem_count"] == 1 and "nobody" in done["problems"][0][2]
    assert ask(service, "agency_list") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,levle\n", "line 1: unknown column 'levle'; the nearest known is level"),
        ("level\n", "no column name"), ("name,level\nA,sao\n", "line 2: level 'sao'"),
        ("name,published\nA,maybe\n", "line 2: published is yes or no"), ("name\nA,B\n", "line 2: 2 values for 1"),
        ('name\n"A\n', "line"), ("name,name\n", "twice"),
    ],
)  # fmt: skip
def test_a_csv_with_a_mistake(text: str, said: str):
    with pytest.raises(UsageError, match=said):
        list(read_agencies(io.StringIO(text), "a.csv"))


def test_proposals_beside_the_holders(service: DirectoryService):
    assert (propose(service)["local_part"], propose(service)["status"]) == ("minhnv", "ok")
    ask(service, "mailbox_add", address=MINH, name="Nguyễn Văn Minh", rank=2)
    ask(service, "agency_add", name="UBND thị xã Dĩ An", level="district")
    ask(service, "agency_add", name="Sở Nội vụ")
    made = propose(service, rank=3, extension="dian")
    assert (made["local_part"], made["status"], made["address"]) == ("minhnv.dian", "ok", f"minhnv.dian@{D}")
    assert [(one["address"], one["rank"]) for one in made["holders"]] == [(MINH, 2)]
    assert propose(service, rank=3, extension="sonv")["code"] == "extension-is-agency"
    assert propose(service, rank=3, extension="thuanan")["code"] == "extension-too-long"
    without = propose(service, rank=3)
    assert (without["status"], without["code"], without["local_part"]) == ("review", "taken", "minhnv.nguyen")
    ask(service, "mailbox_add", address=f"minhnv.dian@{D}", name="Nguyễn Viết Minh")
    assert propose(service, extension="dian")["code"] == "extension-taken"
    assert len(propose(service)["holders"]) == 2
    assert "Nguyễn Văn Minh" in without["reason"]


def test_a_latecomer_of_rank_1_evicts_nobody(service: DirectoryService):
    ask(service, "mailbox_add", address=MINH, name="Nguyễn Văn Minh", rank=2)
    before = service.directory.generation
    made = propose(service, rank=1, extension="ubnd")
    assert (made["status"], made["code"], made["local_part"]) == ("review", "higher-rank", "minhnv.ubnd")
    assert len(made["choices"]) == 2
    assert service.directory.generation == before
    assert service.directory.mailbox(MINH).name == "Nguyễn Văn Minh"


def test_a_freed_address_rests_twelve_months(service: DirectoryService, clock: FakeClock):
    """Điều 5.4, as the Center keeps it: mail for one never reaches another."""
    ask(service, "mailbox_add", address=f"an@{D}", name="Trần Văn An")
    ask(service, "alias_add", address=MINH, targets=[f"an@{D}"])
    assert propose(service)["code"] == "taken"
    ask(service, "alias_remove", address=MINH)
    made = propose(service)
    assert (made["code"], made["status"]) == ("at-rest", "review")
    clock.advance(364 * 86400)
    assert propose(service)["code"] == "at-rest"
    clock.advance(2 * 86400)
    assert propose(service)["local_part"] == "minhnv"


def test_a_closed_mailbox_keeps_its_address(service: DirectoryService):
    ask(service, "mailbox_add", address=MINH, name="Nguyễn Văn Minh", rank=1)
    ask(service, "mailbox_status", address=MINH, status="closed")
    assert propose(service)["code"] == "taken"


def test_names_that_are_roles_or_agencies(service: DirectoryService):
    assert propose(service, name="Cao No")["code"] == "reserved"
    ask(service, "agency_add", name="Một cơ quan", abbreviation="minhnv")
    assert propose(service)["code"] == "reserved"
    assert propose(service, name="Lan")["code"] == "single-word"
    with pytest.raises(UsageError):
        propose(service, domain="elsewhere.vn")


def test_a_directory_of_the_first_layout_is_brought_up(tmp_path: Path, clock: FakeClock):
    path = tmp_path / "old.db"
    old = sqlite3.connect(path)
    old.executescript(f"{DIRECTORY_LAYOUTS[0]}\nPRAGMA user_version = 1;")
    old.execute("INSERT INTO domains VALUES (?, 0)", (D,))
    old.execute("INSERT INTO names VALUES (?, 'mailbox')", (MINH,))
    old.execute(
        "INSERT INTO mailboxes VALUES"
        " (?, 'person', 'Minh', '', 'active', 0, 0, NULL, 0, 3, '2026-01-01', '2026-01-01')",
        (MINH,),
    )
    old.commit()
    old.close()
    with Directory.open(str(path), clock) as directory:
        assert not directory.mailbox(MINH).published
        assert directory.agencies.all() == []
        assert directory.agencies.namesakes("minhnv", D, "2026-01-02")[0].rank == 3


def test_the_command_without_a_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BDMTA_CONFIG", raising=False)
    assert run(["naming", "propose", "Nguyễn Thị Minh Khai"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown.keys() == {"local_part", "status", "code", "reason", "steps"}
    assert (shown["local_part"], shown["status"], shown["code"]) == ("khaintm", "ok", None)
    assert run(["naming", "propose", "Lan", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["local_part"], shown["status"], shown["code"]) == (None, "error", "single-word")
    assert run(["naming", "propose", "Lê Thị Hoa", "--extension", "thuanan"]) == 1
    assert json.loads(capsys.readouterr().out)["code"] == "extension-too-long"
    assert run(["naming", "propose", "Lê Thị Hoa", "--extension", "dian"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["local_part"], shown["status"], shown["code"]) == ("hoalt.dian", "review", "holders-unknown")
    assert run(["naming", "propose", "--family", "Tôn Nữ", "--middle", "Thị", "--given", "Ninh"]) == 0
    assert json.loads(capsys.readouterr().out)["local_part"] == "ninhtnt"
    monkeypatch.setenv("BDMTA_CONFIG", str(tmp_path / "absent.toml"))
    assert run(["naming", "propose", "Lê Thị Hoa"]) == 2


def test_the_commands_with_a_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["init", str(tmp_path / "s"), "--domain", D, "--base-port", "21000"]) == 0
    config = ["-c", str(tmp_path / "s" / "bdmta.toml")]
    file = tmp_path / "a.csv"
    file.write_text(CSV)
    for words, code in (
        (["agency", "import", str(file), "--dry-run"], 0), (["agency", "import", str(file)], 0),
        (["agency", "import", str(file)], 1), (["agency", "add", "Sở Thông tin và Truyền thông", "--published"], 0),
        (["agency", "set", "sotttt", "--clerk", "Lan"], 0), (["agency", "set", "sotttt"], 2),
        (["agency", "show", "nobody"], 1), (["agency", "suggest", "Sở Tài chính"], 0), (["agency", "list"], 0),
    ):  # fmt: skip
        assert run([*words, *config]) == code, (words, capsys.readouterr().err)
    capsys.readouterr()
    assert run(["agency", "show", "sotttt", "--json", *config]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["clerk"], shown["published"], shown["level"]) == ("Lan", True, "province")
    assert run(["naming", "propose", "Nguyễn Văn Minh", *config]) == 0
    assert json.loads(capsys.readouterr().out)["address"] == MINH


def test_ranks_and_publication_come_by_the_import_of_accounts(service: DirectoryService):
    text = f"address,name,rank,published\n{MINH},Nguyễn Văn Minh,2,yes\nan@{D},Trần Văn An,,no\n"
    rows = list(read_rows(io.StringIO(text), "b.csv"))
    assert ask(service, "import_rows", rows=rows)["problems"] == []
    minh, an = service.directory.mailbox(MINH), service.directory.mailbox(f"an@{D}")
    assert (minh.rank, minh.published, an.rank, an.published) == (2, True, None, False)
    for wrong in ("rank\na@b,0", "rank\na@b,x", "rank\na@b,9999999999999", "published\na@b,maybe"):
        with pytest.raises(UsageError, match="line 2"):
            list(read_rows(io.StringIO(f"address,{wrong}\n"), "b.csv"))


def test_thousands_of_mailboxes_do_not_slow_a_proposal(service: DirectoryService):
    with service.directory.change("test") as change:
        for number in range(3000):
            change.add_mailbox(
                Mailbox(address=f"n{number}@{D}", name="N", kind="agency" if number % 9 == 0 else "person")
            )
    start = time.perf_counter()
    for _ in range(20):
        propose(service, extension="dian")
    assert (time.perf_counter() - start) / 20 < 0.005
