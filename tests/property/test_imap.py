"""Whatever a peer sends, the grammar answers with a command or with its own error; nothing it holds is unbounded."""

from __future__ import annotations

from array import array
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.imap.fetch_items import parse_fetch_items
from bdmta.imap.frame import Announced, Bounds, Command, Framer, TooLong
from bdmta.imap.list_pattern import matches
from bdmta.imap.response import folder_name, folder_octets, parse_date_time
from bdmta.imap.search_keys import BadCharset, parse_search
from bdmta.imap.sequence import parse_sequence_set, render_set
from bdmta.imap.sort import parse_sort_keys
from bdmta.imap.syntax import BadSyntax, Cursor

WORDS = st.sampled_from(
    [
        b"BODY",
        b"[",
        b"]",
        b"<",
        b">",
        b"(",
        b")",
        b" ",
        b"1",
        b".",
        b"HEADER.FIELDS",
        b"OR",
        b"NOT",
        b"ALL",
        b'"',
        b"{3}\r\n",
        b"{3+}\r\nabc",
        b"SUBJECT",
        b"\\",
        b"CHARSET",
        b"UTF-8",
        b"RETURN",
        b"*",
        b",",
        b":",
        b"SINCE",
        b"1-Feb-2026",
        b"MODSEQ",
        b"\r",
        b"\n",
        b"\0",
        b"\xff",
    ]
)
TEXTS = st.one_of(st.binary(max_size=60), st.lists(WORDS, max_size=25).map(b"".join))


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_only_bad_syntax(text: bytes) -> None:
    for parse in (parse_fetch_items, parse_search, parse_sequence_set, parse_sort_keys):
        with suppress(BadSyntax, BadCharset):
            parse(Cursor(text))
    for method in ("tag", "astring", "list_pattern", "nstring", "words", "flags", "text"):
        with suppress(BadSyntax):
            getattr(Cursor(text), method)()
    for function in (folder_name, parse_date_time):
        with suppress(BadSyntax):
            function(text)


@given(
    st.lists(st.integers(1, 50), max_size=20, unique=True).map(sorted),
    st.lists(st.integers(1, 60), min_size=1, max_size=10),
)
@settings(max_examples=100, deadline=None)
def test_uid_sets_name_what_is_there(uids: list[int], wanted: list[int]) -> None:
    rows = parse_sequence_set(Cursor(render_set(sorted(set(wanted))))).rows(array("I", uids), by_uid=True)
    assert [uids[row] for row in rows] == [uid for uid in uids if uid in wanted]


@given(st.lists(st.one_of(WORDS, st.binary(max_size=30)), max_size=30), st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_the_framer_is_bounded_and_does_not_depend_on_the_blocks(pieces: list[bytes], block: int) -> None:
    data = b"".join(pieces)

    def events(step: int) -> list[object]:
        framer = Framer(Bounds(line=100, literal=20, command=150))
        found: list[object] = []
        for start in range(0, len(data), step):
            framer.buffer += data[start : start + step]
            while (event := framer.next()) is not None:
                if isinstance(event, Announced) and not event.is_letter:
                    if event.size > 20:
                        framer.refuse()
                    else:
                        framer.accept()
                found.append(event if isinstance(event, Command) else type(event))
                if isinstance(event, TooLong):
                    return found
        return found

    whole, pieced = events(len(data) or 1), events(block)
    assert [e for e in whole if isinstance(e, Command)] == [e for e in pieced if isinstance(e, Command)]


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_folder_names_come_back(name: str) -> None:
    told = folder_octets(name)
    raw = Cursor(told).astring()
    import unicodedata

    expected = unicodedata.normalize("NFC", name)
    head, slash, rest = expected.partition("/")
    if head.upper() == "INBOX":
        expected = "INBOX" + slash + rest
    if folder_name(raw) != expected:
        assert unicodedata.normalize("NFC", name) != name


@given(st.text("ab/%*", max_size=12), st.text("ab/", max_size=10))
@settings(max_examples=200, deadline=None)
def test_patterns_agree_with_a_regular_expression(pattern: str, name: str) -> None:
    import re

    expression = "".join({"*": ".*", "%": "[^/]*"}.get(c, re.escape(c)) for c in pattern)
    assert matches(pattern, name) is (re.fullmatch(expression, name) is not None)
