"""Every reading of a name counts (threats: attachment-name evasion, CVE-2024-39929)."""

from __future__ import annotations

import pytest

from bdmta.examine.names import extension, extensions, is_traversal, kept, name_problems, readings, shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.exe", "exe"), ("A.EXE", "exe"), ("a.pdf.exe", "exe"), ("a.exe ", "exe"), (".exe", "exe"), ("exe", ""),
        ("", ""), ("a.", ""), ("a. exe", "exe"),
    ],
)  # fmt: skip
def test_extension(name: str, expected: str) -> None:
    assert extension(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "a.exe.", "a.exe. . ", "a.exe\u3000", "a\u202egpj.scr", "a\uff0eexe", "a.\uff45xe", "a.e\u200bxe", "a%2eexe",
        "a.exe\0.pdf", "a.pdf\0.exe", "a.txt:b.exe", "a.exe::$DATA", "dir/a.exe", "dir\\a.exe", "a.ex|e", "a.exe;",
        "a\u2024bat", "x" * 3000 + ".exe",
    ],
)  # fmt: skip
def test_cve_2024_39929_no_reading_hides_an_executable(name: str) -> None:
    assert "executable-name" in name_problems((name,))


@pytest.mark.parametrize(
    "name",
    ["a.pdf", "a.exe.pdf", "Công văn.doc", "100%.txt", "a b.com.vn.pdf", "exe", "no extension", "a..pdf", "ký №5.odt",
     "a\u200e.pdf", "file.exe-huong-dan.doc"],
)  # fmt: skip
def test_honest_names_have_no_problem(name: str) -> None:
    assert name_problems((name,)) == set()


@pytest.mark.parametrize(
    "name", ["a\u202efdp.txt", "a\0.txt", "a.txt.{3050F4D8-98B5-11CF-BB82-00AA00BDCE0B}", "a\u2066.txt"]
)
def test_disguises_are_problems_of_their_own(name: str) -> None:
    assert "disguised-name" in name_problems((name,))


def test_a_right_to_left_override_is_read_both_ways() -> None:
    assert {"fdp.exe", "pdf"} & set(extensions(("a\u202efdp.exe",))) or "exe" in extensions(("a\u202efdp.exe",))
    assert "exe" in extensions(("a\u202eexe.fdp",))


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "C:\\a", "..\\a", "\\\\host\\a", "a\0b", "~/a"])
def test_cve_2022_27925_traversal(name: str) -> None:
    assert is_traversal(name)


@pytest.mark.parametrize("name", ["a/b", "..a", "a..b/c", "...", "tờ trình: a", "hồ sơ/a.pdf"])
def test_no_traversal(name: str) -> None:
    assert not is_traversal(name)


def test_readings_are_bounded() -> None:
    assert len(readings("a\u202e:%41\0\u2024." * 200)) <= 32


def test_shown_holds_no_control_or_direction_mark() -> None:
    assert shown("a\u202e\r\n\0b.exe") == "a<202E><000D><000A><0000>b.exe"
    assert len(shown("x" * 5000)) <= 121


def test_kept_names_keep_their_end() -> None:
    assert kept(("x" * 4000 + ".exe",))[0].endswith(".exe")
    assert len(kept(("x" * 4000,) * 100)) == 8
