"""Every syllable that Vietnamese spelling allows, made from onset, rime and tone; no word list is needed.

The model is the detector's yardstick: a text under the right reading is made of these syllables almost wholly, under
a wrong reading almost never. Both habits of placing the tone (`hòa`, `hoà`) are in.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib import resources


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FRONT = "eêiy"  # k, gh and ngh stand before these; c, g and ng before the others
_ONSETS = _listed("b c ch d đ g gh gi h k kh l m n ng ngh nh p ph q r s t th tr v x")
_RIMES = _listed("""
a ac ach ai am an ang anh ao ap at au ay ăc ăm ăn ăng ăp ăt âc âm ân âng âp ât âu ây
e ec em en eng eo ep et ê êch êm ên ênh êp êt êu
i ia ich im in inh ip it iu iêc iêm iên iêng iêp iêt iêu
o oc oi om on ong op ot ooc oong ô ôc ôi ôm ôn ông ôp ôt ơ ơi ơm ơn ơp ơt
u ua uc ui um un ung up ut uôc uôi uôm uôn uông uôt ư ưa ưc ưi ưm ưng ưt ưu ươc ươi ươm ươn ương ươp ươt ươu
y
""")
# With the glide u: never after lips (b m p ph v), save in a few borrowed names.
_GLIDED = _listed("""
oa oac oach oai oam oan oang oanh oao oap oat oay oăc oăm oăn oăng oăt oe oen oeo oet
uân uâng uât uây uê uêch uênh uơ uy uya uych uyên uyêt uynh uyt uyu uyn uyp
""")
_AFTER_Q = _listed("""
ua uac uach uai uan uang uanh uao uat uau uay uăc uăm uăn uăng uăp uăt uân uâng uât uây ue uen ueo uet uê uên uênh uêt
uêch uit ui uy uych uynh uyt uyên uyêt uơ uơn uơt uôc uôn uông
""")
_BARE_Y = _listed("y yêm yên yêng yêt yêu")
_Y_AFTER = frozenset(_listed("h k l m n s t th v đ"))
_LIPS = frozenset(_listed("b m p ph v"))
_TONES = {"\u0300": "huyền", "\u0309": "hỏi", "\u0303": "ngã", "\u0301": "sắc", "\u0323": "nặng"}
_STOPS = ("c", "ch", "p", "t")


@cache
def syllables() -> frozenset[str]:
    """All of them in lower case and NFC; those without any mark (`ba`, `danh`) too."""
    found: set[str] = set()
    for onset, rime in _spellings():
        found.update(_with_tones(onset, rime))
    return frozenset(found)


@cache
def common_syllables() -> frozenset[str]:
    """Those with marks that everyday text is made of (`tables/common-syllables.txt`)."""
    return frozenset(
        resources.files("bdmta.charset").joinpath("tables", "common-syllables.txt").read_text("utf-8").split()
    )


def is_syllable(word: str) -> bool:
    """Whether `word` (NFC) can be a Vietnamese syllable."""
    return word.lower() in syllables()


def _spellings() -> list[tuple[str, str]]:
    pairs = [("", rime) for rime in (*_RIMES, *_GLIDED, *_BARE_Y) if not rime.startswith("iê")]
    for onset in _ONSETS:
        if onset == "q":
            pairs += [(onset, rime) for rime in _AFTER_Q]
            continue
        pairs += [(onset, rime) for rime in _RIMES if _fits(onset, rime)]
        if onset not in _LIPS and onset not in ("gi", "k", "gh", "ngh"):
            pairs += [(onset, rime) for rime in _GLIDED]
    pairs += [("b", "uyt"), ("v", "oan"), ("v", "oăn"), ("p", "oa"), ("m", "oay"), ("v", "uy"), ("g", "i")]
    pairs += [("g", rime) for rime in ("in", "im", "ip", "iêng", "iêt", "iêm", "iên", "iêc", "iêp")]
    return pairs


def _fits(onset: str, rime: str) -> bool:
    front = rime[0] in _FRONT
    if rime == "y":
        return onset in _Y_AFTER
    if onset in ("k", "gh", "ngh"):
        return front
    if onset in ("c", "g", "ng"):
        return not front
    if onset == "gi":
        return rime[0] not in "iy"
    return True


def _with_tones(onset: str, rime: str) -> list[str]:
    coda = rime.lstrip("aăâeêioôơuưy")
    made = [] if coda in _STOPS else [onset + rime]
    tones = ("\u0301", "\u0323") if coda in _STOPS else tuple(_TONES)
    if coda in _STOPS and any(letter in "ăâêôơư" for letter in rime):
        made = []
    for tone in tones:
        for at in _places(onset, rime):
            made.append(unicodedata.normalize("NFC", onset + rime[: at + 1] + tone + rime[at + 1 :]))
    return made


def _places(onset: str, rime: str) -> tuple[int, ...]:
    """Where the tone may stand: on the letter with a mark, else by either habit."""
    vowels = rime.rstrip("chgmnpt") if len(rime) > 1 else rime
    marked = [at for at, letter in enumerate(vowels) if letter in "ăâêôơư"]
    if marked:
        return (marked[-1],)
    if len(vowels) == 1:
        return (0,)
    if onset == "q":
        return (1,)  # the u belongs to the onset
    if len(vowels) == 3:  # oai, oay, uya, uyu, oeo
        return (1,) if vowels != "uya" else (1, 2)
    if len(rime) > len(vowels):
        return (1,)  # a coda follows: hoàn
    if vowels in ("oa", "oe", "uy"):
        return (0, 1)
    return (0,)
