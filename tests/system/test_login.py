"""Who may hand in letters: AUTH under TLS only, waits after wrong passwords, STARTTLS that cannot be injected into."""

import base64
import socket
import time

import pytest

from tests.site import PASSWORDS
from tests.system.wire import OUTSIDE, Wire, here, letter, office


def b64(text):
    return base64.b64encode(text.encode()).decode()


def test_auth_is_neither_offered_nor_taken_in_the_clear(site):
    with Wire(site, "submission") as wire:
        assert "AUTH" not in wire.ehlo.text
        assert "STARTTLS" in wire.ehlo.text
        assert wire.login("minhnv").code == 530
        assert wire.ask(f"MAIL FROM:<{here('minhnv')}>").code == 530
        wire.starttls()
        assert "STARTTLS" not in wire.ehlo.text
        assert "AUTH PLAIN LOGIN" in wire.ehlo.text
        assert wire.ask(f"MAIL FROM:<{here('minhnv')}>").code == 530
        assert wire.login("minhnv").code == 235
        assert "AUTH" not in wire.ask("EHLO client.example").text
        assert wire.ask(f"MAIL FROM:<{here('minhnv')}>").code == 250


def test_port_25_has_no_auth_under_tls_either(site):
    with Wire(site) as wire:
        wire.starttls()
        assert "AUTH" not in wire.ehlo.text
        assert wire.login("minhnv").code == 502


def test_tls_forgets_what_was_said_before_it(site):
    with Wire(site) as wire:
        assert wire.ask(f"MAIL FROM:<{OUTSIDE}>")
        wire.starttls()
        assert wire.ask(f"RCPT TO:<{here('minhnv')}>").code == 503


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["AUTH PLAIN", b64(f"\0{here('minhnv')}\0{PASSWORDS['minhnv']}")], 235),
        (["AUTH PLAIN " + b64(f"{here('minhnv')}\0{here('minhnv')}\0{PASSWORDS['minhnv']}")], 235),
        (["AUTH LOGIN", b64(here("minhnv")), b64(PASSWORDS["minhnv"])], 235),
        (["AUTH LOGIN " + b64(here("minhnv").upper()), b64(PASSWORDS["minhnv"])], 235),
        (["AUTH PLAIN", "*"], 501),
        (["AUTH LOGIN", b64(here("minhnv")), "*"], 501),
        (["AUTH PLAIN !!!!"], 501),
        (["AUTH PLAIN " + b64("no NUL in it")], 501),
        (["AUTH LOGIN", b64(here("minhnv")), b64("sai-mat-khau")], 535),
        (["AUTH PLAIN " + b64(f"\0{here('nobody')}\0{PASSWORDS['minhnv']}")], 535),
        (["AUTH PLAIN " + b64(f"\0{here('minhnv')}\0")], 535),
        (["AUTH PLAIN " + b64("\0" + "x" * 8000 + "\0" + "y" * 200)], 500),
        (["AUTH PLAIN", b64("\0" + "x" * 8000 + "\0" + "y" * 200)], 535),
        (["AUTH CRAM-MD5"], 504),
        (["AUTH"], 504),
    ],
)
def test_forms_of_auth(site, lines, code):
    with Wire(site, "submissions") as wire:
        for line in lines:
            answer = wire.ask(line)
        assert answer.code == code


def test_the_refusal_does_not_tell_who_exists(site):
    with Wire(site, "submissions") as wire:
        unknown = wire.login("nobody", "Mat-khau-2026")
        known = wire.login("khaintm", "Mat-khau-2026")
    assert unknown == known


def test_five_wrong_passwords_end_the_session(site):
    with Wire(site, "submissions") as wire:
        codes = [wire.login("khaintm", f"sai-{number}").code for number in range(5)]
        assert codes == [535] * 4 + [421]
        assert wire.is_closed()


def test_wrong_passwords_make_the_next_answer_wait_over_all_edges(pair):
    """`[limits] auth_backoff_s` is 1 here. The right password of another person is not kept waiting for long either."""
    office(pair, "mailbox_add", address=here("cho"), name="Chờ", password="Mat-khau-2040")
    for _ in range(4):
        with Wire(pair, "submissions") as wire:
            assert wire.login("cho", "sai").code == 535
    with Wire(pair, "submissions") as wire:
        started = time.monotonic()
        assert wire.login("cho", "Mat-khau-2040").code == 235
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("listener", ["imaps", pytest.param("pop3s", marks=pytest.mark.slow)])
def test_wrong_passwords_by_smtp_make_imap_and_pop3_wait(pair, listener):
    """One count for all protocols and edges: the fourth wrong password is answered after a second at the earliest."""
    office(pair, "mailbox_add", address=here(f"cho.{listener}"), name="Chờ", password="Mat-khau-2040")
    for _ in range(3):
        with Wire(pair, "submissions") as wire:
            assert wire.login(f"cho.{listener}", "sai").code == 535
    with socket.create_connection(("localhost", pair.port(listener)), 30) as raw:
        with pair.tls().wrap_socket(raw, server_hostname="localhost") as sock:
            lines = sock.makefile("rwb")
            lines.readline()
            started = time.monotonic()
            if listener == "imaps":
                lines.write(f"a LOGIN {here(f'cho.{listener}')} sai\r\n".encode())
            else:
                lines.write(f"USER {here(f'cho.{listener}')}\r\nPASS sai\r\n".encode())
            lines.flush()
            answers = [lines.readline() for _ in range(1 if listener == "imaps" else 2)]
    assert b"AUTH" in answers[-1] and time.monotonic() - started > 0.9


@pytest.mark.parametrize("listener", ["smtp", "submission"])
@pytest.mark.parametrize("split", [False, True], ids=["in one packet", "after the command"])
def test_what_is_sent_behind_starttls_is_never_run(site, listener, split):
    """CVE-2011-0411: commands in the clear behind STARTTLS must not be taken as said under TLS."""
    with Wire(site, listener) as wire:
        injected = b"EHLO injected.example\r\nMAIL FROM:<x@elsewhere.example>\r\n"
        if split:
            wire.send(b"STARTTLS\r\n" + injected[:5])
            wire.send(injected[5:])
        else:
            wire.send(b"STARTTLS\r\n" + injected)
        try:
            answer = wire.answer()
        except ConnectionError:
            return
        assert answer.code in (220, 421)
        assert wire.is_closed()


def test_a_delegate_sends_for_the_agency_and_others_do_not(site):
    office(site, "delegate_add", address=here("sotttt"), delegate=here("minhnv"))
    octets = letter("thay mặt", author=here("sotttt"))
    with Wire(site, "submissions") as wire:
        assert wire.login("minhnv").code == 235
        assert wire.deliver(octets, here("khaintm"), sender=here("sotttt")).code == 250
    with Wire(site, "submissions") as wire:
        assert wire.login("khaintm").code == 235
        assert wire.deliver(octets, here("minhnv"), sender=here("sotttt")).code == 550


def test_a_new_password_counts_at_once_and_the_old_no_longer(site, mailbox):
    local = mailbox(password="Mat-khau-2041")
    with Wire(site, "submissions") as wire:
        assert wire.login(local, "Mat-khau-2041").code == 235
    office(site, "mailbox_password", address=here(local), password="Mat-khau-2042")
    with Wire(site, "submissions") as wire:
        assert wire.login(local, "Mat-khau-2041").code == 535
        assert wire.login(local, "Mat-khau-2042").code == 235
