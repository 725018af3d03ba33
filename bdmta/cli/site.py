"""`bdmta init`, `bdmta check`, `bdmta status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bdmta.setup.accounts import Account
    from bdmta.site import Site


def init(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="An empty or absent folder.")],
    domain: Annotated[
        list[str] | None, typer.Option(help="A local domain; the first is the primary one. [default: binhduong.gov.vn]")
    ] = None,
    listen: Annotated[list[str] | None, typer.Option(help="An address to bind. [default: 127.0.0.1]")] = None,
    base_port: Annotated[
        int, typer.Option(min=0, max=64540, help="Added to each standard port: 10000 makes SMTP 10025.")
    ] = 0,
    hostname: Annotated[str, typer.Option(help="The server's name. [default: mail.<domain>]")] = "",
    demo: Annotated[
        bool, typer.Option("--demo", help="Add agencies, people and letters, and print passwords.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a working site into DIR: configuration, certificate, keys, databases, mailboxes."""
    from bdmta.clock import SystemClock
    from bdmta.setup.create import Wish, create_site

    wish = Wish(
        folder=folder,
        domains=tuple(domain or ("binhduong.gov.vn",)),
        addresses=tuple(listen or ("127.0.0.1",)),
        base_port=base_port,
        hostname=hostname,
        is_demo=demo,
    )
    site, accounts = create_site(wish, SystemClock())
    if as_json:
        print_json(_site_as_json(site, accounts))
        return
    say(f"A site for {site.config.primary_domain} is in {site.config_dir}")
    if accounts:
        say("")
        rows = [[one.address, one.name, one.password] for one in accounts]
        print_table(["address", "name", "password"], rows, always_for_people=True)
        say("")
        _print_connections(site)
    say(f"Next: bdmta -c {site.config_path} {'serve' if accounts else 'mailbox add ADDRESS --name NAME; then serve'}")


def check(
    dns: Annotated[bool, typer.Option("--dns", help="Ask for the published records too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Test the configuration, policies, certificate, folders, disk and ports; exit code 1 when something fails."""
    from bdmta.clock import SystemClock
    from bdmta.setup.inspection import inspect

    site = current_site()
    findings = list(inspect(site, SystemClock()))
    if dns:
        from bdmta.setup.published import inspect_dns

        findings += inspect_dns(site)
    is_fit = all(finding.state != "fail" for finding in findings)
    if as_json:
        print_json({"ok": is_fit, "results": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            say(f"{finding.state:<4}  {finding.check}: {finding.detail}")
    if not is_fit:
        raise typer.Exit(1)


def status(as_json: JsonOption = False) -> None:
    """Listeners, queue, mailboxes, disk, last backup, open outage."""
    from bdmta.setup.status import collect

    facts = collect(current_site())
    if as_json:
        print_json(facts)
        return
    running = "running" if facts["running"] else "not running"
    say(f"bdmta {facts['version']} for {facts['domain']}: {running} ({facts['config']})")
    for listener in facts["listeners"]:
        answer = "answers" if listener["answers"] else "silent"
        say(f"  {listener['name']:<12} {listener['address']} port {listener['port']:<6} {answer}")
    boxes = ", ".join(f"{count} {state}" for state, count in facts["mailboxes"].items()) or "none"
    say(f"mailboxes: {boxes}")
    say(f"queue: {facts['queue']['letters']} letters")
    say(f"disk: {facts['disk']['free_octets'] // 1_048_576} MiB free")
    if waiting := facts["journal"]["letters_to_replay"]:
        say(f"journal: {waiting} letters await the replay that the next `bdmta serve` makes")
    for trouble in facts["journal"]["given_up"]:
        say(f"  alarm: journal {trouble['journal']} given up at {trouble['at']}: {trouble['why']};"
            " each letter is synced by itself until the next start")  # fmt: skip
    _say_backup(facts["last_backup"])
    say(f"open outage: {_outage_line(facts['outage'])}")
    page = facts["status_page"]
    if page["mode"] != "off":
        say(f"status page: {', '.join(page['addresses'])} {'answers' if page['pid'] else 'silent'}")


def _outage_line(outage: dict[str, Any] | None) -> str:
    if outage is None:
        return "none"
    until = "expected back" if outage["state"] != "planned" else f"from {outage['from'][:16]}, until"
    what = f"{outage['what']} ({', '.join(outage['scope'])})"
    return f"{outage['id']} {outage['state']}: {what}, {until} {outage['until'][:16]}"


def _say_backup(backup: dict[str, Any] | None) -> None:
    if backup is None or backup["id"] is None:
        say("last backup: none")
    else:
        verified = f"verified {backup['verified_at']}" if backup["verified_at"] else "never verified"
        say(f"last backup: {backup['taken_at']}, {backup['letters']} letters, {verified}")
    if backup and (drill := backup["drill"]):
        how = "failed" if drill["problems"] else "good"
        say(f"last drill: {drill['at']}, {drill['letters']} letters of {drill['mailboxes']} mailboxes read, {how}")
    for alarm in backup["alarms"] if backup else ():
        say(f"  alarm: {alarm}")


def _site_as_json(site: Site, accounts: Sequence[Account]) -> dict[str, Any]:
    from bdmta.setup.accounts import connections

    return {
        "config": site.config_path,
        "domain": site.config.primary_domain,
        "hostname": site.config.server.hostname,
        "ca": f"{site.tls_dir}/ca.pem",
        "listeners": [
            {"name": one.name, "protocol": one.protocol, "addresses": one.addresses, "port": one.port}
            for one in site.config.listeners()
        ],
        "accounts": [asdict(account) for account in accounts],
        "connections": [asdict(connection) for connection in connections(site.config)],
    }


def _print_connections(site: Site) -> None:
    from bdmta.setup.accounts import connections, pages_url

    say("In Thunderbird: Account Settings, add a mail account, configure manually. The user name is the whole address.")
    rows = [[one.protocol, one.server, one.port, one.security] for one in connections(site.config)]
    print_table(["protocol", "server", "port", "security"], rows, always_for_people=True)
    say("")
    say(f"The certificate's authority, to import under Certificates: {site.tls_dir}/ca.pem")
    if pages := pages_url(site.config):
        say(f"Own password, devices, address book, in a browser: {pages}")
    if site.config.outage.status_page == "serve":
        say(f"Is everything working? {site.config.status_page_urls[0]}")
