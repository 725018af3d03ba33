"""SMTP on 25, 587 and 465: session, transaction and DATA are ours; aiosmtpd carries them (adapter.py)."""
