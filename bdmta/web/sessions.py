"""Who is logged in on the pages: kept in memory only, ended by idling, by age, by a change of the password."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from bdmta.auth import Login
from bdmta.clock import Clock

SESSIONS = 20_000
SESSIONS_PER_ACCOUNT = 10
_TOKEN_OCTETS = 32


@dataclass(slots=True)
class WebSession:
    """One person's. `csrf` stands in every form of theirs."""

    login: Login
    begun_at: float
    seen_at: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(_TOKEN_OCTETS), repr=False)

    @property
    def address(self) -> str:
        """Whose mailbox it is."""
        return self.login.account.address


class Sessions:
    """All of them, by a hash of their cookie: who reads our memory has no cookie."""

    def __init__(self, clock: Clock, idle_s: float, longest_s: float) -> None:
        self._clock = clock
        self._idle_s = idle_s
        self._longest_s = longest_s
        self._sessions: dict[str, WebSession] = {}

    def begin(self, login: Login) -> str:
        """A new session; the cookie's value. The oldest of an account that has too many ends."""
        now = self._clock.monotonic()
        self._drop(lambda one: self._is_over(one, now))
        own = [key for key, one in self._sessions.items() if one.address == login.account.address]
        for key in own[: max(0, len(own) - SESSIONS_PER_ACCOUNT + 1)]:
            del self._sessions[key]
        if len(self._sessions) >= SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        token = secrets.token_urlsafe(_TOKEN_OCTETS)
        self._sessions[_key(token)] = WebSession(login, now, now)
        return token

    def find(self, token: str) -> WebSession | None:
        """The session of this cookie, if it still holds; seen now."""
        key = _key(token)
        found = self._sessions.get(key)
        if found is None:
            return None
        now = self._clock.monotonic()
        if self._is_over(found, now):
            del self._sessions[key]
            return None
        found.seen_at = now
        return found

    def end(self, token: str) -> None:
        """Log out."""
        self._sessions.pop(_key(token), None)

    def end_all_of(self, address: str) -> None:
        """Log out everywhere."""
        self._drop(lambda one: one.address == address)

    def _is_over(self, session: WebSession, now: float) -> bool:
        return (
            now - session.seen_at > self._idle_s or now - session.begun_at > self._longest_s
            or not session.login.holds()
        )  # fmt: skip

    def _drop(self, over: Callable[[WebSession], bool]) -> None:
        for key in [key for key, one in self._sessions.items() if over(one)]:
            del self._sessions[key]


def _key(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
