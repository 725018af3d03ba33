"""The tables of requests (Điều 7): what was asked, what was said about it, who is told; aliases that end."""

from __future__ import annotations

REQUEST_TABLES = """
ALTER TABLE aliases ADD COLUMN until TEXT NOT NULL DEFAULT '';   -- ISO 8601; empty: it stays

CREATE TABLE requests (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  number TEXT NOT NULL UNIQUE,               -- YC-2026-000123
  kind TEXT NOT NULL CHECK (kind IN ('create', 'change', 'cancel', 'reset', 'merge')),
  state TEXT NOT NULL CHECK (state IN ('draft', 'received', 'discussing', 'approved', 'working', 'done', 'rejected')),
  requester TEXT NOT NULL,                   -- an official mailbox; on paper an agency or a name
  role TEXT NOT NULL,                        -- in what capacity it asks; empty: in none that may
  channel TEXT NOT NULL CHECK (channel IN ('mailbox', 'paper')),
  subject TEXT NOT NULL,                     -- the address it is about; empty until there is one
  details TEXT NOT NULL,                     -- JSON: what is asked for
  grounds TEXT NOT NULL,
  paper TEXT NOT NULL,                       -- JSON: number, date, scan
  source TEXT NOT NULL,                      -- the letter it came by
  work TEXT NOT NULL,                        -- JSON: what is left to do with files
  received_at TEXT NOT NULL,
  due_on TEXT NOT NULL,
  state_at TEXT NOT NULL,
  approved_by TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX requests_source ON requests (source) WHERE source <> '';
CREATE INDEX requests_state ON requests (state);

CREATE TABLE request_events (                -- the thread and the history
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  request INTEGER NOT NULL REFERENCES requests (id),
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  what TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX request_events_request ON request_events (request);

CREATE TABLE request_notices (               -- who is told, and when it was done
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  request INTEGER NOT NULL REFERENCES requests (id),
  purpose TEXT NOT NULL,                     -- acknowledge, question, result, refusal
  channel TEXT NOT NULL CHECK (channel IN ('mail', 'paper')),
  recipient TEXT NOT NULL,                   -- an address; on paper an agency or a name
  is_copy INTEGER NOT NULL,
  subject TEXT NOT NULL,
  text TEXT NOT NULL,
  answers TEXT NOT NULL,                     -- the Message-ID that it answers
  made_at TEXT NOT NULL,
  sent_at TEXT NOT NULL
) STRICT;
CREATE INDEX request_notices_request ON request_notices (request);
CREATE INDEX request_notices_unsent ON request_notices (channel) WHERE sent_at = '';

CREATE TABLE request_letters (               -- letters to the request address that were dealt with
  reference TEXT PRIMARY KEY,
  at TEXT NOT NULL,
  outcome TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""
