"""A part's name as this and that client reads it (threats: CVE-2024-39929, attachment-name evasion)."""

from __future__ import annotations

import pytest

from bdmta.message import Part, scan


def part_of(*fields: str) -> Part:
    octets = "".join(f"{field}\r\n" for field in fields).encode("utf-8") + b"\r\n"
    return scan(octets).root


@pytest.mark.parametrize(
    ("value", "readings"),
    [
        ('filename="chay.exe"', {"chay.exe"}),
        ("filename=chay.exe", {"chay.exe"}),
        ("FILENAME = chay.exe", {"chay.exe"}),
        ('filename="chay.exe', {"chay.exe"}),
        ("filename=bao cao.exe", {"bao cao.exe", "bao"}),
        ('filename="a.txt".exe', {"a.txt", "a.txt.exe"}),
        ('filename="a\\.e\\xe"', {"a.exe", "a\\.e\\xe"}),
        (r'filename="C:\thu\chay.exe"', {"C:thuchay.exe", r"C:\thu\chay.exe"}),
        ("filename='chay.exe'", {"chay.exe", "'chay.exe'"}),
        ("filename=a(b).exe", {"a(b).exe", "a.exe"}),
        ('(x) filename="a.exe" (y)', {"a.exe"}),
        ('filename*0="congvan.pd"; filename*1="f.exe"', {"congvan.pdf.exe"}),
        ('filename*1="f.exe"; filename*0="congvan.pd"', {"congvan.pdf.exe"}),
        ('filename*0="a"; filename*2=".exe"', {"a.exe", "a"}),
        ('filename*0="a"; filename*0="b"; filename*1=".exe"', {"a.exe", "ab.exe"}),
        ("filename*0*=utf-8''ch%61y; filename*1*=%2Eexe", {"chay.exe"}),
        ("filename*0*=utf-8''ch%61y; filename*1=.exe", {"chay.exe"}),
        ("filename*=utf-8''ch%E1%BA%A1y.exe", {"chạy.exe"}),
        ("filename*=\"utf-8'vi'chay%2Eexe\"", {"chay.exe"}),
        ("filename*=chay%2Eexe", {"chay.exe"}),
        ("filename*=no-such''chay.exe", {"chay.exe"}),
        ("filename*=utf-8''a.exe; filename=b.pdf", {"a.exe", "b.pdf"}),
        ("filename=\"utf-8''chay%2Eexe\"", {"chay.exe"}),
        ('filename="=?utf-8?Q?chay=2Eexe?="', {"chay.exe"}),
        ("filename==?utf-8?B?Y2hheS5leGU=?=", {"chay.exe"}),
        ('filename="=?utf-8?B?Y2hh?= =?utf-8?B?eS5leGU=?="', {"chay.exe"}),
        ('filename="=?utf-8?B?Y2hh?=\r\n =?utf-8?B?eS5leGU=?="', {"chay.exe"}),
        ('filename="=?utf-8?Q?chay dua=2Eexe?="', {"chay dua.exe"}),
        ('filename="=?utf-8?B?Y2hheS5leGU="', {"chay.exe"}),
        ('filename*0="=?utf-8?B?Y2hh?="; filename*1="=?utf-8?B?eS5leGU=?="', {"chay.exe"}),
        ("filename=a.pdf; filename=b.exe", {"a.pdf", "b.exe"}),
        ("name=b.exe", {"b.exe"}),
        ('filename="a.e\r\n xe"', {"a.e xe", "a.exe"}),
        ('filename="a\0.exe"', {"a\0.exe"}),
        ('filename="gpj.\u202eexe"', {"gpj.\u202eexe"}),
        (";;;; filename=a.exe ;;", {"a.exe"}),
        ("junk filename=a.exe", {"a.exe"}),
    ],
)
def test_readings_of_a_name(value: str, readings: set[str]) -> None:
    assert readings <= set(part_of(f"Content-Disposition: attachment; {value}").names)


def test_names_of_every_field_the_disposition_first() -> None:
    part = part_of('Content-Type: application/pdf; name="b.exe"', 'Content-Disposition: inline; filename="a.pdf"')
    assert part.names == ("a.pdf", "b.exe")
    assert part.disposition == "inline"
    assert part.disposition_parameters == {"filename": "a.pdf"}


def test_likeliest_reading_stands_in_the_parameters() -> None:
    part = part_of("Content-Type: a/b; name=\"=?utf-8?Q?b=C3=A1o.pdf?=\"; title*0*=utf-8''%C3%A1; title*1=b")
    assert part.parameters == {"name": "báo.pdf", "title": "áb"}


def test_missing_semicolons_are_read_over() -> None:
    part = part_of("Content-Type: application/pdf name=a.exe charset=utf-8")
    assert (part.media_type, part.parameters["charset"]) == ("application/pdf", "utf-8")
    assert "a.exe" in part.names


def test_a_disposition_without_its_token() -> None:
    part = part_of('Content-Disposition: filename="a.exe"')
    assert (part.disposition, part.names) == ("", ("a.exe",))


def test_the_name_of_a_uuencoded_body_counts() -> None:
    octets = b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 chay.exe\r\n#0V%T\r\n`\r\nend\r\n"
    part = scan(octets).root
    assert part.names == ("chay.exe",)
    assert part.decoded(100) == b"Cat"
