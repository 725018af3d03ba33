"""Check a login: the published directory, passwords off the loop, a short cache, waits after wrong ones."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bdmta.clock import Clock
from bdmta.directory.passwords import Passwords, Verified, hash_password
from bdmta.directory.snapshot import AppSecret, Credentials, SnapshotWatch
from bdmta.limits import Throttle, network_of
from bdmta.policy import Account

_CACHE_SIZE = 10_000
_MAX_PASSWORD_OCTETS = 1024


WEB = "web"
"""The protocol of the pages: an application password does not open them, an initial password always does."""


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Login:
    """A right password: whose mailbox, and as whom it may send. `must_change`: it is an initial one.

    `holds()`: whether it would still be one. A session asks before it acts: a password changed or revoked, a mailbox
    suspended ends it. Cheap while the directory stays the same.
    """

    account: Account
    must_change: bool = False
    app_id: int = 0
    holds: Callable[[], bool] = _always

    def detail(self) -> dict[str, Any]:
        """What a fact about this login says of the device and its holder; nothing for the mailbox's own password."""
        if not self.app_id:
            return {}
        return {"app": self.app_id, "device": self.account.device, "holder": self.account.holder}


@dataclass(frozen=True, slots=True)
class Failure:
    """No login. `reason` is for the log and fail2ban, never for the peer.

    It is one of unknown, password, suspended, malformed, scope, initial. `told`: what the peer may be told, as it gave
    the right password; ASCII.
    """

    reason: str
    told: str = ""


class Authenticator:
    """One for all protocols of an edge. `sleep` and `clock` come in, so that no test waits."""

    def __init__(
        self,
        watch: SnapshotWatch,
        passwords: Passwords,
        throttle: Throttle,
        clock: Clock,
        executor: Executor,
        log: Any,
        *,
        parallelism: int = 2,
        cache_s: float = 300.0,
        exempt: Callable[[str], bool] = lambda ip: False,
        renew: Callable[[str, str], None] = lambda address, hashed: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        initial_s: float = float("inf"),
        change_at: str = "",
    ) -> None:
        self._watch = watch
        self._passwords = passwords
        self._throttle = throttle
        self._clock = clock
        self._executor = executor
        self._log = log
        self._checks = asyncio.Semaphore(parallelism)
        self._cache: dict[bytes, tuple[float, Credentials, AppSecret | None]] = {}
        self._cache_key = os.urandom(32)
        self._cache_s = cache_s
        self._exempt = exempt
        self._renew = renew
        self._sleep = sleep
        self._initial_s = initial_s
        self._change_at = change_at

    async def login(self, user: str, password: str, remote_ip: str, protocol: str) -> Login | Failure:
        """The account behind `user` and `password`. Unknown users cost the same work and the same waits.

        A wrong password makes the next answer wait (`[limits] auth_backoff_s` at the longest); so does an attempt
        made while one waits. Trusted networks never wait. `protocol`: imap, pop3, smtp or `WEB`.
        """
        # Looked at now (one stat): a password changed or a mailbox suspended a moment ago counts at once.
        entry = self._watch.current(look_now=True).login_mailbox(user)
        key = entry.address if entry is not None else ""
        network = network_of(remote_ip)
        names = (f"account {key or user} {network}", f"network {network}")
        free = self._exempt(remote_ip)
        if not free and (wait_s := self._throttle.wait_s(*names)):
            await self._sleep(wait_s)
        outcome = await self._check(key, password, protocol)
        if isinstance(outcome, Login):
            self._throttle.clear(names[0])
            return outcome
        if outcome.told:  # the password was right: nobody is guessing
            self._log.info("login not admitted", protocol=protocol, user=key, ip=remote_ip, reason=outcome.reason)
            return outcome
        self._log.warning("login failed", protocol=protocol, user=key or user, ip=remote_ip, reason=outcome.reason)
        if not free and (wait_s := self._throttle.fail(*names)):
            await self._sleep(wait_s)
        return outcome

    async def _check(self, key: str, password: str, protocol: str) -> Login | Failure:
        credentials = self._watch.current().credentials(key) if key else None
        proof = hashlib.blake2b(
            f"{key}\0{password}".encode("utf-8", "surrogatepass"), key=self._cache_key, digest_size=32
        ).digest()
        known = self._known(proof, credentials)
        if known is None:
            verified: Verified = await self._off_loop(self._passwords.authenticate, credentials, password)
            if not verified.ok or credentials is None:
                now = self._watch.current(look_now=True).credentials(key) if key else None
                if now == credentials:
                    return Failure("password" if key else "unknown")
                verified = await self._off_loop(self._passwords.authenticate, now, password)
                credentials = now
                if not verified.ok or credentials is None:
                    return Failure("password")
            if verified.renew:
                self._renew(key, await self._off_loop(hash_password, password))
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            known = (self._clock.monotonic() + self._cache_s, credentials, verified.app)
            self._cache[proof] = known
        return self._login(key, known[1], known[2], protocol)

    def _known(
        self, proof: bytes, credentials: Credentials | None
    ) -> tuple[float, Credentials, AppSecret | None] | None:
        """What was found a moment ago, if the password was right and nothing about the account has changed since."""
        found = self._cache.get(proof)
        if found is None or credentials is None or found[1] != credentials or found[0] < self._clock.monotonic():
            return None
        return found

    def _login(self, key: str, credentials: Credentials, app: AppSecret | None, protocol: str) -> Login | Failure:
        snapshot = self._watch.current()
        entry = snapshot.mailbox(key)
        if entry is None or entry.status != "active":
            return Failure(entry.status if entry is not None else "unknown")
        if app is not None and (protocol == WEB or (app.scope and protocol not in app.scope)):
            return Failure("scope")
        if app is None and credentials.must_change and protocol != WEB and self._is_over(credentials.password_at):
            return Failure("initial", told=f"The initial password must be changed first{self._change_at}")
        return Login(
            Account(
                address=entry.address, kind=entry.kind, agency=entry.agency or None,
                may_send_as=snapshot.may_send_as(key),
                device=app.label if app else "", holder=app.holder if app else "",
            ),
            must_change=app is None and credentials.must_change, app_id=app.id if app else 0,
            holds=_Holds(self._watch, credentials, app),
        )  # fmt: skip

    def _is_over(self, password_at: str) -> bool:
        """Whether the time in which an initial password opens the mail is over; it is while nobody knows its age."""
        if self._initial_s <= 0 or not password_at:
            return self._initial_s != float("inf")
        return self._clock.time() > datetime.fromisoformat(password_at).timestamp() + self._initial_s

    async def _off_loop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async with self._checks:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)


class _Holds:
    """Whether what opened a session would still open it; looked up anew only when the directory is another one."""

    def __init__(self, watch: SnapshotWatch, known: Credentials, app: AppSecret | None) -> None:
        self._watch = watch
        self._known = known
        self._app = app
        self._seen: object = watch.current()

    def __call__(self) -> bool:
        snapshot = self._watch.current()
        if snapshot is self._seen:
            return True
        now = snapshot.credentials(self._known.address)
        if now is None or now.status != "active":
            return False
        if self._app is not None:
            if self._app not in now.app_passwords:
                return False
        elif now.password_hash != self._known.password_hash and now.password_at != self._known.password_at:
            return False  # of the same age, it is the same password under a better hash
        self._seen = snapshot
        return True
