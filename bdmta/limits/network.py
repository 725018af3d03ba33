"""What counts as one network when a peer is counted."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=4096)
def network_of(ip: str) -> str:
    """The address itself for IPv4; its /64 for IPv6, where one host has as many addresses as it likes."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class Networks:
    """A list of networks from the configuration; `ip in networks`."""

    def __init__(self, networks: Iterable[str | Network]) -> None:
        self._networks = tuple(ipaddress.ip_network(n) if isinstance(n, str) else n for n in networks)
        self._has = lru_cache(maxsize=4096)(self._look)

    def __contains__(self, ip: str | None) -> bool:
        return ip is not None and bool(self._networks) and self._has(ip)

    def _look(self, ip: str) -> bool:
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks if network.version == address.version)
