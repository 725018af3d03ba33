"""`bdmta naming`: which address a person gets (Điều 5.3, 5.4)."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from bdmta.cli.context import JsonOption, config_path, print_json, print_table, say
from bdmta.errors import ConfigError
from bdmta.site import ENVIRONMENT

app = typer.Typer()


@app.callback()
def naming() -> None:
    """Proposals for addresses (Điều 5)."""


@app.command()
def propose(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The full name, with diacritics.")] = "",
    family: Annotated[str, typer.Option(help="The surname, where it cannot be guessed.")] = "",
    middle: Annotated[str, typer.Option(help="The middle names.")] = "",
    given: Annotated[str, typer.Option(help="The given name, of any number of words.")] = "",
    rank: Annotated[int | None, typer.Option(min=1, help="Rank of leadership; 1 is the highest (Điều 5.4).")] = None,
    extension: Annotated[str, typer.Option(help="For namesakes: up to 6 letters, as in minhnv.dian.")] = "",
    domain: Annotated[str | None, typer.Option(help="Another domain of the site than the first.")] = None,
    json: JsonOption = False,
) -> None:
    """Propose the local part of an address. With a site it looks at who has which; without one, at the name alone."""
    answer = _answer(
        name=name, family=family, middle=middle, given=given, rank=rank, extension=extension, domain=domain
    )
    if json or not sys.stdout.isatty():
        print_json(answer)
    else:
        _show(answer)
    if answer["status"] == "error":
        raise typer.Exit(1)


def _answer(**asked: Any) -> dict[str, Any]:
    try:
        path = config_path()
    except ConfigError:
        if os.environ.get(ENVIRONMENT):
            raise
        return _without_site(**asked)
    from bdmta.office.client import call
    from bdmta.site import Site

    answer: dict[str, Any] = call(Site.open(path), "naming_propose", **asked)
    return answer


def _without_site(
    *, name: str, family: str, middle: str, given: str, rank: int | None, extension: str, domain: str | None
) -> dict[str, Any]:
    """By the name alone. An extension is taken at its word: who asks for one knows of a namesake."""
    from dataclasses import replace

    from bdmta.naming import Held, Pending, place, propose

    made = propose(name, family=family, middle=middle, given=given)
    wanted = extension.strip()
    base = made.local_part
    held = Held(local_part=base or "", who="chưa xem được danh bạ")
    answer = place(
        Pending(proposal=made, rank=rank, extension=wanted), lambda local: held if wanted and local == base else None
    )
    if wanted and answer.status == "ok":
        reason = "không có danh bạ để xem ai đang dùng địa chỉ nào; hãy kiểm tra trùng tên"
        answer = replace(answer, status="review", code="holders-unknown", reason=reason)
    return answer.as_json()


def _show(answer: dict[str, Any]) -> None:
    say(f"{answer.get('address') or answer['local_part'] or '—'}  [{answer['status']}]")
    if answer["reason"]:
        say(f"{answer['code']}: {answer['reason']}")
    for step in answer["steps"]:
        say(f"  {step}")
    for number, choice in enumerate(answer.get("choices", ()), 1):
        say(f"  ({number}) {choice}")
    if answer.get("holders"):
        columns = ("address", "held", "rank", "since")
        print_table(columns, ([one[column] for column in columns] for one in answer["holders"]))
