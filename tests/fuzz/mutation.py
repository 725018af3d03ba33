"""Letters gone wrong: octets changed, lines moved, pieces of other letters, and files spoilt inside their encoding."""

from __future__ import annotations

import base64
import random
import re

MAX_OCTETS = 200_000
_BASE64 = re.compile(rb"(?m)(?:^[A-Za-z0-9+/]{40,}={0,2}\r?\n)+")
TOKENS = (
    b'\r\n', b'\n', b'\r', b'\x00', b'\r\n\r\n', b'.\r\n', b'\r\n.\r\n', b'--', b'--=_bd--', b'--=_bd\r\n',
    b'\r\n--\r\n', b'Content-Type: multipart/mixed; boundary="=_bd"\r\n', b'Content-Type: message/rfc822\r\n',
    b'Content-Type: text/html\r\n', b'Content-Type: text/plain; charset=utf-16\r\n',
    b'Content-Type: text/plain; charset=iso-2022-jp\r\n', b'Content-Type: multipart/signed\r\n',
    b'Content-Type: message/external-body\r\n', b'Content-Transfer-Encoding: base64\r\n',
    b'Content-Transfer-Encoding: quoted-printable\r\n', b'Content-Transfer-Encoding: x-uuencode\r\n',
    b'charset=utf-7', b'charset=viscii', b'charset="x-vni"', b"; filename*0*=utf-8''%", b'; filename*1*=%2E%',
    b'filename="', b'=?utf-8?B?', b'?=', b'=?viscii?Q?=', b'=?iso-2022-jp?B?GyRC?=', b'=?utf-8?Q?=0D=0A?=',
    b'From: <', b'From: a@b, "', b'Subject: =?', b'<meta charset=', b'&#x110;', b'&#55296;', b'<b', b'<!--',
    b'<script>', b'begin 644 a.exe\r\n', b'=ybegin line=128 size=9 name=a\r\n', b'=yend\r\n', b'PK\x03\x04',
    b'PK\x01\x02', b'PK\x05\x06', b'MZ', b'%PDF-1.4', b'{\\rtf1', b'{\\object', b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1',
    b'\x1f\x8b\x08\x00', b"7z\xbc\xaf'\x1c", b'Rar!\x1a\x07\x00', b'ustar', b'x\x9f>"', b'\xff\xff\xff\xff',
    b'\x7f\xff\xff\xff', b'\x80\x00\x00\x00', b'\xff\xfe', b'\xef\xbb\xbf', b'\xc0\xaf', b'\xed\xa0\x80',
    b'\xf4\x90\x80\x80', b'\xae', b'\xb8', b'M\xc2T', b'M\xe1\xba\xacT', b'\xe2\x80\xae', b'stream\n', b'endstream',
    b'/JavaScript', b'obj', b'<<', b'>>', b'DKIM-Signature: v=1; b=\r\n', b'%0', b'\\', b'(', b')', b';', b',', b':',
    b" " * 300,
)  # fmt: skip


class Mutator:
    """Spoils letters; the same seed gives the same letters."""

    def __init__(self, seeds: list[bytes], seed: int) -> None:
        self._seeds = seeds
        self._random = random.Random(seed)

    def letter(self) -> bytes:
        """A seed, spoilt in one to eight places."""
        rng = self._random
        octets = rng.choice(self._seeds)
        for _ in range(rng.choice((1, 1, 2, 2, 3, 5, 8))):
            octets = self.spoil(octets)
        return octets[:MAX_OCTETS]

    def spoil(self, octets: bytes) -> bytes:
        """One change."""
        if self._random.random() < 0.3:
            return self._inside(octets)
        return self._random.choice(
            (self._octet, self._token, self._token, self._cut, self._repeat, self._swap, self._splice)
        )(octets)

    def _at(self, octets: bytes) -> int:
        """A place; the beginning, where the header is, is chosen more often."""
        most = len(octets) if self._random.random() < 0.5 else min(len(octets), 1500)
        return self._random.randint(0, most)

    def _octet(self, octets: bytes) -> bytes:
        at = self._at(octets)
        return octets[:at] + bytes([self._random.randrange(256)]) + octets[at + 1 :]

    def _token(self, octets: bytes) -> bytes:
        at, token = self._at(octets), self._random.choice(TOKENS)
        return octets[:at] + token + octets[at + self._random.choice((0, 0, len(token))) :]

    def _cut(self, octets: bytes) -> bytes:
        at = self._at(octets)
        return octets[:at] + octets[at + self._random.choice((1, 2, 10, 100, 1000)) :]

    def _repeat(self, octets: bytes) -> bytes:
        at, size = self._at(octets), self._random.choice((1, 4, 40, 400))
        return octets[:at] + octets[at : at + size] * self._random.choice((2, 3, 50)) + octets[at:]

    def _swap(self, octets: bytes) -> bytes:
        lines = octets.split(b"\r\n")
        one, other = self._random.randrange(len(lines)), self._random.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
        return b"\r\n".join(lines)

    def _splice(self, octets: bytes) -> bytes:
        other = self._random.choice(self._seeds)
        return octets[: self._at(octets)] + other[self._at(other) :]

    def _inside(self, octets: bytes) -> bytes:
        """A change within a base64 body, which stays base64."""
        bodies = list(_BASE64.finditer(octets))
        if not bodies:
            return self._token(octets)
        body = self._random.choice(bodies)
        try:
            plain = base64.b64decode(body[0])
        except ValueError:
            return self._octet(octets)
        change = self._random.choice((self._octet, self._octet, self._token, self._cut, self._repeat))
        return octets[: body.start()] + base64.encodebytes(change(plain)).replace(b"\n", b"\r\n") + octets[body.end() :]
