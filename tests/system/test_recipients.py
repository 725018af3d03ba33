"""Whom a letter reaches: groups, aliases, nesting, closed and new mailboxes; one inode, nobody twice."""

import json

import pytest

from bdmta.errors import BdmtaError
from tests.site import DOMAIN
from tests.system.wire import OUTSIDE, Wire, deliver, here, letter, office


def address(name):
    return name if "@" in name else here(name)


def group(site, name, *members):
    office(site, "group_add", address=here(name), name="", members=[address(m) for m in members], owner=None)


def alias(site, name, *targets):
    office(site, "alias_add", address=here(name), targets=[address(t) for t in targets])


def has_all(site, locals_, mark):
    return all(any(mark in text for text in site.letters(local)) for local in locals_)


def copies(site, local, mark):
    return sum(mark in text for text in site.letters(local))


def queue(site):
    """The recipients of every entry of the spool, by id."""
    found = {}
    for path in (site.folder / "queue").glob("*.env"):
        found[path.stem] = json.loads(path.read_text())
    return found


def test_a_group_of_150_is_one_inode_and_nobody_gets_it_twice(site, crowd):
    members = crowd[:150]
    group(site, "nhom150", *members)
    assert deliver(site, letter("Nhóm 150"), here("nhom150"), here(members[0]), here(members[149])).code == 250
    mark = "Nhóm 150".encode()
    site.wait_for(lambda: has_all(site, members, mark))
    assert all(copies(site, local, mark) == 1 for local in members)
    found = {
        path.stat().st_ino
        for local in members
        for path in (site.mailbox(local) / "new").iterdir()
        if mark in path.read_bytes()
    }
    assert len(found) == 1
    site.wait_for(lambda: not list((site.folder / "queue").glob("x-*")))


def test_a_group_of_1000_is_one_inode_of_1000_names(site, crowd):
    group(site, "nhom1000", *crowd)
    assert deliver(site, letter("Nhóm 1000"), here("nhom1000")).code == 250
    mark = "Nhóm 1000".encode()
    site.wait_for(lambda: has_all(site, crowd, mark), 20)
    site.wait_for(lambda: not list((site.folder / "queue").glob("x-*")))
    found = [
        path.stat() for local in crowd for path in (site.mailbox(local) / "new").iterdir() if mark in path.read_bytes()
    ]
    assert len(found) == 1000
    assert {stat.st_ino for stat in found} == {found[0].st_ino}
    assert found[0].st_nlink == 1000


def test_alias_and_mailbox_together_are_one_copy(site, mailbox):
    local = mailbox()
    alias(site, f"{local}.cu", local)
    assert deliver(site, letter("Một bản"), here(f"{local}.cu"), here(local), here(local).upper()).code == 250
    assert len(site.letters(local)) == 1


def test_nested_groups_and_an_alias_to_outside(site, mailbox):
    one, two, three = mailbox(), mailbox(), mailbox()
    group(site, f"{one}.trong", one, two)
    alias(site, f"{one}.ngoai", "friend@elsewhere.example", two)
    group(site, f"{one}.ngoai.nhom", f"{one}.trong", f"{one}.ngoai", three)
    before = queue(site)
    assert deliver(site, letter("Lồng nhau"), here(f"{one}.ngoai.nhom")).code == 250
    assert [len(site.letters(local)) for local in (one, two, three)] == [1, 1, 1]
    (entry,) = [queue(site)[name] for name in queue(site).keys() - before.keys()]
    assert [r["address"] for r in entry["recipients"]] == ["friend@elsewhere.example"]
    assert entry["sender"] == OUTSIDE


def test_a_group_cannot_be_made_to_hold_itself(site, mailbox):
    local = mailbox()
    group(site, f"{local}.a", local)
    group(site, f"{local}.b", f"{local}.a")
    with pytest.raises(BdmtaError, match="back to itself"):
        office(site, "group_members", address=here(f"{local}.a"), add=[here(f"{local}.b")])
    assert deliver(site, letter("Vòng"), here(f"{local}.a")).code == 250
    assert len(site.letters(local)) == 1


def test_postmaster_and_abuse_of_the_domain_reach_somebody(site):
    mark = b"postmaster-and-abuse"
    answer = deliver(site, letter(mark.decode()), f"PostMaster@{DOMAIN}", f"abuse@{DOMAIN}", "postmaster")
    assert answer.code == 250
    holders = [
        path for path in (site.folder / "mail" / DOMAIN).glob("*/new/*") if mark in path.read_bytes()
    ]  # fmt: skip
    assert len(holders) == 1


def test_a_suspended_mailbox_receives_and_cannot_log_in(site, mailbox):
    local = mailbox(password="Mat-khau-2031")
    with Wire(site, "submissions") as wire:
        assert wire.login(local, "Mat-khau-2031").code == 235
    office(site, "mailbox_status", address=here(local), status="suspended")
    assert deliver(site, letter("Vẫn nhận"), here(local)).code == 250
    assert len(site.letters(local)) == 1
    with Wire(site, "submissions") as wire:
        assert wire.login(local, "Mat-khau-2031").code == 535


def test_a_closed_mailbox_is_refused_also_behind_an_alias(site, mailbox):
    local, other = mailbox(), mailbox()
    alias(site, f"{local}.cu", local)
    group(site, f"{local}.nhom", local, other)
    office(site, "mailbox_status", address=here(local), status="closed")
    with Wire(site) as wire:
        site.wait_for(lambda: wire.ask("RSET") and wire.envelope(OUTSIDE, here(local))[1].code == 550, 3)
        assert "mailbox closed" in wire.ask(f"RCPT TO:<{here(local)}>").text
        assert wire.ask(f"RCPT TO:<{local}.cu@{DOMAIN}>").code == 550
        assert wire.ask("RSET")
        assert wire.deliver(letter("Nhóm còn một"), f"{local}.nhom@{DOMAIN}").code == 250
    assert (len(site.letters(local)), len(site.letters(other))) == (0, 1)


def test_a_mailbox_is_known_the_moment_it_is_made(site):
    with Wire(site) as wire:
        refused = wire.envelope(OUTSIDE, here("vuatao"))
        assert refused[1].code == 550
        office(site, "mailbox_add", address=here("vuatao"), name="Vừa tạo")
        assert wire.ask(f"RCPT TO:<{here('vuatao')}>").code == 250
        assert wire.data(letter("Chào")).code == 250
    assert len(site.letters("vuatao")) == 1


def test_recipients_over_the_bound_are_put_off_and_the_others_served(site, crowd):
    """RFC 5321 §4.5.3.1.10: 452, and the letter goes to those accepted."""
    with Wire(site) as wire:
        assert wire.ask(f"MAIL FROM:<{OUTSIDE}>")
        wire.send(b"".join(b"RCPT TO:<%s>\r\n" % here(local).encode() for local in crowd))
        assert {wire.answer().code for _ in crowd} == {250}
        assert wire.ask(f"RCPT TO:<{here('minhnv')}>").code == 452
        assert wire.data(letter("Nghìn người nhận")).code == 250
    mark = "Nghìn người nhận".encode()
    site.wait_for(lambda: has_all(site, crowd, mark), 20)
    assert all(copies(site, local, mark) == 1 for local in crowd)
