"""Replies are read in order however they are cut; what is no reply, or too much of it, ends the conversation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bdmta.queue.conversation import MAX_LINE_OCTETS, MAX_REPLY_OCTETS, Broken, Conversation, Reply


class Wire:
    """The transport's side."""

    def __init__(self) -> None:
        self.sent = b""
        self.is_closed = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, octets: bytes) -> None:
        self.sent += octets

    def is_closing(self) -> bool:
        return self.is_closed

    def abort(self) -> None:
        self.is_closed = True


def talk(*blocks: bytes, commands: int) -> tuple[list[Reply], bool]:
    """The replies to so many commands when the peer sends `blocks`; and whether it may go on."""

    async def run() -> tuple[list[Reply], bool]:
        conversation = Conversation(Wire())
        conversation.say(*[b"NOOP"] * commands)
        for block in blocks:
            conversation.data_received(block)
        found = []
        for _ in range(commands):
            try:
                found.append(await conversation.reply(0))
            except (Broken, TimeoutError):
                break
        return found, conversation.is_open

    return asyncio.run(run())


SAID = b"250 2.1.0 OK\r\n250-first\r\n250 second\r\n354\r\n550 5.1.1 Kh\xc3\xb4ng\n"
READ = [Reply(250, "2.1.0 OK"), Reply(250, "first\nsecond"), Reply(354, ""), Reply(550, "5.1.1 Không")]


@given(st.lists(st.integers(0, len(SAID)), max_size=8))
def test_replies_do_not_depend_on_how_they_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(SAID)]
    assert talk(*(SAID[a:b] for a, b in zip(edges, edges[1:], strict=False)), commands=4) == (READ, True)


@pytest.mark.parametrize(
    "said",
    [b"what\r\n", b"25 OK\r\n", b"250?OK\r\n", b"\xff\xff\xff\r\n", b"\r\n", b"250 " + b"x" * (MAX_LINE_OCTETS + 1),
     b"250-and so on\r\n" * (MAX_REPLY_OCTETS // 10), b"x" * (1 << 20), "٢٥٠ OK\r\n".encode()],
)  # fmt: skip
def test_what_is_no_reply_ends_it(said: bytes) -> None:
    assert talk(said, commands=1) == ([], False)


def test_a_reply_that_nobody_asked_for_ends_it_and_those_before_count() -> None:
    assert talk(b"250 one\r\n250 two\r\n", commands=1) == ([Reply(250, "one")], False)
    assert talk(b"421 4.4.2 Idle too long\r\n", commands=0) == ([], False)


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(0, 5))
def test_no_octets_raise_and_memory_is_bounded(blocks: list[bytes], commands: int) -> None:
    found, _ = talk(*blocks, commands=commands)
    assert len(found) <= commands
    assert all(0 <= reply.code <= 999 for reply in found)


@pytest.mark.parametrize("command", [b"RCPT TO:<a@b>\r\nDATA", b"MAIL FROM:<a\n>", b"NOOP \0"])
def test_a_command_never_holds_another(command: bytes) -> None:
    async def run() -> None:
        wire = Wire()
        with pytest.raises(ValueError, match="line break"):
            Conversation(wire).say(b"NOOP", command)
        assert wire.sent == b""

    asyncio.run(run())


def test_a_peer_that_takes_nothing_more_is_waited_for_so_long_and_no_longer() -> None:
    async def run() -> None:
        conversation = Conversation(Wire())
        conversation.pause_writing()
        with pytest.raises(TimeoutError):
            await conversation.drain(0.01)
        conversation.resume_writing()
        await conversation.drain(0.01)
        conversation.connection_lost(None)
        with pytest.raises(Broken):
            await conversation.drain(0.01)
        with pytest.raises(Broken):
            conversation.write(b"x")

    asyncio.run(run())
