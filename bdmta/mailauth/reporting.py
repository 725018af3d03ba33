"""A day's aggregate reports: whom they go to, as letters in the queue, each once (RFC 7489 §7)."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bdmta.address import AddressError, parse_address
from bdmta.clock import Clock
from bdmta.dns import Answer, Resolver, TempFail
from bdmta.mailauth.aggregate import Row, packed, report_file_name, report_id, report_xml
from bdmta.mailauth.dmarc import DmarcRecord, find_record
from bdmta.mailauth.publicsuffix import organisational_domain
from bdmta.mailauth.tags import TagError
from bdmta.message.write import compose_file, compose_multipart, compose_text, date
from storage.letter import Letter
from storage.spool import Spool
from storage.spool_entry import QueueEntry, QueueRecipient

_DAY_S = 86_400
_PRIORITY = -1
_SIZE = re.compile(r"!(\d{1,9})([kmgt]?)\Z", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True, slots=True)
class DailyReport:
    """One domain's report, ready to be sent to those that want it; `reason` says why it goes to nobody."""

    domain: str
    begin: int
    file_name: str
    octets: bytes
    recipients: tuple[str, ...]
    letters_count: int
    reason: str = ""


class Reporter:
    """Makes and sends the reports of one site."""

    def __init__(self, resolver: Resolver, clock: Clock, *, hostname: str, contact: str) -> None:
        self._resolver = resolver
        self._clock = clock
        self._hostname = hostname
        self._contact = contact

    async def make(self, begin: int, found: Mapping[str, Counter[Row]]) -> list[DailyReport]:
        """The reports of the day that begins at `begin`, in the order of the domains."""
        return [await self._make(domain, begin, found[domain]) for domain in sorted(found)]

    async def _make(self, domain: str, begin: int, rows: Counter[Row]) -> DailyReport:
        end = begin + _DAY_S - 1
        name = report_file_name(domain, self._hostname, begin, end)
        try:
            record = await find_record(domain, self._resolver)
        except TagError:
            record = None
        if record is None or isinstance(record, TempFail) or record[1] != domain:
            return DailyReport(domain, begin, name, b"", (), rows.total(), "no record is published now")
        xml = report_xml(domain, record[0], rows, reporter=self._hostname, contact=self._contact, begin=begin, end=end)
        octets = packed(xml)
        recipients = await self._recipients(domain, record[0], len(octets))
        reason = "" if recipients else "nobody wants it"
        return DailyReport(domain, begin, name, octets, recipients, rows.total(), reason)

    async def _recipients(self, domain: str, record: DmarcRecord, size_octets: int) -> tuple[str, ...]:
        wanted: dict[str, None] = {}
        for uri in record.aggregate_uris:
            text = uri[len("mailto:") :]
            limit = _SIZE.search(text)
            if limit is not None and size_octets > int(limit[1]) * _UNITS[limit[2].lower()]:
                continue
            try:
                address = parse_address(_SIZE.sub("", text))
            except AddressError:
                continue
            if address.is_ascii and await self._consents(domain, address.domain):
                wanted[str(address)] = None
        return tuple(wanted)

    async def _consents(self, domain: str, elsewhere: str) -> bool:
        """The other domain has agreed to take reports about this one, or is of the same organisation (§7.1)."""
        if organisational_domain(domain) == organisational_domain(elsewhere):
            return True
        answer = await self._resolver.txt(f"{domain}._report._dmarc.{elsewhere}")
        return isinstance(answer, Answer) and any(text.startswith(b"v=DMARC1") for text in answer.records)

    def letter(self, report: DailyReport) -> bytes:
        """The report as a letter (§7.2.1.1)."""
        identity = report_id(report.domain, self._hostname, report.begin)
        headers = [
            ("From", self._contact), ("To", ", ".join(report.recipients)), ("Date", date(self._clock.now()).decode()),
            ("Message-ID", f"<dmarc.{identity}>"), ("Auto-Submitted", "auto-generated"),
            ("Subject", f"Report Domain: {report.domain} Submitter: {self._hostname} Report-ID: <{identity}>"),
        ]  # fmt: skip
        about = f"DMARC aggregate report for {report.domain}: {report.letters_count} letters."
        return compose_multipart(
            headers, [compose_text([], about), compose_file("application/gzip", report.octets, report.file_name)]
        )

    def send(self, report: DailyReport, spool: Spool, sent_dir: str) -> bool:
        """Queue the report; durable when it returns. False when it has been sent before, or goes to nobody."""
        if not report.recipients:
            return False
        os.makedirs(sent_dir, mode=0o700, exist_ok=True)
        mark = os.path.join(sent_dir, report.file_name.replace("/", "_"))
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        try:
            spool.put_sync(
                QueueEntry(
                    id=spool.new_id(), sender="", letter=Letter.from_octets([self.letter(report)]),
                    recipients=tuple(QueueRecipient(address, "NEVER") for address in report.recipients),
                    received_at=self._clock.time(), priority=_PRIORITY,
                )
            )  # fmt: skip
        except BaseException:
            os.unlink(mark)
            raise
        return True
