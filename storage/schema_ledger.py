"""The tables of the ledger."""

from __future__ import annotations

_LAYOUT_1 = """
CREATE TABLE facts (
  id INTEGER PRIMARY KEY,
  at REAL NOT NULL,                 -- seconds since 1970
  event TEXT NOT NULL,
  reference TEXT NOT NULL,          -- what the peer was told
  message_id TEXT NOT NULL,
  sender TEXT NOT NULL,
  recipient TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX facts_at ON facts (at);
CREATE INDEX facts_reference ON facts (reference) WHERE reference <> '';
CREATE INDEX facts_message_id ON facts (message_id) WHERE message_id <> '';

CREATE TABLE parties (              -- every address of a fact, in the form addresses are compared in
  address TEXT NOT NULL,
  fact INTEGER NOT NULL REFERENCES facts (id) ON DELETE CASCADE,
  PRIMARY KEY (address, fact)
) STRICT, WITHOUT ROWID;
CREATE INDEX parties_fact ON parties (fact);

CREATE TABLE files (                -- how far each fact file has been read; moves with its rows
  name TEXT PRIMARY KEY,
  offset INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

LEDGER_LAYOUTS = (_LAYOUT_1,)
