"""`bdmta outage`: notices of outages and planned work (Điều 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table, say
from bdmta.office.client import call

if TYPE_CHECKING:
    from bdmta.outage.notice import Notice
    from bdmta.site import Site

app = typer.Typer(no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID")]
WhatOption = Annotated[str | None, typer.Option(help="What does not work, for the public: one line.")]
UntilOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="When it is expected back: 14:30 (today), 2026-11-28T14:30, +45m, +2h."),
]


@app.command("open")
def open_(
    what: Annotated[str, typer.Option(help="What does not work, for the public: one line.")],
    until: UntilOption = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Since when. [default: now]")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="all, smtp, imap, web, or an agency; may be repeated. [default: all]")
    ] = None,
    planned: Annotated[bool, typer.Option("--planned", help="Work that is announced before it begins.")] = False,
    json: JsonOption = False,
) -> None:
    """Announce an outage, or planned work. Asked twice, it is announced once."""
    _act("outage_open", json, what=what, from_=from_, until=until, scope=list(scope or ()), planned=planned)


@app.command()
def update(notice_id: IdArgument, until: UntilOption = None, what: WhatOption = None, json: JsonOption = False) -> None:
    """Announce a new estimate, a new text, or both."""
    _act("outage_update", json, notice_id=notice_id, until=until, what=what)


@app.command()
def close(
    notice_id: IdArgument,
    done: Annotated[str, typer.Option(help="What was done, for the public: one line.")],
    json: JsonOption = False,
) -> None:
    """Announce that the system is back; of planned work that has not begun, that it is called off."""
    _act("outage_close", json, notice_id=notice_id, done=done)


@app.command()
def confirm(
    notice_id: IdArgument,
    until: UntilOption = None,
    what: WhatOption = None,
    done: Annotated[str, typer.Option(help="What was done, when it is over.")] = "",
    json: JsonOption = False,
) -> None:
    """Publish a draft that the heartbeat wrote. While the service is still away it takes --until."""
    _act("outage_confirm", json, notice_id=notice_id, until=until, what=what, done=done)


@app.command()
def discard(notice_id: IdArgument, json: JsonOption = False) -> None:
    """Drop a draft; nobody hears of it."""
    _act("outage_discard", json, notice_id=notice_id)


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too, however old.")] = False,
    json: JsonOption = False,
) -> None:
    """List the notices, the newest first: all that are not closed, and the last twenty."""
    from bdmta.outage.show import shown

    site = current_site()
    rows = [shown(site, notice) for notice in reversed(_notices(site))]
    if json:
        print_json(rows)
        return
    if not everything:
        rows = [row for number, row in enumerate(rows) if number < 20 or row["state"] != "closed"]
    print_table(
        ("id", "state", "from", "until", "scope", "what"),
        ((r["id"], r["state"], r["from"][:16], r["until"][:16], ",".join(r["scope"]), r["what"]) for r in rows),
    )


@app.command()
def show(
    notice_id: IdArgument,
    pdf: Annotated[str | None, typer.Option(metavar="FILE", help="Write the printed notice there.")] = None,
    json: JsonOption = False,
) -> None:
    """Show a notice, its history and how far each channel is."""
    from bdmta.errors import BdmtaError
    from bdmta.outage.show import history, shown

    site = current_site()
    found = {notice.id: notice for notice in _notices(site)}
    if notice_id not in found:
        raise BdmtaError(f"{notice_id}: no such notice; see `bdmta outage list`")
    notice = found[notice_id]
    if pdf is not None:
        _print(site, notice, pdf)
    row, events = shown(site, notice), history(site, notice.id)
    if json:
        print_json({**row, "history": events})
        return
    print_table(("field", "value"), ((k, _cell(v)) for k, v in row.items() if k != "channels"), always_for_people=True)
    say("")
    columns = ("announcement", "state", "attempts", "receipt", "next_attempt_at")
    rows = ([name, *(of[column] for column in columns)] for name, of in row["channels"].items())
    print_table(("channel", *columns), rows, always_for_people=True)
    say("")
    print_table(("at", "by", "event", "detail"), ([e["at"], e["by"], e["event"], e["detail"]] for e in events),
                always_for_people=True)  # fmt: skip


@app.command()
def availability(json: JsonOption = False) -> None:
    """Each service by month: how much of the time it was there, planned work apart."""
    from bdmta.clock import SystemClock
    from bdmta.outage.months import months

    site = current_site()
    rows = months(site, _notices(site), SystemClock().now())
    if json:
        print_json(rows)
        return
    print_table(
        ("month", "service", "percent", "unplanned min", "planned min"),
        (
            (row["month"], service, f"{of['percent']:.3f}", of["unplanned_s"] // 60, of["planned_s"] // 60)
            for row in rows
            for service, of in row["services"].items()
        ),
    )


def _act(name: str, as_json: bool, **arguments: Any) -> None:
    """Do it; while no office runs, also what the office would: tell everybody, as far as that can be done now."""
    site = current_site()
    answer = call(site, name, **arguments)
    _tell_alone(site)
    if as_json:
        print_json(answer)
        return
    verb = "done" if answer["new"] else "nothing new, nobody is told again"
    say(f"{answer['id']}: {answer['state']} ({verb}); bdmta outage show {answer['id']} tells who has heard")


def _tell_alone(site: Site) -> None:
    from bdmta.setup.inspection import is_running

    if is_running(site):
        return
    from bdmta.clock import SystemClock
    from bdmta.errors import BdmtaError
    from bdmta.log import configure
    from bdmta.office.calls import open_books
    from bdmta.outage.broadcast import broadcast_once, means_of

    clock = SystemClock()
    try:
        books = open_books(site, clock)
    except BdmtaError:
        return  # an office has just started: it tells them
    try:
        broadcast_once(books.outages, means_of(site, clock, configure("warning", "text", process="outage")))
    finally:
        books.close()


def _notices(site: Site) -> list[Notice]:
    from bdmta.outage.book import read_notices

    return read_notices(site.outage_dir)


def _print(site: Site, notice: Notice, path: str) -> None:
    from bdmta.errors import BdmtaError
    from bdmta.outage.broadcast import texts_of
    from bdmta.outage.printed import print_notice
    from bdmta.printing import PrintingError

    if not notice.announcements:
        raise BdmtaError(f"{notice.id}: nothing was announced")
    try:
        octets = print_notice(texts_of(site), site.config.outage.notices, notice, notice.announcements[-1])
    except PrintingError as error:
        raise BdmtaError(str(error)) from error
    with open(path, "wb") as file:
        file.write(octets)
    say(f"{path}: {len(octets)} octets")


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
