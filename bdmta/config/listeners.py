"""Which ports are opened: those of [[listener]], else the standard ones from [listen]."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from bdmta.config.values import IPNetwork, parse_network

STANDARD_PORTS = {
    "smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995,
    "web": 80,
}  # fmt: skip
"""RFC 5321, 6409, 8314, 9051, 1939, 9110. The web port answers http and https; 24 (LMTP) is reserved."""

IMPLICIT_TLS = frozenset({"submissions", "imaps", "pop3s"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerConfig:
    """One port to open, with everything resolved: nothing in it is empty for "the default".

    `networks` empty: everybody may connect. `max_sessions` counts one process. `policies` is the path of the chain's
    file.
    """

    name: str
    protocol: str
    addresses: tuple[str, ...]
    port: int
    networks: tuple[IPNetwork, ...]
    hostname: str
    policies: str
    max_message_octets: int
    max_sessions: int

    @property
    def has_implicit_tls(self) -> bool:
        """TLS starts with the connection (RFC 8314)."""
        return self.protocol in IMPLICIT_TLS

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Every (address, port) to bind."""
        return tuple((address, self.port) for address in self.addresses)

    def admits(self, remote_ip: str) -> bool:
        """Whether a client at `remote_ip` may connect here; an IPv4 client on an IPv6 socket counts as IPv4."""
        return not self.networks or in_networks(remote_ip, self.networks)


def in_networks(remote_ip: str, networks: tuple[IPNetwork, ...]) -> bool:
    """Whether `remote_ip` lies in one of `networks`; False for what is no address (a Unix socket's peer)."""
    try:
        address = ipaddress.ip_address(remote_ip.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)


def clash(listeners: tuple[ListenerConfig, ...]) -> str | None:
    """What is wrong when two listeners share a name or an address and port; None when nothing is."""
    names: set[str] = set()
    bound: dict[tuple[str, int], str] = {}
    for listener in listeners:
        if listener.name in names:
            return f"name: {listener.name!r} is used twice"
        names.add(listener.name)
        for address, port in listener.endpoints:
            if port > 65535:
                return f"base_port: {listener.name} would be on port {port}, over 65535"
            family = "::" if ":" in address else "0.0.0.0"  # noqa: S104 - compared, not bound
            wildcards = [key for key in bound if key[1] == port and (":" in key[0]) == (":" in address)]
            for other, _ in wildcards:
                if address in (other, family) or other == family:
                    return f"port: {listener.name} and {bound[other, port]} both want {address} port {port}"
            bound[address, port] = listener.name
    return None


__all__ = ["IMPLICIT_TLS", "STANDARD_PORTS", "ListenerConfig", "clash", "in_networks", "parse_network"]
