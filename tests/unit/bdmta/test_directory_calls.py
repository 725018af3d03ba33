"""What can be asked of the directory by name, from the question to what edges then read."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from bdmta.directory.calls import REGISTRY
from bdmta.directory.passwords import PasswordRefused, generate, hash_password
from bdmta.directory.service import DirectoryService
from bdmta.directory.snapshot import Snapshot
from bdmta.errors import BdmtaError, UsageError
from bdmta.testing.clock import FakeClock
from storage.directory import Directory
from storage.facts import FactWriter
from storage.ledger import Ledger

D = "binhduong.gov.vn"
MINH = f"minhnv@{D}"


@pytest.fixture
def service(tmp_path: Path):
    clock = FakeClock()
    (tmp_path / "facts").mkdir()
    made = DirectoryService(
        directory=Directory.open(str(tmp_path / "d.db"), clock), clock=clock, mail_root=str(tmp_path / "mail"),
        snapshot_path=str(tmp_path / "snapshot"), password_key_path=str(tmp_path / "key"), postmaster=f"postmaster@{D}",
        quota_octets=(1000, 5000), ledger=Ledger.open(str(tmp_path / "l.db")), facts_dir=str(tmp_path / "facts"),
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


def test_a_mailbox_from_its_making_to_its_closing(service: DirectoryService, tmp_path: Path):
    ask(service, "mailbox_add", address="MinhNV@BinhDuong.gov.vn", name="Nguyễn Văn Minh", password="Mat-khau-99")
    shown = ask(service, "mailbox_show", address=MINH)
    wanted = {"address", "kind", "name", "agency", "status", "quota_octets", "used_octets", "used_messages"}
    assert wanted <= shown.keys()
    assert (shown["quota_octets"], shown["used_octets"], shown["status"]) == (1000, 0, "active")
    assert shown["created_at"] == "2026-01-05T08:00:00+07:00"
    assert (tmp_path / "mail" / D / "minhnv" / "new").is_dir()
    assert "hash" not in json.dumps(shown)
    found = Snapshot(service.snapshot_path).credentials(MINH)
    assert service.passwords.authenticate(found, "Mat-khau-99").ok
    ask(service, "mailbox_status", address=MINH, status="closed", reason="nghỉ hưu")
    assert Snapshot(service.snapshot_path).credentials(MINH) is None
    assert [row.actor for row in service.directory.audit(subject=MINH)] == ["lan", "lan"]


def test_letters_count_in_show_and_room_reaches_the_maildir(service: DirectoryService, tmp_path: Path):
    ask(service, "mailbox_add", address=MINH, name="Minh")
    box = tmp_path / "mail" / D / "minhnv"
    (box / ".Sent" / "cur" / "1.a,S=7,W=7:2,S").write_bytes(b"x" * 7)
    (box / "new" / "2.a,S=5,W=5").write_bytes(b"x" * 5)
    shown = ask(service, "mailbox_show", address=MINH)
    assert (shown["used_octets"], shown["used_messages"]) == (12, 2)
    ask(service, "mailbox_set", address=MINH, quota_octets=777)
    assert (box / "maildirsize").read_text().startswith("777S")


def test_passwords(service: DirectoryService):
    made = ask(service, "mailbox_add", address=MINH, name="Minh", generate_password=True)
    assert made["must_change"]
    with pytest.raises(PasswordRefused):
        ask(service, "mailbox_password", address=MINH, password="short")
    app = ask(service, "app_password_add", address=MINH, label="điện thoại")
    listed = ask(service, "app_password_list", address=MINH)
    assert listed[0]["hint"] == app["password"][-4:]
    credentials = Snapshot(service.snapshot_path).credentials(MINH)
    for secret in (made["password"], app["password"]):
        assert service.passwords.authenticate(credentials, secret).ok
    ask(service, "app_password_remove", address=MINH, label="điện thoại")
    assert not service.passwords.authenticate(Snapshot(service.snapshot_path).credentials(MINH), app["password"]).ok
    assert "-" not in app["password"][-4:]
    assert generate() not in json.dumps([row.detail for row in service.directory.audit()])


def test_a_hash_is_renewed_but_never_over_a_newer_password(service: DirectoryService):
    ask(service, "mailbox_add", address=MINH, name="Minh", password_hash="{SSHA}nG2CGmfb+82ZMAemrApLvy8ciqe01npP")
    ours = hash_password("Mat-khau-99")
    assert ask(service, "renew_hash", address=MINH, renewed=ours)
    ask(service, "mailbox_password", address=MINH, password="Mat-khau-100")
    newer = service.directory.mailbox(MINH).password_hash
    assert not ask(service, "renew_hash", address=MINH, renewed=ours)
    assert service.directory.mailbox(MINH).password_hash == newer


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("minhnv", "no @domain"), ("a@else.vn", "not a domain of this system"), (f"../../etc@{D}", "malformed"),
        (f"a+b@{D}", "made of letters"), (f"ế@{D}", "made of letters"), (f'"a b"@{D}', "made of letters"),
        (f"a..b@{D}", "malformed|no @domain"), ("", "malformed"), (f"a/b@{D}", "made of letters"),
    ],
)  # fmt: skip
def test_addresses_that_no_mailbox_has(service: DirectoryService, address: str, said: str):
    with pytest.raises(UsageError, match=said):
        ask(service, "mailbox_add", address=address, name="X")


def test_conflicts_are_one_line_with_holder_and_remedy(service: DirectoryService):
    ask(service, "mailbox_add", address=MINH, name="Nguyễn Văn Minh", agency="sotttt")
    with pytest.raises(BdmtaError, match=r"mailbox of Nguyễn Văn Minh \(sotttt\); choose") as refused:
        ask(service, "alias_add", address=MINH, targets=["x@else.vn"])
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 1


def test_aliases_groups_delegates_reach_the_snapshot(service: DirectoryService):
    ask(service, "mailbox_add", address=MINH, name="Minh")
    ask(service, "mailbox_add", address=f"sotttt@{D}", name="Sở", kind="agency")
    assert ask(service, "mailbox_show", address=f"sotttt@{D}")["agency"] == "sotttt"
    ask(service, "alias_add", address=f"minh@{D}", targets=[MINH])
    ask(service, "group_add", address=f"all@{D}", name="Tất cả", members=[f"minh@{D}"], owner=MINH)
    ask(service, "delegate_add", address=f"sotttt@{D}", delegate=MINH)
    assert ask(service, "group_members", address=f"all@{D}", add=["X@else.vn"]) == [f"minh@{D}", "X@else.vn"]
    snapshot = Snapshot(service.snapshot_path)
    assert snapshot.may_send_as(MINH) == {MINH, f"minh@{D}", f"all@{D}", f"sotttt@{D}"}
    with pytest.raises(BdmtaError, match="leads to it"):
        ask(service, "alias_remove", address=f"minh@{D}")
    ask(service, "group_remove", address=f"all@{D}")
    ask(service, "alias_remove", address=f"minh@{D}")
    ask(service, "address_release", address=f"minh@{D}")
    assert ask(service, "alias_list") == []
    ask(service, "delegate_remove", address=f"sotttt@{D}", delegate=MINH)
    assert Snapshot(service.snapshot_path).may_send_as(MINH) == {MINH}


def test_trace_knows_what_was_written_a_moment_ago(service: DirectoryService):
    writer = FactWriter(service.facts_dir, service.clock, "edge-0")
    writer.write([{"event": "accepted", "recipient": MINH, "message_id": "<1@x>", "detail": {"octets": 5}}])
    (fact,) = ask(service, "trace", text="<1@x>")
    assert {"at", "event", "recipient", "detail"} <= fact.keys()
    assert (fact["at"], fact["detail"]) == ("2026-01-05T08:00:00+07:00", {"octets": 5})


def test_every_call_takes_keywords_only():
    for name, function in REGISTRY.items():
        first, *rest = inspect.signature(function).parameters.values()
        assert first.name == "service", name
        assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in rest), name
