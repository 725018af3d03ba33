"""Who may restore whose mail ([backup] may_restore)."""

from __future__ import annotations

from collections.abc import Sequence

from bdmta.errors import BdmtaError


def may_restore(rules: Sequence[str], actor: str, mailbox: str, agency: str) -> bool:
    """Whether `actor` may restore the mailbox (its address, and its agency's name; "" and "": the whole site).

    Without any rule, everybody who can run the command may.
    """
    if not rules:
        return True
    for rule in rules:
        who, _, whose = rule.partition("=")
        if who.strip() not in (actor, "*"):
            continue
        for one in whose.split():
            if one == "*" or (mailbox and one.lower() in (mailbox, f"@{mailbox.rpartition('@')[2]}")):
                return True
            if agency and one == f"agency:{agency}":
                return True
    return False


def require(rules: Sequence[str], actor: str, mailbox: str, agency: str) -> None:
    """Raise BdmtaError, naming the remedy, unless `actor` may restore the mailbox."""
    if not may_restore(rules, actor, mailbox, agency):
        what = f"the mailbox {mailbox}" if mailbox else "the whole site"
        raise BdmtaError(f"{actor} may not restore {what}; [backup] may_restore says who may")
