"""How a command fails. Each becomes one tagged answer; none tells the peer more than it may know (contract 11)."""

from __future__ import annotations

from storage.errors import Conflict, Invalid, NoSpace, NotFound, OverQuota, StoreError


class No(Exception):
    """The command cannot be done: `NO text`; `text` may begin with a response code."""


def no_of(error: StoreError) -> No | None:
    """The answer to what the store could not do; None when it is for the log (RFC 5530 has the codes)."""
    if isinstance(error, NotFound):
        return No("[NONEXISTENT] There is no such folder")
    if isinstance(error, Conflict):
        return No("[ALREADYEXISTS] The name is taken")
    if isinstance(error, OverQuota):
        return No("[OVERQUOTA] The mailbox is full")
    if isinstance(error, NoSpace):
        return No("[UNAVAILABLE] No room on the server for now")
    if isinstance(error, Invalid):
        return No(f"[CANNOT] {_printable(str(error))}")
    return None


def _printable(text: str) -> str:
    return "".join(c if " " <= c < "\x7f" else "?" for c in text)[:200]
