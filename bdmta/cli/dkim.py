"""`bdmta dkim`: the keys of our signature, and their rotation without a gap.

`rotate` called again and again goes through the steps: it makes the next key (publish it), lets it sign once it is
published, and deletes what has been retired for a week. The server sees each change by itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bdmta.cli.context import JsonOption, administers, current_site, print_json, print_table, say
from bdmta.errors import BdmtaError, UsageError
from bdmta.office.client import call

app = typer.Typer()

_ALGORITHMS = {"rsa": "rsa-sha256", "ed25519": "ed25519-sha256"}


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """Show the keys: which sign, which will, which no longer do."""
    from bdmta.mailauth.keyring import Keyring

    config = current_site().config
    entries = Keyring(config.dkim.dir, config.dkim.selector).entries
    if json:
        print_json([asdict(entry) | {"changed_at": _time(entry.changed_at), "created_at": _time(entry.created_at)}
                    for entry in entries])  # fmt: skip
        return
    rows = ((e.selector, e.algorithm, e.domain or "all", e.state, _time(e.changed_at) or "") for e in entries)
    print_table(("selector", "algorithm", "domain", "state", "since"), rows)


@app.command()
@administers
def rotate(
    algorithm: Annotated[str, typer.Option(help="rsa or ed25519; ed25519 signs beside rsa.")] = "rsa",
    domain: Annotated[str, typer.Option(help="A key of this domain's own.")] = "",
    selector: Annotated[str, typer.Option(help="The new key's selector; else made of the date.")] = "",
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Do not ask whether the key is published.")] = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Take the next step: make a key, or let the published one sign, or delete those retired for a week."""
    from bdmta.clock import SystemClock
    from bdmta.mailauth.keyring import Keyring

    if algorithm not in _ALGORITHMS:
        raise UsageError(f"--algorithm {algorithm}: one of {', '.join(_ALGORITHMS)}")
    config = current_site().config
    domain = domain.lower()
    if domain and domain not in config.mail.domains:
        raise UsageError(f"--domain {domain}: no domain of ours; {', '.join(config.mail.domains)}")
    clock = SystemClock()
    ring = Keyring(config.dkim.dir, config.dkim.selector)
    gone = ring.expired(clock)
    if gone:
        ring.forget(gone)
    kind = _ALGORITHMS[algorithm]
    waiting = [e for e in ring.entries if (e.state, e.algorithm, e.domain) == ("next", kind, domain)]
    if waiting:
        entry, did = waiting[0], "signs now"
        if not unchecked:
            _published_or_fail(config, ring, entry.selector, [domain] if domain else list(config.mail.domains))
        ring.activate(entry, clock)
    else:
        name = selector or _free_name(ring, config.dkim.selector, algorithm, clock.now())
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            raise UsageError(f"--selector {name}: letters, digits and hyphens")
        entry, did = ring.add(name.lower(), kind, clock, domain), "made; publish it, then rotate again"
    call(
        current_site(), "audit_note", action="dkim.rotate", subject=entry.selector,
        after={"did": did, "algorithm": entry.algorithm, "deleted": [one.selector for one in gone]},
    )  # fmt: skip
    _say(ring, entry.selector, did, [one.selector for one in gone], [domain] if domain else config.mail.domains, json)


def _free_name(ring: Any, base: str, algorithm: str, now: datetime) -> str:
    stem = f"{base}{'-ed' if algorithm == 'ed25519' else ''}-{now:%Y%m%d}"
    taken = {entry.selector for entry in ring.entries}
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if name not in taken)


def _published_or_fail(config: Any, ring: Any, selector: str, domains: list[str]) -> None:
    from bdmta.dns import Answer, Resolver
    from bdmta.mailauth.keyring import record_of

    if not config.dns.servers:
        raise BdmtaError("[dns] servers is empty: nobody can be asked whether the key is published; see --unchecked")
    wanted = record_of(ring.private_key(selector)).replace(" ", "")

    async def missing() -> list[str]:
        resolver = Resolver(config.dns.servers, config.dns.timeout_s)
        names = [f"{selector}._domainkey.{domain}" for domain in domains]
        answers = await asyncio.gather(*(resolver.txt(name) for name in names))
        return [
            name
            for name, answer in zip(names, answers, strict=True)
            if not isinstance(answer, Answer)
            or wanted not in [r.decode("latin-1").replace(" ", "") for r in answer.records]
        ]

    absent = asyncio.run(missing())
    if absent:
        raise BdmtaError(f"not published yet: {', '.join(absent)}; `bdmta dns records` shows them, --unchecked goes on")


def _say(ring: Any, selector: str, did: str, gone: list[str], domains: Any, as_json: bool) -> None:
    from bdmta.mailauth.keyring import record_of
    from bdmta.setup.zone import quoted

    entry = next(one for one in ring.entries if one.selector == selector)
    value = record_of(ring.private_key(selector))
    if as_json:
        records = [{"name": f"{selector}._domainkey.{d}", "kind": "TXT", "value": value} for d in domains]
        state = {"selector": selector, "algorithm": entry.algorithm, "state": entry.state}
        print_json({**state, "deleted": gone, "records": records})
        return
    for name in gone:
        say(f"{name}: deleted; its record may be taken out of the zone")
    say(f"{selector}: {did}")
    if entry.state == "next":
        for domain in domains:
            say(f"{selector}._domainkey.{domain}. 3600 IN TXT {quoted(value)}")


def _time(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None
