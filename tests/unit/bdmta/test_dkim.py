"""DKIM: the published vectors, what must never pass, and dkimpy as the other opinion."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import dkim as dkimpy
import pytest
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.dns import TempFail
from bdmta.mailauth.canonical import BodyHash, hash_body, relaxed_field, signed_octets
from bdmta.mailauth.dkim import MAX_SIGNATURES, verify
from bdmta.mailauth.keyring import record_of
from bdmta.mailauth.leaving import LeavingSigner
from bdmta.mailauth.results import DkimResult, Result
from bdmta.mailauth.sign import Signer, SignError
from bdmta.message import scan
from bdmta.testing.clock import FakeClock
from bdmta.testing.resolver import FakeResolver, World
from storage.spool_entry import QueueEntry

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
ED_KEY = Ed25519PrivateKey.generate()
RECORD = record_of(KEY)
NAME = "sel._domainkey.example.org"
NOW = 1_800_000_000.0
LETTER = (
    b"From: A <a@example.org>\r\nTo: b@binhduong.gov.vn\r\nSubject: Hai  ba\r\n\tchao\r\n"
    b"Date: Mon, 5 Jan 2026 08:00:00 +0700\r\n\r\nXin  chao \r\n\r\n\tBan\r\n\r\n\r\n"
)


def check(letter: bytes, world: World | None = None, *, now: float = NOW, skip: int = 0) -> tuple[DkimResult, ...]:
    resolver = FakeResolver({NAME: {"TXT": [RECORD]}} if world is None else world)
    return asyncio.run(verify(scan(letter), resolver, now, skip_octets=skip))


def only(letter: bytes, world: World | None = None, **more: float) -> DkimResult:
    (result,) = check(letter, world, **more)  # type: ignore[arg-type]
    return result


def signed(
    letter: bytes = LETTER, *, names: str = "from:to:subject:date", a: str = "rsa-sha256", c: str = "relaxed/relaxed",
    extra: str = "", d: str = "example.org", s: str = "sel", key: rsa.RSAPrivateKey | Ed25519PrivateKey = KEY,
    body: bytes | None = None, v: str = "1",
) -> bytes:  # fmt: skip
    """A letter signed as told, by this test's own few lines; what the tags claim need not be sensible."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    message = scan(letter)
    relaxed_body = c.endswith("/relaxed")
    hashed = hash_body([letter[message.body_start :] if body is None else body], relaxed=relaxed_body)
    bh = base64.b64encode(hashed.digest()).decode()
    head = f"DKIM-Signature: v={v}; a={a}; c={c}; d={d}; s={s};\r\n h={names};{extra}\r\n bh={bh}; b=".encode()
    fields = [(h.name, letter[h.start : h.end]) for h in message.headers]
    octets = signed_octets(fields, names.lower().split(":"), head + b"\r\n", relaxed=c.startswith("relaxed"))
    if isinstance(key, Ed25519PrivateKey):
        value = key.sign(hashlib.sha256(octets).digest())
    else:
        value = key.sign(octets, padding.PKCS1v15(), hashes.SHA1() if a == "rsa-sha1" else hashes.SHA256())
    return head + base64.b64encode(value) + b"\r\n" + letter


RFC8463 = (
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\n d=football.example.com; i=@football.example.com;\n"
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\n subject : date : message-id : from : subject : date;\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\n Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\n d=football.example.com; i=@football.example.com;\n"
    " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\n date : message-id : from : subject : date;\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"
    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\n"
    " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\n"
    " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\n"
    "From: Joe SixPack <joe@football.example.com>\nTo: Suzie Q <suzie@shopping.example.net>\n"
    "Subject: Is dinner ready?\nDate: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\n\n"
    "Hi.\n\nWe lost the game.  Are you hungry yet?\n\nJoe.\n"
).replace("\n", "\r\n").encode()  # fmt: skip
RFC8463_DNS: World = {
    "brisbane._domainkey.football.example.com": {
        "TXT": ["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]
    },
    "test._domainkey.football.example.com": {
        "TXT": [
            "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi"
            "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2"
            "kryOTIKT+l/K4w3QIDAQAB"
        ]
    },
}


def test_rfc_8463_appendix_a() -> None:
    results = check(RFC8463, RFC8463_DNS)
    assert [(r.result, r.algorithm, r.domain) for r in results] == [
        (Result.PASS, "ed25519-sha256", "football.example.com"), (Result.PASS, "rsa-sha256", "football.example.com"),
    ]  # fmt: skip
    assert results[0].signature == "/gCrinpc" and results[0].identity == "@football.example.com"
    changed = check(RFC8463.replace(b"lost the game", b"lost  a game "), RFC8463_DNS)
    assert [r.result for r in changed] == [Result.FAIL, Result.FAIL]
    renamed = check(RFC8463.replace(b"Is dinner ready", b"Is dinner Ready"), RFC8463_DNS)
    assert [r.reason for r in renamed] == ["the signature is not of this key"] * 2


@pytest.mark.parametrize("c", ["relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed", "relaxed"])
def test_every_form_passes_ours_and_dkimpys_opinion(c: str) -> None:
    letter = signed(c=c)
    assert only(letter).result is Result.PASS
    assert dkimpy.verify(letter, dnsfunc=lambda name, timeout=5: RECORD.encode())


@pytest.mark.parametrize("c", [(b"relaxed", b"relaxed"), (b"simple", b"simple"), (b"simple", b"relaxed")])
def test_what_dkimpy_signs_passes(c: tuple[bytes, bytes]) -> None:
    field = dkimpy.sign(LETTER, b"sel", b"example.org", PEM, canonicalize=c)
    assert only(field + LETTER).result is Result.PASS


RELAXED_CHANGES = [
    (b"Hai  ba\r\n\tchao", b"Hai ba chao  "), (b"Xin  chao \r\n", b"Xin chao\r\n"), (b"\tBan\r\n\r\n\r\n", b" Ban\r\n"),
    (b"From: A", b"FROM:A"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), RELAXED_CHANGES)
def test_relaxed_forgives_blanks_and_simple_does_not(old: bytes, new: bytes) -> None:
    assert old in LETTER
    assert only(signed().replace(old, new)).result is Result.PASS
    if old != b"\tBan\r\n\r\n\r\n":
        assert only(signed(c="simple/simple").replace(old, new)).result is Result.FAIL


def edited(old: bytes, new: bytes, **how: str) -> Callable[[], bytes]:
    return lambda: signed(**how).replace(old, new, 1)  # type: ignore[arg-type]


def body_length() -> int:
    hashed = hash_body([LETTER.partition(b"\r\n\r\n")[2]], relaxed=True)
    hashed.digest()
    return hashed.size_octets


def appended(length: int, more: bytes) -> bytes:
    return signed(extra=f" l={length};") + more


NEVER: dict[str, tuple[Callable[[], bytes], Result]] = {
    "changed body": (edited(b"Ban", b"ban"), Result.FAIL),
    "changed subject": (edited(b"Hai", b"hai"), Result.FAIL),
    "changed signature": (edited(b"b=", b"b=AAAA"), Result.FAIL),
    "rsa-sha1": (lambda: signed(a="rsa-sha1"), Result.PERMERROR),
    "from uncovered": (lambda: signed(names="to:subject:date"), Result.PERMERROR),
    "second from on top": (lambda: b"From: boss@binhduong.gov.vn\r\n" + signed(), Result.POLICY),
    "second from below": (edited(b"To: b@", b"From: boss@binhduong.gov.vn\r\nTo: b@"), Result.POLICY),
    "sealed from, another on top": (
        lambda: b"From: boss@binhduong.gov.vn\r\n" + signed(names="from:from:to:subject:date"), Result.FAIL,
    ),
    "l= with text appended": (lambda: appended(body_length(), b"More\r\n"), Result.POLICY),
    "l= of nothing": (lambda: appended(0, b"Anything\r\n"), Result.POLICY),
    "l= too long": (lambda: signed(extra=f" l={body_length() + 1};"), Result.FAIL),
    "l= empty": (lambda: signed(extra=" l=;"), Result.PERMERROR),
    "l= negative": (lambda: signed(extra=" l=-1;"), Result.PERMERROR),
    "l= of other digits": (lambda: signed(extra=" l=\u0661;"), Result.PERMERROR),
    "l= huge": (lambda: signed(extra=f" l={'9' * 77};"), Result.PERMERROR),
    "a tag twice": (lambda: signed(extra=" d=evil.org;"), Result.PERMERROR),
    "expired": (lambda: signed(extra=f" t={int(NOW) - 20}; x={int(NOW) - 10};"), Result.FAIL),
    "expiry before time": (lambda: signed(extra=f" t={int(NOW)}; x={int(NOW) - 1};"), Result.PERMERROR),
    "from the future": (lambda: signed(extra=f" t={int(NOW) + 90_000};"), Result.FAIL),
    "other version": (lambda: signed(v="2"), Result.PERMERROR),
    "unknown algorithm": (lambda: signed(a="rsa-md5"), Result.PERMERROR),
    "unknown form": (lambda: signed(c="nowsp/relaxed"), Result.PERMERROR),
    "unknown query": (lambda: signed(extra=" q=http;"), Result.PERMERROR),
    "i= elsewhere": (lambda: signed(extra=" i=boss@binhduong.gov.vn;"), Result.PERMERROR),
    "i= that only ends alike": (lambda: signed(extra=" i=@evilexample.org;"), Result.PERMERROR),
    "i= without at": (lambda: signed(extra=" i=example.org;"), Result.PERMERROR),
    "bh= no base64": (edited(b" bh=", b" bh=*"), Result.PERMERROR),
    "b= no base64": (edited(b"b=", b"b=*"), Result.PERMERROR),
    "no list of tags": (edited(b"v=1;", b"v;"), Result.PERMERROR),
    "8 bits in the field": (edited(b"v=1;", b"v=1; z=\xff;"), Result.PERMERROR),
    "selector with a slash": (lambda: signed(s="../sel"), Result.PERMERROR),
    "d= a public suffix": (lambda: signed(d="gov.vn"), Result.POLICY),
    "key of another kind": (lambda: signed(a="ed25519-sha256"), Result.PERMERROR),
    "bare LF in the body": (edited(b"\r\n\tBan", b"\n\tBan"), Result.POLICY),
    "bare CR in the body": (edited(b"\r\n\tBan", b"\r\tBan"), Result.POLICY),
    "bare LF in the header": (edited(b"\r\nTo: ", b"\nTo: "), Result.POLICY),
    "field too long": (lambda: signed(extra=f" n={'x' * 8192};"), Result.PERMERROR),
}  # fmt: skip


@pytest.mark.parametrize("case", NEVER)
def test_never_passes(case: str) -> None:
    make, expected = NEVER[case]
    world: World = {NAME: {"TXT": [RECORD]}, "sel._domainkey.gov.vn": {"TXT": [RECORD]}}
    result = only(make(), world)
    assert result.result is expected, result
    assert result.reason


@pytest.mark.parametrize("tag", ["v", "a", "b", "bh", "d", "h", "s"])
def test_every_needed_tag_is_needed(tag: str) -> None:
    letter = signed()
    at = letter.index(f"{tag}=".encode()) if tag != "b" else letter.index(b" b=") + 1
    gone = only(letter[:at] + b"no" + letter[at:])
    assert (gone.result, gone.reason) == (Result.PERMERROR, f"{tag}= is missing")


def test_a_length_that_covers_all_passes() -> None:
    assert only(signed(extra=f" l={body_length()};")).result is Result.PASS


def test_a_blank_body_and_none() -> None:
    head = LETTER.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    for letter in (head, head + b"\r\n \r\n", head + b"x"):
        for c in ("relaxed/relaxed", "simple/simple"):
            assert only(signed(letter, c=c)).result is Result.PASS
            field = dkimpy.sign(letter, b"sel", b"example.org", PEM, canonicalize=tuple(c.encode().split(b"/")))
            assert only(field + letter).result is Result.PASS


SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)
KEYS: dict[str, tuple[object, Result]] = {
    "none": ([], Result.PERMERROR),
    "server failed": (TempFail("the name servers failed"), Result.TEMPERROR),
    "revoked": (["v=DKIM1; p="], Result.PERMERROR),
    "no p": (["v=DKIM1; k=rsa"], Result.PERMERROR),
    "other version": ([RECORD.replace("DKIM1", "DKIM2")], Result.PERMERROR),
    "version not first": ([RECORD.removeprefix("v=DKIM1; ") + "; v=DKIM1"], Result.PERMERROR),
    "for sha1": ([RECORD + "; h=sha1"], Result.PERMERROR),
    "for sha1 and sha256": ([RECORD + "; h=sha1 : sha256"], Result.PASS),
    "for other services": ([RECORD + "; s=tlsrpt"], Result.PERMERROR),
    "for mail": ([RECORD + "; s=other:email"], Result.PASS),
    "of another kind": ([record_of(ED_KEY)], Result.PERMERROR),
    "unknown kind": ([RECORD.replace("k=rsa", "k=dsa")], Result.PERMERROR),
    "damaged": ([RECORD[:-40]], Result.PERMERROR),
    "not base64": ([RECORD + "*"], Result.PERMERROR),
    "of a stranger": ([record_of(SMALL)], Result.FAIL),
    "two": ([RECORD, record_of(SMALL)], Result.PERMERROR),
    "one and a note": (["hello world", RECORD], Result.PASS),
    "testing": ([RECORD + "; t=y"], Result.PASS),
    "without v": ([RECORD.removeprefix("v=DKIM1; ")], Result.PASS),
    "8 bits": ([b"v=DKIM1; n=\xff; " + RECORD.encode()], Result.PERMERROR),
    "endless": (["v=DKIM1; n=" + "x" * 5000 + RECORD], Result.PERMERROR),
}


@pytest.mark.parametrize("case", KEYS)
def test_keys(case: str) -> None:
    records, expected = KEYS[case]
    result = only(signed(), {NAME: {"TXT": records}})  # type: ignore[dict-item]
    assert result.result is expected, result
    assert result.is_testing == (case == "testing")


def _short_key_record() -> str:
    """A 512-bit RSA key; `cryptography` makes none any more, so its octets are put together here."""
    number = (1 << 511) + 12345

    def tlv(tag: int, content: bytes) -> bytes:
        size = len(content)
        return bytes([tag, size]) + content if size < 128 else bytes([tag, 0x81, size]) + content

    pair = tlv(2, b"\0" + number.to_bytes(64, "big")) + tlv(2, (65537).to_bytes(3, "big"))
    algorithm = tlv(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    return "v=DKIM1; p=" + base64.b64encode(tlv(0x30, algorithm + tlv(3, b"\0" + tlv(0x30, pair)))).decode()


def test_short_keys_never_pass() -> None:
    result = only(signed(), {NAME: {"TXT": [_short_key_record()]}})
    assert result.result is Result.PERMERROR
    assert result.reason in ("key too short", "key cannot be read")


def test_a_key_for_its_own_domain_only() -> None:
    world: World = {NAME: {"TXT": [RECORD + "; t=s"]}}
    assert only(signed(extra=" i=a@example.org;"), world).result is Result.PASS
    assert only(signed(extra=" i=a@sub.example.org;"), world).result is Result.PERMERROR
    assert only(signed(extra=" i=a@sub.example.org;")).result is Result.PASS


def test_the_number_of_signatures_is_bounded_and_each_has_its_result() -> None:
    letter = signed()
    field = letter[: letter.index(b"From:")]
    many = field.replace(b"bh=", b"bh=A") * (MAX_SIGNATURES + 20) + LETTER
    results = check(many)
    assert len(results) == MAX_SIGNATURES
    assert check(field.replace(b"v=1", b"v=9") + field + LETTER)[1].result is Result.PASS


def test_of_many_signatures_the_authors_own_is_looked_at() -> None:
    own = signed()
    others = own[: own.index(b"From:")].replace(b"d=example.org", b"d=list.example.com") * 20
    results = check(others + own)
    assert len(results) == MAX_SIGNATURES
    assert (results[0].domain, results[0].result) == ("example.org", Result.PASS)


def test_a_changed_body_asks_no_server() -> None:
    resolver = FakeResolver({NAME: {"TXT": [RECORD]}}, cached=False)
    asyncio.run(verify(scan(signed().replace(b"Ban", b"ban")), resolver, NOW))
    assert resolver.asked == []
    asyncio.run(verify(scan(signed()), resolver, NOW))
    assert resolver.asked == [(NAME, "TXT")]


def test_fields_of_ours_were_not_there_when_it_was_signed() -> None:
    letter = signed(b"Received: from x\r\n" + LETTER, names="from:received:received:to:subject:date")
    ours = b"Return-Path: <a@example.org>\r\nReceived: by us\r\n"
    assert only(ours + letter, skip=len(ours)).result is Result.PASS
    assert only(ours + letter).result is Result.FAIL


def test_large_letters_are_hashed_beside_the_loop() -> None:
    letter = signed(LETTER + b"Mot dong  \t rat dai. \r\n" * 60_000)
    with ThreadPoolExecutor(1) as executor:
        (result,) = asyncio.run(verify(scan(letter), FakeResolver({NAME: {"TXT": [RECORD]}}), NOW, executor))
    assert result.result is Result.PASS


@given(st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"  ", b"\r\n\r\n", b"x y"]), max_size=40), st.data())
@settings(max_examples=200, deadline=None)
def test_bodies_hash_as_dkimpy_says_however_they_are_cut(parts: list[bytes], data: st.DataObject) -> None:
    from dkim.canonicalization import Relaxed, Simple

    body = b"".join(parts)
    for relaxed, other in ((True, Relaxed), (False, Simple)):
        hashed = BodyHash(relaxed=relaxed)
        at = 0
        while at < len(body):
            step = data.draw(st.integers(1, 7))
            hashed.update(body[at : at + step])
            at += step
        expected = other.canonicalize_body(body)
        if body and not body.endswith(b"\r\n"):  # dkimpy adds no CRLF where one is missing, as §3.4.3 has it
            expected = other.canonicalize_body(body + b"\r\n")
        assert hashed.digest() == hashlib.sha256(expected).digest()
        assert not hashed.has_bare_breaks


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_field_raises(noise: bytes) -> None:
    letter = b"DKIM-Signature: " + noise.replace(b"\r", b"").replace(b"\n", b"\r\n ") + b"\r\n" + LETTER
    assert all(result.result is not Result.PASS for result in check(letter))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_octet_of_what_is_signed_can_be_changed(data: st.DataObject) -> None:
    letter = SIGNED_ONCE
    at = data.draw(st.integers(letter.index(b"From:"), len(letter) - 8))
    octet = data.draw(st.integers(33, 126))
    if letter[at] in b"\r\n \t:" or letter[at] == octet or chr(letter[at]).lower() == chr(octet).lower():
        return
    assert only(letter[:at] + bytes([octet]) + letter[at + 1 :]).result is not Result.PASS


SIGNED_ONCE = signed()


def test_relaxed_fields() -> None:
    assert relaxed_field(b"SUBJect \t: Xin \t chao \r\n\t ban \r\n") == b"subject:Xin chao ban\r\n"  # RFC 6376 §3.4.5
    assert relaxed_field(b"B:\tb\x0b \r\n") == b"b:b\x0b\r\n"


# -- our own signature


def signer(tmp_path: object, **more: object) -> Signer:
    folder = str(tmp_path)
    with open(f"{folder}/bdmta.pem", "wb") as file:
        file.write(PEM)
    return Signer(folder, "bdmta", lambda: ("example.org",), FakeClock(), **more)  # type: ignore[arg-type]


OURS: World = {"bdmta._domainkey.example.org": {"TXT": [RECORD]}}


def test_what_we_sign_passes_here_and_with_dkimpy(tmp_path: object) -> None:
    field = asyncio.run(signer(tmp_path).sign(LETTER))
    assert only(field + LETTER, OURS).result is Result.PASS
    assert dkimpy.verify(field + LETTER, dnsfunc=lambda name, timeout=5: RECORD.encode())
    assert all(len(line) <= 78 for line in field.split(b"\r\n"))


def test_letters_in_pieces_are_signed_as_in_one(tmp_path: object) -> None:
    ours = signer(tmp_path)
    whole = asyncio.run(ours.sign(LETTER))
    for cut in range(1, len(LETTER), 7):
        assert asyncio.run(ours.sign([LETTER[:cut], memoryview(LETTER)[cut:]])) == whole


@pytest.mark.parametrize("name", [b"From", b"To", b"Cc", b"Subject", b"Reply-To", b"Content-Type", b"Date"])
def test_nothing_that_people_see_can_be_added(tmp_path: object, name: bytes) -> None:
    field = asyncio.run(signer(tmp_path).sign(LETTER))
    assert only(name + b": boss@binhduong.gov.vn\r\n" + field + LETTER, OURS).result is not Result.PASS
    assert only(field + name + b": boss@binhduong.gov.vn\r\n" + LETTER, OURS).result is not Result.PASS
    assert only(b"Received: by somebody\r\n" + field + LETTER, OURS).result is Result.PASS


def test_only_letters_of_our_domains_are_signed(tmp_path: object) -> None:
    ours = signer(tmp_path)
    for author in (b"a@example.com", b"a@sub.example.org", b"nobody", b"a@example.org, b@example.com"):
        assert asyncio.run(ours.sign(LETTER.replace(b"A <a@example.org>", author))) == b""
    assert asyncio.run(ours.sign(b"From: a@example.org\r\n" + LETTER)) == b""
    assert asyncio.run(ours.sign(b"")) == b""


def test_what_others_would_read_differently_is_not_signed(tmp_path: object) -> None:
    ours = signer(tmp_path)
    for letter in (
        LETTER.replace(b"\r\nTo", b"\nTo"),
        LETTER + b"a\nb\r\n",
        b"X: " + b"x" * 300_000 + b"\r\n" + LETTER,
    ):
        with pytest.raises(SignError):
            asyncio.run(ours.sign(letter))


def test_a_site_without_keys_signs_nothing(tmp_path: object) -> None:
    assert asyncio.run(Signer(str(tmp_path), "bdmta", lambda: ("example.org",), FakeClock()).sign(LETTER)) == b""


def test_large_letters_are_signed_beside_the_loop(tmp_path: object) -> None:
    letter = LETTER + b"Mot dong dai.\r\n" * 60_000
    with ThreadPoolExecutor(1) as executor:
        field = asyncio.run(signer(tmp_path, executor=executor).sign(letter))
    assert only(field + letter, OURS).result is Result.PASS


class Leaves:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.size_octets = len(octets)

    def octets(self) -> Iterator[bytes]:
        for at in range(0, len(self._octets), 65_536):
            yield self._octets[at : at + 65_536]


def leaving(tmp_path: object, letter: bytes, direction: str) -> bytes:
    with ThreadPoolExecutor(1) as executor:
        ours = LeavingSigner(signer(tmp_path), executor, structlog.get_logger())
        return asyncio.run(ours.sign(Leaves(letter), QueueEntry("id", "a@example.org", direction=direction)))


@pytest.mark.parametrize("lines", [1, 60_000])
def test_the_courier_signs_what_is_ours_and_never_what_came_from_outside(tmp_path: object, lines: int) -> None:
    letter = LETTER + b"Mot dong dai.\r\n" * lines
    for direction in ("submission", "internal"):
        assert only(leaving(tmp_path, letter, direction) + letter, OURS).result is Result.PASS
    assert leaving(tmp_path, letter, "inbound") == b""


def test_what_cannot_be_signed_leaves_all_the_same(tmp_path: object) -> None:
    assert leaving(tmp_path, LETTER + b"a\nb\r\n", "submission") == b""
