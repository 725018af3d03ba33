"""`bdmta import` and `bdmta mailbox` as typed: exit codes, JSON, the report's mode; a site of its own, no office."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from bdmta.cli import run

D = "binhduong.gov.vn"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "site").mkdir()
    config = tmp_path / "site" / "bdmta.toml"
    config.write_text(f'[mail]\ndomains = ["{D}"]\n\n[server]\ndata_dir = "."\n')
    monkeypatch.setenv("BDMTA_CONFIG", str(config))
    return tmp_path


def test_an_import_with_its_report(site: Path, capsys: pytest.CaptureFixture[str]):
    source, report = site / "a.csv", site / "report.csv"
    source.write_text(f"address,name,alias_of\nlan@{D},Lê Thị Lan,\nl@{D},,lan@{D}\n")
    assert run(["import", str(source), "--dry-run"]) == 0
    assert not report.exists()
    capsys.readouterr()
    assert run(["import", str(source), "--report", str(report), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["mailboxes"], told["aliases"], told["passwords"]) == (True, 1, 1, 1)
    assert os.stat(report).st_mode & 0o777 == 0o600
    first, second = csv.DictReader(report.open())
    assert (first["line"], first["address"], first["result"]) == ("2", f"lan@{D}", "added")
    assert len(first["password"].replace("-", "")) >= 16
    assert second["password"] == ""
    assert run(["mailbox", "show", f"lan@{D}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "Lê Thị Lan"

    assert run(["import", str(source), "--report", str(report)]) == 1
    error = capsys.readouterr().err
    assert f"line 2: lan@{D}: taken, it is the mailbox of Lê Thị Lan" in error
    assert all(not row["password"] for row in csv.DictReader(report.open()))


def test_what_is_wrong_is_one_line_and_its_exit_code(site: Path, capsys: pytest.CaptureFixture[str]):
    (site / "bad.csv").write_text("addres,name\n")
    for words, code, said in (
        (["import", str(site / "bad.csv")], 2, "nearest known is address"),
        (["import", str(site / "absent.csv")], 1, "absent.csv"),
        (["import"], 2, "give one of"),
        (["import", "--mbox", "x"], 2, "--mailbox"),
        (["mailbox", "add", f"a@{D}", "--name", "A", "--quota", "lots"], 2, "not a size"),
        (["mailbox", "show", f"nobody@{D}"], 1, "no such mailbox"),
        (["mailbox", "set", f"nobody@{D}"], 2, "nothing to set"),
        (["mailbox", "add", "a@else.vn", "--name", "A"], 2, "not a domain of this system"),
    ):
        assert run(words) == code, words
        error = capsys.readouterr().err
        assert said in error, words
        assert error.count("\n") == 1


def test_a_password_from_stdin(site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("Mật-khẩu-99\n".encode())))
    assert run(["mailbox", "add", f"a@{D}", "--name", "A", "--password-stdin", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["has_password"] is True
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"short\n")))
    assert run(["mailbox", "password", f"a@{D}", "--password-stdin"]) == 1
    assert "ít nhất 10 ký tự" in capsys.readouterr().err
