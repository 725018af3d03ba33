"""The room of a mailbox (Điều 18): refused at RCPT when it is full, warned of at 80 and 95 % once each."""

import email
import email.policy

import pytest

from tests.system.wire import OUTSIDE, Wire, deliver, here, letter, office

ROOM = 1_000_000


def of_octets(octets):
    line = "x" * 76 + "\r\n"
    return letter(line * (octets // 78))


def warnings(site, local):
    """Subjects of the quota letters in a mailbox."""
    read = [email.message_from_bytes(octets, policy=email.policy.default) for octets in site.letters(local)]
    return [m["subject"] for m in read if "dung lượng" in m["subject"]]


def test_80_and_95_percent_are_told_once_each_then_the_mailbox_is_full(site, mailbox):
    local = mailbox(quota_octets=ROOM)
    deliver(site, of_octets(500_000), here(local))
    assert deliver(site, of_octets(310_000), here(local)).code == 250
    site.wait_for(lambda: len(warnings(site, local)) == 1)
    assert deliver(site, of_octets(50_000), here(local)).code == 250  # 87 %
    assert deliver(site, of_octets(95_000), here(local)).code == 250  # 96 %
    site.wait_for(lambda: len(warnings(site, local)) == 2)
    assert deliver(site, of_octets(10_000), here(local)).code == 250  # 97 %
    assert sorted(warnings(site, local)) == [f"Hộp thư đã dùng {percent} % dung lượng" for percent in (80, 95)]
    deliver(site, of_octets(100_000), here(local))  # in flight when it was not yet full: contract 6
    with Wire(site) as wire:
        _, refused = wire.envelope(OUTSIDE, here(local))
        assert refused.code == 452
        assert "4.2.2" in refused.text
        assert "Hop thu da day" in refused.text
    (first, *_) = [octets for octets in site.letters(local) if b"Auto-Submitted" in octets]
    notice = email.message_from_bytes(first, policy=email.policy.default)
    assert "Hộp thư" in notice.get_content()
    assert notice["return-path"] == "<>"


def test_a_declared_size_that_does_not_fit_is_refused_at_rcpt(site, mailbox):
    local = mailbox(quota_octets=ROOM)
    assert deliver(site, of_octets(100_000), here(local)).code == 250
    with Wire(site) as wire:
        _, refused = wire.envelope(OUTSIDE, here(local), parameters=" SIZE=950000")
        assert (refused.code, refused.text[4:9]) == (452, "4.2.2")
        assert wire.ask("RSET")
        assert wire.envelope(OUTSIDE, here(local), parameters=" SIZE=800000")[1].code == 250


def test_a_number_of_letters_is_a_quota_too(site, mailbox):
    local = mailbox(quota_letters=3)
    for number in range(3):
        assert deliver(site, letter(str(number)), here(local)).code == 250
    # The letters that warn of it count as well, so the mailbox is full now.
    site.wait_for(lambda: deliver(site, letter("một nữa"), here(local)).code == 452, 3)


def test_more_room_takes_effect_at_once(site, mailbox):
    local = mailbox(quota_octets=ROOM)
    deliver(site, of_octets(1_100_000), here(local))
    site.wait_for(lambda: deliver(site, letter(), here(local)).code == 452, 3)
    office(site, "mailbox_set", address=here(local), quota_octets=10 * ROOM)
    site.wait_for(lambda: deliver(site, letter(), here(local)).code == 250, 3)


@pytest.mark.parametrize("members", [3, 120])
def test_a_group_fills_its_members_up_and_warns_them(site, mailbox, crowd, members):
    local = mailbox(quota_octets=ROOM)
    deliver(site, of_octets(790_000), here(local))
    everybody = [here(local), *map(here, crowd[300 : 300 + members])]
    office(site, "group_add", address=here(f"{local}.nhom"), name="", members=everybody, owner=None)
    assert deliver(site, of_octets(30_000), here(f"{local}.nhom")).code == 250
    site.wait_for(lambda: warnings(site, local) == ["Hộp thư đã dùng 80 % dung lượng"])


def test_a_full_member_asked_for_by_two_ways_gets_one_copy(site, mailbox):
    full, other = mailbox(quota_octets=ROOM), mailbox()
    office(site, "group_add", address=here(f"{full}.nhom"), name="", members=[here(full), here(other)], owner=None)
    deliver(site, of_octets(990_000), here(full))
    mark = "Hai đường một bản"
    before = set((site.folder / "queue").glob("*.env"))
    assert deliver(site, letter(mark + "x" * 50_000), here(f"{full}.nhom"), here(full)).code == 250
    assert sum(mark.encode() in octets for octets in site.letters(full)) == 1
    assert sum(mark.encode() in octets for octets in site.letters(other)) == 1
    assert set((site.folder / "queue").glob("*.env")) == before


def test_a_full_member_of_a_group_gets_the_copy_when_there_is_room(own_site):
    site = own_site({"dns": {"servers": "[]"}})
    site.start()
    for local, octets in (("day", ROOM), ("trong", None)):
        office(site, "mailbox_add", address=here(local), name=local, quota_octets=octets)
    office(site, "group_add", address=here("nhom"), name="", members=[here("day"), here("trong")], owner=None)
    deliver(site, of_octets(1_050_000), here("day"))
    site.wait_for(lambda: deliver(site, letter(), here("day")).code == 452)
    mark = "Chờ chỗ trống".encode()
    assert deliver(site, letter("Chờ chỗ trống"), here("nhom")).code == 250
    assert [sum(mark in octets for octets in site.letters(local)) for local in ("day", "trong")] == [0, 1]
    office(site, "mailbox_set", address=here("day"), quota_octets=10 * ROOM)

    def has_come():  # by the courier's own schedule, or when an operator asks for it
        site.run("queue", "retry", "all", check=False)
        return any(mark in octets for octets in site.letters("day"))

    site.wait_for(has_come)
    site.wait_for(lambda: not list((site.folder / "queue").iterdir()))
    assert sum(mark in octets for octets in site.letters("day")) == 1
