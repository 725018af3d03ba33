"""`bdmta request`: requests for mailboxes, from their coming in to their notices (Điều 7)."""

from __future__ import annotations

import os
from typing import Annotated, Any, TypeAlias

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table, say
from bdmta.errors import UsageError
from bdmta.office.client import call

app = typer.Typer()

NumberArgument: TypeAlias = Annotated[str, typer.Argument(metavar="NUMBER", help="YC-2026-000123")]
OverrideOption: TypeAlias = Annotated[
    str, typer.Option(metavar="REASON", help="Why it is entered though the asker may not ask it; on record.")
]


@app.command()
def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="create, change, cancel, reset or merge.")],
    requester: Annotated[
        str, typer.Option("--from", metavar="WHO", help="The official mailbox that asks; on paper the abbreviation.")
    ],
    mailbox: Annotated[str, typer.Option(metavar="ADDRESS", help="The mailbox to change, cancel or reset.")] = "",
    name: Annotated[str, typer.Option(help="create: the full name, with diacritics.")] = "",
    agency: Annotated[str, typer.Option(help="create: the abbreviation of the agency.")] = "",
    mailbox_kind: Annotated[str, typer.Option("--for", metavar="person|agency", help="create: whose it is.")] = "",
    position: Annotated[str, typer.Option(help="The post held.")] = "",
    rank: Annotated[str, typer.Option(help="Rank of leadership; 1 is the highest (Điều 5.4).")] = "",
    extension: Annotated[str, typer.Option(help="create: for namesakes, as in minhnv.dian.")] = "",
    published: Annotated[bool, typer.Option("--published", help="create: in the public address book.")] = False,
    new_address: Annotated[str, typer.Option(metavar="ADDRESS", help="change: the address to come.")] = "",
    new_name: Annotated[str, typer.Option(help="change: the name to come.")] = "",
    new_agency: Annotated[str, typer.Option(help="change: the agency to come.")] = "",
    old_agency: Annotated[str, typer.Option(help="merge: the agency that ends.")] = "",
    into_agency: Annotated[str, typer.Option(help="merge: the agency that goes on.")] = "",
    grounds: Annotated[str, typer.Option(help="The decision or reason that it rests on.")] = "",
    paper_number: Annotated[str, typer.Option(help="The number of the letter on paper.")] = "",
    paper_date: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Its date.")] = "",
    scan: Annotated[str, typer.Option(metavar="FILE", help="Its scan.")] = "",
    override: OverrideOption = "",
    json: JsonOption = False,
) -> None:
    """Enter a request; prints its number and its deadline."""
    details = {
        "mailbox": mailbox, "name": name, "agency": agency, "mailbox_kind": mailbox_kind, "position": position,
        "rank": rank, "extension": extension, "published": published or None, "new_address": new_address,
        "new_name": new_name, "new_agency": new_agency, "old_agency": old_agency, "into_agency": into_agency,
    }  # fmt: skip
    site = current_site()
    made = call(
        site, "request_new", kind=kind, requester=requester, details={k: v for k, v in details.items() if v},
        grounds=grounds, paper_number=paper_number, paper_date=paper_date, scan=_kept(site, scan), override=override,
    )  # fmt: skip
    _tell(made, json, f"{made['number']}: received, due on {made['due_on']}")


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="Of this state only.")] = None,
    kind: Annotated[str | None, typer.Option(help="Of this kind only.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Those whose day has passed.")] = False,
    json: JsonOption = False,
) -> None:
    """List requests."""
    found = call(current_site(), "request_list", state=state, kind=kind, overdue=overdue)
    if json:
        print_json(found)
        return
    columns = ("number", "kind", "state", "subject", "requester", "due_on")
    print_table(columns, ([one[column] for column in columns] for one in found))


@app.command()
def show(number: NumberArgument, json: JsonOption = False) -> None:
    """Show a request: what is asked, the thread, the notices, the address proposed."""
    found = call(current_site(), "request_show", number=number)
    if json:
        print_json(found)
        return
    plain = {k: v for k, v in found.items() if k not in ("history", "notices", "details", "paper", "proposal")}
    print_table(("field", "value"), [*plain.items(), *found["details"].items(), *found["paper"].items()])
    _show_proposal(found["proposal"])
    for event in found["history"]:
        say(f"{event['at']}  {event['actor']}  {event['what']}  {event['text']}".rstrip())
    for told in found["notices"]:
        say(f"{told['purpose']} by {told['channel']} to {told['recipient']}: {told['sent_at'] or 'waits'}")


def _show_proposal(proposal: dict[str, Any] | None) -> None:
    if proposal is None:
        return
    say(f"proposed: {proposal['address'] or '—'}  [{proposal['status']}]  {proposal['reason'] or ''}".rstrip())
    for number, choice in enumerate(proposal.get("choices", ()), 1):
        say(f"  ({number}) {choice}")


@app.command()
def edit(
    number: NumberArgument,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="name=…, agency=…, rank=…; '' takes away.")
    ] = None,
    kind: Annotated[str, typer.Option(help="What it really asks.")] = "",
    requester: Annotated[str, typer.Option("--from", metavar="WHO", help="Who really asks.")] = "",
    grounds: Annotated[str, typer.Option(help="What it rests on.")] = "",
    override: OverrideOption = "",
    json: JsonOption = False,
) -> None:
    """Complete a draft, which is received then; or note what was agreed with the requester."""
    details: dict[str, str] = {}
    for value in values or ():
        name, equals, text = value.partition("=")
        if not equals:
            raise UsageError(f"{value}: --set takes NAME=VALUE")
        details[name] = text
    made = call(
        current_site(), "request_edit", number=number, details=details, kind=kind, requester=requester,
        grounds=grounds, override=override,
    )  # fmt: skip
    _tell(made, json, f"{number}: {made['state']}")


@app.command()
def note(
    number: NumberArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="In Vietnamese, to the requester.")],
    internal: Annotated[bool, typer.Option("--internal", help="Into the history; nobody is written to.")] = False,
    json: JsonOption = False,
) -> None:
    """Write to the requester; his answer comes into the history."""
    made = call(current_site(), "request_note", number=number, text=text, internal=internal)
    _tell(made, json, f"{number}: {'noted' if internal else 'written to the requester'}")


@app.command()
def approve(
    number: NumberArgument,
    address: Annotated[str, typer.Option(help="create: the address, where a person must choose.")] = "",
    text: Annotated[str, typer.Option(help="A remark for the history.")] = "",
    json: JsonOption = False,
) -> None:
    """Decide for it; `done` carries it out."""
    made = call(current_site(), "request_approve", number=number, address=address, text=text)
    _tell(made, json, f"{number}: approved" + (f", {made['subject']}" if made["subject"] else ""))


@app.command()
def reject(
    number: NumberArgument,
    reason: Annotated[str, typer.Option(help="Why, in Vietnamese: the requester and Sở Nội vụ read it.")] = "",
    json: JsonOption = False,
) -> None:
    """Decide against it."""
    _tell(call(current_site(), "request_reject", number=number, reason=reason), json, f"{number}: rejected")


@app.command()
def done(number: NumberArgument, json: JsonOption = False) -> None:
    """Carry an approved request out: directory, letters and notices, all or nothing. Repeating changes nothing."""
    from bdmta.clock import SystemClock
    from bdmta.requests.doing import carry_out

    site = current_site()
    made = carry_out(site, SystemClock(), lambda name, /, **arguments: call(site, name, **arguments), number)
    _tell(made, json, f"{number}: done" + (f", {made['subject']}" if made["subject"] else ""))
    papers = [one for one in made["notices"] if one["channel"] == "paper" and not one["sent_at"]]
    if papers and not json:
        say(f"{number}: {len(papers)} notices on paper wait: `bdmta request print {number} --out FOLDER`")


@app.command("print")
def print_(
    numbers: Annotated[list[str] | None, typer.Argument(metavar="[NUMBER]...", help="None: all that wait.")] = None,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where the PDFs go; made when absent, mode 0700.")] = ".",
    slips: Annotated[bool, typer.Option(help="Also first passwords, each on a sealed slip of its own.")] = True,
    json: JsonOption = False,
) -> None:
    """Print notices into one PDF, first passwords and connection settings into others. A slip printed anew has a new
    password.
    """
    from bdmta.clock import SystemClock
    from bdmta.requests.paper import print_papers

    site = current_site()
    made = print_papers(
        site, SystemClock(), lambda name, /, **arguments: call(site, name, **arguments), numbers or None, out,
        with_slips=slips,
    )  # fmt: skip
    if json:
        print_json(made)
        return
    if not made["files"]:
        say("nothing waits to be printed")
    for path in made["files"]:
        say(path)
    for problem in made["problems"]:
        say(problem)


@app.command()
def resume(json: JsonOption = False) -> None:
    """Take in the letters that came to [requests] address, and go on with what was begun; the office does so itself."""
    from bdmta.clock import SystemClock
    from bdmta.requests.duties import go_on

    site = current_site()
    made = go_on(site, SystemClock(), lambda name, /, **arguments: call(site, name, **arguments))
    if json:
        print_json(made)
        return
    for one in made["letters"]:
        say(f"{one['letter']}: {one['outcome']}")
    for number in made["resumed"]:
        say(f"{number}: gone on with")


@app.command()
def form(
    file: Annotated[str, typer.Argument(metavar="FILE.csv|FILE.ods", help="Written anew; must not exist.")],
) -> None:
    """Write the form that agencies fill in and attach."""
    from bdmta.config.shipped import shipped

    ending = os.path.splitext(file)[1].lower()
    if ending not in (".csv", ".ods"):
        raise UsageError(f"{file}: a form is a .csv or an .ods file")
    with open(shipped("templates", f"yeu-cau{ending}"), "rb") as source, open(file, "xb") as target:
        target.write(source.read())
    say(file)


def _tell(made: dict[str, Any], json: bool, line: str) -> None:
    print_json(made) if json else say(line)


def _kept(site: Any, scan: str) -> str:
    """A copy of the scan beside the site's state, by its digest; its path from the data folder."""
    if not scan:
        return ""
    import hashlib

    from storage.files import write_durable

    with open(scan, "rb") as source:
        octets = source.read()
    folder = os.path.join(site.data_dir, "scans")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = f"{hashlib.sha256(octets).hexdigest()[:24]}{os.path.splitext(scan)[1].lower()[:8]}"
    write_durable(os.path.join(folder, name), octets)
    return f"scans/{name}"
