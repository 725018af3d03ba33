"""Our own reader of letters: linear, bounded, never raising (traps: stdlib `email` is quadratic and recursive)."""

from bdmta.message.scan import Header, Limits, Message, Octets, Part, scan

__all__ = ["Header", "Limits", "Message", "Octets", "Part", "scan"]
