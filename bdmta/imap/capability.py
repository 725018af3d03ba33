"""What is announced, and when. A capability is complete or not named here (issue 3); an account may be offered less."""

from __future__ import annotations

BEFORE_LOGIN = ("IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "ENABLE")
AFTER_LOGIN = (
    "IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "ENABLE", "IDLE", "NAMESPACE", "UIDPLUS", "MOVE", "UNSELECT", "CHILDREN",
    "SPECIAL-USE", "CREATE-SPECIAL-USE", "LIST-EXTENDED", "LIST-STATUS", "XLIST", "ESEARCH", "WITHIN", "SORT",
    "THREAD=REFERENCES", "THREAD=ORDEREDSUBJECT", "CONDSTORE", "QUOTA", "UTF8=ACCEPT",
)  # fmt: skip
VERB_NEEDS = {
    "ENABLE": "ENABLE", "ID": "ID", "IDLE": "IDLE", "NAMESPACE": "NAMESPACE", "MOVE": "MOVE", "UNSELECT": "UNSELECT",
    "XLIST": "XLIST", "SORT": "SORT", "GETQUOTA": "QUOTA", "GETQUOTAROOT": "QUOTA", "SETQUOTA": "QUOTA",
}  # fmt: skip
"""Verbs that go away with a capability."""


def capabilities(
    *, logged_in: bool, offers_tls: bool, takes_passwords: bool, withheld: frozenset[str] = frozenset()
) -> str:
    """The capability list of this moment; IMAP4rev1 cannot be withheld."""
    if logged_in:
        return " ".join(name for name in AFTER_LOGIN if name == "IMAP4rev1" or name not in withheld)
    names = list(BEFORE_LOGIN)
    if offers_tls:
        names.append("STARTTLS")
    names += ["AUTH=PLAIN", "AUTH=LOGIN"] if takes_passwords else ["LOGINDISABLED"]
    return " ".join(names)
