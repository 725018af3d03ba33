"""A real site in a temporary folder, served by the real program, for dialogue, system and crash tests."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

DOMAIN = "binhduong.gov.vn"
PASSWORDS = {"minhnv": "Mat-khau-2026", "khaintm": "Mat-khau-2027", "sotttt": "Mat-khau-2028"}
_PORTS = {
    "smtp": 25,
    "submission": 587,
    "submissions": 465,
    "imap": 143,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
    "web": 80,
}


_LOWEST_BASE, _BASES = 10_000, 216  # the last one's ports lie below 32768, from where clients get theirs


def free_base_port() -> int:
    """A base port all of whose service ports are free now; of two pytest workers each has every second one."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
    start = os.getpid() % (_BASES // 2)
    for step in range(_BASES // 2):
        base = _LOWEST_BASE + ((start + 7 * step) % (_BASES // 2) * 2 + worker) * 100
        try:
            for offset in (*_PORTS.values(), 24, 81):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        return base
    raise RuntimeError("no free ports")


class SiteUnderTest:
    """`bdmta init`, mailboxes, `bdmta serve`; everything through the command line, as an operator would."""

    def __init__(self, folder: Path, settings: dict[str, dict[str, str]] | None = None) -> None:
        self.folder = folder / "site"
        self.base_port = free_base_port()
        self.server: subprocess.Popen[str] | None = None
        self.run("init", str(self.folder), "--domain", DOMAIN, "--base-port", str(self.base_port), config=False)
        self.set("outage", "status_page", '"off"')
        for table, values in (settings or {}).items():
            for key, value in values.items():
                self.set(table, key, value)
        for local, password in PASSWORDS.items():
            kind = "agency" if local.startswith("so") else "person"
            self.add_mailbox(local, password, "--kind", kind)

    @property
    def config(self) -> Path:
        return self.folder / "bdmta.toml"

    def run(
        self, *words: str, stdin: str = "", config: bool = True, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """One `bdmta` command."""
        command = [sys.executable, "-m", "bdmta", *(["-c", str(self.config)] if config else []), *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, *words: str) -> object:
        return json.loads(self.run(*words, "--json").stdout)

    def set(self, table: str, key: str, value: str) -> None:
        """Change one setting in bdmta.toml, as an editor would."""
        text = self.config.read_text()
        line = f"{key} = {value}"
        found = re.search(rf"(?ms)^\[{table}\]\n(.*?)(?=^\[|\Z)", text)
        if found is None:
            self.config.write_text(f"{text}\n[{table}]\n{line}\n")
            return
        body, count = re.subn(rf"(?m)^#?\s*{key}\s*=.*$", line, found[1], count=1)
        self.config.write_text(text[: found.start(1)] + (body if count else f"{line}\n{body}") + text[found.end(1) :])

    def add_mailbox(self, local: str, password: str = "Mat-khau-2026", *more: str) -> None:
        self.run(
            "mailbox", "add", f"{local}@{DOMAIN}", "--name", local.title(), "--password-stdin", *more,
            stdin=password + "\n",
        )  # fmt: skip

    def port(self, listener: str) -> int:
        return self.base_port + _PORTS[listener]

    def mailbox(self, local: str) -> Path:
        return self.folder / "mail" / DOMAIN / local

    def letters(self, local: str, folder: str = "") -> list[bytes]:
        """The letters of a mailbox's folder, in order of arrival."""
        where = self.mailbox(local) / folder
        files = [path for part in ("new", "cur") if (where / part).is_dir() for path in (where / part).iterdir()]
        return [path.read_bytes() for path in sorted(files, key=lambda path: path.name)]

    def start(self, *words: str, workers: int = 0) -> None:
        """Serve until `ready`."""
        log = (self.folder / "test.log").open("a")
        self.server = subprocess.Popen(
            [sys.executable, "-m", "bdmta", "-c", str(self.config), "serve", "--workers", str(workers), *words],
            stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
        )  # fmt: skip
        assert self.server.stdout is not None
        ready, _, _ = select.select([self.server.stdout], [], [], 30)
        if not ready or self.server.stdout.readline().strip() != "ready":
            self.kill()
            raise AssertionError("the server is not ready\n" + self.log())

    def log(self) -> str:
        return (self.folder / "test.log").read_text()[-5000:]

    def metrics(self) -> str:
        """The page for Prometheus."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port('web')}/metrics", timeout=30) as answer:
            return answer.read().decode()

    def signal(self, number: int) -> None:
        assert self.server is not None
        self.server.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self.server is not None
        if self.server.poll() is None:
            self.server.terminate()
        try:
            return self.server.wait(40)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to every process of the server at once."""
        if self.server is None:
            return
        try:
            os.killpg(self.server.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.server.wait()
        if self.server.stdout is not None:
            self.server.stdout.close()
        self.server = None

    def tls(self) -> ssl.SSLContext:
        """A client's context that trusts the site's CA and nobody else."""
        return ssl.create_default_context(cafile=str(self.folder / "tls" / "ca.pem"))

    def wait_for(self, condition: object, seconds: float = 10.0) -> None:
        """Wait until `condition()` holds; what runs in the background has no other signal."""
        end = time.monotonic() + seconds
        while not condition():  # type: ignore[operator]
            if time.monotonic() > end:
                raise AssertionError("it did not come about in time\n" + self.log())
            time.sleep(0.02)
