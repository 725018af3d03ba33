"""The Atom feed of notices (RFC 4287): an entry for each announcement, under an id that never changes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

from bdmta.outage.notice import FOR_OPERATORS, Announcement, Notice
from bdmta.outage.texts import Texts
from bdmta.site import Site

if TYPE_CHECKING:
    from bdmta.outage.page_files import Picture

_ATOM = "http://www.w3.org/2005/Atom"
_ENTRIES_MAX = 100


def feed(picture: Picture, texts: Texts, language: str, site: Site) -> bytes:
    """The feed, newest first."""
    said = [(n, a) for n in picture.notices for a in n.announcements if a.kind not in FOR_OPERATORS | {"quiet"}]
    said.sort(key=lambda pair: pair[1].at, reverse=True)
    top = Xml.Element("feed", {"xmlns": _ATOM, "xml:lang": language})
    host, url = site.config.server.hostname, site.config.outage.status_url.rstrip("/")
    name = "atom.xml" if language == "vi" else "atom.en.xml"
    _add(top, "id", f"tag:{host},2026:outages/{language}")
    _add(top, "title", f"{texts.label(language, 'title')} – {site.config.primary_domain}")
    _add(top, "updated", _at(texts, said[0][1].at if said else datetime.fromisoformat("2026-01-01T00:00:00+00:00")))
    Xml.SubElement(_add(top, "author"), "name").text = str(texts.office["short"])
    page = "" if language == "vi" else "en.html"
    page = f"{url}/{page}" if url else page or "./"
    itself = f"{url}/{name}" if url else name
    Xml.SubElement(top, "link", {"rel": "self", "type": "application/atom+xml", "href": itself})
    Xml.SubElement(top, "link", {"rel": "alternate", "type": "text/html", "href": page})
    for notice, announcement in said[:_ENTRIES_MAX]:
        _entry(top, notice, announcement, texts, language, host, page)
    octets: bytes = Xml.tostring(top, encoding="utf-8", xml_declaration=True)
    return octets


def _entry(
    top: Xml.Element, notice: Notice, said: Announcement, texts: Texts, language: str, host: str, page: str
) -> None:
    values = texts.values(language, notice, said)
    entry = _add(top, "entry")
    _add(entry, "id", f"tag:{host},2026:outage/{notice.id}/{said.number}/{language}")
    _add(entry, "title", texts.say(language, said.kind, "subject", values))
    _add(entry, "updated", _at(texts, said.at))
    _add(entry, "published", _at(texts, said.at))
    Xml.SubElement(entry, "link", {"rel": "alternate", "type": "text/html", "href": f"{page}#n{notice.id}"})
    Xml.SubElement(entry, "category", {"term": said.kind})
    content = _add(entry, "content", texts.say(language, said.kind, "text", values))
    content.set("type", "text")


def _add(parent: Xml.Element, name: str, text: str | None = None) -> Xml.Element:
    child = Xml.SubElement(parent, name)
    child.text = text
    return child


def _at(texts: Texts, moment: datetime) -> str:
    return texts.local(moment).isoformat(timespec="seconds")
