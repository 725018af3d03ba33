"""The command line: one line on stderr, the right exit code, a quick start; check and status."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from bdmta import __version__
from bdmta.cli import COMMANDS, GROUPS, build, run, take_config
from bdmta.cli.context import read_password
from bdmta.errors import ConfigError, UsageError
from bdmta.setup.certificate import make_authority, make_server_certificate
from bdmta.setup.certificate_check import examine_certificate
from bdmta.setup.create import Wish, create_site
from bdmta.setup.inspection import can_enter, inspect
from bdmta.setup.published import inspect_dns
from bdmta.site import Site, find_config
from bdmta.testing.clock import FakeClock
from tests.unit.bdmta.free_ports import free_base_port

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return create_site(
        Wish(folder=str(tmp_path / "s"), domains=("test.local",), base_port=free_base_port()), FakeClock()
    )[0]


def states(site: Site, check: str) -> list[str]:
    return [finding.state for finding in inspect(site, FakeClock()) if finding.check == check]


def set_key(site: Site, table: str, line: str) -> Site:
    text = Path(site.config_path).read_text()
    Path(site.config_path).write_text(text.replace(f"[{table}]\n", f"[{table}]\n{line}\n", 1))
    return Site.open(site.config_path)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from bdmta.cli import run; code = run(sys.argv[1:]);"
        "heavy = {'pydantic', 'cryptography', 'aiosmtpd', 'uvloop', 'argon2', 'dns'} & set(sys.modules);"
        "sys.exit(code or (f'heavy: {heavy}' if heavy else 0))"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    assert "bdmta" in done.stdout


def test_every_command_that_exists_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for name in ("init", "check", "status"):
        assert name in out
    for name in [*COMMANDS, *GROUPS]:
        build([name])  # imports it, if it is there


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"bdmta {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["--nonsense"], ["init"], ["init", "x", "y"], ["init", "x", "--base-port", "many"], ["-c"],
     ["status", "-c", "/nowhere/bdmta.toml"]],
)  # fmt: skip
def test_a_wrong_call_is_one_line_and_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bdmta: ")
    assert err.count("\n") == 1


def test_what_could_not_be_done_is_one_line_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text("")
    assert run(["init", str(tmp_path)]) == 1
    assert (
        capsys.readouterr().err == f"bdmta: {tmp_path}: is not empty; init writes into an empty or absent folder only\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-c", "F", "mailbox", "list"], ["mailbox", "list"]),
        (["mailbox", "list", "--config", "F", "--json"], ["mailbox", "list", "--json"]),
        (["mailbox", "--config=F", "list"], ["mailbox", "list"]),
    ],
)
def test_the_configuration_may_be_named_anywhere(arguments: list[str], words: list[str]) -> None:
    assert take_config(arguments) == (words, "F")


def test_behind_two_hyphens_nothing_is_an_option() -> None:
    assert take_config(["outage", "--", "-c", "F"]) == (["outage", "--", "-c", "F"], None)


def test_where_the_configuration_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("given", {"BDMTA_CONFIG": "env"}) == "given"
    assert find_config(None, {"BDMTA_CONFIG": "env"}) == "env"
    if not os.path.exists("/etc/bdmta/bdmta.toml"):
        with pytest.raises(ConfigError, match="no configuration"):
            find_config(None, {})
    Path("bdmta.toml").write_text("")
    assert find_config(None, {}) == "bdmta.toml"


def test_no_question_without_a_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from bdmta.cli.context import read_password; read_password(False)"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=PROJECT,
    )  # fmt: skip
    assert "UsageError: a password is needed: give --password-stdin" in done.stderr


def test_a_password_is_the_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, "Mật khẩu 1!\r\nmore\n".encode())
    os.close(write_end)
    with os.fdopen(read_end) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert read_password(True) == "Mật khẩu 1!"


def test_an_empty_password_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(UsageError, match="empty"):
            read_password(True)


def test_check_passes_and_then_fails(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "-c", site.config_path]) == 0
    assert "ok    certificate: " in capsys.readouterr().out
    os.chmod(site.config.tls.key, 0o644)
    assert run(["check", "-c", site.config_path, "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is False
    assert [one["detail"] for one in printed["results"] if one["state"] == "fail"] == [
        f"{site.config.tls.key} can be reached by everybody (mode 0644); chmod o= it"
    ]


def test_a_port_that_is_taken_is_named(site: Site) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        taken = set_key(site, "listen", "").config_path
        Path(taken).write_text(f'[mail]\ndomains = ["test.local"]\n[[listener]]\nport = {port}\n')
        found = [one for one in inspect(Site.open(taken), FakeClock()) if one.check == "ports"]
    assert [one.state for one in found] == ["fail"]
    assert f"port {port}" in found[0].detail


def test_little_room_is_told(site: Site) -> None:
    assert states(set_key(site, "mail", f"reserve_octets = {2**52}"), "disk") == ["fail"]


def test_an_account_that_does_not_exist_is_told(site: Site) -> None:
    assert states(set_key(site, "server", 'user = "no-such-account"'), "account") == ["fail"]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to another account")
def test_whocan_enter_a_folder(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)

    def enters(uid: int, gid: int) -> bool:
        return can_enter(str(inner), uid, frozenset({gid}), below=str(tmp_path))

    for folder, mode in ((inner, 0o700), (inner.parent, 0o710)):
        os.chown(folder, 65534, 65533)
        os.chmod(folder, mode)
    assert enters(65534, 1)
    assert not enters(65532, 65533)
    os.chmod(inner, 0o750)
    assert enters(65532, 65533)
    assert not enters(65532, 65531)
    os.chmod(inner.parent, 0o600)
    assert not enters(65534, 1)


def test_a_long_run_dir_is_told(site: Site) -> None:
    assert states(set_key(site, "server", f'run_dir = "{"x" * 120}"'), "folders") == ["fail"]


def test_a_broken_chain_is_told(site: Site) -> None:
    Path(site.config.policies.file).write_text('[[policy]]\nuse = "policies.nonsense"\n')
    assert states(site, "policies") == ["fail"]


def _pair(tmp_path: Path, names: list[str], clock: FakeClock) -> tuple[str, str]:
    cert, key = make_server_certificate(make_authority("test.local", clock), names, clock)
    (tmp_path / "cert.pem").write_bytes(cert)
    (tmp_path / "key.pem").write_bytes(key)
    return str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        (timedelta(days=-2), "is not valid before"),
        (timedelta(days=1), "valid until"),
        (timedelta(days=811), "in 14 days"),
        (timedelta(days=900), "expired on"),
    ],
)
def test_the_certificates_time(tmp_path: Path, passed: timedelta, expected: str) -> None:
    clock = FakeClock()
    cert, key = _pair(tmp_path, ["mail.test.local"], clock)
    clock.advance(passed.total_seconds())
    (finding,) = examine_certificate(cert, key, ["mail.test.local"], clock)
    assert expected in finding.detail


def test_the_certificates_names(tmp_path: Path) -> None:
    cert, key = _pair(tmp_path, ["mail.test.local", "*.wan.local"], FakeClock())
    names = ["mail.test.local", "a.wan.local", "a.b.wan.local", "wan.local"]
    wrong = [one.detail for one in examine_certificate(cert, key, names, FakeClock()) if one.state == "fail"]
    assert len(wrong) == 2
    assert "the name a.b.wan.local, only mail.test.local, *.wan.local" in wrong[0]
    assert "the name wan.local" in wrong[1]


def test_the_key_of_another_certificate(tmp_path: Path) -> None:
    cert, _ = _pair(tmp_path, ["mail.test.local"], FakeClock())
    (tmp_path / "other").mkdir()
    _, key = _pair(tmp_path / "other", ["mail.test.local"], FakeClock())
    wrong = [one.detail for one in examine_certificate(cert, key, [], FakeClock()) if one.state == "fail"]
    assert wrong == [f"[tls] key: {key} does not belong to {cert}"]


@pytest.mark.parametrize(("cert", "key"), [(None, b"x"), (b"x", b"x"), (True, None), (True, b"x")])
def test_unreadable_pairs_are_one_finding(tmp_path: Path, cert: bytes | bool | None, key: bytes | None) -> None:
    paths = _pair(tmp_path, ["mail.test.local"], FakeClock())
    for path, octets in zip(paths, (cert, key), strict=True):
        if octets is None:
            os.unlink(path)
        elif isinstance(octets, bytes):
            Path(path).write_bytes(octets)
    assert [one.state for one in examine_certificate(*paths, [], FakeClock()) if one.state == "fail"] == ["fail"]


def test_nobody_is_asked_without_dns_servers(site: Site) -> None:
    assert [one.detail for one in inspect_dns(set_key(site, "dns", "servers = []"))] == [
        "[dns] servers is empty: nothing is asked"
    ]


def test_status_of_a_site_that_rests(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "-c", site.config_path, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["running"] is False
    assert printed["mailboxes"] == {"active": 1}
    assert printed["queue"] == {"letters": 0}
    assert printed["listeners"][0] == {
        "name": "smtp", "protocol": "smtp", "address": "127.0.0.1", "port": site.config.listen.base_port + 25,
        "answers": False,
    }  # fmt: skip
    assert run(["status", "-c", site.config_path]) == 0
    assert "not running" in capsys.readouterr().out


def test_the_parts_of_a_site_are_below_it(site: Site) -> None:
    below = [site.office_socket, site.office_lock, site.ledger_db, site.snapshot_path, *site.folders]
    assert all(path == site.config_dir or path.startswith(site.config_dir + "/") for path in below)


def test_moved_as_the_guide_says_it_is_the_same_site(site: Site, tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    for name in ("bdmta.toml", "policies.toml", "tls", "dkim"):
        os.rename(f"{site.config_dir}/{name}", etc / name)
    was = Site(site.config, str(etc / "bdmta.toml"))
    moved = set_key(was, "server", f'data_dir = "{site.data_dir}"')
    assert moved.mail_root == site.mail_root
    assert moved.directory_db == site.directory_db
    assert [one for one in inspect(moved, FakeClock()) if one.state == "fail"] == []
