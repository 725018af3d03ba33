"""Folders as sessions see them. What several processes do to one another is in tests/property/test_box_property.py."""

from __future__ import annotations

import asyncio
import itertools
import mmap
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from storage import box_names, scan_folder
from storage.box import Deltas
from storage.box_names import FolderLost
from storage.box_quota import LimitedQuota
from storage.box_types import DELETED, FLAGGED, SEEN
from storage.clock import SystemClock
from storage.errors import Conflict, Invalid, NotFound, OverQuota
from storage.quota import Limit, Quota
from tests.unit.storage.box_support import World, letter, to_store


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(str(tmp_path))
    yield made
    made.close()


def filled(world: World, count: int = 5) -> Any:
    mailbox = world.mailbox()
    for _ in range(count):
        world.deliver()
    return mailbox.open_view("INBOX")


def names(world: World, folder: str = "") -> list[str]:
    return sorted(os.listdir(f"{world.path}/{folder}/cur"))


def settle(world: World) -> None:
    """Make the folder look as if nothing had happened for an hour."""
    for sub in ("cur", "new"):
        os.utime(f"{world.path}/{sub}", (1_600_000_000, 1_600_000_000))


def test_deliveries_get_uids_in_the_order_of_their_arrival(world: World) -> None:
    view = filled(world)
    assert list(view.columns.uid) == [1, 2, 3, 4, 5]
    assert view.box.fields(view.columns, "subject") == [f"letter {n}" for n in range(1, 6)]
    assert names(world) == [
        f"{1_700_000_000 + n}.M{n}P1.test,S={s},W={s}:2," for n in range(1, 6) for s in [len(letter(f"letter {n}"))]
    ]
    assert view.box.counts().unseen == 5 and view.box.first_unseen_row() == 0
    assert view.recent_rows == [range(5)]
    assert world.mailbox().open_view("INBOX").recent_rows == []


def test_a_session_is_told_what_others_did_and_not_what_it_did(world: World) -> None:
    one = filled(world)
    two = one.box.mailbox.open_view("INBOX")
    assert one.store(range(1, 3), "+", FLAGGED).rows == (1, 2)
    assert list(one.columns.flags) == [0, 4, 4, 0, 0]
    assert not one.poll()
    assert two.poll() == Deltas(flags=(1, 2))
    two.store(range(5), "=", SEEN)
    assert one.poll() == Deltas(flags=(0, 1, 2, 3, 4))
    assert names(world)[0].endswith(":2,S")


def test_expunged_letters_keep_their_numbers_until_told(world: World) -> None:
    one = filled(world)
    two = one.box.mailbox.open_view("INBOX")
    one.store([1, 3], "+", DELETED)
    assert one.expunge() == Deltas(expunged=(4, 2), expunged_uids=(4, 2))
    world.deliver()
    one.box.refresh()
    two.store([0], "+", SEEN)
    assert two.poll(expunge=False) == Deltas(exists=6, recent=1)
    assert list(two.columns.uid) == [1, 2, 3, 4, 5, 6]
    assert two.columns.flags[0] == SEEN
    done = two.store(range(6), "+", FLAGGED)
    assert (done.rows, done.missing) == ((0, 2, 4, 5), (1, 3))
    assert two.box.octets_of([2, 5]) == [None, letter("letter 5")]
    assert two.poll() == Deltas(expunged=(4, 2), expunged_uids=(4, 2))
    assert list(two.columns.uid) == [1, 3, 5, 6]


def test_expunge_spares_what_another_session_undeleted(world: World) -> None:
    view = filled(world, 2)
    view.store(range(2), "+", DELETED)
    os.rename(f"{world.path}/cur/{names(world)[0]}", f"{world.path}/cur/{names(world)[0][:-1]}")
    assert view.expunge().expunged_uids == (2,)
    assert list(view.columns.uid) == [1]


def test_unchanged_since_refuses_letters_changed_later(world: World) -> None:
    one = filled(world, 3)
    two = one.box.mailbox.open_view("INBOX")
    since = one.box.highestmodseq
    two.store([1], "+", SEEN)
    done = one.store(range(3), "+", FLAGGED, unchanged_since=since)
    assert (done.rows, done.modified) == ((0, 2), (1,))
    assert list(one.box.columns.flags) == [4, 1, 4]
    assert one.box.columns.modseq[1] < one.box.columns.modseq[0] == one.box.highestmodseq


def test_a_foreign_rename_in_the_middle_of_a_store_is_merged(world: World) -> None:
    view = filled(world, 2)
    os.rename(f"{world.path}/cur/{names(world)[0]}", f"{world.path}/cur/{names(world)[0]}FP")
    view.store(range(2), "+", SEEN)
    assert [name[-3:] for name in names(world)] == ["FPS", "2,S"]
    assert list(view.box.columns.flags) == [5, 1]


def test_keywords_keep_their_meaning_in_another_folder(world: World) -> None:
    view = filled(world, 2)
    view.store([0], "+", 0, ["$Label1", "$Label2"])
    other = view.box.mailbox.open_view("Sent")
    other.box.keyword_mask(["Zuerst", "$Label2"])
    placed = view.copy(range(2), "Sent")
    other.poll()
    assert (placed.source, placed.uids) == ((1, 2), (1, 2))
    assert other.keyword_names(other.columns.flags[0]) == ["$Label2", "$Label1"]
    assert other.columns.flags[1] == 0
    view.store([0], "=", SEEN)
    assert view.columns.flags[0] == SEEN
    with pytest.raises(Invalid, match="26 keywords"):
        view.store([0], "+", 0, [f"k{n}" for n in range(26)])


def test_a_full_set_of_keywords_does_not_hold_up_a_move(world: World) -> None:
    view = filled(world, 1)
    view.store([0], "+", SEEN, ["mine"])
    target = view.box.mailbox.open_view("Sent")
    target.box.keyword_mask([f"k{n}" for n in range(26)])
    view.move([0], "Sent")
    target.poll()
    assert target.columns.flags[0] == SEEN


def test_copies_are_hard_links_and_moves_get_new_names(world: World) -> None:
    view = filled(world, 3)
    view.store([0], "+", SEEN)
    dates = list(view.columns.internaldate)
    view.copy([0], "Sent")
    view.copy([0], "INBOX")
    placed = view.move([1], "Sent")
    assert (placed.source, placed.uids) == ((2,), (2,))
    assert os.stat(f"{world.path}/.Sent/cur/{names(world, '.Sent')[0]}").st_nlink == 3
    assert view.poll() == Deltas(expunged=(2,), expunged_uids=(2,), exists=3, recent=3)
    sent = view.box.mailbox.open_view("Sent")
    assert list(sent.columns.internaldate) == dates[:2]
    assert sent.columns.flags[0] == SEEN
    back = sent.move([1], "INBOX")
    assert back.uids == (5,)


def test_a_move_into_the_same_folder_gives_a_new_uid(world: World) -> None:
    view = filled(world, 3)
    view.store([0], "+", SEEN)
    view.box.prepare(view.columns.uid)
    placed = view.move([0], "INBOX")
    assert (placed.source, placed.uids) == ((1,), (4,))
    assert view.poll() == Deltas(expunged=(1,), expunged_uids=(1,), exists=3, recent=3)
    assert list(view.columns.uid) == [2, 3, 4] and view.columns.flags[2] == SEEN
    assert view.box.prepare(view.columns.uid) == 0
    assert view.box.fields(view.columns, "subject") == ["letter 2", "letter 3", "letter 1"]
    assert view.box.refresh() in (False, True) and list(view.box.columns.uid) == [2, 3, 4]


def test_a_folder_made_again_by_another_process_is_a_new_one(world: World) -> None:
    mailbox, other = world.mailbox(), world.mailbox()
    mailbox.create("Công văn")
    mailbox.append("Công văn", to_store("old"))
    before = mailbox.status("Công văn")
    other.delete("Công văn")
    other.create("Công văn")
    other.append("Công văn", to_store("new"))
    after = mailbox.status("Công văn")
    assert after.uidvalidity != before.uidvalidity and after.counts.messages == 1
    assert list(mailbox.open_view("Công văn").columns.uid) == [1]
    assert mailbox.append("Công văn", to_store("newer")).uids == (2,)


def test_letters_that_a_session_was_told_of_are_recent_to_no_other(world: World) -> None:
    view, other = filled(world, 1), world.mailbox()
    world.deliver()
    view.box.refresh()
    assert view.poll().recent == 2
    assert view.box.mailbox.status("INBOX").counts.recent == other.status("INBOX").counts.recent == 0
    assert view.recent_rows == [range(2)]


def test_of_two_sessions_that_see_a_letter_come_one_is_told_that_it_is_recent(world: World) -> None:
    """RFC 3501 §2.3.2, between two processes and within one of them."""
    view, far = filled(world, 1), world.mailbox().open_view("INBOX")
    near = view.box.mailbox.open_view("INBOX")
    looker = view.box.mailbox.open_view("INBOX", read_only=True)
    sessions = [view, near, far]
    for count in range(1, 7):
        world.deliver()
        for session in sessions:
            session.box.refresh()
        told = [session.poll().recent for session in sessions]
        looker.poll()
        assert [len(session.columns) for session in sessions] == [count + 1] * 3
        recent = [set(itertools.chain(*session.recent_rows)) for session in sessions]
        assert sorted(itertools.chain(*recent)) == list(range(count + 1)), "each is recent to one"
        assert told == [len(rows) for rows in recent]
        sessions.append(sessions.pop(0))
    assert looker.recent_count == 6, "EXAMINE is told, and takes nothing"


def test_what_nobody_was_told_of_is_recent_to_the_next_session(world: World) -> None:
    view = filled(world, 1)
    world.deliver()
    view.box.refresh()
    view.close()
    assert view.box.mailbox.open_view("INBOX").recent_rows == [range(1, 2)]


def selecting(root: str, start: Any, told: Any) -> None:
    again = World.__new__(World)
    again.path, again.index, again.processes = f"{root}/box", f"{root}/index/box.db", []
    mailbox = again.mailbox()
    start.wait()
    view = mailbox.open_view("INBOX")
    told.put([view.columns.uid[row] for run in view.recent_rows for row in run])


def test_of_processes_that_select_in_the_same_instant_one_is_told_what_is_recent(world: World, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    world.mailbox().status("INBOX")
    for number in range(5):
        world.deliver()
        start, told = context.Barrier(4), context.Queue()
        processes = [context.Process(target=selecting, args=(str(tmp_path), start, told)) for _ in range(4)]
        for process in processes:
            process.start()
        found = [uid for _ in processes for uid in told.get(timeout=30)]
        for process in processes:
            process.join()
        assert found == [number + 1]


def test_a_copy_into_nowhere_is_refused(world: World) -> None:
    view = filled(world, 1)
    with pytest.raises(NotFound):
        view.copy([0], "Nowhere")


def test_copied_letters_are_not_read_again(world: World) -> None:
    view = filled(world, 3)
    assert view.box.prepare(view.columns.uid) == 3
    view.copy(range(3), "Sent")
    sent = view.box.mailbox.open_view("Sent")
    assert sent.box.prepare(sent.columns.uid) == 0
    assert sent.box.fields(sent.columns, "subject") == ["letter 1", "letter 2", "letter 3"]
    assert sent.box.fields(sent.columns, "references") == [("a@x", "b@x")] * 3


def test_append_answers_with_a_uid_that_is_on_disk(world: World) -> None:
    mailbox = world.mailbox()
    placed = mailbox.append("Drafts", to_store("thư nháp"), SEEN | 16, ["$X"], 1_000_000_000.0)
    view = mailbox.open_view("Drafts", read_only=True)
    assert placed.uids == (1,) and placed.uidvalidity == view.box.uidvalidity
    assert view.box.octets(1) == letter("thư nháp")
    assert view.box.header(1) == letter("thư nháp").partition(b"Body")[0]
    assert list(view.columns.internaldate) == [1_000_000_000]
    assert view.columns.flags[0] == SEEN | 16 | 64
    with pytest.raises(Conflict):
        view.store([0], "+", SEEN)
    with pytest.raises(NotFound):
        mailbox.append("Nowhere", to_store("x"))


def test_line_feeds_become_crlf_and_the_size_says_so(world: World) -> None:
    with open(f"{world.path}/new/1.M1P1.dovecot,S=23", "wb") as file:
        file.write(b"Subject: a\n\nline\r\nlast\n")
    with open(f"{world.path}/new/2.M1P1.dovecot,S=8,W=11", "wb") as file:
        file.write(b"A: b\n\nc\n")
    view = world.mailbox().open_view("INBOX")
    assert view.box.octets_of(view.columns.uid) == [b"Subject: a\r\n\r\nline\r\nlast\r\n", b"A: b\r\n\r\nc\r\n"]
    assert list(view.columns.size) == [26, 11]
    assert view.box.headers_of(view.columns.uid) == [b"Subject: a\r\n\r\n", b"A: b\r\n\r\n"]


def test_a_name_that_lies_about_the_size_is_found_out(world: World) -> None:
    world.deliver("abc", name="1.M1P1.x,S=5,W=5")
    view = world.mailbox().open_view("INBOX")
    assert view.box.octets(1) == letter("abc")
    assert list(view.columns.size) == [5]
    view.box.prepare([1])
    view.poll()
    assert list(view.columns.size) == [len(letter("abc"))]


def test_large_letters_are_mapped_and_searched(world: World) -> None:
    octets = b"Subject: big\r\n\r\n" + b"x" * (2 << 20) + b"Needle\r\n"
    with open(f"{world.path}/new/1.M1P1.x,S={len(octets)},W={len(octets)}", "wb") as file:
        file.write(octets)
    view = world.mailbox().open_view("INBOX")
    found = view.box.octets(1)
    assert isinstance(found, mmap.mmap) and found[:] == octets
    assert view.box.search_text([1], "needle") == [1]


def test_search_looks_at_folded_text_and_headers(world: World) -> None:
    view = filled(world, 2)
    world.deliver("Công Văn số 5")
    view.box.refresh()
    view.poll()
    uids = view.columns.uid
    assert view.box.search_text(uids, "body of letter 2") == [2]
    assert view.box.search_text(uids, "công văn") == [3]
    assert view.box.search_text(uids, "subject") == []
    assert view.box.search_text(uids, "subject: letter", header=True) == [1, 2]
    assert view.box.rendered(uids, "bodystructure", "envelope")[1] == (b"(S)", b"(E%d)" % view.columns.size[1])


def test_no_letter_is_taken_for_two(world: World) -> None:
    """A name that is taken in cur: the same file again is dropped, another letter gets a name of its own."""
    view = filled(world, 1)
    base = names(world)[0].partition(":")[0]
    os.link(f"{world.path}/cur/{base}:2,", f"{world.path}/new/{base}")
    view.box.refresh()
    assert len(view.box.columns) == 1 and os.listdir(f"{world.path}/new") == []
    world.deliver("another", name=base)
    os.link(f"{world.path}/cur/{base}:2,", f"{world.path}/cur/{base}:2,F")
    view.box.refresh(force=True)
    assert view.box.fields(view.box.columns, "subject") == ["letter 1", "another"]
    assert len(names(world)) == 2


def test_directories_links_and_hidden_files_are_no_letters(world: World) -> None:
    os.mkdir(f"{world.path}/cur/1.dir:2,")
    os.symlink("/etc/passwd", f"{world.path}/cur/2.link:2,")
    Path(f"{world.path}/cur/.hidden").touch()
    Path(f"{world.path}/cur/3.a\nb:2,").touch()
    view = filled(world, 1)
    assert view.box.fields(view.columns, "subject") == ["letter 1"]
    assert set(os.listdir(f"{world.path}/cur")) >= {"1.dir:2,", "2.link:2,", ".hidden"}


def test_a_kept_state_is_believed_only_for_an_unchanged_folder(world: World) -> None:
    view = filled(world, 3)
    settle(world)
    view.box.refresh(force=True)
    view.close()
    world.close()
    mailbox = world.mailbox()
    os.rename(f"{world.path}/cur/{names(world)[1]}", f"{world.path}/cur/{names(world)[1]}S")
    settle(world)  # a foreign program that sets the time back: not seen, by the rule
    assert mailbox.status("INBOX").counts.unseen == 3
    os.utime(f"{world.path}/cur", (1_600_000_500, 1_600_000_500))
    assert mailbox.status("INBOX").counts.unseen == 2
    again = world.mailbox().open_view("INBOX")
    assert list(again.columns.flags) == [0, 1, 0]
    assert again.box.uidvalidity == view.box.uidvalidity


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were listed."""
    folders: list[str] = []

    def counted(folder: str, now_s: float) -> scan_folder.Scan:
        folders.append(folder)
        return scan_folder.scan(folder, now_s)

    monkeypatch.setattr(box_names, "scan", counted)
    return folders


def test_a_folder_that_rests_is_followed_by_events(world: World, listed: list[str]) -> None:
    view = filled(world, 3)
    view.close()
    listed.clear()
    world.deliver("another")
    os.rename(f"{world.path}/cur/{names(world)[1]}", f"{world.path}/cur/{names(world)[1]}S")
    again = view.box.mailbox.open_view("INBOX")
    assert again.box.fields(again.columns, "subject")[3] == "another" and list(again.columns.flags) == [0, 1, 0, 0]
    assert listed == []


def test_a_folder_that_rests_under_a_name_that_went_is_not_believed(world: World) -> None:
    """Another process renames it, and gives its name to a new one: the watched directories still are the old ones."""
    mailbox, other = world.mailbox(), world.mailbox()
    mailbox.create("A")
    mailbox.append("A", to_store("old"))
    other.rename("A", "B")
    other.create("A")
    other.append("A", to_store("new"))
    view = mailbox.open_view("A")
    assert view.box.fields(view.columns, "subject") == ["new"]
    other.append("A", to_store("newer"))
    view.box.refresh()
    assert view.box.fields(view.box.columns, "subject") == ["new", "newer"]


def test_a_folder_that_rests_is_kept_once_it_can_be_known_again(world: World, listed: list[str]) -> None:
    view = filled(world, 3)
    view.close()
    settle(world)
    view.box.mailbox.boxes._save_rested()
    listed.clear()
    assert world.mailbox().status("INBOX").counts.messages == 3
    assert len(world.mailbox().open_view("INBOX").columns) == 3
    assert listed == []


@pytest.mark.parametrize("inotify", [True, False])
def test_letters_that_came_to_a_kept_folder_are_found_in_new_alone(
    world: World, listed: list[str], inotify: bool
) -> None:
    view = filled(world, 3)
    settle(world)
    view.box.refresh(force=True)
    view.close()
    world.close()
    listed.clear()
    world.deliver("another")
    again = world.mailbox(inotify=inotify).open_view("INBOX")
    assert again.box.fields(again.columns, "subject")[3:] == ["another"]
    assert listed == [] or not inotify
    world.deliver("one more")
    again.box.refresh()
    assert again.box.fields(again.box.columns, "subject")[3:] == ["another", "one more"]


def test_a_change_within_the_grain_of_mtime_is_seen(world: World) -> None:
    view = world.mailbox(inotify=False).open_view("INBOX")
    for _ in range(20):
        stamp = os.stat(f"{world.path}/new")
        world.deliver()
        os.utime(f"{world.path}/new", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        if view.box.is_dirty():
            view.box.refresh()
    assert len(view.box.columns) == 20


def test_status_needs_no_session_and_modseq_outlives_processes(world: World) -> None:
    view = filled(world, 4)
    view.store([0, 1], "+", SEEN)
    modseq = view.box.highestmodseq
    view.close()
    status = world.mailbox().status("INBOX")
    assert (status.counts.messages, status.counts.unseen, status.uidnext) == (4, 2, 5)
    assert (status.uidvalidity, status.highestmodseq) == (view.box.uidvalidity, modseq)
    with pytest.raises(NotFound):
        world.mailbox().status("Nowhere")


@pytest.mark.parametrize("damage", ["delete", "garbage"])
def test_the_index_is_only_a_cache(world: World, damage: str) -> None:
    view = filled(world, 3)
    before = (view.box.uidvalidity, list(view.columns.uid), view.box.fields(view.columns, "subject"))
    modseq = view.box.highestmodseq
    if damage == "garbage":
        view.box.mailbox.close()
    for tail in ("-wal", "-shm", ""):
        if os.path.exists(world.index + tail):
            os.unlink(world.index + tail)
    if damage == "garbage":
        Path(world.index).write_bytes(b"no database" * 1000)
    mailbox = world.mailbox()
    again = mailbox.open_view("INBOX")
    assert (again.box.uidvalidity, list(again.columns.uid), again.box.fields(again.columns, "subject")) == before
    assert again.box.highestmodseq >= modseq
    if damage == "delete":  # the process that had the old file open goes on with the new one
        view.store([0], "+", SEEN)
        again.box.refresh()
        assert again.poll().flags == (0,)
        assert again.box.highestmodseq == view.box.highestmodseq > modseq


def test_letters_are_read_even_without_an_index(world: World) -> None:
    Path(os.path.dirname(world.index)).write_text("a file where the folder of indexes should be")
    world.deliver("Công Văn")
    view = filled(world, 2)
    assert view.box.fields(view.columns, "subject") == ["công văn", "letter 2", "letter 3"]
    assert view.box.rendered(view.columns.uid, "bodystructure") == [(b"(S)",)] * 3
    assert view.box.search_text(view.columns.uid, "body of letter 3") == [3]
    assert view.box.search_text(view.columns.uid, "công văn", header=True) == [1]
    first = view.box.highestmodseq
    view.store([0], "+", SEEN)
    assert view.box.highestmodseq > first
    assert view.box.mailbox.status("INBOX").counts.unseen == 2


def test_folders_are_made_listed_renamed_and_removed(world: World) -> None:
    mailbox = world.mailbox()
    mailbox.create("Công văn/Đến", special_use="\\Flagged")
    mailbox.subscribe("Công văn/Đến")
    listed = {info.name: info for info in mailbox.folders()}
    assert next(iter(listed)) == "INBOX"
    assert not listed["Công văn"].selectable and listed["Công văn"].has_children
    assert listed["Công văn/Đến"].special_use == "\\Flagged" and listed["Công văn/Đến"].subscribed
    assert listed["Sent"].special_use == "\\Sent" and listed["Sent"].subscribed
    mailbox.append("Công văn/Đến", to_store("a"))
    validity = mailbox.status("Công văn/Đến").uidvalidity
    view = mailbox.open_view("Công văn/Đến")
    mailbox.rename("Công văn", "Văn bản") if mailbox.exists("Công văn") else mailbox.rename(
        "Công văn/Đến", "Văn bản/Đến"
    )
    with pytest.raises(FolderLost):
        view.box.refresh()
    assert mailbox.status("Văn bản/Đến").uidvalidity == validity
    assert mailbox.exists("Văn bản/Đến") and not mailbox.exists("Công văn/Đến")
    with pytest.raises(Conflict):
        mailbox.create("Văn bản/Đến")
    with pytest.raises(Conflict):
        mailbox.rename("Sent", "Drafts")
    with pytest.raises(NotFound):
        mailbox.rename("Nowhere", "Elsewhere")
    with pytest.raises(Invalid):
        mailbox.delete("INBOX")
    mailbox.delete("Văn bản/Đến")
    with pytest.raises(NotFound):
        mailbox.status("Văn bản/Đến")
    assert os.listdir(f"{world.path}/tmp") == []


@pytest.mark.parametrize("name", ["", "..", "a//b", "/a", "a/", "x" * 300, "a\0b", "../../etc", "a.b"])
def test_names_that_leave_the_mailbox_are_refused(world: World, name: str) -> None:
    mailbox = world.mailbox()
    for act in (mailbox.create, mailbox.subscribe, lambda n: mailbox.rename("Sent", n)):
        with pytest.raises(Invalid):
            act(name)
    assert sorted(os.listdir(os.path.dirname(world.path))) == ["box"] or os.listdir(os.path.dirname(world.path))


def test_renaming_inbox_moves_its_letters(world: World) -> None:
    view = filled(world, 3)
    mailbox = view.box.mailbox
    mailbox.rename("INBOX", "Cũ")
    assert len(mailbox.open_view("Cũ").columns) == 3
    assert view.poll().expunged == (3, 2, 1)


def test_quota_is_asked_before_and_counted_after(tmp_path: Path) -> None:
    world = World(str(tmp_path))
    quota = Quota(SystemClock())
    size = len(letter("a"))
    boxes = world.process()
    boxes.quota = LimitedQuota(quota, lambda mailbox: Limit(octets=size * 3, letters=0))
    mailbox = boxes.mailbox(world.path, world.index)
    mailbox.append("INBOX", to_store("a"))
    view = mailbox.open_view("INBOX")
    view.copy([0], "Sent")
    assert quota.usage(world.path).octets == 2 * size
    view.move([0], "Sent")
    assert quota.usage(world.path).octets == 2 * size
    sent = mailbox.open_view("Sent")
    with pytest.raises(OverQuota):
        sent.copy(range(2), "INBOX")
    sent.remove(range(2))
    assert (quota.usage(world.path).octets, quota.usage(world.path).letters) == (0, 0)
    with pytest.raises(OverQuota):
        mailbox.append("INBOX", to_store("a" * 1000))
    assert names(world) == []
    world.close()


@pytest.mark.parametrize("inotify", [True, False])
def test_waiting_ends_when_a_letter_comes(tmp_path: Path, inotify: bool) -> None:
    world = World(str(tmp_path))

    async def go() -> None:
        with ThreadPoolExecutor(2) as executor:
            boxes = world.process(inotify=inotify, executor=executor)
            mailbox = await boxes.run(boxes.mailbox, world.path, world.index)
            view = await boxes.run(mailbox.open_view, "INBOX")
            await boxes.run(view.box.refresh)
            waiting = asyncio.ensure_future(view.wait(5))
            await asyncio.sleep(0)
            world.deliver()
            assert await waiting
            await boxes.run(view.box.refresh)
            assert view.poll().exists == 1
            other = await boxes.run(mailbox.open_view, "INBOX")
            waiting = asyncio.ensure_future(view.wait(5))
            await asyncio.sleep(0)
            await boxes.run(other.store, range(1), "+", SEEN)
            assert await waiting and view.poll().flags == (0,)
            view.close()
            other.close()
            await boxes.run(boxes.close)
            world.processes.clear()

    asyncio.run(go())


def test_waiting_in_peace_ends_at_its_time(world: World) -> None:
    async def go() -> bool:
        view = world.mailbox().open_view("INBOX")
        view.box.refresh()
        return bool(await view.wait(0.02))

    assert asyncio.run(go()) is False


def test_bulk_stores_and_expunges_end_where_single_ones_do(world: World) -> None:
    view = filled(world, 300)
    other = world.mailbox().open_view("INBOX")
    assert len(view.store(range(300), "+", SEEN | DELETED).rows) == 300
    other.box.refresh()
    assert other.poll() == Deltas(flags=tuple(range(300)))
    assert other.box.highestmodseq == view.box.highestmodseq
    assert len(view.expunge().expunged) == 300
    other.box.refresh()
    assert other.poll().expunged == tuple(range(300, 0, -1))
    assert names(world) == [] and len(view.columns) == 0


def test_the_uidlist_is_shortened_when_most_of_it_is_dead(world: World) -> None:
    lines = "".join(f"{uid} :{uid}.gone\n" for uid in range(1, 1201))
    Path(f"{world.path}/dovecot-uidlist").write_text(f"3 V77 N1201 G{'0' * 32}\n{lines}")
    view = filled(world, 2)
    assert list(view.columns.uid) == [1201, 1202]
    text = Path(f"{world.path}/dovecot-uidlist").read_text().splitlines()
    assert text[0].startswith("3 V77 N1203 G000") and len(text) == 3
