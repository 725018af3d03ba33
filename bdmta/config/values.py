"""The types of settings: each says in one sentence what is wrong with a value."""

from __future__ import annotations

import ipaddress
import os
import re
from functools import cache
from typing import Annotated, Any, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from bdmta.address import AddressError, parse_address

IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORT_MAX = 65535
_NUMBER_MAX = 2**53
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")


class Table(BaseModel):
    """A table of the file: frozen, unknown keys refused, defaults checked like any other value."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def setting(default: Any, sentence: str, **bounds: Any) -> Any:
    """A setting: its default, the sentence of the manual (with the unit), and pydantic's bounds.

    A number is 0 at least where no other bound is given. (A bound in the annotation would win over one given here.)
    """
    if type(default) is int:
        bounds = {"ge": 0, "le": _NUMBER_MAX} | bounds
    return Field(default=default, description=sentence, **bounds)


def _absolute(folder_key: str) -> Any:
    def resolve(value: str, info: ValidationInfo) -> str:
        if not value or "\0" in value:
            raise ValueError("a path is expected")
        folder = (info.context or {}).get(folder_key, "")
        return os.path.normpath(os.path.join(folder, os.path.expanduser(value))) if folder else value

    return AfterValidator(resolve)


def _host_name(value: str) -> str:
    name = value.lower().rstrip(".")
    if not _HOST.match(name) or len(name) > 253 or name.rpartition(".")[2].isdigit():
        raise ValueError(f"{value!r} is not a host name such as mail.binhduong.gov.vn")
    return name


def _address(value: str) -> str:
    if not value:
        return value
    try:
        return parse_address(value).key
    except AddressError as error:
        raise ValueError(f"{value!r} is not a mail address ({error})") from error


def _ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not an IP address") from error


@cache
def parse_network(text: str) -> IPNetwork:
    """The network written as `10.0.0.0/8` or one address; ValueError tells what is wrong, host bits included."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        try:
            nearest = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"{text!r} is not a network such as 10.0.0.0/8") from error
        raise ValueError(f"{text!r} has host bits set; did you mean {nearest}?") from error


def _network(value: str) -> str:
    return str(parse_network(value))


def _dns_server(value: str) -> str:
    if value == "system":
        return value
    split_server(value)
    return value


def split_server(value: str) -> tuple[str, int]:
    """`127.0.0.1:5300`, `[::1]:53`, `9.9.9.9` as address and port (53); ValueError when it is none of these."""
    match = re.fullmatch(r"\[([0-9a-fA-F:]+)\](?::(\d{1,5}))?|([0-9.]+)(?::(\d{1,5}))?|([0-9a-fA-F:]+)", value)
    host = match and (match[1] or match[3] or match[5])
    port = int((match and (match[2] or match[4])) or 53)
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError as error:
        raise ValueError(f"{value!r} is not an address such as 127.0.0.1:5300") from error
    if not 1 <= port <= _PORT_MAX:
        raise ValueError(f"{value!r}: port {port} is not between 1 and {_PORT_MAX}")
    return str(address), port


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError; "../x" a ValueError
        raise ValueError(f"{value!r} is not a time zone such as Asia/Ho_Chi_Minh") from error
    return value


def _listener_name(value: str) -> str:
    if value and not _NAME.match(value):
        raise ValueError(f"{value!r} is not a name of at most 32 lower-case letters, digits and hyphens")
    return value


def _route(value: str) -> str:
    split_route(value)
    return value


def split_route(value: str) -> tuple[str, str, int, dict[str, str]]:
    """`DOMAIN = HOST[:PORT] [tls=…] [auth=yes]` as pattern, host ("" for mx), port (0: not given), options."""
    pattern, equals, rest = value.partition("=")
    pattern, words = pattern.strip().lower(), rest.split()
    if not equals or not words:
        raise ValueError(f"{value!r} is not a route such as 'so.example = 10.82.0.5:25'")
    if pattern != "*":
        _host_name(pattern.removeprefix("."))
    host, port = _hop(words[0])
    options = {}
    for word in words[1:]:
        key, _, wanted = word.partition("=")
        if wanted not in _ROUTE_OPTIONS.get(key, ()):
            raise ValueError(f"{value!r}: {word!r} is none of tls=may, tls=encrypt, tls=verify, auth=yes")
        options[key] = wanted
    return pattern, host, port, options


_ROUTE_OPTIONS = {"tls": ("may", "encrypt", "verify"), "auth": ("yes", "no")}


def _hop(text: str) -> tuple[str, int]:
    if text == "mx":
        return "", 0
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):  # a bare IPv6 address has no port
        host, port = text, "0"
    host = host.removeprefix("[").removesuffix("]").lower()
    if not port.isdigit() or int(port) > _PORT_MAX:
        raise ValueError(f"{text!r}: {port!r} is no port")
    try:
        return str(ipaddress.ip_address(host)), int(port)
    except ValueError:
        return _host_name(host), int(port)


def _line(value: str) -> str:
    if any(ord(letter) < 0x20 or ord(letter) > 0x7E for letter in value):
        raise ValueError(f"{value!r} is not one line of printable ASCII")
    return value


ConfigPath = Annotated[str, _absolute("config_folder")]
"""Relative to the folder of the file."""
DataPath = Annotated[str, _absolute("data_folder")]
"""Relative to `[server] data_dir`."""
HostName = Annotated[str, AfterValidator(_host_name)]
MailAddress = Annotated[str, AfterValidator(_address)]
IpAddress = Annotated[str, AfterValidator(_ip_address)]
Network = Annotated[str, AfterValidator(_network)]
DnsServer = Annotated[str, AfterValidator(_dns_server)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
ListenerName = Annotated[str, AfterValidator(_listener_name)]
Route = Annotated[str, Field(max_length=1000), AfterValidator(_route)]
Line = Annotated[str, Field(max_length=200), AfterValidator(_line)]
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True)]
Port = Annotated[int, Field(strict=True, le=_PORT_MAX)]
