"""Naming holds for every name that can be typed, not only for those that were thought of."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.charset.syllable import syllables
from bdmta.naming import abbreviations, fold, order_key, propose

SYLLABLES = sorted(syllables())
names = st.lists(st.sampled_from(SYLLABLES), min_size=2, max_size=6)
odd_names = st.lists(
    st.one_of(st.sampled_from(SYLLABLES), st.text(alphabet="aăđÊọ'’-–.wzJñØ", min_size=1, max_size=8)), max_size=6
).map(" ".join)
anything = st.one_of(st.text(max_size=60), odd_names)


@settings(max_examples=300, deadline=None)
@given(names)
def test_vietnamese_names_always_have_an_address(words: list[str]):
    made = propose(" ".join(words))
    assert made.local_part is not None
    assert re.fullmatch("[a-z]+", made.local_part)
    initials = [fold(word)[0] for word in words]
    if made.status == "ok":
        assert made.local_part == fold(words[-1]) + "".join(initials[:-1])


@settings(max_examples=300, deadline=None)
@given(
    names,
    st.sampled_from(["NFC", "NFD"]),
    st.sampled_from([str, str.upper, str.title]),
    st.text(" \t\u00a0", max_size=3),
)
def test_form_case_and_spaces_change_nothing(words: list[str], form: str, case, space: str):
    plain = propose(" ".join(words))
    other = propose(space + unicodedata.normalize(form, case(f" {space}".join(words))) + space)
    assert (other.local_part, other.status, other.code) == (plain.local_part, plain.status, plain.code)


@settings(max_examples=400, deadline=None)
@given(anything)
def test_whatever_is_typed(text: str):
    made = propose(text)
    assert (made.local_part is None) == (made.status == "error")
    assert made.local_part is None or re.fullmatch("[a-z]{1,64}", made.local_part)
    assert bool(made.reason) == (made.status != "ok") == bool(made.code)
    again = propose(unicodedata.normalize("NFD", text))
    assert (again.local_part, again.status) == (made.local_part, made.status)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80), st.text(max_size=20))
def test_abbreviations_can_be_addresses(name: str, parent: str):
    for one in abbreviations(name, parent):
        assert re.fullmatch("[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?", one)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_two_texts_have_an_order(one: str, other: str):
    keys = sorted([order_key(one), order_key(other)])
    assert keys[0] <= keys[1]
