"""dovecot-uidlist cut off at any octet: what was told stays, nothing is told twice."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.uidlist import UidList, parse_lines, render_lines

BASES = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r:/\0", exclude_categories=("Cs",)), min_size=1, max_size=30
)


@given(st.lists(BASES, max_size=8, unique=True), st.data())
@settings(max_examples=60, deadline=None)
def test_a_crash_anywhere_in_an_append_repeats_no_uid(bases: list[str], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        uids = UidList(folder)
        told = uids.assign(lambda: 9, lambda news, _: ["first"])
        path = Path(folder) / "dovecot-uidlist"
        whole = path.read_bytes()
        lost = uids.assign(lambda: 9, lambda news, _: bases)
        cut = data.draw(st.integers(len(whole), path.stat().st_size))
        path.write_bytes(path.read_bytes()[:cut])
        fresh = UidList(folder)
        news = fresh.read()
        assert news is not None and news.entries[:1] == told
        assert news.entries[1:] == lost[: len(news.entries) - 1]
        added = fresh.assign(lambda: 9, lambda news, _: ["later"])
        assert added[0][0] == news.entries[-1][0] + 1
        again = UidList(folder).read()
        assert again is not None and again.entries == [*news.entries, *added]


@given(st.lists(st.tuples(st.integers(1, 2**32 - 1), BASES), max_size=20))
@settings(max_examples=100, deadline=None)
def test_lines_come_back_when_they_ascend(entries: list[tuple[int, str]]) -> None:
    ascending = [(uid, base) for uid, base in sorted(dict(entries).items())]
    assert list(parse_lines(render_lines(ascending), above_uid=0)) == ascending
    taken = list(parse_lines(render_lines(entries), above_uid=0))
    assert [uid for uid, _ in taken] == sorted({uid for uid, _ in taken})


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_no_octets_break_the_reader(octets: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "dovecot-uidlist").write_bytes(octets)
        uids = UidList(folder)
        uids.read()
        added = uids.assign(lambda: 9, lambda news, _: ["a"])
        assert len(added) == 1 and added[0][0] >= 1
