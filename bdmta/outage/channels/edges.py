"""Mail programs and senders, by what edges read: `* OK [ALERT]` to IMAP sessions, 421 and 450 to SMTP."""

from __future__ import annotations

import os

from bdmta.outage.channels import ChannelError, Means
from bdmta.outage.jobs import Job, Reach, is_public
from bdmta.outage.published import EDGES

IMAP = Reach("imap", is_public, newest_only=True)
SMTP = Reach(
    "smtp", lambda n, said: is_public(n, said) and ("smtp" in n.services or bool(n.agencies)), newest_only=True
)


class Edges:
    """The office publishes before any channel is asked; here it is looked at that the file is there."""

    def __init__(self, means: Means, reach: Reach) -> None:
        self._means = means
        self.reach = reach

    def deliver(self, job: Job) -> str:
        """What the edges read, and since when. How many sessions were told is in the ledger (`alerted`)."""
        path = os.path.join(self._means.folder, EDGES)
        try:
            found = os.stat(path)
        except OSError as error:
            raise ChannelError(f"{path}: {error.strerror}") from error
        return f"published, {found.st_size} octets"

    def settle(self, job: Job) -> None:
        """Nothing is kept."""
