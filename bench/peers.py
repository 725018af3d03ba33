"""The servers that are measured, each set up in a throw-away folder: Debian's Postfix with virtual(8), and bdmta.

No TLS, no authentication, no lookup in DNS on either side. bdmta runs with its default chain on, and proves it before
anything is timed; Postfix has no policy. 20,000 addresses `<i>u@test.local` lead to 100 mailboxes on both.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import time
from pathlib import Path

from bench.process import anonymous_octets, cpu_s, descendants

ADDRESSES = 20_000
MAILBOXES = 100
GROUP = 1000
DOMAIN = "test.local"
_USER_ID = 2000


class Peer:
    """A running server: `port`, the Maildirs below `root`, the process to account."""

    name = ""
    title = ""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.root = folder / "mail"
        self.port = port
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise SystemExit(f"port {port} is taken; choose another with --port")
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        self.process = self._start()
        self._wait()

    def _start(self) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 2) as sock:
                    if sock.recv(3) == b"220":
                        return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{self.name} does not answer on port {self.port}; see {self.folder}")

    def stop(self) -> None:
        """End it and everything it started."""
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def pids(self) -> list[int]:
        """The first process of each server that is accounted."""
        return [self.process.pid]

    def cpu_s(self) -> float:
        """User and system seconds so far."""
        return sum(map(cpu_s, self.pids()))

    def anonymous_mb(self) -> float:
        """Anonymous memory of all its processes."""
        return sum(anonymous_octets(one) for pid in self.pids() for one in descendants(pid)) / 1e6

    def new_folder(self, number: int) -> Path:
        """The `new/` of mailbox `number`."""
        raise NotImplementedError

    def letters_in(self, number: int) -> int:
        """How many letters lie in mailbox `number`; Postfix makes a Maildir with its first letter."""
        try:
            return len(os.listdir(self.new_folder(number)))
        except FileNotFoundError:
            return 0

    def stamp(self, number: int) -> int:
        """When mailbox `number` last got a letter; 0 while it has no folder."""
        try:
            return os.stat(self.new_folder(number)).st_mtime_ns
        except FileNotFoundError:
            return 0

    def letters(self, mailboxes: int) -> int:
        """How many letters lie in the first `mailboxes` mailboxes."""
        return sum(map(self.letters_in, range(mailboxes)))


class Postfix(Peer):
    """Debian's Postfix, virtual(8) into Maildirs."""

    name = "postfix"
    title = "Postfix virtual(8)"

    def new_folder(self, number: int) -> Path:
        """virtual(8) keeps them side by side."""
        return self.root / f"box{number:03d}" / "new"

    def _start(self) -> subprocess.Popen[bytes]:
        self._configure()
        with (self.folder / "log").open("ab") as log:
            command = ["postfix", "-c", str(self.folder / "etc"), "start-fg"]
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def _configure(self) -> None:
        etc = self.folder / "etc"
        for sub in ("etc", "queue", "data", "mail"):
            (self.folder / sub).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        os.chown(self.root, _USER_ID, _USER_ID)
        maps = "".join(f"{n}u@{DOMAIN} box{n % MAILBOXES:03d}/\n" for n in range(ADDRESSES))
        maps += "".join(f"box{n:03d}@{DOMAIN} box{n:03d}/\n" for n in range(GROUP))
        (etc / "boxes").write_text(maps)
        (etc / "aliases").write_text(
            f"everybody@{DOMAIN} " + ", ".join(f"box{n:03d}@{DOMAIN}" for n in range(GROUP)) + "\n"
        )
        (etc / "main.cf").write_text(MAIN_CF.format(folder=self.folder, root=self.root))
        (etc / "master.cf").write_text(MASTER_CF.format(port=self.port))
        for table in ("boxes", "aliases"):
            subprocess.run(["postmap", "-c", etc, f"hash:{etc}/{table}"], check=True)

    def stop(self) -> None:
        """Postfix's master leaves its parent's process group: it is told by its own command."""
        subprocess.run(["postfix", "-c", str(self.folder / "etc"), "stop"], capture_output=True)
        super().stop()


class Bdmta(Peer):
    """This checkout, default chain on."""

    name = title = "bdmta"

    def new_folder(self, number: int) -> Path:
        """By domain."""
        return self.root / DOMAIN / f"box{number:03d}" / "new"

    def command(self, *words: str) -> None:
        """One `bdmta` command on the site."""
        site = self.folder / "site" / "bdmta.toml"
        given = [sys.executable, "-m", "bdmta", *(["-c", str(site)] if words[0] != "init" else []), *words]
        done = subprocess.run(given, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"bdmta {words[0]}: {done.stderr}")

    def _start(self) -> subprocess.Popen[bytes]:
        site = self.folder / "site"
        self.command("init", str(site), "--domain", DOMAIN, "--base-port", str(self.port - 25))
        text = (site / "bdmta.toml").read_text()
        for table, key, value in (
            ("mail", "root", f'"{self.root}"'),
            ("dns", "servers", "[]"),
            ("limits", "sessions_per_address", "2000"),
        ):
            text = set_value(text, table, key, value)
        (site / "bdmta.toml").write_text(text)
        rows = ["address,name,alias_of"]
        rows += [f"box{n:03d}@{DOMAIN},Box {n}," for n in range(GROUP)]
        rows += [f"{n}u@{DOMAIN},,box{n % MAILBOXES:03d}@{DOMAIN}" for n in range(ADDRESSES)]
        (self.folder / "boxes.csv").write_text("\n".join(rows) + "\n")
        self.command("import", str(self.folder / "boxes.csv"), "--report", str(self.folder / "passwords.csv"))
        members = [f"box{n:03d}@{DOMAIN}" for n in range(GROUP)]
        self.command("group", "add", f"everybody@{DOMAIN}", *members)
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "bdmta", "-c", str(site / "bdmta.toml"), "serve"],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def prove_chain(self) -> str:
        """The refusal of a letter with a .exe in it; SystemExit when the chain lets it in."""
        letter = (
            "From: a@sender.test\r\nTo: box000@test.local\r\nMIME-Version: 1.0\r\n"
            'Content-Type: application/octet-stream; name="setup.exe"\r\n\r\nMZ\r\n'
        )
        with smtplib.SMTP("127.0.0.1", self.port) as client:
            try:
                client.sendmail("a@sender.test", [f"box000@{DOMAIN}"], letter)
            except smtplib.SMTPDataError as refused:
                return f"{refused.smtp_code} {refused.smtp_error.decode()}".split("\n")[0]
        raise SystemExit("bdmta took a .exe: the chain is not on, and nothing is worth timing")


def set_value(text: str, table: str, key: str, value: str) -> str:
    found = re.search(rf"(?ms)^\[{table}\]\n(.*?)(?=^\[|\Z)", text)
    if found is None:
        return f"{text}\n[{table}]\n{key} = {value}\n"
    body, count = re.subn(rf"(?m)^#?\s*{key}\s*=.*$", f"{key} = {value}", found[1], count=1)
    return text[: found.start(1)] + (body if count else f"{key} = {value}\n{body}") + text[found.end(1) :]


MAIN_CF = """compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.test.local
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
smtpd_banner = $myhostname ESMTP
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
virtual_alias_maps = hash:{folder}/etc/aliases
virtual_alias_expansion_limit = 5000
virtual_mailbox_domains = test.local
virtual_mailbox_base = {root}
virtual_mailbox_maps = hash:{folder}/etc/boxes
virtual_uid_maps = static:2000
virtual_gid_maps = static:2000
virtual_mailbox_limit = 0
mailbox_size_limit = 0
message_size_limit = 52428800
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
smtpd_peername_lookup = no
"""
MASTER_CF = """127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
virtual   unix  - n n - - virtual
lmtp      unix  - - n - - lmtp
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""
