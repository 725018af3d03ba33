"""The settings of the audit log."""

from __future__ import annotations

from typing import Literal

from bdmta.config.values import ConfigPath, Count, Table, setting


class Audit(Table):
    """The audit log looks after itself once a day (Điều 2)."""

    anchor_file: ConfigPath | Literal[""] = setting(
        "", "The file on another machine's disk that gets the newest line's number and hash each day; empty: none."
    )
    verify_hour: Count = setting(3, "The hour, local time, at which the log is verified each day.", le=23)
