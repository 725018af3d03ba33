"""What every page works with, and how a page is made."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bdmta.auth import Authenticator
from bdmta.clock import Clock
from bdmta.config.shipped import shipped
from bdmta.facts import Fact
from bdmta.limits.network import Networks
from bdmta.web.clients import Offer
from bdmta.web.sessions import Sessions, WebSession
from bdmta.web.shelf import Shelf


@dataclass(frozen=True, slots=True)
class House:
    """The objects behind the pages. `ask(actor, call, **arguments)`: one registered call in the one writer's turn."""

    ask: Callable[..., Awaitable[Any]]
    authenticator: Authenticator
    sessions: Sessions
    shelf: Shelf
    offer: Offer
    clock: Clock
    log: Any
    url: str
    domain: str
    postmaster: str
    is_book_public: bool
    figures: Callable[[], bytes]
    """What /metrics shows; blocks."""
    metrics_networks: Networks
    record: Callable[[Sequence[Fact]], None]
    off_loop: Callable[..., Awaitable[Any]]


def house_of(request: Request) -> House:
    """The house of this request."""
    found: House = request.app.state.house
    return found


def environment() -> Environment:
    """The templates in `conf/templates/web`, autoescaped, nothing undefined passed over."""
    made = Environment(
        loader=FileSystemLoader(shipped("templates", "web")), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["size"] = _size
    made.filters["moment"] = _moment
    made.filters["counted"] = lambda count: f"{count:,}".replace(",", ".")
    return made


def _size(octets: int) -> str:
    """`1,5 GB`, `820 KB`: as people here write it, in units of 1024."""
    size, unit = float(octets), "byte"
    for unit in ("byte", "KB", "MB", "GB", "TB"):
        if size < 1024 or unit == "TB":
            break
        size /= 1024
    text = f"{size:.0f}" if unit == "byte" or size >= 100 else f"{size:.1f}".removesuffix(".0")
    return f"{text.replace('.', ',')} {unit}"


def _moment(text: str | None) -> str:
    return datetime.fromisoformat(text).strftime("%H:%M %d/%m/%Y") if text else "chưa dùng"


def page(request: Request, name: str, /, status: int = 200, **values: Any) -> Response:
    """The page made of the template `name`, for whoever is logged in."""
    house = house_of(request)
    session = current(request)
    made: Environment = request.app.state.templates
    text = made.get_template(name).render(
        domain=house.domain, session=session, path=request.url.path, csrf=session.csrf if session else "",
        postmaster=house.postmaster, is_book_public=house.is_book_public, **values,
    )  # fmt: skip
    return HTMLResponse(text, status)


def cookie_name(request: Request) -> str:
    """`__Host-` keeps other hosts of the domain from setting it; browsers allow it under TLS only (RFC 6265bis)."""
    return "__Host-bdmta" if request.url.scheme == "https" else "bdmta"


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """A cookie of the browser's session that no script reads and no other site sends."""
    response.set_cookie(name, value, secure=request.url.scheme == "https", httponly=True, samesite="strict", path="/")


def drop_cookie(request: Request, response: Response, name: str) -> None:
    """Take it back; a browser lets go of a `__Host-` cookie only by the attributes it was set with."""
    response.delete_cookie(name, secure=request.url.scheme == "https", httponly=True, samesite="strict", path="/")


def current(request: Request) -> WebSession | None:
    """Who is logged in, or None. Looked up once a request, so that idling counts it once."""
    if not hasattr(request.state, "session"):
        token = request.cookies.get(cookie_name(request), "")
        request.state.session = house_of(request).sessions.find(token) if token else None
    found: WebSession | None = request.state.session
    return found


class LoginWanted(Exception):
    """The page is for somebody who is logged in."""


class ChangeWanted(Exception):
    """The initial password is to be changed before anything else."""


def required(request: Request, *, with_initial: bool = False) -> WebSession:
    """Who is logged in; LoginWanted, or ChangeWanted with an initial password unless `with_initial`."""
    session = current(request)
    if session is None:
        raise LoginWanted
    if session.login.must_change and not with_initial:
        raise ChangeWanted
    return session


def to_login(request: Request, error: Exception) -> Response:
    """LoginWanted: to the login page."""
    return RedirectResponse("/login", 303)


def to_change(request: Request, error: Exception) -> Response:
    """ChangeWanted: to the page of the password."""
    return RedirectResponse("/account/password", 303)


def form_cookie(request: Request) -> str:
    """The name of the cookie that binds a login form to its browser before anybody is logged in."""
    return f"{cookie_name(request)}-form"


def form_word(request: Request) -> str:
    """The word in that cookie; a new one where there is none."""
    return request.cookies.get(form_cookie(request), "") or secrets.token_urlsafe(24)


def check_form_word(request: Request, fields: dict[str, str]) -> None:
    """403 unless the form bears the word of its cookie."""
    word = request.cookies.get(form_cookie(request), "")
    if not word or not hmac.compare_digest(fields.get("csrf", "").encode(), word.encode()):
        raise HTTPException(403, "Biểu mẫu đã cũ, xin tải lại trang đăng nhập và thử lại.")
