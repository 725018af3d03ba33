"""Bounds that all edges keep together: sessions per address, and waits after wrong passwords.

Both tables are small files mapped into every process; a slot is a few octets at a keyed hash, so that no lock, no
growth and no message between processes is needed. Two keys that meet in one slot share it: with thousands of slots
that errs seldom, and on the safe side.
"""

from bdmta.limits.network import network_of
from bdmta.limits.sessions import SessionTable
from bdmta.limits.throttle import Throttle

__all__ = ["SessionTable", "Throttle", "network_of"]
