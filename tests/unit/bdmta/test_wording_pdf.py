"""A PDF is read as it is seen: by where its letters stand, whatever the order in which they were written."""

from __future__ import annotations

import pytest

from bdmta.examine.bounds import Bounds, Purse
from bdmta.examine.wording.pdf import Glyph, lines, words


def pdf(content: str, annotations: str = "", *more: str) -> bytes:
    """One page with this content; the seventh object and those behind it are `more`."""
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Annots[{annotations}]"
        "/Resources<</Font<</F 5 0 R>>>>>>",
        f"<</Length {len(content)}>>stream\n{content}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Courier>>",
        *more,
    ]
    body = "".join(f"{number} 0 obj\n{text}\nendobj\n" for number, text in enumerate(objects, 1))
    return f"%PDF-1.4\n{body}trailer<</Root 1 0 R>>\n".encode("latin-1")


def seen(content: str, annotations: str = "", *more: str) -> list[str]:
    return words(pdf(content, annotations, *more), 10_000, Purse(Bounds(), is_edge=False)).splitlines()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # LibreOffice, where the text's font lacks some letters: those come afterwards, in the gaps that were left
        ("BT /F 12 Tf 50 700 Td [(T)-667(I)] TJ ET BT /F 12 Tf 57.33 700 Td (O) Tj ET", ["TOI"]),
        ("BT /F 12 Tf 50 700 Td (MAT) Tj 0 14 Td (TOI) Tj ET", ["TOI", "MAT"]),
        # A heading of two columns: what stands beside the stamp is not on its line
        ("BT /F 12 Tf 50 700 Td (MAT) Tj 250 0 Td (Doc lap - Tu do) Tj ET", ["MAT", "Doc lap - Tu do"]),
        # Letter by letter, and drawn twice to look bold
        ("BT /F 12 Tf 50 700 Td (M) Tj 16 0 Td (A) Tj 14 0 Td (T) Tj ET", ["M A T"]),
        ("BT /F 12 Tf 50 700 Td (MAT) Tj 0.4 0 Td (MAT) Tj ET", ["MAT"]),
        ("BT /F 12 Tf 50 700 Td (bill) Tj ET", ["bill"]),
        # A stamp set askew, and one that stands on its side
        ("BT /F 12 Tf 0.866 0.5 -0.5 0.866 100 500 Tm (MAT) Tj ET", ["MAT"]),
        ("BT /F 12 Tf 0 1 -1 0 100 500 Tm (MAT) Tj ET BT /F 12 Tf 50 700 Td (So 12) Tj ET", ["So 12", "MAT"]),
        ("q 2 0 0 2 0 0 cm BT /F 6 Tf 50 300 Td (MAT) Tj ET Q", ["MAT"]),
    ],
)  # fmt: skip
def test_lines_are_those_that_a_reader_sees(content, expected):
    assert seen(content) == expected


def test_notes_and_stamps_are_read_too():
    drawing = "BT /F 12 Tf 9 9 Td (TUYET MAT) Tj ET"
    stamp = f"<</Subtype/Form/Resources<</Font<</F 5 0 R>>>>/Length {len(drawing)}>>stream\n{drawing}\nendstream"
    found = seen(
        "BT /F 12 Tf 50 700 Td (Kinh gui) Tj ET", "7 0 R 8 0 R",
        "<</Type/Annot/Subtype/FreeText/Contents(TOI MAT)>>", "<</Type/Annot/Subtype/Stamp/AP<</N 9 0 R>>>>", stamp,
    )  # fmt: skip
    assert set(found) == {"Kinh gui", "TOI MAT", "TUYET MAT"}


def test_marks_that_a_font_lacks_fall_into_their_places():
    """As LibreOffice wrote it: `T I M T`, and later `Ố` and `Ậ` over the gaps."""
    first = [(0, "T"), (15, "I"), (18, " "), (21, "M"), (40, "T")]
    later = [(7.3, "Ố"), (31, "Ậ")]
    width = {"T": 7.3, "I": 3.3, " ": 3.3, "M": 10, "Ố": 7.8, "Ậ": 8.7}
    glyphs = [Glyph(0, 700.0, along, along + width[text], 12.0, text) for along, text in first + later]
    assert lines(glyphs) == ["TỐI MẬT"]


def test_a_page_without_letters_has_no_lines():
    assert seen("0 0 10 10 re f") == []
