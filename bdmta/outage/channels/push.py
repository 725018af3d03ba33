"""The page's files to the portal: by rsync, or by HTTP PUT of each."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence

from bdmta.outage.channels import ChannelError, Means
from bdmta.outage.http import HttpFailure, send
from bdmta.outage.jobs import Job, Reach, is_public

_RSYNC_S = 120
_TYPES = {
    ".html": "text/html; charset=utf-8", ".xml": "application/atom+xml; charset=utf-8", ".json": "application/json",
    ".pdf": "application/pdf", ".css": "text/css",
}  # fmt: skip


def push(folder: str, target: str, *, token: str = "", dns_servers: Sequence[str] = (), ca_file: str = "") -> str:
    """Copy the files of `folder` to `target`; what was copied, in words. ChannelError says what went wrong. Blocks."""
    if target.startswith(("http://", "https://")):
        return _put(folder, target, token, dns_servers, ca_file)
    return _rsync(folder, target)


def _rsync(folder: str, target: str) -> str:
    command = ["rsync", "-rt", "--delay-updates", "--exclude=.*", "--timeout=30", "--stats", f"{folder}/", target]
    environment = {**os.environ, "RSYNC_RSH": "ssh -o BatchMode=yes -o ConnectTimeout=15", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_RSYNC_S, env=environment,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise ChannelError("rsync is not installed") from None
    except subprocess.TimeoutExpired:
        raise ChannelError(f"rsync to {target}: not done within {_RSYNC_S} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ChannelError(f"rsync to {target}: {lines[0]}")
    sent = [line.rpartition(": ")[2] for line in done.stdout.splitlines() if "regular files transferred" in line]
    return f"rsync to {target}: {(sent or ['?'])[0]} files"


def _put(folder: str, target: str, token: str, dns_servers: Sequence[str], ca_file: str) -> str:
    """The page last, so that nothing it links to is missing."""
    names = sorted(n for n in os.listdir(folder) if not n.startswith("."))
    names.sort(key=lambda name: name.endswith(".html"))
    whole = hashlib.sha256()
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            octets = file.read()
        whole.update(octets)
        headers = {"Content-Type": _TYPES.get(os.path.splitext(name)[1], "application/octet-stream")}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            send("PUT", f"{target.rstrip('/')}/{name}", octets, headers, dns_servers, ca_file)
        except HttpFailure as error:
            raise ChannelError(f"PUT {name}: {error}") from error
    return f"PUT of {len(names)} files, sha256 {whole.hexdigest()[:16]}"


def push_token(path: str) -> str:
    """The token in the file; "" without one. ChannelError when it cannot be read."""
    if not path:
        return ""
    try:
        with open(path, encoding="ascii") as file:
            return file.read(4096).strip()
    except (OSError, UnicodeError) as error:
        raise ChannelError(f"{path}: {error}") from error


class Push:
    """One target. Each is a channel of its own."""

    def __init__(self, means: Means, target: str, number: int) -> None:
        self._means = means
        self._target = target
        self.reach = Reach("push" if number == 0 else f"push-{number + 1}", is_public, newest_only=True)

    def deliver(self, job: Job) -> str:
        """What was copied."""
        config = self._means.site.config
        return push(
            self._means.page_folder, self._target, token=push_token(config.outage.push_token),
            dns_servers=config.dns.servers, ca_file=config.transport.ca_file,
        )  # fmt: skip

    def settle(self, job: Job) -> None:
        """Nothing is kept."""
