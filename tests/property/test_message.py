"""The scanner never raises, spans lie inside one another, well-formed letters read as stdlib `email` reads them."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage, MIMEPart

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bdmta.message import Limits, Message, Part, scan
from bdmta.message.addresses import mailboxes
from bdmta.message.transfer import decoded, uudecoded, uuencoded_files
from bdmta.message.words import decode_words, header_text
from bdmta.message.write import compose_text, field, parameter

moderate = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

FRAGMENTS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b";",
        b":",
        b"=",
        b'"',
        b"\\",
        b"(",
        b")",
        b"<",
        b">",
        b",",
        b"@",
    ),
    *(
        b"--",
        b"--b",
        b"--b--",
        b"--b\r\n",
        b"\r\n--b\r\n",
        b"\r\n--b--\r\n",
        b"--c\r\n",
        b"\0",
        b"\xff",
        b"%41",
        b"*",
        b"''",
    ),
    *(b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/digest; boundary=c\r\n"),
    *(b"Content-Type: message/rfc822\r\n", b"Content-Type: text/plain; charset=utf-8\r\n", b"Subject: "),
    *(b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n"),
    *(b"Content-Transfer-Encoding: x-uuencode\r\n", b"begin 644 a.exe\r\n", b"end\r\n", b"#0V%T\r\n", b"=0D=0A"),
    *(b"Content-Disposition: attachment; filename=", b"filename*0*=utf-8''", b"; filename*1=", b"; name="),
    *(b"=?utf-8?Q?", b"=?utf-8?B?QUJD?=", b"=?utf-8?Q?=0D=0A?=", b"=?", b"?=", b"U3ViamVjdDogeA0KDQp5", b"TVqQ"),
]
hostile = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=6)), max_size=60).map(b"".join)
small = Limits(headers=5, header_block_octets=200, parameters=4, depth=3, parts=12, attached_octets=100)


def check(message: Message, limits: Limits) -> None:
    parts = list(message.walk())
    assert 1 <= len(parts) <= limits.parts
    for part in parts:
        assert 0 <= part.start <= part.header_end <= part.body_start <= part.end <= len(part.octets)
        assert part.depth <= limits.depth
        check_headers(part, limits)
        check_children(part)
        assert len(part.decoded(10)) <= 10
        part.decoded(10_000)
        assert all(isinstance(name, str) and name for name in part.names)
        assert len(set(part.names)) == len(part.names)
        assert set(part.defects) <= set(message.defects)
        assert isinstance(part.parameters, dict)
        assert isinstance(part.disposition_parameters, dict)
        assert isinstance(part.content_id, str)
        assert part.line_count() == bytes(part.raw()).count(b"\n")


def check_headers(part: Part, limits: Limits) -> None:
    at = part.start
    assert len(part.headers) <= limits.headers
    for header in part.headers:
        assert at <= header.start < header.end <= part.header_end
        assert header.value in bytes(part.octets[header.start : header.end])
        assert "\n" not in header.text
        assert "\r" not in header.text
        at = header.end


def check_children(part: Part) -> None:
    inside = all(child.octets is part.octets for child in part.children)
    at = part.body_start if inside else 0
    for child in part.children:
        assert child.start >= at
        assert child.depth == part.depth + 1
        at = child.end
    assert at <= (part.end if inside else len(part.children[0].octets))
    for start, end in (part.preamble, part.epilogue):
        assert start <= end


@moderate
@given(st.binary(max_size=400))
def test_any_octets(octets: bytes) -> None:
    check(scan(octets), Limits())


@moderate
@given(hostile)
def test_hostile_octets_in_every_kind_of_buffer(octets: bytes) -> None:
    message = scan(octets)
    check(message, Limits())
    check(scan(octets, small), small)
    other = scan(memoryview(octets))
    assert [(part.start, part.end, part.names) for part in other.walk()] == [
        (part.start, part.end, part.names) for part in message.walk()
    ]


@moderate
@given(hostile, st.integers(0, 400))
def test_hostile_values(octets: bytes, max_octets: int) -> None:
    text = octets.decode("latin-1")
    assert isinstance(header_text(octets), str)
    assert isinstance(decode_words(text, also_cut=True), str)
    boxes = mailboxes(octets, 5)
    assert len(boxes) <= 5
    assert not any("\n" in field or "\r" in field for box in boxes for field in box)
    for encoding in ("base64", "quoted-printable", "x-uuencode", "8bit", "nonsense"):
        assert len(decoded(octets, 0, len(octets), encoding, max_octets)) <= max_octets
    for file in uuencoded_files(octets, 0, len(octets), 3):
        assert len(uudecoded(octets, file, max_octets)) <= max_octets


@moderate
@given(st.text(max_size=40))
def test_texts_that_are_no_octets(text: str) -> None:
    assert isinstance(decode_words("=?utf-8?Q?" + text + "?=", also_cut=True), str)
    assert isinstance(mailboxes(text), list)


printable = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\x85"), max_size=60)
names = st.text(st.sampled_from('abc.ộđ %*=?"\\()/;,'), min_size=1, max_size=50).map(str.strip).filter(bool)


@moderate
@given(printable)
def test_a_written_field_reads_back(value: str) -> None:
    octets = field("Subject", value) + b"\r\n"
    assert scan(octets).defects == ()
    assert max(len(line) for line in octets.split(b"\r\n")) <= 78
    expected = value.strip(" \t")
    if "\t" not in expected:
        assert scan(octets).headers[0].text.strip(" \t") == expected


@moderate
@given(names)
def test_a_written_parameter_reads_back(name: str) -> None:
    octets = field("Content-Disposition", "attachment; " + parameter("filename", name)) + b"\r\n"
    assert scan(octets).root.disposition_parameters == {"filename": name}


@moderate
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=300))
def test_a_written_text_reads_back(text: str) -> None:
    message = scan(compose_text([], text))
    assert message.root.decoded(10_000).decode() == text.removesuffix("\n").replace("\n", "\r\n") + "\r\n"


@st.composite
def well_formed(draw: st.DrawFn) -> EmailMessage:
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = "a@b.vn"
    message["Subject"] = draw(st.text(st.sampled_from("abộđ é"), max_size=80))
    message.set_content(
        draw(st.text(st.sampled_from("aộ =.-\n"), max_size=200)),
        cte=draw(st.sampled_from(["base64", "quoted-printable"])),
    )
    if draw(st.booleans()):
        message.add_alternative("<p>x</p>", subtype="html")
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["file", "letter"]))
        if kind == "letter":
            inner = EmailMessage(policy=email.policy.SMTP)
            inner["Subject"] = "in"
            inner.set_content("x\n")
            message.add_attachment(inner)
        else:
            octets = draw(st.binary(max_size=300))
            name = draw(st.text(st.sampled_from("abcộđ. "), min_size=1, max_size=90).map(str.strip).filter(bool))
            message.add_attachment(octets, maintype="application", subtype="pdf", filename=name)
    return message


@moderate
@given(well_formed())
def test_well_formed_letters_read_as_by_the_oracle(written: EmailMessage) -> None:
    octets = written.as_bytes()
    message = scan(octets)
    oracle = email.message_from_bytes(octets, policy=email.policy.SMTP)
    assert message.defects == ()
    subject = message.first("subject")
    assert subject is not None
    assert subject.text.strip() == str(oracle["subject"]).strip()
    ours, theirs = list(message.walk()), list(oracle.walk())
    assert [part.media_type for part in ours] == [part.get_content_type() for part in theirs]
    for part, other in zip(ours, theirs, strict=True):
        compare(part, other)


def compare(part: Part, other: MIMEPart) -> None:
    assert part.disposition == (other.get_content_disposition() or "")
    name = other.get_filename()
    assert (name or "") == (part.names[0] if part.names else "")
    if not part.children:
        payload = other.get_payload(decode=True)
        assert isinstance(payload, bytes)
        # the oracle splits lines and joins them again; a part's last line break belongs to the delimiter
        assert part.decoded(100_000).rstrip(b"\r\n") == payload.rstrip(b"\r\n")
