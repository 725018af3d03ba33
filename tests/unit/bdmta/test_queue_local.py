"""A copy that waited for room is delivered once, also when its delivery was not recorded."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import structlog

from bdmta.queue.local import LocalCopies
from bdmta.queue.outcome import Result
from bdmta.testing import FakeClock
from storage.commit import Commit
from storage.letter import Letter
from storage.maildir import create_mailbox, mailbox_dir
from storage.quota import Quota
from storage.spool import Spool
from storage.spool_entry import QueueEntry, QueueRecipient


class OneMailbox:
    """A directory that knows one person."""

    def current(self, *, look_now: bool = False):
        return self

    def mailbox(self, key: str):
        from bdmta.directory.snapshot import MailboxEntry

        return MailboxEntry(key, "person", "Minh", "", "active", 0, 0)


def test_done_twice_it_is_there_once(tmp_path):
    clock, executor = FakeClock(), ThreadPoolExecutor(1)
    root, queue = tmp_path / "mail", tmp_path / "queue"
    root.mkdir()
    queue.mkdir()
    where = mailbox_dir(str(root), "minhnv@b.vn")
    create_mailbox(where)
    spool, quota = Spool(str(queue), clock), Quota(clock)
    commit = Commit(
        mail_root=str(root), spool=spool, host="h", clock=clock, executor=executor, quota=quota, reserve_octets=0
    )
    recipient = QueueRecipient(address="minhnv@b.vn")
    entry = QueueEntry(
        id="abc-held", sender="", recipients=(recipient,), letter=Letter.from_octets([b"x: y\r\n\r\n"]), received_at=1.0
    )
    spool.put_sync(entry)
    copies = LocalCopies(spool, commit, quota, OneMailbox(), str(root), executor, structlog.get_logger())
    for seen in ("new", "cur"):
        outcome = asyncio.run(copies.deliver(entry, recipient))
        assert outcome.result is Result.SENT
        (only,) = [*(root / "b.vn" / "minhnv" / "new").iterdir(), *(root / "b.vn" / "minhnv" / "cur").iterdir()]
        if seen == "new":  # read meanwhile
            only.rename(only.parent.parent / "cur" / f"{only.name}:2,S")
