"""The directory: one holder an address, no loops, an audit log that stays, a snapshot that holds the same."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bdmta.testing.clock import FakeClock
from storage.directory import Directory
from storage.directory_rows import Mailbox
from storage.errors import Conflict, Invalid, Locked, NotFound, StoreError
from storage.schema_directory import DIRECTORY_LAYOUTS

D = "binhduong.gov.vn"
MINH = f"minhnv@{D}"
AN = f"antv@{D}"
AGENCY = f"sotttt@{D}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def directory(tmp_path: Path, clock: FakeClock):
    with Directory.open(str(tmp_path / "directory.db"), clock) as opened:
        with opened.change("test") as change:
            change.set_domains([D, "example.vn"])
            change.add_mailbox(Mailbox(address=MINH, name="Nguyễn Văn Minh", agency="sotttt"))
            change.add_mailbox(Mailbox(address=AN, name="Trần Văn An", agency="sotttt"))
            change.add_mailbox(
                Mailbox(address=AGENCY, name="Sở Thông tin và Truyền thông", kind="agency", agency="sotttt")
            )
        yield opened


def test_a_mailbox_is_read_as_it_was_added(directory: Directory, clock: FakeClock):
    box = directory.mailbox(MINH)
    assert (box.name, box.kind, box.agency, box.status) == ("Nguyễn Văn Minh", "person", "sotttt", "active")
    assert box.created_at == clock.now().isoformat(timespec="seconds")
    assert [b.address for b in directory.mailboxes(kind="agency")] == [AGENCY]
    assert directory.domains() == (D, "example.vn")


def test_an_address_has_one_holder_and_the_refusal_names_it(directory: Directory):
    """Điều 5.2."""
    with directory.change("test") as change:
        change.add_alias(f"minh@{D}", [MINH])
        change.add_group(f"vanphong@{D}", "Văn phòng", [MINH])
    for taken, holder in (
        (MINH, "the mailbox of Nguyễn Văn Minh (sotttt)"),
        (f"minh@{D}", f"an alias of {MINH}"),
        (f"vanphong@{D}", "the group Văn phòng"),
    ):
        for add in (
            lambda c, a: c.add_mailbox(Mailbox(address=a, name="X")),
            lambda c, a: c.add_alias(a, [AN]),
            lambda c, a: c.add_group(a, "X", [AN]),
        ):
            with pytest.raises(Conflict) as refused, directory.change("test") as change:
                add(change, taken)
            assert holder in str(refused.value)
            assert taken in str(refused.value)


def test_role_names_are_no_persons(directory: Directory):
    """RFC 2142: postmaster, abuse … go to the configured mailbox."""
    with pytest.raises(Conflict, match=r"RFC 2142.*quantri"), directory.change("test") as change:
        change.add_mailbox(Mailbox(address=f"abuse@{D}", name="Lê Abuse"), postmaster=f"quantri@{D}")
    with directory.change("test") as change:
        change.add_mailbox(Mailbox(address=f"abuse@{D}", name="Tiếp nhận", kind="agency"))
        change.add_mailbox(Mailbox(address=f"postmaster@{D}", name="Quản trị"), postmaster=f"postmaster@{D}")


def test_a_transaction_is_all_or_nothing(directory: Directory):
    before, acts = directory.generation, len(directory.audit())
    with pytest.raises(Conflict), directory.change("test") as change:
        change.add_mailbox(Mailbox(address=f"new@{D}", name="New"))
        change.add_mailbox(Mailbox(address=MINH, name="Again"))
    assert directory.find_mailbox(f"new@{D}") is None
    assert (directory.generation, len(directory.audit())) == (before, acts)


def test_a_domain_that_is_not_ours_and_one_still_in_use(directory: Directory):
    with pytest.raises(Invalid, match="not a domain of this system"), directory.change("test") as change:
        change.add_mailbox(Mailbox(address="a@elsewhere.vn", name="A"))
    with pytest.raises(Conflict, match="still has 3 addresses"), directory.change("test") as change:
        change.set_domains(["example.vn"])
    with directory.change("test") as change:
        change.set_domains([D])
    assert directory.domains() == (D,)


def test_a_name_may_be_anything_but_controls(directory: Directory):
    with directory.change("test") as change:
        change.add_mailbox(Mailbox(address=f"odd@{D}", name='O\'Brien "<b>" ; DROP TABLE, Ệ 漢字 🙂'))
    for bad in ("a\r\nBcc: x", "a\0", "a\x85b", "a\u2028b", " "):
        with pytest.raises(Invalid), directory.change("test") as change:
            change.add_mailbox(Mailbox(address=f"bad@{D}", name=bad))


def test_loops_are_refused_with_their_way(directory: Directory):
    with directory.change("test") as change:
        change.add_group(f"a@{D}", "A", [MINH])
        change.add_group(f"b@{D}", "B", [f"a@{D}"])
        change.add_alias(f"c@{D}", [f"b@{D}"])
    with pytest.raises(Conflict) as refused, directory.change("test") as change:
        change.change_members(f"a@{D}", add=[f"c@{D}"])
    assert f"a@{D} > c@{D} > b@{D} > a@{D}" in str(refused.value)
    with pytest.raises(Conflict, match="lead to itself"), directory.change("test") as change:
        change.change_members(f"a@{D}", add=[f"a@{D}"])


def test_targets_here_must_exist_and_targets_outside_need_not(directory: Directory):
    with pytest.raises(NotFound, match="nobody"), directory.change("test") as change:
        change.add_alias(f"x@{D}", [f"nobody@{D}"])
    with directory.change("test") as change:
        change.add_alias(f"x@{D}", ["Someone@Elsewhere.vn"])
    assert directory.targets(f"x@{D}") == ("Someone@Elsewhere.vn",)


def test_a_removed_alias_rests_and_then_is_free(directory: Directory, clock: FakeClock):
    with directory.change("test") as change:
        change.add_alias(f"old@{D}", [MINH])
    with directory.change("test") as change:
        change.remove_alias(f"old@{D}", rest_days=30)
    with pytest.raises(Conflict, match=r"at rest until .*was an alias of minhnv"), directory.change("test") as change:
        change.add_mailbox(Mailbox(address=f"old@{D}", name="Other"))
    with pytest.raises(NotFound), directory.change("test") as change:
        change.add_alias(f"to-old@{D}", [f"old@{D}"])
    clock.advance(timedelta(days=30).total_seconds())
    with directory.change("test") as change:
        change.add_mailbox(Mailbox(address=f"old@{D}", name="Other"))
    assert directory.retired() == []


def test_what_others_lead_to_is_not_removed(directory: Directory):
    with directory.change("test") as change:
        change.add_group(f"in@{D}", "In", [MINH])
        change.add_group(f"out@{D}", "Out", [f"in@{D}"])
    with pytest.raises(Conflict, match=f"out@{D} leads to it"), directory.change("test") as change:
        change.remove_group(f"in@{D}", rest_days=0)


def test_status_and_what_a_closed_mailbox_loses(directory: Directory):
    with directory.change("test") as change:
        change.add_app_password(MINH, "phone", "$bdmta-g1$x", "abcd")
        change.add_delegate(AGENCY, MINH)
        change.set_status(MINH, "suspended")
    with pytest.raises(Conflict, match="suspended already"), directory.change("test") as change:
        change.set_status(MINH, "suspended")
    with directory.change("test") as change:
        change.set_status(MINH, "closed")
    assert directory.app_passwords(MINH) == []
    assert directory.delegates(AGENCY) == ()
    with pytest.raises(Conflict, match="closed"), directory.change("test") as change:
        change.set_password(MINH, "x", must_change=False)
    with pytest.raises(Conflict, match="Minh"), directory.change("test") as change:
        change.add_mailbox(Mailbox(address=MINH, name="Another Minh"))


def test_nobody_acts_for_a_person(directory: Directory):
    with pytest.raises(Conflict, match="nobody acts for a person"), directory.change("test") as change:
        change.add_delegate(MINH, AN)


def test_the_audit_log_cannot_be_edited(directory: Directory, tmp_path: Path):
    """Điều 2: an audit log that cannot be edited through the software."""
    with directory.change("lan") as change:
        change.set_mailbox(MINH, name="Nguyễn Minh")
    newest = directory.audit(subject=MINH)[0]
    assert (newest.actor, newest.action) == ("lan", "mailbox.set")
    assert (json.loads(newest.before), json.loads(newest.after)) == (
        {"name": "Nguyễn Văn Minh"},
        {"name": "Nguyễn Minh"},
    )
    conn = sqlite3.connect(tmp_path / "directory.db")
    conn.execute("PRAGMA recursive_triggers = ON")
    for sql in ("DELETE FROM audit", "UPDATE audit SET actor = 'x'", "REPLACE INTO audit SELECT * FROM audit LIMIT 1"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            conn.execute(sql)
        conn.rollback()
    conn.close()


def test_one_writer(directory: Directory, tmp_path: Path, clock: FakeClock):
    with pytest.raises(Locked, match="writes it now"):
        Directory.open(str(tmp_path / "directory.db"), clock)
    with Directory.open(str(tmp_path / "directory.db"), clock, readonly=True) as reader:
        assert reader.mailbox(MINH).address == MINH
        with pytest.raises(sqlite3.OperationalError), reader.change("test") as change:
            change.set_mailbox(MINH, name="X")


def test_a_newer_layout_is_refused(tmp_path: Path, clock: FakeClock):
    path = str(tmp_path / "directory.db")
    Directory.open(path, clock).close()
    conn = sqlite3.connect(path)
    conn.execute(f"PRAGMA user_version = {len(DIRECTORY_LAYOUTS) + 1}")
    conn.close()
    with pytest.raises(StoreError, match="newer bdmta"):
        Directory.open(path, clock)
    with pytest.raises(StoreError, match="newer bdmta"):
        Directory.open(path, clock, readonly=True)


def test_a_file_that_is_no_database(tmp_path: Path, clock: FakeClock):
    (tmp_path / "directory.db").write_bytes(b"no database at all\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Directory.open(str(tmp_path / "directory.db"), clock)


def test_files_are_the_owners(directory: Directory, tmp_path: Path):
    directory.publish(str(tmp_path / "s"), postmaster=MINH)
    for name in ("directory.db", "s"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_the_hash_is_renewed_only_while_it_is_the_same(directory: Directory):
    with directory.change("test") as change:
        change.set_password(MINH, "old", must_change=False)
        assert not change.renew_hash(MINH, "other", "new")
        assert change.renew_hash(MINH, "old", "new")
    assert directory.mailbox(MINH).password_hash == "new"


NAMES = st.sampled_from([f"{n}@{D}" for n in "abcdef"])
ACTS = st.one_of(
    st.tuples(st.just("mailbox"), NAMES),
    st.tuples(st.just("alias"), NAMES, st.lists(NAMES, min_size=1, max_size=3, unique=True)),
    st.tuples(st.just("group"), NAMES, st.lists(NAMES, max_size=3, unique=True)),
    st.tuples(st.just("member"), NAMES, NAMES),
    st.tuples(st.just("remove"), NAMES, st.sampled_from([0, 30])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(ACTS, max_size=25))
def test_whatever_is_done_addresses_have_one_holder_and_nothing_loops(tmp_path_factory, acts):
    folder = tmp_path_factory.mktemp("directory")
    with Directory.open(str(folder / "d.db"), FakeClock()) as directory:
        with directory.change("test") as change:
            change.set_domains([D])
        for act in acts:
            before = directory.generation
            try:
                with directory.change("test") as change:
                    _perform(change, directory, act)
            except (Conflict, NotFound):
                assert directory.generation == before
        _check_invariants(directory)


def _perform(change, directory: Directory, act) -> None:
    what, address, *rest = act
    if what == "mailbox":
        change.add_mailbox(Mailbox(address=address, name="N"))
    elif what == "alias":
        change.add_alias(address, rest[0])
    elif what == "group":
        change.add_group(address, "G", rest[0])
    elif what == "member":
        change.change_members(address, add=[rest[0]])
    elif address in {group.address for group in directory.groups()}:
        change.remove_group(address, rest_days=rest[0])
    else:
        change.remove_alias(address, rest_days=rest[0])


def _check_invariants(directory: Directory) -> None:
    kinds = [
        [box.address for box in directory.mailboxes()],
        [alias.address for alias in directory.aliases()],
        [group.address for group in directory.groups()],
        [rest.address for rest in directory.retired()],
    ]
    everyone = [address for addresses in kinds for address in addresses]
    assert len(everyone) == len(set(everyone))
    assert all(directory.holder(address) for address in everyone)
    edges = {a.address: a.targets for a in directory.aliases()} | {g.address: g.members for g in directory.groups()}
    alive = set(everyone) - set(kinds[3])
    assert all(target in alive for targets in edges.values() for target in targets)
    for start in edges:
        reached, waiting = set(), list(edges[start])
        while waiting:
            here = waiting.pop()
            assert here != start
            if here not in reached:
                reached.add(here)
                waiting += edges.get(here, ())
