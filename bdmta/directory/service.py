"""The open directory of a site with what the acts upon it need: paths, clock, defaults from the configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bdmta.address import AddressError, is_mailbox_local, parse_address
from bdmta.clock import Clock
from bdmta.config.schema_requests import Requests
from bdmta.directory.passwords import Passwords, load_key
from bdmta.errors import UsageError
from storage.directory import Directory
from storage.directory_change import Change
from storage.directory_rows import KINDS, Kind, Mailbox
from storage.errors import NotFound
from storage.ledger import Ledger
from storage.maildir import create_mailbox, mailbox_dir
from storage.quota import Limit, Quota, Usage

if TYPE_CHECKING:
    from bdmta.outage.book import OutageBook
    from bdmta.site import Site

# A removed alias or group: 12 months, so that mail for one does not reach another (Điều 5.4). An agency's own address
# is never another's (Điều 5.2), and mailboxes stay held.
REST_DAYS = 365


@dataclass(frozen=True, kw_only=True)
class DirectoryService:
    """What every function of `bdmta.directory.calls` takes first. One thread at a time."""

    directory: Directory
    clock: Clock
    snapshot_path: str
    password_key_path: str
    mail_root: str
    postmaster: str
    timezone: str = "Asia/Ho_Chi_Minh"
    quota_octets: tuple[int, int] = (0, 0)  # person, agency
    quota_letters: tuple[int, int] = (0, 0)
    ledger: Ledger | None = None
    outages: OutageBook | None = None
    requests: Requests = field(default_factory=Requests)
    facts_dir: str = ""
    queue_dir: str = ""
    journal_dir: str = ""
    quarantine_dir: str = ""
    rest_days: int = REST_DAYS
    actor: str = "system"
    grounds: str = ""

    @classmethod
    def from_site(cls, site: Site, clock: Clock, *, actor: str = "system") -> DirectoryService:
        """Open the directory and the ledger of `site` as their writer; its domains become those of the configuration.

        Raises Locked when another process writes them, Conflict when a domain that is gone still has addresses.
        """
        from bdmta.outage.book import OutageBook

        config = site.config
        directory = Directory.open(site.directory_db, clock)
        try:
            if directory.domains() != tuple(config.mail.domains):
                with directory.change(actor) as change:
                    change.set_domains(config.mail.domains)
            ledger = Ledger.open(site.ledger_db)
            outages = OutageBook(site.outage_dir, clock, config.clock.timezone)
        except BaseException:
            directory.close()
            raise
        quota = config.quota
        return cls(
            directory=directory, clock=clock, snapshot_path=site.snapshot_path, password_key_path=site.password_key,
            mail_root=site.mail_root, postmaster=config.postmaster, timezone=config.clock.timezone,
            quota_octets=(quota.person_octets, quota.agency_octets),
            quota_letters=(quota.person_letters, quota.agency_letters),
            requests=config.requests, ledger=ledger, outages=outages, facts_dir=site.facts_dir,
            queue_dir=site.queue_dir, journal_dir=site.journal_dir, quarantine_dir=site.quarantine_dir, actor=actor,
        )  # fmt: skip

    def close(self) -> None:
        """Close both databases."""
        self.directory.close()
        if self.ledger is not None:
            self.ledger.close()
        if self.outages is not None:
            self.outages.close()

    def for_actor(self, actor: str, grounds: str = "") -> DirectoryService:
        """The same, for the acts of another person: who, and on what grounds, is in the audit log."""
        return replace(self, actor=actor, grounds=grounds)

    @cached_property
    def passwords(self) -> Passwords:
        """Hashes generated secrets with the site's key, which is made when absent."""
        return Passwords(load_key(self.password_key_path))

    @contextmanager
    def change(self) -> Iterator[Change]:
        """One transaction; then edges see it: the snapshot is published before this returns."""
        with self.directory.change(self.actor, self.grounds) as change:
            yield change
        if change.count:
            self.publish()

    def note_act(
        self, action: str, subject: str, *, before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None, **detail: object,
    ) -> None:  # fmt: skip
        """A line in the audit log for something done outside of the directory; durable when this returns.

        `before`, `after`: what the act changed; `detail`: what else is to be known. Plain values, never a password,
        never content.
        """
        with self.directory.change(self.actor, self.grounds) as change:
            change.note(action, subject, before=before, after=after, **detail)

    def publish(self) -> int:
        """Write the snapshot that edges read; its generation."""
        return self.directory.publish(self.snapshot_path, postmaster=self.postmaster)

    def own_address(self, text: str) -> str:
        """`text` as the address of a mailbox, alias or group here, as it is kept; UsageError says what is wrong."""
        try:
            address = parse_address(text.strip())
        except AddressError as error:
            raise UsageError(f"{text}: not an address: {error}") from None
        local, _, domain = address.key.rpartition("@")
        known = self.directory.domains()
        if domain not in known:
            raise UsageError(f"{text}: {domain} is not a domain of this system ({', '.join(known) or 'none yet'})")
        if not is_mailbox_local(local):
            raise UsageError(f"{text}: an address here is made of letters a-z, digits and . - _ (Điều 5.3)")
        return f"{local}@{domain}"

    @staticmethod
    def checked_kind(kind: str) -> Kind:
        """`kind`, or UsageError."""
        if kind not in KINDS:
            raise UsageError(f"{kind}: a mailbox is of a person or an agency")
        return kind

    def new_mailbox(self, address: str, name: str, kind: str, agency: str) -> Mailbox:
        """A mailbox with the room that the configuration gives its kind; an agency's own is of that agency."""
        which = self.checked_kind(kind)
        position = KINDS.index(which)
        own = self.own_address(address)
        return Mailbox(
            address=own,
            name=name,
            kind=which,
            agency=agency or (own.partition("@")[0] if which == "agency" else ""),
            quota_octets=self.quota_octets[position],
            quota_letters=self.quota_letters[position],
        )

    def target_address(self, text: str) -> str:
        """`text` as something that an alias or a group may lead to: an address here, or outside as it is written."""
        try:
            address = parse_address(text.strip())
        except AddressError as error:
            raise UsageError(f"{text}: not an address: {error}") from None
        return address.key if address.domain in self.directory.domains() else str(address)

    def local_time(self, at: float | str) -> str:
        """A moment (seconds since 1970, or ISO 8601) as people here read it: ISO 8601 with the offset."""
        moment = datetime.fromisoformat(at) if isinstance(at, str) else datetime.fromtimestamp(at, UTC)
        return moment.astimezone(ZoneInfo(self.timezone)).isoformat(timespec="seconds")

    def usage(self, address: str) -> Usage:
        """How full a mailbox is, as the quota sees it; nothing while it has no folders yet."""
        try:
            return Quota(self.clock).usage(mailbox_dir(self.mail_root, address))
        except NotFound:
            return Usage(0, 0)

    def set_limit(self, address: str) -> None:
        """Write a mailbox's room beside its letters, where Dovecot and deliveries read it."""
        path = mailbox_dir(self.mail_root, address)
        if os.path.isdir(path):
            mailbox = self.directory.mailbox(address)
            Quota(self.clock).set_limit(path, Limit(mailbox.quota_octets, mailbox.quota_letters))

    def create_folders(self, address: str) -> None:
        """Make the Maildir of a mailbox, durable; harmless when it is there. Raises StoreError."""
        create_mailbox(mailbox_dir(self.mail_root, address))
