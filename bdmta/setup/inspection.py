"""`bdmta check`: is this site fit to serve? Nothing is changed by looking."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from bdmta.mailauth.keyring import Keyring
from bdmta.setup.certificate_check import examine_certificate
from bdmta.setup.finding import Finding, fail, ok, warn
from bdmta.site import Site

_SOCKET_PATH_MAX = 100  # of 108 that sockaddr_un has
_LOW_FACTOR = 10  # times the reserve
_LOW_INODES = 10_000
_PROBE_S = 1.0


def inspect(site: Site, clock: Clock) -> Iterator[Finding]:
    """One finding after the other; those of `bdmta check` without `--dns`."""
    yield ok("configuration", site.config_path)
    for look in _LOOKS:
        yield from look(site, clock)


def _policies(site: Site, _: Clock) -> Iterator[Finding]:
    from bdmta.policytry import open_chain

    try:
        chain = open_chain(site)
    except BdmtaError as error:
        yield fail("policies", str(error))
    else:
        yield ok("policies", ", ".join(step.name for step in chain.steps) or "the chain is empty")


def _certificate(site: Site, clock: Clock) -> Iterator[Finding]:
    tls = site.config.tls
    names = {site.config.server.hostname, *(listener.hostname for listener in site.config.listeners())}
    yield from examine_certificate(tls.cert, tls.key, sorted(names), clock)


def _secrets(site: Site, _: Clock) -> Iterator[Finding]:
    keys: list[str] = []
    try:
        ring = Keyring(site.dkim_dir, site.config.dkim.selector)
        keys = [os.path.join(site.dkim_dir, f"{entry.selector}.pem") for entry in ring.entries]
        usable = [ring.private_key(entry.selector) for entry in ring.entries if entry.state == "active"]
        if not usable:
            missing = os.path.join(site.dkim_dir, f"{site.config.dkim.selector}.pem")
            yield warn("dkim", f"{missing} is missing: letters to outside would leave unsigned")
    except BdmtaError as error:
        yield fail("dkim", f"{error}: letters to outside would leave unsigned")
    for path in (site.config.tls.key, *keys, site.password_key, site.directory_db):
        if not os.path.exists(path):
            continue
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & 0o007:
            yield fail("permissions", f"{path} can be reached by everybody (mode {mode:04o}); chmod o= it")
        elif mode & 0o020:
            yield warn("permissions", f"{path} can be written by its group (mode {mode:04o})")


def _folders(site: Site, _: Clock) -> Iterator[Finding]:
    user = site.config.server.user
    wrong = False
    for folder in site.folders:
        if not os.path.isdir(folder):
            continue  # serve makes it
        if not user and not os.access(folder, os.W_OK | os.X_OK):
            wrong = True
            yield fail("folders", f"{folder} cannot be written by this account")
        if stat.S_IMODE(os.stat(folder).st_mode) & 0o002:
            wrong = True
            yield fail("folders", f"{folder} can be written by everybody")
    if len(os.fsencode(site.office_socket)) > _SOCKET_PATH_MAX:
        wrong = True
        yield fail("folders", f"{site.run_dir}: too long for a socket; set [server] run_dir to a shorter path")
    if not wrong:
        yield ok("folders", site.data_dir)


def _account(site: Site, _: Clock) -> Iterator[Finding]:
    server = site.config.server
    if not server.user:
        if os.geteuid() == 0:
            yield warn("account", "would run as root: set [server] user")
        return
    try:
        account = pwd.getpwnam(server.user)
        if server.group:
            grp.getgrnam(server.group)
    except KeyError as error:
        yield fail("account", f"[server] user, group: {error.args[0]}; create it or correct the name")
        return
    groups = frozenset(os.getgrouplist(server.user, account.pw_gid))
    needed = {
        sys.base_prefix,
        sys.prefix,
        os.path.dirname(__file__),
        site.data_dir,
        os.path.dirname(site.config.tls.key),
    }
    closed = [path for path in sorted(needed) if not can_enter(path, account.pw_uid, groups)]
    if closed:
        yield fail("account", f"{server.user} cannot enter {', '.join(closed)}")
    else:
        yield ok("account", f"runs as {server.user} once the ports are bound")


def can_enter(path: str, uid: int, groups: frozenset[int], *, below: str = "") -> bool:
    """Whether an account that is not root gets into the folder, by its mode and those of the folders above it, up to
    `below`. True for what does not exist.
    """
    while os.path.exists(path) and path != below:
        found = os.stat(path)
        shift = 6 if found.st_uid == uid else 3 if found.st_gid in groups else 0
        if not found.st_mode >> shift & 1:
            return False
        if path == os.path.dirname(path):
            break
        path = os.path.dirname(path)
    return True


def _disk(site: Site, _: Clock) -> Iterator[Finding]:
    reserve = site.config.mail.reserve_octets
    seen: set[int] = set()
    for folder in (site.mail_root, site.queue_dir, site.data_dir):
        place = _existing(folder)
        device = os.stat(place).st_dev
        if device in seen:
            continue
        seen.add(device)
        free, inodes = shutil.disk_usage(place).free, os.statvfs(place)
        text = f"{place}: {free // 1_048_576} MiB free"
        if free < reserve:
            yield fail("disk", f"{text}, less than [mail] reserve_octets: letters would be put off")
        elif free < reserve * _LOW_FACTOR:
            yield warn("disk", f"{text}, less than {_LOW_FACTOR} times [mail] reserve_octets")
        elif inodes.f_files and inodes.f_favail < _LOW_INODES:
            yield warn("disk", f"{place}: {inodes.f_favail} inodes free; every letter takes one")
        else:
            yield ok("disk", text)
    if os.stat(_existing(site.mail_root)).st_dev != os.stat(_existing(site.queue_dir)).st_dev:
        yield warn("disk", "[mail] queue_dir and root are on different file systems: letters are copied, not linked")


def _existing(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _ports(site: Site, _: Clock) -> Iterator[Finding]:
    from bdmta.service.sockets import bind

    is_running = _answers(site.office_socket)
    wrong = False
    for listener in site.config.listeners():
        try:
            for _name, sock in bind([listener]):
                sock.close()
        except BdmtaError as error:
            if not is_running:
                wrong = True
                yield fail("ports", str(error))
    if not wrong:
        yield ok("ports", "the server is running" if is_running else "all free")


def _answers(socket_path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_PROBE_S)
        try:
            sock.connect(socket_path)
        except OSError:
            return False
        return True


def _outage(site: Site, _: Clock) -> Iterator[Finding]:
    from bdmta.outage.book import read_notices
    from bdmta.outage.broadcast import texts_of
    from storage.errors import StoreError

    try:
        texts_of(site)
        read_notices(site.outage_dir)
    except (BdmtaError, StoreError) as error:
        yield fail("outage", str(error))
        return
    yield from _outage_files(site)


def _outage_files(site: Site) -> Iterator[Finding]:
    """What the channels need: the keys they sign with, the program they call, the template they set."""
    from bdmta.outage.page_process import bind_page, page_pid
    from bdmta.outage.printed import check_template
    from bdmta.printing import PrintingError

    outage = site.config.outage
    for key, path in (("webhook_secret", outage.webhook_secret), ("push_token", outage.push_token)):
        if path and not os.access(path, os.R_OK):
            yield fail("outage", f"[outage] {key}: {path} cannot be read")
    if outage.status_page != "off" and page_pid(site) is None:
        try:
            for sock in bind_page(site):
                sock.close()
        except BdmtaError as error:
            yield warn("outage", str(error))
    if any(not target.startswith("http") for target in outage.push) and shutil.which("rsync") is None:
        yield fail("outage", "[outage] push: rsync is not installed")
    try:
        check_template(outage.notices)
    except PrintingError as error:
        yield fail("outage", f"{outage.notices}: {error}")
        return
    yield ok("outage", f"texts, printed notice and history are whole; status page: {outage.status_page}")


_LOOKS: tuple[Callable[[Site, Clock], Iterator[Finding]], ...] = (
    _policies, _outage, _certificate, _secrets, _folders, _account, _disk, _ports,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listening:
    """A configured endpoint, and whether something answers there."""

    name: str
    protocol: str
    address: str
    port: int
    answers: bool


def is_running(site: Site) -> bool:
    """Whether the site's office answers."""
    return _answers(site.office_socket)


def listening(site: Site) -> list[Listening]:
    """Every configured endpoint, tried."""
    return [
        Listening(listener.name, listener.protocol, address, port, _connects(address, port))
        for listener in site.config.listeners()
        for address, port in listener.endpoints
    ]


def _connects(address: str, port: int) -> bool:
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - asked, not bound
    try:
        socket.create_connection((target, port), _PROBE_S).close()
    except OSError:
        return False
    return True
