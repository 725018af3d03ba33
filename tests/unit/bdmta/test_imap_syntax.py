"""Tokens, sequence sets, items and keys: what is read, and what is refused."""

from __future__ import annotations

from array import array

import pytest

from bdmta.imap.fetch_items import Section, parse_fetch_items, parse_fetch_modifiers
from bdmta.imap.response import date_time, folder_name, folder_octets, parse_date_time, split_flags, string
from bdmta.imap.search_keys import BadCharset, parse_search
from bdmta.imap.sequence import parse_sequence_set, render_set
from bdmta.imap.syntax import BadSyntax, Cursor


def test_strings_in_their_three_forms() -> None:
    cursor = Cursor(b'atom] "quo\\"ted\\\\" {5}\r\nli"t\r rest')
    found = []
    for _ in range(3):
        found.append(cursor.astring())
        cursor.space()
    assert found == [b"atom]", b'quo"ted\\', b'li"t\r']
    assert cursor.atom() == b"rest"
    cursor.end()


@pytest.mark.parametrize("data", [b'"open', b'"a\\b"', b'"a\r\n"', b"{9}\r\nshort", b"(", b"", b"a{3}", b'"\0"'])
def test_malformed_strings(data: bytes) -> None:
    cursor = Cursor(data)
    with pytest.raises(BadSyntax):
        cursor.astring()
        cursor.end()


def test_numbers_are_bounded() -> None:
    assert Cursor(b"9223372036854775807").number() == (1 << 63) - 1
    with pytest.raises(BadSyntax):
        Cursor(b"9223372036854775808").number()


UIDS = array("I", [3, 5, 8, 13])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"1:*", range(4)),
        (b"*", range(3, 4)),
        (b"2", range(1, 2)),
        (b"4:2", range(1, 4)),
        (b"1,3:4", [0, 2, 3]),
        (b"2,1,2", range(2)),
        (b"*:1", range(4)),
    ],
)
def test_sequence_numbers(text: bytes, rows: object) -> None:
    assert parse_sequence_set(Cursor(text)).rows(UIDS, by_uid=False) == rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"1:*", range(4)),
        (b"*", range(3, 4)),
        (b"100:*", range(3, 4)),
        (b"4:7", range(1, 2)),
        (b"6", []),
        (b"1:3,13", [0, 3]),
    ],
)
def test_uids(text: bytes, rows: object) -> None:
    assert list(parse_sequence_set(Cursor(text)).rows(UIDS, by_uid=True)) == list(rows)  # type: ignore[call-overload]


def test_numbers_that_no_letter_has() -> None:
    with pytest.raises(BadSyntax):
        parse_sequence_set(Cursor(b"5")).rows(UIDS, by_uid=False)
    assert not parse_sequence_set(Cursor(b"1:*")).rows(array("I"), by_uid=False)
    assert not parse_sequence_set(Cursor(b"1:*")).rows(array("I"), by_uid=True)


@pytest.mark.parametrize("text", [b"0", b"1:", b":1", b"1,,2", b"a", b"4294967296", b"1:2:3", b""])
def test_malformed_sets(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse_sequence_set(Cursor(text))


def test_sets_are_written_in_order() -> None:
    assert render_set([1, 2, 3, 7, 9, 10]) == b"1:3,7,9:10"
    assert render_set([5, 4, 6]) == b"5:4,6" or render_set([5, 4, 6]) == b"5,4,6"
    assert render_set([]) == b""


def test_fetch_items() -> None:
    (body, uid) = parse_fetch_items(Cursor(b"(BODY.PEEK[1.2.HEADER.FIELDS (From {2}\r\nTo)]<5.10> uid)"))
    assert body.section == Section((1, 2), "HEADER.FIELDS", (b"from", b"to"))
    assert (body.partial, body.is_peek, uid.name) == ((5, 10), True, "UID")
    assert b"{" not in body.label
    assert [item.name for item in parse_fetch_items(Cursor(b"ALL"))] == [
        "FLAGS",
        "INTERNALDATE",
        "RFC822.SIZE",
        "ENVELOPE",
    ]
    assert parse_fetch_items(Cursor(b"RFC822"))[0].is_peek is False
    assert parse_fetch_items(Cursor(b"BODY"))[0].section is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"()",
        b"(FLAGS",
        b"FLAG",
        b"BODY[",
        b"BODY[0]",
        b"BODY[1.]",
        b"BODY[MIME]",
        b"BODY[HEADER.FIELDS]",
        b"BODY[HEADER.FIELDS ()]",
        b"BODY[]<1.0>",
        b"BODY[]<1>",
        b"(ALL)",
        b"BODY[1.1.X]",
        b"(FLAGS  UID)",
    ],
)
def test_malformed_fetch_items(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse_fetch_items(Cursor(text))


def test_fetch_modifier() -> None:
    assert parse_fetch_modifiers(Cursor(b" (CHANGEDSINCE 12)")) == 12
    assert parse_fetch_modifiers(Cursor(b"")) is None
    with pytest.raises(BadSyntax):
        parse_fetch_modifiers(Cursor(b" (VANISHED)"))


def test_search_keys() -> None:
    program = parse_search(
        Cursor('RETURN (COUNT) CHARSET utf-8 OR (SEEN NOT FROM "Ngô") SINCE 1-Feb-1970 2:4'.encode())
    )
    assert program.returns == {"COUNT"}
    first, second = program.key.keys
    assert first.name == "OR" and second.name == "SEQUENCE"
    assert first.keys[0].keys[1].keys[0].text == "Ngô"
    assert first.keys[1].number == 31


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"FOO",
        b"OR SEEN",
        b"NOT",
        b"(SEEN",
        b"SEEN)",
        b"SINCE 31-Feb-2026",
        b"SINCE 1-Foo-2026",
        b"LARGER x",
        b"YOUNGER 0",
        b"RETURN (SAVE) ALL",
        b"HEADER Subject",
        b"SUBJECT \xff",
        b"(" * 30 + b"ALL" + b")" * 30,
        b"NOT " * 200 + b"ALL",
        b"OR ALL " * 300 + b"ALL",
        b" ".join([b"ALL"] * 2000),
    ],
)
def test_malformed_searches(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse_search(Cursor(text))


def test_unknown_charset() -> None:
    with pytest.raises(BadCharset):
        parse_search(Cursor(b"CHARSET KOI8-R ALL"))


def test_folder_names_nfc_and_nfd_are_one() -> None:
    assert folder_name(b"C&APQ-ng v&AQM-n") == folder_name("Co\u0302ng va\u0306n".encode()) == "Công văn"
    assert folder_name(b"inbox/x") == "INBOX/x"
    assert folder_name(b"R&D") == "R&D"
    assert folder_octets("R&D") == b'"R&-D"'
    assert folder_octets("Công", utf8=True) == '"Công"'.encode()
    assert folder_octets('a"b\\') == b'"a\\"b\\\\"'
    for bad in (b"a\0b", b"a\nb", b"\xff"):
        with pytest.raises(BadSyntax):
            folder_name(bad)


def test_flags() -> None:
    assert split_flags([b"\\seen", b"$Label1"]) == (1, ["$Label1"])
    for bad in (b"\\Recent", b"\\Foo"):
        with pytest.raises(BadSyntax):
            split_flags([bad])


def test_dates() -> None:
    text = b"23-Nov-2026 09:00:00 +0700"
    assert date_time(parse_date_time(text), 7 * 3600) == b'"' + text + b'"'
    assert date_time(0, -5400) == b'"31-Dec-1969 22:30:00 -0130"'
    for bad in (
        b"",
        b"32-Nov-2026 09:00:00 +0700",
        b"1-Nov-2026 09:00:00 +0700",
        b"01-Foo-2026 09:00:00 +0700",
        b"01-Nov-2026 25:00:00 +0700",
    ):
        with pytest.raises(BadSyntax):
            parse_date_time(bad)


def test_strings_are_quoted_where_they_can_be() -> None:
    assert string(b"plain") == b'"plain"'
    assert string(b'a"b') == b'{3}\r\na"b'
    assert string("ô".encode()) == b"{2}\r\n\xc3\xb4"
