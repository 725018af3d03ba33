"""Where headers and parts lie, and what is said of them."""

from __future__ import annotations

import mmap
import tempfile

import pytest

from bdmta.message import Limits, Message, scan

LETTER = (
    b"Received: from a\r\n\tby b\r\n"
    b"From: Lan <lan@binhduong.gov.vn>\r\n"
    b"Subject: =?utf-8?B?QsOhbyBjw6Fv?=\r\n =?utf-8?Q?_th=C3=A1ng?=\r\n"
    b"\r\n"
    b"Than\r\n"
)


def letter(headers: bytes, body: bytes = b"") -> Message:
    return scan(headers.replace(b"\n", b"\r\n") + b"\r\n" + body.replace(b"\n", b"\r\n"))


def body_of(message: Message, *path: int) -> bytes:
    part = message.root
    for number in path:
        part = part.children[number]
    return bytes(part.raw())


def test_header_fields_and_spans() -> None:
    message = scan(LETTER)
    assert [header.name for header in message.headers] == ["received", "from", "subject"]
    received = message.headers[0]
    assert LETTER[received.start : received.end] == b"Received: from a\r\n\tby b\r\n"
    assert received.value == b"from a\r\n\tby b"
    assert received.text == "from a\tby b"
    assert message.headers[2].text == "Báo cáo tháng"
    assert LETTER[message.header_end : message.body_start] == b"\r\n"
    assert bytes(message.root.raw()) == b"Than\r\n"
    assert message.root.line_count() == 1
    assert message.defects == ()
    assert (message.root.media_type, message.root.transfer_encoding) == ("text/plain", "7bit")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_octets_reads_alike(kind: type) -> None:
    octets = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"
    message = scan(kind(octets))
    assert [bytes(part.raw()) for part in message.root.children] == [b"one", b"two"]
    assert message.root.line_count() == 7


def test_an_mmap_is_read_and_can_be_closed() -> None:
    filler = b"x" * 77 + b"\r\n"
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
    with tempfile.TemporaryFile() as file:
        file.write(head + filler * 20_000 + b"--b\r\n\r\nlast\r\n--b--\r\n")
        file.flush()
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        message = scan(view)
        first, last = message.root.children
        assert first.line_count() == 19_999
        assert last.decoded(100) == b"last"
        assert view[first.end : first.end + 5] == b"\r\n--b"
        view.close()


@pytest.mark.parametrize("octets", [b"", b"\r\n", b"\n", b"\r", b"\0", b":", b"x", b"\r\n\r\n", b"a:b", b" x: y"])
def test_nearly_nothing(octets: bytes) -> None:
    message = scan(octets)
    assert message.root.start == 0
    assert message.root.end == len(octets)
    assert message.root.children == ()


@pytest.mark.parametrize(
    ("octets", "defect", "names"),
    [
        (b"A: 1\nB: 2\r\n\r\n", "bare-lf", ["a", "b"]),
        (b"A: 1\rB: 2\r\n\r\n", "bare-cr", ["a", "b"]),
        (b"A: 1\0\r\n\r\n", "nul", ["a"]),
        (b"A: 1\r\nthis is none\r\nB: 2\r\n\r\n", "no-colon", ["a", "b"]),
        (b"A : 1\r\n\r\n", "space-before-colon", ["a"]),
        (b"A b: 1\r\n\r\n", "bad-name", ["a b"]),
        (b"A: 1\r\n \r\nB: 2\r\n\r\n", "blank-fold", ["a", "b"]),
        (b" lost\r\nA: 1\r\n\r\n", "no-colon", ["a"]),
        (b"A: 1\r\nB: 2\r\n", "no-body", ["a", "b"]),
    ],
)
def test_defects_of_headers(octets: bytes, defect: str, names: list[str]) -> None:
    message = scan(octets)
    assert defect in message.defects
    assert [header.name for header in message.headers] == names


def test_raw_tcvn3_octets_are_kept() -> None:
    message = scan(b"Subject: C\xabng v\xa8n\r\n\r\n")
    assert message.headers[0].value == b"C\xabng v\xa8n"
    assert message.headers[0].text == "C«ng v¨n"


def test_the_same_field_twice() -> None:
    message = letter(b"From: a@b\nfrom: c@d\n")
    assert [header.value for header in message.all("from")] == [b"a@b", b"c@d"]
    first = message.first("from")
    assert first is not None
    assert first.value == b"a@b"
    assert message.first("to") is None


def test_multipart_with_preamble_padding_and_epilogue() -> None:
    octets = (
        b'Content-Type: multipart/mixed; boundary="b b"\r\n\r\nbefore\r\n--b b \t\r\nX: 1\r\n\r\none\r\n\r\n'
        b"--b b\r\n\r\ntwo\r\n--b b--  \r\nafter\r\n"
    )
    message = scan(octets)
    root = message.root
    assert [bytes(part.raw()) for part in root.children] == [b"one\r\n", b"two"]
    assert octets[slice(*root.preamble)] == b"before"
    assert octets[slice(*root.epilogue)] == b"after\r\n"
    assert message.defects == ()


def test_a_missing_close_delimiter_is_said() -> None:
    message = letter(b"Content-Type: multipart/mixed; boundary=b\n", b"--b\n\none\n--b\n\ntwo\n")
    assert body_of(message, 1) == b"two\r\n"
    assert message.defects == ("unclosed",)


def test_parts_behind_the_close_delimiter_are_read() -> None:
    message = letter(b"Content-Type: multipart/mixed; boundary=b\n", b"--b\n\none\n--b--\n\n--b\n\ntwo\n--b--\n")
    assert body_of(message, 1) == b"two"
    assert "parts-after-close" in message.defects


def test_a_boundary_that_begins_as_another_is_another() -> None:
    message = letter(
        b"Content-Type: multipart/mixed; boundary=a\n",
        b"--a\nContent-Type: multipart/alternative; boundary=ab\n\n"
        b"--ab\n\none\n--ab\n\ntwo\n--ab--\n--a\n\nend\n--a--\n",
    )
    assert [len(part.children) for part in message.walk()] == [2, 2, 0, 0, 0]
    assert body_of(message, 0, 1) == b"two"
    assert message.defects == ()


@pytest.mark.parametrize("line", [b"--ax", b"--a--x", b"--a x"])
def test_a_line_that_begins_as_a_delimiter_is_said(line: bytes) -> None:
    message = letter(b"Content-Type: multipart/mixed; boundary=a\n", b"--a\n\none\n" + line + b"\n\ntwo\n--a--\n")
    assert len(message.root.children) == 1
    assert message.defects == ("boundary-like",)


def test_lines_alike_are_delimiters_where_there_is_no_other() -> None:
    message = letter(b"Content-Type: multipart/mixed; boundary=a\n", b"--ax\n\none\n--ax\n\ntwo\n")
    assert len(message.root.children) == 2
    assert "boundary-like" in message.defects


def test_an_outer_delimiter_ends_what_is_inside() -> None:
    message = letter(
        b"Content-Type: multipart/mixed; boundary=o\n",
        b"--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--o\n\ntwo\n--o--\n",
    )
    assert body_of(message, 0, 0) == b"one"
    assert body_of(message, 1) == b"two"


@pytest.mark.parametrize(
    ("content_type", "body", "defect", "children"),
    [
        (b"multipart/mixed", b"--guess\n\none\n--guess--\n", "boundary-missing", 1),
        (b"multipart/mixed", b"no line with dashes\n", "no-parts", 0),
        (b'multipart/mixed; boundary=""', b"--\n\none\n--\n\ntwo\n", "boundary-empty", 2),
        (b"multipart/mixed; boundary=" + b"x" * 80, b"--" + b"x" * 80 + b"\n\none\n", "boundary-too-long", 1),
        (b"multipart/mixed; boundary=a; boundary=b", b"--b\n\none\n--b--\n", "", 1),
        (b"multipart/mixed; boundary=a; boundary=b", b"--a\n\n--b\n\none\n", "boundary-ambiguous", 1),
        (b'multipart/mixed; boundary*0="a"; boundary*1="b"', b"--ab\n\none\n--ab--\n", "", 1),
        (b"multipart/mixed; boundary*=us-ascii'en'a%62", b"--ab\n\none\n--ab--\n", "", 1),
        (b'multipart/mixed; boundary="b', b"--b\n\none\n--b--\n", "open-quote", 1),
        (b"multipart/mixed; boundary=b", b"--b\n--b\n--b--\n", "", 2),
        (b"nonsense", b"x", "bad-content-type", 0),
        (b"message/partial; id=1; number=1; total=2", b"x", "partial", 0),
        (b"message/external-body; access-type=url", b"x", "external-body", 0),
    ],
)
def test_boundaries_and_types(content_type: bytes, body: bytes, defect: str, children: int) -> None:
    message = letter(b"Content-Type: " + content_type + b"\n", body)
    assert len(message.root.children) == children
    assert defect in message.defects if defect else message.defects == ()


def test_duplicate_fields_are_read_by_the_worst_reading() -> None:
    message = letter(
        b"Content-Type: text/plain; name=a.txt\nContent-Type: multipart/mixed; boundary=b\n",
        b"--b\nContent-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n"
        b"Content-Disposition: inline; filename=a.txt\nContent-Disposition: attachment; filename=b.exe\n"
        b"\neA==\n--b--\n",
    )
    part = message.root.children[0]
    assert message.root.media_type == "multipart/mixed"
    assert message.root.media_types == ("text/plain", "multipart/mixed")
    assert message.root.defects == ("duplicate-content-type",)
    assert (part.transfer_encoding, part.transfer_encodings) == ("base64", ("7bit", "base64"))
    assert (part.decoded(10), part.decoded(10, "7bit")) == (b"x", b"eA==")
    assert part.names == ("a.txt", "b.exe")
    assert set(part.defects) == {"duplicate-content-disposition", "duplicate-content-transfer-encoding"}


def test_an_attached_letter_has_spans_in_the_same_octets() -> None:
    message = letter(b"Content-Type: message/rfc822\n", b"Subject: in\nContent-Type: text/html\n\n<p>\n")
    inner = message.root.letter
    assert inner is not None
    assert inner.root is message.root.children[0]
    assert inner.octets is message.octets
    assert inner.headers[0].value == b"in"
    assert (inner.root.media_type, body_of(message, 0)) == ("text/html", b"<p>\r\n")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [(b"base64", b"U3ViamVjdDogaW4NCg0KeAo="), (b"quoted-printable", b"Subject=3A in\n\nx=0A")],
)
def test_an_encoded_attached_letter_is_decoded(encoding: bytes, body: bytes) -> None:
    message = letter(b"Content-Type: message/rfc822\nContent-Transfer-Encoding: " + encoding + b"\n", body)
    inner = message.root.letter
    assert inner is not None
    assert (inner.headers[0].value, bytes(inner.root.raw())) == (b"in", b"x\n")
    assert inner.octets is not message.octets
    assert "encoded-message" in message.defects


def test_an_encoded_multipart_is_opened() -> None:
    # --b\n\none\n--b--
    message = letter(
        b"Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n", b"LS1iCgpvbmUKLS1iLS0K"
    )
    assert body_of(message, 0) == b"one"
    assert "encoded-multipart" in message.defects


def test_encoded_letters_stay_within_the_allowance() -> None:
    octets = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"QUFB" * 1000
    message = scan(octets, Limits(attached_octets=100))
    assert "attached-octets" in message.defects
    assert message.root.letter is not None
    assert len(message.root.letter.octets) == 100


def test_a_digest_holds_letters() -> None:
    message = letter(
        b"Content-Type: multipart/digest; boundary=b\n",
        b"--b\n\nSubject: one\n\nx\n--b\nContent-Type: text/plain\n\ntwo\n--b--\n",
    )
    first, second = message.root.children
    assert (first.media_type, second.media_type) == ("message/rfc822", "text/plain")
    assert first.parent_is_digest
    assert first.letter is not None
    assert first.letter.headers[0].value == b"one"


def test_walk_is_outermost_first() -> None:
    message = letter(
        b"Content-Type: multipart/mixed; boundary=o\n",
        b"--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\n--i--\n--o\nContent-Type: text/html\n\n--o--\n",
    )
    kinds = [(part.depth, part.media_type) for part in message.walk()]
    assert kinds == [(0, "multipart/mixed"), (1, "multipart/mixed"), (2, "text/plain"), (1, "text/html")]


def test_content_id_charset_and_parameters() -> None:
    message = letter(b'Content-Type: Text/HTML; Charset="UTF-8"; format=flowed\nContent-ID: <1@x>\n')
    assert (message.root.media_type, message.root.charset, message.root.content_id) == ("text/html", "utf-8", "<1@x>")
    assert message.root.parameters == {"charset": "UTF-8", "format": "flowed"}


@pytest.mark.parametrize(
    ("value", "encoding", "defects"),
    [
        (b"BASE64", "base64", ()),
        (b"Quoted-Printable", "quoted-printable", ()),
        (b"base64 (as ever)", "base64", ()),
        (b"base64;", "base64", ()),
        (b'"base64"', "base64", ()),
        (b"base 64", "base", ("unknown-encoding",)),
        (b"rot13", "rot13", ("unknown-encoding",)),
        (b"", "", ()),
    ],
)
def test_transfer_encodings(value: bytes, encoding: str, defects: tuple[str, ...]) -> None:
    message = letter(b"Content-Transfer-Encoding: " + value + b"\n", b"eA==")
    assert message.root.transfer_encoding == encoding
    assert message.defects == defects


def test_a_line_unlike_after_many_alike_is_said() -> None:
    lines = b"--ab\n\nx\n" * 60 + b"--ab--\n--ax\n"
    message = letter(
        b"Content-Type: multipart/mixed; boundary=a\n",
        b"--a\nContent-Type: multipart/mixed; boundary=ab\n\n" + lines + b"--a--\n",
    )
    assert "boundary-like" in message.defects
