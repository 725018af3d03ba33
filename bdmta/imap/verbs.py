"""Every verb: which function answers it, in which state, and whether changes of the folder may be told behind it."""

from __future__ import annotations

from bdmta.imap import append, copy, expunge, fetch, idle, login, mailboxes, quota, search, select, status, store
from bdmta.imap.session import ANY, AUTHENTICATED, NOT_AUTHENTICATED, SELECTED, Commands, Session, Verb
from bdmta.imap.syntax import BadSyntax, Cursor


async def _append(session: Session, cursor: Cursor) -> bytes:
    """An APPEND that came without a literal: the framer hands proper ones to `append.append`."""
    raise BadSyntax("literal expected")


_VERBS: dict[str, Verb] = {
    "CAPABILITY": Verb(login.capability, ANY, has_arguments=False),
    "NOOP": Verb(select.noop, ANY, has_arguments=False),
    "LOGOUT": Verb(login.logout, ANY, has_arguments=False),
    "ID": Verb(login.id_, ANY),
    "STARTTLS": Verb(login.starttls, NOT_AUTHENTICATED, has_arguments=False),
    "LOGIN": Verb(login.login, NOT_AUTHENTICATED),
    "AUTHENTICATE": Verb(login.authenticate, NOT_AUTHENTICATED),
    "ENABLE": Verb(login.enable, AUTHENTICATED),
    "NAMESPACE": Verb(mailboxes.namespace, AUTHENTICATED, has_arguments=False),
    "LIST": Verb(mailboxes.list_, AUTHENTICATED),
    "XLIST": Verb(mailboxes.xlist, AUTHENTICATED),
    "LSUB": Verb(mailboxes.lsub, AUTHENTICATED),
    "STATUS": Verb(status.status, AUTHENTICATED),
    "CREATE": Verb(mailboxes.create, AUTHENTICATED),
    "DELETE": Verb(mailboxes.delete, AUTHENTICATED),
    "RENAME": Verb(mailboxes.rename, AUTHENTICATED),
    "SUBSCRIBE": Verb(mailboxes.subscribe, AUTHENTICATED),
    "UNSUBSCRIBE": Verb(mailboxes.unsubscribe, AUTHENTICATED),
    "GETQUOTA": Verb(quota.getquota, AUTHENTICATED),
    "GETQUOTAROOT": Verb(quota.getquotaroot, AUTHENTICATED),
    "SETQUOTA": Verb(quota.setquota, AUTHENTICATED),
    "APPEND": Verb(_append, AUTHENTICATED),
    "SELECT": Verb(select.select, AUTHENTICATED, tells=False),
    "EXAMINE": Verb(select.examine, AUTHENTICATED, tells=False),
    "IDLE": Verb(idle.idle, AUTHENTICATED, has_arguments=False),
    "CHECK": Verb(select.noop, SELECTED, has_arguments=False),
    "CLOSE": Verb(select.close, SELECTED, has_arguments=False),
    "UNSELECT": Verb(select.unselect, SELECTED, has_arguments=False),
    "EXPUNGE": Verb(expunge.expunge, SELECTED, has_arguments=False),
    "UID EXPUNGE": Verb(expunge.uid_expunge, SELECTED),
    "FETCH": Verb(fetch.fetch, SELECTED, expunges=False),
    "UID FETCH": Verb(fetch.uid_fetch, SELECTED),
    "STORE": Verb(store.store, SELECTED, expunges=False),
    "UID STORE": Verb(store.uid_store, SELECTED),
    "SEARCH": Verb(search.search, SELECTED, expunges=False),
    "UID SEARCH": Verb(search.uid_search, SELECTED),
    "SORT": Verb(search.sort, SELECTED, expunges=False),
    "UID SORT": Verb(search.uid_sort, SELECTED),
    "THREAD": Verb(search.thread, SELECTED, expunges=False),
    "UID THREAD": Verb(search.uid_thread, SELECTED),
    "COPY": Verb(copy.copy, SELECTED),
    "UID COPY": Verb(copy.uid_copy, SELECTED),
    "MOVE": Verb(copy.move, SELECTED),
    "UID MOVE": Verb(copy.uid_move, SELECTED),
}

COMMANDS = Commands(_VERBS, append.append)
