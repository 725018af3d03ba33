"""The whole table of what a peer may do: what becomes of the letter, and that nothing hangs or is lost."""

from __future__ import annotations

import asyncio
import re

import pytest

from bdmta.testing.sink import Sink
from tests.unit.bdmta.queue_support import QueueUnderTest

WORLD = {
    "there.example": {"MX": [(10, "mx.there.example")]},
    "mx.there.example": {"A": ["127.0.0.1"]},
}
GREETED = "4.3.2"

TABLE = [  # script, state afterwards (None: sent and gone), status, a pattern of the reply kept
    ({}, None, "", ""),
    ({"connect": "220-hello\r\n220 there"}, None, "", ""),
    ({"connect": "421 4.3.2 Busy"}, "waiting", GREETED, "421 4.3.2 Busy"),
    ({"connect": "554 5.7.1 Go away"}, "waiting", GREETED, "554 5.7.1 Go away"),
    ({"connect": "hang"}, "waiting", "4.4.1", ""),
    ({"connect": "drop"}, "waiting", "4.4.2", ""),
    ({"connect": "half"}, "waiting", "4.4.1", ""),
    ({"connect": "half-drop"}, "waiting", "4.4.2", ""),
    ({"connect": "slow"}, None, "", ""),
    ({"connect": "flood"}, "waiting", "4.", ""),
    ({"connect": "odd"}, "waiting", "4.", ""),
    ({"EHLO": "502 5.5.1 What is that?"}, None, "", ""),  # HELO then
    ({"EHLO": "502 No", "HELO": "502 No"}, "waiting", "4.3.2", "502 No"),
    ({"EHLO": "hang"}, "waiting", "4.4.1", ""),
    ({"EHLO": "drop"}, "waiting", "4.4.2", ""),
    ({"EHLO": "half"}, "waiting", "4.4.1", ""),
    ({"MAIL": "450 4.7.1 Later"}, "waiting", "4.7.1", "450 4.7.1 Later"),
    ({"MAIL": "550 5.7.1 Not you"}, "failed", "5.7.1", "550 5.7.1 Not you"),
    ({"MAIL": "hang"}, "waiting", "4.4.1", ""),
    ({"MAIL": "drop"}, "waiting", "4.4.2", ""),
    ({"MAIL": "421 4.3.2 Closing"}, "waiting", "4.3.2", "421"),
    ({"RCPT": "450 4.2.1 Later"}, "waiting", "4.2.1", "450 4.2.1 Later"),
    ({"RCPT": "451 Greylisted"}, "waiting", "4.0.0", "451 Greylisted"),
    ({"RCPT": "452 4.2.2 Full"}, "waiting", "4.2.2", "452 4.2.2 Full"),
    ({"RCPT": "550 5.1.1 Nobody"}, "failed", "5.1.1", "550 5.1.1 Nobody"),
    ({"RCPT": "550 4.1.1 Which?"}, "failed", "5.0.0", "550 4.1.1 Which"),  # the code decides
    ({"RCPT": "553 no status"}, "failed", "5.0.0", "553 no status"),
    ({"RCPT": "251 2.1.5 Will forward"}, None, "", ""),
    ({"RCPT": "354 What?"}, "waiting", "4.0.0", "354"),
    ({"RCPT": "999 Odd"}, "waiting", "4.0.0", "999"),
    ({"RCPT": "421 4.3.2 Closing"}, "waiting", "4.3.2", "421"),
    ({"RCPT": "hang"}, "waiting", "4.4.1", ""),
    ({"RCPT": "drop"}, "waiting", "4.4.2", ""),
    ({"RCPT": "half"}, "waiting", "4.4.1", ""),
    ({"RCPT": "flood"}, "waiting", "4.", ""),
    ({"RCPT": "slow"}, None, "", ""),
    ({"DATA": "451 4.3.0 Later"}, "waiting", "4.3.0", "451"),
    ({"DATA": "554 5.7.1 No"}, "failed", "5.7.1", "554"),
    ({"DATA": "250 What?"}, "waiting", "4.0.0", "250"),
    ({"DATA": "hang"}, "waiting", "4.4.1", ""),
    ({"DATA": "drop"}, "waiting", "4.4.2", ""),
    ({"DATA": "half-drop"}, "waiting", "4.4.2", ""),
    ({"MAIL": "450 4.7.1 Later", "DATA": "354 Go on"}, "waiting", "4.7.1", "450"),  # a letter to nobody is asked for
    ({"RCPT": "550 5.1.1 Nobody", "DATA": "354 Go on"}, "failed", "5.1.1", "550"),
    ({"RCPT": "550 5.1.1 Nobody", "DATA": "drop"}, "failed", "5.1.1", "550"),
    ({"letter": "451 4.3.0 Later"}, "waiting", "4.3.0", "451"),
    ({"letter": "452 4.3.1 No room"}, "waiting", "4.3.1", "452"),
    ({"letter": "552 5.3.4 Too big"}, "failed", "5.3.4", "552"),
    ({"letter": "554 5.7.1 Spam"}, "failed", "5.7.1", "554 5.7.1 Spam"),
    ({"letter": "354 Again?"}, "waiting", "4.0.0", "354"),
    ({"letter": "hang"}, "waiting", "4.4.2", ""),
    ({"letter": "drop"}, "waiting", "4.4.2", ""),
    ({"letter": "half"}, "waiting", "4.4.2", ""),
    ({"letter": "half-drop"}, "waiting", "4.4.2", ""),
    ({"letter": "slow"}, None, "", ""),
    ({"letter": "flood"}, "waiting", "4.", ""),
    ({"letter": "odd"}, "waiting", "4.", ""),
    ({"letter": "421 4.3.2 Closing"}, "waiting", "4.3.2", "421"),
    ({"QUIT": "hang"}, None, "", ""),
    ({"QUIT": "500 No"}, None, "", ""),
]  # fmt: skip


EXTENSIONS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")


@pytest.mark.parametrize("is_piped", [True, False], ids=["piped", "one by one"])
@pytest.mark.parametrize(("script", "state", "status", "reply"), TABLE, ids=[str(row[0]) for row in TABLE])
def test_the_table(tmp_path, script, state, status, reply, is_piped):
    async def run():
        offered = EXTENSIONS if is_piped else EXTENSIONS[1:]
        async with (
            Sink(script, extensions=offered) as sink,
            QueueUnderTest(tmp_path, WORLD, port=sink.port, seconds=0.25) as queue,
        ):
            entry = queue.put("someone@there.example")
            async with asyncio.timeout(10):
                await queue.settle()
            if state is None:
                assert queue.ids() == []
                (taken,) = sink.letters
                if "EHLO" not in script:  # without it no 8-bit letters
                    assert taken.octets == entry.letter.pieces[0].partition(b"\r\n")[2]
                assert queue.events() == [("sent", "someone@there.example")]
                return
            assert not any(letter.is_taken for letter in sink.letters)
            if state == "failed":
                assert queue.ids() == []
                assert [(r, s) for r, _, s in queue.reports] == [("failed", status)]
                assert queue.facts[0]["detail"]["reply"].startswith(reply)
                return
            kept = queue.state(entry)
            assert "state" not in kept
            assert kept["status"].startswith(status)
            assert kept["attempts"] == 1
            assert kept["next_at"] > queue.clock.time() + 200
            assert re.search(re.escape(reply), kept["last_reply"])
            assert kept["last_reply"]
            assert queue.reports == []

    asyncio.run(run())
