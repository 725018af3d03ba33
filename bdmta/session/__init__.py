"""What IMAP and POP3 sessions have in common: a connection's life, its pace, TLS, its bounds. They know of it; it does
not know of them.
"""

from bdmta.session.connection import Bye, Connection, Gone
from bdmta.session.server import SessionServer, SessionSettings

__all__ = ["Bye", "Connection", "Gone", "SessionServer", "SessionSettings"]
