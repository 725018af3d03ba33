"""`python -m bdmta` is the `bdmta` command."""

from bdmta.cli import main

main()
