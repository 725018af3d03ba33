"""What is refused for what it is, on the wire: executables, loops, two authors, NUL, size; and how that is told."""

import email
import email.policy
import gzip

import pytest

from tests.corpus.attachments.files import MZ, zipped
from tests.corpus.attachments.letters import attached, file_part, multipart, part, text_part
from tests.corpus.attachments.letters import letter as corpus_letter
from tests.site import DOMAIN
from tests.system.wire import OUTSIDE, Wire, deliver, here, letter, office, submit

FORMS = {
    "plain": attached("tro-choi.exe", MZ),
    "by content alone": attached("bao-cao.pdf", MZ, "application/pdf"),
    "by name alone": attached("tro-choi.exe", b"Chao anh chi\r\n", "text/plain"),
    "in zip": attached("ho-so.zip", zipped({"tro-choi.exe": MZ}), "application/zip"),
    "in zip in zip": attached("ho-so.zip", zipped({"trong.zip": zipped({"tro-choi.exe": MZ})}), "application/zip"),
    "in gz": attached("tro-choi.exe.gz", gzip.compress(MZ), "application/gzip"),
    "in an attached message": corpus_letter(
        multipart(text_part(), part(attached("tro-choi.exe", MZ), "Content-Type: message/rfc822", encoding="7bit"))
    ),
    "beside an allowed file": corpus_letter(
        multipart(text_part(), file_part("a.txt", b"van ban"), file_part("tro-choi.exe", MZ))
    ),
}


@pytest.mark.parametrize("octets", FORMS.values(), ids=FORMS)
def test_an_executable_is_refused_in_every_form(site, mailbox, octets):
    local = mailbox()
    answer = deliver(site, octets, here(local))
    assert answer.code == 550
    assert "5.7.1" in answer.text
    assert "Dieu 13" in answer.text
    assert site.letters(local) == []


def test_an_allowed_file_comes_through_untouched(site, mailbox):
    local = mailbox()
    octets = attached("van-ban.txt", "Nội dung".encode(), "text/plain")
    assert deliver(site, octets, here(local)).code == 250
    assert site.letters(local)[0].endswith(octets)


def explanations(site, local):
    read = [email.message_from_bytes(octets, policy=email.policy.default) for octets in site.letters(local)]
    return [message for message in read if message["subject"] == "Thư của anh/chị chưa được gửi đi"]


def refused_submission(site, local, octets):
    with Wire(site, "submissions") as wire:
        assert wire.login(local, "Mat-khau-2032").code == 235
        return wire.deliver(octets, OUTSIDE, sender=here(local))


def from_login(local, octets):
    return octets.replace(b"hanhchinh@dian.example", here(local).encode())


def test_a_refused_official_finds_an_explanation_once(site, mailbox):
    local = mailbox(password="Mat-khau-2032")
    octets = from_login(local, FORMS["in zip"])
    assert refused_submission(site, local, octets).code == 550
    site.wait_for(lambda: explanations(site, local))
    for _ in range(3):  # the client tries again by itself
        assert refused_submission(site, local, octets).code == 550
    other = from_login(local, attached("khac.exe", MZ))
    assert refused_submission(site, local, other).code == 550
    site.wait_for(lambda: len(explanations(site, local)) >= 2)
    assert len(explanations(site, local)) == 2
    text = explanations(site, local)[0].get_content() + explanations(site, local)[1].get_content()
    assert "ho-so.zip/tro-choi.exe" in text
    assert "khac.exe" in text
    assert "KHÔNG được chuyển đi" in text
    assert "Điều 13" in text
    assert OUTSIDE in text


def test_retries_over_two_edges_are_explained_once(pair):
    office(pair, "mailbox_add", address=here("thulai"), name="Thử lại", password="Mat-khau-2032")
    octets = from_login("thulai", FORMS["plain"])
    for _ in range(6):
        assert refused_submission(pair, "thulai", octets).code == 550
    pair.wait_for(lambda: explanations(pair, "thulai"))
    last = from_login("thulai", attached("cuoi.exe", MZ))
    assert refused_submission(pair, "thulai", last).code == 550
    pair.wait_for(lambda: any("cuoi.exe" in m.get_content() for m in explanations(pair, "thulai")))
    assert len(explanations(pair, "thulai")) == 2


def test_what_comes_from_outside_is_never_explained_to_anybody(site, mailbox):
    local = mailbox()
    assert deliver(site, FORMS["plain"], here(local), sender=here("minhnv")).code == 550
    assert site.letters(local) == []


def test_a_display_name_that_lies_goes_to_junk(site, mailbox):
    local = mailbox()
    octets = f'From: "ct@{DOMAIN}" <x@elsewhere.example>\r\nSubject: Gap\r\n\r\nChuyen tien\r\n'.encode()
    assert deliver(site, octets, here(local)).code == 250
    assert site.letters(local) == []
    assert len(site.letters(local, ".Junk")) == 1


def test_a_letter_that_went_round_a_hundred_times_is_a_loop(site, mailbox):
    local = mailbox()
    hops = [
        f"Received: from h{number}.example by h{number + 1}.example; Mon, 5 Jan 2026 09:00:00 +0700"
        for number in range(99)
    ]
    assert deliver(site, letter("99", *hops), here(local)).code == 250
    answer = deliver(site, letter("100", *hops, hops[0]), here(local))
    assert (answer.code, answer.text[4:9]) == (554, "5.4.6")
    assert len(site.letters(local)) == 1


def test_a_letter_delivered_to_the_recipient_before_is_a_loop(site, mailbox):
    local = mailbox()
    answer = deliver(site, letter("vòng", f"Delivered-To: {here(local).upper()}"), here(local))
    assert (answer.code, answer.text[4:9]) == (554, "5.4.6")
    assert deliver(site, letter("khác", "Delivered-To: other@elsewhere.example"), here(local)).code == 250


def test_two_authors_are_refused_from_outside_and_from_inside(site, mailbox):
    assert deliver(site, letter("hai", f"From: <{here('minhnv')}>"), here(mailbox())).code == 550
    assert submit(site, letter("hai", f"From: <{OUTSIDE}>", author=here("minhnv")), here("khaintm")).code == 550


def test_a_foreign_author_is_refused_to_a_login(site):
    answer = submit(site, letter("giả", author=here("khaintm")), here("khaintm"))
    assert (answer.code, answer.text[4:9]) == (550, "5.7.1")
    assert submit(site, letter("giả", f"Sender: <{here('khaintm')}>", author=here("minhnv")), OUTSIDE).code == 550
    with Wire(site, "submissions") as wire:
        assert wire.login("minhnv").code == 235
        assert wire.ask(f"MAIL FROM:<{here('khaintm')}>").code == 550


def test_marks_of_ours_cannot_be_forged(site, mailbox):
    local = mailbox()
    # A From in our own domain, from outside, is marked; the mark stands below the trace fields.
    fields = ["X-Bdmta-Warning: sach se", "Return-Path: <forged@elsewhere.example>"]
    forged = letter("dấu", *fields, author=here("khaintm"))
    assert deliver(site, forged, here(local)).code == 250
    (octets,) = site.letters(local)
    assert b"sach se" not in octets
    assert octets.count(b"Return-Path:") == 1
    assert octets.count(b"X-Bdmta-Sender: own-domain\r\n") == 1
    assert octets.startswith(f"Return-Path: <{OUTSIDE}>\r\nReceived: from client.example ([127.0.0.1])\r\n".encode())


def test_unicode_addresses_and_subjects_need_and_get_smtputf8(site, mailbox):
    local = mailbox()
    octets = letter("Chào", author="ngườigửi@ví-dụ.example").replace(b"Test", "Báo cáo tuần".encode())
    with Wire(site) as wire:
        assert wire.ask("MAIL FROM:<ngườigửi@ví-dụ.example>").code == 553
        answer = wire.deliver(
            octets, here(local), sender="ngườigửi@ví-dụ.example", parameters=" SMTPUTF8 BODY=8BITMIME"
        )
    assert answer.code == 250
    (kept,) = site.letters(local)
    assert kept.endswith(octets)
    assert kept.startswith("Return-Path: <ngườigửi@ví-dụ.example>\r\n".encode())
    assert b"with UTF8ESMTP id" in kept


def test_nul_is_refused_on_submission_too(site):
    assert submit(site, letter("a\0b", author=here("minhnv")), here("khaintm")).code == 554


def test_bare_line_ends_are_refused_from_outside_and_mended_from_inside(site, mailbox):
    local = mailbox()
    with Wire(site) as wire:
        for ending in ("\n", "\r"):
            answer = wire.deliver(letter(f"một{ending}hai"), here(local))
            assert (answer.code, answer.text[4:10]) == (554, "5.6.11")
    assert submit(site, letter("một\nhai\rba", author=here("minhnv")), here(local)).code == 250
    (octets,) = site.letters(local)
    assert octets.endswith("một\r\nhai\r\nba\r\n".encode())


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r", b"\n.\r", b"\r.\r\n", b"\r.\n"]
)
def test_nothing_but_crlf_dot_crlf_ends_a_letter(site, mailbox, end):
    """SMTP smuggling (CVE-2023-51764): what stands behind a false end is text of the same letter, which is refused."""
    local = mailbox()
    smuggled = (
        f"MAIL FROM:<ct@{DOMAIN}>\r\nRCPT TO:<{here(local)}>\r\nDATA\r\nFrom: <ct@{DOMAIN}>\r\n\r\ngia\r\n".encode()
    )
    with Wire(site) as wire:
        wire.envelope(OUTSIDE, here(local))
        assert wire.ask("DATA").code == 354
        wire.send(letter("thật") + end + smuggled + b".\r\n")
        assert wire.answer().code == 554
        assert wire.ask("NOOP").code == 250
    assert site.letters(local) == []


def test_a_letter_over_the_bound_is_refused_at_mail_and_after_data(pair):
    with Wire(pair) as wire:
        assert wire.ask(f"MAIL FROM:<{OUTSIDE}> SIZE=200001").code == 552
        answer = wire.deliver(letter("x" * 70 + ("\r\n" + "x" * 70) * 5000), here("minhnv"), parameters=" SIZE=1000")
        assert (answer.code, answer.text[4:9]) == (552, "5.3.4")
        assert wire.deliver(letter("x" * 70 + ("\r\n" + "x" * 70) * 2500), here("minhnv")).code == 250


def test_bcc_is_gone_and_date_and_message_id_are_there(site, mailbox):
    local, blind = mailbox(), mailbox()
    fields = [f"To: <{here(local)}>", f"Bcc: <{here(blind)}>,\r\n\t<ai@elsewhere.example>", "Resent-Bcc: x@y.z"]
    octets = letter("mật", *fields, author=here("minhnv"))
    assert submit(site, octets, here(local), here(blind)).code == 250
    (one,), (two,) = site.letters(local), site.letters(blind)
    assert one == two
    read = email.message_from_bytes(one, policy=email.policy.default)
    assert blind.encode() not in one
    assert "elsewhere" not in one.decode()
    assert read["date"].datetime.utcoffset().total_seconds() == 7 * 3600
    assert read["message-id"]
    assert "with ESMTPSA id" in read["received"]
