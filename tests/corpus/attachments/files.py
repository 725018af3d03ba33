"""Inert executables and plain documents: the octets by which programs know them, and nothing that works."""

# ruff: noqa: E501 - a letter is one line
from __future__ import annotations

import io
import struct
import zipfile
import zlib

from tests.corpus.attachments.compound import compound

MZ = (
    b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8\0\0\0\0\0\0\0@\0\0\0\0\0\0\0" + bytes(28) + b"\x80\0\0\0"
    b"\x0e\x1f\xba\x0e\0\xb4\x09\xcd!\xb8\x01L\xcd!This program cannot be run in DOS mode.\r\r\n$" + bytes(7)
    + b"PE\0\0L\x01" + bytes(82)
)  # fmt: skip

EXECUTABLES: dict[str, bytes] = {
    "mz": MZ,
    "mz-bare": b"MZ",
    "mz-short": b"MZ\x90\0",
    "zm": b"ZM" + bytes(60),
    "elf": b"\x7fELF\x02\x01\x01" + bytes(57),
    "macho-64": b"\xcf\xfa\xed\xfe\x07\0\0\x01" + bytes(24),
    "macho-32": b"\xfe\xed\xfa\xce" + bytes(24),
    "macho-fat": b"\xca\xfe\xba\xbe\0\0\0\x02" + bytes(40),
    "class": b"\xca\xfe\xba\xbe\0\0\x004\0\x1d" + bytes(40),
    "dex": b"dex\n035\0" + bytes(104),
    "wasm": b"\0asm\x01\0\0\0",
    "lnk": b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F" + bytes(56),
    "chm": b"ITSF\x03\0\0\0" + bytes(88),
    "hlp": b"?_\x03\0" + bytes(60),
    "deb": b"!<arch>\ndebian-binary   0           0     0     100644  4         `\n2.0\n",
    "rpm": b"\xed\xab\xee\xdb\x03\0" + bytes(90),
    "xar": b"xar!\0\x1c\0\x01" + bytes(20),
    "swf": b"CWS\x0a" + bytes(30),
    "iso": bytes(0x8001) + b"CD001\x01" + bytes(2041),
    "vhd": b"conectix\0\0\0\x02" + bytes(500),
    "vhdx": b"vhdxfile" + bytes(600),
    "vmdk": b"KDMV\x01\0\0\0" + bytes(508),
    "dmg": bytes(1024) + b"koly\0\0\0\x04" + bytes(504),
    "wim": b"MSWIM\0\0\0" + bytes(200),
    "floppy": b"\xeb\x3c\x90MSDOS5.0" + bytes(499) + b"\x55\xaa",
    "onenote": bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + bytes(100),
    "shell": b"#!/bin/sh\nexit 0\n",
    "python": b"#! /usr/bin/env python3\npass\n",
    "registry": b"Windows Registry Editor Version 5.00\r\n\r\n[HKEY_CURRENT_USER\\X]\r\n",
    "registry-utf16": "\ufeffWindows Registry Editor Version 5.00\r\n".encode("utf-16-le"),
    "url": b"[InternetShortcut]\r\nURL=file://x/\r\n",
    "desktop": b"[Desktop Entry]\nType=Application\n",
    "wsf": b'<job id="x"><script language="VBScript"></script></job>',
    "scriptlet": b'<?xml version="1.0"?>\n<scriptlet></scriptlet>',
    "hta": b"<html><head><HTA:APPLICATION ID=x></head></html>",
    "pyc": b"\xa7\x0d\x0d\x0a\0\0\0\0" + bytes(8) + b"\xe3" + bytes(20),
    "msi": compound({"\u4840\u3b3f": bytes(64)}, class_id=b"\x84\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0F"),
    "access": b"\0\x01\0\0Standard Jet DB\0" + bytes(100),
}

NAMES = (
    "exe com bat cmd pif scr cpl dll sys ocx msi msp msu vbs vbe js jse wsf wsh wsc hta ps1 psm1 lnk url scf reg chm hlp "
    "inf jar class jnlp war apk dex sh bash run bin_ elf so deb rpm py pyw pyc pl rb php app command dmg pkg workflow scpt "
    "iso img vhd vhdx vmdk wim appx msix gadget application settingcontent-ms library-ms xll ade mdb sct shb msc swf crx "
    "one desktop appimage ipa mjs ps1xml psd1 diagcab"
)  # fmt: skip
EXTENSIONS = [name for name in NAMES.split() if not name.endswith("_")]

TYPES = [
    "application/x-msdownload", "application/x-msdos-program", "application/x-dosexec", "application/x-executable",
    "application/vnd.microsoft.portable-executable", "application/x-sh", "application/javascript", "text/javascript",
    "application/hta", "application/x-msi", "application/java-archive", "application/vnd.android.package-archive",
    "application/x-apple-diskimage", "application/x-iso9660-image", "text/vbscript", "application/x-powershell",
]  # fmt: skip


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, octets in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 5, 8, 0, 0)), octets, method)
    return out.getvalue()


def png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">LLBBBBB", 1, 1, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0\xff\xff\xff")) + chunk(b"IEND", b"")
    )  # fmt: skip


JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xdb\0C\0" + bytes(range(1, 65)) + b"\xff\xd9"
GIF = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
BMP = (
    b"BM"
    + struct.pack("<LHHL", 58, 0, 0, 54)
    + struct.pack("<LllHHLLllLL", 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0)
    + bytes(4)
)
TIFF = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0" + bytes(14)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


def pdf(extra: bytes = b"", head: bytes = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", catalog: bytes = b"") -> bytes:
    content = zlib.compress(b"BT /F1 12 Tf 72 720 Td (Cong van) Tj ET")
    return (
        head + b"1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction[3 0 R /XYZ null null 0]" + catalog + b">>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Annots[<</Type/Annot/Subtype/Link"
        b"/A<</S/URI/URI(https://binhduong.gov.vn/)>>>>]>>endobj\n"
        b"4 0 obj<</Filter/FlateDecode/Length %d>>\nstream\n" % len(content) + content + b"\nendstream\nendobj\n"
        + extra + b"trailer<</Size 5/Root 1 0 R/Info<</Title(Giay moi)>>>>\nstartxref\n0\n%%EOF\n"
    )  # fmt: skip


RTF = rb"{\rtf1\ansi\deff0{\fonttbl{\f0 Times New Roman;}}\f0\fs28 C\u244?ng v\u259?n s\u7889? 12\par}"
TEXT = "Kính gửi quý cơ quan,\r\nĐề nghị báo cáo tình hình sử dụng thư điện tử.\r\n".encode()
CSV = "họ tên,đơn vị,ghi chú\r\nNguyễn Văn Minh,Sở Nội vụ,\r\n".encode()


def ooxml(kind: str, more: dict[str, bytes] | None = None, types: bytes = b"") -> bytes:
    main = {"docx": "word/document.xml", "xlsx": "xl/workbook.xml", "pptx": "ppt/presentation.xml"}[kind]
    content = (
        b'<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        b'<Default Extension="xml" ContentType="application/xml"/>' + types + b"</Types>"
    )
    return zipped(
        {
            "[Content_Types].xml": content,
            "_rels/.rels": b'<Relationships><Relationship Id="r1" Type="x/officeDocument" Target="'
            + main.encode() + b'"/></Relationships>',
            main: "<?xml version='1.0'?><d><t>Công văn DDE số 12</t></d>".encode(),
            "docProps/core.xml": b"<c/>",
            main.split("/")[0] + "/media/image1.png": png(),
            **(more or {}),
        }
    )  # fmt: skip


_ODF = {"odt": "text", "ods": "spreadsheet", "odp": "presentation"}


def odf(kind: str, more: dict[str, bytes] | None = None, manifest: bytes = b"") -> bytes:
    files = {
        "mimetype": b"application/vnd.oasis.opendocument." + _ODF[kind].encode(),
        "content.xml": "<office:document-content><text:p>Công văn</text:p></office:document-content>".encode(),
        "styles.xml": b"<office:document-styles/>",
        "meta.xml": b"<m/>",
        "Thumbnails/thumbnail.png": png(),
        "Pictures/1.png": png(),
        "META-INF/manifest.xml": b"<manifest:manifest>" + manifest + b"</manifest:manifest>",
        **(more or {}),
    }
    return zipped(files)


def doc(more: dict[str, bytes] | None = None, flags: int = 0) -> bytes:
    fib = b"\xec\xa5\xc1\0" + bytes(6) + struct.pack("<H", 0x0200 | flags) + bytes(4000)
    return compound({"WordDocument": fib, "1Table": bytes(4096), "\x05SummaryInformation": bytes(200), **(more or {})})


def xls(records: bytes = b"", more: dict[str, bytes] | None = None) -> bytes:
    sheet = struct.pack("<HHLBB", 0x85, 14, 0, 0, 0) + b"\x06\0Sheet1"
    workbook = struct.pack("<HH", 0x809, 16) + bytes(16) + sheet + records + struct.pack("<HH", 0x0A, 0)
    return compound({"Workbook": workbook, **(more or {})})


def ppt(records: bytes = b"", more: dict[str, bytes] | None = None) -> bytes:
    stream = struct.pack("<HHL", 0x0F, 0x03E8, 0) + records
    return compound({"PowerPoint Document": stream, "Current User": bytes(40), **(more or {})})


def native(name: str, octets: bytes) -> bytes:
    """An Ole10Native stream (a Package object)."""
    path = name.encode("cp1258", "replace")
    body = (
        b"\x02\0"
        + path
        + b"\0C:\\"
        + path
        + b"\0\0\0\x03\0"
        + struct.pack("<L", len(path) + 4)
        + b"C:\\"
        + path
        + b"\0"
    )
    body += struct.pack("<L", len(octets)) + octets
    return struct.pack("<L", len(body)) + body


DOCUMENTS: dict[str, bytes] = {
    "congvan.txt": TEXT,
    "danhsach.csv": CSV,
    "baocao.rtf": RTF,
    "giaymoi.pdf": pdf(),
    "congvan.doc": doc(),
    "bangluong.xls": xls(),
    "trinhbay.ppt": ppt(),
    "congvan.odt": odf("odt"),
    "bang.ods": odf("ods"),
    "trinhbay.odp": odf("odp"),
}
EXTENDED: dict[str, bytes] = {
    "congvan.docx": ooxml("docx"),
    "bang.xlsx": ooxml("xlsx"),
    "trinhbay.pptx": ooxml("pptx"),
    "anh.jpg": JPEG,
    "anh.JPEG": JPEG,
    "quet.png": png(),
    "quet.tif": TIFF,
    "anh.gif": GIF,
    "anh.bmp": BMP,
    "anh.webp": WEBP,
    "anh.heic": HEIC,
}
