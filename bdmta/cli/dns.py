"""`bdmta dns`: what to publish for each domain, and what is published."""

from __future__ import annotations

from dataclasses import asdict

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, say
from bdmta.errors import BdmtaError

app = typer.Typer()


@app.command()
def records(json: JsonOption = False) -> None:
    """Print everything to publish, as a zone fragment. Nothing is asked."""
    from bdmta.setup.zone import fragment, sts_policy, wanted

    site = current_site()
    found = wanted(site)
    if json:
        print_json([asdict(record) for record in found])
        return
    say(fragment(found))
    say("; The MTA-STS policy, at https://mta-sts.DOMAIN/.well-known/mta-sts.txt:")
    for line in sts_policy(site.config.server.hostname).splitlines():
        say(f";   {line}")


@app.command()
def check(json: JsonOption = False) -> None:
    """Compare what is published with what should be; exit code 1 when a record that must be there is not."""
    from bdmta.setup.published import compare_now

    compared = compare_now(current_site())
    if compared is None:
        raise BdmtaError("[dns] servers is empty: nobody may be asked")
    if json:
        print_json([
            {
                "domain": one.record.domain, "name": one.record.name, "kind": one.record.kind,
                "need": one.record.need, "state": one.state, "wanted": one.record.value,
                "published": list(one.published), "detail": one.detail,
            }
            for one in compared
        ])  # fmt: skip
    else:
        for one in compared:
            say(f"{one.state:<8} {one.record.need:<7} {one.detail}")
    if any(one.record.need == "must" and one.state != "ok" for one in compared):
        raise typer.Exit(1)
