"""IMAP4rev1 for Outlook and Thunderbird (RFC 3501 and what `capability.AFTER_LOGIN` names)."""

from bdmta.imap.connection import make_imap_protocol
from bdmta.imap.server import ImapServer, ImapSettings, Mail, Room

__all__ = ["ImapServer", "ImapSettings", "Mail", "Room", "make_imap_protocol"]
