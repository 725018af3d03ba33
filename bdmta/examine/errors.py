"""What can go wrong while something is opened."""

from __future__ import annotations


class ExaminerError(Exception):
    """The examiner could not finish a letter: its process was killed at a bound, crashed, or is not running.

    The chain follows the step's `on_error`; the peer hears nothing of the cause (contract 11).
    """


class Unreadable(Exception):
    """A container or document is not what its format asks; what it held before that point has been looked at."""


class OverBound(Exception):
    """A bound was reached. `code` is the problem that the item gets: depth, entries, expanded, ratio or time."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class NeedsWorker(Exception):
    """Something in the letter has to be opened, which an edge never does itself."""
