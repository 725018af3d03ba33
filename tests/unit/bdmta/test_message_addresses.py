"""Address lists as strangers write them."""

from __future__ import annotations

import pytest

from bdmta.message.addresses import Group, Mailbox, addresses, mailboxes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b.vn", [("", "a", "b.vn")]),
        ("<a@B.VN>", [("", "a", "b.vn")]),
        ("Lan <a@b>, Hoa<c@d>", [("Lan", "a", "b"), ("Hoa", "c", "d")]),
        ('"Nguyễn, Lan" <a@b>', [("Nguyễn, Lan", "a", "b")]),
        (r'"a \"b\" c" <a@b>', [('a "b" c', "a", "b")]),
        ("=?utf-8?B?SMOg?= =?utf-8?Q?_N=E1=BB=99i?= <a@b>", [("Hà Nội", "a", "b")]),
        ('"=?utf-8?B?SMOg?=" <a@b>', [("Hà", "a", "b")]),
        ("a@b (Ong (that) X)", [("Ong (that) X", "a", "b")]),
        ("(x) a (y) @ (z) b", [("x", "a", "b")]),
        ("a . b @ c . d", [("", "a.b", "c.d")]),
        ('"a b"@c', [("", "a b", "c")]),
        ("<@r1,@r2:a@b>, c@d", [("", "a", "b", "@r1,@r2"), ("", "c", "d")]),
        ("a@[192.0.2.1], b@[IPv6:::1]", [("", "a", "[192.0.2.1]"), ("", "b", "[ipv6:::1]")]),
        ("<>", [("", "", "")]),
        ("", []),
        (",, ,", []),
        ("no address", [("", "no address", "")]),
        ("a@b@c", [("", "a@b", "c")]),
        ("Lan <a@b", [("Lan", "a", "b")]),
        ("Lan <a@b> <c@d>", [("Lan", "a", "b"), ("", "c", "d")]),
        ('"a@gov.vn" <x@y>', [("a@gov.vn", "x", "y")]),
        ('"a\r\n b"@c, "d\rRCPT" <e@f>', [("", "a b", "c"), ("d RCPT", "e", "f")]),
        ("=?utf-8?Q?a=0D=0AX:_y?= <a@b>", [("a X: y", "a", "b")]),
        ("a@b,\r\n c@d", [("", "a", "b"), ("", "c", "d")]),
        ("Phòng: a@b, c@d;, e@f", [("", "a", "b"), ("", "c", "d"), ("", "e", "f")]),
        ("undisclosed-recipients:;", []),
        ("địa.chỉ@tỉnh.vn", [("", "địa.chỉ", "tỉnh.vn")]),
    ],
)
def test_mailboxes(value: str, expected: list[tuple[str, ...]]) -> None:
    assert mailboxes(value) == [Mailbox(*one) for one in expected]
    assert mailboxes(value.encode()) == [Mailbox(*one) for one in expected]


def test_groups_are_kept_where_asked() -> None:
    found = addresses("x@y, Phong: a@b, c@d;, Kin:;")
    assert found == [
        Mailbox("", "x", "y"),
        Group("Phong", (Mailbox("", "a", "b"), Mailbox("", "c", "d"))),
        Group("Kin", ()),
    ]


def test_the_limit_counts_members_of_groups() -> None:
    assert len(mailboxes("G: " + "a@b, " * 50, limit=10)) == 10


def test_the_address_in_one_piece() -> None:
    assert [box.address for box in mailboxes("Lan <a@b>, c")] == ["a@b", "c"]
