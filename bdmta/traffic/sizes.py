"""How large letters are, and what hangs on them: a measured distribution, or your own, measured from a Maildir.

The default is the table that J. Buchner published for traffic models (Modelling realistic email traffic, 2009), which
goes back to sizes measured on a large server and posted to freebsd-net in October 2002. Its shape (a log-normal body,
a heavy tail) is what later studies found (Matsubara and Musashi, Eur. Phys. J. Plus 132, 2017); letters have grown
since, so measure your own: `bdmta-traffic measure MAILDIR...` reads sizes and kinds of files, and keeps no content.
"""

from __future__ import annotations

import json
import math
import os
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from bdmta.errors import UsageError

LEAST_OCTETS = 900
_BUCHNER = (0.2353, 0.4917, 0.676, 0.7958, 0.8536, 0.9047, 0.933, 0.9574, 0.9724, 0.9849, 0.9996, 1.0)
_BUCKETS = tuple((2048 << number, share) for number, share in enumerate(_BUCHNER))
_FILES = {"pdf": 0.5, "odt": 0.2, "csv": 0.1, "png": 0.2}  # an assumption: PDF is what agencies send
_HEAD_OCTETS = 65536
_FILENAME = re.compile(rb'(?i)filename\*?=(?:"[^"\r\n]*|[^\s;"]*)\.([a-z0-9]{1,5})\b')


@dataclass(frozen=True)
class Shape:
    """`buckets`: (octets, share of letters up to that size), rising; `files`: extension and its weight.

    Letters up to `text_octets` are text, larger ones carry files; of the small ones `small_with_file` do as well.
    """

    buckets: tuple[tuple[int, float], ...] = _BUCKETS
    files: dict[str, float] = field(default_factory=lambda: dict(_FILES))
    text_octets: int = 16_384
    small_with_file: float = 0.05

    def draw(self, source: Random, largest: int) -> int:
        """The size of one letter in octets, log-uniform within its bucket, at most `largest`."""
        share = source.random()
        at = bisect_left([upper for _, upper in self.buckets], share)
        at = min(at, len(self.buckets) - 1)
        high = self.buckets[at][0]
        low = self.buckets[at - 1][0] if at else min(LEAST_OCTETS, high)
        return min(largest, round(math.exp(source.uniform(math.log(low), math.log(high)))))

    def as_json(self) -> dict[str, Any]:
        """What `read_shape` reads."""
        return {
            "buckets": [list(bucket) for bucket in self.buckets], "files": self.files,
            "text_octets": self.text_octets, "small_with_file": self.small_with_file,
        }  # fmt: skip


def read_shape(path: str) -> Shape:
    """The shape that `measure` wrote to `path`; raises UsageError."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        buckets = tuple((int(octets), float(share)) for octets, share in data["buckets"])
        shape = Shape(buckets, dict(data["files"]), int(data["text_octets"]), float(data["small_with_file"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: is not what `bdmta-traffic measure` writes ({error!r})") from error
    rising = sorted(buckets) == list(buckets) and sorted(share for _, share in buckets) == [s for _, s in buckets]
    if not buckets or not rising or abs(buckets[-1][1] - 1) > 0.001 or not shape.files:
        raise UsageError(f"{path}: buckets must rise in octets and in share up to 1, and files must not be empty")
    return shape


def measure(folders: Iterable[str]) -> Shape:
    """The shape of the letters below `folders` (Maildirs). Reads sizes and, of each letter's start, files' endings."""
    sizes: Counter[int] = Counter()
    files: Counter[str] = Counter()
    small = small_with_file = count = 0
    known = set(_FILES)
    for path in _letters(folders):
        octets = os.path.getsize(path)
        with open(path, "rb") as file:
            endings = {found.decode().lower() for found in _FILENAME.findall(file.read(_HEAD_OCTETS))}
        files.update(endings & known)
        count += 1
        sizes[max(11, (max(octets, 1) - 1).bit_length())] += 1
        if octets <= Shape.text_octets:
            small += 1
            small_with_file += bool(endings)
    if not count:
        raise UsageError("no letters are there to measure")
    buckets, so_far = [], 0
    for bits in range(11, max(sizes) + 1):
        so_far += sizes[bits]
        buckets.append((1 << bits, round(so_far / count, 6)))
    return Shape(tuple(buckets), dict(files) or dict(_FILES), Shape.text_octets, small_with_file / max(1, small))


def _letters(folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        for where, _, names in os.walk(folder):
            if os.path.basename(where) in ("new", "cur"):
                yield from (os.path.join(where, name) for name in names)
