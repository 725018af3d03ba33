"""How much of a letter is looked at (contract 10: bounded everywhere; `threats.md`: MIME parser DoS)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds; over one, the scan stops there and says so in `defects`."""

    headers: int = 1000
    """Fields in one header block (defect `headers`)."""
    header_block_octets: int = 256 * 1024
    """Octets of one header block that are read (defect `header-block`)."""
    parameters: int = 100
    """Parameters of one Content-Type or Content-Disposition (defect `parameters`)."""
    depth: int = 20
    """Multiparts and attached letters inside one another (defect `depth`)."""
    parts: int = 1000
    """Parts of one letter, attached letters' included (defect `parts`)."""
    attached_octets: int = 8 * 1024 * 1024
    """Octets that attached letters in base64 or quoted-printable may decode to, together (defect `attached-octets`)."""
