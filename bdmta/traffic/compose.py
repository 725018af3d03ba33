"""Letters as programs write them: Thunderbird's plain text, Gmail's base64, Outlook's quoted-printable with HTML."""

from __future__ import annotations

import base64
import html
import quopri
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.header import Header
from email.utils import format_datetime
from random import Random

from bdmta.traffic import texts
from bdmta.traffic.files import NAMES, TYPES, document
from bdmta.traffic.letter import id_line
from bdmta.traffic.sizes import Shape

_PROGRAMS = (("thunderbird", 0.5), ("gmail", 0.3), ("outlook", 0.2))  # an assumption
_AGENT = {
    "thunderbird": "User-Agent: Mozilla Thunderbird\r\n", "gmail": "",
    "outlook": "X-Mailer: Microsoft Outlook 16.0\r\n",
}  # fmt: skip
_FLOWED = "Content-Type: text/plain; charset=UTF-8; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody in a header field."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Thread:
    """What a letter answers: the ids before it, its subject and some of its text."""

    references: tuple[str, ...]
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Composed:
    """The octets, and what an answer to it would refer to."""

    octets: bytes
    thread: Thread


class Composer:
    """Writes the letters of one run. `label` marks them, `start` is the moment that dates count from."""

    def __init__(self, label: str, start: datetime, shape: Shape, largest_octets: int) -> None:
        self._label = label
        self._start = start
        self._shape = shape
        self._largest = largest_octets

    def compose(
        self,
        number: int,
        kind: str,
        draw: Random,
        sender: Party,
        to: tuple[Party, ...],
        *,
        at_s: float = 0.0,
        answers: Thread | None = None,
    ) -> Composed:
        """One letter of a size drawn from the shape."""
        size = self._shape.draw(draw, self._largest)
        program = draw.choices([name for name, _ in _PROGRAMS], [weight for _, weight in _PROGRAMS])[0]
        subject = texts.subject(kind, draw) if answers is None else answers.subject
        is_large = size > self._shape.text_octets
        has_file = is_large or draw.random() < self._shape.small_with_file
        text_octets = max(
            200, (draw.randrange(300, 3000) if has_file else size - 900) // (1 if is_plain(program) else 2)
        )
        text = texts.body(kind, draw, text_octets, to=to[0].name or to[0].address, name=sender.name,
                          quoted=answers.text if answers else "")  # fmt: skip
        own_id = f"<{self._label}.{number}@{sender.address.rpartition('@')[2]}>"
        head = self._head(number, sender, to, subject, own_id, at_s, answers, _AGENT[program])
        if kind == "bulk":
            head += f"List-Id: <bantin.{sender.address.rpartition('@')[2]}>\r\nPrecedence: bulk\r\n"
        content = _text(program, text, number)
        if has_file:
            content = _mixed(content, self._files(draw, size - len(content)), number)
        octets = id_line(self._label, number) + head.encode() + b"MIME-Version: 1.0\r\n" + content
        references = (*(answers.references[-8:] if answers else ()), own_id)
        return Composed(octets, Thread(references, subject if answers else f"Re: {subject}", text[:600]))

    def _head(
        self, number: int, sender: Party, to: tuple[Party, ...], subject: str, own_id: str, at_s: float,
        answers: Thread | None, agent: str,
    ) -> str:  # fmt: skip
        lines = [
            f"From: {_named(sender)}\r\n", "To: ", ",\r\n ".join(_named(party) for party in to[:20]), "\r\n",
            f"Subject: {_words(subject)}\r\n", f"Date: {format_datetime(self._start + timedelta(seconds=at_s))}\r\n",
            f"Message-ID: {own_id}\r\n", agent,
        ]  # fmt: skip
        if answers is not None:
            lines += [
                f"In-Reply-To: {answers.references[-1]}\r\n",
                "References: ",
                "\r\n ".join(answers.references),
                "\r\n",
            ]
        return "".join(lines)

    def _files(self, draw: Random, octets: int) -> list[tuple[str, str, bytes]]:
        count = draw.choices((1, 2, 3), (0.7, 0.2, 0.1))[0] if octets > 8192 else 1
        endings = draw.choices(list(self._shape.files), list(self._shape.files.values()), k=count)
        each = max(1024, octets * 73 // 100 // count)  # base64 adds a third
        return [
            (f"{draw.choice(NAMES)} {number}.{ending}", TYPES[ending], document(ending, each, draw))
            for number, ending in enumerate(endings, 1)
        ]


def is_plain(program: str) -> bool:
    """Whether it sends the text once; the others send it again as HTML."""
    return program == "thunderbird"


def _named(party: Party) -> str:
    return f"{_words(party.name)} <{party.address}>" if party.name else party.address


def _words(text: str) -> str:
    return text if text.isascii() else Header(text, "utf-8", maxlinelen=70).encode(linesep="\r\n")


def _text(program: str, text: str, number: int) -> bytes:
    crlf = text.replace("\n", "\r\n")
    if is_plain(program):
        return _FLOWED.encode() + _folded(crlf).encode()
    page = (
        "<html><body>" + "".join(f"<p>{html.escape(line)}</p>\r\n" for line in text.splitlines()) + "</body></html>\r\n"
    )
    encoding = "base64" if program == "gmail" else "quoted-printable"
    bound = f"alt-{number}"
    parts = [
        f"--{bound}\r\nContent-Type: text/{kind}; charset=UTF-8\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        + _encoded(words.encode(), encoding)
        for kind, words in (("plain", crlf), ("html", page))
    ]
    start = f'Content-Type: multipart/alternative; boundary="{bound}"\r\n\r\n'.encode()
    return start + b"".join(parts) + f"--{bound}--\r\n".encode()


def _folded(text: str) -> str:
    """Lines of at most about 72 characters, a space at the end of each that goes on (RFC 3676)."""
    out: list[str] = []
    for line in text.split("\r\n"):
        while len(line) > 72 and (cut := line.rfind(" ", 0, 72)) > 0 and not line.startswith(">"):
            out.append(line[: cut + 1])
            line = line[cut + 1 :]
        out.append(line)
    return "\r\n".join(out)


def _encoded(octets: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return base64_lines(octets)
    return quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")


def base64_lines(octets: bytes) -> bytes:
    """Lines of 76 (RFC 2045 §6.8)."""
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


def _mixed(content: bytes, files: list[tuple[str, str, bytes]], number: int) -> bytes:
    bound = f"mix-{number}"
    out = [f'Content-Type: multipart/mixed; boundary="{bound}"\r\n\r\n--{bound}\r\n'.encode(), content]
    for name, kind, octets in files:
        out.append(
            f'\r\n--{bound}\r\nContent-Type: {kind}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'.encode()
        )
        out.append(base64_lines(octets))
    return b"".join([*out, f"--{bound}--\r\n".encode()])
