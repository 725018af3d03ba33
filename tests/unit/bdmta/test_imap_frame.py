"""What a stranger can make the server hold (threats: IMAP literal and nesting memory)."""

from __future__ import annotations

from bdmta.imap.frame import Announced, Bounds, Command, Framer, TooLong


def framer(data: bytes = b"", **bounds: int) -> Framer:
    made = Framer(Bounds(**bounds))
    made.buffer += data
    return made


def test_lines_come_one_by_one_however_they_arrive() -> None:
    made = framer()
    events = []
    for octet in b"a NOOP\r\nb CHECK\n":
        made.buffer.append(octet)
        while (event := made.next()) is not None:
            events.append(event)
    assert events == [Command(b"a NOOP"), Command(b"b CHECK")]
    assert made.is_empty


def test_literals_are_kept_inline() -> None:
    made = framer(b"a LOGIN {3}\r\n")
    event = made.next()
    assert event == Announced(b"a LOGIN {3}\r\n", 3, True, False)
    assert made.next() == event
    made.accept()
    made.buffer += b"a\nb {2+}\r\nxy\r\nb NOOP\r\n"
    event = made.next()
    assert isinstance(event, Announced) and not event.is_sync
    made.accept()
    assert made.next() == Command(b"a LOGIN {3}\r\na\nb {2+}\r\nxy")
    assert made.next() == Command(b"b NOOP")


def test_a_refused_literal_leaves_nothing() -> None:
    made = framer(b"a LOGIN {5000}\r\n")
    assert isinstance(made.next(), Announced)
    made.refuse()
    made.buffer += b"b NOOP\r\n"
    assert made.next() == Command(b"b NOOP")


def test_literal_plus_over_the_bound_ends_the_session() -> None:
    """Stalwart CVE-2025-61600: a literal is not collected because its sender says so."""
    assert framer(b"a LOGIN {4097+}\r\n").next() == TooLong("literal")
    assert framer(b"a LOGIN {9999999999999999999+}\r\n").next() == TooLong("literal")


def test_a_line_over_the_bound_ends_the_session() -> None:
    assert framer(b"a" * 8193).next() == TooLong("line")
    assert framer(b"a" * 8193 + b"\r\n").next() == TooLong("line")
    assert framer(b"a" * 8000).next() is None


def test_many_small_literals_are_bounded_together() -> None:
    made = framer(b"a LOGIN ")
    held = 0
    while True:
        made.buffer += b"{4000+}\r\n"
        event = made.next()
        if isinstance(event, TooLong):
            break
        made.accept()
        made.buffer += b"x" * 4000 + b" "
        assert made.next() is None
        held += 4000
        assert held <= 16384


def test_the_letter_of_an_append_is_not_kept() -> None:
    made = framer(b"a APPEND Sent (\\Seen) {50000000+}\r\nabc")
    assert made.next() == Announced(b"a APPEND Sent (\\Seen) {50000000+}\r\n", 50000000, False, True)
    assert made.take(2) == b"ab" and bytes(made.buffer) == b"c"


def test_an_append_whose_folder_is_a_literal() -> None:
    made = framer(b"a APPEND {4}\r\n")
    event = made.next()
    assert isinstance(event, Announced) and not event.is_letter
    made.accept()
    made.buffer += b"Sent {3}\r\n"
    event = made.next()
    assert isinstance(event, Announced) and event.is_letter and event.text == b"a APPEND {4}\r\nSent {3}\r\n"
