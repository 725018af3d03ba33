"""The pages in Chromium, at a desk and on a phone, with and without JavaScript."""

import pytest

from tests.interop.fixtures.chromium import CHROMIUM, Chromium
from tests.site import DOMAIN

pytestmark = [pytest.mark.interop, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]

WIDTHS = {"desk": 1280, "phone": 390}
MINH = f"minhnv@{DOMAIN}"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    running = Chromium(tmp_path_factory.mktemp("chromium"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def url(site):
    site.run("mailbox", "set", MINH, "--published", "--name", "Nguyễn Văn Minh")
    site.run("agency", "add", "Sở Thông tin và Truyền thông", "--published")
    site.run("mailbox", "set", f"sotttt@{DOMAIN}", "--published")
    return f"https://localhost:{site.port('web')}"


@pytest.mark.parametrize("width", WIDTHS.values(), ids=list(WIDTHS))
@pytest.mark.parametrize("scripts", [True, False], ids=["JavaScript", "no JavaScript"])
def test_an_official_goes_through_all_pages(site, chromium, url, width, scripts):
    chromium.size(width)
    chromium.scripts(on=scripts)
    chromium.said.clear()
    for path in ("/", "/connection", "/addressbook", "/addressbook?q=nguyen+van", "/login"):
        chromium.go(url + path)
        assert chromium.overflow() == 0, path
    chromium.submit("main form", address=MINH, password="Mat-khau-2026")
    assert MINH in chromium.text() and "Dung lượng" in chromium.text()
    for path in ("/account", "/account/devices", "/account/password", "/addressbook?internal=1"):
        chromium.go(url + path)
        assert chromium.overflow() == 0, path
    chromium.go(url + "/account/devices")
    label = f"Máy {width} {scripts}"
    chromium.submit("form.inline", label=label)
    assert "không hiện lại lần nữa" in chromium.text() and chromium.overflow() == 0
    chromium.submit("td form")
    assert label not in chromium.text()
    chromium.submit("form.out")
    assert chromium.run("location.pathname") == "/"
    refused = [text for text in chromium.said if "Refused" in text or "Content Security Policy" in text]
    assert refused == []


@pytest.mark.parametrize("width", WIDTHS.values(), ids=list(WIDTHS))
def test_the_published_book_is_searched_on_a_disk(site, chromium, url, tmp_path, width):
    site.run("addressbook", "export", "--format", "html", "--out", str(tmp_path))
    chromium.size(width)
    chromium.scripts(on=True)
    chromium.go((tmp_path / "index.html").as_uri())
    assert chromium.overflow() == 0
    chromium.run("query.value = 'nguyen van minh'; query.dispatchEvent(new Event('input'))")
    chromium.wait_for("found.textContent.includes('1 địa chỉ')")
    assert "minhnv@" in chromium.text()


def test_a_large_published_book_is_searched_on_a_disk(chromium, tmp_path, monkeypatch):
    from bdmta.directory import addressbook_site
    from tests.unit.bdmta.test_addressbook_publish import NAMES, book

    monkeypatch.setattr(addressbook_site, "ONE_PAGE_ENTRIES", 3)
    for name, octets in addressbook_site.files_of(book(*NAMES), ("html",)).items():
        (tmp_path / name).write_bytes(octets)
    chromium.scripts(on=True)
    chromium.go((tmp_path / "index.html").as_uri())
    chromium.run("query.value = 'dao'; query.dispatchEvent(new Event('input'))")
    chromium.wait_for("found.textContent.includes('1 địa chỉ')")
    assert "Đỗ Văn Đạo" in chromium.text()
    chromium.scripts(on=False)
    chromium.go((tmp_path / "ten-dd.html").as_uri())
    assert "Đỗ Văn Đạo" in chromium.text() and "Trang đầu" in chromium.text()
