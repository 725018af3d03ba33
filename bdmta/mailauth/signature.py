"""One DKIM-Signature field, read strictly (RFC 6376 §3.5, §6.1.1): what is not plainly right is no signature."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bdmta.mailauth.results import Result
from bdmta.mailauth.tags import TagError, octets_of, parse_tags, unspaced, words_of

MAX_FIELD_OCTETS = 8192
ALGORITHMS = ("rsa-sha256", "ed25519-sha256")  # rsa-sha1 proves nothing any more (RFC 8301 §3.1)
_CLOCK_SKEW_S = 86_400
_LABELS = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABELS}\Z")
_SELECTOR = re.compile(rf"(?=.{{1,120}}\Z){_LABELS}\Z")
_NUMBER = re.compile(r"[0-9]{1,12}\Z")
_LENGTH = re.compile(r"[0-9]{1,76}\Z")
_FIELD_NAME = re.compile(r"[!-9<-~]+\Z")  # neither colon nor semicolon (RFC 5322 §2.2)
_MAX_NAMES = 500


class SignatureUnusable(ValueError):
    """The field is no signature that could pass; `result` is the word for it."""

    def __init__(self, reason: str, result: Result = Result.PERMERROR, tags: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.result = result
        self.tags = tags or {}


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that could pass. Domain and selector are in lower case, as are the names in `h=`."""

    raw: bytes
    algorithm: str
    domain: str
    selector: str
    identity: str
    names: tuple[str, ...]
    body_hash: bytes
    value: bytes
    text: str
    relaxed_header: bool
    relaxed_body: bool
    length: int | None
    expires: int | None


def read_signature(raw: bytes, now: float) -> Signature:
    """The signature in a DKIM-Signature field (`raw`: with name and line break); SignatureUnusable says why not."""
    if len(raw) > MAX_FIELD_OCTETS:
        raise SignatureUnusable("signature too long")
    try:
        tags = parse_tags(raw.partition(b":")[2].removesuffix(b"\r\n"))
    except TagError as error:
        raise SignatureUnusable(str(error)) from None
    try:
        return _signature(raw, tags, now)
    except TagError as error:
        raise SignatureUnusable(str(error), tags=tags) from None
    except SignatureUnusable as error:
        error.tags = tags
        raise


def _signature(raw: bytes, tags: dict[str, str], now: float) -> Signature:
    for name in ("v", "a", "b", "bh", "d", "h", "s"):
        if not tags.get(name):
            raise SignatureUnusable(f"{name}= is missing")
    if tags["v"] != "1":
        raise SignatureUnusable("unknown version")
    algorithm = tags["a"].lower()
    if algorithm not in ALGORITHMS:
        raise SignatureUnusable(f"{algorithm[:20]} is not accepted")
    domain, selector = tags["d"].lower().rstrip("."), tags["s"].lower()
    if _DOMAIN.match(domain) is None or _SELECTOR.match(selector) is None:
        raise SignatureUnusable("d= or s= is no name")
    names = words_of(tags["h"])
    if len(names) > _MAX_NAMES or not all(_FIELD_NAME.match(name) for name in names):
        raise SignatureUnusable("h= is no list of fields")
    if "from" not in names:  # §5.4: else anybody could be put there
        raise SignatureUnusable("From is not signed")
    relaxed_header, relaxed_body = _forms(tags.get("c", "simple/simple").lower())
    if "q" in tags and "dns/txt" not in words_of(tags["q"].lower()):
        raise SignatureUnusable("unknown q=")
    return Signature(
        raw, algorithm, domain, selector, _identity(tags.get("i", ""), domain), names, octets_of(tags["bh"]),
        octets_of(tags["b"]), unspaced(tags["b"]), relaxed_header, relaxed_body, _length(tags), _times(tags, now),
    )  # fmt: skip


def _forms(value: str) -> tuple[bool, bool]:
    header, _, body = value.partition("/")
    if header not in ("simple", "relaxed") or body not in ("", "simple", "relaxed"):
        raise SignatureUnusable("unknown c=")
    return header == "relaxed", body == "relaxed"


def _identity(value: str, domain: str) -> str:
    if not value:
        return f"@{domain}"
    local, at, host = value.rpartition("@")
    host = host.lower().rstrip(".")
    if not at or (host != domain and not host.endswith(f".{domain}")):  # §6.1.1
        raise SignatureUnusable("i= is not of d=")
    return f"{local}@{host}"


def _length(tags: dict[str, str]) -> int | None:
    if "l" not in tags:
        return None
    if _LENGTH.match(tags["l"]) is None:
        raise SignatureUnusable("l= is no number")
    return int(tags["l"])


def _times(tags: dict[str, str], now: float) -> int | None:
    for name in ("t", "x"):
        if name in tags and _NUMBER.match(tags[name]) is None:
            raise SignatureUnusable(f"{name}= is no number")
    made, expires = int(tags.get("t", "0")), int(tags["x"]) if "x" in tags else None
    if expires is not None and "t" in tags and expires <= made:
        raise SignatureUnusable("x= is not after t=")
    if expires is not None and expires < now:
        raise SignatureUnusable("signature expired", Result.FAIL)
    if made > now + _CLOCK_SKEW_S:
        raise SignatureUnusable("signature from the future", Result.FAIL)
    return expires
