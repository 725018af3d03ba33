"""Encoded words and charsets."""

from __future__ import annotations

import pytest

from bdmta.message.words import codec_of, decode, decode_words, header_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"=?utf-8?Q?B=C3=A1o_c=C3=A1o?=", "Báo cáo"),
        (b"=?UTF-8?b?QsOhbw==?=", "Báo"),
        (b"=?utf-8*vi?Q?B=C3=A1o?=", "Báo"),
        (b"=?iso-8859-1?Q?=E1?=", "á"),
        (b"=?utf-8?Q?a?= =?utf-8?Q?b?=", "ab"),
        (b"=?utf-8?Q?a?=\r\n =?utf-8?Q?b?=", "ab"),
        (b"=?utf-8?Q?a?==?utf-8?Q?b?=", "ab"),
        (b"=?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"),
        (b"=?utf-8?Q?a?= =?iso-8859-1?Q?=E1?=", "aá"),
        (b" =?utf-8?Q?=C3?= =?utf-8?Q?=A1?=", " á"),
        (b"=?utf-8?B?QsOhbw?=", "Báo"),
        (b"=?utf-8?B?QsO hbw=!?=", "Báo"),
        (b"=?utf-8?Q?a b?=", "a b"),
        (b"=?no-such?Q?=E1?=", "á"),
        (b"=?utf-8?Q?=FF?=", "\ufffd"),
        (b"=?utf-8?X?a?=", "=?utf-8?X?a?="),
        (b"=?utf-8?Q?a", "=?utf-8?Q?a"),
        (b"a =? b", "a =? b"),
        ("Báo cáo".encode(), "Báo cáo"),
        (b"a\r\n b\r\n\tc", "a b\tc"),
        (b"a\rb\nc", "a b c"),
        (b"=?utf-8?Q?a=0D=0ABcc:_x@y?=", "a Bcc: x@y"),
    ],
)
def test_header_text(value: bytes, text: str) -> None:
    assert header_text(value) == text


def test_a_cut_word_is_read_only_where_asked() -> None:
    assert decode_words("x =?utf-8?B?Y2hheS5leGU=", also_cut=True) == "x chay.exe"
    assert decode_words("x =?utf-8?B?Y2hheS5leGU=") == "x =?utf-8?B?Y2hheS5leGU="


@pytest.mark.parametrize(
    "charset", ["idna", "punycode", "unicode_escape", "rot13", "zlib", "hex", "undefined", "", "../x"]
)
def test_what_is_no_charset_of_letters_reads_as_latin1(charset: str) -> None:
    assert codec_of(charset) is None
    assert decode(b"\xe1\\x41", charset) == "á\\x41"


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "windows-1258", "ISO-8859-1", "us-ascii", "GB18030", "TIS-620"])
def test_known_charsets(charset: str) -> None:
    assert decode(b"abc", charset) == "abc"
    assert codec_of(charset) is not None
