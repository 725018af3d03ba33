"""What the index keeps of letters: the shapes are those of Debian's Dovecot, compared on 84 letters of the corpus."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.render import render_letter, render_letter_without_marks, rules
from bdmta.render.date import sent
from bdmta.render.envelope import address_list
from bdmta.render.subject import base_subject
from bdmta.render.text import fold, fold_without_marks

CORPUS = Path(__file__).parents[3] / "../shared/corpus"


def parse(octets: bytes) -> Any:
    """Read one IMAP value; fails on anything that is none."""
    value, end = _value(octets, 0)
    assert end == len(octets), octets[end:]
    return value


def _value(octets: bytes, at: int) -> tuple[Any, int]:
    first = octets[at : at + 1]
    if first == b"(":
        out: list[Any] = []
        at += 1
        while octets[at : at + 1] != b")":
            value, at = _value(octets, at)
            out.append(value)
            if octets[at : at + 1] == b" ":
                at += 1
        return out, at + 1
    if first == b"{":
        head = re.compile(rb"\{(\d+)\}\r\n").match(octets, at)
        assert head is not None
        end = head.end() + int(head[1])
        assert end <= len(octets) and b"\0" not in octets[head.end() : end]
        return octets[head.end() : end], end
    quoted = re.compile(rb'"((?:[ !#-\[\]-~\t\x01-\x08\x0b\x0c\x0e-\x1f\x7f]|\\["\\])*)"').match(octets, at)
    if quoted is not None:
        return re.sub(rb"\\(.)", rb"\1", quoted[1]), quoted.end()
    atom = re.compile(rb"NIL|\d+").match(octets, at)
    assert atom is not None, octets[at : at + 40]
    return (None if atom[0] == b"NIL" else int(atom[0])), atom.end()


def make(header: str, body: str = "text\r\n") -> bytes:
    return (
        header.replace("\n", "\r\n").encode("utf-8")
        + b"\r\n\r\n"
        + body.replace("\r\n", "\n").replace("\n", "\r\n").encode()
    )


def test_the_envelope_of_rfc_3501() -> None:
    letter = make(
        "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\nFrom: Terry Gray <gray@cac.washington.edu>\n"
        "Subject: IMAP4rev1 WG mtg summary and minutes\nTo: imap@cac.washington.edu\n"
        'cc: minutes@CNRI.Reston.VA.US, "John Klensin" <KLENSIN@MIT.EDU>\n'
        "Message-Id: <B27397-0100000@cac.washington.edu>"
    )
    assert render_letter(letter).envelope == (
        b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" '
        b'(("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) '
        b'(("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) '
        b'((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) '
        b'NIL NIL "<B27397-0100000@cac.washington.edu>")'
    )


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"", None),
        (b"a@b", [[None, None, b"a", b"b"]]),
        (b"=?utf-8?Q?C=C3=B4ng?= <a@b>", [[b"=?utf-8?Q?C=C3=B4ng?=", None, b"a", b"b"]]),
        (b'"V\xc4\x83n, A" <a@b>', [["Văn, A".encode(), None, b"a", b"b"]]),
        (b'"a \\"q\\" b" <x@y>', [[b'a "q" b', None, b"x", b"y"]]),
        (b"a@b (Name)", [[b"Name", None, b"a", b"b"]]),
        (
            b"Team: a@b, C <c@d>;",
            [[None, None, b"Team", None], [None, None, b"a", b"b"], [b"C", None, b"c", b"d"], [None] * 4],
        ),
        (b"undisclosed-recipients:;", [[None, None, b"undisclosed-recipients", None], [None] * 4]),
        (b"just words", [[None, None, b"just words", b"MISSING_DOMAIN"]]),
        (b"a@b,\r\n\t<c@d>", [[None, None, b"a", b"b"], [None, None, b"c", b"d"]]),
    ],
)  # fmt: skip
def test_addresses(value: bytes, wanted: Any) -> None:
    assert parse(address_list(value)) == wanted


def test_a_hundred_thousand_addresses_are_bounded() -> None:
    assert len(parse(address_list(b'"x" <a@b>, ' * 100_000))) <= 1001


def test_body_structure_of_a_letter_with_attachments() -> None:
    letter = make(
        'Content-Type: multipart/mixed; boundary="b"',
        '--b\nContent-Type: text/plain; charset="utf-8"\nContent-ID: <i@x>\nContent-Description: Mô tả\n\n'
        "hello\nyou\n--b\n"
        "Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\nContent-Language: vi, en\n"
        "Content-Disposition: attachment; filename*0=cong; filename*1=van.pdf\n\nAAAA\n--b\n"
        "Content-Type: message/rfc822\n\n"
        "Subject: inner\n\ninner text\n--b--\n",
    )
    rendered = render_letter(letter)
    assert parse(rendered.bodystructure) == [
        [b"text", b"plain", [b"charset", b"utf-8"], b"<i@x>", "Mô tả".encode(), b"7bit", 10, 1, None, None, None, None],
        [b"application", b"pdf", [b"name", b"a.pdf"], None, None, b"base64", 4, None,
         [b"attachment", [b"filename", b"congvan.pdf"]], [b"vi", b"en"], None],
        [b"message", b"rfc822", None, None, None, b"7bit", 28, [None, b"inner", *[None] * 8],
         [b"text", b"plain", [b"charset", b"us-ascii"], None, None, b"7bit", 10, 0, None, None, None, None],
         2, None, None, None, None],
        b"mixed", [b"boundary", b"b"], None, None, None,
    ]  # fmt: skip
    assert parse(rendered.body)[0] == [
        b"text",
        b"plain",
        [b"charset", b"utf-8"],
        b"<i@x>",
        "Mô tả".encode(),
        b"7bit",
        10,
        1,
    ]
    assert parse(rendered.body)[3:] == [b"mixed"]


@pytest.mark.parametrize("sections", ["f*0*=utf-8''C%C3%B4ng; f*1=%20b", "f*1=%20b; f*0*=utf-8''C%C3%B4ng"])
def test_encoded_sections_are_joined_under_a_star(sections: str) -> None:
    letter = make(f"Content-Type: application/x; {sections}")
    assert parse(render_letter(letter).bodystructure)[2] == [b"f*", b"utf-8''C%C3%B4ng%2520b"]


def test_a_multipart_without_parts_has_an_empty_one() -> None:
    structure = parse(render_letter(make("Content-Type: multipart/mixed; boundary=x", "nothing\n")).body)
    assert structure == [[b"text", b"plain", [b"charset", b"us-ascii"], None, None, b"7bit", 0, 0], b"mixed"]


def test_vietnamese_is_found_whatever_its_charset_and_form() -> None:
    words = "=?utf-8?B?" + "Q8O0bmcgdsSDbiDEkOG6v24=" + "?="
    encoded = "Q8O0bmcgVsSDbg=="
    letter = make(
        f"Subject: {words}\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64", encoded
    )
    rendered = render_letter(letter)
    assert rendered.subject == "công văn đến" == fold("CO\u0302NG VA\u0306N ĐE\u0302\u0301N")
    assert rendered.text == "công văn" and rendered.spans == ()
    assert rendered.header_text is not None and "subject: công văn đến" in rendered.header_text
    plain = render_letter_without_marks(letter)
    assert (plain.subject, plain.text) == ("cong van den", "cong van")
    assert rules(fold_diacritics=True).fold("Công VĂN Đến") == "cong van den"
    assert rules().version != rules(fold_diacritics=True).version


@pytest.mark.parametrize("word", ["ấ", "ĐƯỜNG", "Straße", "ﬁ", "ＡＢＣ", "İ", "ς", "plain TEXT", ""])
def test_folding_is_stable(word: str) -> None:
    for one in (fold, fold_without_marks):
        assert one(one(word)) == one(word)
        assert one(word) == one(word.upper()) or word in ("İ", "Straße", "ﬁ")


def test_ascii_text_needs_no_copy() -> None:
    letter = make(
        "Content-Type: multipart/alternative; boundary=b",
        "--b\n\nPlain one\n--b\nContent-Type: text/html\n\n<p>C&#244;ng</p>\n--b--\n",
    )
    rendered = render_letter(letter)
    start, end = rendered.spans
    assert letter[start:end] == b"Plain one"
    assert rendered.text == "<p>công</p>"
    assert rendered.header_text is None


@pytest.mark.parametrize(
    ("value", "moment", "day"),
    [
        (b"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)", 837595405, 9694),
        (b"1 Jan 1970 00:00 +0700", -25200, 0),
        (b"Thu, 31 Dec 2026 23:59:60 GMT", 1798761599, 20818),
        (b"Mon, 5-Feb-24 10:00:00 EST", 1707145200, 19758),
        (b"Sat,  1 Jun 2026 7:05", 1780297500, 20605),
    ],
)
def test_dates(value: bytes, moment: int, day: int) -> None:
    assert sent(value) == (moment, day)


@pytest.mark.parametrize(
    "value", [b"", b"yesterday", b"32 Jan 2026 00:00", b"1 Foo 2026 00:00", b"1 Jan 2026 25:00", b"\xff" * 99]
)
def test_no_dates(value: bytes) -> None:
    assert sent(value) is None


@pytest.mark.parametrize(
    ("subject", "base", "is_reply"),
    [
        ("Hello", "Hello", False),
        ("Re: Hello", "Hello", True),
        ("RE[2]: Fwd:  Hello (fwd) ", "Hello", True),
        ("[list] Re: [list] Hello", "Hello", True),
        ("[blob]", "[blob]", False),
        ("[Fwd: Re: Hello]", "Hello", True),
        ("Re:", "", True),
        ("Re:" * 200, None, True),
    ],
)
def test_base_subjects(subject: str, base: str | None, is_reply: bool) -> None:
    found = base_subject(subject)
    assert found[1] is is_reply
    assert base is None or found[0] == base


def test_threads_know_their_letters() -> None:
    rendered = render_letter(
        make("Message-ID: <a@x>\nReferences: <1@x>\n <2@x> <1@x>\nIn-Reply-To: <3@x>\nSubject: Re: s")
    )
    assert (rendered.message_id, rendered.references, rendered.is_reply, rendered.base_subject) == (
        "a@x",
        ("1@x", "2@x"),
        True,
        "s",
    )
    assert render_letter(make("In-Reply-To: text <3@x> <4@x>")).references == ("3@x",)
    assert len(render_letter(make("References: " + " ".join(f"<{n}@x>" for n in range(900)))).references) == 200


def test_sort_keys_are_local_parts() -> None:
    rendered = render_letter(make('From: "Đ, a" <An.Nguyen@x>\nTo: Team: B@y;\nCc: Cc@z'))
    assert (rendered.sort_from, rendered.sort_to, rendered.sort_cc) == (
        "an.nguyen",
        "team",
        "cc",
    )  # as ENVELOPE has it: the group first


PIECES = st.sampled_from(
    [b"From: ", b"To: ", b"Content-Type: ", b"multipart/mixed; boundary=b",
     b"message/rfc822", b"\r\n", b"\n", b"\r\n\r\n",
     b"--b", b"--b--", b'"', b"\\", b"(", b")", b"<", b">", b"@", b",", b";", b":", b"=?utf-8?B?w6k=?=", b"\0", b"\xff",
     b"text/html", b"charset=utf-7", b"a*0*=x''%"]
) | st.binary(max_size=8)  # fmt: skip


@given(st.lists(PIECES, max_size=60).map(b"".join))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_the_answers_are_imap(octets: bytes) -> None:
    rendered = render_letter(octets)
    assert len(parse(rendered.envelope)) == 10
    assert parse(rendered.body) and parse(rendered.bodystructure)
    assert 0 <= rendered.header_octets <= len(octets)
    assert all(0 <= at <= len(octets) for at in rendered.spans)
    for text in (rendered.subject, rendered.from_, rendered.text or "", rendered.header_text or ""):
        text.encode("utf-8", "surrogatepass")


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpus is not beside this tree")
def test_the_corpus() -> None:
    for path in sorted(CORPUS.rglob("*.eml")):
        rendered = render_letter(path.read_bytes())
        assert len(parse(rendered.envelope)) == 10, path
        parse(rendered.bodystructure)
        parse(rendered.body)


def test_addresses_that_comments_break_apart_are_found_whole() -> None:
    rendered = render_letter(make("From: <an (comment)@ (another) b.vn>\nTo: Lan <lan@b.vn>\nCc: a . b@c.vn"))
    assert rendered.from_.endswith("an@b.vn") and rendered.to == "lan <lan@b.vn>" and "a.b@c.vn" in rendered.cc


def test_envelope_names_a_source_route() -> None:
    assert b'((NIL "@r1,@r2" "a" "b.vn"))' in render_letter(make("From: <@r1,@r2:a@b.vn>")).envelope


def test_the_header_of_an_attached_letter_is_searched_with_the_text() -> None:
    plain = make("Content-Type: message/rfc822\n\nSubject: Inner\nFrom: a@b.vn\n\nbody")
    rendered = render_letter(plain)
    spans = list(zip(rendered.spans[::2], rendered.spans[1::2], strict=True))
    assert any(b"Subject: Inner" in plain[start:end] for start, end in spans) and rendered.text is None
    encoded = render_letter(make("Content-Type: message/rfc822\n\nSubject: =?utf-8?Q?C=C3=B4ng_v=C4=83n?=\n\nbody"))
    assert encoded.text is not None and "công văn" in encoded.text
