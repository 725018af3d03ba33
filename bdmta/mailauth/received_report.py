"""Aggregate reports that come to us, found in letters or files; everything in them is a stranger's."""

from __future__ import annotations

import io
import zipfile
import zlib

from bdmta.mailauth.aggregate import MAX_XML_OCTETS, ReceivedReport, ReportUnreadable, read_report, unpacked
from bdmta.message import scan

_MAX_REPORTS = 10
_MAX_PACKED_OCTETS = 16 * 1024 * 1024


def reports_in(octets: bytes) -> list[ReceivedReport]:
    """The reports in a letter, an XML file, gzip or zip; ReportUnreadable when there is none, or one is broken."""
    if octets.startswith((b"\x1f\x8b", b"PK", b"<")) or octets.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"<"):
        return [read_report(_xml(octets))]
    found = []
    for part in scan(octets).walk():
        if part.is_multipart or part.letter is not None:
            continue
        name = (part.names[0] if part.names else "").lower()
        if part.media_type in _TYPES or name.endswith((".xml", ".gz", ".zip")):
            found.append(read_report(_xml(part.decoded(_MAX_PACKED_OCTETS))))
            if len(found) >= _MAX_REPORTS:
                break
    if not found:
        raise ReportUnreadable("there is no report in it")
    return found


_TYPES = frozenset({"application/gzip", "application/zip", "application/x-gzip", "text/xml", "application/xml"})


def _xml(octets: bytes) -> bytes:
    if not octets.startswith(b"PK"):
        return unpacked(octets)
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            names = archive.infolist()
            if len(names) != 1:
                raise ReportUnreadable("the archive does not hold one file")
            with archive.open(names[0]) as file:
                xml = file.read(MAX_XML_OCTETS + 1)
    except ReportUnreadable:
        raise
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ReportUnreadable(f"not a zip file: {error}") from None
    if len(xml) > MAX_XML_OCTETS:
        raise ReportUnreadable("the report is too large")
    return xml
