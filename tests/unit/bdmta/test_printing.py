import io
import re
import unicodedata
from datetime import UTC, datetime

import pytest
from pdfminer.high_level import extract_text

from bdmta.printing import PrintingError, pdf, qr_svg

TEMPLATE = """#let data = json(bytes(sys.inputs.data))
#set page(paper: "a4")
#set text(font: "Libertinus Serif", lang: "vi")
#for one in data.texts [#one \\ ]
#image(bytes(data.qr), format: "svg", width: 3cm)
"""
LETTERS = "Kính gửi: Sở Nội vụ – ẵ ộ ợ ữ ỹ đ Đ Ễ Ự"


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "page.typ"
    path.write_text(TEMPLATE, encoding="utf-8")
    return str(path)


def test_what_data_says_is_text_and_never_markup(template):
    hostile = '#panic("no") *bold* $x$ #import "@preview/a:1.0.0" ] } \\ " <a> @b'
    made = pdf(
        template, {"texts": [LETTERS, hostile], "qr": qr_svg("imap://x")}, made_at=datetime(2026, 1, 2, tzinfo=UTC)
    )
    text = unicodedata.normalize("NFC", extract_text(io.BytesIO(made)))
    assert LETTERS in re.sub(r"\s+", " ", text)
    assert '#panic("no") *bold* $x$' in text.replace("”", '"').replace("“", '"')
    assert b"D:20260102" in made


def test_the_same_data_give_the_same_octets(template):
    data = {"texts": ["một"], "qr": qr_svg("x")}
    assert pdf(template, data) == pdf(template, data)


def test_a_broken_template_is_named_in_one_line(tmp_path):
    (tmp_path / "broken.typ").write_text("#nothing-here")
    with pytest.raises(PrintingError, match=r"^broken\.typ: .*unknown variable") as told:
        pdf(str(tmp_path / "broken.typ"), {})
    assert "\n" not in str(told.value)


def test_a_template_without_an_end_is_ended(tmp_path):
    (tmp_path / "endless.typ").write_text(
        "#let f(n) = { let i = 0; while i < 1000000000 { i = calc.rem(i, 7) } }\n#f(1)"
    )
    with pytest.raises(PrintingError, match="endless.typ"):
        pdf(str(tmp_path / "endless.typ"), {}, timeout_s=1.5)


def test_a_template_reads_nothing_beside_its_folder(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "page.typ").write_text('#read("../secret.txt")')
    with pytest.raises(PrintingError):
        pdf(str(tmp_path / "in" / "page.typ"), {})


def test_a_qr_code_too_long_is_refused():
    with pytest.raises(PrintingError, match="too long"):
        qr_svg("x" * 5000)
