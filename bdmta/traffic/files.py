"""Files that hang on letters: small real documents, filled up with noise that does not compress."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from functools import lru_cache
from random import Random

TYPES = {
    "pdf": "application/pdf", "odt": "application/vnd.oasis.opendocument.text", "csv": "text/csv", "png": "image/png",
}  # fmt: skip
NAMES = ("Cong van", "Bao cao thang", "Danh sach", "Phu luc", "Ke hoach", "Bien ban hop", "To trinh", "Mau so 02")
_VARIANTS = 3


def document(extension: str, octets: int, draw: Random) -> bytes:
    """A file of that kind of about `octets`; few differ, so that making them costs the tool little."""
    rounded = 1 << max(10, octets.bit_length() - 1)
    rounded += (octets - rounded) // max(1, rounded // 4) * (rounded // 4)  # within a quarter of what is asked
    return _made(extension, max(600, rounded), draw.randrange(_VARIANTS))


@lru_cache(maxsize=256)
def _made(extension: str, octets: int, variant: int) -> bytes:
    noise = Random(f"{extension} {octets} {variant}").randbytes(max(16, octets - 600))
    return {"pdf": _pdf, "odt": _odt, "csv": _csv, "png": _png}[extension](noise)


def _pdf(noise: bytes) -> bytes:
    text = zlib.compress(b"BT /F1 12 Tf 72 720 Td (Cong van) Tj ET")
    image = b"/Type/XObject/Subtype/Image/Width 1/Height 1/BitsPerComponent 8/ColorSpace/DeviceGray"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>",
        b"<</Filter/FlateDecode/Length %d>>\nstream\n%b\nendstream\n" % (len(text), text),
        b"<<%b/Length %d>>\nstream\n%b\nendstream\n" % (image, len(noise), noise),
    )
    body = b"".join(b"%d 0 obj%bendobj\n" % (number, one) for number, one in enumerate(objects, 1))
    return b"%PDF-1.4\n" + b"%\xe2\xe3\xcf\xd3\n" + body + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n0\n%%EOF\n"


_CONTENT = (
    '<?xml version="1.0" encoding="UTF-8"?><office:document-content '
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" office:version="1.2"><office:body><office:text>'
    "<text:p>Kính gửi quý cơ quan</text:p></office:text></office:body></office:document-content>"
)
_MANIFEST = (
    '<?xml version="1.0" encoding="UTF-8"?><manifest:manifest '
    'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
    f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{TYPES["odt"]}"/>'
    '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
)


def _odt(noise: bytes) -> bytes:
    out = io.BytesIO()
    parts = {"mimetype": TYPES["odt"].encode(), "content.xml": _CONTENT.encode(), "Pictures/1.png": _png(noise),
             "META-INF/manifest.xml": _MANIFEST.encode()}  # fmt: skip
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, octets in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 5, 8, 0, 0)), octets)
    return out.getvalue()


def _csv(noise: bytes) -> bytes:
    rows = [f"{at},{noise[at : at + 12].hex()},Bình Dương\r\n" for at in range(0, len(noise), 45)]
    return ("stt,ma,dia_phuong\r\n" + "".join(rows)).encode()


def _png(noise: bytes) -> bytes:
    """One grey line as wide as there is noise."""

    def chunk(kind: bytes, octets: bytes) -> bytes:
        return struct.pack(">L", len(octets)) + kind + octets + struct.pack(">L", zlib.crc32(kind + octets))

    head = struct.pack(">LLBBBBB", len(noise), 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" + noise, 1))
        + chunk(b"IEND", b"")
    )
