"""Run the chain over letters in files: the same scan, checks, chain and edits as a letter that comes in."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bdmta.address import Address, AddressError, parse_address
from bdmta.chain import Chain, Ruling, StepResult, load_chain
from bdmta.clock import SystemClock
from bdmta.directory.snapshot import Snapshot
from bdmta.dns import Resolver
from bdmta.edits import finish, refuse_foreign_author
from bdmta.envelope import Envelope, Recipient, new_reference
from bdmta.errors import UsageError
from bdmta.examine.pool import ExaminerPool
from bdmta.log import configure
from bdmta.mailauth.check import MailAuth
from bdmta.message import Message, scan
from bdmta.message.addresses import mailboxes
from bdmta.policy import Account, Direction, Facts, Services, Stage
from bdmta.received import trace_fields
from bdmta.reply import Reply, reply
from bdmta.routing import Route
from bdmta.site import Site
from bdmta.smtp.data import DataReader
from bdmta.smtp.replies import data_flaw
from bdmta.smtp.server import SmtpSettings
from bdmta.testing.policy import MemoryState
from storage.errors import StoreError


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every file."""

    direction: str = "inbound"
    sender: str | None = None
    to: tuple[str, ...] = ()
    ip: str | None = None
    helo: str | None = None
    user: str | None = None
    only: frozenset[str] = frozenset()


def open_chain(site: Site, examiner: Any = None) -> Chain:
    """The chain that SIGHUP would load now; ConfigError says what is wrong with it."""
    clock = SystemClock()
    log = configure("error", site.config.log.format)

    def services(name: str) -> Services:
        return Services(clock=clock, examiner=examiner, state=MemoryState(clock), log=log.bind(policy=name))

    return load_chain(Path(site.config.policies.file), services, log)


def try_files(site: Site, files: Sequence[str], question: Question, out: str | None) -> Iterator[dict[str, Any]]:
    """An answer for each file, as it comes (interface: `policy try --json`)."""
    if question.direction not in set(Direction):
        raise UsageError(f"--direction {question.direction}: one of {', '.join(Direction)}")
    if out is not None and len(files) > 1:
        os.makedirs(out, exist_ok=True)
    with asyncio.Runner() as runner:
        trial = runner.run(_Trial.open(site, question))
        try:
            for file in files:
                try:
                    octets = Path(file).read_bytes()
                except OSError as error:
                    raise UsageError(f"{file}: {error.strerror}") from None
                answer, letter = runner.run(trial.judge(octets))
                if out is not None and letter is not None:
                    Path(out if len(files) == 1 else os.path.join(out, os.path.basename(file))).write_bytes(letter)
                yield {"file": file, **answer}
        finally:
            runner.run(trial.examiner.close())


class _Trial:
    def __init__(self, site: Site, question: Question, examiner: ExaminerPool) -> None:
        self.examiner = examiner
        self._site = site
        self._question = question
        self._direction = Direction(question.direction)
        chain = open_chain(site, examiner)
        unknown = question.only - {name for step in chain.steps for name in (step.name, step.use)}
        if unknown:
            raise UsageError(f"--only {', '.join(sorted(unknown))}: no such policy in the chain")
        self._chain = chain.only(question.only) if question.only else chain
        self._account = _account(site, question.user)
        self._clock = SystemClock()
        dns = site.config.dns
        resolver = Resolver(dns.servers if question.ip is not None else (), dns.timeout_s, clock=self._clock)
        self._mail_auth = MailAuth(resolver, self._clock)
        zone = ZoneInfo(site.config.clock.timezone)
        self._offset_s = int((self._clock.now().astimezone(zone).utcoffset() or timedelta()).total_seconds())

    @classmethod
    async def open(cls, site: Site, question: Question) -> _Trial:
        examiner = ExaminerPool.for_site(site, configure("error", site.config.log.format))
        await examiner.start()
        return cls(site, question, examiner)

    async def judge(self, octets: bytes) -> tuple[dict[str, Any], bytes | None]:
        """The answer, and the letter as it would be delivered (None when it would not)."""
        if b"\r\n" not in octets:
            octets = octets.replace(b"\n", b"\r\n")
        octets, flaw = self._as_sent(octets)
        if flaw is not None:
            return _answer(flaw, [], "reject", False), None
        envelope = self._envelope(octets)
        trace = self._trace(envelope)
        message = scan(trace + octets)
        auth = await self._mail_auth.check(envelope, message, len(trace))
        facts = dataclasses.replace(self._facts(envelope, message, len(octets)), auth=auth)
        steps: list[StepResult] = []
        for stage, known in self._stages(facts):
            ruling = await self._chain.rule(stage, known)
            steps += ruling.steps
            refusal = ruling.reply()
            if refusal is not None:
                return _answer(refusal, steps, ruling.verdict, bool(ruling.rewritten_by)), None
        if not self._question.only:
            foreign = refuse_foreign_author(self._account, message)
            if foreign is not None:
                return _answer(foreign, steps, "reject", False), None
        answer = _answer(reply(250, "0.0", "OK"), steps, ruling.verdict, bool(ruling.rewritten_by))
        return answer, self._delivered(envelope, ruling, message)

    def _as_sent(self, octets: bytes) -> tuple[bytes, Reply | None]:
        """The octets after DATA's own rules, or the refusal that DATA would end in."""
        config = self._site.config.smtp
        settings = SmtpSettings(
            hostname=self._site.config.server.hostname,
            max_message_octets=config.max_message_octets,
            max_line_octets=config.max_line_octets,
        )
        is_submission = self._direction is not Direction.INBOUND
        reader = DataReader(config.max_message_octets, config.max_line_octets, normalise=is_submission)
        if not octets.endswith(b"\r\n"):
            octets += b"\r\n"
        stuffed = octets.replace(b"\r\n.", b"\r\n..")
        taken = reader.feed((b"." if octets.startswith(b".") else b"") + stuffed + b".\r\n")
        return taken, None if reader.flaw is None else data_flaw(reader.flaw, settings)

    def _stages(self, facts: Facts) -> Iterator[tuple[Stage, Facts]]:
        if self._question.ip is not None:
            yield Stage.CONNECT, dataclasses.replace(facts, message=None, mail_from=None, rcpt_to=(), helo=None)
            yield Stage.HELO, dataclasses.replace(facts, message=None, mail_from=None, rcpt_to=())
        yield Stage.MAIL, dataclasses.replace(facts, message=None, rcpt_to=())
        for number, recipient in enumerate(facts.rcpt_to):
            before = facts.rcpt_to[:number]
            yield Stage.RCPT, dataclasses.replace(facts, message=None, rcpt_to=before, recipient=recipient)
        yield Stage.DATA, facts

    def _trace(self, envelope: Envelope) -> bytes:
        return trace_fields(envelope, self._site.config.server.hostname, self._offset_s)

    def _envelope(self, octets: bytes) -> Envelope:
        sender = self._question.sender
        if sender is None:
            author = scan(octets).first("from")
            boxes = mailboxes(author.value) if author is not None else []
            sender = f"{boxes[0].local}@{boxes[0].domain}" if boxes and boxes[0].domain else ""
        recipients = tuple(_address(text) for text in self._question.to or (self._site.config.postmaster,))
        return Envelope(
            reference=new_reference(self._clock), direction=self._direction,
            sender=_lenient(sender) if sender else None,
            recipients=tuple(Recipient(address, address.key, Route()) for address in recipients),
            received_at=self._clock.now(), listener="try", remote_ip=self._question.ip,
            helo=self._question.helo or "", account=self._account, has_tls=self._account is not None,
        )  # fmt: skip

    def _facts(self, envelope: Envelope, message: Message, size: int) -> Facts:
        return Facts(
            direction=self._direction, received_at=envelope.received_at, reference=envelope.reference,
            listener="try", remote_ip=envelope.remote_ip, has_tls=envelope.has_tls, helo=self._question.helo,
            account=self._account, mail_from=envelope.sender.key if envelope.sender is not None else "",
            rcpt_to=tuple(r.key for r in envelope.recipients), size=size, message=message,
            local_domains=frozenset(self._site.config.mail.domains),
        )  # fmt: skip

    def _delivered(self, envelope: Envelope, ruling: Ruling, message: Message) -> bytes:
        hostname = self._site.config.server.hostname
        return b"".join(finish(envelope, ruling, message, hostname=hostname, offset_s=self._offset_s).pieces())


def _lenient(text: str) -> Address | None:
    """An author's address as a reverse-path; a hostile letter's may be none."""
    try:
        return parse_address(text)
    except AddressError:
        return None


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise UsageError(f"{text}: {error}") from None


def _account(site: Site, user: str | None) -> Account | None:
    """The login, with all that belongs to it when the directory knows it."""
    if user is None:
        return None
    key = _address(user if "@" in user else f"{user}@{site.config.primary_domain}").key
    try:
        snapshot = Snapshot.open(site.snapshot_path)
    except StoreError:
        return Account(address=key, kind="person", agency=None, may_send_as=frozenset({key}))
    entry = snapshot.mailbox(key)
    if entry is None:
        return Account(address=key, kind="person", agency=None, may_send_as=frozenset({key}))
    own = snapshot.may_send_as(key)
    return Account(address=entry.address, kind=entry.kind, agency=entry.agency or None, may_send_as=own)


def _answer(said: Reply, steps: list[StepResult], verdict: str, rewritten: bool) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "reply": str(said),
        "steps": [
            {"policy": s.step, "mode": str(s.mode), "verdict": s.name, "reason": _reason(s),
             "findings": [{"code": f.code, "text": f.text, "text_vi": f.text_vi, "file": f.file, "article": f.article}
                          for f in s.findings]}
            for s in steps
        ],
        "rewritten": rewritten,
    }  # fmt: skip


def _reason(step: StepResult) -> str:
    if step.error:
        return f"failed: {step.error}"
    text = getattr(step.verdict, "text", "")
    return text or "; ".join(f.code for f in step.findings)
