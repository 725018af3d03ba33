"""`bdmta policy list|order|try|replay`: what the chain is made of, and what it would say to a letter."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """The policies that come with bdmta, and those of the chain."""
    from bdmta.chain.load import shipped_policies
    from bdmta.policytry import open_chain

    steps = {step.use: step for step in open_chain(current_site()).steps}
    names = [*steps, *(use for use in shipped_policies() if use not in steps)]
    rows = [{"use": use, "in_chain": use in steps, "modes": _modes(steps.get(use))} for use in names]
    if as_json:
        print_json(rows)
    else:
        print_table(["policy", "in the chain", "modes"], [[r["use"], r["in_chain"], _say(r["modes"])] for r in rows])


@app.command()
def order(as_json: JsonOption = False) -> None:
    """Stage by stage, which policy is asked when, and in which mode by direction."""
    from bdmta.policy import Stage
    from bdmta.policytry import open_chain

    chain = open_chain(current_site())
    rows = [
        {"stage": stage.name.lower(), "policy": step.name, "use": step.use, "modes": _modes(step),
         "timeout_s": step.timeout_s, "on_error": step.on_error}
        for stage in Stage for step in chain.steps if stage in step.policy.stages
    ]  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        columns = ["stage", "policy", "modes", "timeout_s", "on_error"]
        print_table(columns, [[r["stage"], r["policy"], _say(r["modes"]), r["timeout_s"], r["on_error"]] for r in rows])


@app.command("try")
def try_(
    files: Annotated[list[str], typer.Argument(metavar="FILE.eml...", help="Letters to try.")],
    direction: Annotated[str, typer.Option(help="inbound, submission or internal.")] = "inbound",
    sender: Annotated[str | None, typer.Option("--from", help="The reverse-path; default: what From says.")] = None,
    to: Annotated[list[str] | None, typer.Option("--to", help="A recipient; may be given several times.")] = None,
    ip: Annotated[
        str | None, typer.Option(help="The client's address; without it the connection is not judged.")
    ] = None,
    helo: Annotated[str | None, typer.Option(help="What the client says it is called.")] = None,
    user: Annotated[str | None, typer.Option(help="The login.")] = None,
    only: Annotated[str | None, typer.Option(help="These policies alone: names, separated by commas.")] = None,
    out: Annotated[
        str | None, typer.Option(help="Write the letter as it would be delivered; a folder for several.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the chain over letters in files and print what it says; the exit code is 0 whatever the verdict."""
    from bdmta.policytry import Question, try_files

    question = Question(direction, sender, tuple(to or ()), ip, helo, user, frozenset((only or "").split(",")) - {""})
    many = len(files) > 1
    for answer in try_files(current_site(), files, question, out):
        if as_json:
            sys.stdout.write(json.dumps(answer if many else _without_file(answer), ensure_ascii=False) + "\n")
            sys.stdout.flush()
        else:
            _print(answer, many)


@app.command()
def replay(
    since: Annotated[str, typer.Option(metavar="DATE", help="From this day on, such as 2026-10-01.")],
    only: Annotated[str | None, typer.Option(help="These policies alone: names, separated by commas.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What today's chain would say of letters that were delivered since DATE; reports only, and never content."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from bdmta.errors import UsageError
    from bdmta.policyreplay import replay as run

    site = current_site()
    try:
        day = datetime.fromisoformat(since)
    except ValueError:
        raise UsageError(f"--since {since}: a date is wanted, such as 2026-10-01") from None
    start = day if day.tzinfo else day.replace(tzinfo=ZoneInfo(site.config.clock.timezone))
    rows = list(run(site, start.timestamp(), frozenset((only or "").split(",")) - {""}))
    if as_json:
        print_json(rows)
        return
    columns = ["reference", "at", "verdict", "policy", "codes", "mailboxes"]
    print_table(
        columns, [[*(r[c] for c in columns[:4]), ", ".join(r["codes"]), ", ".join(r["mailboxes"])] for r in rows]
    )


def _without_file(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "file"}


def _print(answer: dict[str, Any], many: bool) -> None:
    head = f"{answer['file']}: " if many else ""
    sys.stdout.write(f"{head}{answer['verdict']}: {answer['reply']}\n")
    for step in answer["steps"]:
        sys.stdout.write(f"  {step['policy']:<14} {step['mode']:<8} {step['verdict']:<10} {step['reason']}\n")
        for finding in step["findings"]:
            where = f"{finding['file']}: " if finding["file"] else ""
            sys.stdout.write(f"      {finding['code']}: {where}{finding['text']}\n")


def _modes(step: Any) -> dict[str, str] | None:
    return None if step is None else {str(direction): str(mode) for direction, mode in step.modes.items()}


def _say(modes: Any) -> str:
    if not modes:
        return ""
    values = set(modes.values())
    return values.pop() if len(values) == 1 else ", ".join(f"{d}: {m}" for d, m in modes.items())
