"""What the commands share: which site, how to print, how to fail. Light to import."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeAlias

import typer

from bdmta.errors import UsageError
from bdmta.site import Site, find_config

JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PasswordStdinOption: TypeAlias = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]

GroundsOption: TypeAlias = Annotated[
    str, typer.Option("--grounds", metavar="TEXT", help="On what grounds (a request, a decision): for the audit log.")
]

_MAX_PASSWORD_OCTETS = 4096
_given: list[str | None] = [None]


def remember_config(path: str | None) -> None:
    """Keep what `-c` said; `main` calls it before any command runs."""
    _given[0] = path


def administers(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option `--grounds`; what it says goes into the audit log with every act of the command."""

    @functools.wraps(command)
    def run(*arguments: Any, grounds: str = "", **options: Any) -> None:
        from bdmta.office.client import remember_grounds

        remember_grounds(grounds)
        command(*arguments, **options)

    signature = inspect.signature(command, eval_str=True)
    given = inspect.Parameter("grounds", inspect.Parameter.KEYWORD_ONLY, default="", annotation=GroundsOption)
    vars(run)["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), given])
    run.__annotations__ = {**inspect.get_annotations(command, eval_str=True), "grounds": GroundsOption}
    del vars(run)["__wrapped__"]  # else the option would not be seen
    return run


def config_path() -> str:
    """The configuration file of this call (`-c`, $BDMTA_CONFIG, ./bdmta.toml, /etc/bdmta/bdmta.toml); ConfigError."""
    return find_config(_given[0])


def current_site() -> Site:
    """The site of this call, whether `-c` came before the command or behind; raises ConfigError (a newer layout)."""
    site = Site.open(config_path())
    site.check_layout()
    return site


def print_json(data: Any) -> None:
    """One JSON document on stdout; Vietnamese letters as they are, times in ISO 8601."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2, default=str) + "\n")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None, always_for_people: bool = False
) -> None:
    """A table on stdout for a person; plain tab-separated lines when stdout is no terminal, so that scripts can cut."""
    if not (always_for_people or sys.stdout.isatty()):
        for row in rows:
            sys.stdout.write("\t".join("" if cell is None else str(cell) for cell in row) + "\n")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    console = Console()
    console.print(table, no_wrap=True, crop=False, width=max(console.width, console.measure(table).maximum))


def say(text: str) -> None:
    """One line on stdout."""
    sys.stdout.write(text + "\n")


def read_password(from_stdin: bool) -> str:
    """The password: the first line of stdin with `--password-stdin`, else a prompt on a terminal, twice.

    Raises UsageError when neither is possible, or the password is empty or over 4096 octets.
    """
    if from_stdin:
        octets = sys.stdin.buffer.readline(_MAX_PASSWORD_OCTETS + 2)
        try:
            password = octets.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise UsageError("the password on standard input is not UTF-8") from error
    elif sys.stdin.isatty():
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        raise UsageError("a password is needed: give --password-stdin, or call this on a terminal")
    if not password or len(password.encode()) > _MAX_PASSWORD_OCTETS:
        raise UsageError(f"the password is empty or over {_MAX_PASSWORD_OCTETS} octets")
    return password
