"""The settings. This file is the manual: each has a default, its unit in its name, and one sentence.

`conf/bdmta.toml` and the table in `docs/operators.md` are written from here (contract 14); a test compares.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from bdmta.config.values import (
    ConfigPath,
    Count,
    DataPath,
    DnsServer,
    Flag,
    HostName,
    IpAddress,
    Line,
    ListenerName,
    MailAddress,
    Network,
    Port,
    Route,
    Table,
    TimeZone,
    setting,
)

Protocol = Literal["smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "web"]


class Server(Table):
    """The machine and its processes."""

    hostname: HostName = setting("mail.localdomain", "The name this server greets with and its certificate bears.")
    data_dir: ConfigPath = setting(
        ".",
        "The folder of everything the server writes; a relative path starts at the folder of this file.",
    )
    run_dir: DataPath = setting(
        "run",
        "The folder of sockets between our processes, relative to data_dir; its path has at most 80 octets.",
    )
    user: str = setting("", "The account to run as once the ports are bound; empty: whoever started it.", max_length=64)
    group: str = setting("", "The group to run as; empty: the first group of user.", max_length=64)
    workers: int = setting(
        -1,
        "Edge processes: -1 is one a core, 0 is everything in one process.",
        strict=True,
        ge=-1,
        le=256,
    )
    grace_s: Count = setting(30, "How long sessions may finish after SIGTERM, in seconds.", ge=1, le=3600)


class Listen(Table):
    """Where service is offered when no [[listener]] is given."""

    addresses: tuple[IpAddress, ...] = setting(
        ("127.0.0.1",),
        "The addresses to bind; 0.0.0.0 and :: are all of them.",
        min_length=1,
    )
    base_port: Port = setting(0, "Added to each standard port, so that 10000 makes SMTP 10025 and IMAPS 10993.")
    protocols: tuple[Protocol, ...] = setting(
        ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "web"),
        "What is offered.",
        min_length=1,
    )


class Listener(Table):
    """One listening port of its own; as soon as one is given, [listen] is no longer read (Điều 4)."""

    name: ListenerName = setting("", "What logs and policies call it; empty: the protocol.")
    protocol: Protocol = setting(
        "smtp",
        "What it speaks: smtp, submission, submissions, imap, imaps, pop3, pop3s or web.",
    )
    addresses: tuple[IpAddress, ...] = setting(("127.0.0.1",), "The addresses to bind.", min_length=1)
    port: Port = setting(0, "The port; 0: the protocol's standard port plus [listen] base_port.")
    networks: tuple[Network, ...] = setting((), "Who may connect; empty: everybody.")
    hostname: HostName | Literal[""] = setting("", "The name to greet with here; empty: [server] hostname.")
    policies: ConfigPath | Literal[""] = setting("", "A policy file of its own; empty: [policies] file.")
    max_message_octets: Count = setting(0, "The largest letter here, in octets; 0: [smtp] max_message_octets.")
    max_sessions: Count = setting(
        0, "Sessions at once in one process beyond which this listener answers 421; 0: [limits] max_sessions."
    )


class Mail(Table):
    """The mailboxes' files and what an address may look like."""

    domains: tuple[HostName, ...] = setting(
        ("localdomain",),
        "The local domains, the primary one first (Điều 5.1).",
        min_length=1,
    )
    root: DataPath = setting("mail", "The folder of the mailboxes (Maildir++), relative to [server] data_dir.")
    queue_dir: DataPath = setting(
        "queue",
        "The folder of the outgoing queue, relative to [server] data_dir; best on the file system of root, so"
        " that letters are linked.",
    )
    backup_dir: DataPath = setting(
        "backup",
        "The folder of the backups, relative to [server] data_dir; best on another disk.",
    )
    quarantine_dir: DataPath = setting("quarantine", "The folder of letters held back, relative to [server] data_dir.")
    postmaster: MailAddress = setting(
        "",
        "The mailbox that postmaster and abuse of every domain reach (RFC 2142); empty: postmaster of the "
        "primary domain.",
    )
    reserve_octets: Count = setting(
        67_108_864,
        "Letters are put off with 452 4.3.1 when less than this is free on the disk, in octets.",
    )
    commit: Literal["journal", "files"] = setting(
        "journal",
        "How a letter is made durable before 250: by its record in a journal that all letters waiting share, or by "
        "syncing its own file and folder, as letters over 256 KiB always are.",
    )
    plus_addressing: Flag = setting(
        False,
        "Whether minhnv+x reaches minhnv; off, since Điều 5 gives each person one address.",
    )
    subaddress_separator: Literal["+", "-", "_", "="] = setting(
        "+",
        "What separates a mailbox's name from the rest of the local part when plus_addressing is on.",
    )
    memory_octets: Count = setting(
        262_144,
        "A letter that arrives is kept in memory up to this size, in octets, and on disk beyond.",
        ge=4096,
    )


class Smtp(Table):
    """The bounds of SMTP, submission and LMTP sessions."""

    banner: Line = setting("bdmta", "What the greeting says after the host name, in printable ASCII.")
    max_message_octets: Count = setting(52_428_800, "The largest letter, in octets (552 5.3.4 beyond).", ge=65_536)
    max_line_octets: Count = setting(
        65_536,
        "The longest line of a letter, in octets (RFC 5321 §4.5.3.1.6 asks for 1000).",
        ge=1000,
    )
    max_recipients: Count = setting(
        1000,
        "Recipients of one letter; RFC 5321 §4.5.3.1.8 asks for at least 100.",
        ge=100,
    )
    max_errors: Count = setting(20, "Refused commands before the session is ended with 421.", ge=1)
    max_commands: Count = setting(
        3000,
        "Commands from one accepted letter to the next before the session is ended with 421.",
        ge=110,
    )
    max_received: Count = setting(100, "Received fields in one letter; more are a loop (RFC 5321 §6.3).", ge=30)
    idle_timeout_s: Count = setting(
        300,
        "The wait for a whole command line, in seconds (RFC 5321 §4.5.3.2.7); a trickle of octets does not prolong it.",
        ge=1,
    )
    data_timeout_s: Count = setting(
        180,
        "The wait for the next block of a letter, in seconds (RFC 5321 §4.5.3.2.5).",
        ge=1,
    )
    data_total_timeout_s: Count = setting(3600, "The time that one whole letter may take to arrive, in seconds.", ge=1)

    @model_validator(mode="after")
    def _commands_fit_recipients(self) -> Smtp:
        if self.max_commands < self.max_recipients + 10:
            raise ValueError(f"max_commands ({self.max_commands}) must be at least max_recipients + 10")
        return self


class Imap(Table):
    """The bounds of IMAP sessions."""

    idle_timeout_s: Count = setting(
        1860,
        "The wait for a whole command line after login, in seconds (RFC 9051 §5.4 asks for at least 1800).",
        ge=1,
    )
    login_timeout_s: Count = setting(60, "The time to log in, in seconds.", ge=1)
    max_line_octets: Count = setting(65_536, "The longest command line, in octets.", ge=8192)
    max_literal_octets: Count = setting(
        52_428_800,
        "The largest literal after login, in octets: the largest letter that APPEND takes.",
        ge=65_536,
    )
    fold_diacritics: Flag = setting(
        True,
        "Whether SEARCH finds `Công văn` when asked for `cong van`; a change makes the indexes anew.",
    )
    withheld: tuple[Line, ...] = setting(
        (),
        'Capabilities that an account is not offered, for a client that misuses them: "minhnv@so.example CONDSTORE".',
        max_length=1000,
    )


class Pop3(Table):
    """The bounds of POP3 sessions."""

    idle_timeout_s: Count = setting(
        600,
        "The wait for a whole command line, in seconds (RFC 1939 §3 asks for at least 600).",
        ge=1,
    )
    login_timeout_s: Count = setting(60, "The time to log in, in seconds.", ge=1)


class Limits(Table):
    """Who may do how much."""

    sessions_per_address: Count = setting(
        100,
        "Sessions at once from one address, over all protocols and processes (421 beyond).",
        ge=1,
    )
    max_sessions: Count = setting(
        5000,
        "Sessions at once in one process (421 beyond).",
        ge=10,
    )
    auth_backoff_s: Count = setting(
        30,
        "The longest wait after wrong passwords, in seconds; the fourth waits 1 s, and each further one doubles it.",
    )
    trusted_networks: tuple[Network, ...] = setting((), "Exempt from limits of rate and connections, never from AUTH.")
    relay_networks: tuple[Network, ...] = setting(
        (),
        "Who may send to outside without AUTH; 127.0.0.0/8 only if it is named here.",
    )


class Tls(Table):
    """The certificate."""

    cert: ConfigPath = setting(
        "tls/cert.pem",
        "The certificate with its chain, PEM; relative to the folder of this file.",
    )
    key: ConfigPath = setting("tls/key.pem", "Its private key, PEM, mode 0600.")
    min_version: Literal["1.2", "1.3"] = setting("1.2", "The oldest TLS that is spoken.")


class Dkim(Table):
    """Our signature on what leaves (RFC 6376)."""

    selector: HostName = setting("bdmta", "The selector of the key in use: <selector>._domainkey.<domain>.")
    dir: ConfigPath = setting(
        "dkim",
        "The folder of the private keys, one <selector>.pem each; relative to the folder of this file.",
    )


class DmarcTable(Table):
    """Reports to those in whose name letters come (RFC 7489)."""

    reports: Flag = setting(False, "Whether domains that ask for aggregate reports get them, once a day.")
    mailbox: MailAddress = setting(
        "",
        "The mailbox whose letters are looked through for reports about our domains (the rua= of our records); empty: "
        "[mail] postmaster.",
    )
    keep_days: Count = setting(400, "How long the reports that came are kept, in days.", ge=1, le=3650)


class Dns(Table):
    """Who is asked."""

    servers: tuple[DnsServer, ...] = setting(
        ("system",),
        'The only servers that are asked, such as "127.0.0.1:5300"; "system" stands for the machine\'s own; '
        'with [] no lookup is made and every answer is "none" at once.',
    )
    timeout_s: Count = setting(5, "The longest time for one answer, in seconds, over all servers.", ge=1, le=60)


class ClockTable(Table):
    """Time as people see it; logs and the ledger keep UTC."""

    timezone: TimeZone = setting("Asia/Ho_Chi_Minh", "The time zone of notices, reports and working hours.")


class QuotaTable(Table):
    """The room of a mailbox that has none of its own (Điều 18.1)."""

    person_octets: Count = setting(1_073_741_824, "The room of a person's mailbox, in octets; 0: no bound.")
    person_letters: Count = setting(0, "The letters in a person's mailbox; 0: no bound.")
    agency_octets: Count = setting(10_737_418_240, "The room of an agency's mailbox, in octets; 0: no bound.")
    agency_letters: Count = setting(0, "The letters in an agency's mailbox; 0: no bound.")


class Policies(Table):
    """The chain of policies."""

    file: ConfigPath = setting(
        "policies.toml",
        "The file that lists the policies in their order; relative to the folder of this file.",
    )


class QuarantineTable(Table):
    """Letters that a policy puts aside, and originals of those that were converted."""

    delivery: Literal["junk", "hold"] = setting(
        "junk", "Where a quarantined copy goes: the mailbox's Junk, or held for `bdmta quarantine` with a daily digest."
    )
    keep_days: Count = setting(30, "How long held letters and originals are kept, in days.", ge=1, le=3650)
    digest_hour: Count = setting(7, "The hour of the daily digest, local time.", ge=0, le=23)


class Examiner(Table):
    """The processes that open what strangers sent; each bound yields a stated verdict (Điều 13)."""

    processes: Count = setting(2, "How many there are.", ge=1, le=64)
    memory_octets: Count = setting(536_870_912, "Memory of one, in octets.", ge=134_217_728)
    cpu_s: Count = setting(10, "Processor time for one letter, in seconds.", ge=1)
    timeout_s: Count = setting(15, "Time for one letter, in seconds, waiting included.", ge=1)
    max_depth: Count = setting(5, "Archives within archives and letters within letters.", ge=1, le=20)
    max_files: Count = setting(2000, "Files in one letter, archives' entries included.", ge=10)
    max_expanded_octets: Count = setting(
        268_435_456,
        "What one letter's archives may expand to, in octets.",
        ge=1_048_576,
    )
    max_ratio: Count = setting(200, "How many times its size an archive may expand to.", ge=10)


class Auth(Table):
    """Passwords at login."""

    parallelism: Count = setting(
        2,
        "Passwords verified at once in one process; each takes about 50 ms of one core.",
        ge=1,
        le=64,
    )
    cache_s: Count = setting(
        60,
        "How long a verified login is remembered, in seconds; a change or suspension drops it at once.",
        le=3600,
    )
    initial_password_days: Count = setting(
        7,
        "How long a password that was generated for somebody opens the mail before it is changed on the page, in days; "
        "0: it opens that page only.",
        le=365,
    )


class Queue(Table):
    """Letters on their way out: how often they are tried, and when their senders hear of it."""

    lifetime_s: Count = setting(
        432_000, "How long a letter is tried before it is returned, in seconds (RFC 5321 §4.5.4.1: 4 to 5 days).", ge=60
    )
    delay_notice_s: Count = setting(
        14_400, "After how long its sender is told that a letter is late, in seconds; 0: never."
    )
    retry_first_s: Count = setting(
        300, "The wait after the first attempt, in seconds; each further one doubles it.", ge=1
    )
    retry_longest_s: Count = setting(14_400, "The longest wait between attempts, in seconds.", ge=1)
    connections: Count = setting(500, "Connections to other systems at once.", ge=1, le=10_000)
    destination_connections: Count = setting(
        20, "Connections to one destination at once; one that has not answered yet gets a single one.", ge=1, le=1000
    )
    connection_letters: Count = setting(200, "Letters sent over one connection before it is made anew.", ge=1)
    idle_s: Count = setting(5, "How long a connection waits for another letter, in seconds.", le=300)
    connect_timeout_s: Count = setting(30, "The wait for a connection, in seconds.", ge=1, le=600)
    reply_timeout_s: Count = setting(
        300, "The wait for the greeting and for each reply, in seconds (RFC 5321 §4.5.3.2).", ge=1, le=1800
    )
    data_timeout_s: Count = setting(
        600, "The wait for the reply to a whole letter, in seconds (RFC 5321 §4.5.3.2.6).", ge=1, le=3600
    )
    absence_reply_s: Count = setting(
        604_800, "One absence reply to one sender within so many seconds (RFC 3834).", ge=3600
    )


class Transport(Table):
    """Ways to other systems."""

    routes: tuple[Route, ...] = setting(
        (),
        'Next hops by domain: "so.example = 10.82.0.5:25", ".gov.vn = relay.gov.vn tls=verify" (all below gov.vn),'
        ' "* = smart.example:587 tls=verify auth=yes" (all else), "example.org = mx tls=encrypt" (by DNS).',
        max_length=10_000,
    )
    credentials: ConfigPath | Literal[""] = setting(
        "", "The file of logins for routes with auth=yes, mode 0600; a line has host, user and password."
    )
    port: Port = setting(25, "The port of mail exchangers found by DNS.", ge=1)
    source_addresses: tuple[IpAddress, ...] = setting(
        (), "The addresses to send from, one of IPv4 and one of IPv6 at most; empty: the system's choice.", max_length=2
    )
    ip_versions: tuple[Literal[4, 6], ...] = setting(
        (6, 4), "The versions of IP by which mail exchangers are reached.", min_length=1, max_length=2
    )
    helo: HostName | Literal[""] = setting("", "The name to greet others with; empty: [server] hostname.")
    ca_file: ConfigPath | Literal[""] = setting(
        "", "Authorities trusted for tls=verify and MTA-STS, PEM; empty: the system's."
    )
    mta_sts: Flag = setting(True, "Whether policies of receiving domains are fetched and obeyed (RFC 8461).")
    mta_sts_port: Port = setting(443, "The port of their HTTPS servers.", ge=1)


class Log(Table):
    """The log on stderr. It never holds content or passwords (Điều 2)."""

    level: Literal["debug", "info", "warning", "error"] = setting("info", "The least that is written.")
    format: Literal["line", "json"] = setting("line", "One readable line an event, or one JSON object.")
