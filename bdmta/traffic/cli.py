"""`bdmta-traffic`: load a mail server with letters like those of a province, and prove what became of each."""

from __future__ import annotations

import json
import sys
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from bdmta.clock import SystemClock
from bdmta.errors import BdmtaError, UsageError
from bdmta.traffic import report
from bdmta.traffic.chart import png
from bdmta.traffic.compose import Composer
from bdmta.traffic.hostile import read_folder
from bdmta.traffic.inspection import inspect
from bdmta.traffic.ledger import Ledger, read_ledger
from bdmta.traffic.letter import Letter
from bdmta.traffic.live import progress
from bdmta.traffic.mix import MIXES, Mix, read_mix
from bdmta.traffic.population import invent, read_accounts, write_people
from bdmta.traffic.readers import KINDS
from bdmta.traffic.run import Pace, Run
from bdmta.traffic.schedule import moments
from bdmta.traffic.sizes import Shape, measure, read_shape
from bdmta.traffic.target import Target, guard, read_site
from bdmta.traffic.verdict import Fault
from bdmta.traffic.wire import Endpoint, TlsSettings, WireError, endpoint, tls_context

_T = TypeVar("_T")
app = typer.Typer(
    help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip

Site = Annotated[
    str, typer.Option(metavar="DIR", help="A bdmta site: its ports, its CA and its mailboxes' root are read.")
]
Accounts = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE.csv", help="address,password[,name,kind,agency]; several files are joined by address."),
]
Smtp = Annotated[str, typer.Option(metavar="HOST:PORT", help="Where letters from outside go.")]
Submission = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Where officials send; submissions:// is TLS at once.")
]
Imap = Annotated[str, typer.Option(metavar="HOST:PORT", help="imap:// (STARTTLS where offered) or imaps://.")]
Pop3 = Annotated[str, typer.Option(metavar="HOST:PORT", help="pop3:// (STLS where offered) or pop3s://.")]
Maildir = Annotated[str, typer.Option(metavar="ROOT", help="Check by looking into the Maildirs below it, not by IMAP.")]
Layout = Annotated[str, typer.Option(help="Where a mailbox lies below ROOT.")]
Ca = Annotated[
    str, typer.Option(metavar="FILE", help="The authority of the server's certificate; default the system's.")
]
TlsName = Annotated[str, typer.Option(metavar="NAME", help="What the certificate is for; default the host.")]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Believe any certificate.")]
Plain = Annotated[
    bool, typer.Option("--plain", help="Send passwords to another machine without TLS where none is offered.")
]
NotLoopback = Annotated[
    bool, typer.Option("--not-loopback", help="Load another machine than this one. Only what is yours.")
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same letters.")]
Late = Annotated[float, typer.Option(min=0.0, metavar="SECONDS", help="From 250 to the mailbox; more is a fault.")]
Patience = Annotated[
    float, typer.Option(min=0.0, metavar="SECONDS", help="How long to look for a letter before it is lost.")
]


@app.command()
def run(
    site: Site = "",
    accounts: Accounts = None,
    smtp: Smtp = "",
    submission: Submission = "",
    imap: Imap = "",
    pop3: Pop3 = "",
    maildir: Maildir = "",
    layout: Layout = "{domain}/{local}",
    ca: Ca = "",
    tls_name: TlsName = "",
    no_verify: NoVerify = False,
    plain: Plain = False,
    not_loopback: NotLoopback = False,
    mix: Annotated[str, typer.Option(help=f"{', '.join(MIXES)}, or kind=weight,kind=weight.")] = "office",
    hostile: Annotated[
        list[str] | None, typer.Option(metavar="FOLDER", help="*.eml to send among the hostile ones; may be repeated.")
    ] = None,
    duration: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long letters fall due.")] = 60.0,
    count: Annotated[int | None, typer.Option(min=1, help="At most so many letters.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Letters a second, open loop; without it closed loop.")
    ] = None,
    day: Annotated[
        bool, typer.Option("--day", help="Press a working day's course into the run (needs --rate).")
    ] = False,
    sessions: Annotated[int, typer.Option(min=1, max=5000, help="Connections that send at once.")] = 20,
    per_connection: Annotated[int, typer.Option(min=1, help="Letters before a connection is made anew.")] = 1,
    readers: Annotated[
        str, typer.Option(help="thunderbird=3,outlook=2,pop3=1; empty for none.")
    ] = "thunderbird=3,outlook=2,pop3=1",
    think: Annotated[float, typer.Option(min=0.01, help="Mean seconds between a reader's sessions.")] = 3.0,
    idle: Annotated[float, typer.Option(min=0.0, help="Seconds that Thunderbird waits in IDLE.")] = 10.0,
    sizes: Annotated[str, typer.Option(metavar="FILE.json", help="What `measure` wrote.")] = "",
    largest: Annotated[int, typer.Option(min=1000, metavar="OCTETS", help="No letter is larger.")] = 8_000_000,
    seed: Seed = 1,
    label: Annotated[str, typer.Option(help="Marks this run's letters; default: from the clock.")] = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the server at each step.")] = 60.0,
    late: Late = 60.0,
    patience: Patience = 120.0,
    no_check: Annotated[bool, typer.Option("--no-check", help="Do not look what became of the letters.")] = False,
    ledger: Annotated[str, typer.Option(metavar="FILE", help="Keep every promise as JSON lines, for `check`.")] = "",
    json_file: Annotated[str, typer.Option("--json", metavar="FILE", help="The outcome as JSON; - is stdout.")] = "",
    chart: Annotated[str, typer.Option(metavar="FILE.svg|FILE.png", help="Latencies as a chart.")] = "",
) -> None:
    """Send, read, check; exit 0 when no letter is lost, doubled, corrupted, misplaced or late, else 1."""
    target = _target(
        site, accounts, smtp, submission, imap, pop3, maildir, layout, ca, tls_name, no_verify, plain, timeout
    )
    guard(target, may_leave=not_loopback)
    if day and rate is None:
        raise UsageError("--day needs --rate, the mean of the day")
    if not no_check and not target.maildir and target.imap is None:
        raise UsageError("to check, give --imap or --maildir; --no-check goes without")
    clock = SystemClock()
    name = label or f"s{seed}-{int(clock.time() * 1000):x}"
    shape = read_shape(sizes) if sizes else Shape()
    letters = Mix(
        accounts=target.accounts, weights=read_mix(mix), composer=Composer(name, clock.now(), shape, largest),
        label=name, seed=seed, folder=[found for one in hostile or () for found in read_folder(one)],
        can_submit=target.submission is not None,
    ).letters()  # fmt: skip
    pace = Pace(
        duration_s=duration, sessions=sessions, count=count, letters_a_connection=per_connection,
        moments=moments(rate, duration, seed, is_working_day=day) if rate is not None else None,
        readers=_readers(readers), think_s=think, idle_s=idle, slot_s=max(1.0, duration / 100),
    )  # fmt: skip
    settings = {"mix": mix, "seed": seed, "label": name, "rate": rate, "duration_s": duration, "sessions": sessions,
                "readers": readers, "day": day, "loop": "open" if rate is not None else "closed"}  # fmt: skip
    looking = None if no_check else (late, patience)
    outcome = _carry_out(target, letters, pace, ledger, settings, looking)
    report.show(outcome, Console(stderr=True))
    _write(outcome, json_file, chart)
    raise typer.Exit(0 if outcome.is_good else 1)


def _carry_out(
    target: Target, letters: Iterator[Letter], pace: Pace, ledger: str, settings: dict[str, Any],
    looking: tuple[float, float] | None,
) -> report.Outcome:  # fmt: skip
    """Run, then look (late, patience; None: do not)."""
    clock, trouble, checked = SystemClock(), "", 0
    faults: tuple[Fault, ...] = ()
    with ExitStack() as stack:
        file = stack.enter_context(open(ledger, "w", encoding="utf-8")) if ledger else None
        running = Run(target, letters, pace, Ledger(settings["label"], file), clock, settings["seed"])
        with progress(Console(stderr=True), pace.duration_s) as tick:
            _loop(running(tick))
        try:
            if looking is not None:
                faults, checked = _inspect(running.ledger, target, *looking, clock, clock.monotonic())
        except WireError as error:
            trouble = f"{error}; `bdmta-traffic check --ledger` looks later" if ledger else str(error)
    by = "" if looking is None or trouble else "Maildir" if target.maildir else "IMAP"
    return report.Outcome(running, (*running.notes.faults, *faults), by, checked, settings, trouble)


@app.command()
def check(
    ledger: Annotated[str, typer.Option(metavar="FILE", help="What `run --ledger` wrote.")],
    site: Site = "",
    accounts: Accounts = None,
    imap: Imap = "",
    maildir: Maildir = "",
    layout: Layout = "{domain}/{local}",
    ca: Ca = "",
    tls_name: TlsName = "",
    no_verify: NoVerify = False,
    plain: Plain = False,
    not_loopback: NotLoopback = False,
    late: Late = 60.0,
    patience: Patience = 0.0,
) -> None:
    """Compare an earlier run's promises with the mailboxes, after a crash or a restoration; exit 0 when all hold."""
    target = _target(site, accounts, "", "", imap, "", maildir, layout, ca, tls_name, no_verify, plain, 60.0)
    if not target.maildir:
        guard(target, may_leave=not_loopback)
        if target.imap is None:
            raise UsageError("give --imap or --maildir")
    clock = SystemClock()
    kept = read_ledger(ledger)
    faults, checked = _inspect(kept, target, late, patience, clock, clock.monotonic())
    report.show_faults(faults, "Maildir" if target.maildir else "IMAP", checked, Console(stderr=True))
    raise typer.Exit(1 if faults else 0)


@app.command()
def people(
    count: Annotated[int, typer.Argument(min=1, max=100_000, help="How many mailboxes.")],
    out: Annotated[str, typer.Option(metavar="FILE.csv", help="For `bdmta import`.")],
    domain: Annotated[str, typer.Option(help="Their domain.")] = "binhduong.gov.vn",
    seed: Seed = 1,
) -> None:
    """Invent agencies and officials, named by Điều 5, as a CSV for `bdmta import --report`."""
    write_people(invent(count, domain, seed), out)


@app.command(name="measure")
def measure_(
    folders: Annotated[list[str], typer.Argument(metavar="MAILDIR...", help="Maildirs, or folders above them.")],
    out: Annotated[str, typer.Option(metavar="FILE.json", help="For `run --sizes`.")],
) -> None:
    """Measure how large the letters of your own mailboxes are and what hangs on them; no content is kept."""
    with open(out, "w", encoding="utf-8") as file:
        json.dump(measure(folders).as_json(), file, indent=1)


def _target(
    site: str, accounts: list[str] | None, smtp: str, submission: str, imap: str, pop3: str, maildir: str, layout: str,
    ca: str, tls_name: str, no_verify: bool, plain: bool, timeout_s: float,
) -> Target:  # fmt: skip
    found = read_site(site) if site else None
    services = found.services if found else {}

    def service(text: str, *schemes: str) -> Endpoint | None:
        return endpoint(text, schemes) if text else services.get(schemes[0])

    if not accounts:
        raise UsageError(
            "--accounts FILE.csv is needed; `bdmta import --report` writes one, `bdmta-traffic people` its source"
        )
    tls = TlsSettings(
        tls_context(ca or (found.ca_file if found else ""), is_verified=not no_verify),
        name=tls_name or ("localhost" if found and not no_verify else ""),
    )
    target = Target(
        accounts=read_accounts(accounts), tls=tls, smtp=service(smtp, "smtp"),
        submission=service(submission, "submission", "submissions"), imap=service(imap, "imap", "imaps"),
        pop3=service(pop3, "pop3", "pop3s"), maildir=maildir, layout=layout, timeout_s=timeout_s,
    )  # fmt: skip
    is_here = all(one.is_loopback for one in target.endpoints)
    return target if is_here or plain else replace(target, tls=replace(tls, is_required=True))


def _readers(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in filter(None, text.split(",")):
        kind, _, number = item.partition("=")
        if kind not in KINDS or not number.isdigit():
            raise UsageError(f"--readers {text}: {item!r} is not known; give kind=number of {', '.join(KINDS)}")
        found[kind] = int(number)
    return found


def _inspect(
    kept: Ledger, target: Target, late: float, patience: float, clock: SystemClock, last: float
) -> tuple[tuple[Fault, ...], int]:
    looking = inspect(
        kept, target, late_s=late, patience_s=patience, elapsed_since_last_s=lambda: clock.monotonic() - last
    )
    return _loop(looking)


def _loop(work: Coroutine[Any, Any, _T]) -> _T:
    import uvloop

    return uvloop.run(work)


def _write(outcome: report.Outcome, json_file: str, chart: str) -> None:
    if json_file:
        text = json.dumps(report.as_json(outcome), ensure_ascii=False, indent=1) + "\n"
        if json_file == "-":
            sys.stdout.write(text)
        else:
            with open(json_file, "w", encoding="utf-8") as file:
                file.write(text)
    if chart and outcome.run.meter.by_slot:
        drawn = report.chart(outcome)
        octets = png(drawn) if chart.lower().endswith(".png") else drawn.encode()
        with open(chart, "wb") as picture:
            picture.write(octets)


def main() -> None:
    """The console command: what went wrong is one line on stderr; 2 for a wrong call, 1 for all else."""
    try:
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except BdmtaError as error:
        sys.exit(_fail(str(error), error.exit_code))
    except WireError as error:
        sys.exit(_fail(str(error), 1))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(_fail("interrupted", 130))
    except OSError as error:
        sys.exit(_fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1))
    except Exception as error:
        shown = getattr(error, "format_message", None)
        if shown is None:
            raise
        sys.exit(_fail(shown(), int(getattr(error, "exit_code", 2))))


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"bdmta-traffic: {' '.join(text.split())}\n")
    return code
