"""Surnames that decide something: those of several words, those that stand last by mistake, those of minorities.

All in the form that `fold` gives. None of these lists has to be whole: what is missing gives the plain rule.
"""

from __future__ import annotations


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Surnames of several words that are one name (họ kép), not the father's beside the mother's. Longest first.
COMPOUND: tuple[tuple[str, ...], ...] = (
    ("nguyen", "phuc", "ton", "nu"), ("nguyen", "phuoc", "ton", "nu"), ("cong", "tang", "ton", "nu"),
    ("cong", "huyen", "ton", "nu"), ("cong", "ton", "nu"), ("huyen", "ton", "nu"), ("nguyen", "phuc", "buu"),
    ("ton", "that"), ("ton", "nu"), ("cong", "ton"), ("cong", "nu"), ("au", "duong"), ("hoang", "phu"), ("tu", "do"),
    ("tu", "ma"), ("thuong", "quan"), ("gia", "cat"), ("ro", "cham"), ("ro", "mah"), ("ro", "lan"), ("ro", "o"),
    ("nie", "kdam"), ("nie", "hra"), ("nie", "brit"), ("eban", "nie"), ("ma", "seo"), ("giang", "seo"),
)  # fmt: skip

# So common as surnames, so rare as given names, that one of them at the end means a name turned round (Minh Nguyễn).
TELLING = _listed("nguyen tran pham huynh vo bui")
COMMON = TELLING | _listed("le hoang phan vu dang do ho ngo duong ly trinh dinh doan truong dao dam luong mai lam")

# Ê Đê, Gia Rai, Ba Na, M'Nông, Cơ Ho, Stiêng ...: the person's own name stands first, the surname last.
SURNAME_LAST = _listed(
    "nie mlo kbuor bya ayun eban hdok knul kdoh ksor rmah siu kpa rcom rocham rah nay rahlan adrong buonya buondap "
    "kriew bdap hmok hwing mdrang enuol euong krong bkrong arul bia"
)
MARKERS = _listed("y h k ka a")  # male, female; a word of its own, or before an apostrophe

TITLES = _listed("ts ths gs pgs bs ks cn ncs ds ls")  # before a dot, or as they are: no syllables
FORMS_OF_ADDRESS = _listed("ong ba anh chi co")  # Ông is a surname as well (Ông Ích Khiêm): a person decides
