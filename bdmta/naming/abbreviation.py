"""Abbreviations for agencies (Điều 5.2): Sở Thông tin và Truyền thông is `sotttt`, UBND thị xã Dĩ An `ubnddian`."""

from __future__ import annotations

import re

from bdmta.naming.fold import fold

# What an agency's name begins with, and what stands for it. Longest first; "" takes the initials as they are.
_KINDS: tuple[tuple[str, str], ...] = (
    ("van phong uy ban nhan dan", "vpubnd"), ("van phong hoi dong nhan dan", "vphdnd"), ("uy ban nhan dan", "ubnd"),
    ("van phong ubnd", "vpubnd"), ("van phong hdnd", "vphdnd"), ("tinh uy", "tinhuy"), ("huyen uy", "huyenuy"),
    ("thi uy", "thiuy"), ("thanh uy", "thanhuy"), ("hoi dong nhan dan", "hdnd"),
    ("uy ban mat tran to quoc", "mttq"), ("ban quan ly", "bql"), ("chi cuc", "cc"),
    ("trung tam", "tt"), ("van phong", "vp"), ("thanh tra", "thanhtra"), ("benh vien", "bv"), ("cong an", "ca"),
    ("toa an nhan dan", "tand"), ("vien kiem sat nhan dan", "vksnd"), ("hat kiem lam", "hkl"), ("vp ubnd", "vpubnd"),
    ("ubnd", "ubnd"), ("hdnd", "hdnd"), ("so", "so"), ("ban", "ban"), ("cuc", "cuc"), ("phong", "p"), ("truong", "t"),
)  # fmt: skip
# What follows these is a place, written whole.
_OF_PLACES = frozenset({
    "ubnd", "hdnd", "vpubnd", "vphdnd", "mttq", "ca", "tand", "vksnd", "tinhuy", "huyenuy", "thiuy", "thanhuy",
})  # fmt: skip
_PLACES = (
    ("thi xa", "tx"), ("thi tran", "tt"), ("thanh pho", "tp"), ("tinh", "t"), ("huyen", "h"), ("quan", "q"),
    ("xa", "x"), ("phuong", "p"), ("tp", "tp"), ("tx", "tx"), ("tt", "tt"),
)  # fmt: skip
_SMALL = {"va", "cua"}
_WORD = re.compile(r"[a-z]+|[0-9]+")
_WORDS_MAX = 40
_LETTERS_MAX = 32

IDENTIFIER = re.compile(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?")
"""What an abbreviation may be: it is the local part of the agency's address."""


def abbreviations(name: str, parent: str = "") -> tuple[str, ...]:
    """Suggestions for an agency called `name`, the best first; empty when there is no letter in it.

    `parent`: the abbreviation of the agency above, which parts namesakes (the communes An Bình of two districts).
    """
    words = _WORD.findall(fold(name))[:_WORDS_MAX]
    head, rest = _parted(words)
    found: list[str] = []
    if head in _OF_PLACES and rest:
        kind, place = _place(rest)
        found += [head + "".join(place), head + kind + "".join(place)]
        if parent:
            found.append(head + kind + "".join(place) + "-" + parent.removeprefix(head))
    else:
        found.append(head + _initials(rest))
        if parent:
            found.append(f"{head}{_initials(rest)}-{parent}")
        found.append("".join(words))
    unique = dict.fromkeys(one[:_LETTERS_MAX].strip("-") for one in found)
    return tuple(one for one in unique if IDENTIFIER.fullmatch(one))


def _parted(words: list[str]) -> tuple[str, list[str]]:
    for kind, short in _KINDS:
        count = kind.count(" ") + 1
        if " ".join(words[:count]) == kind:
            return short, words[count:]
    return "", words


def _place(words: list[str]) -> tuple[str, list[str]]:
    """The kind of a place, shortened, and its name's words; a bare kind is the name itself."""
    for kind, short in _PLACES:
        count = kind.count(" ") + 1
        if " ".join(words[:count]) == kind and len(words) > count:
            return short, words[count:]
    return "", words


def _initials(words: list[str]) -> str:
    return "".join(word if word.isdigit() else word[0] for word in words if word not in _SMALL)
