"""The `bdmta` command: thin, and quick to start, since a command's module is imported only when it is named."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from bdmta import __version__
from bdmta.errors import BdmtaError

GROUPS = {
    "mailbox": "Mailboxes of persons and agencies.",
    "alias": "Other addresses of a mailbox.",
    "group": "One address for many mailboxes.",
    "policy": "The chain of policies: list, order, try, replay.",
    "quarantine": "Letters held back.",
    "queue": "Letters on their way out.",
    "dns": "What to publish for each domain.",
    "dkim": "The keys of our signature.",
    "dmarc": "Reports on who sends in whose name.",
    "backup": "Backups and restoring.",
    "outage": "Notices of outages (Điều 15).",
    "report": "Monthly reports (Điều 20).",
    "incident": "What policies refused, by sender.",
    "audit": "The log of administrative access.",
    "agency": "Agencies and their abbreviations (Điều 5.2).",
    "naming": "Proposals for addresses (Điều 5).",
    "request": "Requests for accounts (Điều 7).",
    "addressbook": "The address book (Điều 6).",
}
"""A module `bdmta.cli.<name>` with `app = typer.Typer(...)`; one that does not exist yet is left out."""

COMMANDS = {
    "init": "site", "check": "site", "status": "site", "serve": "serve", "import": "importing", "trace": "trace",
    "status-page": "status_page",
    "verify-store": "store", "reindex": "store", "checkin": "checkin",
}  # fmt: skip
"""Command -> `bdmta.cli.<module>`, whose function is the command's name with `_` for `-` and one at its end when it is
a keyword of Python."""

_CONFIG_FLAGS = ("-c", "--config")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0, 1 (it could not be done) or 2 (usage, configuration), with one line on stderr."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run one command; its exit code. What went wrong is one line on stderr."""
    from bdmta.cli.context import remember_config

    try:
        words, config = take_config(arguments)
        remember_config(config)
        app = build(words)
        code = app(args=words or ["--help"], prog_name="bdmta", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except BdmtaError as error:
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except Exception as error:
        return _explain(error)


def take_config(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """The arguments without `-c FILE`, wherever it stands, and the file. Raises UsageError when FILE is missing."""
    from bdmta.errors import UsageError

    words: list[str] = []
    config: str | None = None
    rest = iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--":
            words += [word, *rest]
        elif name in _CONFIG_FLAGS:
            config = value if equals else next(rest, None)
            if not config:
                raise UsageError(f"{name} needs a FILE")
        else:
            words.append(word)
    return words, config


def build(words: Sequence[str]) -> typer.Typer:
    """The application with the command that `words` names, or with all of them (for help and completion)."""
    app = typer.Typer(
        help="The mail server of a province under Decision 82/2009/QĐ-UBND.",
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_top)
    named = next((word for word in words if not word.startswith("-")), None)
    everything = [*COMMANDS, *GROUPS]
    if named in everything:
        everything = [str(named)]
    for name in everything if "--version" not in words else ["init"]:
        _add(app, name)
    return app


def _top(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", is_eager=True, callback=lambda wanted: _say_version(wanted)
    ),
    config: str = typer.Option(
        None,
        "-c",
        "--config",
        metavar="FILE",
        help="The configuration; also $BDMTA_CONFIG, ./bdmta.toml, /etc/bdmta/bdmta.toml. May stand anywhere.",
    ),
) -> None:
    """The mail server of a province under Decision 82/2009/QĐ-UBND."""


def _say_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"bdmta {__version__}\n")
        raise typer.Exit


def _add(app: typer.Typer, name: str) -> None:
    module = _import(COMMANDS.get(name, name))
    if module is None:
        return
    if name in GROUPS:
        app.add_typer(module.app, name=name, help=GROUPS[name], no_args_is_help=True)
        return
    identifier = name.replace("-", "_")
    function = getattr(module, identifier, None) or getattr(module, identifier + "_", None)
    if function is not None:
        app.command(name)(function)


def _import(name: str) -> Any:
    full = f"bdmta.cli.{name}"
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError as error:
        if error.name == full:
            return None  # not written yet
        raise


def _explain(error: Exception) -> int:
    """One line for what the command line, the store or the system said; a traceback only for a defect of ours."""
    from storage.errors import StoreError

    shown = getattr(error, "format_message", None)
    if shown is not None:  # typer's: its classes are private, their shape is not
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(f"{shown()}\n")
            return 2
        return _fail(shown(), int(getattr(error, "exit_code", 2)))
    if isinstance(error, StoreError):
        return _fail(str(error), 1)
    if isinstance(error, OSError):
        what = error.strerror or str(error)
        return _fail(f"{error.filename}: {what}" if error.filename else what, 1)
    raise error


def _fail(text: str, code: int) -> int:
    line = " ".join(text.split())
    sys.stderr.write(f"bdmta: {line}\n")
    return code
