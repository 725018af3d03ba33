"""What lies on disk: Maildir++, spool, directory, ledger. Knows nothing of protocols."""
