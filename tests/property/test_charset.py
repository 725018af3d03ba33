from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.charset import TABLES, Kind, Text, convert, decode, encode, find_truth, review, unicode_text
from bdmta.charset.codec import sloppy_octets, table, western_text
from bdmta.charset.detect import readings
from bdmta.charset.fields import encoded_words, pieces, replaced
from bdmta.charset.reading import readings_of
from bdmta.charset.syllable import common_syllables
from bdmta.message import scan

SETS = st.sampled_from([name for name in TABLES if name != "viqr"])
LETTERS = sorted(table("viscii").encode)
WORDS = sorted(common_syllables())
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=8, max_size=40, unique=True).map(" ".join)
LABELS = st.sampled_from(
    ["", "utf-8", "iso-8859-1", "us-ascii", "windows-1258", "viscii", "gb2312", "utf-7", "x", "utf-16"]
)


@given(SETS, st.text(st.sampled_from([*LETTERS, *"abc XYZ.,\r\n"])))
@settings(max_examples=150, deadline=None)
def test_tables_lose_nothing(name: str, text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    if name == "tcvn3":
        text = text.lower()
    spaced = " ".join(text)  # a base and a mark side by side may join: that is what the old sets do
    assert decode(name, encode(name, spaced)) == spaced


@given(SETS, SENTENCES)
@settings(max_examples=150, deadline=None)
def test_sentences_are_found_and_converted(name: str, text: str) -> None:
    octets = encode(name, text)
    truth = find_truth(Text(octets, "iso-8859-1"))
    if truth.kind is Kind.SUSPECT:  # left alone only where two sets explain the words nearly as well
        first, second = readings(octets)[:2]
        assert first.score.total - second.score.total < 3.0
        assert name in (first.encoding, second.encoding)
        return
    assert truth.kind is Kind.CONVERT
    assert unicode_text(Text(octets, "iso-8859-1"), truth) == text


@given(SENTENCES, st.sampled_from(["NFC", "NFD"]))
@settings(max_examples=100, deadline=None)
def test_right_text_is_never_rewritten(text: str, form: str) -> None:
    octets = unicodedata.normalize(form, text).encode()  # type: ignore[arg-type]
    assert find_truth(Text(octets, "utf-8")).kind is Kind.RIGHT


@given(st.binary(max_size=400), LABELS, st.booleans())
@settings(max_examples=400, deadline=None)
def test_nothing_raises(octets: bytes, label: str, is_html: bool) -> None:
    text = Text(octets, label, is_html)
    truth = find_truth(text, "tcvn3")
    if truth.kind in (Kind.CONVERT, Kind.RELABEL):
        assert unicodedata.is_normalized("NFC", unicode_text(text, truth)) or truth.kind is Kind.RELABEL
    list(readings_of(octets, label, is_html=is_html))


@given(st.binary(max_size=300), st.sampled_from(["subject", "from", "content-type", "content-disposition"]))
@settings(max_examples=400, deadline=None)
def test_fields_stay_one_field(value: bytes, name: str) -> None:
    value = value.replace(b"\r", b"").replace(b"\n", b"")
    found = pieces(name, value)
    new = replaced(value, [(piece, "Báo cáo\r\nBcc: x") for piece in found])
    assert b"\n" not in new.replace(b"\r\n ", b"")


@given(st.text(max_size=200))
def test_encoded_words_give_the_text_back(text: str) -> None:
    text = "".join(letter for letter in text if unicodedata.category(letter) not in ("Cc", "Cs"))
    (piece,) = pieces("subject", encoded_words(text))
    assert piece.octets.decode("utf-8") == text


@given(st.binary(max_size=300))
def test_misread_octets_come_back(octets: bytes) -> None:
    assert sloppy_octets(western_text(octets)) == octets


@given(
    st.binary(max_size=200), st.binary(max_size=300), LABELS, st.sampled_from(["8bit", "base64", "quoted-printable"])
)
@settings(max_examples=200, deadline=None)
def test_a_letter_is_converted_once(subject: bytes, body: bytes, label: str, encoding: str) -> None:
    subject = subject.replace(b"\r", b"").replace(b"\n", b"")
    octets = (
        b"Subject: " + subject + b"\r\nContent-Type: text/plain; charset=\"" + label.encode()
        + b"\"\r\nContent-Transfer-Encoding: " + encoding.encode() + b"\r\n\r\n" + body
    )  # fmt: skip
    message = scan(octets)
    found = review(message)
    if found.refusal:
        return
    new = convert(message, found)
    assert (new == octets) == (not found.changes)
    assert [header.name for header in scan(new).headers if header.name != "mime-version"][:1] == ["subject"]
