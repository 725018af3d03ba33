"""What a file's content shows it to be; `detect` gives one key of FAMILIES.

Only content is asked here: names and declared types are judged elsewhere, and the worst of all counts.
"""

from __future__ import annotations

import re
from typing import Final

from bdmta.examine.text import looks_like_text, starts_like_html

HEAD_OCTETS = 40 * 1024

_KINDS: Final[dict[str, str]] = {
    "executable": "mz elf macho dex class pyc wasm lua-bytecode llvm-bitcode jar apk lnk shebang script chm hlp reg "
    "msi deb rpm xar crx swf onenote appx ipa xpi access amiga-hunk url-shortcut desktop-entry jnlp settings-shortcut "
    "activemime iso vhd vhdx vmdk dmg wim qcow disk",
    "archive": "zip gzip bzip2 xz lzma zstd compress tar 7z rar cab arj lzh ace cpio ar lz4 lzip stuffit",
    "document": "pdf rtf ole ole-word ole-excel ole-powerpoint ole-message ole-encrypted ole-other docx xlsx pptx docm "
    "xlsm pptm xlsb ooxml visio odt ods odp odg odf ott ots otp epub xps postscript djvu tnef",
    "image": "jpeg png gif bmp tiff webp heic ico emf wmf psd svg jp2 avif",
    "media": "mp3 mp4 ogg wav avi flac mkv midi asf mpeg amr flv",
    "text": "text html xml empty pem pgp vcard calendar message",
    "other": "cms pgp-binary certificate font sqlite applefile binhex",
}
FAMILIES: Final[dict[str, str]] = {key: family for family, keys in _KINDS.items() for key in keys.split()}
"""Family of each key: executable, archive, document, image, media, text or other; unknown content has the key ""."""

_PREFIXES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x7fELF", "elf"),
    (b"\xfe\xed\xfa\xce", "macho"), (b"\xfe\xed\xfa\xcf", "macho"),
    (b"\xce\xfa\xed\xfe", "macho"), (b"\xcf\xfa\xed\xfe", "macho"), (b"\xca\xfe\xba\xbf", "macho"),
    (b"\xca\xfe\xd0\x0d", "class"), (b"dex\n", "dex"), (b"dey\n", "dex"), (b"oat\n", "dex"), (b"vdex", "dex"),
    (b"\0asm", "wasm"), (b"\x1bLua", "lua-bytecode"), (b"\x1bLJ", "lua-bytecode"), (b"BC\xc0\xde", "llvm-bitcode"),
    (b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F", "lnk"), (b"L\0\0\0\x01\x14\x02\0", "lnk"),
    (b"ITSF", "chm"), (b"ITOLITLS", "chm"), (b"?_\x03\0", "hlp"), (b"LN\x02\0", "hlp"),
    (b"!<arch>\ndebian", "deb"), (b"!<arch>\n", "ar"), (b"\xed\xab\xee\xdb", "rpm"), (b"xar!", "xar"),
    (b"Cr24", "crx"), (b"FWS", "swf"), (b"CWS", "swf"), (b"ZWS", "swf"),
    (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", "onenote"),
    (b"\0\x01\0\0Standard ACE DB", "access"), (b"\0\x01\0\0Standard Jet DB", "access"), (b"\0\0\x03\xf3", "amiga-hunk"),
    (b"ActiveMime", "activemime"),
    (b"conectix", "vhd"), (b"vhdxfile", "vhdx"), (b"KDMV", "vmdk"), (b"# Disk DescriptorFile", "vmdk"),
    (b"MSWIM\0\0\0", "wim"), (b"QFI\xfb", "qcow"), (b"<<< Oracle VM", "disk"),
    (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"PK\x07\x08", "zip"), (b"PK00PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x1f\x9d", "compress"), (b"\x1f\xa0", "compress"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07", "rar"),
    (b"RE~^", "rar"), (b"MSCF", "cab"), (b"ISc(", "cab"), (b"SZDD\x88\xf0", "cab"), (b"KWAJ\x88\xf0", "cab"),
    (b"\x60\xea", "arj"), (b"070701", "cpio"), (b"070702", "cpio"), (b"070707", "cpio"), (b"\xc7\x71", "cpio"),
    (b"\x04\x22\x4d\x18", "lz4"), (b"LZIP", "lzip"), (b"SIT!", "stuffit"), (b"StuffIt", "stuffit"),
    (b"{\\rt", "rtf"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"), (b"\x78\x9f\x3e\x22", "tnef"),
    (b"%!PS", "postscript"), (b"\xc5\xd0\xd3\xc6", "postscript"), (b"AT&TFORM", "djvu"),
    (b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF87a", "gif"), (b"GIF89a", "gif"),
    (b"II*\0", "tiff"), (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"), (b"MM\0+", "tiff"), (b"\0\0\x01\0", "ico"), (b"8BPS", "psd"), (b"\xd7\xcd\xc6\x9a", "wmf"),
    (b"\x01\0\x09\0\0\x03", "wmf"), (b"\0\0\0\x0cjP  ", "jp2"), (b"ID3", "mp3"), (b"\xff\xfb", "mp3"),
    (b"OggS", "ogg"), (b"fLaC", "flac"), (b"\x1aE\xdf\xa3", "mkv"), (b"MThd", "midi"), (b"\x30\x26\xb2\x75", "asf"),
    (b"\0\0\x01\xba", "mpeg"), (b"#!AMR", "amr"), (b"FLV\x01", "flv"), (b"SQLite format 3\0", "sqlite"),
    (b"OTTO", "font"), (b"wOFF", "font"), (b"wOF2", "font"), (b"true\0", "font"), (b"\0\x01\0\0\0", "font"),
    (b"\0\x05\x16\0", "applefile"), (b"\0\x05\x16\x07", "applefile"),
    (b"(This file must be converted with BinHex", "binhex"), (b"-----BEGIN PGP ", "pgp"), (b"-----BEGIN ", "pem"),
)  # fmt: skip
_BY_FIRST: Final[dict[int, list[tuple[bytes, str]]]] = {}
for _magic, _key in _PREFIXES:
    _BY_FIRST.setdefault(_magic[0], []).append((_magic, _key))

_CMS_MORE: Final = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01"
_HEIC: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_SHEBANG = re.compile(rb"(?:\xef\xbb\xbf)?#![ \t]*/[\x21-\x7e]{2,}")
_PYC = re.compile(
    rb"[\x00-\xff][\x00-\xff]\r\n(?:[\x00-\x03]\x00\x00\x00|[\x00-\xff]{4}(?:[\x00-\xff]{4})?[\xe3c]\x00\x00\x00)", re.S
)
_LZH = re.compile(rb"..-(?:lh[0-9dx]|lz[s45]|pm[012])-", re.S)
_JAVA_VERSION: Final = range(0x2D, 0x60)
_TAR_NAME = re.compile(rb"[^\x00-\x1f]{1,100}\x00*$")


def detect(data: bytes) -> str:
    """The key of what `data` is, "" when unknown. Linear, looks at the first 40 KiB and at a few fixed places."""
    if not data:
        return "empty"
    head = data[:HEAD_OCTETS]
    key = _binary(data, head)
    if key:
        return key
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if looks_like_text(head[:8192]):
        return _text(head)
    return ""


def _binary(data: bytes, head: bytes) -> str:
    if head[:2] in (b"MZ", b"ZM") and not _is_prose(head):
        return "mz"
    for magic, key in _BY_FIRST.get(head[0], ()):
        if head.startswith(magic) and not (key in _WORDLIKE and _is_prose(head)):
            return key
    if head.startswith(b"\xca\xfe\xba\xbe"):
        minor_major = int.from_bytes(head[4:8], "big")
        return "class" if minor_major & 0xFFFF in _JAVA_VERSION or minor_major >> 16 else "macho"
    return _shaped(data, head)


_CONTROLS: Final = bytes(range(32)).translate(None, b"\t\n\r") + b"\x7f"
_WORDLIKE: Final = frozenset(
    {"swf", "bzip2", "cpio", "chm", "crx", "lzip", "stuffit", "mp3", "psd", "font", "vhd", "flv", "cab", "lz4"}
)
"""Kinds whose magic is plain letters that a text may begin with."""


def _is_prose(head: bytes) -> bool:
    """Plain text that merely begins with the letters of a magic (`MZ là viết tắt …`)."""
    sample = head[:1024]
    if len(sample) <= 8 or len(sample.translate(None, _CONTROLS)) < len(sample):
        return False
    blanks = sample.count(b" ") + sample.count(b"\n")
    return blanks * 25 >= len(sample)


def _shaped(data: bytes, head: bytes) -> str:
    """Formats whose mark is not at the start, or is more than fixed octets."""
    if _SHEBANG.match(head):
        return "shebang"
    if (len(head) > 265 and head[257:262] == b"ustar") or _is_old_tar(head):
        return "tar"
    if len(data) > 0x8006 and data[0x8001:0x8006] in (b"CD001", b"BEA01", b"NSR02", b"NSR03"):
        return "iso"
    if len(data) >= 512 and data[-512:-504] == b"conectix":
        return "vhd"
    if len(data) >= 512 and data[-512:-508] == b"koly":
        return "dmg"
    if _LZH.match(head):
        return "lzh"
    if head[7:14] == b"**ACE**":
        return "ace"
    if (
        head[:2] == b"BM"
        and len(head) > 26
        and head[6:10] == b"\0\0\0\0"
        and head[14] in (12, 40, 52, 56, 64, 108, 124)
    ):
        return "bmp"
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return "heic" if brand in _HEIC else "avif" if brand == b"avif" else "mp4"
    if head[:4] == b"\x01\0\0\0" and head[40:44] == b" EMF":
        return "emf"
    if _PYC.match(head) and not looks_like_text(head[:512]):
        return "pyc"
    if len(data) >= 512 and head[510:512] == b"\x55\xaa" and head[0] in (0xEB, 0xE9, 0xFA, 0x33):
        return "disk"
    if head[0] == 0x30 and len(head) > 12:
        if b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07" in head[:24] or _CMS_MORE in head[:26]:
            return "cms"
        if head[1] in (0x81, 0x82, 0x83):
            return "certificate"
    if head[:3] == b"\x5d\0\0" and len(head) > 13 and head[12] in (0, 0xFF):
        return "lzma"
    return ""


def _is_old_tar(head: bytes) -> bool:
    """A tar header from before POSIX: a name, octal numbers, and a checksum that is right."""
    if len(head) < 512 or not head[0]:
        return False
    field = head[148:156].strip(b"\0 ")
    if not field or not _TAR_NAME.match(head[:100]) or field.strip(b"01234567"):
        return False
    return int(field, 8) == sum(head[:148]) + 256 + sum(head[156:512])


_HTML_APPLICATION = re.compile(rb"<hta:application|<\?xml[^>]{0,200}\?>\s*<(?:job|package|component|scriptlet)\b", re.I)
_WSF = re.compile(rb"\s*(?:<\?xml[^>]{0,200}\?>\s*)?<(?:job|package|scriptlet|component)\b[^>]{0,200}>", re.I)
_REG = re.compile(rb"\s*(?:REGEDIT4|Windows Registry Editor Version)", re.I)
_SHORTCUT = re.compile(rb"\s*\[(?:InternetShortcut(?:\.[AW])?|DEFAULT\]\s*BASEURL)", re.I)
_DESKTOP = re.compile(rb"(?:\s*#[^\n]{0,200}\n)*\s*\[Desktop Entry\]")
_SHELL_COMMAND = re.compile(rb"\s*\[(?:Shell|autorun|version\]\s*signature\s*=\s*\"?\$)", re.I)


_LETTER = re.compile(
    rb"\s{0,8}(?:From [^\n]{1,200}\n)?"
    rb"(?:[A-Za-z][A-Za-z0-9-]{1,60}:[^\n]{0,2000}\n(?:[ \t][^\n]{0,2000}\n){0,50}){0,60}?"
    rb"(?:MIME-Version|Content-Type|Content-Transfer-Encoding):[^\n]{0,2000}\n",
    re.I,
)
"""Header fields from the first line on, one of them of MIME: a letter saved as a file (.eml, .mht, MHTML as .doc)."""


def _text(head: bytes) -> str:
    text = _as_ascii(head)
    start = text.lstrip()[:2048]
    if _REG.match(start):
        return "reg"
    if _SHORTCUT.match(start) or _SHELL_COMMAND.match(start):
        return "url-shortcut"
    if _DESKTOP.match(start):
        return "desktop-entry"
    if _WSF.match(start) or _HTML_APPLICATION.search(text[:8192]):
        return "script"
    if _LETTER.match(text):
        return "message"
    lower = start[:1024].lower()
    if b"<jnlp" in lower:
        return "jnlp"
    if b"<pcsettings" in lower or b"<librarydescription" in lower or b"<persistedquery" in lower:
        return "settings-shortcut"
    return _markup(start, lower)


def _markup(start: bytes, lower: bytes) -> str:
    if b"<svg" in lower and starts_like_html(start, ("svg", "?xml", "!doctype svg", "!--")):
        return "svg"
    if starts_like_html(start):
        return "html"
    if start.startswith(b"<?xml"):
        return "html" if b"<html" in lower else "xml"
    if start[:12].upper() == b"BEGIN:VCARD\r" or start[:11].upper() == b"BEGIN:VCARD":
        return "vcard"
    if start[:15].upper() == b"BEGIN:VCALENDAR":
        return "calendar"
    return "text"


def _as_ascii(head: bytes) -> bytes:
    """UTF-16 text without its zero octets and marks, so that the patterns above see through it."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head[:64].count(0) > 8:
        return head.replace(b"\0", b"").lstrip(b"\xff\xfe")
    return head[3:] if head.startswith(b"\xef\xbb\xbf") else head
