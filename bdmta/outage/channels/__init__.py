"""One module a channel, all of one shape: `reach` says what it takes, `deliver` gives a receipt or says why not.

`deliver` blocks, and may be called again for the same job after a crash: what it did before must not be done twice, or
must not matter when it is. Failures are ChannelError (tried again) and Hopeless (never again).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from bdmta.clock import Clock
from bdmta.outage.jobs import Job, Reach
from bdmta.outage.texts import Texts
from bdmta.site import Site


class ChannelError(Exception):
    """It could not be told now; the text says why, for the operator."""


class Hopeless(ChannelError):
    """It can never be told: the receiver refused it for good."""


class Channel(Protocol):
    """What `bdmta.outage.broadcast` works with."""

    reach: Reach

    def deliver(self, job: Job) -> str:
        """The receipt. Raises ChannelError. Blocks."""

    def settle(self, job: Job) -> None:
        """The receipt is on record: what was kept for another attempt can go."""


@dataclass(slots=True)
class Means:
    """What channels share. `texts` are those of now: a reload changes them."""

    site: Site
    clock: Clock
    log: Any
    texts: Texts
    folder: str

    @property
    def page_folder(self) -> str:
        """Where the status page's files are."""
        return f"{self.folder}/page"
