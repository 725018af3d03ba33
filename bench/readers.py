"""The servers that are read from, side by side: bdmta and Debian's Dovecot, both by TLS with one certificate.

bdmta takes no password before TLS, so both are measured over it. No quota on Dovecot's side; every login is
`boxNNN@test.local`.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from bench.boxes import fill
from bench.peers import DOMAIN, set_value
from bench.process import anonymous_octets, cpu_s, descendants

ACCOUNTS = 100
_USER_ID = 2000
_PLAIN = """import sys, functools
import bdmta.service.reading as reading
reading.ImapSettings = functools.partial(reading.ImapSettings, plaintext_login=True)
from bdmta.cli import main
sys.argv[0] = "bdmta"
main()
"""


class Reader:
    """A running server of mailboxes: ports, logins, and how to make it forget."""

    name = ""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        self.password: dict[str, str] = {}
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.process: subprocess.Popen[bytes] | None = None
        self.prepare()

    imap_port = imaps_port = pop3s_port = 0

    def prepare(self) -> None:
        """Make the configuration."""
        raise NotImplementedError

    def start(self) -> None:
        """Serve; returns when it answers."""
        raise NotImplementedError

    def maildir(self, number: int) -> Path:
        """The Maildir of account `number`."""
        raise NotImplementedError

    def forget(self) -> None:
        """Remove what the server has noted of the mailboxes, and the page cache of this machine."""
        raise NotImplementedError

    @staticmethod
    def user(number: int) -> str:
        """The login of account `number`."""
        return f"box{number:03d}@{DOMAIN}"

    def fill(self, number: int, count: int, octets: int) -> None:
        """Put `count` letters of `octets` into the INBOX of account `number`."""
        fill(self.maildir(number), count, octets)

    def connect(self, port: int, *, tls: bool = True) -> socket.socket:
        """A connection to one of the ports."""
        sock = socket.create_connection(("127.0.0.1", port), 600)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(sock) if tls else sock

    def wait(self) -> None:
        """Until it greets."""
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process is not None and self.process.poll() is None:
            try:
                with self.connect(self.imaps_port) as sock:
                    if sock.recv(4) == b"* OK":
                        return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{self.name} does not answer on port {self.imaps_port}; see {self.folder}")

    def cpu_s(self) -> float:
        """User and system seconds of all its processes so far."""
        return cpu_s(self.process.pid) if self.process is not None else 0.0

    def anonymous_mb(self) -> float:
        """Anonymous memory of all its processes."""
        return sum(map(anonymous_octets, descendants(self.process.pid))) / 1e6 if self.process is not None else 0.0

    def stop(self) -> None:
        """End it and everything it started."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def _spawn(self, *words: str) -> None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.imaps_port)) == 0:
                raise SystemExit(f"port {self.imaps_port} is taken; choose others with --port")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        self.wait()


class BdmtaReader(Reader):
    """bdmta of this checkout. `plain`: takes passwords before TLS, for the memory of plain sessions."""

    name = "bdmta"
    workers = ""
    plain = False

    def prepare(self) -> None:
        """A site with the accounts; the generated passwords are read from the import's report."""
        self.imap_port, self.imaps_port, self.pop3s_port = self.port + 143, self.port + 993, self.port + 995
        site = self.folder / "site"
        self._command("init", str(site), "--domain", DOMAIN, "--base-port", str(self.port))
        text = (site / "bdmta.toml").read_text()
        for table, key, value in (
            ("mail", "root", f'"{self.folder}/mail"'),
            ("dns", "servers", "[]"),
            ("limits", "trusted_networks", '["127.0.0.0/8"]'),
        ):
            text = set_value(text, table, key, value)
        (site / "bdmta.toml").write_text(text)
        rows = "".join(f"{self.user(n)},Box {n}\n" for n in range(ACCOUNTS))
        (self.folder / "boxes.csv").write_text("address,name\n" + rows)
        report = self.folder / "passwords.csv"
        self._command("import", str(self.folder / "boxes.csv"), "--report", str(report))
        with report.open(newline="") as file:
            self.password = {row["address"]: row["password"] for row in csv.DictReader(file)}

    def _command(self, *words: str) -> None:
        config = [] if words[0] == "init" else ["-c", f"{self.folder}/site/bdmta.toml"]
        done = subprocess.run([sys.executable, "-m", "bdmta", *config, *words], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"bdmta {words[0]}: {done.stderr}")

    def start(self) -> None:
        """`bdmta serve`."""
        program = ["-c", _PLAIN] if self.plain else ["-m", "bdmta"]
        workers = ["--workers", self.workers] if self.workers else []
        self._spawn(sys.executable, *program, "-c", f"{self.folder}/site/bdmta.toml", "serve", *workers)

    def maildir(self, number: int) -> Path:
        """By domain."""
        return self.folder / "mail" / DOMAIN / f"box{number:03d}"

    def forget(self) -> None:
        """The index is a cache; an edge also keeps folders in memory, so it starts anew."""
        self.stop()
        shutil.rmtree(self.folder / "site" / "index", ignore_errors=True)
        drop_page_cache()
        self.start()
        self._settle()

    def _settle(self) -> None:
        """Wait until what starts with the server has started: it would compete with what is measured."""
        for _ in range(40):
            before = self.cpu_s()
            time.sleep(0.5)
            if self.cpu_s() - before < 0.05:
                return


class Dovecot(Reader):
    """Debian's Dovecot in its fast form: login processes are kept (service_count = 0)."""

    name = "dovecot"

    def prepare(self) -> None:
        """Static passwords: its logins cost nothing, which is why LOGIN is a row apart."""
        self.imap_port, self.imaps_port, self.pop3s_port = self.port + 143, self.port + 993, self.port + 995
        self.password = {self.user(n): "x" for n in range(ACCOUNTS)}
        mail = self.folder / "mail"
        mail.mkdir()
        os.chown(mail, _USER_ID, _USER_ID)
        pem = str(self.folder / "pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9",
             "-subj", "/CN=localhost", "-keyout", pem, "-out", pem],
            check=True, capture_output=True,
        )  # fmt: skip
        conf = _DOVECOT.format(folder=self.folder, port=self.port, uid=_USER_ID, imap=self.imap_port,
                               imaps=self.imaps_port, pop3s=self.pop3s_port)  # fmt: skip
        (self.folder / "dovecot.conf").write_text(conf)

    def start(self) -> None:
        """In the foreground."""
        self._spawn("dovecot", "-F", "-c", str(self.folder / "dovecot.conf"))

    def stop(self) -> None:
        """Its processes lead groups of their own: its own command ends them."""
        subprocess.run(["dovecot", "-c", str(self.folder / "dovecot.conf"), "stop"], capture_output=True)
        super().stop()

    def maildir(self, number: int) -> Path:
        """Side by side."""
        return self.folder / "mail" / f"box{number:03d}"

    def fill(self, number: int, count: int, octets: int) -> None:
        """As vmail."""
        super().fill(number, count, octets)
        subprocess.run(["chown", "-R", f"{_USER_ID}:{_USER_ID}", str(self.maildir(number))], check=True)

    def forget(self) -> None:
        """Its sessions end with their connections; only files remain."""
        for found in (self.folder / "mail").rglob("dovecot*index*"):
            found.unlink()
        drop_page_cache()


def drop_page_cache() -> None:
    """Of this machine; a host below may still hold the data."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


_DOVECOT = """base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
instance_name = bench{port}
protocols = imap pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/pem
ssl_key = <{folder}/pem
ssl_dh =
disable_plaintext_auth = no
first_valid_uid = 1000
auth_mechanisms = plain
auth_username_format = %Ln
mail_location = maildir:{folder}/mail/%n
passdb {{
  driver = static
  args = password=x
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={folder}/home/%n allow_all_users=yes
}}
default_client_limit = 10000
default_process_limit = 2000
default_vsz_limit = 1G
mail_max_userip_connections = 0
service imap-login {{
  service_count = 0
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  service_count = 0
  inet_listener pop3 {{
    port = 0
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 3000
}}
namespace inbox {{
  inbox = yes
}}
"""
