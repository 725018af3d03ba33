"""One request to a web server, bounded in time and size; names are looked up by [dns] servers alone."""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from bdmta.dns import Answer, Resolver

_TIMEOUT_S = 20.0
_READ_OCTETS = 4096


class HttpFailure(Exception):
    """No answer, or one that is not 2xx. `status` is 0 without an answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


def send(
    method: str, url: str, body: bytes, headers: Mapping[str, str], dns_servers: Sequence[str], ca_file: str = ""
) -> int:
    """The status (2xx) of the answer; redirects are not followed. HttpFailure says what came instead. Blocks."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", parts.path or "/"
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = _address(host, dns_servers)
        sock = socket.create_connection((address, port), _TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise HttpFailure(f"{parts.netloc}: {error}") from error
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        if parts.scheme == "https":
            sock = ssl.create_default_context(cafile=ca_file or None).wrap_socket(sock, server_hostname=host)
        connection.sock = sock
        connection.request(method, f"{path}?{parts.query}" if parts.query else path, body, dict(headers))
        answer = connection.getresponse()
        answer.read(_READ_OCTETS)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise HttpFailure(f"{parts.netloc}: {error or type(error).__name__}") from error
    finally:
        sock.close()
    if answer.status // 100 != 2:
        raise HttpFailure(f"{parts.netloc} answered {answer.status} {answer.reason[:100]}", answer.status)
    return answer.status


def _address(host: str, dns_servers: Sequence[str]) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    return asyncio.run(_looked_up(host, dns_servers))


async def _looked_up(host: str, dns_servers: Sequence[str]) -> str:
    resolver = Resolver(dns_servers)
    for ask in (resolver.a, resolver.aaaa):
        answer = await ask(host)
        if isinstance(answer, Answer):
            return answer.records[0]
    raise OSError(f"{host} has no address, by [dns] servers")
