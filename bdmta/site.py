"""One site: its configuration and every path that follows from it. Two sites run side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bdmta.errors import ConfigError

if TYPE_CHECKING:
    from bdmta.config import Config

LAYOUT = 1
"""The layout of the data folder: raised by whoever changes what older versions could not read (docs/backup.md)."""
ENVIRONMENT = "BDMTA_CONFIG"
SEARCHED = ("bdmta.toml", "/etc/bdmta/bdmta.toml")


def find_config(given: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The configuration file: `given` (`-c`), else $BDMTA_CONFIG, else ./bdmta.toml, else /etc/bdmta/bdmta.toml.

    Raises ConfigError when there is none.
    """
    for named in (given, environment.get(ENVIRONMENT)):
        if named:
            return named
    for candidate in SEARCHED:
        if os.path.exists(candidate):
            return candidate
    raise ConfigError(f"no configuration: neither -c FILE nor {ENVIRONMENT} nor {' nor '.join(SEARCHED)}")


@dataclass(frozen=True)
class Site:
    """The configuration of one site and its paths, all absolute. Nothing is created by asking."""

    config: Config
    config_path: str

    @classmethod
    def open(cls, config_path: str) -> Site:
        """The site configured at `config_path`; raises ConfigError with one line."""
        from bdmta.config import load  # pydantic costs 0.15 s, which `bdmta --help` does not pay

        return cls(load(config_path), os.path.abspath(config_path))

    @property
    def config_dir(self) -> str:
        """The folder of the configuration file."""
        return os.path.dirname(self.config_path)

    @property
    def data_dir(self) -> str:
        """The folder of everything the server writes."""
        return self.config.server.data_dir

    @property
    def run_dir(self) -> str:
        """Sockets between our processes; mode 0700."""
        return self.config.server.run_dir

    @property
    def mail_root(self) -> str:
        """The mailboxes (Maildir++)."""
        return self.config.mail.root

    @property
    def incoming_dir(self) -> str:
        """Letters while they arrive (O_TMPFILE), on the mailboxes' file system; no domain starts with a dot."""
        return os.path.join(self.mail_root, ".incoming")

    @property
    def journal_dir(self) -> str:
        """The journals of the edges: letters that a loss of power could still take (storage.journal)."""
        return os.path.join(self.data_dir, "journal")

    @property
    def queue_dir(self) -> str:
        """The spool of letters for outside."""
        return self.config.mail.queue_dir

    @property
    def backup_dir(self) -> str:
        """The backups."""
        return self.config.mail.backup_dir

    @property
    def quarantine_dir(self) -> str:
        """Letters held back."""
        return self.config.mail.quarantine_dir

    @property
    def facts_dir(self) -> str:
        """One append-only file of facts a process, until the office has imported it."""
        return os.path.join(self.data_dir, "facts")

    @property
    def index_dir(self) -> str:
        """The mailboxes' indexes, a cache outside of the Maildirs (architecture, contract 5)."""
        return os.path.join(self.data_dir, "index")

    @property
    def state_dir(self) -> str:
        """What policies remember, and other small state that may be lost."""
        return os.path.join(self.data_dir, "state")

    @property
    def outage_dir(self) -> str:
        """Notices of outages: their history, what edges and the status page read, the heartbeat (Điều 15)."""
        return os.path.join(self.data_dir, "outage")

    @property
    def addressbook_dir(self) -> str:
        """What was published of the address book last, by target."""
        return os.path.join(self.data_dir, "addressbook")

    @property
    def directory_db(self) -> str:
        """The directory's database; only the office, or a command that holds the lock, opens it."""
        return os.path.join(self.data_dir, "db", "directory.sqlite")

    @property
    def password_key(self) -> str:
        """The key of generated passwords' hashes; mode 0600."""
        return os.path.join(self.data_dir, "db", "password.key")

    @property
    def snapshot_path(self) -> str:
        """The published directory, replaced atomically; what edges read."""
        return os.path.join(self.data_dir, "db", "directory.snapshot")

    @property
    def forwarding_path(self) -> str:
        """What mailboxes send on, and what is said for those who are away; replaced atomically."""
        return os.path.join(self.data_dir, "db", "forwarding.json")

    @property
    def srs_key(self) -> str:
        """The key of the senders that we write into forwarded letters; mode 0600."""
        return os.path.join(self.data_dir, "db", "srs.key")

    @property
    def ledger_db(self) -> str:
        """The ledger's database."""
        return os.path.join(self.data_dir, "db", "ledger.sqlite")

    @property
    def tls_dir(self) -> str:
        """Certificates; `ca.pem` is what init signed with."""
        return os.path.dirname(self.config.tls.cert)

    @property
    def dkim_dir(self) -> str:
        """The private keys of our DKIM signatures."""
        return self.config.dkim.dir

    @property
    def layout_path(self) -> str:
        """The number of the layout of everything in the data folder."""
        return os.path.join(self.data_dir, "layout")

    @property
    def office_socket(self) -> str:
        """Where the office listens for commands."""
        return os.path.join(self.run_dir, "office.sock")

    @property
    def office_lock(self) -> str:
        """Held (flock) by the office while it runs, else by a command that writes itself."""
        return os.path.join(self.data_dir, "office.lock")

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """Every folder the server writes in."""
        return (
            self.data_dir, self.run_dir, self.mail_root, self.incoming_dir, self.queue_dir, self.backup_dir,
            self.quarantine_dir, self.facts_dir, self.journal_dir, self.index_dir, self.state_dir, self.outage_dir,
            os.path.dirname(self.directory_db),
        )  # fmt: skip

    def create_folders(self) -> None:
        """Make the folders that are missing, mode 0700; others keep theirs. Raises ConfigError: a newer layout."""
        self.check_layout()
        for folder in self.folders:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        if not os.path.exists(self.layout_path):
            from storage.files import write_durable

            write_durable(self.layout_path, b"%d\n" % LAYOUT)

    def check_layout(self) -> None:
        """Raise ConfigError when the data folder was written by a newer bdmta, or its `layout` is no number."""
        try:
            with open(self.layout_path, encoding="ascii", errors="replace") as file:
                text = file.read(32).strip()
        except FileNotFoundError:
            return  # absent: a new site, or one of before there was the file, which is layout 1
        if not text.isdigit():
            raise ConfigError(f"{self.layout_path}: the number of the data's layout is expected, not {text!r}")
        if int(text) > LAYOUT:
            raise ConfigError(
                f"{self.data_dir}: its data has layout {text}, this bdmta knows {LAYOUT}: it was served by a newer one;"
                " install that version, or restore a backup of before (docs/backup.md)"
            )
