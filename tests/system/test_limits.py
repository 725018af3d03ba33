"""Bounds on what one peer may hold: time, sessions, errors, networks."""

import socket
import time

import pytest

from tests.system.wire import OUTSIDE, Wire, here, letter


def test_a_trickle_of_octets_does_not_keep_a_session_open(pair):
    """idle_timeout_s counts whole command lines (1 s here)."""
    with Wire(pair) as wire:
        started = time.monotonic()
        wire.sock.settimeout(0.2)
        heard = b""
        while time.monotonic() - started < 3:
            wire.send(b"N")
            try:
                heard = wire.sock.recv(4096)
                break
            except TimeoutError:
                continue
        assert heard.startswith(b"421 4.4.2")
        assert time.monotonic() - started < 2


def test_a_letter_that_stops_coming_ends_the_session(pair):
    with Wire(pair) as wire:
        wire.envelope(OUTSIDE, here("minhnv"))
        assert wire.ask("DATA").code == 354
        wire.send(b"Subject: half\r\n\r\nhal")
        assert wire.answer().code == 421
        assert wire.is_closed()
    assert not any(b"Subject: half" in octets for octets in pair.letters("minhnv"))


def test_a_peer_that_reads_no_replies_is_let_go(pair):
    """Its replies fill the socket's buffers; the session must not wait for it for ever."""
    hello = b"EHLO " + b"x" * 250 + b"\r\n"
    mail = f"MAIL FROM:<{OUTSIDE}>\r\nRCPT TO:<{here('minhnv')}>\r\nDATA\r\n".encode() + letter() + b".\r\n"
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", pair.port("smtp")))
        # Each round is within max_commands and makes a megabyte of replies.
        waiting = memoryview((hello * 2900 + mail) * 30)
        sock.settimeout(6)
        with pytest.raises(ConnectionError):
            while waiting:
                waiting = waiting[sock.send(waiting) :]


def test_sessions_of_one_address_are_counted_over_both_edges(pair):
    """sessions_per_address is 10; the kernel deals connections to either edge."""
    held = [Wire(pair, hello=False, source="127.0.0.3") for _ in range(10)]
    try:
        assert {wire.greeting.code for wire in held} == {220}
        refused = [Wire(pair, hello=False, source="127.0.0.3") for _ in range(6)]
        assert {wire.greeting.code for wire in refused} == {421}
        assert all(wire.is_closed() for wire in refused)
        with Wire(pair, hello=False, source="127.0.0.4") as other:
            assert other.greeting.code == 220
    finally:
        for wire in held:
            wire.sock.close()
    pair.wait_for(lambda: Wire(pair, hello=False, source="127.0.0.3").greeting.code == 220)


def test_a_trusted_network_is_not_counted(pair):
    held = [Wire(pair, hello=False, source="127.0.0.8") for _ in range(14)]
    assert {wire.greeting.code for wire in held} == {220}
    for wire in held:
        wire.sock.close()


def test_only_listed_networks_may_relay(pair):
    with Wire(pair) as wire:
        assert wire.envelope(OUTSIDE, "friend@elsewhere.example")[1].code == 550
    with Wire(pair, source="127.0.0.8") as wire:  # trusted is not relay
        assert wire.envelope(OUTSIDE, "friend@elsewhere.example")[1].code == 550
    with Wire(pair, source="127.0.0.7") as wire:
        before = set((pair.folder / "queue").glob("*.env"))
        assert wire.deliver(letter("máy in"), "friend@elsewhere.example", sender=here("minhnv")).code == 250
        assert len(set((pair.folder / "queue").glob("*.env")) - before) == 1


def test_a_long_session_of_refusals_is_ended(pair):
    with Wire(pair) as wire:
        codes = []
        for _ in range(20):
            codes.append(wire.ask("BOGUS").code)
        assert codes == [500] * 19 + [421]
        assert wire.is_closed()


def test_a_client_that_leaves_before_the_end_leaves_nothing(pair):
    before = len(pair.letters("minhnv"))
    for _ in range(5):
        with Wire(pair) as wire:
            wire.envelope(OUTSIDE, here("minhnv"))
            assert wire.ask("DATA").code == 354
            wire.send(letter("x" * 100_000))  # all but the dot
    with Wire(pair) as wire:
        assert wire.deliver(letter("der letzte"), here("minhnv")).code == 250
    assert len(pair.letters("minhnv")) == before + 1


def test_a_client_that_half_closes_still_gets_its_answers(pair):
    with Wire(pair) as wire:
        wire.send(
            f"MAIL FROM:<{OUTSIDE}>\r\nRCPT TO:<{here('minhnv')}>\r\nDATA\r\n".encode() + letter() + b".\r\nQUIT\r\n"
        )
        wire.sock.shutdown(socket.SHUT_WR)
        assert [wire.answer().code for _ in range(5)] == [250, 250, 354, 250, 221]
