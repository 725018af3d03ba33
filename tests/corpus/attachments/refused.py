"""Letters that must be refused: every executable, name, type, container and disguise, and their combinations."""

# ruff: noqa: E501 - a letter is one line
from __future__ import annotations

import zlib
from collections.abc import Iterator
from urllib.parse import quote

from tests.corpus.attachments import archives, files
from tests.corpus.attachments.files import DOCUMENTS, EXECUTABLES, EXTENDED, EXTENSIONS, MZ, TEXT, TYPES, zipped
from tests.corpus.attachments.letters import (
    Case,
    attached,
    b64,
    file_part,
    head,
    letter,
    multipart,
    part,
    text_part,
    uuencoded,
    yencoded,
)


def by_name() -> Iterator[Case]:
    for extension in EXTENSIONS:
        yield Case(f"name-{extension}", attached(f"mo.{extension}", b"inert\r\n"), "executable-name")
        yield Case(f"name-upper-{extension}", attached(f"Mo.{extension.upper()}", b"inert\r\n"), "executable-name")
        yield Case(f"double-{extension}", attached(f"congvan.pdf.{extension}", b"inert\r\n"), "executable-name")
        yield Case(
            f"zip-name-{extension}", attached("a.zip", zipped({f"hoso/mo.{extension}": b"x"})), "executable-name"
        )


def by_content() -> Iterator[Case]:
    for kind, octets in EXECUTABLES.items():
        for name in (*DOCUMENTS, "anh.jpg", "tai lieu"):
            yield Case(f"{kind}-as-{name}", attached(name, octets), "executable-content")
        yield Case(f"{kind}-no-name", letter(multipart(text_part(), part(octets, "Content-Type: application/octet-stream"))),
                   "executable-content")  # fmt: skip
        yield Case(f"{kind}-as-image", letter(multipart(text_part(), file_part("a.png", octets, "image/png", "inline"))),
                   "executable-content")  # fmt: skip


def by_type() -> Iterator[Case]:
    for kind in TYPES:
        yield Case(f"type-{kind}", attached("congvan.txt", TEXT, kind), "executable-type")


_DISGUISED = {
    "trailing-dot": "chay.exe.", "trailing-dots": "chay.exe...", "trailing-space": "chay.exe ",
    "trailing-mix": "chay.exe . .", "nbsp": "chay.exe\u00a0", "ideographic-space": "chay.exe\u3000",
    "many-spaces": "congvan.pdf" + " " * 100 + ".exe", "rtlo": "congvan\u202efdp.exe", "rtlo-scr": "anh\u202egpj.scr",
    "isolate": "congvan\u2067fdp\u2069.exe", "leader": "chay\u2024exe", "fullwidth-stop": "chay\uff0eexe",
    "ideographic-stop": "chay\u3002exe", "half-ideographic": "chay\uff61exe", "small-stop": "chay\ufe52exe",
    "fullwidth": "chay.\uff45\uff58\uff45", "zero-width": "chay.e\u200bxe", "soft-hyphen": "chay.ex\u00ade",
    "stream": "chay.exe::$DATA", "stream-name": "congvan.txt:chay.exe", "clsid": "congvan.txt.{3050F4D8-98B5-11CF-BB82-00AA00BDCE0B}",
    "percent": "chay%2Eexe", "tab": "chay.exe\t", "path": "C:\\temp\\chay.exe", "semicolon": "chay.exe;", "rlo-pdf": "exe\u202efdp.pdf",
    "quote-inside": "chay.exe'", "forbidden": "chay.ex<e", "slash": "a/../chay.exe", "plus-dot": "congvan.pdf .exe",
}  # fmt: skip


def by_disguise() -> Iterator[Case]:
    for kind, name in _DISGUISED.items():
        for content in (b"inert\r\n", files.pdf()):
            tag = f"{kind}-{len(content)}"
            yield Case(f"disguise-raw-{tag}", letter(multipart(text_part(), part(
                content, "Content-Type: application/pdf", f'Content-Disposition: attachment; filename="{name}"'))))  # fmt: skip
            yield Case(f"disguise-2231-{tag}", letter(multipart(text_part(), part(
                content, "Content-Type: application/pdf",
                f"Content-Disposition: attachment; filename*=utf-8''{quote(name)}"))))  # fmt: skip
            word = b64(name.encode()).decode().replace("\r\n", "")
            yield Case(f"disguise-2047-{tag}", letter(multipart(text_part(), part(
                content, f'Content-Type: application/pdf; name="=?UTF-8?B?{word}?="'))))  # fmt: skip
        yield Case(f"disguise-zip-{kind}", attached("a.zip", zipped({name: TEXT})))
    yield Case("nul-2231", letter(multipart(text_part(), part(
        TEXT, "Content-Type: text/plain", "Content-Disposition: attachment; filename*=utf-8''chay.exe%00.txt"))))  # fmt: skip


_PARAMETERS = {
    "continuation": 'filename*0="congvan.pd"; filename*1="f.exe"',
    "continuation-encoded": "filename*0*=utf-8''congvan%2E; filename*1*=e%78e",
    "continuation-order": 'filename*1="exe"; filename*0="chay."',
    "continuation-and-plain": 'filename="congvan.pdf"; filename*0="chay"; filename*1=".exe"',
    "star-and-plain": "filename=\"congvan.pdf\"; filename*=utf-8''chay.exe",
    "plain-and-star": "filename*=utf-8''congvan.pdf; filename=\"chay.exe\"",
    "duplicate": 'filename="congvan.pdf"; filename="chay.exe"',
    "q-word": 'filename="=?utf-8?Q?chay=2Eexe?="',
    "b-word": 'filename="=?utf-8?B?Y2hheS5leGU=?="',
    "two-words": 'filename="=?utf-8?Q?chay=2E?= =?utf-8?Q?exe?="',
    "word-unquoted": "filename==?utf-8?B?Y2hheS5leGU=?=",
    "latin-word": 'filename="=?iso-8859-1?Q?chay.exe?="',
    "unquoted": "filename=chay.exe",
    "unquoted-space": "filename=cong van.exe",
    "single-quotes": "filename='chay.exe'",
    "escaped": 'filename="chay\\.exe"',
    "open-quote": 'filename="chay.exe',
    "comment": 'filename="chay.exe" (congvan.pdf)',
    "case": 'FileName="chay.exe"',
    "folded": 'filename="chay\r\n .exe"',
    "charset-utf7": "filename*=utf-7''chay.exe",
    "blank-around": 'filename = "chay.exe"',
}


def by_parameter() -> Iterator[Case]:
    for kind, parameter in _PARAMETERS.items():
        octets = letter(multipart(text_part(), part(
            files.pdf(), "Content-Type: application/pdf", f"Content-Disposition: attachment; {parameter}")))  # fmt: skip
        yield Case(f"parameter-{kind}", octets, "executable-name")
        as_name = parameter.replace("filename", "name").replace("FileName", "Name")
        octets = letter(multipart(text_part(), part(
            files.pdf(), f"Content-Type: application/pdf; {as_name}", 'Content-Disposition: inline; filename="a.pdf"')))  # fmt: skip
        yield Case(f"parameter-name-{kind}", octets, "executable-name")


def _containers(inner: bytes, name: str) -> Iterator[tuple[str, str, bytes]]:
    yield "zip", "hoso.zip", zipped({"congvan.txt": TEXT, name: inner})
    yield "zip-stored", "hoso.zip", zipped({name: inner}, 0)
    yield "zip-bzip2", "hoso.zip", zipped({name: inner}, 12)
    yield "zip-lzma", "hoso.zip", zipped({name: inner}, 14)
    yield "zip-zip", "hoso.zip", zipped({"dot1.zip": zipped({name: inner})})
    yield "zip-as-pdf", "giaymoi.pdf", zipped({name: inner})
    yield "zip-as-docx", "congvan.docx", zipped({name: inner})
    yield "gz", f"{name}.gz", archives.gz(inner)
    yield "gz-named", "tep.gz", archives.gz(inner, name)
    yield "gz-two", "tep.gz", archives.gz(inner[: len(inner) // 2]) + archives.gz(inner[len(inner) // 2 :])
    yield "tar", "hoso.tar", archives.tar({"a.txt": TEXT, name: inner})
    yield "tar-gnu", "hoso.tar", archives.tar({"d/" * 60 + name: inner}, 1)
    yield "tar-pax", "hoso.tar", archives.tar({"đ/" * 60 + name: inner})
    yield "tgz", "hoso.tar.gz", archives.gz(archives.tar({name: inner}))
    yield "tgz-short", "hoso.tgz", archives.gz(archives.tar({name: inner}))
    yield "bz2", f"{name}.bz2", archives.bzip2(inner)
    yield "tar-bz2", "hoso.tar.bz2", archives.bzip2(archives.tar({name: inner}))
    yield "xz", f"{name}.xz", archives.xz(inner)
    yield "lzma", f"{name}.lzma", archives.old_lzma(inner)
    yield "tnef", "winmail.dat", archives.tnef({name: inner})
    yield "tnef-zip", "winmail.dat", archives.tnef({"a.zip": zipped({name: inner})})
    yield "zip-tnef", "a.zip", zipped({"winmail.dat": archives.tnef({name: inner})})
    yield "docx-embedded", "congvan.docx", files.ooxml("docx", {f"word/embeddings/{name}": inner})
    yield (
        "docx-package",
        "congvan.docx",
        files.ooxml(
            "docx", {"word/embeddings/oleObject1.bin": files.compound({"\x01Ole10Native": files.native(name, inner)})}
        ),
    )
    yield "xlsx-media", "bang.xlsx", files.ooxml("xlsx", {"xl/media/image9.png": inner})
    yield "odt-picture", "congvan.odt", files.odf("odt", {"Pictures/a.png": inner})
    yield (
        "odt-object",
        "congvan.odt",
        files.odf("odt", {"Object 1": files.compound({"\x01Ole10Native": files.native(name, inner)})}),
    )
    yield "doc-package", "congvan.doc", files.doc({"ObjectPool/_1/\x01Ole10Native": files.native(name, inner)})
    yield "xls-package", "bang.xls", files.xls(more={"MBD1/\x01Ole10Native": files.native(name, inner)})
    yield "rtf-package", "baocao.rtf", _rtf(name, inner)
    yield "rtf-split", "baocao.rtf", _rtf(name, inner).replace(b"0200000002", b"02 00\r\n{\\*\\x y}00 0002")
    yield "pdf-embedded", "giaymoi.pdf", _pdf_embedded(inner)
    yield "rar4", "hoso.rar", archives.rar4({"a.txt": TEXT, name: inner})
    yield "rar4-packed", "hoso.rar", archives.rar4({"a.txt": TEXT, name: inner}, 0x33)
    yield "rar5", "hoso.rar", archives.rar5({"a.txt": TEXT, name: inner})
    yield "rar5-packed", "hoso.rar", archives.rar5({"a.txt": TEXT, name: inner}, 3)
    yield "cab", "hoso.cab", archives.cab({"a.txt": TEXT, name: inner})
    yield "lzh", "hoso.lzh", archives.lzh({"a.txt": TEXT, name: inner})
    yield "arj", "hoso.arj", archives.arj({"a.txt": TEXT, name: inner})
    yield "cpio", "hoso.cpio", archives.cpio({"a.txt": TEXT, name: inner})
    yield "tnef-letter", "winmail.dat", archives.tnef_object(archives.tnef({name: inner}))
    yield "eml", "thu.eml", attached(name, inner)
    yield "eml-as-txt", "thu.txt", attached(name, inner)
    yield "eml-zip", "a.zip", zipped({"thu.eml": attached(name, inner)})
    yield "mbox", "thu.mbox", b"From a@b.example Mon Jan  5 09:00:00 2026\n" + attached(name, inner)
    yield (
        "msg",
        "thu.msg",
        files.compound(
            {
                "__properties_version1.0": b"x",
                "__attach_version1.0_#00000000/__substg1.0_37010102": inner,
                "__attach_version1.0_#00000000/__substg1.0_3707001F": name.encode("utf-16-le"),
            }
        ),
    )
    yield "cms-signed", "smime.p7m", archives.cms(2, attached(name, inner))


def _rtf(name: str, inner: bytes) -> bytes:
    native = files.native(name, inner)[4:]
    ole1 = b"\x01\x05\0\0\x02\0\0\0\x08\0\0\0Package\0" + bytes(8) + len(native).to_bytes(4, "little") + native
    return rb"{\rtf1 x{\object\objemb{\*\objclass Package}{\*\objdata " + ole1.hex().encode() + b"}}}"


def _pdf_embedded(inner: bytes) -> bytes:
    return files.pdf(
        b"5 0 obj<</Type/EmbeddedFile/Length %d>>\nstream\n" % len(inner) + inner + b"\nendstream\nendobj\n"
        b"6 0 obj<</Type/Filespec/F(chay.exe)/EF<</F 5 0 R>>>>endobj\n",
        catalog=b"/Names<</EmbeddedFiles<</Names[(a)6 0 R]>>>>",
    )


def in_containers() -> Iterator[Case]:
    for kind, name, octets in _containers(MZ, "chay.exe"):
        yield Case(f"in-{kind}", attached(name, octets))
    for kind, name, octets in _containers(MZ, "congvan.txt"):
        yield Case(f"in-{kind}-misnamed", attached(name, octets))
    for kind, name, octets in _containers(b"inert script\r\n", "mo.js"):
        if kind not in ("gz-two", "xlsx-media", "odt-picture"):  # there the script has lost its name: it is text
            yield Case(f"in-{kind}-script", attached(name, octets))
    for kind, name, octets in _containers(EXECUTABLES["elf"], "thu vien"):
        yield Case(f"in-{kind}-elf", attached(name, octets))
    for levels in (2, 3, 4, 12):
        yield Case(f"nested-{levels}", attached("a.zip", archives.nested(zipped({"chay.exe": MZ}), levels)))


def crooked_archives() -> Iterator[Case]:
    two = {"congvan.txt": TEXT, "b.txt": TEXT}
    yield Case(
        "local-exe",
        attached("a.zip", archives.renamed_locally({"congva.txt": MZ}, b"congva.txt", b"chayxx.exe")),
        "mismatch",
    )
    yield Case(
        "local-name", attached("a.zip", archives.renamed_locally(two, b"congvan.txt", b"congvax.pdf")), "mismatch"
    )
    yield Case(
        "central-exe", attached("a.zip", archives.renamed_centrally(two, b"congvan.txt", b"congvan.exe")), "mismatch"
    )
    yield Case("hidden", attached("a.zip", archives.hidden_entry()), "hidden-entry")
    yield Case("hidden-text", attached("a.zip", archives.hidden_entry(b"x.txt", TEXT)), "hidden-entry")
    yield Case("overlap", attached("a.zip", archives.overlapping()), "overlap")
    yield Case("no-central", attached("a.zip", archives.without_central({"a.txt": TEXT})), "unreadable")
    yield Case("no-central-exe", attached("a.zip", archives.without_central({"chay.exe": MZ})), "executable-content")
    yield Case("truncated", attached("a.zip", zipped({"a.txt": bytes(range(256)) * 90})[:400]), "unreadable")
    for name in ("../x.txt", "..\\x.txt", "/etc/x.txt", "a/../../x.txt", "C:\\x.txt", "\\\\may\\x.txt"):
        yield Case(f"traversal-{name!r}", attached("a.zip", zipped({name: TEXT})), "traversal")
        yield Case(f"tar-traversal-{name!r}", attached("a.tar", archives.tar({name: TEXT})), "traversal")
    yield Case("symlink", attached("a.zip", archives.symlink()), "link")
    yield Case("tar-link", attached("a.tar", archives.tar_link()), "link")
    yield Case("zip-crypto", attached("a.zip", archives.encrypted_bit(two)), "encrypted")
    yield Case("bomb", attached("a.zip", archives.bomb()), "ratio")
    yield Case("bomb-gz", attached("a.gz", archives.gz(bytes(32 << 20))), "ratio")
    yield Case("bomb-nested", attached("a.zip", zipped({"b.zip": archives.bomb(16)})), "ratio")
    yield Case("entries", attached("a.zip", zipped({f"{i}.txt": b"" for i in range(5000)})), "entries")
    for name in ("giaymoi.pdf", "anh.jpg", "congvan.txt", "baocao.rtf", "quet.png"):
        front = {**DOCUMENTS, **EXTENDED}[name]
        yield Case(f"polyglot-{name}", attached(name, front + zipped({"chay.exe": MZ})), "polyglot")
        yield Case(f"polyglot-text-{name}", attached(name, front + zipped({"a.txt": TEXT})), "polyglot")
        yield Case(f"polyglot-rar-{name}", attached(name, front + b"Rar!\x1a\x07\0" + bytes(30)), "polyglot")
    yield Case("prefixed-zip", attached("a.zip", b"GIF89a" + bytes(60) + zipped({"chay.exe": MZ})))
    yield Case("gz-tail", attached("congvan.txt.gz", archives.gz(TEXT) + zipped({"chay.exe": MZ})), "polyglot")


def documents() -> Iterator[Case]:
    vba = files.compound({"VBA/dir": b"x", "VBA/_VBA_PROJECT": b"x", "PROJECT": b"x"})
    macro_type = b'<Override PartName="/word/vbaProject.bin" ContentType="application/vnd.ms-office.vbaProject"/>'
    for kind, folder in (("docx", "word"), ("xlsx", "xl"), ("pptx", "ppt")):
        for extension in (kind, kind[:3] + "m", kind[:3]):
            octets = files.ooxml(kind, {f"{folder}/vbaProject.bin": vba}, macro_type)
            yield Case(f"macro-{kind}-as-{extension}", attached(f"a.{extension}", octets), "macro")
    yield Case("macro-type", attached("a.docx", files.ooxml("docx", types=macro_type)), "macro")
    yield Case("macro-xlm", attached("a.xlsx", files.ooxml("xlsx", {"xl/macrosheets/sheet1.xml": b"<x/>"})), "macro")
    yield Case(
        "macro-doc", attached("a.doc", files.doc({"Macros/VBA/dir": b"x", "Macros/VBA/_VBA_PROJECT": b"x"})), "macro"
    )
    yield Case("macro-xls", attached("a.xls", files.xls(more={"_VBA_PROJECT_CUR/VBA/dir": b"x"})), "macro")
    yield Case("macro-xls4", attached("a.xls", files.xls(b"\x85\0\x0e\0\0\0\0\0\0\x01\x06\0Macro1")), "macro")
    yield Case(
        "macro-ppt",
        attached("a.ppt", files.ppt(b"\0\0\x00\x04\x0c\0\0\0" + bytes(4) + b"\x01\0\0\0" + bytes(4))),
        "macro",
    )
    for kind in ("odt", "ods", "odp"):
        yield Case(
            f"macro-{kind}", attached(f"a.{kind}", files.odf(kind, {"Basic/Standard/Module1.xml": b"<x/>"})), "macro"
        )
        yield Case(
            f"macro-py-{kind}", attached(f"a.{kind}", files.odf(kind, {"Scripts/python/a.py": b"pass"})), "macro"
        )
        encrypted = b"<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>"
        yield Case(f"encrypted-{kind}", attached(f"a.{kind}", files.odf(kind, manifest=encrypted)), "encrypted")
    yield Case(
        "dde",
        attached(
            "a.docx",
            files.ooxml(
                "docx", {"word/footer1.xml": b'<w:instrText xml:space="preserve"> DDEAUTO c:\\\\x "y"</w:instrText>'}
            ),
        ),
        "dde",
    )
    template = b'<Relationships><Relationship Id="r" Type="x/attachedTemplate" Target="http://x.example/t.dotm" TargetMode="External"/></Relationships>'
    yield Case(
        "template",
        attached("a.docx", files.ooxml("docx", {"word/_rels/settings.xml.rels": template})),
        "remote-template",
    )
    form = zlib.compress(b"<template xmlns='http://www.xfa.org/'><script>x()</script></template>")
    stream = b"7 0 obj<</Filter/FlateDecode/Length %d>>\nstream\n" % len(form) + form + b"\nendstream\nendobj\n"
    yield Case("pdf-xfa", attached("a.pdf", files.pdf(stream, catalog=b"/AcroForm<</XFA 7 0 R>>")), "pdf-javascript")
    web = b"MIME-Version: 1.0\r\n" + multipart(
        part(b"ActiveMime\0\0\1\xf0" + bytes(40), "Content-Type: application/x-mso")
    )
    yield Case("mhtml-as-doc", attached("a.doc", web), "executable-content")
    yield Case("csv-dde", attached("a.csv", b"a,=cmd|'/c calc'!A0\r\n"), "dde")
    for name in ("a.docx", "a.xlsx", "a.doc"):
        yield Case(
            f"encrypted-{name}",
            attached(name, files.compound({"EncryptionInfo": b"x", "EncryptedPackage": b"x"})),
            "encrypted",
        )
    yield Case("encrypted-doc", attached("a.doc", files.doc(flags=0x0100)), "encrypted")
    yield Case("encrypted-xls", attached("a.xls", files.xls(b"\x2f\0\x06\0\x01\0\x01\0\x01\0")), "encrypted")
    yield from _pdfs()


def _pdfs() -> Iterator[Case]:
    actions = {
        "pdf-javascript": [b"/OpenAction<</S/JavaScript/JS(app.alert)>>", b"/OpenAction<</S/J#61vaScript/#4aS(x)>>",
                           b"/AA<</O<</S /JavaScript /JS 9 0 R>>>>", b"/Names<</JavaScript 9 0 R>>"],
        "pdf-launch": [b"/OpenAction<</S/Launch/F(cmd.exe)>>", b"/OpenAction<</S/#4Caunch/Win<</F(a)>>>>"],
        "pdf-embedded": [b"/Names<</EmbeddedFiles 9 0 R>>", b"/Names<</Em#62eddedFiles 9 0 R>>"],
    }  # fmt: skip
    for problem, catalogs in actions.items():
        for number, catalog in enumerate(catalogs):
            yield Case(f"{problem}-{number}", attached("a.pdf", files.pdf(catalog=catalog)), problem)
            packed = zlib.compress(b"9 0 <<" + catalog + b">>")
            stream = b"7 0 obj<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>\nstream\n" % len(packed)
            octets = files.pdf(stream + packed + b"\nendstream\nendobj\n")
            yield Case(f"{problem}-objstm-{number}", attached("a.pdf", octets), problem)
            hexed = (b"9 0 <<" + catalog + b">>").hex().encode() + b">"
            stream = b"7 0 obj<</Type /ObjStm/Filter[/ASCIIHexDecode]/Length %d>>\nstream\r\n" % len(hexed)
            octets = files.pdf(stream + hexed + b"\nendstream\nendobj\n")
            yield Case(f"{problem}-hex-{number}", attached("a.pdf", octets), problem)
    yield Case(
        "pdf-encrypted", attached("a.pdf", files.pdf().replace(b"trailer<<", b"trailer<</Encrypt 9 0 R")), "encrypted"
    )
    yield Case(
        "pdf-late-head",
        attached("a.pdf", files.pdf(head=b"x" * 500 + b"\n%PDF-1.4\n", catalog=b"/OpenAction<</S/JavaScript/JS(x)>>")),
        "pdf-javascript",
    )
    yield Case(
        "pdf-annotation",
        attached("a.pdf", files.pdf(b"8 0 obj<</Type/Annot/Subtype/FileAttachment>>endobj\n")),
        "pdf-embedded",
    )


def structures() -> Iterator[Case]:
    bad = file_part("chay.exe", MZ)
    nameless = part(MZ, "Content-Type: application/octet-stream")
    inner = letter(multipart(text_part(), bad, boundary="inner"))
    yield Case("uuencode", head() + b"\r\nXem:\r\n\r\n" + uuencoded("chay.exe", MZ), "executable-content")
    yield Case("uuencode-misnamed", head() + b"\r\n" + uuencoded("congvan.txt", MZ), "executable-content")
    yield Case(
        "uuencode-part",
        letter(multipart(part(uuencoded("mo.vbs", b"x" * 50), "Content-Type: text/plain"))),
        "executable-name",
    )
    yield Case("uuencode-zip", head() + b"\r\n" + uuencoded("a.zip", zipped({"chay.exe": MZ})), "executable-content")
    yield Case("uuencode-cte", letter(multipart(text_part(), part(
        uuencoded("chay.exe", MZ), "Content-Type: application/octet-stream", encoding="x-uuencode"))), "executable-content")  # fmt: skip
    yield Case(
        "yenc", head() + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + yencoded("chay.exe", MZ), "executable-content"
    )
    yield Case("preamble-uu", letter(multipart(text_part(), before=uuencoded("chay.exe", MZ))), "executable-content")
    yield Case("epilogue-uu", letter(multipart(text_part(), after=uuencoded("chay.exe", MZ))), "executable-content")
    yield Case("preamble-part", letter(multipart(text_part(), before=b"--x\r\n" + bad + b"\r\n")), "executable-content")
    yield Case(
        "epilogue-part",
        letter(multipart(text_part(), after=b"--=_bd\r\n" + bad + b"\r\n--=_bd--\r\n")),
        "executable-content",
    )
    yield Case("preamble-base64", letter(multipart(text_part(), before=b64(MZ))), "executable-content")
    yield Case("text-plain-mz", letter(multipart(part(MZ, "Content-Type: text/plain"))), "executable-content")
    yield Case(
        "text-html-mz", letter(multipart(text_part(), part(MZ, "Content-Type: text/html"))), "executable-content"
    )
    yield Case(
        "described",
        letter(
            multipart(text_part(), part(b"x", "Content-Type: application/octet-stream", "Content-Description: mo.js"))
        ),
        "executable-name",
    )
    yield Case("no-type", letter(multipart(text_part(), part(MZ))), "executable-content")
    yield Case("whole-letter", head() + part(MZ, "Content-Type: application/octet-stream"), "executable-content")
    yield Case("whole-letter-named", head() + file_part("chay.exe", b"x"), "executable-name")
    yield Case(
        "inline", letter(multipart(text_part(), file_part("chay.exe", MZ, disposition="inline"))), "executable-name"
    )
    yield Case("unclosed", letter(multipart(text_part(), bad))[:-12], "executable-content")
    yield Case(
        "boundary-space",
        letter(multipart(text_part(), bad)).replace(b"--=_bd\r\n", b"--=_bd \t \r\n"),
        "executable-content",
    )
    yield Case(
        "bare-lf",
        letter(multipart(text_part(), bad).replace(b'.exe"\r\nContent-Transfer', b'.exe"\nContent-Transfer')),
        "executable-name",
    )
    yield Case("no-boundary", letter(multipart(text_part(), bad).replace(b'; boundary="=_bd"', b"", 1)))
    yield Case("two-types", head() + b"Content-Type: text/plain\r\n" + multipart(text_part(), bad), "ambiguous")
    yield Case(
        "two-types-2",
        head() + multipart(text_part(), bad).replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n\r\n", 1),
        "ambiguous",
    )
    yield Case(
        "two-boundaries",
        head() + b'Content-Type: multipart/mixed; boundary="other"\r\n' + multipart(text_part(), bad),
        "ambiguous",
    )
    yield Case("two-encodings", letter(multipart(text_part(), part(
        MZ, "Content-Type: application/octet-stream", "Content-Transfer-Encoding: 7bit"))), "ambiguous")  # fmt: skip
    yield Case("junk-base64", letter(multipart(text_part(), bad.replace(b"AAAA", b"A.A*A!A", 3))), "executable-content")
    yield Case(
        "base64-upper",
        letter(multipart(text_part(), part(MZ, "Content-Type: x/y", encoding="BASE64"))),
        "executable-content",
    )
    yield Case(
        "base64-unknown",
        letter(multipart(text_part(), part(b64(MZ), "Content-Type: application/pdf", encoding="base-64"))),
        "executable-content",
    )
    yield Case(
        "base64-undeclared",
        letter(multipart(text_part(), part(b64(MZ), 'Content-Type: application/pdf; name="a.pdf"', encoding="7bit"))),
        "executable-content",
    )
    yield Case("quoted-printable", letter(multipart(text_part(), part(
        b"MZ=90=00=03" + b"=00" * 60, "Content-Type: application/pdf", encoding="quoted-printable"))), "executable-content")  # fmt: skip
    for depth in (21, 60, 200):
        body = nameless
        for level in range(depth):
            body = multipart(body, boundary=f"b{level}")
        yield Case(f"deep-{depth}", letter(body))
    yield Case("many-parts", letter(multipart(*[part(b"x", "Content-Type: text/plain")] * 1200)), "mime-bound")
    yield Case(
        "partial", head() + b'Content-Type: message/partial; id="a"; number=1; total=2\r\n\r\n' + bad, "fragment"
    )
    yield Case(
        "partial-inner",
        letter(multipart(text_part(), b'Content-Type: message/partial; id="a"; number=2\r\n\r\nx')),
        "fragment",
    )
    yield Case(
        "external",
        letter(
            multipart(
                text_part(),
                b'Content-Type: message/external-body; access-type=URL; URL="http://x.example/a.exe"\r\n\r\nContent-Type: application/octet-stream\r\n\r\n',
            )
        ),
        "external-body",
    )
    yield Case(
        "forwarded",
        letter(multipart(text_part(), b"Content-Type: message/rfc822\r\n\r\n" + inner)),
        "executable-content",
    )
    yield Case(
        "forwarded-base64",
        letter(multipart(text_part(), part(inner, "Content-Type: message/rfc822"))),
        "executable-content",
    )
    twice = letter(multipart(text_part(), b"Content-Type: message/rfc822\r\n\r\n" + inner, boundary="mid"))
    yield Case(
        "forwarded-twice",
        letter(multipart(text_part(), b"Content-Type: message/rfc822\r\n\r\n" + twice)),
        "executable-content",
    )
    yield Case("forwarded-digest", letter(multipart(b"\r\n" + inner, kind="digest")), "executable-content")
    yield Case(
        "forwarded-zip",
        letter(
            multipart(
                text_part(),
                b"Content-Type: message/rfc822\r\n\r\n"
                + attached("a.zip", zipped({"mo.js": b"x"})).replace(b"=_bd", b"=_in"),
            )
        ),
        "executable-name",
    )
    yield Case(
        "report",
        letter(multipart(text_part(), b"Content-Type: message/rfc822\r\n\r\n" + inner, kind="report")),
        "executable-content",
    )
    yield Case("alternative", letter(multipart(text_part(), bad, kind="alternative")), "executable-content")
    yield Case(
        "related",
        letter(multipart(text_part(), part(MZ, "Content-Type: image/png", "Content-ID: <a>"), kind="related")),
        "executable-content",
    )
    yield Case(
        "signed",
        letter(
            multipart(
                multipart(text_part(), bad, boundary="in"),
                part(archives.cms(2, None), "Content-Type: application/pkcs7-signature; name=smime.p7s"),
                kind="signed",
            )
        ),
        "executable-content",
    )
    yield Case(
        "calendar-mz", letter(multipart(text_part(), part(MZ, "Content-Type: text/calendar"))), "executable-content"
    )
    yield Case("html-script", attached("trang.html", b"<html><script>x()</script></html>", "text/html"), "html-active")
    yield Case(
        "svg-script", attached("anh.svg", b'<svg xmlns="x"><script>x()</script></svg>', "image/svg+xml"), "html-active"
    )
    for name in ("congvan.doc", "bang.xls", "giaymoi.pdf"):
        yield Case(f"html-as-{name}", attached(name, b"<html><script>x()</script></html>"), "html-active")


def every_kind() -> Iterator[Case]:
    for make in (
        by_name,
        by_content,
        by_type,
        by_disguise,
        by_parameter,
        in_containers,
        crooked_archives,
        documents,
        structures,
    ):
        yield from make()
