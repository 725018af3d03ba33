"""PUT, webhook and rsync, each against the real thing on a loopback port."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bdmta.outage.channels.page import Page, Print
from bdmta.outage.channels.push import Push
from bdmta.outage.channels.webhook import Webhook, sign


class Server:
    """A web server that keeps what it gets and answers as it is told."""

    def __init__(self, tls=None):
        self.got, self.statuses = [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.command, self.path, dict(self.headers), body))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 204)
                self.end_headers()

            do_PUT = do_POST = do

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*tls)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server():
    made = []

    def make(**given):
        made.append(Server(**given))
        return made[-1]

    yield make
    for one in made:
        one.http.shutdown()
        one.http.server_close()


def test_put_brings_every_file_the_page_last_with_the_token(place, telling, server, tmp_path):
    web = server()
    (tmp_path / "token").write_text("bi-mat-1\n")
    here = place({"push": f'["http://127.0.0.1:{web.port}/mail/"]', "push_token": f'"{tmp_path / "token"}"'})
    tell, push = telling(here), Push(here.means, here.site.config.outage.push[0], 0)
    assert tell(Print(here.means)) == tell(Page(here.means)) == tell(push) == ["done"]
    paths = [path for _, path, _, _ in web.got]
    assert set(paths) == {f"/mail/{n}" for n in ("index.html", "en.html", "atom.xml", "atom.en.xml", "status.json")} | {
        f"/mail/thong-bao-{here.notice.id}.pdf"
    }
    assert paths[-1].endswith(".html")
    assert {h["Authorization"] for _, _, h, _ in web.got} == {"Bearer bi-mat-1"}
    page = next(body for _, path, _, body in web.got if path.endswith("index.html")).decode()
    assert "Đứt cáp quang &lt;b&gt;Thủ Dầu Một" in page and "<b>Thủ" not in page
    assert "PUT of 6 files" in tell.receipt(push)


def test_put_over_tls_is_verified(place, telling, server):
    here = place()
    tls = (str(here.folder / "tls/cert.pem"), str(here.folder / "tls/key.pem"))
    web = server(tls=tls)
    url = f"https://localhost:{web.port}/"
    tell, push = telling(here), Push(here.means, url, 0)
    tell(Page(here.means))
    assert tell(push) == ["waiting"]
    assert "CERTIFICATE_VERIFY_FAILED" in tell.receipt(push) and web.got == []
    object.__setattr__(here.site.config.transport, "ca_file", str(here.folder / "tls/ca.pem"))
    here.clock.advance(10)
    assert tell(push) == ["done"]


def test_a_name_is_looked_up_by_our_servers_alone(place, telling):
    here = place()
    tell, push = telling(here), Push(here.means, "http://portal.example/", 0)
    tell(Page(here.means))
    assert tell(push) == ["waiting"]
    assert "portal.example has no address, by [dns] servers" in tell.receipt(push)


def test_a_webhook_is_signed_and_its_repetition_can_be_told(place, telling, server, tmp_path):
    web = server()
    web.statuses = [503]
    (tmp_path / "key").write_bytes(b"khoa-rieng\n")
    url = f"http://127.0.0.1:{web.port}/sms?to=all"
    here = place({"webhook": f'["{url}"]', "webhook_secret": f'"{tmp_path / "key"}"'})
    tell, hook = telling(here), Webhook(here.means, url, 0)
    assert tell(hook) == ["waiting"]
    assert "503" in tell.receipt(hook)
    assert tell(hook) == [], "not before its time"
    here.clock.advance(5)
    assert tell(hook) == ["done"] and tell(hook) == []
    (_, path, first, body), (_, _, second, again) = web.got
    assert path == "/sms?to=all" and first["Idempotency-Key"] == second["Idempotency-Key"]
    for headers, octets in ((first, body), (second, again)):
        assert headers["X-Bdmta-Signature"] == sign(b"khoa-rieng", headers["X-Bdmta-Time"], octets)
    said = json.loads(body)
    assert said["what"].startswith("Đứt cáp quang") and said["state"] == "open" and said["scope"] == ["all"]
    assert said["until"] == "2026-11-28T10:00:00+07:00" and "Dự kiến phục hồi" in said["text"]


def test_what_a_webhook_refuses_for_good_is_not_tried_again(place, telling, server, tmp_path):
    web = server()
    web.statuses = [410]
    (tmp_path / "key").write_bytes(b"k")
    here = place({"webhook": f'["http://127.0.0.1:{web.port}/"]', "webhook_secret": f'"{tmp_path / "key"}"'})
    tell, hook = telling(here), Webhook(here.means, here.site.config.outage.webhook[0], 0)
    assert tell(hook) == ["failed"]
    here.clock.advance(3600)
    assert tell(hook) == []


def test_every_announcement_reaches_a_webhook_that_was_down_in_order(place, telling, tmp_path, server):
    (tmp_path / "key").write_bytes(b"k")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    here = place({"webhook": f'["http://127.0.0.1:{closed}/"]', "webhook_secret": f'"{tmp_path / "key"}"'})
    tell = telling(here)
    assert tell(Webhook(here.means, f"http://127.0.0.1:{closed}/", 0)) == ["waiting"]
    here.book.close_notice(here.notice.id, done="Đã hàn cáp", by="lan")
    here.clock.advance(60)
    web = server()
    assert tell(Webhook(here.means, f"http://127.0.0.1:{web.port}/", 0)) == ["done", "done"]
    assert [json.loads(body)["kind"] for _, _, _, body in web.got] == ["opened", "closed"]


needs_rsync = pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")


@pytest.fixture
def rsync_daemon(tmp_path):
    """Debian's rsync as a portal runs it."""
    (tmp_path / "portal").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "rsyncd.conf").write_text(
        f"use chroot = no\n[mail]\npath = {tmp_path / 'portal'}\nread only = no\nuid = root\ngid = root\n"
    )
    daemon = subprocess.Popen(
        ["rsync", "--daemon", "--no-detach", f"--config={tmp_path / 'rsyncd.conf'}", f"--port={port}", "--address=127.0.0.1"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"rsync://127.0.0.1:{port}/mail/", tmp_path / "portal"
    daemon.terminate()
    daemon.wait(10)


@needs_rsync
def test_rsync_brings_the_page_and_only_what_changed(place, telling, rsync_daemon):
    target, portal = rsync_daemon
    here = place({"push": f'["{target}"]'})
    tell, push = telling(here), Push(here.means, target, 0)
    tell(Page(here.means))
    assert tell(push) == ["done"], tell.receipt(push)
    assert (portal / "index.html").read_bytes() == (here.folder / "outage/page/index.html").read_bytes()
    assert "5 files" in tell.receipt(push)
    here.clock.advance(60)
    here.book.update(here.notice.id, until_at=here.clock.now() + timedelta(hours=9), what=None, by="lan")
    tell(Page(here.means))
    assert tell(push) == ["done"]
    assert "10:01" not in (portal / "index.html").read_text() and "17 giờ 01" in (portal / "index.html").read_text()


@needs_rsync
def test_a_portal_that_is_not_there_is_named_and_tried_again(place, telling):
    here = place()
    tell, push = telling(here), Push(here.means, "rsync://127.0.0.1:1/mail/", 0)
    tell(Page(here.means))
    assert tell(push) == ["waiting"] and "rsync" in tell.receipt(push)
