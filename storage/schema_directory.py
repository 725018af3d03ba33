"""The tables of the directory, and of the snapshot that edges read.

Every address stands once in `names`, whatever it names: the primary key is what keeps an address from meaning two
things (Điều 5.2). Addresses are kept in the form they are compared in (lower case, NFC).
"""

from __future__ import annotations

from storage.audit import chain_existing
from storage.schema import Layout
from storage.schema_requests import REQUEST_TABLES

_LAYOUT_1 = """
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL) STRICT;
INSERT INTO meta VALUES (1, 0);

CREATE TABLE domains (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE names (
  address TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('mailbox', 'alias', 'group', 'retired'))
) STRICT, WITHOUT ROWID;

CREATE TABLE mailboxes (
  address TEXT PRIMARY KEY REFERENCES names (address),
  kind TEXT NOT NULL CHECK (kind IN ('person', 'agency')),
  name TEXT NOT NULL,
  agency TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'closed')),
  quota_octets INTEGER NOT NULL CHECK (quota_octets >= 0),      -- 0: no limit
  quota_letters INTEGER NOT NULL CHECK (quota_letters >= 0),    -- 0: no limit
  password_hash TEXT,
  must_change INTEGER NOT NULL DEFAULT 0,
  rank INTEGER,                                                 -- Điều 5.4
  created_at TEXT NOT NULL,
  status_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
  address TEXT PRIMARY KEY REFERENCES names (address),
  created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE groups (
  address TEXT PRIMARY KEY REFERENCES names (address),
  name TEXT NOT NULL,
  owner TEXT REFERENCES mailboxes (address),
  created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE targets (              -- where an alias leads, who is in a group
  address TEXT NOT NULL REFERENCES names (address),
  target TEXT NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (address, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX targets_target ON targets (target);

CREATE TABLE delegates (            -- who may act for an agency's mailbox, an alias or a group
  address TEXT NOT NULL REFERENCES names (address),
  delegate TEXT NOT NULL REFERENCES mailboxes (address),
  PRIMARY KEY (address, delegate)
) STRICT, WITHOUT ROWID;
CREATE INDEX delegates_delegate ON delegates (delegate);

CREATE TABLE app_passwords (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  address TEXT NOT NULL REFERENCES mailboxes (address),
  label TEXT NOT NULL,
  secret_hash TEXT NOT NULL,
  hint TEXT NOT NULL,               -- its last four characters, so that a person knows which one it is
  created_at TEXT NOT NULL,
  UNIQUE (address, label)
) STRICT;

CREATE TABLE retired (              -- addresses at rest: not given to another before `until`
  address TEXT PRIMARY KEY REFERENCES names (address),
  was TEXT NOT NULL,
  until TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject);
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_fixed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
"""

# Agencies, whether they have a mailbox or not (Điều 5.2); who stands in the published address book (Điều 6).
_LAYOUT_2 = """
ALTER TABLE mailboxes ADD COLUMN published INTEGER NOT NULL DEFAULT 0;

CREATE TABLE agencies (
  identifier TEXT PRIMARY KEY,        -- its abbreviation, the local part of its address
  name TEXT NOT NULL,
  level TEXT NOT NULL CHECK (level IN ('province', 'district', 'commune', 'unit')),
  parent TEXT REFERENCES agencies (identifier),
  head TEXT NOT NULL,
  clerk TEXT NOT NULL,
  paper_address TEXT NOT NULL,
  published INTEGER NOT NULL,
  created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX agencies_parent ON agencies (parent);
"""

# Initial passwords that end; application passwords with a scope, a holder and their last use.
_APP_PASSWORDS = """
ALTER TABLE mailboxes ADD COLUMN password_at TEXT NOT NULL DEFAULT '';
UPDATE mailboxes SET password_at = strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now') WHERE must_change;

ALTER TABLE app_passwords ADD COLUMN scope TEXT NOT NULL DEFAULT '';   -- imap,smtp; empty: all
ALTER TABLE app_passwords ADD COLUMN holder TEXT NOT NULL DEFAULT '';  -- whose it is, where not the mailbox's own
ALTER TABLE app_passwords ADD COLUMN last_used_at TEXT NOT NULL DEFAULT '';
ALTER TABLE app_passwords ADD COLUMN last_used_from TEXT NOT NULL DEFAULT '';
CREATE INDEX app_passwords_holder ON app_passwords (holder) WHERE holder <> '';

CREATE TABLE logins_seen (id INTEGER PRIMARY KEY CHECK (id = 1), fact INTEGER NOT NULL) STRICT;
"""

DIRECTORY_LAYOUTS: tuple[Layout, ...] = (_LAYOUT_1, _LAYOUT_2, chain_existing, _APP_PASSWORDS, REQUEST_TABLES)

SNAPSHOT_LAYOUT = 2
SNAPSHOT_TABLES = """
CREATE TABLE snapshot.meta (generation INTEGER NOT NULL, postmaster TEXT NOT NULL);
CREATE TABLE snapshot.domains (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshot.entries (
  address TEXT PRIMARY KEY,
  type TEXT NOT NULL,               -- mailbox, alias, group
  kind TEXT, name TEXT, agency TEXT, status TEXT, quota_octets INTEGER, quota_letters INTEGER,
  targets TEXT, owner TEXT
) WITHOUT ROWID;
CREATE TABLE snapshot.credentials (
  address TEXT PRIMARY KEY, status TEXT NOT NULL, password_hash TEXT, must_change INTEGER NOT NULL,
  password_at TEXT NOT NULL,
  app_passwords TEXT NOT NULL       -- [[id, hash, label, holder, scope], …]
) WITHOUT ROWID;
CREATE TABLE snapshot.senders (address TEXT PRIMARY KEY, may_send_as TEXT NOT NULL) WITHOUT ROWID;
"""
SNAPSHOT_ROWS = (
    "INSERT INTO snapshot.domains SELECT name, position FROM main.domains",
    "INSERT INTO snapshot.entries (address, type, kind, name, agency, status, quota_octets, quota_letters)"
    " SELECT address, 'mailbox', kind, name, agency, status, quota_octets, quota_letters"
    " FROM main.mailboxes ORDER BY address",
    "INSERT INTO snapshot.entries (address, type, targets) SELECT a.address, 'alias',"
    " (SELECT json_group_array(target) FROM"
    " (SELECT target FROM main.targets t WHERE t.address = a.address ORDER BY position)) FROM main.aliases a",
    "INSERT INTO snapshot.entries (address, type, name, owner, targets) SELECT g.address, 'group', g.name, g.owner,"
    " (SELECT json_group_array(target) FROM"
    " (SELECT target FROM main.targets t WHERE t.address = g.address ORDER BY position)) FROM main.groups g",
    "INSERT INTO snapshot.credentials SELECT address, status, password_hash, must_change, password_at, '[]'"
    " FROM main.mailboxes WHERE status <> 'closed' ORDER BY address",
    # that of a holder who is suspended or gone opens nothing
    "UPDATE snapshot.credentials SET app_passwords ="
    " (SELECT json_group_array(json_array(p.id, p.secret_hash, p.label, p.holder, p.scope)) FROM main.app_passwords p"
    " WHERE p.address = snapshot.credentials.address AND (instr(p.holder, '@') = 0 OR p.holder IN"
    " (SELECT address FROM main.mailboxes WHERE status = 'active')))"
    " WHERE address IN (SELECT address FROM main.app_passwords)",
)
