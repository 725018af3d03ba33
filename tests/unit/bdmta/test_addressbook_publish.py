"""Publishing: real folders, a real rsync, a real HTTP server; a manifest that is true, differences that are right."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bdmta.config.credentials import read_credentials
from bdmta.directory import addressbook_site
from bdmta.directory.addressbook_files import json_file
from bdmta.directory.addressbook_publish import Wish, differences, publish, standing
from bdmta.directory.addressbook_search import lines_of, search
from bdmta.directory.addressbook_site import files_of
from bdmta.directory.addressbook_targets import Access
from bdmta.errors import ConfigError

D = "binhduong.gov.vn"
NAMES = ("Lê Thị An", "Bùi Văn Ân", "Đỗ Văn Đạo", "Nguyễn Văn Minh")


def book(*names: str, at: str = "2026-11-28T08:00:00+07:00") -> dict:
    agency = {"abbreviation": "sonv", "name": "Sở Nội vụ", "level": "province", "parent": "",
              "address": f"sonv@{D}", "paper_address": ""}  # fmt: skip
    officials = [
        {"name": name, "address": f"a{NAMES.index(name) if name in NAMES else 99}@{D}", "agency": "Sở Nội vụ"}
        for name in names
    ]
    return {"domain": D, "generated_at": at, "internal": False, "agencies": [agency], "officials": officials,
            "left_out": []}  # fmt: skip


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    return Wish(
        kind="public", targets=(str(tmp_path / "www"),), formats=("html", "csv", "vcard", "ldif", "json"), search_url="",
        state_dir=str(tmp_path / "state"), access=Access({}, "", 20),
    )  # fmt: skip


def check_manifest(folder: Path) -> dict:
    """Everything that the manifest lists is there and as it says; nothing else is."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for one in manifest["files"]:
        octets = (folder / one["name"]).read_bytes()
        assert (len(octets), hashlib.sha256(octets).hexdigest()) == (one["octets"], one["sha256"])
    assert {path.name for path in folder.iterdir()} == {one["name"] for one in manifest["files"]} | {"manifest.json"}
    return manifest


def test_a_folder_gets_it_once_and_then_what_changed(wish: Wish, tmp_path: Path):
    (told,) = publish(wish, book("Lê Thị An", "Bùi Văn Ân"))
    assert told["done"] and told["files"] == 7
    folder = tmp_path / "www"
    assert check_manifest(folder)["officials"] == 2
    assert publish(wish, book("Lê Thị An", "Bùi Văn Ân", at="2026-11-28T09:00:00+07:00")) == []  # nothing has changed
    (told,) = publish(wish, book("Bùi Văn Ân", "Đỗ Văn Đạo", at="2026-11-28T10:00:00+07:00"))
    assert told["done"]
    manifest = check_manifest(folder)
    assert manifest["changes"] == {"added": 1, "removed": 1, "changed": 0}
    changes = json.loads((folder / "changes.json").read_text())
    assert [one["name"] for one in changes["added"]] == ["Đỗ Văn Đạo"]
    assert [one["name"] for one in changes["removed"]] == ["Lê Thị An"]
    assert changes["since"] == "2026-11-28T08:00:00+07:00"
    for path in folder.iterdir():
        if path.name != "changes.json":
            assert "Lê Thị An" not in path.read_text() and f"a0@{D}" not in path.read_text()


def test_differences():
    before, after = book("Lê Thị An", "Bùi Văn Ân"), book("Lê Thị An", "Bùi Văn Ân")
    after["officials"][0]["agency"] = ""
    found = differences(before, after)
    assert found["counts"] == {"added": 0, "removed": 0, "changed": 1}
    assert found["changed"][0]["before"]["agency"] == "Sở Nội vụ"
    assert differences(None, after)["counts"] == {"added": 0, "removed": 0, "changed": 0}


def test_files_of_others_are_left_alone(wish: Wish, tmp_path: Path):
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "robots.txt").write_text("of the web server")
    publish(wish, book("Lê Thị An"))
    publish(replace(wish, formats=("csv",)), book("Bùi Văn Ân"))
    assert {path.name for path in folder.iterdir()} == {
        "addressbook.csv",
        "changes.json",
        "manifest.json",
        "robots.txt",
    }


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
def test_rsync_brings_changes_and_takes_away_only_what_is_ours(wish: Wish, tmp_path: Path):
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "robots.txt").write_text("of the portal")
    wish = replace(wish, targets=(f"rsync:{folder}/",))
    (told,) = publish(wish, book("Lê Thị An", "Bùi Văn Ân"))
    assert told["done"], told
    (told,) = publish(replace(wish, formats=("csv", "json")), book("Bùi Văn Ân"))
    assert told["done"]
    assert {path.name for path in folder.iterdir()} == {
        "addressbook.csv", "addressbook.json", "changes.json", "manifest.json", "robots.txt",
    }  # fmt: skip
    assert "Lê Thị An" not in (folder / "addressbook.csv").read_text()
    (told,) = publish(replace(wish, targets=(f"rsync:{tmp_path}/no/such/place/",)), book("Lê Thị An"))
    assert not told["done"] and "rsync" in told["error"]


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
def test_rsync_to_a_daemon(wish: Wish, tmp_path: Path):
    folder, settings = tmp_path / "there", tmp_path / "rsyncd.conf"
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings.write_text(
        f"use chroot = no\nlog file = {tmp_path}/log\npid file = {tmp_path}/pid\n[danhba]\npath = {folder}\nread only = no\n"
        + ("uid = root\ngid = root\n" if os.getuid() == 0 else "")
    )
    daemon = subprocess.Popen(
        ["rsync", "--daemon", "--no-detach", f"--config={settings}", "--address=127.0.0.1", f"--port={port}"]
    )
    try:
        end = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < end:
            time.sleep(0.05)
        (told,) = publish(replace(wish, targets=(f"rsync:rsync://127.0.0.1:{port}/danhba/",)), book("Lê Thị An"))
    finally:
        daemon.terminate()
        daemon.wait(20)
    assert told["done"] and told["files"] == 7, told
    check_manifest(folder)


class Portal(ThreadingHTTPServer):
    """A web server that keeps what is put there by one who has the password."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.status = 201
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Kept)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Kept(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Portal

    def do_PUT(self) -> None:
        octets = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append(f"PUT {self.path}")
        given = self.headers.get("authorization", "").removeprefix("Basic ")
        if base64.b64decode(given) != b"danhba:mat khau":
            self._said(401)
            return
        if self.server.status == 201:
            (self.server.folder / self.path.rpartition("/")[2]).write_bytes(octets)
        self._said(self.server.status)

    def do_DELETE(self) -> None:
        self.server.asked.append(f"DELETE {self.path}")
        (self.server.folder / self.path.rpartition("/")[2]).unlink()
        self._said(204)

    def _said(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def portal(tmp_path: Path):
    folder = tmp_path / "portal"
    folder.mkdir()
    running = Portal(folder)
    yield running
    running.shutdown()
    running.server_close()


def test_http_put_brings_what_changed_and_the_manifest_last(wish: Wish, portal: Portal, tmp_path: Path):
    logins = tmp_path / "logins"
    logins.write_text("127.0.0.1 danhba mat khau\n")
    logins.chmod(0o600)
    target = f"http://127.0.0.1:{portal.server_port}/danh-ba/"
    wish = replace(wish, targets=(target,), access=Access(read_credentials(str(logins), "addressbook"), "", 20))
    (told,) = publish(wish, book("Lê Thị An", "Bùi Văn Ân"))
    assert told["done"], told
    check_manifest(portal.folder)
    assert portal.asked[-1] == "PUT /danh-ba/manifest.json" and len(portal.asked) == 7
    portal.asked.clear()
    publish(replace(wish, formats=("csv", "json")), book("Bùi Văn Ân"))
    assert check_manifest(portal.folder)["officials"] == 1
    assert sum(line.startswith("DELETE") for line in portal.asked) == 3
    portal.status = 507
    (told,) = publish(wish, book("Lê Thị An"))
    assert not told["done"] and "507" in told["error"]
    assert standing(wish.state_dir, "public", wish.targets)[0]["error"]
    portal.status = 201
    (told,) = publish(wish, book("Lê Thị An"))  # and everything anew
    assert told["done"] and told["files"] == 7
    check_manifest(portal.folder)


def test_one_target_that_fails_does_not_keep_it_from_the_other(wish: Wish, portal: Portal, tmp_path: Path):
    dead = "http://127.0.0.1:9/danh-ba/"
    wish = replace(wish, targets=(dead, str(tmp_path / "www")))
    assert [one["done"] for one in publish(wish, book("Lê Thị An"))] == [False, True]
    check_manifest(tmp_path / "www")
    assert [one["target"] for one in publish(wish, book("Lê Thị An"))] == [dead]  # tried again, the other is left alone


def test_a_password_is_not_sent_in_the_clear(wish: Wish, tmp_path: Path):
    wish = replace(wish, targets=("http://192.0.2.1/x/",), access=Access({"192.0.2.1": ("a", "b")}, "", 5))
    (told,) = publish(wish, book("Lê Thị An"))
    assert "without TLS" in told["error"]
    (tmp_path / "logins").write_text("x y z\n")
    (tmp_path / "logins").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_credentials(str(tmp_path / "logins"), "addressbook")


def test_a_large_book_has_a_page_a_letter_and_an_agency(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(addressbook_site, "ONE_PAGE_ENTRIES", 3)
    monkeypatch.setattr(addressbook_site, "_PAGE_ENTRIES", 2)
    many = book(*NAMES, "Trần Thị An", "Vũ An")
    many["officials"].sort(key=lambda one: one["name"].split()[-1])
    files = {name: octets.decode() for name, octets in files_of(many, ("html",)).items()}
    assert set(files) == {
        "index.html", "search-data.js", "ten-a.html", "ten-a-2.html", "ten-aa.html", "ten-dd.html", "ten-m.html",
        "co-quan-sonv.html",
    }  # fmt: skip
    assert "Nguyễn Văn Minh" in files["ten-m.html"] and "Nguyễn Văn Minh" in files["co-quan-sonv.html"]
    for name, text in files.items():
        for leads_to in __import__("re").findall(r'href="([^"#:]+)"', text):
            assert leads_to in files, f"{name} leads to {leads_to}"
    assert f"a3@{D}" not in files["index.html"]  # a phone loads little
    assert "script-src 'sha256-" in files["index.html"] and "'self'" in files["index.html"]
    assert "<script" not in files["ten-a.html"]


def test_a_search_without_javascript_goes_to_the_pages():
    text = files_of(book(*NAMES), ("html",), "https://mail.x.vn/addressbook")["index.html"].decode()
    assert 'action="https://mail.x.vn/addressbook"' in text and "form-action https://mail.x.vn" in text
    assert "form-action 'none'" in files_of(book(*NAMES), ("html",))["index.html"].decode()


def test_json():
    assert json.loads(json_file(book(*NAMES)))["officials"][3]["name"] == "Nguyễn Văn Minh"


@pytest.mark.parametrize(
    ("query", "found"),
    [("an", 2), ("Ân", 1), ("ân", 1), ("dao", 1), ("do van dao", 1), ("đạo", 1), ("an le", 1), ("so noi vu", 5),
     ("SỞ NỘI VỤ", 5), ("xyz", 0), ("a0@binhduong.gov.vn", 1), ("binhduong", 0), ("  ", 5), ("ần", 2)],
)  # fmt: skip
def test_search_with_and_without_diacritics(query: str, found: int):
    """A word with diacritics wants them; when nobody has them, they are left off."""
    assert len(search(lines_of(book("Lê Thị An", "Bùi Văn Ân", "Đỗ Văn Đạo", "Nguyễn Văn Minh")), query)) >= found
    if query in ("Ân", "ân", "dao", "an le", "xyz", "binhduong"):
        assert len(search(lines_of(book(*NAMES)), query)) == found
