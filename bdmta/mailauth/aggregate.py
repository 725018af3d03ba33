"""Aggregate reports (RFC 7489 §7.2, Appendix C): ours made of the ledger's facts, others' read within bounds."""

from __future__ import annotations

import gzip
import hashlib
import xml.parsers.expat as expat
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from bdmta.mailauth.dmarc import DmarcRecord

MAX_ROWS = 10_000
MAX_XML_OCTETS = 20 * 1024 * 1024
_MAX_DEPTH = 20
_MAX_TEXT = 1000


class ReportUnreadable(ValueError):
    """Not a report, or over a bound."""


@dataclass(frozen=True, slots=True)
class Row:
    """Letters that were alike: who brought them, what was found, what was done."""

    ip: str
    author_domain: str
    applied: str
    by_dkim: bool
    by_spf: bool
    spf: tuple[str, str, str]
    dkim: tuple[tuple[str, str, str], ...]
    was_overruled: bool


def rows_of(facts: Iterable[Mapping[str, Any]]) -> dict[str, Counter[Row]]:
    """The rows for each domain that publishes a record, from `accepted` and `refused` facts; damaged ones are left out.

    A domain has at most MAX_ROWS different rows; what comes beyond is not counted.
    """
    found: dict[str, Counter[Row]] = {}
    for fact in facts:
        row = _row(fact.get("detail") or {})
        if row is None:
            continue
        rows = found.setdefault(str(fact["detail"]["auth"]["record"]), Counter())
        if row in rows or len(rows) < MAX_ROWS:
            rows[row] += 1
    return found


def _row(detail: Mapping[str, Any]) -> Row | None:
    try:
        auth, ip = detail["auth"], str(detail["ip"] or "")
        if not ip or not auth["record"]:
            return None
        spf, *_ = [tuple(map(str, auth["spf"]))]
        return Row(
            ip, str(auth["from"]), str(auth["applied"]), bool(auth["by_dkim"]), bool(auth["by_spf"]),
            (spf[0], spf[1], spf[2]), tuple((str(a), str(b), str(c)) for a, b, c in auth["dkim"]),
            auth["asked"] != auth["applied"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def report_xml(
    domain: str, record: DmarcRecord, rows: Mapping[Row, int], *, reporter: str, contact: str, begin: int, end: int
) -> bytes:
    """The report to one domain over one span of time (seconds since 1970)."""
    metadata = _tag(
        "report_metadata", _text("org_name", reporter), _text("email", contact),
        _text("report_id", report_id(domain, reporter, begin)),
        _tag("date_range", _text("begin", begin), _text("end", end)),
    )  # fmt: skip
    published = _tag(
        "policy_published", _text("domain", domain), _text("adkim", "s" if record.is_dkim_strict else "r"),
        _text("aspf", "s" if record.is_spf_strict else "r"), _text("p", record.policy),
        _text("sp", record.subdomain_policy), _text("pct", record.percent),
    )  # fmt: skip
    records = "".join(_record(row, count) for row, count in sorted(rows.items(), key=lambda item: -item[1]))
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<feedback>{_text("version", "1.0")}{metadata}{published}{records}'
    return f"{text}</feedback>\n".encode("utf-8", "replace")


def report_id(domain: str, reporter: str, begin: int) -> str:
    """The same for the same report, so that one that comes twice is seen to be one."""
    return f"{begin}.{hashlib.sha256(f'{domain} {reporter}'.encode()).hexdigest()[:12]}@{reporter}"


def report_file_name(domain: str, reporter: str, begin: int, end: int) -> str:
    """RFC 7489 §7.2.1.1."""
    return f"{reporter}!{domain}!{begin}!{end}.xml.gz"


def _record(row: Row, count: int) -> str:
    evaluated = [_text("disposition", row.applied), _text("dkim", _word(row.by_dkim)), _text("spf", _word(row.by_spf))]
    if row.was_overruled:
        evaluated.append(_tag("reason", _text("type", "local_policy")))
    results = [
        _tag("dkim", _text("domain", domain), _text("selector", selector), _text("result", result))
        for result, domain, selector in row.dkim
        if domain
    ]
    scope = "helo" if row.spf[2] == "helo" else "mfrom"
    results.append(_tag("spf", _text("domain", row.spf[1]), _text("scope", scope), _text("result", row.spf[0])))
    return _tag(
        "record", _tag("row", _text("source_ip", row.ip), _text("count", count), _tag("policy_evaluated", *evaluated)),
        _tag("identifiers", _text("header_from", row.author_domain)), _tag("auth_results", *results),
    )  # fmt: skip


def _word(passed: bool) -> str:
    return "pass" if passed else "fail"


def _tag(name: str, *inner: str) -> str:
    return f"<{name}>{''.join(inner)}</{name}>\n"


def _text(name: str, value: object) -> str:
    plain = "".join(letter for letter in str(value)[:_MAX_TEXT] if letter >= " ")
    return f"<{name}>{escape(plain)}</{name}>"


# -- reports that come to us


@dataclass(slots=True)
class ReceivedReport:
    """What another system saw of our domains. `records` hold the leaves' texts by name."""

    reporter: str = ""
    report_id: str = ""
    domain: str = ""
    begin: int = 0
    end: int = 0
    records: list[dict[str, str]] = field(default_factory=list)


def unpacked(octets: bytes) -> bytes:
    """The XML in a gzip file, or as it stands; ReportUnreadable over MAX_XML_OCTETS."""
    if octets.startswith(b"\x1f\x8b"):
        try:
            octets = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(octets, MAX_XML_OCTETS + 1)
        except zlib.error as error:
            raise ReportUnreadable(f"not gzip: {error}") from None
    if len(octets) > MAX_XML_OCTETS:
        raise ReportUnreadable("the report is too large")
    return octets


def packed(xml: bytes) -> bytes:
    """The report as it is sent; the same octets for the same report."""
    return gzip.compress(xml, mtime=0)


def read_report(xml: bytes) -> ReceivedReport:
    """A report's rows, at most MAX_ROWS; no entities, no document types, bounded depth. ReportUnreadable."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = reader.text, reader.refuse
    parser.EntityDeclHandler = reader.refuse
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise ReportUnreadable(f"not XML: {error}") from None
    if not reader.is_report:
        raise ReportUnreadable("no DMARC report")
    return reader.report


class _Reader:
    def __init__(self) -> None:
        self.report = ReceivedReport()
        self.is_report = False
        self._path: list[str] = []
        self._texts: list[str] = []
        self._record: dict[str, str] = {}

    def refuse(self, *unused: object) -> None:
        raise ReportUnreadable("a document type has no place in a report")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition(":")[2][:64])
        if len(self._path) > _MAX_DEPTH:
            raise ReportUnreadable("nested too deep")
        self._texts.clear()
        if self._path == ["feedback", "record"]:
            self._record = {}

    def text(self, text: str) -> None:
        if len(self._texts) < _MAX_TEXT:
            self._texts.append(text[:_MAX_TEXT])

    def end(self, name: str) -> None:
        path, text = "/".join(self._path[1:]), "".join(self._texts).strip()[:_MAX_TEXT]
        self.is_report = self.is_report or self._path[0] == "feedback"
        if path.startswith("record/") and text:
            self._record.setdefault(path.removeprefix("record/"), text)
        elif path == "record":
            if len(self.report.records) >= MAX_ROWS:
                raise ReportUnreadable("too many rows")
            self.report.records.append(self._record)
        else:
            self._about(path, text)
        self._path.pop()
        self._texts.clear()

    def _about(self, path: str, text: str) -> None:
        match path:
            case "report_metadata/org_name":
                self.report.reporter = text
            case "report_metadata/report_id":
                self.report.report_id = text
            case "policy_published/domain":
                self.report.domain = text.lower()
            case "report_metadata/date_range/begin" if text.isdecimal():
                self.report.begin = int(text[:12])
            case "report_metadata/date_range/end" if text.isdecimal():
                self.report.end = int(text[:12])
