"""Ask the steps in order and make one ruling of their verdicts.

Rules (contract 8): an `enforce` step's Reject or Defer ends the chain; a Quarantine is kept to the end, so that a later
Reject wins; `observe` only records; `warn` turns a refusal into a header. A verdict with `recipients` speaks of their
copies only: when those it leaves are none, it is the reply; else the letter is accepted and their copies go to Junk.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bdmta.message import scan
from bdmta.policy import (
    Accept,
    Annotate,
    Defer,
    Direction,
    Facts,
    Finding,
    Mode,
    Pass,
    Policy,
    Quarantine,
    Reject,
    Rewrite,
    Stage,
    Verdict,
)
from bdmta.reply import Reply

WARNING_HEADER = "X-Bdmta-Warning"


@dataclass(frozen=True, slots=True)
class Step:
    """One policy in the chain. `on_error` is the verdict's name when it raises or runs out of time."""

    name: str
    use: str
    policy: Policy
    modes: Mapping[Direction, Mode]
    timeout_s: float = 10.0
    on_error: str = "defer"
    options: Any = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step said. `error` is the exception's class when it failed and `verdict` is its `on_error`."""

    step: str
    stage: Stage
    mode: Mode
    verdict: Verdict
    error: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the step saw."""
        return self.verdict.findings

    @property
    def name(self) -> str:
        """The verdict in one word: pass, accept, defer, reject, quarantine, annotate, rewrite."""
        return type(self.verdict).__name__.lower()


@dataclass(slots=True)
class Ruling:
    """The chain's word at one stage. `refusal` is None when the transaction goes on."""

    facts: Facts
    steps: list[StepResult] = field(default_factory=list)
    refusal: Reject | Defer | None = None
    refused_by: str = ""
    quarantined: set[str] = field(default_factory=set)
    is_all_quarantined: bool = False
    quarantined_by: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    rewritten_by: list[str] = field(default_factory=list)
    keeps_original: bool = False

    @property
    def verdict(self) -> str:
        """accept, defer, reject or quarantine."""
        if isinstance(self.refusal, Reject):
            return "reject"
        if isinstance(self.refusal, Defer):
            return "defer"
        return "quarantine" if self.quarantined or self.is_all_quarantined else "accept"

    def reply(self) -> Reply | None:
        """The refusal as a reply: English, then unaccented Vietnamese, each with the reference; else None."""
        said = self.refusal
        if said is None:
            return None
        article = f" [{said.article}]" if said.article and said.article not in said.text_vi else ""
        lines = (f"{said.text} (ref {self.facts.reference})", f"{said.text_vi}{article}")
        return Reply(said.code, said.enhanced, lines)


class Chain:
    """Steps in the order of the file, sorted out by direction and stage once, when it is built."""

    def __init__(self, steps: Sequence[Step], log: Any) -> None:
        self.steps = tuple(steps)
        self._log = log
        self._by_place: dict[tuple[Direction, Stage], tuple[Step, ...]] = {
            (direction, stage): tuple(
                s for s in steps if stage in s.policy.stages and s.modes[direction] is not Mode.OFF
            )
            for direction in Direction
            for stage in Stage
        }

    def only(self, names: frozenset[str]) -> Chain:
        """The same chain with these steps alone (`policy try --only`)."""
        return Chain([s for s in self.steps if s.name in names or s.use in names], self._log)

    def asks(self, direction: Direction, stage: Stage) -> bool:
        """Some step has a word at this stage."""
        return bool(self._by_place[direction, stage])

    async def rule(self, stage: Stage, facts: Facts) -> Ruling:
        """Ask every step of this stage. Never raises for what a policy does; cancellation passes through."""
        ruling = Ruling(facts)
        refused: dict[str, tuple[Reject | Defer, str]] = {}
        for step in self._by_place[facts.direction, stage]:
            result = await self._ask(step, stage, ruling.facts)
            ruling.steps.append(result)
            verdict, mode = result.verdict, result.mode
            if mode is Mode.OBSERVE:
                continue
            if mode is Mode.WARN:
                _mark(ruling, step, verdict)
            elif isinstance(verdict, Reject | Defer):
                if verdict.recipients is None:
                    ruling.refusal, ruling.refused_by = verdict, step.name
                    return ruling
                refused.update({r: (verdict, step.name) for r in verdict.recipients if r not in refused})
            elif isinstance(verdict, Quarantine):
                _quarantine(ruling, step, stage, verdict)
            elif isinstance(verdict, Annotate):
                ruling.headers.extend(verdict.headers)
            elif isinstance(verdict, Rewrite):
                _rewrite(ruling, step, verdict)
            elif isinstance(verdict, Accept):
                break
        _settle(ruling, stage, refused)
        return ruling

    async def _ask(self, step: Step, stage: Stage, facts: Facts) -> StepResult:
        mode = step.modes[facts.direction]
        try:
            decision = step.policy.decide(stage, facts)
            try:
                waits_for = decision.send(None)
            except StopIteration as done:  # it had nothing to wait for: most have not, and need no timer
                verdict = done.value
            else:
                async with asyncio.timeout(step.timeout_s):
                    verdict = await _Rest(decision, waits_for)
            if not isinstance(verdict, _VERDICTS):
                raise TypeError(f"decide() returned {type(verdict).__name__}, which is no verdict")
            return StepResult(step.name, stage, mode, verdict)
        except Exception as error:
            kind = type(error).__name__
            self._log.error(
                "policy failed", policy=step.name, reference=facts.reference, on_error=step.on_error, exc_info=True
            )
            return StepResult(step.name, stage, mode, _on_error(step, kind), kind)


class _Rest:
    """What remains of a coroutine that was begun by hand and waits for `waits_for`; to be awaited in the same task."""

    def __init__(self, coroutine: Coroutine[Any, Any, Verdict], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Verdict]:
        waits_for = self._waits_for
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                resume: Any = partial(self._coroutine.throw, error)
            else:
                resume = partial(self._coroutine.send, sent)
            try:
                waits_for = resume()
            except StopIteration as done:
                verdict: Verdict = done.value
                return verdict


_VERDICTS = (Pass, Accept, Defer, Reject, Quarantine, Annotate, Rewrite)


def _on_error(step: Step, kind: str) -> Verdict:
    """The verdict of a step that failed. The peer learns nothing of the cause; the log has it."""
    findings = (Finding(code="policy-error", text=f"{step.name} failed: {kind}"),)
    text = "The message could not be checked just now; please try again later"
    text_vi = "Hiện chưa kiểm tra được thư này, xin gửi lại sau"
    match step.on_error:
        case "pass":
            return Pass(findings)
        case "reject":
            return Reject(text=text, text_vi=text_vi, code=554, enhanced="3.0", findings=findings)
        case "quarantine":
            return Quarantine(text=text, text_vi=text_vi, findings=findings)
        case _:
            return Defer(text=text, text_vi=text_vi, code=451, enhanced="3.0", findings=findings)


def _mark(ruling: Ruling, step: Step, verdict: Verdict) -> None:
    """`warn`: the letter goes on and says what the step thought; nothing is rewritten."""
    if isinstance(verdict, Reject | Defer | Quarantine):
        ruling.headers.append((WARNING_HEADER, f"{step.name}: {verdict.text_vi or verdict.text}"))
    elif isinstance(verdict, Annotate):
        ruling.headers.extend(verdict.headers)


def _rewrite(ruling: Ruling, step: Step, verdict: Rewrite) -> None:
    message = scan(verdict.octets)
    ruling.facts = dataclasses.replace(ruling.facts, message=message, size=len(verdict.octets))
    ruling.headers.extend(verdict.headers)
    ruling.rewritten_by.append(step.name)
    ruling.keeps_original |= verdict.keep_original


def _quarantine(ruling: Ruling, step: Step, stage: Stage, verdict: Quarantine) -> None:
    """Whose copy goes to Junk: those named; else the recipient asked about, all of the letter's, or all to come."""
    ruling.quarantined_by = ruling.quarantined_by or step.name
    if verdict.recipients is not None:
        ruling.quarantined.update(verdict.recipients)
    elif stage is Stage.RCPT and ruling.facts.recipient is not None:
        ruling.quarantined.add(ruling.facts.recipient)
    elif stage is Stage.DATA:
        ruling.quarantined.update(ruling.facts.rcpt_to)
    else:
        ruling.is_all_quarantined = True


def _settle(ruling: Ruling, stage: Stage, refused: dict[str, tuple[Reject | Defer, str]]) -> None:
    """Verdicts that spoke of some recipients: all agree, and it is the reply; else their copies go to Junk."""
    if not refused:
        return
    asked = (ruling.facts.recipient,) if stage is Stage.RCPT else ruling.facts.rcpt_to
    if set(asked) <= refused.keys():
        ruling.refusal, ruling.refused_by = next(iter(refused.values()))
        return
    ruling.quarantined.update(refused)
    ruling.quarantined_by = ruling.quarantined_by or next(iter(refused.values()))[1]
