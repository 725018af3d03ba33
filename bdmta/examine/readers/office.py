"""Documents that are zips: Office Open XML (ECMA-376), OpenDocument, and programs that come as a zip."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bdmta.examine.readers.opening import Member, Opening
from bdmta.examine.readers.zipped import Directory, Entry, members, read_directory, read_entry

_ODF = {
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.graphics": "odg",
    "application/vnd.oasis.opendocument.formula": "odf",
    "application/vnd.oasis.opendocument.text-template": "ott",
    "application/vnd.oasis.opendocument.spreadsheet-template": "ots",
    "application/vnd.oasis.opendocument.presentation-template": "otp",
    "application/epub+zip": "epub",
}
_OOXML_MAIN = (("word/document", "docx"), ("xl/workbook.bin", "xlsb"), ("xl/workbook", "xlsx"),
               ("ppt/presentation", "pptx"), ("visio/", "visio"))  # fmt: skip
_MACRO_KIND = {"docx": "docm", "xlsx": "xlsm", "pptx": "pptm"}
_PROGRAMS = (
    ("AndroidManifest.xml", "apk"), ("classes.dex", "apk"), ("AppxManifest.xml", "appx"), ("AppxBlockMap.xml", "appx"),
    ("AppxMetadata/AppxBundleManifest.xml", "appx"), ("extension.vsixmanifest", "xpi"), ("install.rdf", "xpi"),
    ("META-INF/mozilla.rsa", "xpi"),
)  # fmt: skip
_PART = re.compile(r"^(word|xl|ppt|docProps|_rels|customXml|visio|META-INF|Pictures|Thumbnails|Configurations2)/")


def read_zip_or_document(opening: Opening) -> Iterator[Member]:
    """A zip, whatever it is for: refines the kind, notes what acts, and yields its files."""
    directory = read_directory(opening)
    opening.kind = kind_of(opening, directory)
    if opening.kind in _ODF.values():
        yield from _read_odf(opening, directory)
    elif opening.kind in ("docx", "xlsx", "pptx", "docm", "xlsm", "pptm", "xlsb", "ooxml", "visio"):
        yield from _read_ooxml(opening, directory)
    else:
        yield from members(opening, directory)


def kind_of(opening: Opening, directory: Directory) -> str:
    """Which kind of document or program a zip is, by the entries that make it one."""
    names = directory.names
    for name, kind in _PROGRAMS:
        if name in names:
            return kind
    if any(n.startswith("Payload/") and ".app/" in n for n in names):
        return "ipa"
    if "mimetype" in names:
        return _odf_kind(opening, directory)
    if "[Content_Types].xml" in names or "[content_types].xml" in {n.lower() for n in names}:
        lowered = sorted(n.lower() for n in names)
        for prefix, kind in _OOXML_MAIN:
            if any(n.startswith(prefix) for n in lowered):
                return kind
        return "xps" if any(n.endswith(".fdseq") for n in lowered) else "ooxml"
    if "META-INF/MANIFEST.MF" in names and any(n.endswith(".class") for n in names):
        return "jar"
    return "zip"


def _odf_kind(opening: Opening, directory: Directory) -> str:
    entry = next(e for e in directory.entries if "mimetype" in e.names)
    content = read_entry(opening, directory, entry).octets or b""
    return _ODF.get(content[:100].decode("ascii", "replace").strip(), "zip")


def _all_components(opening: Opening, directory: Directory) -> Iterator[tuple[Entry, Member]]:
    opening.problems |= directory.problems
    for entry in directory.entries:
        if entry.is_folder:
            continue
        member = read_entry(opening, directory, entry)
        member.role = "component"
        opening.problems.update(p for p in member.problems if p in ("traversal", "link", "encrypted", "unreadable"))
        yield entry, member


_REMOTE_TEMPLATE = re.compile(
    rb"<Relationship\b(?=[^>]{0,1500}attachedTemplate)(?=[^>]{0,1500}TargetMode\s*=\s*[\"']External)"
    rb"(?=[^>]{0,1500}Target\s*=\s*[\"'](?:https?:|ftp:|\\\\|//|file://[^/]))", re.I
)  # fmt: skip
_REMOTE_OBJECT = re.compile(
    rb"<Relationship\b(?=[^>]{0,1500}(?:oleObject|/frame))(?=[^>]{0,1500}TargetMode\s*=\s*[\"']External)"
    rb"(?=[^>]{0,1500}Target\s*=\s*[\"'](?:https?:|mhtml:|ftp:|\\\\|//))", re.I
)  # fmt: skip
_DDE_FIELD = re.compile(rb"instr(?:Text[^>]{0,100}>|\s{0,4}=\s{0,4}[\"'])\s{0,20}[dD][dD][eE](?:[aA][uU][tT][oO])?\b")
_DDE_LINK = re.compile(rb"ddeLink\b[^>]{0,300}ddeService\s{0,4}=\s{0,4}[\"'](?i:cmd|mshta|powershell|wscript|rundll32)")


def _read_ooxml(opening: Opening, directory: Directory) -> Iterator[Member]:
    for _, member in _all_components(opening, directory):
        name, octets = member.names[0].lower(), member.octets or b""
        if name.endswith(("vbaproject.bin", "vbadata.xml")) or "/macrosheets/" in name:
            opening.problems.add("macro")
        elif name == "[content_types].xml":
            if re.search(rb"macroEnabled|vbaProject|ms-office\.vbaProject", octets):
                opening.problems.add("macro")
        elif name.endswith(".rels"):
            if _REMOTE_TEMPLATE.search(octets) or _REMOTE_OBJECT.search(octets):
                opening.problems.add("remote-template")
        elif name.endswith(".xml"):
            if _DDE_FIELD.search(octets) or ("externallink" in name and _DDE_LINK.search(octets)):
                opening.problems.add("dde")
        elif "/activex/" in name and name.endswith(".bin"):
            opening.problems.add("activex")
        if "/embeddings/" in name:
            member.role = "embedded"
        if name.startswith("_xmlsignatures/") or "/printersettings/" in name:
            continue
        yield member
    if "macro" in opening.problems:
        opening.kind = _MACRO_KIND.get(opening.kind, opening.kind)


_BASIC_INDEX = ("script-lc.xml", "script-lb.xml", "dialog-lc.xml", "dialog-lb.xml")
_LISTENER = re.compile(rb"vnd\.sun\.star\.script:|script:language\s*=\s*[\"']ooo:(?:script|Basic)", re.I)


def _read_odf(opening: Opening, directory: Directory) -> Iterator[Member]:
    for _, member in _all_components(opening, directory):
        name, octets = member.names[0], member.octets or b""
        top = name.partition("/")[0].lower()
        is_module = top == "basic" and name.count("/") >= 2 and not name.lower().endswith(_BASIC_INDEX)
        if is_module or (top == "scripts" and octets):
            opening.problems.add("macro")
        elif name == "META-INF/manifest.xml":
            if b"encryption-data" in octets:
                opening.problems.add("encrypted")
        elif name.endswith(("content.xml", "styles.xml")) and _LISTENER.search(octets):
            opening.problems.add("macro")
        if top.startswith("object ") and "/" not in name:
            member.role = "embedded"
        if not name.endswith(".xml"):
            yield member
