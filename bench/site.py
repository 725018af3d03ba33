"""A site of this checkout with as many mailboxes as wanted, for what needs more than a peer: growth, soak."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bdmta.traffic.population import Account, write_people
from bench.peers import set_value

Settings = tuple[str, str, str]
_QUIET: tuple[Settings, ...] = (
    ("dns", "servers", "[]"),
    ("limits", "sessions_per_address", "5000"),
    ("limits", "trusted_networks", '["127.0.0.0/8"]'),
)


class Site:
    """`bdmta init`, `import`, `serve` in `folder`, on ports from `base_port`; through the command line."""

    def __init__(self, folder: Path, base_port: int, domain: str, settings: Sequence[Settings] = ()) -> None:
        self.folder, self.base_port, self.domain = folder, base_port, domain
        self.process: subprocess.Popen[str] | None = None
        self.accounts: list[Account] = []
        for offset in (25, 143, 587):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", base_port + offset)) == 0:
                    raise SystemExit(f"port {base_port + offset} is taken; choose others with --port")
        self.command("init", str(folder), "--domain", domain, "--base-port", str(base_port))
        for table, key, value in (*_QUIET, *settings):
            self.set(table, key, value)

    def set(self, table: str, key: str, value: str) -> None:
        """Change bdmta.toml."""
        path = self.folder / "bdmta.toml"
        path.write_text(set_value(path.read_text(), table, key, value))

    def command(self, *words: str) -> str:
        """One `bdmta` command; its standard output."""
        config = [] if words[0] == "init" else ["-c", str(self.folder / "bdmta.toml")]
        done = subprocess.run([sys.executable, "-m", "bdmta", *config, *words], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"bdmta {words[0]}: {done.stderr}")
        return done.stdout

    def add(self, accounts: Sequence[Account]) -> None:
        """Import them; their passwords are in `accounts` afterwards."""
        people, report = self.folder / "people.csv", self.folder / f"report-{len(self.accounts)}.csv"
        write_people(accounts, str(people))
        self.command("import", str(people), "--report", str(report))
        with report.open(newline="") as file:
            words = {row["address"]: row["password"] for row in csv.DictReader(file)}
        self.accounts += [Account(one.address, words[one.address], one.name, one.kind, one.agency) for one in accounts]

    def serve(self, *words: str) -> None:
        """Until `ready`."""
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bdmta", "-c", str(self.folder / "bdmta.toml"), "serve", *words],
                stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit(f"bdmta is not ready; see {self.folder}/log")

    @property
    def pid(self) -> int:
        """The supervisor."""
        assert self.process is not None
        return self.process.pid

    def reload(self) -> None:
        """SIGHUP, and a moment for it."""
        os.kill(self.pid, signal.SIGHUP)
        time.sleep(1)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to all that is left."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None

    def maildir(self, local: str) -> Path:
        """Where a mailbox lies."""
        return self.folder / "mail" / self.domain / local


def end_by_sigterm() -> None:
    """SIGTERM ends this program as Ctrl-C does: what it started is stopped."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
