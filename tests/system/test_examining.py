"""What strangers sent is opened beside the edge: a killed examiner loses no letter, a signed letter is not touched."""

from __future__ import annotations

import base64
import itertools
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bdmta.charset import encode
from bench.process import descendants
from tests.corpus.attachments import archives
from tests.corpus.attachments.files import MZ, odf, zipped
from tests.corpus.attachments.letters import attached
from tests.system.wire import deliver, here

TEXT = "Kính gửi anh Minh,\r\n\r\nĐề nghị Sở Nội vụ sớm gửi yêu cầu bằng văn bản cho Trung tâm.\r\n"


def test_an_exe_in_a_tnef_in_a_zip_is_refused(site, mailbox):
    local = mailbox()
    inner = zipped({"winmail.dat": archives.tnef({"chay.exe": MZ})})
    answer = deliver(site, attached("ho-so.zip", inner, "application/zip"), here(local))
    assert answer.code == 550
    assert "ho-so.zip/winmail.dat/chay.exe" in answer.text
    assert "Article 13" in answer.text
    assert site.letters(local) == []


@pytest.mark.parametrize("canonicalisation", [b"simple", b"relaxed"])
def test_a_signed_letter_in_tcvn3_stays_byte_identical(site, mailbox, canonicalisation):
    local = mailbox()
    raw = (
        b"From: A <a@elsewhere.example>\r\nTo: " + here(local).encode() + b"\r\nSubject: "
        + encode("tcvn3", "Báo cáo tình hình cấp hộp thư") + b"\r\nDate: Mon, 5 Jan 2026 08:00:00 +0700\r\n"
        b"Message-ID: <1@elsewhere.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n" + encode("tcvn3", TEXT)
    )  # fmt: skip
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    sealed = dkim.sign(raw, b"s1", b"elsewhere.example", pem, canonicalize=(canonicalisation, canonicalisation)) + raw
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    assert deliver(site, sealed, here(local)).code == 250
    (kept,) = site.letters(local)
    assert kept.endswith(sealed)
    assert b"\r\nX-Bdmta-Charset: legacy; tcvn3\r\n" in kept.removesuffix(sealed)
    assert dkim.verify(kept, dnsfunc=lambda *unused, **more: record)
    # The same letter without the signature is converted.
    assert deliver(site, raw, here(local)).code == 250
    assert b"\r\nX-Bdmta-Charset: converted; tcvn3\r\n" in site.letters(local)[1]


def examiners(site):
    """The examiner's processes of the running server."""
    found = []
    for pid in descendants(site.server.pid):
        try:
            if b"bdmta.examine.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def slow_letter(number):
    """A letter that takes a worker a while, unlike any other."""
    files = {f"ho-so-{number}-{inner}.odt": odf("odt") for inner in range(60)}
    return attached("ho-so.zip", zipped(files), "application/zip")


def test_killed_examiners_lose_no_letter(own_site):
    """Workers are killed while letters are examined: each is answered by 250 or 451, and 250 means it is there."""
    site = own_site({"dns": {"servers": "[]"}})
    site.start(workers=2)
    senders, letters_each_at_most = 4, 50
    waiting, is_over, is_seen, killed = [], threading.Event(), threading.Event(), []

    def kill():
        for turn in itertools.count():
            if is_over.wait((0.02, 0.1, 0.3)[turn % 3]):  # a quick machine is done with a letter in 0.1 s
                return
            for pid in examiners(site):
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                except ProcessLookupError:
                    continue

    def send(number):
        return number, deliver(site, slow_letter(number), here("minhnv"), sender=f"n{number}@elsewhere.example")

    def send_until_one_is_hit(first):
        """Four letters at least, and more until some letter was under examination when its worker died."""
        answers = {}
        for number in range(first, first + letters_each_at_most):
            if is_seen.is_set() and len(answers) >= 4:
                break
            _, answers[number] = send(number)
            if answers[number].code == 451:
                is_seen.set()
        return answers

    killer = threading.Thread(target=kill)
    killer.start()
    answers = {}
    try:
        with ThreadPoolExecutor(senders) as pool:
            for some in pool.map(send_until_one_is_hit, range(0, senders * letters_each_at_most, letters_each_at_most)):
                answers |= some
    finally:
        is_over.set()
        killer.join()
    assert killed
    assert {answer.code for answer in answers.values()} <= {250, 451}
    assert 451 in {answer.code for answer in answers.values()}, "no letter was under examination when its worker died"
    # The senders try again; every letter comes in once and whole.
    for number, answer in answers.items():
        if answer.code == 451:
            assert "4.3.0" in answer.text
            waiting.append(number)
    for number in waiting:
        assert send(number)[1].code == 250
    kept = site.letters("minhnv")
    assert sorted(octets.partition(b"\r\n")[0] for octets in kept) == sorted(
        f"Return-Path: <n{number}@elsewhere.example>".encode() for number in answers
    )
    assert all(octets.endswith(b"--=_bd--\r\n") for octets in kept)
    # What failed is on record without a word of a letter.
    log = (site.folder / "test.log").read_text()
    assert "ExaminerError" in log
    assert "Return-Path" not in log
    assert "octets=b" not in log
    assert site.stop() == 0
