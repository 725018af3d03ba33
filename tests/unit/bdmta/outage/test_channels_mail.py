"""Letters into real Maildirs and the real spool; what is cut off is finished, and nobody is told twice."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from bdmta.message import scan
from bdmta.outage.channels.contacts import Contacts, Operators
from bdmta.outage.channels.edges import IMAP, SMTP, Edges
from bdmta.outage.channels.letter import Letters
from bdmta.outage.published import OutageWatch, for_edges, publish
from storage.maildir import mailbox_dir
from storage.quota import Quota
from storage.spool import Spool


def letters(here, local):
    folder = here.folder / "mail/binhduong.gov.vn" / local
    return [
        path.read_bytes()
        for part in ("new", "cur")
        for path in sorted((folder / part).iterdir())
        if b"outage-" in path.read_bytes()
    ]


def boxes(here):
    return sorted(os.listdir(here.folder / "mail/binhduong.gov.vn"))


def channel(here):
    return Letters(here.means, pause=lambda: None)


def test_every_mailbox_has_one_letter_and_all_share_one_inode(place, telling):
    here = place()
    tell = telling(here)
    assert tell(channel(here)) == ["done"] and tell(channel(here)) == []
    assert tell.receipt(channel(here)) == f"{len(boxes(here))} mailboxes"
    inodes = set()
    for local in boxes(here):
        (octets,) = letters(here, local)
        new = here.folder / "mail/binhduong.gov.vn" / local / "new"
        inodes |= {p.stat().st_ino for p in new.iterdir() if p.read_bytes() == octets}
    assert len(inodes) == 1
    assert os.listdir(here.folder / "outage/letters") == []


def test_the_letter_is_right(place, telling):
    here = place()
    telling(here)(channel(here))
    (octets,) = letters(here, "minhnv")
    message = scan(octets)
    assert message.first("subject").text.startswith("Thông báo sự cố hệ thống thư điện tử, dự kiến phục hồi 10 giờ 00")
    assert message.first("message-id").text == f"<outage-{here.notice.id}-1@mail.binhduong.gov.vn>"
    assert message.first("auto-submitted").text == "auto-generated"
    assert message.first("to").text.endswith(":;")
    from email import message_from_bytes, policy

    parsed = message_from_bytes(octets, policy=policy.SMTP)
    text = parsed.get_content()
    for piece in (
        "Đứt cáp quang",
        "Dự kiến phục hồi: 10 giờ 00 ngày 28/11/2026",
        "Expected recovery: 10:00 on 28 November",
    ):
        assert piece in text
    assert octets.count(b"\r\n") == octets.count(b"\n")


def test_an_agency_alone_is_told_of_what_is_its_own(place, telling):
    here = place(scope=("sotttt",))
    telling(here)(channel(here))
    told = [local for local in boxes(here) if letters(here, local)]
    assert "sotttt" in told and "sonv" not in told and 0 < len(told) < len(boxes(here))


def test_letters_of_one_notice_are_one_thread(place, telling):
    here = place()
    tell = telling(here)
    tell(channel(here))
    here.clock.advance(60)
    here.book.update(here.notice.id, until_at=here.clock.now() + timedelta(hours=5), what=None, by="lan")
    here.book.close_notice(here.notice.id, done="Đã hàn cáp", by="lan")
    assert tell(channel(here)) == ["done", "done"]
    found = [scan(octets) for octets in letters(here, "minhnv")]
    first = f"<outage-{here.notice.id}-1@mail.binhduong.gov.vn>"
    assert sorted(h.text for m in found if (h := m.first("references"))) == [first, first]


@pytest.mark.parametrize("after", [0, 1, 4, 7])
def test_cut_off_anywhere_it_is_finished_without_doubling(place, telling, after, monkeypatch):
    """The process dies after some links, before the receipt; the next one goes on, even if officials have read it."""
    import storage.expand

    here = place()
    tell = telling(here)
    made = []
    real = os.link

    class Killed(BaseException):
        pass

    def link(source, target, **more):
        if target.startswith(str(here.folder / "mail/binhduong")):
            if len(made) == after:
                raise Killed
            made.append(target)
        return real(source, target, **more)

    monkeypatch.setattr(storage.expand.os, "link", link)
    with pytest.raises(Killed):
        tell(channel(here))
    monkeypatch.setattr(storage.expand.os, "link", real)
    for path in made[:2]:
        os.rename(path, path.replace("/new/", "/cur/") + ":2,S")
    assert tell(channel(here)) == ["done"]
    assert [len(letters(here, local)) for local in boxes(here)] == [1] * len(boxes(here))


def test_killed_between_the_last_mailbox_and_the_receipt(place, telling):
    from bdmta.outage.jobs import jobs

    here = place()
    first = channel(here)
    (job,) = jobs(here.book.all(), [first.reach], here.clock.now())
    first.deliver(job)
    for local in boxes(here):  # everybody has read it, and some have thrown it away
        folder = here.folder / "mail/binhduong.gov.vn" / local
        for path in (folder / "new").iterdir():
            path.unlink()
    assert telling(here)(channel(here)) == ["done"]
    assert [len(letters(here, local)) for local in boxes(here)] == [0] * len(boxes(here))


def test_a_mailbox_that_cannot_be_reached_keeps_nobody_waiting(place, telling):
    here = place()
    folder = here.folder / "mail/binhduong.gov.vn/minhnv/new"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    tell = telling(here)
    assert tell(channel(here)) == ["waiting"] and f"1 of {len(boxes(here))} mailboxes" in tell.receipt(channel(here))
    assert all(len(letters(here, local)) == 1 for local in boxes(here) if local != "minhnv")
    folder.unlink()
    folder.mkdir()
    here.clock.advance(10)
    assert tell(channel(here)) == ["done"]
    assert [len(letters(here, local)) for local in boxes(here)] == [1] * len(boxes(here))


def test_contacts_outside_are_in_the_queue_once(place, telling):
    here = place({"contacts": '["cong@portal.example", "bao@tin.example"]'})
    tell = telling(here)
    assert tell(Contacts(here.means)) == ["done"]
    spool = Spool(here.site.queue_dir, here.clock)
    (entry_id,) = spool.list()
    entry = spool.load(entry_id)
    assert [r.address for r in entry.recipients] == ["cong@portal.example", "bao@tin.example"] and entry.sender == ""
    from bdmta.outage.jobs import Job

    job = Job(here.notice, here.notice.announcements[0], "contacts", 1)
    Contacts(here.means).deliver(job)  # a process that died before the receipt
    assert spool.list() == [entry_id]


def test_operators_hear_of_drafts_and_of_what_is_late_once(place, telling):
    here = place({"operators": '["minhnv@binhduong.gov.vn"]'})
    tell = telling(here)
    here.clock.advance(2 * 3600)
    from bdmta.outage.due import Rules

    here.book.advance(Rules(), is_well=True)
    assert tell(Operators(here.means)) == []
    here.clock.advance(1800)
    here.book.advance(Rules(), is_well=True)
    box, quota = mailbox_dir(here.means.site.mail_root, "minhnv@binhduong.gov.vn"), Quota(here.clock)
    before = quota.recalculate(box).letters
    assert tell(Operators(here.means)) == ["done"]
    assert quota.usage(box).letters == before + 1
    from bdmta.outage.jobs import Job

    notice = here.book.get(here.notice.id)
    Operators(here.means).deliver(Job(notice, notice.announcements[-1], "operators", 1))
    (octets,) = letters(here, "minhnv")
    assert scan(octets).first("subject").text.startswith("Đã quá thời gian dự kiến phục hồi")
    assert letters(here, "longtq") == []


def test_edges_read_what_is_published(place, telling):
    here = place(scope=("smtp", "imap"))
    watch = OutageWatch(here.means.folder, here.clock)
    assert watch.current().smtp == () and watch.at_login("sotttt") == []
    publish(here.means.folder, for_edges(here.book.all(), here.means.texts, here.clock.now()))
    assert telling(here)(Edges(here.means, IMAP)) == ["done"]
    assert telling(here)(Edges(here.means, SMTP)) == ["done"]
    (alert,) = watch.fresh()
    assert alert.text.startswith("Sự cố từ 08 giờ 00") and watch.fresh() == [] and watch.at_login("any") == [alert.text]
    assert watch.current().smtp[0] == "Service stopped, expected back 10:00 on 28 November 2026"
    assert watch.current().stand_in("smtp").startswith(b"421 4.3.2 Service stopped, expected back 10:00")
    assert watch.current().stand_in("imap").startswith(b"* BYE [UNAVAILABLE] Service stopped")
    assert watch.current().stand_in("imaps") == b""
    here.book.close_notice(here.notice.id, done="Đã hàn cáp", by="lan")
    publish(here.means.folder, for_edges(here.book.all(), here.means.texts, here.clock.now()))
    (over,) = watch.fresh()
    assert "đã hoạt động trở lại" in over.text and watch.at_login("any") == [] and watch.current().smtp == ()
    here.clock.advance(601)
    assert for_edges(here.book.all(), here.means.texts, here.clock.now())["alerts"] == []


def test_an_agency_is_stopped_for_itself(place):
    here = place(scope=("sotttt",))
    publish(here.means.folder, for_edges(here.book.all(), here.means.texts, here.clock.now()))
    watch = OutageWatch(here.means.folder, here.clock)
    assert watch.current().smtp == () and set(watch.current().agencies) == {"sotttt"}
    assert watch.at_login("sonv") == [] and len(watch.at_login("sotttt")) == 1


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b'{"alerts": 3}', b'{"smtp": [], "alerts": [{}]}'])
def test_a_broken_file_leaves_what_was_known(place, octets):
    here = place(scope=("smtp",))
    publish(here.means.folder, for_edges(here.book.all(), here.means.texts, here.clock.now()))
    watch = OutageWatch(here.means.folder, here.clock)
    (here.folder / "outage/edges.json").write_bytes(octets)
    assert watch.current(look_now=True).smtp
