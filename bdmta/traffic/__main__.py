"""`python -m bdmta.traffic`."""

from bdmta.traffic.cli import main

if __name__ == "__main__":
    main()
