"""One TOML file, whose schema is its manual. Importing this costs pydantic: commands do it when they need it."""

from bdmta.config.listeners import IMPLICIT_TLS, STANDARD_PORTS, ListenerConfig, in_networks
from bdmta.config.load import load, parse
from bdmta.config.model import Config
from bdmta.config.values import IPNetwork, split_server
from bdmta.errors import ConfigError

__all__ = [
    "IMPLICIT_TLS", "STANDARD_PORTS", "Config", "ConfigError", "IPNetwork", "ListenerConfig", "in_networks", "load",
    "parse", "split_server",
]  # fmt: skip
