"""bdmta: the mail server of a Vietnamese province (Decision 82/2009/QĐ-UBND)."""

__version__ = "0.1.0"
