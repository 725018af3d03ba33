"""A mailbox in a temporary folder behind real IMAP and POP3 listeners on the loopback, in this process."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bdmta.auth import Failure, Login
from bdmta.clock import SystemClock
from bdmta.imap import ImapServer, ImapSettings, Room, make_imap_protocol
from bdmta.policy import Account
from bdmta.pop3 import Pop3Server, Pop3Settings, make_pop3_protocol
from bdmta.render import rules
from storage.box import Mailboxes
from storage.incoming import Incoming
from storage.maildir import create_mailbox, mailbox_dir
from storage.quota import Quota

USER = "minhnv@binhduong.gov.vn"
OTHER = "lanttn@binhduong.gov.vn"
PASSWORD = "Mat-khau 2026"


class CountingSessions:
    """Sessions by address, in memory."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def enter(self, network: str) -> int:
        self.counts[network] = self.counts.get(network, 0) + 1
        return self.counts[network]

    def leave(self, network: str) -> None:
        self.counts[network] -= 1


class OneMail:
    """Mailboxes below one folder; `limit_octets` is everybody's quota."""

    def __init__(self, root: Path, index: Path) -> None:
        self._root, self._index = root, index
        self.limit_octets = 1 << 30
        self._quota = Quota(SystemClock())

    def locate(self, address: str) -> tuple[str, str]:
        return mailbox_dir(str(self._root), address), str(self._index / f"{address}.sqlite")

    def room(self, address: str) -> Room:
        used = self._quota.usage(self.locate(address)[0])
        return Room(used.octets, used.letters, self.limit_octets, 0)


class Passwords:
    """One password for all; nothing waits."""

    def __init__(self) -> None:
        self.waiting: asyncio.Event | None = None

    async def login(self, user: str, password: str, remote_ip: str, protocol: str) -> Login | Failure:
        if password != PASSWORD or user not in (USER, OTHER):
            return Failure("password")
        return Login(Account(address=user, kind="person", agency="sotttt", may_send_as=frozenset({user})))


class Facts:
    """Facts, kept."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def write(self, facts: Any) -> None:
        self.told += facts


def tls_pair(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path


class MailServer:
    """Listeners in a loop of their own thread: `with MailServer(tmp_path) as server: server.ports["imap"]`."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: dict[str, Any] | None = None,
        plaintext: bool = True,
        loop_factory: Any = None,
        fold_diacritics: bool = False,
    ) -> None:
        self.folder = folder
        self.root = folder / "mail"
        self.index = folder / "index"
        for path in (self.root, self.index, self.root / ".incoming"):
            path.mkdir(parents=True, exist_ok=True)
        for address in (USER, OTHER):
            create_mailbox(mailbox_dir(str(self.root), address))
        self.mailbox_path = Path(mailbox_dir(str(self.root), USER))
        self.cert, self.key = tls_pair(folder)
        self.ports: dict[str, int] = {}
        self.facts = Facts()
        self.mail = OneMail(self.root, self.index)
        self.alerts: list[str] = []
        self.errors: list[Any] = []
        self._settings = settings or {}
        self._plaintext = plaintext
        self._rules = rules(fold_diacritics=fold_diacritics)
        self._loop_factory = loop_factory or uvloop.new_event_loop
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.imap: ImapServer | None = None
        self.pop3: Pop3Server | None = None

    def __enter__(self) -> MailServer:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        assert self.ports, "the listeners did not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self.loop is not None and self._stop is not None
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._serve())
        finally:
            self._ready.set()

    def call(self, function: Any, *arguments: Any) -> Any:
        """Run something on the server's loop and return its result."""

        async def inner() -> Any:
            return function(*arguments)

        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(inner(), self.loop).result(10)

    def client_tls(self) -> ssl.SSLContext:
        """A context that trusts this server."""
        return ssl.create_default_context(cafile=str(self.cert))

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        executor = ThreadPoolExecutor(8)
        clock = SystemClock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        log = structlog.wrap_logger(structlog.PrintLogger(), processors=[self._log])
        boxes = Mailboxes(rules=self._rules, clock=clock, host="mx.test", executor=executor)
        common: dict[str, Any] = {
            "authenticator": Passwords(),
            "mailboxes": boxes,
            "mail": self.mail,
            "sessions": CountingSessions(),
            "facts": self.facts,
            "clock": clock,
            "executor": executor,
            "log": log,
            "tls": context,
        }
        self.imap = ImapServer(
            settings=replace(ImapSettings(hostname="mx.test", plaintext_login=self._plaintext), **self._settings),
            fold=self._rules.fold,
            alerts=lambda address: list(self.alerts),
            incoming=lambda: Incoming(str(self.root / ".incoming"), executor),
            **common,
        )
        pop3_settings = {k: v for k, v in self._settings.items() if k in Pop3Settings.__dataclass_fields__}
        self.pop3 = Pop3Server(
            settings=Pop3Settings(hostname="mx.test", plaintext_login=self._plaintext, **pop3_settings), **common
        )
        servers = []
        for name, factory, tls in (
            ("imap", make_imap_protocol(self.imap), None),
            ("imaps", make_imap_protocol(self.imap, implicit_tls=True), context),
            ("pop3", make_pop3_protocol(self.pop3), None),
            ("pop3s", make_pop3_protocol(self.pop3, implicit_tls=True), context),
        ):
            server = await self.loop.create_server(factory, "127.0.0.1", 0, ssl=tls)
            self.ports[name] = server.sockets[0].getsockname()[1]
            servers.append(server)
        self._ready.set()
        await self._stop.wait()
        for server in servers:
            server.close()
        await asyncio.gather(self.imap.drain(2), self.pop3.drain(2))
        await boxes.run(boxes.close)
        executor.shutdown()

    def _log(self, logger: Any, method: str, event: Any) -> Any:
        if method in ("error", "exception", "critical"):
            import traceback

            self.errors.append((event, traceback.format_exc()))
        raise structlog.DropEvent

    def deliver(self, octets: bytes, *, folder: str = "", info: str | None = None) -> Path:
        """Put a letter into a folder as another program would; CRLF octets."""
        return deliver(self.mailbox_path / folder if folder else self.mailbox_path, octets, info)


_serial = iter(range(1, 1 << 30))


def deliver(box: Path, octets: bytes, info: str | None = None) -> Path:
    """tmp, then rename into `new` (or `cur` with an info suffix)."""
    name = f"{1780000000 + next(_serial)}.M1P1Q{next(_serial)}.mx,S={len(octets)},W={len(octets)}"
    tmp = box / "tmp" / name
    tmp.write_bytes(octets)
    target = box / "new" / name if info is None else box / "cur" / f"{name}:2,{info}"
    tmp.rename(target)
    return target
