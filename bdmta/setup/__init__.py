"""What `bdmta init` writes: the files of a site, its keys, and the content of a demonstration."""
