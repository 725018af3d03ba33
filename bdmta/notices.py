"""Letters that the system writes to its own people: why a letter was refused, how full a mailbox is.

They go straight into the mailbox and through no policy: their words are ours. Each is sent once for its cause
(contract 15).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from bdmta.address import Address
from bdmta.chain import Ruling
from bdmta.clock import Clock
from bdmta.delivery import Deliverer
from bdmta.directory.snapshot import MailboxEntry
from bdmta.envelope import Envelope, Recipient, new_reference
from bdmta.message.write import compose_text
from bdmta.policy import Direction, State
from bdmta.received import rfc5322_date, trace_fields
from bdmta.routing import Router
from bdmta.tasks import Tasks
from storage.letter import Letter

_EXPLAINED_AGAIN_S = 7 * 86_400

_REFUSAL_VI = """Kính gửi anh/chị,

Thư anh/chị vừa gửi lúc {time} tới {recipients} đã KHÔNG được chuyển đi.

Lý do: {reason}
{files}
Việc cần làm: {how_to}

Mã tra cứu: {reference}. Khi cần hỗ trợ, xin gửi mã này tới {postmaster}.

Trung tâm Thông tin điện tử
"""

_QUOTA_VI = """Kính gửi {name},

Hộp thư {address} đã dùng {percent} % dung lượng được cấp{quota}.

Khi hộp thư đầy, thư gửi tới sẽ bị từ chối tạm thời cho đến khi có chỗ trống. Xin lưu trữ những thư cần giữ, xoá thư
rác và dọn thư mục “Trash” (Thùng rác); Điều 18 khoản 2 Quy chế ban hành kèm theo Quyết định 82/2009/QĐ-UBND.

Cần tăng dung lượng, xin gửi yêu cầu tới {postmaster}.

Trung tâm Thông tin điện tử
"""


class Notices:
    """Writes and delivers them beside whatever caused them; a notice that fails is logged, never the cause's fault."""

    def __init__(
        self, deliverer: Deliverer, router: Router, clock: Clock, tasks: Tasks, log: Any,
        *, hostname: str, offset: timedelta, postmaster: Callable[[], str], state: State,
    ) -> None:  # fmt: skip
        self._deliverer = deliverer
        self._router = router
        self._clock = clock
        self._tasks = tasks
        self._log = log
        self._hostname = hostname
        self._offset = offset
        self._postmaster = postmaster
        self._state = state

    def explain_refusal(self, envelope: Envelope, ruling: Ruling) -> None:
        """Tell the official in full letters why the letter was refused: the reply Outlook shows has no diacritics.

        The same refusal of the same letter, tried again by a client, is explained once a week, by whichever edge.
        """
        said, account, message = ruling.refusal, envelope.account, ruling.facts.message
        if said is None or account is None or message is None or said.code < 500:
            return
        letter = message.first("message-id") or message.first("date")
        cause = (account.address, said.text, letter.text if letter else "", *(r.key for r in envelope.recipients[:20]))
        key = hashlib.blake2b("\0".join(cause).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        if self._state.get(key) is not None:
            return
        self._state.put(key, "explained", _EXPLAINED_AGAIN_S)
        local = envelope.received_at + self._offset
        text = _REFUSAL_VI.format(
            time=local.strftime("%H:%M ngày %d/%m/%Y"), reason=_reason(ruling),
            recipients=", ".join(str(r.address) for r in envelope.recipients[:10]),
            files="".join(f"  - {f.file}: {f.text_vi or f.text}\n" for f in said.findings[:20] if f.file),
            how_to=said.how_to_vi or "sửa lại thư theo lý do nêu trên rồi gửi lại.",
            reference=envelope.reference, postmaster=self._postmaster(),
        )  # fmt: skip
        self.send(account.address, "Thư của anh/chị chưa được gửi đi", text)

    def warn_of_quota(self, crossings: Sequence[tuple[MailboxEntry, int]]) -> None:
        """One letter to each mailbox that has just passed 80 or 95 % (Điều 18.2)."""
        for entry, percent in crossings:
            quota = f" ({entry.quota_octets // 1_048_576} MB)" if entry.quota_octets else ""
            text = _QUOTA_VI.format(
                name=entry.name or entry.address, address=entry.address, percent=percent, quota=quota,
                postmaster=self._postmaster(),
            )  # fmt: skip
            self.send(entry.address, f"Hộp thư đã dùng {percent} % dung lượng", text)

    def crossed(self, crossings: Sequence[tuple[str, int]]) -> None:
        """The same for mailboxes that the store names by their folders (large groups, served after the 250)."""
        self.warn_of_quota(self._deliverer.entries_of(crossings))

    def send(self, to: str, subject: str, text: str) -> None:
        """Write `text` to a mailbox here, in the background."""
        self._tasks.start(self._send(to, subject, text), f"notice to {to}")

    async def _send(self, to: str, subject: str, text: str) -> None:
        local, _, domain = to.rpartition("@")
        address = Address(local, domain)
        route = self._router.route(address)
        now = self._clock.now()
        envelope = Envelope(
            reference=new_reference(self._clock), direction=Direction.INTERNAL, sender=None,
            recipients=(Recipient(address, address.key, route),), received_at=now, helo=self._hostname,
            protocol="internal",
        )  # fmt: skip
        offset_s = int(self._offset.total_seconds())
        body = compose_text(
            [
                ("Date", rfc5322_date(int(now.timestamp()), offset_s)),
                ("From", f"Trung tâm Thông tin điện tử <{self._postmaster()}>"),
                ("To", to),
                ("Subject", subject),
                ("Message-ID", f"<{envelope.reference}@{self._hostname}>"),
                ("Auto-Submitted", "auto-generated"),
            ],
            text,
        )
        prefix = trace_fields(envelope, self._hostname, offset_s)
        await self._deliverer.place(envelope, Letter.from_octets([prefix, body]))


def _reason(ruling: Ruling) -> str:
    said = ruling.refusal
    assert said is not None
    if not said.article or said.article in said.text_vi:
        return said.text_vi
    return f"{said.text_vi} ({said.article} Quy chế ban hành kèm theo Quyết định 82/2009/QĐ-UBND)"
