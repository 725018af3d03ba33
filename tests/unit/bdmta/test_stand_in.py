"""Who connects while no edge lives is answered at once, and is never accepted by somebody who is just going."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bdmta.service.stand_in import SAID, StandIn


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0), backlog=64) as sock:
        sock.setblocking(False)
        yield sock


def heard(client: socket.socket) -> bytes:
    client.settimeout(20)
    found = b""
    while block := client.recv(1000):
        found += block
    return found


@pytest.mark.parametrize("protocol", ["smtp", "submission", "imap", "pop3", "imaps"])
def test_one_line_of_the_protocol_and_the_end(listening, protocol):
    async def run():
        stand_in = StandIn([(protocol, listening)])
        stand_in.start()
        with socket.create_connection(listening.getsockname()) as client:
            said = await asyncio.to_thread(heard, client)
        stand_in.stop()
        return said

    assert asyncio.run(run()) == SAID.get(protocol, b"")


def test_who_comes_in_the_moment_of_its_going_is_answered_or_left_to_the_next(listening):
    """Fifty clients, and a stand-in that starts and stops between them: nobody is accepted and then forgotten."""

    async def run():
        stand_in = StandIn([("smtp", listening)])
        clients = []
        for turn in range(50):
            clients.append(socket.create_connection(listening.getsockname()))
            stand_in.start()
            if turn % 3 == 0:
                await asyncio.sleep(0)
            stand_in.stop()
        stand_in.start()  # an edge would take over the backlog; here it is the same one again
        said = [await asyncio.to_thread(heard, client) for client in clients]
        stand_in.stop()
        for client in clients:
            client.close()
        return said

    assert asyncio.run(run()) == [SAID["smtp"]] * 50


def test_what_a_notice_of_an_outage_says_comes_first(listening):
    said = {"smtp": b"421 4.3.2 Service stopped, expected back 14:30\r\n"}

    async def run(protocol):
        stand_in = StandIn([(protocol, listening)], lambda spoken: said.get(spoken, b""))
        stand_in.start()
        with socket.create_connection(listening.getsockname()) as client:
            found = await asyncio.to_thread(heard, client)
        stand_in.stop()
        return found

    assert asyncio.run(run("smtp")) == said["smtp"]
    assert asyncio.run(run("imap")) == SAID["imap"]
