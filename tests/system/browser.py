"""A browser without JavaScript: cookies, redirects, forms as they stand on the page."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlencode

from tests.site import SiteUnderTest


@dataclass
class Page:
    """An answer."""

    status: int
    headers: dict[str, str]
    text: str
    cookies: list[str] = field(default_factory=list)

    def value(self, name: str) -> str:
        """The value of the first hidden field called `name`."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.text)
        assert found, f"no field {name} in\n{self.text}"
        return unescape(found[1])


class Browser:
    """`get` and `post` by https, or by http with `tls=False`; nothing is followed but what `follow` is told to."""

    def __init__(self, site: SiteUnderTest, *, tls: bool = True, headers: dict[str, str] | None = None) -> None:
        self.site = site
        self.tls = tls
        self.headers = headers or {}
        self.cookies: dict[str, str] = {}

    def request(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Page:
        port = self.site.port("web")
        if self.tls:
            link: http.client.HTTPConnection = http.client.HTTPSConnection(
                "localhost", port, timeout=60, context=self.site.tls()
            )
        else:
            link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        sent = {**self.headers, **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            link.request(method, path, body, sent)
            answer = link.getresponse()
            octets = answer.read()
        finally:
            link.close()
        cookies = answer.headers.get_all("set-cookie") or []
        for cookie in cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            if "Max-Age=0" in cookie:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return Page(answer.status, {k.lower(): v for k, v in answer.headers.items()}, octets.decode(), cookies)

    def get(self, path: str, **headers: str) -> Page:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Page:
        body = urlencode(fields).encode()
        return self.request("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded", **headers})

    def log_in(self, address: str, password: str) -> Page:
        """The login form, filled in and sent."""
        word = self.get("/login").value("csrf")
        return self.post("/login", {"csrf": word, "address": address, "password": password})
