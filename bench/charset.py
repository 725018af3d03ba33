"""`scripts/measure-charset`: the charset detector on real text: false alarms in other languages, and what is found of
Vietnamese in the old sets.

Every sentence travels as a letter: as UTF-8, in its language's own charset with the true label, and as a subject. An
alarm is a letter that would be changed or refused. Then Vietnamese paragraphs (60 letters or more) in each old set,
under the label iso-8859-1.
"""

from __future__ import annotations

import base64
import collections
import gettext
import gzip
import random
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from bdmta.charset import Undecodable, convert, decode, encode, review
from bdmta.charset.detect import CANDIDATES
from bdmta.message import scan

OWN = {
    "cs": "iso-8859-2", "pl": "iso-8859-2", "hu": "iso-8859-2", "hr": "iso-8859-2", "sk": "iso-8859-2",
    "sl": "iso-8859-2", "bs": "iso-8859-2", "ro": "iso-8859-16", "tr": "iso-8859-9", "et": "iso-8859-15",
    "ru": "koi8-r", "uk": "windows-1251", "bg": "windows-1251", "be": "windows-1251", "sr": "windows-1251",
    "mk": "windows-1251", "el": "iso-8859-7", "lv": "windows-1257", "lt": "windows-1257", "ja": "iso-2022-jp",
    "zh_CN": "gb2312", "zh_TW": "big5", "ko": "euc-kr", "he": "windows-1255", "ar": "windows-1256", "th": "tis-620",
}  # fmt: skip
ROFF = re.compile(r"\\f(?:[A-Z]|\[[^]]*\]|\(..)|\\[&|^]|\\s-?\d")
PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "…": "..."})


def say(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{text}\n")


def man_sentences(path: Path) -> Iterator[str]:
    """The sentences of one manual page."""
    paragraph: list[str] = []
    lines = gzip.decompress(path.read_bytes()).decode("utf-8", "replace").split("\n")
    for line in [*lines, "."]:
        if line.startswith((".", "'")):
            if line.startswith((".B ", ".I ", ".BR ", ".IR ")):
                paragraph.append(line[3:].strip())
                continue
            text = ROFF.sub("", " ".join(paragraph))
            text = re.sub(r"\\\(..|\\\[[^]]*\]|\\[-e]", " ", text).replace("\\", "")
            yield from re.split(r"(?<=[.!?。])\s+", text)
            paragraph = []
        else:
            paragraph.append(line.strip())


def sentences(root: Path) -> dict[str, list[str]]:
    """All sentences of 20 letters or more by language, shuffled but the same each time."""
    found: dict[str, set[str]] = collections.defaultdict(set)
    for page in root.glob("usr/share/man/*/man*/*.gz"):
        found[page.parent.parent.name].update(man_sentences(page))
    for path in root.glob("usr/**/locale/*/LC_MESSAGES/*.mo"):
        if not path.name.startswith("iso_"):
            try:
                catalog = gettext.GNUTranslations(path.open("rb"))._catalog  # type: ignore[attr-defined]
            except (UnicodeError, OSError, LookupError, ValueError):
                continue
            found[path.parent.parent.name].update(v for k, v in catalog.items() if isinstance(v, str) and v != k)
    out = {
        language: sorted(s for s in texts if len(s) >= 20 and "\ufffd" not in s) for language, texts in found.items()
    }
    for texts in out.values():
        random.Random(1).shuffle(texts)
    return out


def letter(text: bytes, label: str, subject: bytes = b"Hello") -> bytes:
    """A letter with `text` as its body."""
    return (
        b"From: a@example.org\r\nSubject: " + subject + b"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset="
        + label.encode() + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(text)
    )  # fmt: skip


def forms(text: str, language: str) -> Iterator[tuple[str, bytes]]:
    """The letters that one sentence makes."""
    yield "utf-8", letter(text.encode(), "utf-8")
    word = b"=?utf-8?B?" + base64.b64encode(text.encode()) + b"?="
    yield "subject", letter(b"see below", "us-ascii", word)
    label = OWN.get(language, OWN.get(language.partition("_")[0], "windows-1252"))
    try:
        own = text.encode(label)
    except (UnicodeEncodeError, LookupError):
        return
    yield "own", letter(own, label)
    if label == "windows-1252":
        yield "raw", letter(b"see below", "us-ascii", b"=?iso-8859-1?B?" + base64.b64encode(own) + b"?=")


def measure_alarms(texts: dict[str, list[str]], most: int) -> None:
    """Print the false alarms."""
    count, alarms, marks = collections.Counter[str](), [], 0
    for language, lines in sorted(texts.items()):
        for text in [line for line in lines if not line.isascii()][:most]:
            count["sentences"] += 1
            for form, octets in forms(text, language):
                count[form] += 1
                found = review(scan(octets))
                marks += bool(found.suspects)
                if found.changes or found.refusal:
                    alarms.append((language, form, found.refusal or found.encodings, text))
    say(f"languages {len(texts)}, {dict(count)}: {len(alarms)} false alarms, {marks} marked as suspect")
    for alarm in alarms[:20]:
        say(f"   {alarm}")


def measure_found(lines: list[str], most: int) -> None:
    """Print how many Vietnamese paragraphs are found and read right in each old set."""
    long = [
        unicodedata.normalize("NFC", line).translate(PLAIN) for line in lines if len(line) >= 60 and not line.isascii()
    ]
    for name in CANDIDATES:
        right = wrong = missed = 0
        for text in long[:most]:
            try:
                octets = encode(name, text)
            except Undecodable:
                continue
            message = scan(letter(octets, "iso-8859-1"))
            found = review(message)
            if not found.changes:
                missed += 1
                continue
            new = convert(message, found).partition(b"\r\n\r\n")[2]
            is_right = base64.b64decode(new).decode() == decode(name, octets)
            right += is_right
            wrong += not is_right
        total = right + wrong + missed
        shares = f"found {100 * (right + wrong) / total:.2f} %, read right {100 * right / total:.2f} %"
        say(f"{name}: {total} paragraphs, {shares}")


def main() -> None:
    """Measure."""
    texts = sentences(Path(sys.argv[1]))
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    measure_alarms(texts, most)
    measure_found(texts.get("vi", []), 5000)


if __name__ == "__main__":
    main()
