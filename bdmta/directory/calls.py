"""What can be asked of the directory, by name: the CLI, the web and the office call the same functions.

Each takes a DirectoryService and plain JSON values and returns plain JSON values. Errors are BdmtaError: one line that
names the thing, its holder and the remedy; UsageError where the question itself was wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, cast

from bdmta.directory import addressbook as addressbook  # enters its own calls
from bdmta.directory import agencies as agencies
from bdmta.directory import agencies_naming as agencies_naming
from bdmta.directory import bulk as bulk
from bdmta.directory import calls_routes as calls_routes
from bdmta.directory.foreign_hash import accept_hash
from bdmta.directory.passwords import check_policy, generate, hash_password
from bdmta.directory.registry import REGISTRY as REGISTRY
from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError, UsageError
from storage.directory_rows import SCOPES, Mailbox

APP_PASSWORD_SIGNS = 20  # 100 bits; the four that stay visible leave 80


@call
def mailbox_add(
    service: DirectoryService,
    *,
    address: str,
    name: str,
    kind: str = "person",
    agency: str = "",
    quota_octets: int | None = None,
    quota_letters: int | None = None,
    password: str | None = None,
    password_hash: str | None = None,
    generate_password: bool = False,
    rank: int | None = None,
    published: bool = False,
) -> Json:
    """Add a mailbox and its folders. `published`: in the public address book (Điều 6).

    `generate_password`: the answer has `password`, to be changed at first use.
    """
    mailbox = service.new_mailbox(address, name, kind, agency)
    made = generate() if generate_password else None
    if password is not None:
        check_policy(password, mailbox.address)
    mailbox = replace(
        mailbox,
        quota_octets=mailbox.quota_octets if quota_octets is None else quota_octets,
        quota_letters=mailbox.quota_letters if quota_letters is None else quota_letters,
        password_hash=_stored(service, password, password_hash, made),
        must_change=made is not None,
        rank=rank,
        published=published,
    )
    with service.change() as change:
        change.add_mailbox(mailbox, postmaster=service.postmaster)
    service.create_folders(mailbox.address)
    shown = _shown(service, service.directory.mailbox(mailbox.address))
    return shown if made is None else {**shown, "password": made}


def _stored(service: DirectoryService, password: str | None, given_hash: str | None, made: str | None) -> str | None:
    if made is not None:
        return service.passwords.hash_generated(made)
    if password is not None:
        return hash_password(password)
    return accept_hash(given_hash) if given_hash else None


def _shown(service: DirectoryService, mailbox: Mailbox) -> Json:
    return {
        "address": mailbox.address, "kind": mailbox.kind, "name": mailbox.name, "agency": mailbox.agency,
        "status": mailbox.status, "quota_octets": mailbox.quota_octets, "quota_letters": mailbox.quota_letters,
        "has_password": mailbox.password_hash is not None, "must_change": mailbox.must_change, "rank": mailbox.rank,
        "published": mailbox.published,
        "created_at": service.local_time(mailbox.created_at), "status_at": service.local_time(mailbox.status_at),
    }  # fmt: skip


@call
def mailbox_list(
    service: DirectoryService, *, agency: str | None = None, kind: str | None = None, status: str | None = None
) -> list[Json]:
    """All mailboxes, or those of one agency, kind or status."""
    return [_shown(service, box) for box in service.directory.mailboxes(agency=agency, kind=kind, status=status)]


@call
def mailbox_show(service: DirectoryService, *, address: str) -> Json:
    """One mailbox with what it uses, its aliases, who acts for it, its application passwords' labels."""
    mailbox = service.directory.mailbox(service.own_address(address))
    used = service.usage(mailbox.address)
    return {
        **_shown(service, mailbox),
        "used_octets": used.octets,
        "used_messages": used.letters,
        "aliases": [alias.address for alias in service.directory.aliases(mailbox.address)],
        "delegates": list(service.directory.delegates(mailbox.address)),
        "app_passwords": [app.label for app in service.directory.app_passwords(mailbox.address)],
    }


@call
def mailbox_set(service: DirectoryService, *, address: str, **fields: Any) -> Json:
    """Change name, agency, kind, quota_octets, quota_letters, rank, published; None stays as it is."""
    own = service.own_address(address)
    given = {name: value for name, value in fields.items() if value is not None}
    if "kind" in given:
        service.checked_kind(given["kind"])
    with service.change() as change:
        change.set_mailbox(own, **given)
    if not given.keys().isdisjoint(("quota_octets", "quota_letters")):
        service.set_limit(own)
    return _shown(service, service.directory.mailbox(own))


@call
def mailbox_password(
    service: DirectoryService, *, address: str, password: str | None = None, generate_password: bool = False
) -> Json:
    """Give a mailbox a chosen password, or a generated one that is to be changed at first use (Điều 17.2)."""
    own = service.own_address(address)
    service.directory.mailbox(own)  # before 50 ms are spent
    made = generate() if generate_password else None
    if made is None:
        if password is None:
            raise UsageError(f"{own}: no password given")
        check_policy(password, own)
    stored = _stored(service, password, None, made)
    with service.change() as change:
        change.set_password(own, cast(str, stored), must_change=made is not None)
    return {"address": own} if made is None else {"address": own, "password": made}


@call
def password_change(service: DirectoryService, *, address: str, password_hash: str) -> None:
    """The owner's own new password, which was looked at and hashed where it was typed (`hash_password`)."""
    own = service.own_address(address)
    if not service.passwords.is_ours(password_hash):
        raise UsageError(f"{own}: not a hash of ours")
    with service.change() as change:
        change.set_password(own, password_hash, must_change=False)


@call
def mailbox_status(
    service: DirectoryService, *, address: str, status: Literal["active", "suspended", "closed"], reason: str = ""
) -> Json:
    """Resume (active), suspend or close a mailbox. A closed one keeps its letters and its address."""
    own = service.own_address(address)
    with service.change() as change:
        change.set_status(own, status, reason=reason)
    return _shown(service, service.directory.mailbox(own))


@call
def renew_hash(service: DirectoryService, *, address: str, renewed: str, was: str | None = None) -> bool:
    """Keep the password under a better hash after a login; done only while the mailbox still has the old one.

    `was`: the hash that was verified. Without it, a hash of our own is left alone: the password may have been changed
    between the login and this call.
    """
    mailbox = service.directory.mailbox(service.own_address(address))
    current = mailbox.password_hash
    if current is None or (was or current) != current or service.passwords.is_ours(current):
        return False
    with service.change() as change:
        return change.renew_hash(mailbox.address, current, renewed)


@call
def app_password_add(
    service: DirectoryService, *, address: str, label: str, scope: list[str] | None = None, holder: str = ""
) -> Json:
    """A new application password of 100 bits: in the answer, and never to be seen again.

    `scope`: some of imap, pop3, smtp; none is all. `holder`: whose it is in a mailbox that several people enter, an
    address here or a name.
    """
    own, secret = service.own_address(address), generate(APP_PASSWORD_SIGNS)
    who = service.own_address(holder) if "@" in holder else " ".join(holder.split())
    if wrong := sorted(set(scope or ()) - set(SCOPES)):
        raise UsageError(f"{wrong[0]}: an application password opens {', '.join(SCOPES)}")
    with service.change() as change:
        hashed = service.passwords.hash_generated(secret)
        change.add_app_password(own, label, hashed, secret[-4:], scope=scope or (), holder=who)
    return {"address": own, "label": label, "password": secret, "scope": sorted(scope or SCOPES), "holder": who}


@call
def app_password_list(service: DirectoryService, *, address: str) -> list[Json]:
    """Label, holder, scope, last four characters, age and last use of each application password."""
    mailbox = service.directory.mailbox(service.own_address(address))
    return [
        {
            "label": app.label, "holder": app.holder, "scope": app.scope.split(",") if app.scope else list(SCOPES),
            "hint": app.hint, "created_at": service.local_time(app.created_at),
            "last_used_at": service.local_time(app.last_used_at) if app.last_used_at else None,
            "last_used_from": app.last_used_from or None,
        }
        for app in service.directory.app_passwords(mailbox.address)
    ]  # fmt: skip


@call
def app_password_remove(service: DirectoryService, *, address: str, label: str) -> None:
    """Revoke an application password: from now on it opens nothing, and what it has opened ends."""
    own = service.own_address(address)
    with service.change() as change:
        change.remove_app_password(own, label)


@call
def delegate_add(service: DirectoryService, *, address: str, delegate: str) -> list[str]:
    """Let `delegate` act for an agency's mailbox, an alias or a group; all who may, afterwards."""
    own, who = service.own_address(address), service.own_address(delegate)
    with service.change() as change:
        change.add_delegate(own, who)
    return list(service.directory.delegates(own))


@call
def delegate_remove(service: DirectoryService, *, address: str, delegate: str) -> list[str]:
    """Take that right back; all who still may."""
    own, who = service.own_address(address), service.own_address(delegate)
    with service.change() as change:
        change.remove_delegate(own, who)
    return list(service.directory.delegates(own))


@call
def delegate_boxes(service: DirectoryService, *, address: str) -> list[str]:
    """The open agency mailboxes that this mailbox may act for."""
    own = service.own_address(address)
    held = (service.directory.find_mailbox(one) for one in service.directory.acts_for(own))
    return [box.address for box in held if box is not None and box.status == "active"]


@call
def trace(service: DirectoryService, *, text: str, limit_count: int = 1000) -> list[Json]:
    """What is known of a Message-ID, an address or a reference; what edges wrote a moment ago included."""
    if service.ledger is None:
        raise BdmtaError("the ledger is not open here")
    if service.facts_dir:
        service.ledger.import_files(service.facts_dir)
    facts = service.ledger.trace(text.strip(), limit_count=limit_count)
    return [{**{k: v for k, v in fact.items() if k != "id"}, "at": service.local_time(fact["at"])} for fact in facts]
