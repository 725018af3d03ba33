"""Backups of a site's files: taken beside the running service, kept deduplicated, verified, restored.

manifest    what a backup holds, a line a letter or file
objects     octets by their SHA-256: plain files
repository  a folder of objects and of backups
restic      the same in a restic repository
mailbox_read, site_read, take    taking one
check       reading everything back, and naming what differs
place, merge                     restoring: files as they were, or letters into a mailbox in use
retention   which backups stay
"""
