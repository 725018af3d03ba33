"""The pages, as a browser without JavaScript and as somebody with bad intentions."""

import json
import plistlib
import re
import socket
import time
from xml.etree import ElementTree

import pytest

from tests.site import DOMAIN
from tests.system.browser import Browser
from tests.system.test_devices import imap
from tests.system.wire import Wire, deliver, here, letter, office

PUBLIC = ("/", "/login", "/connection", "/addressbook", "/addressbook?q=minh", "/nowhere")
PRIVATE = ("/account", "/account/password", "/account/devices", "/addressbook?internal=1")


@pytest.fixture
def person(site, mailbox):
    """A logged-in browser and its address."""
    local = mailbox(password="Mat-khau-2060")
    browser = Browser(site)
    assert browser.log_in(here(local), "Mat-khau-2060").status == 303
    return browser, here(local)


def test_log_in_look_log_out(site, person):
    browser, address = person
    page = browser.get("/account")
    assert page.status == 200 and address in page.text and "Dung lượng" in page.text
    out = browser.post("/logout", {"csrf": page.value("csrf")})
    assert all("Secure" in cookie and "Path=/" in cookie for cookie in out.cookies) and len(out.cookies) == 1
    assert (out.status, out.headers["location"]) == (303, "/")
    assert browser.get("/account").headers["location"] == "/login"


def test_the_cookie_is_strict_http_only_and_new_at_every_login(site, mailbox):
    local, browser = mailbox(password="Mat-khau-2061"), Browser(site)
    browser.cookies["__Host-bdmta"] = "planted"
    page = browser.log_in(here(local), "Mat-khau-2061")
    (cookie,) = [one for one in page.cookies if one.startswith("__Host-bdmta=")]
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= set(cookie.split("; "))
    first = browser.cookies["__Host-bdmta"]
    assert first != "planted" and len(first) >= 40
    other = Browser(site)
    other.log_in(here(local), "Mat-khau-2061")
    assert other.cookies["__Host-bdmta"] != first
    plain = Browser(site, tls=False)
    (cookie,) = [one for one in plain.log_in(here(local), "Mat-khau-2061").cookies if one.startswith("bdmta=")]
    assert "Secure" not in cookie and "HttpOnly" in cookie


def test_an_old_cookie_is_worth_nothing_after_logging_out(site, person):
    browser, _ = person
    kept = dict(browser.cookies)
    browser.post("/logout", {"csrf": browser.get("/account").value("csrf")})
    browser.cookies = kept
    assert browser.get("/account").status == 303


@pytest.mark.parametrize("path", PRIVATE)
def test_private_pages_are_for_those_who_are_logged_in(site, path):
    page = Browser(site).get(path)
    assert (page.status, page.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("path", [*PUBLIC, *PRIVATE])
def test_no_page_needs_a_script_or_runs_one_inline(site, person, path):
    page = person[0].get(path)
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "'unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff" and page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:|https?://", page.text, re.I)


def test_a_form_without_its_word_changes_nothing(site, person):
    browser, address = person
    for word in ("", "x" * 43):
        fields = {"csrf": word, "do": "add", "address": address, "label": "kẻ gian", "imap": "on"}
        assert browser.post("/account/devices", fields).status == 403
    assert browser.post("/logout", {}).status == 403
    assert office(site, "app_password_list", address=address) == []


def test_a_form_from_another_site_changes_nothing(site, person):
    browser, address = person
    fields = {
        "csrf": browser.get("/account").value("csrf"),
        "do": "add",
        "address": address,
        "label": "x",
        "imap": "on",
    }
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert browser.post("/account/devices", fields, **headers).status == 403
    own = f"https://localhost:{site.port('web')}"
    assert browser.post("/account/devices", fields, Origin=own).status == 200


def test_a_login_form_of_another_browser_logs_nobody_in(site, mailbox):
    local = mailbox(password="Mat-khau-2062")
    word = Browser(site).get("/login").value("csrf")
    fields = {"csrf": word, "address": here(local), "password": "Mat-khau-2062"}
    assert Browser(site).post("/login", fields).status == 403


def test_wrong_passwords_say_the_same_whoever_is_asked_for(site, mailbox):
    local = mailbox(password="Mat-khau-2063")
    suspended = mailbox(password="Mat-khau-2063")
    office(site, "mailbox_status", address=here(suspended), status="suspended")
    said = []
    for user, password in ((local, "sai"), ("nobody", "sai"), (suspended, "Mat-khau-2063")):
        page = Browser(site).log_in(here(user), password)
        assert page.status == 403
        said.append(re.sub(r'value="[^"]*"', "", page.text))
    assert said[0] == said[1] == said[2]


def test_wrong_passwords_on_the_page_count_by_smtp_too(own_site):
    site = own_site({"dns": {"servers": "[]"}, "limits": {"auth_backoff_s": "1"}})
    site.start()
    browser = Browser(site, tls=False)
    for _ in range(4):
        assert browser.log_in(f"minhnv@{DOMAIN}", "sai").status == 403
    started = time.monotonic()
    with Wire(site, "submissions") as wire:
        assert wire.login("minhnv", "sai").code == 535  # the fifth, and it waits as such
    assert time.monotonic() - started > 0.5


def test_an_application_password_does_not_open_the_pages(site, mailbox):
    local = mailbox(password="Mat-khau-2064")
    secret = office(site, "app_password_add", address=here(local), label="điện thoại")["password"]
    assert Browser(site).log_in(here(local), secret).status == 403


def test_an_initial_password_opens_the_page_of_the_password_only(site, mailbox):
    local, browser = mailbox(), Browser(site)
    secret = office(site, "mailbox_password", address=here(local), generate_password=True)["password"]
    assert browser.log_in(here(local), secret).headers["location"] == "/account/password"
    for path in ("/account", "/account/devices", "/addressbook?internal=1"):
        assert browser.get(path).headers["location"] == "/account/password"
    word = browser.get("/account/password").value("csrf")

    def change(new, again=None, old=secret):
        return browser.post("/account/password", {"csrf": word, "old": old, "new": new, "again": again or new})

    for page, said in (
        (change("ngan"), "ít nhất 10 ký tự"), (change("abcdefghij"), "ba trong bốn loại"),
        (change("Mat-khau-2065", "khac"), "không giống nhau"), (change("Mat-khau-2065", old="sai"), "không đúng"),
    ):  # fmt: skip
        assert page.status == 422 and said in page.text
    other = Browser(site)
    other.log_in(here(local), secret)
    page = change("Mat-khau-2065")
    assert page.status == 200 and "Đã đổi mật khẩu" in page.text
    assert browser.get("/account").status == 200
    assert other.get("/account/password").headers["location"] == "/login"  # where it was open, it is no longer
    assert Browser(site).log_in(here(local), secret).status == 403
    act = office(site, "audit_list", subject=here(local), limit_count=1)[0]
    assert (act["actor"], act["action"], act["grounds"]) == (
        here(local), "mailbox.password", "Tự thực hiện trên trang web",
    )  # fmt: skip
    with imap(site, here(local), "Mat-khau-2065"):
        pass


def test_a_device_is_made_used_seen_and_revoked(site, person):
    browser, address = person
    word = browser.get("/account/devices").value("csrf")
    fields = {"csrf": word, "do": "add", "address": address, "label": "Máy bàn", "imap": "on"}
    page = browser.post("/account/devices", fields)
    secret = re.search(r'class="secret"><code>([^<]+)<', page.text)[1]
    assert secret not in browser.get("/account/devices").text
    assert browser.post("/account/devices", fields).status == 422  # the name is taken
    with imap(site, address, secret):
        pass
    site.wait_for(lambda: "imap 127.0.0.1" in browser.get("/account/devices").text)
    assert "Máy bàn" in browser.get("/account").text  # among the logins
    browser.post("/account/devices", {"csrf": word, "do": "revoke", "address": address, "label": "Máy bàn"})
    with pytest.raises(Exception, match="AUTHENTICATIONFAILED"):
        imap(site, address, secret)


def test_a_clerk_manages_own_devices_in_the_agency_and_nobody_elses(site, mailbox, person):
    browser, address = person
    agency, stranger = here(mailbox(kind="agency")), here(mailbox(kind="agency"))
    office(site, "delegate_add", address=agency, delegate=address)
    office(site, "app_password_add", address=agency, label="Của người khác", holder="Trần Thị Lan")
    page = browser.get("/account/devices")
    assert agency in page.text and stranger not in page.text and "Của người khác" not in page.text
    word = page.value("csrf")
    add = {"csrf": word, "do": "add", "label": "Máy của tôi", "imap": "on"}
    assert browser.post("/account/devices", {**add, "address": agency}).status == 200
    assert browser.post("/account/devices", {**add, "address": stranger}).status == 403
    revoke = {"csrf": word, "do": "revoke", "address": agency, "label": "Của người khác"}
    assert browser.post("/account/devices", revoke).status == 422
    assert {(one["label"], one["holder"]) for one in office(site, "app_password_list", address=agency)} == {
        ("Của người khác", "Trần Thị Lan"), ("Máy của tôi", address),
    }  # fmt: skip


def test_no_page_shows_anything_of_a_letter(site, person):
    browser, address = person
    assert deliver(site, letter("Chuyện riêng 4711", author="ban@example.org"), address).code == 250
    pages = [browser.get(path).text for path in (*PUBLIC, *PRIVATE)]
    assert not any("4711" in text or "ban@example.org" in text for text in pages)
    assert "1 thư" in pages[len(PUBLIC)]


def test_what_is_too_large_is_refused(site, person):
    browser, _ = person
    assert browser.post("/login", {"password": "x" * 20_000}).status == 413
    assert browser.get("/" + "x" * 5_000).status == 414
    assert browser.get("/", Cookie2="x" * 17_000).status == 431
    assert browser.request("POST", "/login", b"{}", {"Content-Type": "application/json"}).status == 415
    chunked = b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    chunked += b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + (b"1000\r\n" + b"a" * 4096 + b"\r\n") * 5
    with socket.create_connection(("127.0.0.1", site.port("web")), 20) as raw:
        raw.sendall(chunked)
        assert b" 413 " in raw.recv(100)


def test_fields_that_come_twice_or_are_no_text_are_refused(site):
    browser = Browser(site)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"csrf=a&csrf=b", b"csrf=%FF", b"csrf=%00", b"&".join(b"a%d=1" % n for n in range(50)), b"\xff"):
        assert browser.request("POST", "/login", body, kind).status == 400


@pytest.mark.slow
def test_a_head_that_trickles_in_is_ended(site):
    with socket.create_connection(("127.0.0.1", site.port("web")), 40) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n")
        assert raw.recv(100) == b""


def test_pages_without_tls_are_for_this_machine(own_site):
    site = own_site({"dns": {"servers": "[]"}, "web": {"plain_networks": "[]", "requests_per_minute": "20"}})
    site.start()
    browser = Browser(site, tls=False)
    page = browser.get("/login")
    assert (page.status, page.headers["location"]) == (308, f"https://localhost:{site.port('web')}/")
    assert browser.get("/.well-known/autoconfig/mail/config-v1.1.xml").status == 200
    assert Browser(site).get("/login").status == 200
    pages = [browser.get("/") for _ in range(25)]  # and not too often
    assert pages[-1].status == 429 and int(pages[-1].headers["retry-after"]) >= 1


@pytest.mark.slow
def test_only_a_proxy_of_ours_says_who_asks(own_site):
    site = own_site({"dns": {"servers": "[]"}, "web": {"proxy_networks": '["127.0.0.0/8"]'}})
    site.start()
    said = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Proto": "https"}
    browser = Browser(site, tls=False, headers=said)
    assert browser.log_in(f"minhnv@{DOMAIN}", "Mat-khau-2026").status == 303
    assert "__Host-bdmta" in browser.cookies
    logins = office(site, "login_list", address=f"minhnv@{DOMAIN}")
    site.wait_for(lambda: office(site, "login_list", address=f"minhnv@{DOMAIN}"))
    logins = office(site, "login_list", address=f"minhnv@{DOMAIN}")
    assert logins[0]["ip"] == "198.51.100.7"
    outside = Browser(site, tls=False, headers={"X-Forwarded-For": "198.51.100.7"})
    assert outside.get("/login").status == 308  # not from this machine, and without TLS


def test_who_is_no_proxy_says_nothing(site, person):
    browser = Browser(site, headers={"X-Forwarded-For": "198.51.100.7"})
    address = person[1]
    assert browser.log_in(address, "Mat-khau-2060").status == 303
    site.wait_for(lambda: len(office(site, "login_list", address=address)) == 2)
    assert {one["ip"] for one in office(site, "login_list", address=address)} == {"127.0.0.1"}


AUTODISCOVER = """<?xml version="1.0" encoding="utf-8"?>{before}
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>
<EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
</Request></Autodiscover>"""


def ask_outlook(site, body, path="/autodiscover/autodiscover.xml"):
    return Browser(site).request("POST", path, body.encode(), {"Content-Type": "text/xml"})


def test_outlook_is_told_the_servers(site):
    for path in ("/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"):
        page = ask_outlook(site, AUTODISCOVER.format(before="", address=here("minhnv")), path)
        root = ElementTree.fromstring(page.text)
        spaces = {"a": "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"}
        found = {
            one.findtext("a:Type", "", spaces): (
                one.findtext("a:Port", "", spaces),
                one.findtext("a:LoginName", "", spaces),
            )
            for one in root.iterfind(".//a:Protocol", spaces)
        }
        assert found == {
            "IMAP": (str(site.port("imaps")), here("minhnv")), "POP3": (str(site.port("pop3s")), here("minhnv")),
            "SMTP": (str(site.port("submissions")), here("minhnv")),
        }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "", "<", "<a/>", "x" * 10_000, "<a>" * 5000,
        AUTODISCOVER.format(before='<!DOCTYPE a [<!ENTITY e "x">]>', address="&e;@" + DOMAIN),
        AUTODISCOVER.format(before='<!DOCTYPE a SYSTEM "file:///etc/passwd">', address="minhnv@" + DOMAIN),
        AUTODISCOVER.format(before="", address="minhnv@elsewhere.example"),
        AUTODISCOVER.format(before="", address="<b/>"),
    ],
)  # fmt: skip
def test_what_is_no_autodiscover_request_gets_error_600_and_no_entity_is_expanded(site, body):
    page = ask_outlook(site, body)
    assert page.status == 200 and "<ErrorCode>600</ErrorCode>" in page.text
    assert "root:" not in page.text


def test_thunderbird_is_told_the_servers(site):
    for path in ("/mail/config-v1.1.xml?emailaddress=x%40y", "/.well-known/autoconfig/mail/config-v1.1.xml"):
        root = ElementTree.fromstring(Browser(site, tls=False).get(path).text)
        ports = {one.get("type"): one.findtext("port") for one in root.iterfind(".//incomingServer")}
        assert ports == {"imap": str(site.port("imaps")), "pop3": str(site.port("pop3s"))}
        assert root.findtext(".//username") == "%EMAILADDRESS%"


def test_apple_gets_a_profile(site):
    page = Browser(site).get(f"/connection/profile.mobileconfig?address=MinhNV%40{DOMAIN}")
    (mail,) = plistlib.loads(page.text.encode())["PayloadContent"]
    assert mail["EmailAddress"] == here("minhnv") and mail["IncomingMailServerPortNumber"] == site.port("imaps")
    assert page.headers["content-type"] == "application/x-apple-aspen-config"
    assert Browser(site).get("/connection/profile.mobileconfig?address=x%40elsewhere.example").status == 404
    assert Browser(site).get("/connection/profile.mobileconfig?address=%0d%0a").status == 400


def test_the_address_book_is_found_with_and_without_diacritics(site, mailbox):
    local = mailbox()
    office(site, "mailbox_set", address=here(local), name="Đỗ Thị Ánh Nguyệt", published=True)
    hidden = mailbox()
    office(site, "mailbox_set", address=here(hidden), name="Đỗ Thị Ánh Ẩn")
    for query in ("do thi anh", "Đỗ Thị Ánh", "nguyet anh", f"{local}%40{DOMAIN}", "D%E1%BB%96%20THI"):
        text = (
            Browser(site)
            .get(
                "/addressbook?q=" + query.replace(" ", "+").encode().decode("latin-1")
                if query.isascii()
                else "/addressbook?" + __import__("urllib.parse").parse.urlencode({"q": query})
            )
            .text
        )
        assert here(local) in text and here(hidden) not in text, query
    listed = json.loads(Browser(site).get("/addressbook/addressbook.json").text)
    assert here(local) in {one["address"] for one in listed["officials"]}
    office(site, "mailbox_status", address=here(local), status="suspended")  # who left is out at once
    assert here(local) not in Browser(site).get("/addressbook?q=nguyet").text


def test_the_internal_book_is_for_those_who_have_a_mailbox(site, mailbox, person):
    hidden = mailbox()
    office(site, "mailbox_set", address=here(hidden), name="Lý Thị Nội Bộ")
    assert here(hidden) not in Browser(site).get("/addressbook?q=noi+bo").text
    assert here(hidden) in person[0].get("/addressbook?internal=1&q=noi+bo").text
    assert Browser(site).get("/addressbook/addressbook.csv?internal=1").status == 303


def test_a_name_cannot_become_markup(site, mailbox, person):
    local = mailbox()
    office(site, "mailbox_set", address=here(local), name='<img src=x onerror="alert(1)">', published=True)
    for browser, path in ((Browser(site), "/addressbook?q=onerror"), (person[0], "/addressbook?internal=1&q=onerror")):
        text = browser.get(path).text
        assert here(local) in text and "<img" not in text
    text = Browser(site).get("/addressbook?q=%22%3E%3Cscript%3E").text
    assert "<script" not in text


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01" + bytes(range(256)), b"\0" * 5000, b"GET /\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /%00%ff/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /static/..%2f..%2fbdmta.toml HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://elsewhere/ HTTP/1.1\r\nHost: elsewhere\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /addressbook?page=99999999&q=%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /login HTTP/1.1\r\nHost: x\r\nCookie: bdmta=\xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)  # fmt: skip
def test_what_strangers_send_is_answered_and_harms_nobody(site, octets):
    with socket.create_connection(("127.0.0.1", site.port("web")), 30) as raw:
        raw.sendall(octets)
        try:
            said = raw.recv(4096)
        except ConnectionResetError:
            said = b""
    assert said == b"" or (said.startswith(b"HTTP/1.1 ") and b" 500 " not in said[:20] and b"root:" not in said)
    assert Browser(site, tls=False).get("/").status == 200
    assert "page failed" not in site.log()


@pytest.mark.slow
def test_one_address_holds_so_many_connections(site):
    """More are closed at once; those of others, and this one's later, are served."""
    held = [socket.create_connection(("127.0.0.1", site.port("web")), 30) for _ in range(40)]
    try:
        closed = 0
        for raw in held:
            raw.settimeout(0.5)
            try:
                closed += raw.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionResetError:
                closed += 1
        assert 10 <= closed < 40
    finally:
        for raw in held:
            raw.close()
    site.wait_for(lambda: _is_served(site))


def _is_served(site):
    try:
        return Browser(site, tls=False).get("/").status == 200
    except OSError:
        return False


@pytest.mark.slow
def test_a_body_that_trickles_in_is_ended(site):
    with socket.create_connection(("127.0.0.1", site.port("web")), 40) as raw:
        raw.sendall(
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: 100\r\n\r\na"
        )
        assert b" 408 " in raw.recv(100)
