"""Readers of containers and documents: bounded, in memory only, never unpacking to a name that a stranger chose."""

from bdmta.examine.readers.opening import Member, Opening, Reader

__all__ = ["Member", "Opening", "Reader"]
