"""Where the address book goes: a folder, a machine by rsync, a server by HTTP PUT (RFC 9110 §9.3.4).

The manifest goes last, so that one who sees it finds what it lists. Files that are no longer published are removed,
and only those that we published ourselves.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import os
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from storage.files import write_durable

_LAST = ("changes.json", "manifest.json")
_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".csv": "text/csv; charset=utf-8",
    ".vcf": "text/vcard; charset=utf-8", ".ldif": "text/x-ldif; charset=utf-8", ".json": "application/json",
}  # fmt: skip


class TargetFailed(Exception):
    """The target does not have it; why, in one line."""


@dataclass(frozen=True, slots=True)
class Access:
    """Logins by host (user, password), trusted authorities ("": the system's), seconds for one target."""

    logins: Mapping[str, tuple[str, str]]
    ca_file: str
    timeout_s: float


def send(
    target: str, files: Mapping[str, bytes], sums: Mapping[str, str], known: Mapping[str, str], access: Access
) -> int:
    """Bring `files` to `target`, where `known` (name to SHA-256) was brought last; how many went. Raises TargetFailed.

    `sums`: the SHA-256 of each file.
    """
    wanted = [name for name in files if known.get(name) != sums[name] and name not in _LAST]
    wanted += [name for name in _LAST if name in files]
    gone = sorted(known.keys() - files.keys())
    if target.startswith("rsync:"):
        return _by_rsync(target.removeprefix("rsync:"), files, gone, access)
    if target.startswith(("http://", "https://")):
        return _by_put(target, files, wanted, gone, access)
    return _to_folder(target, files, wanted, gone)


def _to_folder(folder: str, files: Mapping[str, bytes], wanted: list[str], gone: list[str]) -> int:
    """Each file is replaced whole, so that a web server never hands out half of one."""
    try:
        os.makedirs(folder, exist_ok=True)
        missing = [name for name in files if name not in wanted and not os.path.exists(os.path.join(folder, name))]
        for name in missing + wanted:
            write_durable(os.path.join(folder, name), files[name], 0o644)
        for name in gone:
            if os.path.exists(os.path.join(folder, name)):
                os.unlink(os.path.join(folder, name))
    except OSError as error:
        raise TargetFailed(f"{folder}: {error.strerror or error}") from None
    return len(missing) + len(wanted)


def _by_rsync(target: str, files: Mapping[str, bytes], gone: list[str], access: Access) -> int:
    """By content, each file renamed into place at the end. No question is ever asked (ssh's BatchMode).

    What is no longer published is deleted there: all of `files` lie in the folder that is sent, and rsync may remove
    only what the filter names.
    """
    with tempfile.TemporaryDirectory(prefix="danhba-") as folder:
        for name, octets in files.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(octets)
            os.chmod(os.path.join(folder, name), 0o644)
        os.chmod(folder, 0o755)  # noqa: S103 - a web server reads what is published
        filters = [f"--include=/{name}" for name in (*files, *gone)]
        command = [
            "rsync", "--recursive", "--checksum", "--perms", "--delay-updates", "--delete-after", "--stats",
            f"--timeout={max(1, int(access.timeout_s))}", *filters, "--exclude=*", "--",
            f"{folder}/", target if target.endswith("/") else f"{target}/",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=access.timeout_s, check=False,
                stdin=subprocess.DEVNULL, env={**os.environ, "RSYNC_RSH": "ssh -o BatchMode=yes"},
            )  # fmt: skip
        except FileNotFoundError:
            raise TargetFailed("rsync: is not installed") from None
        except subprocess.TimeoutExpired:
            raise TargetFailed(f"{target}: rsync took over {access.timeout_s:g} s") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[0]
        raise TargetFailed(f"{target}: {said}")
    sent = [line for line in done.stdout.splitlines() if "regular files transferred" in line]
    return int("".join(filter(str.isdigit, sent[0].rpartition(":")[2])) or 0) if sent else 0


def _by_put(target: str, files: Mapping[str, bytes], wanted: list[str], gone: list[str], access: Access) -> int:
    address = urlsplit(target)
    headers = _authorization(target, address.hostname or "", access)
    link: http.client.HTTPConnection
    if address.scheme == "https":
        context = ssl.create_default_context(cafile=access.ca_file or None)
        link = http.client.HTTPSConnection(address.netloc, timeout=access.timeout_s, context=context)
    else:
        link = http.client.HTTPConnection(address.netloc, timeout=access.timeout_s)
    try:
        for name in wanted:
            kind = {"Content-Type": _TYPES[os.path.splitext(name)[1]]}
            status = _asked(link, "PUT", address.path + quote(name), files[name], headers | kind)
            if not 200 <= status < 300:
                raise TargetFailed(f"{target}{name}: PUT was answered {status}")
        for name in gone:
            status = _asked(link, "DELETE", address.path + quote(name), None, headers)
            if status not in (200, 202, 204, 404, 410):
                raise TargetFailed(f"{target}{name}: DELETE was answered {status}")
    except (OSError, http.client.HTTPException) as error:
        raise TargetFailed(f"{target}: {error or type(error).__name__}") from None
    finally:
        link.close()
    return len(wanted)


def _asked(
    link: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> int:
    link.request(method, path, body, headers)
    answer = link.getresponse()
    answer.read(65_536)
    if not answer.isclosed():
        link.close()  # more than we care for: the next request takes a new connection
    return answer.status


def _authorization(target: str, host: str, access: Access) -> dict[str, str]:
    login = access.logins.get(host.lower())
    if login is None:
        return {}
    if target.startswith("http://") and not _is_loopback(host):
        raise TargetFailed(f"{target}: a password is not sent without TLS; write https://")
    return {"Authorization": "Basic " + base64.b64encode(":".join(login).encode()).decode()}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
