"""A session's wait for its peer: what comes while an answer leaves is not slept over."""

import asyncio
from types import SimpleNamespace

import pytest

from bdmta.session.connection import Connection


class Wire:
    """A transport that takes everything."""

    def is_closing(self):
        return False

    def write(self, octets):
        self.last = octets


class Lines(Connection):
    """Octets, as they come."""

    came = b""

    def data_received(self, data):
        self.came += data
        self.wake()


@pytest.mark.parametrize("worked_s", [0.0, 1.0], ids=["at once", "after others had their turn"])
def test_an_answer_that_comes_as_the_challenge_leaves_is_taken(worked_s):
    """A worker that was at it for long gives the loop to others between the challenge and its wait."""

    async def run():
        settings = SimpleNamespace(admits=lambda ip: True)
        connection = Lines(SimpleNamespace(settings=settings), has_tls=True, admits=None)
        connection._transport = Wire()
        loop = asyncio.get_running_loop()
        connection._slice_at = loop.time() - worked_s
        connection.send(b"+ UGFzc3dvcmQ6\r\n")
        loop.call_soon(connection.data_received, b"c2VjcmV0\r\n")
        async with asyncio.timeout(2):
            while not connection.came:
                await connection.more(60)
        assert connection._transport.last == b"+ UGFzc3dvcmQ6\r\n"

    asyncio.run(run())
