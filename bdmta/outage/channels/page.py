"""The status page's files, and the printed notice beside them."""

from __future__ import annotations

from bdmta.outage.channels import ChannelError, Means
from bdmta.outage.jobs import Job, Reach, is_public
from bdmta.outage.page_files import picture_of, write_files
from bdmta.outage.printed import print_notice
from bdmta.printing import PrintingError
from storage.errors import StoreError
from storage.files import write_durable


class Page:
    """HTML, Atom and JSON in the page's folder."""

    reach = Reach("page", is_public, newest_only=True)

    def __init__(self, means: Means) -> None:
        self._means = means

    def deliver(self, job: Job) -> str:
        """How many files are new."""
        try:
            picture = picture_of(self._means.folder, self._means.clock.now())
            changed = write_files(self._means.page_folder, picture, self._means.texts, self._means.site)
        except (StoreError, OSError) as error:
            raise ChannelError(str(error)) from error
        return f"{changed} files written"

    def settle(self, job: Job) -> None:
        """Nothing is kept."""


class Print:
    """An A4 notice for walls, fax and paper: `thong-bao-<id>.pdf` in the page's folder."""

    reach = Reach("print", lambda n, said: is_public(n, said) and said.kind != "reminder", newest_only=True)

    def __init__(self, means: Means) -> None:
        self._means = means

    def deliver(self, job: Job) -> str:
        """The file's name."""
        name = f"thong-bao-{job.notice.id}.pdf"
        try:
            octets = print_notice(self._means.texts, self._means.site.config.outage.notices, job.notice, job.said)
            write_durable(f"{self._means.page_folder}/{name}", octets, mode=0o644)
        except (StoreError, PrintingError) as error:
            raise ChannelError(str(error)) from error
        return f"{name}, {len(octets)} octets"

    def settle(self, job: Job) -> None:
        """Nothing is kept."""
