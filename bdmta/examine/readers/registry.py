"""Which reader opens which kind of content."""

from __future__ import annotations

from bdmta.examine.readers.cms import read_cms
from bdmta.examine.readers.listed import read_arj, read_cab, read_lzh, read_rar, read_unopened
from bdmta.examine.readers.message import read_message
from bdmta.examine.readers.office import read_zip_or_document
from bdmta.examine.readers.ole import read_ole
from bdmta.examine.readers.opening import Reader
from bdmta.examine.readers.pdf import read_pdf
from bdmta.examine.readers.rtf import read_rtf
from bdmta.examine.readers.sevenzip import read_7z
from bdmta.examine.readers.streams import read_bzip2, read_compress, read_gzip, read_lzma, read_xz
from bdmta.examine.readers.tape import read_ar, read_cpio, read_tar
from bdmta.examine.readers.tnef import read_tnef

READERS: dict[str, Reader] = {
    "zip": read_zip_or_document,
    "gzip": read_gzip,
    "bzip2": read_bzip2,
    "xz": read_xz,
    "lzma": read_lzma,
    "compress": read_compress,
    "tar": read_tar,
    "ar": read_ar,
    "cpio": read_cpio,
    "ole": read_ole,
    "pdf": read_pdf,
    "rtf": read_rtf,
    "tnef": read_tnef,
    "cms": read_cms,
    "message": read_message,
    "7z": read_7z,
    "rar": read_rar,
    "cab": read_cab,
    "lzh": read_lzh,
    "arj": read_arj,
    **dict.fromkeys(("ace", "zstd", "lz4", "lzip", "stuffit", "binhex"), read_unopened),
}
"""By the key of `signatures.detect`; a kind without a reader is judged by what it is."""
