"""Errors that a person reads: one line, the thing, the remedy."""

from __future__ import annotations


class BdmtaError(Exception):
    """It could not be done (exit code 1)."""

    exit_code = 1


class UsageError(BdmtaError):
    """The command or its arguments are wrong (exit code 2)."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration is wrong: names the file, the table, the key and the nearest known one (exit code 2)."""
