"""Verify DKIM signatures (RFC 6376 §6, RFC 8301, RFC 8463): strictly, boundedly, never raising.

What other verifiers let through does not pass here: rsa-sha1, From uncovered or doubled, `l=` with anything behind it,
keys below 1024 bits, the key's `h=`, `s=` and `t=s`, line breaks that are not CRLF, signatures without number. A
server that cannot be asked is `temperror`, never `fail`.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from concurrent.futures import Executor

from bdmta.dns import Answer, Resolver, TempFail
from bdmta.mailauth.canonical import BodyHash, RawField, hash_body, signed_octets
from bdmta.mailauth.key import KeyUnusable, PublishedKey, read_key
from bdmta.mailauth.publicsuffix import is_public_suffix, organisational_domain
from bdmta.mailauth.results import DkimResult, Result
from bdmta.mailauth.signature import Signature, SignatureUnusable, read_signature
from bdmta.message import Message
from bdmta.message.addresses import mailboxes

MAX_SIGNATURES = 5
_MAX_READ = 50
_INLINE_OCTETS = 262_144
_READ_TWO_WAYS = frozenset({"bare-lf", "bare-cr", "nul", "blank-fold", "headers", "header-block"})


async def verify(
    message: Message, resolver: Resolver, now: float, executor: Executor | None = None, *, skip_octets: int = 0
) -> tuple[DkimResult, ...]:
    """A result for each signature, in the letter's order; `()` when there is none. Of more than MAX_SIGNATURES those
    of the author's organisation are looked at first, and the rest not at all.

    Fields that begin before `skip_octets` are ours and were not there when it was signed. Large bodies are hashed in
    `executor`; nothing else leaves the loop.
    """
    found = [h for h in message.headers if h.name == "dkim-signature" and h.start >= skip_octets]
    if not found or resolver.is_off:
        return ()
    octets = message.octets
    read = [_read(bytes(octets[h.start : h.end]), now) for h in found[:_MAX_READ]]
    if len(read) > MAX_SIGNATURES:
        read = _chosen(read, message)
    usable = [signature for signature in read if isinstance(signature, Signature)]
    if usable and not _READ_TWO_WAYS.isdisjoint(message.root.defects):
        return tuple(
            _result(s, Result.POLICY, "the header can be read two ways") if isinstance(s, Signature) else s
            for s in read
        )
    if not usable:
        return tuple(result for result in read if isinstance(result, DkimResult))
    fields = [(h.name, bytes(octets[h.start : h.end])) for h in message.headers if h.start >= skip_octets]
    bodies = await _hash_bodies(message, {signature.relaxed_body for signature in usable}, executor)
    results: list[DkimResult] = []
    for signature in read:
        if isinstance(signature, Signature):
            digest, body = bodies[signature.relaxed_body]
            results.append(await _verify(signature, _others(fields, signature), digest, body, resolver))
        else:
            results.append(signature)
    return tuple(results)


def _chosen(read: list[Signature | DkimResult], message: Message) -> list[Signature | DkimResult]:
    """The signatures to look at: those of the author's organisation first, since relays on the way may add theirs."""
    author = message.first("from")
    boxes = mailboxes(author.value, 20) if author is not None else []
    owners = {organisational_domain(box.domain.lower()) for box in boxes if box.domain}
    ours = [one for one in read if isinstance(one, Signature) and organisational_domain(one.domain) in owners]
    return [*ours, *(one for one in read if one not in ours)][:MAX_SIGNATURES]


def _read(raw: bytes, now: float) -> Signature | DkimResult:
    try:
        return read_signature(raw, now)
    except SignatureUnusable as error:
        return DkimResult(
            result=error.result, reason=str(error), domain=error.tags.get("d", "").lower()[:253],
            selector=error.tags.get("s", "").lower()[:120], algorithm=error.tags.get("a", "").lower()[:20],
            signature=error.tags.get("b", "").replace(" ", "")[:8],
        )  # fmt: skip


def _result(signature: Signature, result: Result, reason: str = "", *, is_testing: bool = False) -> DkimResult:
    return DkimResult(
        result=result, reason=reason, domain=signature.domain, selector=signature.selector,
        algorithm=signature.algorithm, identity=signature.identity, signature=signature.text[:8],
        is_testing=is_testing,
    )  # fmt: skip


def _others(fields: Sequence[RawField], signature: Signature) -> list[RawField]:
    """The fields but this signature's own, which `h=` may not name (§3.5); other signatures may be covered."""
    return [field for field in fields if field[1] is not signature.raw and field[1] != signature.raw]


async def _hash_bodies(
    message: Message, forms: set[bool], executor: Executor | None
) -> dict[bool, tuple[bytes, BodyHash]]:
    if len(message.octets) - message.body_start <= _INLINE_OCTETS:
        return _hash_now(message, forms)
    return await asyncio.get_running_loop().run_in_executor(executor, _hash_now, message, forms)


def _hash_now(message: Message, forms: set[bool]) -> dict[bool, tuple[bytes, BodyHash]]:
    with memoryview(message.octets) as whole, whole[message.body_start :] as body:
        hashed = {relaxed: hash_body([body], relaxed=relaxed) for relaxed in forms}
    return {relaxed: (one.digest(), one) for relaxed, one in hashed.items()}


async def _verify(
    signature: Signature, fields: Sequence[RawField], digest: bytes, body: BodyHash, resolver: Resolver
) -> DkimResult:
    """The result of one signature; the key is asked for only when the body is right."""
    if body.has_bare_breaks:
        return _result(signature, Result.POLICY, "the body has line breaks that are not CRLF")
    if sum(name == "from" for name, _ in fields) > signature.names.count("from"):
        return _result(signature, Result.POLICY, "a From field is not signed")
    if signature.length is not None and signature.length != body.size_octets:
        if signature.length > body.size_octets:
            return _result(signature, Result.FAIL, "l= is longer than the body")
        return _result(signature, Result.POLICY, "l= leaves text unsigned")
    if not hmac.compare_digest(digest, signature.body_hash):
        return _result(signature, Result.FAIL, "the body has been changed")
    if is_public_suffix(signature.domain):
        return _result(signature, Result.POLICY, "d= is a public suffix")
    key = await _key(signature, resolver)
    if isinstance(key, DkimResult):
        return key
    is_testing = "y" in key.flags
    octets = signed_octets(fields, signature.names, signature.raw, relaxed=signature.relaxed_header)
    if not key.verifies(signature.value, octets):
        return _result(signature, Result.FAIL, "the signature is not of this key", is_testing=is_testing)
    return _result(signature, Result.PASS, is_testing=is_testing)


async def _key(signature: Signature, resolver: Resolver) -> PublishedKey | DkimResult:
    """The one key that is published for this signature, or the result that its absence makes."""
    name = f"{signature.selector}._domainkey.{signature.domain}"
    answer = resolver.known(name, "TXT") or await resolver.txt(name)
    if isinstance(answer, TempFail):
        return _result(signature, Result.TEMPERROR, f"the key cannot be had now: {answer.reason}")
    if not isinstance(answer, Answer):
        return _result(signature, Result.PERMERROR, "no key is published")
    keys, reason = [], ""
    for record in answer.records[:10]:
        try:
            keys.append(read_key(record))
        except KeyUnusable as error:
            reason = reason or str(error)
    if len(keys) > 1:  # §3.6.2.2: what several records mean is undefined
        return _result(signature, Result.PERMERROR, "several keys are published")
    if not keys:
        return _result(signature, Result.PERMERROR, reason)
    reason = _mismatch(signature, keys[0])
    return _result(signature, Result.PERMERROR, reason) if reason else keys[0]


def _mismatch(signature: Signature, key: PublishedKey) -> str:
    """Why this key may not be used for this signature; "" when it may (§6.1.2)."""
    if key.algorithm != signature.algorithm:
        return "key is of another kind"
    if key.hashes and "sha256" not in key.hashes:
        return "key is not for sha256"
    if "*" not in key.services and "email" not in key.services:
        return "key is not for mail"
    if "s" in key.flags and signature.identity.rpartition("@")[2] != signature.domain:
        return "key is for its own domain only, i= is below it"
    return ""
