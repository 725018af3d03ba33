"""What the public sees: page, feed, data, paper, and the texts behind them."""

from __future__ import annotations

import io
import json
import shutil
from datetime import UTC, datetime, timedelta

import feedparser
import pytest
from pdfminer.high_level import extract_text
from pdfminer.pdfpage import PDFPage

from bdmta.config.shipped import shipped
from bdmta.errors import ConfigError
from bdmta.outage.due import Rules
from bdmta.outage.heart import Pulse
from bdmta.outage.notice import replay
from bdmta.outage.page_files import Picture, files, picture_of
from bdmta.outage.printed import print_notice
from bdmta.outage.texts import Texts, duration
from bdmta.printing import PrintingError

ZONE = "Asia/Ho_Chi_Minh"


@pytest.fixture
def here(place):
    """An outage that is overdue, planned work ahead, and one that is over."""
    made = place({"status_url": '"https://portal.example/mail/"'}, scope=("smtp",))
    book, clock = made.book, made.clock
    made.over = book.found(
        clock.now() - timedelta(hours=5), clock.now() - timedelta(hours=4), scope=["all"], what="Mất điện", cause="power",
        has_ended=True, announce=True,
    )  # fmt: skip
    made.ahead = book.open(
        what="Thay ổ đĩa", from_at=clock.now() + timedelta(days=3), until_at=clock.now() + timedelta(days=3, hours=1),
        scope=["imap"], is_planned=True, is_agency=lambda name: False, by="lan",
    )  # fmt: skip
    clock.advance(2 * 3600 + 60)
    book.advance(Rules(), is_well=True)
    made.picture = picture_of(made.means.folder, clock.now())
    made.files = files(made.picture, made.means.texts, made.site, frozenset({made.over.id}))
    return made


def test_the_page_in_both_languages(here):
    vi, en = here.files["index.html"].decode(), here.files["en.html"].decode()
    assert '<html lang="vi">' in vi and '<html lang="en">' in en
    for piece in ("Hệ thống phục hồi chậm hơn dự kiến", "10 giờ 00 ngày 28/11/2026", "Quá dự kiến", "Thay ổ đĩa", "Mất điện",
                  f'href="thong-bao-{here.over.id}.pdf"', "Bản in", 'href="en.html"'):  # fmt: skip
        assert piece in vi, piece
    for piece in ("Recovery is later than expected", "10:00 on 28 November 2026", "Overdue"):
        assert piece in en, piece
    assert "<script" not in vi and "&lt;b&gt;Thủ" in vi
    assert "default-src &#39;none&#39;" in vi or "default-src 'none'" in vi


def test_the_feed_is_valid_and_its_entries_keep_their_ids(here):
    for name, language in (("atom.xml", "vi"), ("atom.en.xml", "en")):
        feed = feedparser.parse(here.files[name])
        assert not feed.bozo and feed.version == "atom10" and feed.feed.language == language
        assert len(feed.entries) == len({e.id for e in feed.entries}) == 4
        assert feed.feed.id and feed.feed.updated_parsed and feed.feed.author == "Trung tâm Thông tin điện tử"
        assert all(e.updated_parsed and e.link.startswith("https://portal.example/mail/") for e in feed.entries)
    newest = feedparser.parse(here.files["atom.xml"]).entries[0]
    assert (
        newest.title == "Hệ thống thư điện tử phục hồi chậm hơn dự kiến" and "<b>Thủ" not in newest.content[0].value[:5]
    )
    here.book.close_notice(here.notice.id, done="Xong", by="lan")
    after = files(picture_of(here.means.folder, here.clock.now()), here.means.texts, here.site)
    ids = [e.id for e in feedparser.parse(after["atom.xml"]).entries]
    assert {e.id for e in feedparser.parse(here.files["atom.xml"]).entries} < set(ids)


def test_the_data(here):
    said = json.loads(here.files["status.json"])
    assert said["state"] == "late" and said["services"] == {"smtp": "stopped", "imap": "works", "web": "works"}
    by_id = {n["id"]: n for n in said["notices"]}
    assert by_id[here.notice.id]["state"] == "overdue" and by_id[here.notice.id]["until"] == "2026-11-28T10:00:00+07:00"
    assert by_id[here.ahead.id]["planned"] and by_id[here.over.id]["ended"]


def test_silence_is_told_though_nobody_opened_a_notice(place):
    made = place()
    made.book.close_notice(made.notice.id, done="Xong", by="lan")
    silent = datetime(2026, 11, 28, 1, 5, tzinfo=UTC).timestamp()
    notices = tuple(made.book.all())
    picture = Picture(made.clock.now(), notices, Pulse(silent_since=silent))
    page = files(picture, made.means.texts, made.site)["index.html"].decode()
    assert "Hệ thống không phản hồi" in page and "không phản hồi từ 08 giờ 05 ngày 28/11/2026" in page
    assert picture.service_state("smtp") == "no_answer"
    assert Picture(made.clock.now(), notices, Pulse(away={"imap": silent})).state == "disturbed"


def test_drafts_are_not_public(place):
    made = place()
    made.book.found(made.clock.now() - timedelta(days=2), made.clock.now() - timedelta(days=1), scope=["all"],
                    what="Bản nháp bí mật", cause="crash", has_ended=True, announce=False)  # fmt: skip
    for octets in files(picture_of(made.means.folder, made.clock.now()), made.means.texts, made.site).values():
        assert "Bản nháp" not in octets.decode()


def test_the_printed_notice(here):
    notice = here.book.get(here.notice.id)
    for said, about in ((notice.announcements[0], "Dự kiến phục hồi"), (notice.announcements[-1], "(đã qua)")):
        printed = io.BytesIO(print_notice(here.means.texts, "", notice, said))
        (page,) = PDFPage.get_pages(printed)
        assert [round(side) for side in page.mediabox] == [0, 0, 595, 842]
        text = " ".join(extract_text(printed).split())
        for piece in ("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Độc lập - Tự do - Hạnh phúc", "UBND TỈNH BÌNH DƯƠNG", "Số:",
                      "THÔNG BÁO", "i nhận:", "10 giờ 00 ngày 28/11/2026", "ngày 28 tháng 11 năm 2026", about):  # fmt: skip
            assert piece in text, (piece, text)


def test_markup_in_a_notice_stays_text_on_paper(place):
    made = place()
    notice = made.book.update(made.notice.id, until_at=None, what='#import "/etc/passwd" $x$ *đậm* #[x]', by="lan")
    printed = io.BytesIO(print_notice(made.means.texts, "", notice, notice.announcements[-1]))
    assert '#import "/etc/passwd" $x$ *đậm* #[x]' in " ".join(extract_text(printed).split())


def test_a_broken_template_of_the_site_is_named(place):
    made = place()
    (made.folder / "notices").mkdir()
    (made.folder / "notices/notice.typ").write_text("#let d = nothing")
    with pytest.raises(PrintingError, match=r"notice\.typ: .*nothing"):
        print_notice(made.means.texts, str(made.folder / "notices"), made.notice, made.notice.announcements[0])


# -- texts


@pytest.fixture
def own(tmp_path):
    for language in ("vi", "en"):
        shutil.copy(shipped("notices", f"{language}.toml"), tmp_path)
    return tmp_path


def change(folder, was, becomes):
    path = folder / "vi.toml"
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, becomes, 1))


def test_the_shipped_texts_and_a_copy_are_right(own):
    assert Texts.load("/nowhere", ZONE).office["name"] == Texts.load(str(own), ZONE).office["name"]
    change(own, "Dự kiến phục hồi: {{ until }}", "Sẽ xong: {{ until }}")
    notice = replay([{"event": "planned", "notice": "1", "at": "2026-11-28T01:00:00+00:00", "what": "x", "scope": ["all"],
                      "from": "2026-11-29T01:00:00+00:00", "until": "2026-11-29T02:00:00+00:00"}])["1"]  # fmt: skip
    texts = Texts.load(str(own), ZONE)
    assert "Sẽ xong: 09 giờ 00 ngày 29/11/2026" in texts.say("vi", "planned", "text", texts.values("vi", notice))


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("phục hồi: {{ until }}", "{{ util }}", r"vi.toml: \[\w+\] \w+: 'util' is undefined; known are id, what"),
        ("phục hồi: {{ until }}", "{{ until }", r"vi.toml: \[\w+\] \w+: unexpected '}'"),
        ("phục hồi: {{ until }}", "{{ until.__class__.__mro__ }}", r"vi.toml: \[\w+\] \w+: .*unsafe"),
        ('[overdue]\nsubject = "', '[overdue]\nsubjekt = "', r"vi.toml: \[overdue\] subject: is missing"),
        ('phone = ""', "phone = 3", r"vi.toml: \[office\] phone: a text in quotes is expected"),
        ('[nag]\nsubject = "', '[nag]\nsubject = "a\\nb', r"vi.toml: \[nag\] subject: a subject is one line"),
        ("[office]", "[office", r"vi.toml: is not TOML"),
    ],
)
def test_a_wrong_text_is_named_before_it_is_needed(own, was, becomes, says):
    change(own, was, becomes)
    with pytest.raises(ConfigError, match=says):
        Texts.load(str(own), ZONE)


@pytest.mark.parametrize(
    ("seconds", "vi", "en"),
    [(0, "1 phút", "1 min"), (90 * 60, "1 giờ 30 phút", "1 h 30 min"), (86_400 + 60, "1 ngày 1 phút", "1 d 1 min")],
)
def test_durations(seconds, vi, en):
    lasted = timedelta(seconds=seconds)
    assert (duration("vi", lasted), duration("en", lasted)) == (vi, en)
