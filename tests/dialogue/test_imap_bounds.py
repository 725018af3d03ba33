"""What strangers may make an IMAP or POP3 connection hold: each bound of the configuration by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bdmta.config.schema import Imap
from tests.dialogue.imap.harness import PASSWORD, USER, MailServer
from tests.dialogue.imap.transcript import Side


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    folder: Path = tmp_path_factory.mktemp("bounds")
    with MailServer(folder) as running:
        yield running
    assert not running.errors, running.errors


def last_line(side: Side) -> str:
    """The last before the server hangs up."""
    last = ""
    while (line := side.line()) is not None:
        last = line
    return last


def test_a_strangers_line_is_at_most_8_kib(server: MailServer) -> None:
    for listener, held, wanted in (("imap", 8192, "* BYE Command too long"), ("pop3", 8192, "-ERR Line too long")):
        side = Side(server, listener)
        side.line()
        side.send(b"a" * (held + 1))
        assert last_line(side) == wanted, listener
    side = Side(server, "imap")
    side.line()
    side.send(b"a NOOP" + b" " * 8000 + b"\r\nb NOOP\r\n")
    assert side.line() != "* BYE Command too long" and str(side.line()).startswith("b OK")
    side.close()


@pytest.mark.parametrize("plus", ["+", ""])
def test_a_strangers_literal_is_at_most_4_kib(server: MailServer, plus: str) -> None:
    side = Side(server, "imap")
    side.line()
    side.send(f"a LOGIN {{4097{plus}}}\r\n".encode())
    answer = str(side.line())
    assert answer == ("* BYE Command too long" if plus else "a NO [TOOBIG] Literal too large")
    side.close()


def test_a_strangers_letter_is_not_taken(server: MailServer) -> None:
    side = Side(server, "imap")
    side.line()
    side.send(b"a APPEND INBOX {1000000+}\r\n")
    assert last_line(side) == "* BYE Literal too large"


def test_a_strangers_flood_of_junk_ends_at_ten_commands(server: MailServer) -> None:
    side = Side(server, "imap")
    side.line()
    side.send(b"".join(b"j%d JUNK\r\n" % number for number in range(1000)))
    answers = []
    while (line := side.line()) is not None:
        answers.append(line)
    assert len(answers) == 10 and answers[-1] == "* BYE Too many errors"


def test_a_pop3_flood_of_junk_ends(server: MailServer) -> None:
    side = Side(server, "pop3")
    side.line()
    side.send(b"JUNK\r\n" * 1000)
    assert last_line(side) == "-ERR Too many errors"


@pytest.mark.parametrize(
    "command",
    ["SEARCH {}ALL{}", "SEARCH {}NOT SEEN{}", "SORT (DATE) UTF-8 {}ALL{}", "THREAD REFERENCES UTF-8 {}ALL{}"],
)
def test_nesting_ends_at_twenty(server: MailServer, command: str) -> None:
    side = Side(server, "imap")
    side.send(f'a LOGIN {USER} "{PASSWORD}"\r\nb SELECT INBOX\r\n'.encode())
    while not str(side.line()).startswith("b OK"):
        pass
    for depth, wanted in ((20, "c OK"), (21, "c BAD")):
        side.send(f"c {command.format('(' * depth, ')' * depth)}\r\n".encode())
        while not (line := str(side.line())).startswith("c "):
            pass
        assert line.startswith(wanted), (depth, line)
    side.close()


def test_idle_lasts_half_an_hour_by_default() -> None:
    assert Imap().idle_timeout_s >= 1800  # RFC 9051 §5.4
