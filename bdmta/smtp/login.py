"""AUTH PLAIN and AUTH LOGIN on one SMTP session, with and without an initial response (RFC 4954)."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable

from bdmta.auth import Failure, Login, sasl
from bdmta.policy import Account
from bdmta.reply import Reply, reply
from bdmta.smtp import replies as said

_TRIES = 5


class AuthDialogue:
    """One session's logging in. `login` has succeeded; while `is_open`, the next line is a response and no command."""

    def __init__(self, login: Callable[[str, str], Awaitable[Login | Failure]]) -> None:
        self._check_login = login
        self._next: Callable[[bytes], Awaitable[Reply]] | None = None
        self._user = ""
        self._tries = 0
        self.login: Login | None = None

    @property
    def account(self) -> Account | None:
        """Who has logged in."""
        return self.login.account if self.login is not None else None

    @property
    def is_open(self) -> bool:
        """A challenge waits for its response."""
        return self._next is not None

    async def start(self, argument: str) -> Reply:
        """The reply to `AUTH mechanism [initial]`."""
        mechanism, _, initial = argument.partition(" ")
        match mechanism.upper():
            case "PLAIN":
                return await self._plain(initial.encode()) if initial else self._ask(self._plain, b"")
            case "LOGIN":
                return await self._name(initial.encode()) if initial else self._ask(self._name, sasl.LOGIN_USER)
        return said.AUTH_MECHANISM

    async def respond(self, line: bytes) -> Reply:
        """The reply to the client's response; `*` gives up (RFC 4954 §4)."""
        step, self._next = self._next, None
        if line == b"*" or step is None:
            return said.AUTH_CANCELLED
        return await step(line)

    def _ask(self, step: Callable[[bytes], Awaitable[Reply]], challenge: bytes) -> Reply:
        self._next = step
        return reply(334, None, base64.b64encode(challenge).decode())

    async def _plain(self, response: bytes) -> Reply:
        try:
            user, password = sasl.plain(sasl.decode(response))
        except sasl.SaslError:
            return said.AUTH_SYNTAX
        return await self._check(user, password)

    async def _name(self, response: bytes) -> Reply:
        try:
            self._user = sasl.text(sasl.decode(response))
        except sasl.SaslError:
            return said.AUTH_SYNTAX
        return self._ask(self._password, sasl.LOGIN_PASSWORD)

    async def _password(self, response: bytes) -> Reply:
        try:
            return await self._check(self._user, sasl.text(sasl.decode(response)))
        except sasl.SaslError:
            return said.AUTH_SYNTAX

    async def _check(self, user: str, password: str) -> Reply:
        outcome = await self._check_login(user, password)
        if isinstance(outcome, Login):
            self.login = outcome
            return said.AUTH_OK
        self._tries += 1
        if outcome.told and self._tries < _TRIES:
            return reply(535, "7.8", outcome.told, "Phải đổi mật khẩu ban đầu trước")
        return said.AUTH_TOO_OFTEN if self._tries >= _TRIES else said.AUTH_FAILED
