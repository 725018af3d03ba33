"""The end of a service waits for nobody who does not say goodbye."""

import socket
import time

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("listener", ["imaps", "submissions"])
def test_a_client_that_keeps_its_tls_session_open_does_not_hold_up_the_end(own_site, listener):
    site = own_site({"dns": {"servers": "[]"}, "server": {"grace_s": "30"}})
    site.start(workers=1)
    plain = socket.create_connection(("127.0.0.1", site.port(listener)), 20)
    with site.tls().wrap_socket(plain, server_hostname="localhost") as client:
        assert client.recv(200)  # the greeting; from now on it reads and says nothing more
        began_at = time.monotonic()
        assert site.stop() == 0
        assert time.monotonic() - began_at < 25
