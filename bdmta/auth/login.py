"""Check a login: the published directory, passwords off the loop, a short cache, waits after wrong ones."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from bdmta.clock import Clock
from bdmta.directory.passwords import Passwords, Verified, hash_password
from bdmta.directory.snapshot import Credentials, SnapshotWatch
from bdmta.limits import Throttle, network_of
from bdmta.policy import Account

_CACHE_SIZE = 10_000
_MAX_PASSWORD_OCTETS = 1024


@dataclass(frozen=True, slots=True)
class Login:
    """A right password: whose mailbox, and as whom it may send."""

    account: Account


@dataclass(frozen=True, slots=True)
class Failure:
    """No login. `reason` is for the log and fail2ban, never for the peer: unknown, password, suspended, malformed."""

    reason: str


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
    ) -> None:
        self._watch = watch
        self._passwords = passwords
        self._throttle = throttle
        self._clock = clock
        self._executor = executor
        self._log = log
        self._checks = asyncio.Semaphore(parallelism)
        self._cache: dict[bytes, tuple[float, Credentials]] = {}
        self._cache_key = os.urandom(32)
        self._cache_s = cache_s
        self._exempt = exempt
        self._renew = renew
        self._sleep = sleep

    async def login(self, user: str, password: str, remote_ip: str, protocol: str) -> Login | Failure:
        """The account behind `user` and `password`. Unknown users cost the same work and the same waits.

        A wrong password makes the next answer wait (`[limits] auth_backoff_s` at the longest); so does an attempt
        made while one waits. Trusted networks never wait.
        """
        # Looked at now (one stat): a password changed or a mailbox suspended a moment ago counts at once.
        entry = self._watch.current(look_now=True).login_mailbox(user)
        key = entry.address if entry is not None else ""
        network = network_of(remote_ip)
        names = (f"account {key or user} {network}", f"network {network}")
        free = self._exempt(remote_ip)
        if not free and (wait_s := self._throttle.wait_s(*names)):
            await self._sleep(wait_s)
        outcome = await self._check(key, password)
        if isinstance(outcome, Login):
            self._throttle.clear(names[0])
            return outcome
        self._log.warning("login failed", protocol=protocol, user=key or user, ip=remote_ip, reason=outcome.reason)
        if not free and (wait_s := self._throttle.fail(*names)):
            await self._sleep(wait_s)
        return outcome

    async def _check(self, key: str, password: str) -> Login | Failure:
        credentials = self._watch.current().credentials(key) if key else None
        proof = hashlib.blake2b(
            f"{key}\0{password}".encode("utf-8", "surrogatepass"), key=self._cache_key, digest_size=32
        ).digest()
        if not self._is_fresh(proof, credentials):
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
            self._cache[proof] = (self._clock.monotonic() + self._cache_s, credentials)
        return self._login(key)

    def _is_fresh(self, proof: bytes, credentials: Credentials | None) -> bool:
        """Whether the password was right a moment ago and nothing about the account has changed since."""
        until, known = self._cache.get(proof, (0.0, None))
        return credentials is not None and known == credentials and until >= self._clock.monotonic()

    def _login(self, key: str) -> Login | Failure:
        snapshot = self._watch.current()
        entry = snapshot.mailbox(key)
        if entry is None or entry.status != "active":
            return Failure(entry.status if entry is not None else "unknown")
        return Login(
            Account(
                address=entry.address,
                kind=entry.kind,
                agency=entry.agency or None,
                may_send_as=snapshot.may_send_as(key),
            )
        )

    async def _off_loop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async with self._checks:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
