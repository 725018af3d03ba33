"""Root runs the commands of a site whose server is another account: whatever they write is the server's.

Only as root, with an account of the system's that has no login (Debian's `daemon`).
"""

import json
import os
import shutil
import smtplib
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from tests.site import DOMAIN, free_base_port

USER = "daemon"
PROJECT = Path(__file__).parents[2]


def interpreter():
    """A Python that `USER` can run too; this one may be in root's home."""
    site = sysconfig.get_path("purelib")
    found = (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    for python in found:
        words = f"import sys; sys.path.insert(0, {site!r}); import pydantic_core, uvloop"
        try:
            done = subprocess.run([python, "-c", words], capture_output=True, cwd="/", user=USER, group=USER)
        except PermissionError:
            continue
        if done.returncode == 0:
            return python, {**os.environ, "PYTHONPATH": f"{PROJECT}:{site}"}
    pytest.skip(f"there is no Python here that {USER} can run")


@pytest.fixture
def place():
    """Everything below a folder that the other account can enter."""
    if os.geteuid() != 0:
        pytest.skip("for root")
    folder = Path(tempfile.mkdtemp(prefix="bdmta-root."))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


class RootsSite:
    """Laid out as docs/operators.md says: configuration and keys apart, the rest the server's."""

    def __init__(self, place):
        self.python, self.environment = interpreter()
        self.data, self.etc = place / "var", place / "etc"
        self.port = free_base_port()
        self.data.mkdir(mode=0o700)
        shutil.chown(self.data, USER, USER)
        self.etc.mkdir(mode=0o750)
        shutil.chown(self.etc, "root", USER)
        words = ("init", str(self.data), "--domain", DOMAIN, "--base-port", str(self.port))
        self.run(*words, config=False, user=USER, group=USER, extra_groups=[])
        for name in ("bdmta.toml", "policies.toml", "tls", "dkim"):
            shutil.move(self.data / name, self.etc / name)
        text = (self.etc / "bdmta.toml").read_text()
        for key, value in (("data_dir", self.data), ("user", USER), ("servers", None), ("status_page", "off")):
            line = f'{key} = "{value}"' if value else f"{key} = []"
            text = text.replace(next(one for one in text.split("\n") if one.lstrip("# ").startswith(f"{key} =")), line)
        (self.etc / "bdmta.toml").write_text(text)

    def run(self, *words, config=True, stdin="", **more):
        where = ("-c", str(self.etc / "bdmta.toml")) if config else ()
        done = subprocess.run([self.python, "-m", "bdmta", *where, *words], input=stdin, capture_output=True, text=True,
                              cwd="/", env=self.environment, timeout=120, **more)  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def of_root(self, folder=None):
        top = folder or self.data
        return [str(path) for path in (top, *top.rglob("*")) if path.stat().st_uid == 0]

    def serve(self):
        command = [self.python, "-m", "bdmta", "-c", str(self.etc / "bdmta.toml"), "serve", "--workers", "1"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/", env=self.environment,
                                  stderr=(self.etc / "log").open("a"))  # fmt: skip
        assert server.stdout.readline() == "ready\n", (self.etc / "log").read_text()[-3000:]
        return server

    def send(self, number):
        octets = f"From: a@x.example\r\nSubject: s\r\nMessage-ID: <m{number}@x>\r\n\r\nbody {number}\r\n"
        with smtplib.SMTP("127.0.0.1", self.port + 25) as client:
            client.sendmail("a@x.example", [f"minhnv@{DOMAIN}"], octets.encode())


def end(server):
    server.terminate()
    assert server.wait(40) == 0
    server.stdout.close()


@pytest.mark.slow
def test_what_root_writes_is_the_servers(place):
    site = RootsSite(place)
    site.run("mailbox", "add", f"minhnv@{DOMAIN}", "--name", "Minh", "--password-stdin", stdin="Mat-khau-2026\n")
    assert site.of_root() == []
    assert json.loads(site.run("backup", "run", "--json"))["problems"] == []
    server = site.serve()
    try:
        for number in range(3):
            site.send(number)
        row = json.loads(site.run("backup", "run", "--json"))
        assert row["letters"] == 3 and row["problems"] == []
        assert site.run("backup", "verify").count("good") == 2
        assert "3 letters of 1 mailboxes" in site.run("backup", "drill")
        assert json.loads(site.run("backup", "restore", "--message-id", "<m1@x>", "--json"))["restored"] == 1
        assert json.loads(site.run("verify-store", "--json"))["ok"]
        assert site.of_root() == []
        site.send(4)
    finally:
        end(server)
    keys = [path for path in (site.data / "backup-keys").rglob("*") if path.is_file()]
    assert {path.name for path in keys} >= {"ca-key.pem", "password.key"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys)
    for name in ("backup", "backup-keys"):
        shutil.move(site.data / name, place / name)
    shutil.rmtree(site.data)
    shutil.rmtree(site.etc / "tls")
    words = ("backup", "restore", "--from", str(place / "backup"), "--keys", str(place / "backup-keys"))
    assert json.loads(site.run(*words, "--json"))["restored"] == 3
    assert site.of_root() == [] and site.of_root(site.etc / "tls") == []
    server = site.serve()
    try:
        site.send(5)
        assert json.loads(site.run("backup", "run", "--json"))["letters"] == 4
    finally:
        end(server)
    assert site.of_root() == []


@pytest.mark.slow
def test_a_whole_site_restored_by_root_onto_a_folder_is_the_servers(place):
    site = RootsSite(place)
    site.run("backup", "run")
    site.run("backup", "restore", "--from", str(site.data / "backup"), "--keys", str(site.data / "backup-keys"),
             "--onto", str(place / "new"), config=False)  # fmt: skip
    assert site.of_root(place / "new") == []
