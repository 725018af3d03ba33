"""POP3 (RFC 1939, CAPA of RFC 2449, STLS of RFC 2595, AUTH of RFC 5034)."""

from bdmta.pop3.connection import make_pop3_protocol
from bdmta.pop3.server import Pop3Server, Pop3Settings

__all__ = ["Pop3Server", "Pop3Settings", "make_pop3_protocol"]
