"""The application: every path, and what is said when something is wrong. Which is all that this module knows."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bdmta.web import account, public
from bdmta.web.house import ChangeWanted, House, LoginWanted, environment, house_of, page, to_change, to_login

_ROUTES = [
    Route("/", public.home),
    Route("/static/{name}", public.static),
    Route("/favicon.ico", public.no_icon),
    Route("/metrics", public.metrics),
    Route("/connection", public.connection),
    Route("/connection/profile.mobileconfig", public.apple),
    Route("/mail/config-v1.1.xml", public.thunderbird),
    Route("/.well-known/autoconfig/mail/config-v1.1.xml", public.thunderbird),
    *(
        Route(path, public.outlook, methods=["POST"])
        for path in ("/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml",
                     "/AutoDiscover/AutoDiscover.xml", "/autodiscover/Autodiscover.xml")
    ),
    Route("/addressbook", public.addressbook),
    Route("/addressbook/{file}", public.addressbook_file),
    Route("/login", account.login_page),
    Route("/login", account.login, methods=["POST"]),
    Route("/logout", account.logout, methods=["POST"]),
    Route("/account", account.account),
    Route("/account/password", account.password_page),
    Route("/account/password", account.change_password, methods=["POST"]),
    Route("/account/devices", account.devices_page),
    Route("/account/devices", account.change_devices, methods=["POST"]),
]  # fmt: skip
_SAID = {
    400: "Yêu cầu không đọc được.", 403: "Yêu cầu không được chấp nhận.", 404: "Không có trang này.",
    405: "Trang này không nhận yêu cầu như vậy.",
}  # fmt: skip


def make_application(house: House) -> Starlette:
    """The ASGI application of this house, without its guard."""
    application = Starlette(
        routes=_ROUTES,
        exception_handlers={
            LoginWanted: to_login, ChangeWanted: to_change, HTTPException: _said, Exception: _failed,
        },
    )  # fmt: skip
    application.state.house = house
    application.state.templates = environment()
    return application


async def _said(request: Request, error: Any) -> Response:
    text = error.detail if any(ord(letter) > 127 for letter in error.detail) else ""
    answer = page(
        request, "error.html.j2", status=error.status_code, code=error.status_code,
        text=text or _SAID.get(error.status_code, "Yêu cầu không được chấp nhận."),
    )  # fmt: skip
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


async def _failed(request: Request, error: Exception) -> Response:
    """The cause is for the log; the person gets a word to call it by."""
    reference = secrets.token_hex(4)
    house_of(request).log.error("page failed", path=request.url.path, reference=reference, exc_info=error)
    text = f"Hệ thống gặp lỗi. Xin thử lại sau, hoặc báo mã {reference} cho quản trị."
    return page(request, "error.html.j2", status=500, code=500, text=text)
