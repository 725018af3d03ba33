"""Letters that must be accepted, with both sets of formats in force: a false alarm is as bad as a miss."""

# ruff: noqa: E501 - a letter is one line
from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from tests.corpus.attachments import archives, files
from tests.corpus.attachments.files import DOCUMENTS, EXTENDED, TEXT, zipped
from tests.corpus.attachments.letters import (
    Case,
    attached,
    b64,
    file_part,
    head,
    letter,
    many,
    multipart,
    part,
    text_part,
)

_NAMES = (
    "Công văn số 12.2026 về việc báo cáo.{}", "BÁO CÁO THÁNG 10.{}", "van ban (ban cuoi) [1].{}", "a.b.c.{}",
    "Quyết định 82-2009-QĐ-UBND.signed.{}", "tờ trình & dự thảo; lần 2.{}", "50% kế hoạch.{}", "file.exe.{}",
    "danh sách_đại biểu.com.vn.{}", "x.{}", "Phụ lục 1.js.{}", "công\u00a0văn.{}", "ký hiệu №5.{}",
)  # fmt: skip
_DECOMPOSED = "Ba\u0301o ca\u0301o.{}"


def documents() -> Iterator[Case]:
    for name, octets in {**DOCUMENTS, **EXTENDED}.items():
        yield Case(f"plain-{name}", attached(name, octets))
        yield Case(f"upper-{name}", attached(name.upper(), octets))
        yield Case(f"zip-{name}", attached("hồ sơ.zip", zipped({f"thư mục/{name}": octets})))
        yield Case(f"zip-stored-{name}", attached("a.zip", zipped({name: octets}, 0)))
        yield Case(f"zip-zip-{name}", attached("a.zip", zipped({"b.zip": zipped({name: octets})})))
        yield Case(f"gz-{name}", attached(f"{name}.gz", archives.gz(octets, name)))
        yield Case(f"tar-{name}", attached("a.tar", archives.tar({name: octets})))
        yield Case(f"tgz-{name}", attached("a.tar.gz", archives.gz(archives.tar({f"./d/{name}": octets}))))
        yield Case(f"tnef-{name}", attached("winmail.dat", archives.tnef({name: octets}), "application/ms-tnef"))
        yield Case(
            f"forwarded-{name}",
            letter(
                multipart(
                    text_part(),
                    b"Content-Type: message/rfc822\r\n\r\n" + attached(name, octets).replace(b"=_bd", b"=_in"),
                )
            ),
        )
        yield Case(
            f"no-name-{name}", letter(multipart(text_part(), part(octets, "Content-Type: application/octet-stream")))
        )
        yield Case(f"empty-{name}", attached(name, b""))
    yield Case("all-at-once", many({**DOCUMENTS, **EXTENDED}))


def names() -> Iterator[Case]:
    for number, pattern in enumerate((*_NAMES, _DECOMPOSED)):
        for extension, octets in (
            ("pdf", files.pdf()),
            ("docx", files.ooxml("docx")),
            ("doc", files.doc()),
            ("txt", TEXT),
        ):
            name = pattern.format(extension)
            yield Case(f"name-raw-{number}-{extension}", attached(name, octets))
            yield Case(
                f"name-2231-{number}-{extension}",
                letter(
                    multipart(
                        text_part(),
                        part(
                            octets,
                            "Content-Type: application/octet-stream",
                            f"Content-Disposition: attachment; filename*=utf-8''{quote(name)}",
                        ),
                    )
                ),
            )
            word = b64(name.encode()).decode().replace("\r\n", "")
            yield Case(f"name-2047-{number}-{extension}", letter(multipart(text_part(), part(
                octets, f'Content-Type: application/octet-stream; name="=?UTF-8?B?{word}?="',
                f'Content-Disposition: attachment; filename="=?UTF-8?B?{word}?="'))))  # fmt: skip
            third = quote(name)
            cut = max(i for i in range(len(third) // 2) if "%" not in third[max(0, i - 2) : i])
            yield Case(f"name-parts-{number}-{extension}", letter(multipart(text_part(), part(
                octets, "Content-Type: application/octet-stream",
                f"Content-Disposition: attachment;\r\n filename*0*=utf-8''{third[:cut]};\r\n filename*1*={third[cut:]}"))))  # fmt: skip
            if not name.startswith("a.b"):
                yield Case(f"name-zip-{number}-{extension}", attached("a.zip", zipped({name: octets})))


def structures() -> Iterator[Case]:
    html = "<html><body><p>Kính gửi</p><img src=cid:logo></body></html>".encode()
    html_part = part(html, "Content-Type: text/html; charset=utf-8")
    both = multipart(text_part(), html_part, kind="alternative", boundary="alt")
    for kind, octets in (("png", files.png()), ("jpeg", files.JPEG), ("gif", files.GIF), ("bmp", files.BMP)):
        picture = part(octets, f"Content-Type: image/{kind}; name=image001.{kind}", "Content-ID: <logo>")
        yield Case(f"related-{kind}", letter(multipart(both, picture, kind="related")))
        bare = part(octets, f"Content-Type: image/{kind}", "Content-ID: <logo>", "Content-Disposition: inline")
        yield Case(f"related-no-name-{kind}", letter(multipart(multipart(both, bare, kind="related", boundary="r"),
                                                               file_part("a.pdf", files.pdf()))))  # fmt: skip
    yield Case("plain", head() + b"\r\nKinh gui\r\n")
    yield Case("plain-long", head() + b"\r\n" + TEXT * 500)
    yield Case(
        "plain-8bit",
        head() + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + TEXT,
    )
    yield Case(
        "begin-in-text", head() + b"\r\nWe begin 644 people at once\r\nbegin here\r\nbegin 2026 with joy\r\nend\r\n"
    )
    yield Case("hash-bang-text", head() + b"\r\n#!/bin/sh is how a script begins\r\n")
    yield Case("mz-text", attached("ghi chu.txt", "MZ là hai chữ cái đầu của tệp thực thi trên Windows.\r\n".encode()))
    yield Case("bm-text", attached("a.txt", b"BM, BZh, PK, CWS and FWS are magic numbers. Nothing more.\r\n"))
    yield Case("html", head() + part(html, "Content-Type: text/html; charset=utf-8"))
    yield Case(
        "html-script-body", letter(part(b"<html><script>x()</script></html>", "Content-Type: text/html")), "html-active"
    )
    yield Case("alternative", letter(both))
    calendar = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    invitation = part(calendar, "Content-Type: text/calendar; charset=utf-8; method=REQUEST")
    yield Case("invitation", letter(multipart(text_part(), html_part, invitation, kind="alternative")))
    yield Case(
        "invitation-file",
        letter(
            multipart(
                text_part(),
                part(
                    calendar,
                    "Content-Type: application/ics; name=invite.ics",
                    "Content-Disposition: attachment; filename=invite.ics",
                ),
            )
        ),
    )
    yield Case("invitation-octets", attached("invite.ics", calendar))
    card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Minh\r\nEND:VCARD\r\n"
    yield Case("vcard", attached("minh.vcf", card, "text/vcard"))
    yield Case("vcard-octets", attached("minh.vcf", card))
    signature = part(
        archives.cms(2, None),
        "Content-Type: application/pkcs7-signature; name=smime.p7s",
        "Content-Disposition: attachment; filename=smime.p7s",
    )
    for name, octets in (("a.pdf", files.pdf()), ("a.docx", files.ooxml("docx"))):
        content = multipart(text_part(), file_part(name, octets), boundary="in")
        yield Case(f"signed-{name}", letter(multipart(content, signature, kind="signed", more="; micalg=sha-256")))
        opaque = archives.cms(2, multipart(text_part(), file_part(name, octets)))
        yield Case(
            f"opaque-{name}",
            head() + part(opaque, "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m"),
        )
    yield Case(
        "enveloped",
        head()
        + part(
            archives.cms(3, None),
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m",
            "Content-Disposition: attachment; filename=smime.p7m",
        ),
        "encrypted-letter",
    )
    armour = b"-----BEGIN PGP SIGNATURE-----\r\n\r\niQEz\r\n-----END PGP SIGNATURE-----\r\n"
    pgp = part(armour, "Content-Type: application/pgp-signature; name=signature.asc", encoding="7bit")
    yield Case("pgp-signed", letter(multipart(text_part(), pgp, kind="signed")))
    secret = part(
        armour.replace(b"SIGNATURE", b"MESSAGE"),
        "Content-Type: application/octet-stream; name=encrypted.asc",
        encoding="7bit",
    )
    control = part(b"Version: 1\r\n", "Content-Type: application/pgp-encrypted", encoding="7bit")
    yield Case("pgp-encrypted", letter(multipart(control, secret, kind="encrypted")), "encrypted-letter")
    yield Case(
        "pgp-key", attached("0x1234.asc", armour.replace(b"SIGNATURE", b"PUBLIC KEY BLOCK"), "application/pgp-keys")
    )
    status = part(
        b"Reporting-MTA: dns; a.example\r\n\r\nAction: failed\r\n", "Content-Type: message/delivery-status", encoding=""
    )
    yield Case(
        "dsn",
        letter(
            multipart(
                text_part(),
                status,
                b"Content-Type: message/rfc822\r\n\r\n" + attached("a.pdf", files.pdf()).replace(b"=_bd", b"=_in"),
                kind="report",
            )
        ),
    )
    yield Case(
        "dsn-headers",
        letter(
            multipart(
                text_part(),
                status,
                part(b"From: a@b.example\r\n", "Content-Type: text/rfc822-headers", encoding=""),
                kind="report",
            )
        ),
    )
    yield Case(
        "receipt",
        letter(
            multipart(
                text_part(),
                part(b"Disposition: x; displayed\r\n", "Content-Type: message/disposition-notification", encoding=""),
                kind="report",
            )
        ),
    )
    yield Case(
        "forwarded",
        letter(
            multipart(text_part(), b'Content-Type: message/rfc822; name="Thu.eml"\r\n\r\n' + head() + b"\r\nabc\r\n")
        ),
    )
    yield Case(
        "digest", letter(multipart(b"\r\n" + head() + b"\r\na\r\n", b"\r\n" + head() + b"\r\nb\r\n", kind="digest"))
    )
    yield Case(
        "exchange",
        letter(
            multipart(
                text_part(),
                file_part("a.pdf", files.pdf()),
                part(
                    b"<html><body></body></html>",
                    "Content-Type: text/html; name=ATT00001.htm",
                    "Content-Disposition: inline; filename=ATT00001.htm",
                ),
            )
        ),
    )
    yield Case(
        "list-footer",
        letter(
            multipart(
                text_part(), part(b"_____\r\nDanh sach\r\n", "Content-Type: text/plain", "Content-Disposition: inline")
            )
        ),
    )
    yield Case("preamble", letter(multipart(text_part(), before=b"This is a multi-part message in MIME format.\r\n")))
    yield Case(
        "mac-zip",
        attached(
            "a.zip",
            zipped(
                {
                    "a.pdf": files.pdf(),
                    "__MACOSX/._a.pdf": b"\0\x05\x16\x07\0\2\0\0Mac OS X" + bytes(60),
                    ".DS_Store": b"\0\0\0\1Bud1" + bytes(60),
                }
            ),
        ),
    )
    yield Case("folder-zip", attached("a.zip", zipped({"hồ sơ/": b"", "hồ sơ/a.pdf": files.pdf()})))
    yield Case("zip-of-repeats", attached("a.zip", zipped({"so lieu.csv": b"0,0,0,0\r\n" * 100_000})))
    yield Case("many-files", attached("a.zip", zipped({f"{i}.txt": TEXT for i in range(800)})))
    yield Case("long-csv", attached("a.csv", "số,tên,-1|2,@ghi chú\r\n".encode() * 5000))
    yield Case("tnef-letter", attached("winmail.dat", archives.tnef_object(archives.tnef({"a.pdf": files.pdf()}))))
    yield Case(
        "tnef-object",
        attached(
            "winmail.dat",
            archives.tnef_object(files.compound({"CONTENTS": files.JPEG}), "Picture (Device Independent Bitmap)"),
        ),
    )
    yield Case("letter-as-txt", attached("thu.txt", attached("a.pdf", files.pdf())))
    yield Case("vps-text", attached("congvan.txt", b"C\xf4ng v\xe5n \x13 s\xaf 12 nh\x10 v\xe5n ph\xf6ng\r\n" * 9))
    yield Case("old-text", attached("congvan.txt", "C«ng v¨n sè 12".encode("latin-1") * 30))
    yield Case("viscii-text", attached("congvan.txt", b"C\xf4ng v\xe5n \x02\x05\x06 s\xaf 12\r\n" * 9))
    yield Case("utf16-text", attached("congvan.txt", "\ufeffCông văn".encode("utf-16-le")))
    yield Case("rtf-as-doc", attached("congvan.doc", files.RTF))


def harmless_documents() -> Iterator[Case]:
    workbook = {"word/embeddings/Microsoft_Excel_Sheet1.xlsx": files.ooxml("xlsx"), "word/charts/chart1.xml": b"<c/>"}
    yield Case("docx-chart", attached("a.docx", files.ooxml("docx", workbook)))
    equation = files.compound({"Equation Native": bytes(100), "\x01CompObj": bytes(50), "\x01Ole": bytes(20)})
    yield Case("docx-equation", attached("a.docx", files.ooxml("docx", {"word/embeddings/oleObject1.bin": equation})))
    links = (
        b'<Relationships><Relationship Id="r1" Type="x/hyperlink" Target="https://binhduong.gov.vn/" TargetMode="External"/>'
        b'<Relationship Id="r2" Type="x/attachedTemplate" Target="file:///C:/Users/a/Normal.dotm" TargetMode="External"/></Relationships>'
    )
    yield Case("docx-links", attached("a.docx", files.ooxml("docx", {"word/_rels/document.xml.rels": links})))
    yield Case(
        "docx-printer", attached("a.xlsx", files.ooxml("xlsx", {"xl/printerSettings/printerSettings1.bin": bytes(900)}))
    )
    yield Case(
        "odt-basic-index",
        attached("a.odt", files.odf("odt", {"Basic/script-lc.xml": b"<x/>", "Basic/Standard/script-lb.xml": b"<x/>"})),
    )
    yield Case(
        "ods-object",
        attached(
            "a.ods", files.odf("ods", {"Object 1/content.xml": b"<x/>", "ObjectReplacements/Object 1": b"VCLMTF"})
        ),
    )
    yield Case(
        "doc-object",
        attached("a.doc", files.doc({"ObjectPool/_1/\x01Ole10Native": files.native("bang.xlsx", files.ooxml("xlsx"))})),
    )
    yield Case(
        "rtf-picture", attached("a.rtf", files.RTF[:-1] + rb"{\pict\pngblip " + files.png().hex().encode() + b"}}")
    )
    yield Case(
        "pdf-links",
        attached(
            "a.pdf",
            files.pdf(
                b"9 0 obj<</S/GoTo/D[3 0 R/Fit]>>endobj\n10 0 obj<</S/URI/URI(https://a.example/?q=/JavaScripting)>>endobj\n"
            ),
        ),
    )
    yield Case("pdf-form", attached("a.pdf", files.pdf(catalog=b"/AcroForm<</Fields[]/NeedAppearances true>>/AA<<>>")))
    noise = bytes((i * 7919 >> 3) & 255 for i in range(60_000)) + b"/JS /Launch "
    image = (
        b"9 0 obj<</Subtype/Image/Filter/DCTDecode/Length %d>>\nstream\n" % len(noise)
        + noise
        + b"\nendstream\nendobj\n"
    )
    yield Case("pdf-image", attached("a.pdf", files.pdf(image)))
    yield Case("pdf-revisions", attached("a.pdf", files.pdf() + files.pdf()[9:]))
    yield Case("pdf-trailing", attached("a.pdf", files.pdf() + bytes(512)))


def every_kind() -> Iterator[Case]:
    for make in (documents, names, structures, harmless_documents):
        yield from make()
