"""The office: the one writer of the directory and the ledger; commands reach it by a local socket."""
