from __future__ import annotations

import base64
import itertools
import unicodedata
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from bdmta.charset import convert, encode, review
from bdmta.charset.detect import CANDIDATES
from bdmta.charset.fields import encoded_words, pieces
from bdmta.message import scan

SUBJECTS = ("Báo cáo tình hình cấp hộp thư quý bốn", "Thư mời họp", "Họp giao ban")
BODIES = (
    "Kính thưa đồng chí Giám đốc,\r\n\r\nPhòng Bưu chính xin báo cáo kết quả rà soát danh bạ thư điện tử.\r\n",
    "Kính gửi anh Minh,\r\n\r\nMời anh đến họp lúc 8 giờ ngày thứ hai tại phòng họp số 2.\r\n",
    "Em gửi anh file đính kèm.\r\nCảm ơn anh.\r\n",
    "Dear Mr. Smith,\r\n\r\nPlease find the minutes.\r\n\r\nNguyễn Văn Hùng\r\nSở Thông tin và Truyền thông\r\n",
)
NAME = "Trần Thị Bích Ngọc"
LABELS = (b"iso-8859-1", b"us-ascii", b"utf-8", b"windows-1252", b"")


def word(octets: bytes, label: bytes) -> bytes:
    return b"=?" + label + b"?B?" + base64.b64encode(octets) + b"?="


def letter(
    subject: bytes, body: bytes, *, label: bytes = b"utf-8", kind: bytes = b"text/plain", cte: bytes = b"8bit",
    name: bytes = b"A", extra: bytes = b"",
) -> bytes:  # fmt: skip
    charset = b"; charset=" + label if label else b""
    body = base64.encodebytes(body).replace(b"\n", b"\r\n") if cte == b"base64" else body
    return (
        b"From: " + name + b" <a@example.org>\r\nTo: <b@example.org>\r\nSubject: " + subject + b"\r\n" + extra
        + b"MIME-Version: 1.0\r\nContent-Type: " + kind + charset + b"\r\nContent-Transfer-Encoding: " + cte
        + b"\r\n\r\n" + body
    )  # fmt: skip


def read(octets: bytes) -> EmailMessage:
    message = message_from_bytes(octets, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def body_of(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    assert part is not None
    return str(part.get_content())


def same(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one).casefold() == unicodedata.normalize("NFC", other).casefold()


@pytest.mark.parametrize("name", CANDIDATES)
@pytest.mark.parametrize("label", LABELS)
def test_conversion_reads_right_in_a_standard_reader(name: str, label: bytes) -> None:
    for body, subject, cte in itertools.product(BODIES, SUBJECTS, (b"8bit", b"base64")):
        for header in (word(encode(name, subject), label or b"iso-8859-1"), encode(name, subject)):
            octets = letter(header, encode(name, body), label=label, cte=cte, name=encode(name, NAME))
            found = review(scan(octets), is_smtputf8=False)
            message = read(convert(scan(octets), found))
            assert same(str(message["subject"]), subject), found
            assert same(body_of(message), body)
            assert same(message["from"].addresses[0].display_name, NAME)
            assert message["from"].addresses[0].addr_spec == "a@example.org"


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_converted_letter_is_left_alone_the_next_time(name: str) -> None:
    octets = letter(encode(name, SUBJECTS[0]), encode(name, BODIES[0]), label=b"iso-8859-1")
    once = convert(scan(octets), review(scan(octets)))
    assert review(scan(once)).changes == ()


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_short_subject_follows_a_body_in_utf8_too(name: str) -> None:
    octets = letter(word(encode(name, "Thư mời họp"), b"iso-8859-1"), BODIES[1].encode())
    message = read(convert(scan(octets), review(scan(octets))))
    assert same(str(message["subject"]), "Thư mời họp")


def test_a_foreign_name_in_a_vietnamese_letter_stays() -> None:
    octets = letter(encode("tcvn3", SUBJECTS[0]), encode("tcvn3", BODIES[0]), label=b"iso-8859-1",
                    name=b"=?iso-8859-1?Q?J=FCrgen_M=FCller?=")  # fmt: skip
    message = read(convert(scan(octets), review(scan(octets))))
    assert message["from"].addresses[0].display_name == "Jürgen Müller"


@pytest.mark.parametrize("kind", ["raw", "refs", "named"])
def test_html_keeps_its_tags_and_overrules_the_font(kind: str) -> None:
    shown = encode("tcvn3", "Kính gửi anh Minh, đề nghị Sở Nội vụ sớm trả lời").decode("latin-1")
    if kind != "raw":
        shown = "".join(c if ord(c) < 128 else f"&#{ord(c)};" for c in shown)
    if kind == "named":
        shown = shown.replace("&#221;", "&Yacute;").replace("&#174;", "&reg;").replace("&#173;", "&shy;")
    html = f'<html><head><meta charset="iso-8859-1"></head><p><font face=".VnTimeH" size="3">{shown}</font></p></html>'
    octets = letter(b"Thu", html.encode("latin-1"), label=b"iso-8859-1", kind=b"text/html")
    new = body_of(read(convert(scan(octets), review(scan(octets)))))
    assert "Kính gửi anh Minh, đề nghị Sở Nội vụ sớm trả lời" in new
    assert '<meta charset="utf-8">' in new
    assert '<font face=".VnTimeH" size="3" style="font-family:Times New Roman,serif;text-transform:uppercase">' in new


def test_other_parts_stay_octet_for_octet() -> None:
    attached = (
        b"--B\r\nContent-Type: application/x; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--B--\r\n"
    )
    octets = (
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n"
        b"Content-Type: text/plain; format=flowed; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + encode("viscii", BODIES[0]) + b"\r\n" + attached
    )  # fmt: skip
    new = convert(scan(octets), review(scan(octets)))
    assert new.endswith(attached)
    part = read(new).get_body(("plain",))
    assert part is not None
    assert part["content-type"].params == {"format": "flowed", "charset": "utf-8"}
    assert same(str(part.get_content()).rstrip(), BODIES[0].rstrip())


def test_a_hidden_header_never_comes_out() -> None:
    octets = letter(word(encode("tcvn3", SUBJECTS[0] + "\r\nBcc: x@evil.example"), b"iso-8859-1"), b"x")
    found = review(scan(octets))
    new = convert(scan(octets), found)
    assert "control-in-header" in found.warnings
    assert found.changes
    assert read(new)["bcc"] is None
    assert b"\r\nBcc" not in new


@pytest.mark.parametrize("declared", [True, False, None])
def test_raw_utf8_headers_are_right_only_with_smtputf8(declared: bool | None) -> None:
    octets = letter(SUBJECTS[0].encode(), BODIES[0].encode(), cte=b"base64")
    assert bool(review(scan(octets), is_smtputf8=declared).changes) == (not declared)
    eightbit = letter(SUBJECTS[0].encode(), BODIES[0].encode())
    assert bool(review(scan(eightbit), is_smtputf8=declared).changes) == (declared is False)


def test_attachment_names_are_converted_and_their_content_is_not() -> None:
    name = encode("tcvn3", "Báo cáo quý.txt")
    content = encode("tcvn3", BODIES[0])
    octets = (
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n"
        b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n" + encode("tcvn3", BODIES[0]) + b"\r\n--B\r\n"
        b'Content-Type: text/plain; charset=iso-8859-1\r\nContent-Disposition: attachment; filename="' + name
        + b'"\r\n\r\n' + content + b"\r\n--B--\r\n"
    )  # fmt: skip
    found = review(scan(octets))
    new = convert(scan(octets), found)
    assert "attachment-legacy-charset" in found.warnings
    assert content in new
    assert [part.get_filename() for part in read(new).iter_attachments()] == ["Báo cáo quý.txt"]


def test_words_are_folded_between_characters() -> None:
    written = encoded_words("Báo cáo tình hình cấp hộp thư quý bốn năm hai nghìn không trăm linh chín")
    assert all(len(line) <= 76 for line in written.split(b"\r\n"))
    for each in written.split(b"\r\n "):
        base64.b64decode(each[10:-2]).decode("utf-8")


def test_address_fields_take_only_names() -> None:
    value = b'"Tr\xc7n Th\xde" <a@b.c>, Nguy\xd4n V\xa8n <\xe9@d.e>, plain@x.y (ghi ch\xf3)'
    assert [piece.kind for piece in pieces("to", value)] == ["quoted", "raw", "comment"]
