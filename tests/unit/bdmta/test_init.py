"""`bdmta init`: a working site, all or nothing."""

from __future__ import annotations

import json
import os
import socket
import ssl
import stat
import threading
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from cryptography import x509

from bdmta.address import is_mailbox_local
from bdmta.cli import run
from bdmta.errors import BdmtaError, ConfigError
from bdmta.setup import create
from bdmta.setup.create import Wish, create_site
from bdmta.setup.dkim import record
from bdmta.setup.inspection import inspect
from bdmta.site import Site
from bdmta.testing.clock import FakeClock
from storage.directory import Directory
from tests.unit.bdmta.free_ports import free_base_port


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, dict[str, str]]:
    folder = tmp_path_factory.mktemp("demo")
    wish = Wish(folder=str(folder), domains=("binhduong.gov.vn",), base_port=free_base_port(), is_demo=True)
    site, accounts = create_site(wish, FakeClock())
    return site, {account.address: account.password for account in accounts}


def test_everything_of_the_interface_is_there(demo: tuple[Site, dict[str, str]]) -> None:
    site, _ = demo
    there = set(os.listdir(site.config_dir))
    assert {"bdmta.toml", "policies.toml", "tls", "dkim", "db", "mail", "queue", "backup"} <= there
    assert Site.open(site.config_path).config == site.config
    assert os.path.exists(f"{site.tls_dir}/ca.pem")


def test_secrets_are_for_the_owner_alone(demo: tuple[Site, dict[str, str]]) -> None:
    site, _ = demo
    for path in (
        site.config.tls.key, f"{site.tls_dir}/ca-key.pem", f"{site.dkim_dir}/bdmta.pem", site.password_key,
        site.directory_db, site.snapshot_path,
    ):  # fmt: skip
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
    for folder in site.folders[1:]:
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700, folder


def _handshake(site: Site, name: str) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(site.config.tls.cert, site.config.tls.key)
    here, there = socket.socketpair()
    with here, there:
        thread = threading.Thread(target=lambda: server.wrap_socket(there, server_side=True).close())
        thread.start()
        try:
            ssl.create_default_context(cafile=f"{site.tls_dir}/ca.pem").wrap_socket(here, server_hostname=name).close()
        finally:
            thread.join()


@pytest.mark.parametrize("name", ["mail.binhduong.gov.vn", "localhost", "127.0.0.1"])
def test_the_authority_vouches_for_the_server_under_each_name(tmp_path: Path, name: str) -> None:
    from bdmta.clock import SystemClock

    site, _ = create_site(Wish(folder=str(tmp_path / "s"), domains=("binhduong.gov.vn",)), SystemClock())
    _handshake(site, name)


def test_the_certificate_is_no_authority_itself(demo: tuple[Site, dict[str, str]]) -> None:
    site, _ = demo
    leaf, authority = x509.load_pem_x509_certificates(Path(site.config.tls.cert).read_bytes())
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days <= 825


def test_the_dkim_record_can_be_published(demo: tuple[Site, dict[str, str]]) -> None:
    site, _ = demo
    text = record(Path(site.dkim_dir, "bdmta.pem").read_bytes())
    assert text.startswith("v=DKIM1; k=rsa; p=MIIBI")
    assert len(text) > 400


def test_the_people_log_in_with_what_was_printed(demo: tuple[Site, dict[str, str]]) -> None:
    from bdmta.directory.passwords import Passwords, load_key

    site, passwords = demo
    assert {"minhnv@binhduong.gov.vn", "khaintm@binhduong.gov.vn", "sotttt@binhduong.gov.vn"} <= set(passwords)
    verifier = Passwords(load_key(site.password_key))
    with Directory.open(site.directory_db, FakeClock(), readonly=True) as directory:
        for address, password in passwords.items():
            kept = directory.mailbox(address).password_hash
            assert kept is not None
            assert password not in kept
            assert verifier.verify(kept, password).ok
            assert not verifier.verify(kept, password[:-1] + ("a" if password[-1] != "a" else "b")).ok


def test_names_are_as_dieu_5_makes_them(demo: tuple[Site, dict[str, str]]) -> None:
    site, passwords = demo
    assert all(is_mailbox_local(address.partition("@")[0]) for address in passwords)
    with Directory.open(site.directory_db, FakeClock(), readonly=True) as directory:
        assert directory.domains() == ("binhduong.gov.vn",)
        assert directory.mailbox("minhnv@binhduong.gov.vn").name == "Nguyễn Văn Minh"
        assert directory.mailbox("minhnv.dian@binhduong.gov.vn").name == "Nguyễn Văn Minh"  # Điều 5.4
        assert directory.mailbox("postmaster@binhduong.gov.vn").password_hash is None  # RFC 2142
        assert directory.targets("vanthu.sotttt@binhduong.gov.vn") == ("sotttt@binhduong.gov.vn",)
        assert directory.mailbox("khaintm@binhduong.gov.vn").quota_octets == site.config.quota.person_octets
        assert directory.mailbox("sonv@binhduong.gov.vn").quota_octets == site.config.quota.agency_octets


def test_vietnamese_letters_lie_in_the_boxes(demo: tuple[Site, dict[str, str]]) -> None:
    site, _ = demo
    letters = [path.read_bytes() for path in Path(site.mail_root).glob("binhduong.gov.vn/*/new/*")]
    assert len(letters) >= 10
    subjects = set()
    for octets in letters:
        assert octets.count(b"\n") == octets.count(b"\r\n")
        letter = message_from_bytes(octets, policy=default)
        subjects.add(str(letter["subject"]))
        assert "Kính gửi" in letter.get_content()
    assert "Giấy mời họp về hộp thư điện tử" in subjects


def test_without_demo_there_is_only_the_postmaster(tmp_path: Path) -> None:
    site, accounts = create_site(Wish(folder=str(tmp_path / "s"), domains=("test.local", "b.local")), FakeClock())
    assert accounts == []
    with Directory.open(site.directory_db, FakeClock(), readonly=True) as directory:
        assert [mailbox.address for mailbox in directory.mailboxes()] == ["postmaster@test.local"]
        assert directory.domains() == ("test.local", "b.local")


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("x")
    with pytest.raises(BdmtaError, match="is not empty"):
        create_site(Wish(folder=str(tmp_path), domains=("test.local",)), FakeClock())
    assert os.listdir(tmp_path) == ["letter"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, exists: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "s"
    if exists:
        folder.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("x")

    def full_disk(*_: object) -> None:
        os.symlink(elsewhere, folder / "link")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(create, "_fill", full_disk)
    with pytest.raises(OSError, match="No space left"):
        create_site(Wish(folder=str(folder), domains=("test.local",)), FakeClock())
    assert folder.exists() is exists
    assert not exists or os.listdir(folder) == []
    assert os.listdir(elsewhere) == ["kept"]


@pytest.mark.parametrize("wish", [{"domains": ("test_local",)}, {"addresses": ("localhost",)}, {"base_port": 64_600}])
def test_a_wish_that_makes_no_configuration_writes_nothing(tmp_path: Path, wish: dict[str, object]) -> None:
    folder = tmp_path / "s"
    with pytest.raises(ConfigError):
        create_site(Wish(**{"folder": str(folder), "domains": ("test.local",), **wish}), FakeClock())  # type: ignore[arg-type]
    assert not folder.exists()


def test_the_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path / "s"), "--domain", "test.local", "--base-port", "22000", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["config"] == str(tmp_path / "s/bdmta.toml")
    ports = {listener["protocol"]: listener["port"] for listener in printed["listeners"]}
    assert (ports["smtp"], ports["submissions"], ports["imaps"]) == (22025, 22465, 22993)
    assert {"protocol": "SMTP", "server": "localhost", "port": 22465, "security": "SSL/TLS"} in printed["connections"]


def test_a_fresh_site_passes_its_own_check(demo: tuple[Site, dict[str, str]]) -> None:
    site, _ = demo
    findings = list(inspect(site, FakeClock()))
    assert [finding for finding in findings if finding.state == "fail"] == []
    assert {"configuration", "policies", "certificate", "folders", "disk", "ports"} <= {f.check for f in findings}
