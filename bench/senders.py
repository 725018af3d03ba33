"""The senders that are measured: bdmta, and Debian's Postfix with opendkim, each with the same fixed next hops.

1,000 domains `d<i>.bench` lead to 1,000 addresses of loopback, all of them one sink. No DNS on either side. A sender
can hold its deliveries back, so that a queue is filled first and its emptying is timed alone.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.peers import DOMAIN, MAIN_CF, MASTER_CF, Peer, set_value
from bench.process import descendants

DOMAINS = 1000
SENDER = f"sender@{DOMAIN}"
_PASSWORD = "Mat-khau-2026"
_SELECTOR = "bench"


@dataclass(frozen=True)
class Door:
    """Where letters are handed in; `login` is base64 of AUTH PLAIN, and TLS is spoken with it."""

    port: int
    login: str = ""


def address_of(domain: int) -> str:
    """The loopback address that mail for `d<domain>.bench` goes to."""
    return f"127.1.{domain // 250}.{domain % 250 + 1}"


class Sender(Peer):
    """A server that relays to the sink; `signs` tells which of its doors signs."""

    def __init__(self, folder: Path, port: int, sink_port: int) -> None:
        self.sink_port = sink_port
        super().__init__(folder, port)

    def door(self, *, signed: bool) -> Door:
        """Where to hand in letters that leave signed, or as they are."""
        raise NotImplementedError

    def hold(self) -> None:
        """Take letters, and deliver none."""
        raise NotImplementedError

    def release(self) -> None:
        """Deliver what has come, and what comes."""
        raise NotImplementedError

    def waiting(self) -> int:
        """How many letters are in the queue."""
        raise NotImplementedError


class PostfixSender(Sender):
    """Debian's Postfix; its second port has opendkim as milter, RSA of 2,048 bits, relaxed/relaxed."""

    name = "postfix"

    def _start(self) -> subprocess.Popen[bytes]:
        etc = self.folder / "etc"
        for sub in ("etc", "queue", "data", "mail", "dkim"):
            (self.folder / sub).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        transport = "".join(f"d{n}.bench smtp:[{address_of(n)}]:{self.sink_port}\n" for n in range(DOMAINS))
        (etc / "transport").write_text(transport)
        (etc / "boxes").write_text("")
        (etc / "aliases").write_text("")
        main = MAIN_CF.format(folder=self.folder, root=self.root)
        (etc / "main.cf").write_text(f"{main}transport_maps = hash:{etc}/transport\n")
        self._write_master(with_delivery=True)
        for table in ("boxes", "aliases", "transport"):
            subprocess.run(["postmap", "-c", etc, f"hash:{etc}/{table}"], check=True)
        self._milter = self._start_opendkim()
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(["postfix", "-c", etc, "start-fg"], stdout=log, stderr=log, start_new_session=True)

    def _write_master(self, *, with_delivery: bool) -> None:
        lines = MASTER_CF.format(port=self.port).splitlines(keepends=True)
        milter = f"unix:{self.folder}/dkim/socket"  # by TCP each letter would wait for delayed acknowledgements
        lines.append(
            f"127.0.0.1:{self.port + 1} inet n - n - - smtpd\n"
            f"  -o smtpd_milters={milter} -o milter_default_action=tempfail\n"
        )
        kept = [line for line in lines if with_delivery or not line.startswith("qmgr ")]
        (self.folder / "etc" / "master.cf").write_text("".join(kept))

    def _start_opendkim(self) -> subprocess.Popen[bytes]:
        keys = self.folder / "dkim"
        subprocess.run(
            ["opendkim-genkey", "-b", "2048", "-d", DOMAIN, "-s", _SELECTOR, "-D", str(keys)], check=True
        )  # fmt: skip
        (keys / "opendkim.conf").write_text(
            f"Domain {DOMAIN}\nKeyFile {keys / _SELECTOR}.private\nSelector {_SELECTOR}\nMode s\n"
            f"Socket local:{keys}/socket\nCanonicalization relaxed/relaxed\nSyslog no\nUMask 000\n"
            "RequireSafeKeys no\nOversignHeaders From\n"
        )
        with (self.folder / "opendkim.log").open("wb") as log:
            command = ["opendkim", "-f", "-x", str(keys / "opendkim.conf")]
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def stop(self) -> None:
        """Postfix by its own command, then opendkim."""
        subprocess.run(["postfix", "-c", str(self.folder / "etc"), "stop"], capture_output=True)
        super().stop()
        self._milter.terminate()
        self._milter.wait()

    def pids(self) -> list[int]:
        """Whose CPU is counted."""
        return [self.process.pid, self._milter.pid]

    def door(self, *, signed: bool) -> Door:
        return Door(self.port + (1 if signed else 0))

    def hold(self) -> None:
        """Without a queue manager cleanup(8) leaves what comes in `incoming`."""
        self._write_master(with_delivery=False)
        self._reload()

    def release(self) -> None:
        self._write_master(with_delivery=True)
        self._reload()

    def _reload(self) -> None:
        subprocess.run(["postfix", "-c", str(self.folder / "etc"), "reload"], check=True, capture_output=True)

    def waiting(self) -> int:
        queues = ("maildrop", "incoming", "active", "deferred")
        return sum(len(files) for q in queues for _, _, files in os.walk(self.folder / "queue" / q))


class BdmtaSender(Sender):
    """This checkout. Unsigned: a relay network's letters, by the default chain. Signed: submission by AUTH over TLS."""

    name = "bdmta"

    def _start(self) -> subprocess.Popen[bytes]:
        site = self.folder / "site"
        self._toml = site / "bdmta.toml"
        self._run("init", str(site), "--domain", DOMAIN, "--base-port", str(self.port - 25))
        text = self._toml.read_text()
        routes = ", ".join(f'"d{n}.bench = {address_of(n)}:{self.sink_port}"' for n in range(DOMAINS))
        for table, key, value in (
            ("mail", "root", f'"{self.root}"'),
            ("dns", "servers", "[]"),
            ("limits", "sessions_per_address", "2000"),
            ("limits", "relay_networks", '["127.0.0.0/8"]'),
            ("limits", "trusted_networks", '["127.0.0.0/8"]'),
            ("transport", "routes", f"[{routes}]"),
        ):
            text = set_value(text, table, key, value)
        self._toml.write_text(text)
        self._run("mailbox", "add", SENDER, "--name", "Sender", "--password-stdin", given=_PASSWORD + "\n")
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "bdmta", "-c", str(self._toml), "serve"],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _run(self, *words: str, given: str = "") -> None:
        command = [sys.executable, "-m", "bdmta", *(["-c", str(self._toml)] if words[0] != "init" else []), *words]
        done = subprocess.run(command, capture_output=True, text=True, input=given)
        if done.returncode:
            raise SystemExit(f"bdmta {words[0]}: {done.stderr}")

    def pids(self) -> list[int]:
        """Whose CPU is counted."""
        return [self.process.pid]

    def door(self, *, signed: bool) -> Door:
        if not signed:
            return Door(self.port)
        login = base64.b64encode(f"\0{SENDER}\0{_PASSWORD}".encode()).decode()
        return Door(self.port - 25 + 465, login)

    def _courier(self) -> int:
        for pid in descendants(self.process.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b'"role": "courier"' in command:
                return pid
        raise SystemExit("bdmta has no courier")

    def hold(self) -> None:
        os.kill(self._courier(), signal.SIGSTOP)

    def release(self) -> None:
        os.kill(self._courier(), signal.SIGCONT)

    def waiting(self) -> int:
        return sum(name.endswith(".env") for name in os.listdir(self.folder / "site" / "queue"))
