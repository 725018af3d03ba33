"""The pages of one who has a mailbox: log in, own password, devices, how full the mailbox is. No mail is shown."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bdmta.auth import Login
from bdmta.auth.login import WEB
from bdmta.directory.passwords import check_policy, hash_password
from bdmta.errors import BdmtaError
from bdmta.facts import login_fact
from bdmta.web.forms import check_csrf, read_form
from bdmta.web.house import (
    House,
    check_form_word,
    cookie_name,
    current,
    drop_cookie,
    form_cookie,
    form_word,
    house_of,
    page,
    required,
    set_cookie,
)
from bdmta.web.sessions import WebSession

_TEXT_MAX = 1024
_SCOPES = ("imap", "pop3", "smtp")
_BY_OWNER = "Tự thực hiện trên trang web"
_WRONG = "Sai địa chỉ hoặc mật khẩu, hoặc hộp thư đang tạm dừng."


def _ip(request: Request) -> str:
    return request.client.host if request.client is not None else ""


async def login_page(request: Request) -> Response:
    """GET /login."""
    if current(request) is not None:
        return RedirectResponse("/account", 303)
    return _login_form(request, "", "")


def _login_form(request: Request, wrong: str, address: str, status: int = 200) -> Response:
    word = form_word(request)
    answer = page(request, "login.html.j2", status=status, wrong=wrong, address=address, word=word)
    set_cookie(request, answer, form_cookie(request), word)
    return answer


async def login(request: Request) -> Response:
    """POST /login: wrong passwords wait as they do by IMAP and SMTP, and count with them."""
    fields = await read_form(request)
    check_form_word(request, fields)
    user, password = fields.get("address", "").strip(), fields.get("password", "")
    if not user or not password or max(len(user), len(password)) > _TEXT_MAX:
        return _login_form(request, _WRONG, user[:320], 403)
    house = house_of(request)
    found = await house.authenticator.login(user, password, _ip(request), WEB)
    if not isinstance(found, Login):
        return _login_form(request, _WRONG, user[:320], 403)
    house.record([login_fact(found, WEB, _ip(request), house.clock.time())])
    return _begun(request, house, found)


def _begun(request: Request, house: House, login: Login) -> Response:
    """A session of its own name, never one that was there before (fixation)."""
    house.sessions.end(request.cookies.get(cookie_name(request), ""))
    answer = RedirectResponse("/account/password" if login.must_change else "/account", 303)
    set_cookie(request, answer, cookie_name(request), house.sessions.begin(login))
    drop_cookie(request, answer, form_cookie(request))
    return answer


async def logout(request: Request) -> Response:
    """POST /logout."""
    session = required(request, with_initial=True)
    check_csrf(await read_form(request), session.csrf)
    house_of(request).sessions.end(request.cookies.get(cookie_name(request), ""))
    answer = RedirectResponse("/", 303)
    drop_cookie(request, answer, cookie_name(request))
    answer.headers["clear-site-data"] = '"cache"'
    return answer


async def account(request: Request) -> Response:
    """GET /account: how full the mailbox is, who logged in of late."""
    session, house = required(request), house_of(request)
    box = await house.ask(session.address, "mailbox_show", address=session.address)
    logins = await house.ask(session.address, "login_list", address=session.address, limit_count=15)
    limit = box["quota_octets"]
    percent = min(100, box["used_octets"] * 100 // limit) if limit else 0
    return page(request, "account.html.j2", box=box, logins=logins, percent=percent)


async def password_page(request: Request) -> Response:
    """GET /account/password."""
    session = required(request, with_initial=True)
    return page(request, "password.html.j2", wrong="", done=False, initial=session.login.must_change)


async def change_password(request: Request) -> Response:
    """POST /account/password: with the old one, which waits when wrong; every other session of the owner ends."""
    session, house = required(request, with_initial=True), house_of(request)
    fields = await read_form(request)
    check_csrf(fields, session.csrf)
    old, new, again = (fields.get(name, "") for name in ("old", "new", "again"))
    wrong = await _refusal(request, house, session, old, new, again)
    if wrong:
        return page(request, "password.html.j2", status=422, wrong=wrong, done=False, initial=session.login.must_change)
    hashed = await house.off_loop(hash_password, new)
    await house.ask(
        session.address, "password_change", grounds=_BY_OWNER, address=session.address, password_hash=hashed
    )
    house.sessions.end_all_of(session.address)
    found = await house.authenticator.login(session.address, new, _ip(request), WEB)
    if not isinstance(found, Login):  # suspended in this very moment
        return RedirectResponse("/login", 303)
    token = house.sessions.begin(found)
    request.state.session = house.sessions.find(token)
    answer = page(request, "password.html.j2", wrong="", done=True, initial=False)
    set_cookie(request, answer, cookie_name(request), token)
    return answer


async def _refusal(
    request: Request, house: House, session: WebSession, old: str, new: str, again: str
) -> str:  # fmt: skip
    """Why the password is not changed, for a person to read; "" when it is."""
    if len(old) > _TEXT_MAX:
        return "Mật khẩu hiện tại không đúng."
    if new != again:
        return "Hai lần nhập mật khẩu mới không giống nhau."
    try:
        check_policy(new, session.address)
    except BdmtaError as error:
        text = str(error).partition(" / ")[0]
        return f"{text[:1].upper()}{text[1:]}."
    if new == old:
        return "Mật khẩu mới phải khác mật khẩu hiện tại."
    found = await house.authenticator.login(session.address, old, _ip(request), WEB)
    return "" if isinstance(found, Login) else "Mật khẩu hiện tại không đúng."


async def devices_page(request: Request) -> Response:
    """GET /account/devices."""
    return await _devices(request, required(request), {})


async def _devices(request: Request, session: WebSession, more: dict[str, Any], status: int = 200) -> Response:
    house = house_of(request)
    boxes = []
    for address in await _own_boxes(house, session):
        listed = await house.ask(session.address, "app_password_list", address=address)
        is_own = address == session.address
        shown = [one for one in listed if is_own or one["holder"] == session.address]
        boxes.append({"address": address, "is_own": is_own, "devices": shown})
    values = {"wrong": "", "made": None, **more}
    return page(request, "devices.html.j2", status=status, boxes=boxes, **values)


async def _own_boxes(house: House, session: WebSession) -> list[str]:
    """The mailbox itself, and the agencies' mailboxes that its person may act for."""
    acts_for = await house.ask(session.address, "delegate_boxes", address=session.address)
    return [session.address, *acts_for]


async def change_devices(request: Request) -> Response:
    """POST /account/devices: `do` is add or revoke. In an agency's mailbox only what is one's own."""
    session, house = required(request), house_of(request)
    fields = await read_form(request)
    check_csrf(fields, session.csrf)
    address, label = fields.get("address", ""), " ".join(fields.get("label", "").split())
    if address not in await _own_boxes(house, session):
        raise HTTPException(403, "Anh/chị không sử dụng hộp thư này.")
    holder = "" if address == session.address else session.address
    try:
        if fields.get("do") == "add":
            scope = [one for one in _SCOPES if one in fields]
            if not label or len(label) > 60 or not scope:
                return await _devices(
                    request, session, {"wrong": "Cần tên thiết bị (nhiều nhất 60 ký tự) và ít nhất một việc."}, 422
                )
            made = await house.ask(
                session.address, "app_password_add", grounds=_BY_OWNER, address=address, label=label, scope=scope,
                holder=holder,
            )  # fmt: skip
            return await _devices(request, session, {"made": made})
        await _revoke(house, session, address, label, holder)
    except BdmtaError:
        text = f"Không thực hiện được với “{label}”: tên đã có, đã bị thu hồi, hoặc đã đủ số thiết bị."
        return await _devices(request, session, {"wrong": text}, 422)
    return RedirectResponse("/account/devices", 303)


async def _revoke(house: House, session: WebSession, address: str, label: str, holder: str) -> None:
    listed = await house.ask(session.address, "app_password_list", address=address)
    if holder and not any(one["label"] == label and one["holder"] == holder for one in listed):
        raise BdmtaError(f"{label}: is not of {holder}")
    await house.ask(session.address, "app_password_remove", grounds=_BY_OWNER, address=address, label=label)
