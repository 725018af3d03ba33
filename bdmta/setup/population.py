"""Fill a fresh site's directory and mailboxes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Literal, cast

from bdmta.clock import Clock
from bdmta.config import Config
from bdmta.directory.passwords import Passwords, generate, load_key
from bdmta.setup.accounts import Account
from bdmta.setup.demo import Holder, People, SampleLetter
from bdmta.site import Site
from storage.directory import Directory
from storage.directory_change import Change
from storage.directory_rows import Agency, Mailbox
from storage.files import write_durable
from storage.maildir import create_mailbox, mailbox_dir, unique_name

_ACTOR = "bdmta init"
_POSTMASTER_NAME = "Quản trị hệ thống thư điện tử"


def populate(site: Site, people: People | None, clock: Clock) -> Sequence[Account]:
    """Make the databases, the postmaster's mailbox (RFC 2142) and, if given, `people`; publish the directory.

    Returns the accounts that can log in, with their passwords, which are kept nowhere else.
    """
    config = site.config
    passwords = Passwords(load_key(site.password_key))
    accounts: list[Account] = []
    with Directory.open(site.directory_db, clock) as directory:
        with directory.change(_ACTOR) as change:
            change.set_domains(config.mail.domains)
            change.add_mailbox(_mailbox(config, config.postmaster, _POSTMASTER_NAME, "agency", "", None))
            for holder in people.holders if people else ():
                accounts.append(_add(change, config, holder, passwords))
            if people:
                _connect(change, config.primary_domain, people)
        for mailbox in directory.mailboxes():
            create_mailbox(mailbox_dir(site.mail_root, mailbox.address))
        directory.publish(site.snapshot_path, postmaster=config.postmaster)
    for letter in people.letters if people else ():
        _deliver(site, letter, clock)
    return accounts


def _add(change: Change, config: Config, holder: Holder, passwords: Passwords) -> Account:
    password = generate()
    address = f"{holder.local}@{config.primary_domain}"
    kept = passwords.hash_generated(password)
    change.add_mailbox(_mailbox(config, address, holder.name, holder.kind, holder.agency, kept))
    return Account(address=address, name=holder.name, kind=holder.kind, password=password)


def _mailbox(config: Config, address: str, name: str, kind: str, agency: str, password_hash: str | None) -> Mailbox:
    is_person = kind == "person"
    return Mailbox(
        address=address,
        name=name,
        kind=cast(Literal["person", "agency"], kind),
        agency=agency,
        quota_octets=config.quota.person_octets if is_person else config.quota.agency_octets,
        quota_letters=config.quota.person_letters if is_person else config.quota.agency_letters,
        password_hash=password_hash,
    )


def _connect(change: Change, domain: str, people: People) -> None:
    """Agencies with their abbreviations, aliases, groups, clerks; all of it stands in the address book (Điều 6)."""
    for holder in people.holders:
        if holder.kind == "agency" and holder.local == holder.agency:
            change.agencies.add(
                Agency(identifier=holder.local, name=holder.name, level=holder.level, parent=holder.parent or None,
                       paper_address=holder.paper_address, published=True)
            )  # fmt: skip
        change.set_mailbox(f"{holder.local}@{domain}", published=True)
    for alias, targets in people.aliases.items():
        change.add_alias(f"{alias}@{domain}", [f"{target}@{domain}" for target in targets])
    for group, (name, members) in people.groups.items():
        change.add_group(f"{group}@{domain}", name, [f"{member}@{domain}" for member in members])
    for agency, clerks in people.delegates.items():
        for clerk in clerks:
            change.add_delegate(f"{agency}@{domain}", f"{clerk}@{domain}")


def _deliver(site: Site, letter: SampleLetter, clock: Clock) -> None:
    octets = _compose(site, letter, clock)
    box = mailbox_dir(site.mail_root, f"{letter.to}@{site.config.primary_domain}")
    name = unique_name(clock, site.config.server.hostname, len(octets))
    write_durable(os.path.join(box, "new", name), octets)


def _compose(site: Site, letter: SampleLetter, clock: Clock) -> bytes:
    domain = site.config.primary_domain
    local, _, remote = letter.sender.partition("@")
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(letter.sender_name, local, remote or domain)
    message["To"] = Address("", letter.to, domain)
    message["Subject"] = letter.subject
    message["Date"] = clock.now()
    message["Message-ID"] = f"<{generate()}@{site.config.server.hostname}>"
    message.set_content(letter.text, cte="8bit")
    return message.as_bytes()
