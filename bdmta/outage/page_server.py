"""The status page's answers: the files of the moment, out of memory, for whoever asks while mail is dead."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import socket
from collections.abc import Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from bdmta.outage.channels import ChannelError
from bdmta.outage.channels.push import push, push_token
from bdmta.outage.page_files import Picture, files, picture_of, printed_in, write_files
from bdmta.outage.texts import Texts
from bdmta.site import Site
from storage.errors import StoreError

LOOK_EVERY_S = 1.0
_FRESH_S = 60.0
_CONNECTIONS = 2000
_CONNECTION_S = 30.0
_PUSH_AGAIN_S = 60.0
_PDF = re.compile(r"thong-bao-[0-9]{8}-[0-9]{1,4}\.pdf")
_TYPES = {"html": "text/html; charset=utf-8", "xml": "application/atom+xml; charset=utf-8", "json": "application/json"}
_HEADERS = {
    "Cache-Control": "max-age=15", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Access-Control-Allow-Origin": "*",
}  # fmt: skip


class Shown:
    """What is answered now. `refresh` looks at the office's files; when mail falls silent, or is back, it writes the
    page's folder itself and brings it to the portal, since nobody else may be there to do it.
    """

    def __init__(self, site: Site, texts: Texts, clock: Clock, log: Any) -> None:
        self._site = site
        self._texts = texts
        self._clock = clock
        self._log = log
        self._key: object = None
        self._made_at = float("-inf")
        self._is_silent: bool | None = None
        self._unpushed: set[str] = set()
        self._push_at = float("-inf")
        self.files: dict[str, bytes] = {}
        self.silent_since: float | None = None

    @property
    def page_folder(self) -> str:
        """The folder of the files."""
        return os.path.join(self._site.outage_dir, "page")

    def refresh(self) -> None:
        """Look; what cannot be read leaves what was shown. Blocks."""
        try:
            picture = picture_of(self._site.outage_dir, self._clock.now())
            self.silent_since = picture.pulse.silent_since
            printed = printed_in(self.page_folder)
            key, now = (picture.key, printed), self._clock.monotonic()
            if key != self._key or now - self._made_at >= _FRESH_S:
                self.files = files(picture, self._texts, self._site, printed)
                self._key, self._made_at = key, now
                self._act_for_the_dead(picture)
        except (StoreError, OSError) as error:
            self._log.error("the page stays as it was", reason=str(error))
        self._push_what_is_left()

    def _act_for_the_dead(self, picture: Picture) -> None:
        is_silent = picture.pulse.silent_since is not None
        if is_silent == self._is_silent or (self._is_silent is None and not is_silent):
            self._is_silent = is_silent
            return
        self._is_silent = is_silent
        write_files(self.page_folder, picture, self._texts, self._site)
        self._unpushed = set(self._site.config.outage.push)
        self._push_at = float("-inf")
        self._log.warning("mail does not answer" if is_silent else "mail answers again", state=picture.state)

    def _push_what_is_left(self) -> None:
        if not self._unpushed or self._clock.monotonic() - self._push_at < _PUSH_AGAIN_S:
            return
        self._push_at = self._clock.monotonic()
        config = self._site.config
        for target in sorted(self._unpushed):
            try:
                token = push_token(config.outage.push_token)
                done = push(
                    self.page_folder, target, token=token, dns_servers=config.dns.servers,
                    ca_file=config.transport.ca_file,
                )  # fmt: skip
            except ChannelError as error:
                self._log.error("page not pushed, tried again", target=target, reason=str(error))
            else:
                self._unpushed.discard(target)
                self._log.info("page pushed", target=target, receipt=done)

    def reload(self) -> None:
        """SIGHUP: the texts anew; broken ones leave the old."""
        outage = self._site.config.outage
        try:
            self._texts = Texts.load(outage.notices, self._site.config.clock.timezone, outage.status_url)
        except BdmtaError as error:
            self._log.error("not reloaded, the old one stays", what="texts of notices", reason=str(error))
        self._key = None


def application(shown: Shown) -> Starlette:
    """GET and HEAD of the files; everything else is refused."""

    async def answer(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        octets = shown.files.get(name)
        kind = _TYPES.get(name.rpartition(".")[2], "")
        if octets is None and _PDF.fullmatch(name):
            octets, kind = await asyncio.to_thread(_read, os.path.join(shown.page_folder, name)), "application/pdf"
        if octets is None:
            return Response("404\n", 404, media_type="text/plain")
        etag = f'"{hashlib.blake2b(octets, digest_size=12).hexdigest()}"'
        headers = {**_HEADERS, "ETag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(octets, headers=headers, media_type=kind)

    return Starlette(routes=[Route("/", answer), Route("/{name}", answer)])


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


class _Bounded(H11Protocol):
    """A connection ends after half a minute, whatever the peer is doing: who says nothing holds no place for long."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(_CONNECTION_S, transport.close)
        self.loop.call_later(_CONNECTION_S + 10, transport.abort)


async def serve(shown: Shown, sockets: Sequence[socket.socket], ended: Any, log: Any) -> None:
    """Answer on `sockets` until SIGTERM, or until `ended()` says why nobody needs it any more."""
    config = uvicorn.Config(
        application(shown), log_config=None, access_log=False, server_header=False, lifespan="off", http=_Bounded,
        ws="none", limit_concurrency=_CONNECTIONS, timeout_keep_alive=5, timeout_graceful_shutdown=2, backlog=512,
    )  # fmt: skip
    server = uvicorn.Server(config)

    async def look() -> None:
        while not server.should_exit:
            await asyncio.to_thread(shown.refresh)
            if why := ended():
                log.info("status page ends", reason=why)
                server.should_exit = True
            await asyncio.sleep(LOOK_EVERY_S)

    await asyncio.to_thread(shown.refresh)
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        await server.serve(sockets=list(sockets))
        looking.cancel()
