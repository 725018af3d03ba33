"""restic on another machine: by SFTP to a real OpenSSH server, by S3 to a server of PyPI, both on loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.interop.fixtures.account import Account, needs
from tests.interop.test_backup import lose_and_restore, send
from tests.site import SiteUnderTest

pytestmark = [pytest.mark.interop, needs("restic")]
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < end, f"nothing answers on {port}"
            time.sleep(0.05)


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An SSH server of its own: host key, authorized key, a port above 1024; what it needs in [backup]."""
    if SSHD is None:
        pytest.skip("sshd is not installed; scripts/interop installs it")
    where = tmp_path / "ssh"
    where.mkdir(mode=0o700)
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", where / name], check=True)
    (where / "authorized_keys").write_text((where / "client.pub").read_text())
    port = free_port()
    (where / "known_hosts").write_text(f"[127.0.0.1]:{port} {(where / 'host.pub').read_text()}")
    (where / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {where}/host\nAuthorizedKeysFile {where}/authorized_keys\n"
        f"PidFile {where}/pid\nUsePAM no\nPasswordAuthentication no\nStrictModes no\nPermitRootLogin yes\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", where / "sshd_config"], stderr=(where / "log").open("wb"))
    try:
        await_port(port, server)
        ssh = f"ssh -i {where}/client -p {port} -o UserKnownHostsFile={where}/known_hosts 127.0.0.1 -s sftp"
        yield {
            "restic_repository": f'"sftp:127.0.0.1:{tmp_path}/remote"', "restic_options": f'["sftp.command={ssh}"]',
        }  # fmt: skip
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An S3 server, and what it needs in [backup]."""
    if find_spec("moto") is None:
        pytest.skip("moto[server] is not installed; scripts/interop installs it")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    (tmp_path / "restic.env").write_text(
        "# for restic\nAWS_ACCESS_KEY_ID=bdmta\nAWS_SECRET_ACCESS_KEY=mot-hai-ba-bon\n"
    )
    try:
        await_port(port, server)
        yield {
            "restic_repository": f'"s3:http://127.0.0.1:{port}/backup"',
            "restic_environment_file": f'"{tmp_path}/restic.env"',
        }  # fmt: skip
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.parametrize("way", ["sftp", "s3"])
def test_backups_elsewhere(own_site, tmp_path: Path, request: pytest.FixtureRequest, way: str) -> None:
    """Taken, verified, drilled; one letter comes back; the site is lost and comes back."""
    (tmp_path / "restic.password").write_text("mot hai ba bon\n")
    settings = {
        "kind": '"restic"', "restic_password_file": f'"{tmp_path}/restic.password"', "schedule": '""',
        **request.getfixturevalue(way),
    }  # fmt: skip
    site: SiteUnderTest = own_site({"dns": {"servers": "[]"}, "backup": settings})
    site.start()
    home = tmp_path / "home"
    home.mkdir()
    account = Account(site, "minhnv", home)
    for number in range(5):
        send(site, f"From: a@x.example\r\nSubject: thu {number}\r\nMessage-ID: <m{number}@x>\r\n\r\n{number}\r\n")
    site.wait_for(lambda: len(site.letters("minhnv")) == 5)
    first = json.loads(site.run("backup", "run", "--json").stdout)
    assert first["letters"] == 5 and not first["problems"]
    with account.imap() as client:
        client.select("INBOX")
        client.store("2", "+FLAGS", "(\\Deleted)")
        client.expunge()
    second = json.loads(site.run("backup", "run", "--json").stdout)
    assert [row["id"] for row in site.json("backup", "list")] == [first["id"], second["id"]]
    assert site.run("backup", "verify").stdout.count("good") == 2
    assert "4 letters of 1 mailboxes" in site.run("backup", "drill").stdout
    done = json.loads(site.run("backup", "restore", "--message-id", "<m1@x>", "--json").stdout)
    assert (done["restored"], done["backup"]) == (1, first["id"])
    assert site.stop() == 0
    lose_and_restore(site, tmp_path)
    site.start()
    assert {name: account.subjects()[name] for name in account.subjects()}.keys() == {f"thu {n}" for n in (0, 2, 3, 4)}


@pytest.mark.parametrize("said", ["nothing listens", "a wrong password"])
def test_what_is_wrong_is_one_line(own_site, tmp_path: Path, request: pytest.FixtureRequest, said: str) -> None:
    (tmp_path / "restic.password").write_text("mot hai ba bon\n")
    settings = {"kind": '"restic"', "restic_password_file": f'"{tmp_path}/restic.password"', "schedule": '""'}
    if said == "nothing listens":
        settings |= {
            "restic_repository": f'"sftp:127.0.0.1:{tmp_path}/remote"',
            "restic_options": f'["sftp.command=ssh -p {free_port()} 127.0.0.1 -s sftp"]',
        }  # fmt: skip
    else:
        settings |= request.getfixturevalue("sftp")
    site = own_site({"dns": {"servers": "[]"}, "backup": settings})
    if said != "nothing listens":
        site.run("backup", "run")
        (tmp_path / "restic.password").write_text("sai\n")
    failed = site.run("backup", "run", check=False)
    assert failed.returncode == 1 and failed.stderr.startswith("bdmta: restic") and failed.stderr.count("\n") == 1
