"""The site's backups: what belongs to one, who may restore whose, whether all is well. Files are `storage.backup`'s."""
