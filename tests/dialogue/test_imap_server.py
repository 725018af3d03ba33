"""What a transcript cannot show: sizes, bounds, notices, timeouts, who waits for whom."""

from __future__ import annotations

import imaplib
import poplib
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.dialogue.imap.harness import OTHER, PASSWORD, USER, MailServer
from tests.dialogue.imap.transcript import Side


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    with MailServer(tmp_path, settings=getattr(request, "param", None)) as running:
        yield running
    assert not running.errors, running.errors


def logged_in(server: MailServer, user: str = USER) -> imaplib.IMAP4:
    client = imaplib.IMAP4("127.0.0.1", server.ports["imap"])
    client.login(user, PASSWORD)
    return client


def hear(side: Side, start: str) -> list[str]:
    """Lines up to the one that begins so."""
    lines = []
    while True:
        line = side.line()
        assert line is not None, lines
        lines.append(line)
        if line.startswith(start):
            return lines


def big(octets: int) -> bytes:
    line = b"x" * 70 + b"\r\n.leading dot\r\n"
    return b"Subject: big\r\nContent-Type: text/plain\r\n\r\n" + line * (octets // len(line)) + b"end without line end"


def test_a_large_letter_goes_in_and_out_unchanged(server: MailServer) -> None:
    letter = big(3_000_000)
    client = logged_in(server)
    assert client.append("INBOX", "", None, letter)[0] == "OK"
    client.select("INBOX")
    assert client.fetch("1", "(UID BODY.PEEK[])")[1][0][1] == letter
    assert (
        client.fetch("1", "(BODY.PEEK[TEXT]<100.2000000>)")[1][0][1] == letter.partition(b"\r\n\r\n")[2][100:2_000_100]
    )
    assert client.fetch("1", "(BODY.PEEK[1])")[1][0][1] == letter.partition(b"\r\n\r\n")[2]
    client.logout()
    pop = poplib.POP3("127.0.0.1", server.ports["pop3"])
    pop.user(USER)
    pop.pass_(PASSWORD)
    assert b"\r\n".join(pop.retr(1)[1]) == letter
    pop.quit()


def test_a_peer_that_does_not_read_is_waited_for_without_memory(server: MailServer) -> None:
    """Flow control: what nobody takes is not rendered, and others are served meanwhile."""
    letter = big(900_000)
    for _ in range(30):
        server.deliver(letter)
    lazy = Side(server, "imap")
    lazy.send(f'a LOGIN {USER} "{PASSWORD}"\r\nb SELECT INBOX\r\nc FETCH 1:* BODY.PEEK[]\r\n'.encode())
    hear(lazy, "b OK")
    other = logged_in(server)
    for _ in range(20):
        assert other.noop()[0] == "OK"
    assert server.imap is not None
    held = server.call(lambda: [p._transport.get_write_buffer_size() for p in server.imap.live])  # type: ignore[union-attr]
    assert max(held) < 4_000_000
    lazy.close()
    other.logout()


def test_notices_come_at_login_and_to_whoever_is_there(server: MailServer) -> None:
    server.alerts.append("Máy chủ bảo trì lúc 17:00")
    side = Side(server, "imap")
    assert "ALERT" not in str(side.line())
    side.send(f'a LOGIN {USER} "{PASSWORD}"\r\n'.encode())
    assert hear(side, "a OK")[0] == "* OK [ALERT] May chu bao tri luc 17:00"
    assert server.imap is not None
    stranger = Side(server, "imap")
    stranger.line()
    server.call(server.imap.announce, "một\r\nhai")
    assert side.line() == "* OK [ALERT] mot hai"
    side.send(b"b IDLE\r\n")
    hear(side, "+")
    server.call(server.imap.announce, "ba")
    assert side.line() == "* OK [ALERT] ba"
    stranger.send(b"x NOOP\r\n")
    assert stranger.line() == "x OK Done"
    side.close()
    stranger.close()


def test_a_capability_can_be_taken_from_an_account(server: MailServer) -> None:
    assert server.imap is not None
    withheld = {USER: frozenset({"IDLE", "CONDSTORE", "IMAP4rev1"})}
    server.imap.withheld = lambda address: withheld.get(address, frozenset())
    one, two = logged_in(server), logged_in(server, OTHER)
    told = one.capability()[1][0].decode().split()
    assert "IDLE" not in told and "CONDSTORE" not in told and "IMAP4rev1" in told
    assert "IDLE" in two.capability()[1][0].decode().split()
    one.select()
    for command in ("IDLE",):
        with pytest.raises(imaplib.IMAP4.error, match="unknown command"):
            imaplib.Commands[command] = ("SELECTED",)
            one._simple_command(command)
    with pytest.raises(imaplib.IMAP4.error):
        one.fetch("1:*", "(MODSEQ)")
    one.logout()
    two.logout()


@pytest.mark.parametrize("server", [{"sessions_per_account": 2}], indirect=True)
def test_sessions_of_one_account_are_bounded(server: MailServer) -> None:
    one, two = logged_in(server), logged_in(server)
    with pytest.raises(imaplib.IMAP4.error, match="LIMIT"):
        logged_in(server)
    logged_in(server, OTHER).logout()
    one.logout()
    for _ in range(100):
        try:
            logged_in(server).logout()
            break
        except imaplib.IMAP4.error:  # the server has not seen the end of the first yet
            time.sleep(0.01)
    else:
        pytest.fail("the place was not given back")
    two.logout()


@pytest.mark.parametrize("server", [{"sessions_per_address": 2}], indirect=True)
def test_sessions_of_one_address_are_bounded(server: MailServer) -> None:
    sides = [Side(server, "imap"), Side(server, "imap")]
    assert all("ready" in str(side.line()) for side in sides)
    third = Side(server, "imap")
    assert third.line() == "* BYE Too many sessions" and third.line() is None
    for side in sides:
        side.close()


@pytest.mark.parametrize("server", [{"login_timeout_s": 0.1, "idle_timeout_s": 0.3}], indirect=True)
def test_whoever_says_nothing_is_let_go(server: MailServer) -> None:
    for greeting in ("imap", "pop3"):
        stranger = Side(server, greeting)
        stranger.line()
        stranger.send(b"a")  # a trickle is no command
        assert "BYE" in str(last := stranger.line()) or "-ERR" in str(last)
        assert stranger.line() is None
    side = Side(server, "imap")
    side.send(f'a LOGIN {USER} "{PASSWORD}"\r\nb IDLE\r\n'.encode())
    assert hear(side, "* BYE")[-1].startswith("* BYE Autologout")
    assert side.line() is None


def test_a_full_mailbox(server: MailServer) -> None:
    server.mail.limit_octets = 2000
    client = logged_in(server)
    assert client.append("Sent", "", None, b"x" * 100)[0] == "OK"
    status, text = client.append("Sent", "", None, b"x" * 5000)
    assert status == "NO" and b"OVERQUOTA" in text[0]
    client.logout()


def test_facts_are_told_and_hold_no_content(server: MailServer) -> None:
    """Điều 14: logins, selects and reads are check-ins."""
    server.deliver(b"Subject: secret\r\n\r\nbody\r\n")
    client = logged_in(server)
    client.select("INBOX")
    client.fetch("1", "(RFC822)")
    client.logout()
    assert [fact["event"] for fact in server.facts.told] == ["login", "select", "read"]
    assert all(fact["recipient"] == USER for fact in server.facts.told)
    assert "secret" not in str(server.facts.told)


def test_a_flood_of_commands_does_not_hold_the_loop(server: MailServer) -> None:
    flood = Side(server, "imap")
    flood.send(f'a LOGIN {USER} "{PASSWORD}"\r\n'.encode())
    hear(flood, "a OK")
    other = logged_in(server)
    flood.send(b"".join(b"n%d NOOP\r\n" % n for n in range(5000)) + b"z NOOP\r\n")
    began = time.perf_counter()
    assert other.noop()[0] == "OK"
    assert time.perf_counter() - began < 0.5
    assert len(hear(flood, "z OK")) == 5001
    other.logout()
    flood.close()


def test_the_maildrop_lock_dies_with_its_client(server: MailServer) -> None:
    first = poplib.POP3("127.0.0.1", server.ports["pop3"])
    first.user(USER)
    first.pass_(PASSWORD)
    second = poplib.POP3("127.0.0.1", server.ports["pop3"])
    second.user(USER)
    with pytest.raises(poplib.error_proto, match="IN-USE"):
        second.pass_(PASSWORD)
    first.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
    for _ in range(200):
        try:
            second.user(USER)
            second.pass_(PASSWORD)
            break
        except poplib.error_proto:
            time.sleep(0.01)
    else:
        pytest.fail("the lock outlived its client")
    second.quit()


def test_nested_parentheses_cost_nothing(server: MailServer) -> None:
    """Dovecot CVE-2026-27857: nesting ends at twenty, whatever the command."""
    client = Side(server, "imap")
    client.send(f'a LOGIN {USER} "{PASSWORD}"\r\nb SELECT INBOX\r\n'.encode())
    hear(client, "b OK")
    for command in (
        b"SEARCH ",
        b"FETCH 1 ",
        b"LIST ",
        b"ID ",
        b"STORE 1 ",
        b"STATUS INBOX ",
        b"THREAD REFERENCES UTF-8 ",
    ):
        client.send(b"c " + command + b"(" * 30_000 + b"\r\n")
        assert hear(client, "c ")[-1].startswith("c BAD")
    client.close()


@pytest.mark.parametrize(("fold_diacritics", "found"), [(False, b""), (True, b"1")])
def test_diacritics_may_be_left_out(tmp_path: Path, fold_diacritics: bool, found: bytes) -> None:
    """The option by which `cong van` finds `Công văn`, in subjects and in bodies."""
    with MailServer(tmp_path, fold_diacritics=fold_diacritics) as server:
        server.deliver("Subject: Công văn số 5\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nĐề nghị\r\n".encode())
        client = logged_in(server)
        client.select("INBOX")
        assert client.search(None, "SUBJECT", '"cong van"')[1] == [found]
        assert client.search(None, "BODY", '"de nghi"')[1] == [found]
        client.literal = "CÔNG VĂN".encode()
        assert client.search("UTF-8", "SUBJECT")[1] == [b"1"]
        client.logout()
    assert not server.errors


def test_what_imap_removed_meanwhile_is_gone_for_pop3(server: MailServer) -> None:
    for name in (b"one", b"two", b"three"):
        server.deliver(b"Subject: %b\r\n\r\n1\r\n" % name)
    pop = poplib.POP3("127.0.0.1", server.ports["pop3"])
    pop.user(USER)
    pop.pass_(PASSWORD)
    assert pop.stat()[0] == 3
    pop.retr(2)
    client = logged_in(server)
    client.select("INBOX")
    client.store("1:2", "+FLAGS", "\\Deleted")
    client.expunge()
    pop.dele(1)
    with pytest.raises(poplib.error_proto, match="gone"):
        for number in (2, 2):  # the first may still answer from what was read ahead
            pop.retr(number)
    pop.retr(3)
    pop.dele(3)
    pop.quit()
    client.noop()
    assert client.select("INBOX")[1] == [b"0"]
    client.logout()
