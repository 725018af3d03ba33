"""What every request passes first: who asks, by which way, how often, how much; and what every answer bears."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bdmta.clock import Clock
from bdmta.limits import network_of
from bdmta.limits.network import Networks

BODY_OCTETS = 16_384
BODY_S = 15.0
HEAD_OCTETS = 16_384
PATH_OCTETS = 2_048
REQUEST_S = 90.0  # waits after wrong passwords included
_NETWORKS = 10_000
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
# Mail programs ask for these by plain HTTP (Thunderbird); nothing secret is in them.
_PLAIN_PATHS = frozenset({"/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"})


class Rate:
    """So many requests a minute from one network, in memory; a bucket that fills evenly."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_s = per_minute / 60
        self._burst = float(per_minute)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, when that was

    def wait_s(self, network: str) -> float:
        """0 when one more may come now; else after how many seconds."""
        now = self._clock.monotonic()
        tokens, at = self._buckets.pop(network, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._per_s)
        if len(self._buckets) >= _NETWORKS:
            self._buckets.pop(next(iter(self._buckets)))  # the one that asked longest ago
        self._buckets[network] = (tokens - 1 if tokens >= 1 else tokens, now)
        return 0.0 if tokens >= 1 else (1 - tokens) / self._per_s


class Guard:
    """The outermost layer. Sets `scope["client"]` and `scope["scheme"]` to those of the person, behind a proxy too."""

    def __init__(
        self, application: ASGIApp, *, plain: Networks, proxies: Networks, exempt: Networks, rate: Rate, url: str
    ) -> None:
        self._application = application
        self._plain = plain
        self._proxies = proxies
        self._exempt = exempt
        self._rate = rate
        self._url = url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        self._see_client(scope, headers)
        send = _with_headers(send, scope["path"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        bounded = _Bounded(receive, send)
        try:
            async with asyncio.timeout(REQUEST_S):
                await self._application(scope, bounded.receive, bounded.send)
        except TimeoutError:
            if not bounded.has_started:
                await _said(408, "Yêu cầu quá chậm.")(scope, receive, send)

    def _see_client(self, scope: Scope, headers: Mapping[str, str]) -> None:
        client = (scope.get("client") or ("", 0))[0]
        if client in self._proxies:
            forwarded = [part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]
            # the last one that is no proxy of ours: what stands before it, the client wrote
            client = next((one for one in reversed(forwarded) if one not in self._proxies), client)
            if headers.get("x-forwarded-proto", "").strip().lower() in ("http", "https"):
                scope["scheme"] = headers["x-forwarded-proto"].strip().lower()
        scope["client"] = (client[:45], 0)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        client = scope["client"][0]
        if client not in self._exempt and (wait_s := self._rate.wait_s(network_of(client))):
            answer = _said(429, "Quá nhiều yêu cầu, xin thử lại sau.")
            answer.headers["retry-after"] = str(int(wait_s) + 1)
            return answer
        if scope["scheme"] == "http" and client not in self._plain and scope["path"] not in _PLAIN_PATHS:
            return RedirectResponse(self._url, 308 if scope["method"] in ("GET", "HEAD") else 303)
        if len(scope["raw_path"]) + len(scope["query_string"]) > PATH_OCTETS:
            return _said(414, "Địa chỉ quá dài.")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_OCTETS:
            return _said(431, "Yêu cầu quá lớn.")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_OCTETS:
            return _said(413, "Yêu cầu quá lớn.")
        return None


def _refused(code: int, text: str) -> HTTPException:
    """The rest of the body is not waited for."""
    return HTTPException(code, text, {"connection": "close"})


class _Bounded:
    """The body within its bounds; knows whether the answer has begun."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._octets = 0
        self._end_at = asyncio.get_running_loop().time() + BODY_S
        self._is_whole = False
        self.has_started = False

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._end_at):
                message = await self._receive()
        except TimeoutError:
            raise _refused(408, "Yêu cầu quá chậm.") from None
        self._octets += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._octets > BODY_OCTETS:
            raise _refused(413, "Yêu cầu quá lớn.")
        return message

    async def send(self, message: Message) -> None:
        self.has_started = True
        await self._send(message)


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _with_headers(send: Send, path: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name for name, _ in message["headers"]}
            added = {**_HEADERS, "cache-control": "no-store"}
            message["headers"] = [
                *message["headers"],
                *((n.encode(), v.encode()) for n, v in added.items() if n.encode() not in given),
            ]
        await send(message)

    return sending


def _said(code: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", code, {"connection": "close"})
