"""`bdmta mailbox`: mailboxes of officials and agencies."""

from __future__ import annotations

import sys
from typing import Annotated, Any, TypeAlias

import typer

from bdmta.cli.context import (
    JsonOption,
    PasswordStdinOption,
    administers,
    current_site,
    print_json,
    print_table,
    read_password,
    say,
)
from bdmta.directory.size import parse_size, shown_size
from bdmta.errors import UsageError
from bdmta.office.client import call

app = typer.Typer()
app_password = typer.Typer(no_args_is_help=True)
delegate = typer.Typer(no_args_is_help=True)
app.add_typer(app_password, name="app-password", help="Passwords of single devices.")
app.add_typer(delegate, name="delegate", help="Who may act for an agency's mailbox, an alias or a group.")

AddressArgument: TypeAlias = Annotated[str, typer.Argument(metavar="ADDRESS")]
GenerateOption: TypeAlias = Annotated[
    bool, typer.Option("--generate", help="Make a password, print it once; to be changed at first use.")
]
QuotaOption: TypeAlias = Annotated[str | None, typer.Option("--quota", metavar="SIZE", help="500M, 2G or none.")]
PublishedOption: TypeAlias = Annotated[
    bool | None, typer.Option("--published/--unpublished", help="In the public address book (Điều 6).")
]
LettersOption: TypeAlias = Annotated[int | None, typer.Option("--quota-letters", min=0, help="0: no limit.")]


@app.command()
@administers
def add(
    address: AddressArgument,
    name: Annotated[str, typer.Option(help="Who it is, with diacritics.")],
    kind: Annotated[str, typer.Option(help="person or agency.")] = "person",
    agency: Annotated[str, typer.Option(help="The agency, as in its address: sotttt.")] = "",
    quota: QuotaOption = None,
    quota_letters: LettersOption = None,
    rank: Annotated[int | None, typer.Option(help="For namesakes (Điều 5.4).")] = None,
    published: PublishedOption = None,
    password_stdin: PasswordStdinOption = False,
    generate: GenerateOption = False,
    json: JsonOption = False,
) -> None:
    """Add a mailbox. Without a password (no --password-stdin, no terminal to ask on) nobody can log in to it yet."""
    password = _password(password_stdin, generate, must=False)
    made = call(
        current_site(), "mailbox_add", address=address, name=name, kind=kind, agency=agency, rank=rank,
        quota_octets=_octets(quota), quota_letters=quota_letters, password=password, generate_password=generate,
        published=bool(published),
    )  # fmt: skip
    if json:
        print_json(made)
        return
    say(f"{made['address']}: added" + ("" if made["has_password"] else "; it has no password yet"))
    _say_password(made)


@app.command("list")
def list_(
    agency: Annotated[str | None, typer.Option(help="Of this agency only.")] = None,
    kind: Annotated[str | None, typer.Option(help="person or agency only.")] = None,
    status: Annotated[str | None, typer.Option(help="active, suspended or closed only.")] = None,
    json: JsonOption = False,
) -> None:
    """List mailboxes."""
    boxes = call(current_site(), "mailbox_list", agency=agency, kind=kind, status=status)
    if json:
        print_json(boxes)
        return
    columns = ("address", "kind", "name", "agency", "status")
    print_table(
        (*columns, "quota"), ([*(box[column] for column in columns), shown_size(box["quota_octets"])] for box in boxes)
    )


@app.command()
def show(address: AddressArgument, json: JsonOption = False) -> None:
    """Show one mailbox and how full it is."""
    box = call(current_site(), "mailbox_show", address=address)
    if json:
        print_json(box)
        return
    print_table(
        ("field", "value"),
        ((key, ", ".join(value) if isinstance(value, list) else value) for key, value in box.items()),
    )


@app.command("set")
@administers
def set_(
    address: AddressArgument,
    name: Annotated[str | None, typer.Option()] = None,
    kind: Annotated[str | None, typer.Option(help="person or agency.")] = None,
    agency: Annotated[str | None, typer.Option()] = None,
    quota: QuotaOption = None,
    quota_letters: LettersOption = None,
    rank: Annotated[int | None, typer.Option(help="For namesakes (Điều 5.4).")] = None,
    published: PublishedOption = None,
    forward: Annotated[
        str | None, typer.Option(help='Send letters on to these addresses, separated by commas; "" ends it.')
    ] = None,
    keep: Annotated[bool | None, typer.Option("--keep/--no-keep", help="Keep what is sent on, too.")] = None,
    absence: Annotated[str | None, typer.Option(help='The answer of one who is away; "" ends it.')] = None,
    absence_from: Annotated[str | None, typer.Option(help="2026-12-01 or 2026-12-01T08:00.")] = None,
    absence_until: Annotated[str | None, typer.Option(help="As --absence-from.")] = None,
    json: JsonOption = False,
) -> None:
    """Change what is given, leave the rest."""
    sending_on = {
        "forward": None if forward is None else forward.split(","), "keeps": keep, "absence": absence,
        "absence_from": absence_from, "absence_until": absence_until,
    }  # fmt: skip
    if any(value is not None for value in sending_on.values()):
        call(current_site(), "forwarding_set", address=address, **sending_on)
    fields = {
        "name": name, "kind": kind, "agency": agency, "quota_octets": _octets(quota), "quota_letters": quota_letters,
        "rank": rank, "published": published,
    }  # fmt: skip
    if all(value is None for value in (*fields.values(), *sending_on.values())):
        raise UsageError(
            f"{address}: nothing to set; give --name, --kind, --agency, --quota, --quota-letters, --rank, --published,"
            " --forward, --keep, --no-keep or --absence"
        )
    _done(call(current_site(), "mailbox_set", address=address, **fields), "changed", json)


@app.command()
@administers
def password(
    address: AddressArgument,
    password_stdin: PasswordStdinOption = False,
    generate: GenerateOption = False,
    json: JsonOption = False,
) -> None:
    """Give a mailbox another password."""
    given = _password(password_stdin, generate, must=True)
    made = call(current_site(), "mailbox_password", address=address, password=given, generate_password=generate)
    if json:
        print_json(made)
        return
    say(f"{made['address']}: password changed")
    _say_password(made)


@app.command()
@administers
def suspend(
    address: AddressArgument,
    reason: Annotated[str, typer.Option(help="The same as --grounds.")] = "",
    json: JsonOption = False,
) -> None:
    """Refuse logins; mail still comes in."""
    _set_status(address, "suspended", reason, json)


@app.command()
@administers
def resume(
    address: AddressArgument,
    reason: Annotated[str, typer.Option(help="The same as --grounds.")] = "",
    json: JsonOption = False,
) -> None:
    """Open a suspended or closed mailbox again."""
    _set_status(address, "active", reason, json)


@app.command()
@administers
def close(
    address: AddressArgument,
    reason: Annotated[str, typer.Option(help="The same as --grounds.")] = "",
    json: JsonOption = False,
) -> None:
    """Refuse logins and mail. Letters and address are kept; nobody else gets either."""
    _set_status(address, "closed", reason, json)


@app_password.command("add")
@administers
def app_password_add(
    address: AddressArgument,
    label: Annotated[str, typer.Option("--label", "--name", help="Which device: phone.")],
    scope: Annotated[str, typer.Option(metavar="LIST", help="What it opens: some of imap,pop3,smtp, or all.")] = "all",
    holder: Annotated[
        str, typer.Option(metavar="WHO", help="Whose it is in an agency's mailbox: an address here, or a name.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Make a password for one device and print it once; each clerk of an agency's mailbox has one of their own."""
    wanted = [] if scope == "all" else [one.strip() for one in scope.split(",") if one.strip()]
    made = call(current_site(), "app_password_add", address=address, label=label, scope=wanted, holder=holder)
    if json:
        print_json(made)
        return
    say(f"{made['address']}: application password {label!r}")
    _say_password(made)


@app_password.command("list")
def app_password_list(address: AddressArgument, json: JsonOption = False) -> None:
    """List application passwords: whose, for what, how old, when and from where last used."""
    found = call(current_site(), "app_password_list", address=address)
    if json:
        print_json(found)
        return
    columns = ("label", "holder", "scope", "ends in", "made", "last used", "from")
    print_table(
        columns,
        (
            (one["label"], one["holder"], ",".join(one["scope"]), one["hint"], one["created_at"], one["last_used_at"],
             one["last_used_from"])
            for one in found
        ),
    )  # fmt: skip


@app_password.command("remove", hidden=True)
@app_password.command("revoke")
@administers
def app_password_revoke(address: AddressArgument, label: Annotated[str, typer.Option("--label", "--name")]) -> None:
    """Take an application password back; sessions that it opened end."""
    call(current_site(), "app_password_remove", address=address, label=label)
    say(f"{address}: application password {label!r} revoked")


@delegate.command("add")
@administers
def delegate_add(address: AddressArgument, who: Annotated[str, typer.Argument(metavar="WHO")]) -> None:
    """Let WHO send as ADDRESS."""
    call(current_site(), "delegate_add", address=address, delegate=who)
    say(f"{who}: may act for {address}")


@delegate.command("remove")
@administers
def delegate_remove(address: AddressArgument, who: Annotated[str, typer.Argument(metavar="WHO")]) -> None:
    """Take that right back."""
    call(current_site(), "delegate_remove", address=address, delegate=who)
    say(f"{who}: no longer acts for {address}")


def _set_status(address: str, status: str, reason: str, json: bool) -> None:
    _done(call(current_site(), "mailbox_status", address=address, status=status, reason=reason), status, json)


def _done(box: dict[str, Any], what: str, json: bool) -> None:
    if json:
        print_json(box)
    else:
        say(f"{box['address']}: {what}")


def _octets(quota: str | None) -> int | None:
    return None if quota is None else parse_size(quota)


def _password(from_stdin: bool, generate: bool, *, must: bool) -> str | None:
    if generate:
        if from_stdin:
            raise UsageError("--generate and --password-stdin exclude each other")
        return None
    if not (from_stdin or must or sys.stdin.isatty()):
        return None
    return read_password(from_stdin)


def _say_password(made: dict[str, Any]) -> None:
    if "password" in made:
        say(f"password: {made['password']}")
