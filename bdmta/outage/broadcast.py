"""Brings announcements to the channels: the page first, then mail programs and senders, mailboxes, and the outside.

Each channel works through its jobs in a thread of its own, so that a portal that does not answer keeps no mailbox
waiting. What became of a job is on record before the channel lets go of it (`settle`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from bdmta.outage.book import OutageBook
from bdmta.outage.channels import Channel, ChannelError, Hopeless, Means
from bdmta.outage.channels.contacts import Contacts, Operators
from bdmta.outage.channels.edges import IMAP, SMTP, Edges
from bdmta.outage.channels.letter import Letters
from bdmta.outage.channels.page import Page, Print
from bdmta.outage.channels.push import Push
from bdmta.outage.channels.webhook import Webhook
from bdmta.outage.due import Rules
from bdmta.outage.jobs import Job, Reach, jobs, next_attempt
from bdmta.outage.published import for_edges, publish
from bdmta.outage.texts import Texts
from bdmta.site import Site

Record = Callable[..., Any]


def texts_of(site: Site) -> Texts:
    """The texts that the site uses. Raises ConfigError."""
    outage = site.config.outage
    return Texts.load(outage.notices, site.config.clock.timezone, outage.status_url)


def means_of(site: Site, clock: Clock, log: Any) -> Means:
    """What the channels of a site share; broken texts are named in the log, and the shipped ones used."""
    try:
        texts = texts_of(site)
    except BdmtaError as error:
        log.error("texts of notices not loaded, the shipped ones are used", reason=str(error))
        texts = Texts.load("", site.config.clock.timezone, site.config.outage.status_url)
    means = Means(site, clock, log, texts, site.outage_dir)
    os.makedirs(means.page_folder, mode=0o755, exist_ok=True)
    return means


def channels_of(means: Means) -> list[Channel]:
    """The channels that the configuration asks for, in the order in which people should hear."""
    outage = means.site.config.outage
    found: list[Channel] = [Edges(means, IMAP), Edges(means, SMTP), Print(means), Page(means), Letters(means)]
    found += [Push(means, target, number) for number, target in enumerate(outage.push)]
    found += [Webhook(means, url, number) for number, url in enumerate(outage.webhook)]
    found += [Contacts(means)] if outage.contacts else []
    return [*found, Operators(means)]


def reaches_of(site: Site) -> list[Reach]:
    """The same, without what they need to work: for showing how far each is."""
    outage = site.config.outage
    kinds = frozenset(outage.letters)
    letter = Reach("letter", lambda notice, said: notice.is_public and said.kind in kinds)
    found = [IMAP, SMTP, Print.reach, Page.reach, letter]
    found += [Reach("push" if n == 0 else f"push-{n + 1}", Page.reach.wants, True) for n in range(len(outage.push))]
    found += [Reach("webhook" if n == 0 else f"webhook-{n + 1}", Page.reach.wants) for n in range(len(outage.webhook))]
    found += [Reach("contacts", letter.wants)] if outage.contacts else []
    return [*found, Operators.reach]


def rules_of(site: Site) -> Rules:
    """What the configuration says about time."""
    outage = site.config.outage
    return Rules(
        remind_before=tuple(timedelta(hours=hours) for hours in sorted(outage.remind_hours, reverse=True)),
        nag_every=timedelta(seconds=outage.nag_s),
    )


def publish_for_edges(book: OutageBook, means: Means) -> None:
    """What edges are to know now; before any channel says that they do."""
    publish(means.folder, for_edges(book.all(), means.texts, means.clock.now()))


def due_by_channel(book: OutageBook, channels: Sequence[Channel], clock: Clock) -> dict[str, list[Job]]:
    """The jobs that are due, for each channel in their order."""
    found: dict[str, list[Job]] = {}
    for job in jobs(book.all(), [channel.reach for channel in channels], clock.now()):
        found.setdefault(job.channel, []).append(job)
    return found


def attempt(channel: Channel, job: Job, clock: Clock, log: Any) -> dict[str, Any]:
    """Try once; what is to be recorded: state, attempts, note, next attempt. Never raises. Blocks."""
    attempts = job.attempts + 1
    next_at = None
    try:
        note, state = channel.deliver(job), "done"
        log.info("announced", notice=job.notice.id, kind=job.said.kind, channel=job.channel, receipt=note)
    except ChannelError as error:
        note = str(error)
        next_at = None if isinstance(error, Hopeless) else next_attempt(job.said, attempts, clock.now())
        state = "failed" if next_at is None else "waiting"
        log.error(
            "not announced", notice=job.notice.id, channel=job.channel, reason=note, attempts=attempts, state=state
        )
    except Exception as error:
        note = f"{type(error).__name__}: {error}"
        next_at = next_attempt(job.said, attempts, clock.now())
        state = "failed" if next_at is None else "waiting"
        log.error("channel failed", notice=job.notice.id, channel=job.channel, attempts=attempts, exc_info=True)
    return {"state": state, "attempts": attempts, "note": note, "next_at": next_at}


def broadcast_once(book: OutageBook, means: Means) -> None:
    """Everything that is due, once, one after the other: for a command while no office runs. Blocks."""
    publish_for_edges(book, means)
    channels = channels_of(means)
    waiting = due_by_channel(book, channels, means.clock)
    for channel in channels:
        for job in waiting.get(channel.reach.name, ()):
            book.record(job.notice.id, job.said.number, job.channel, **attempt(channel, job, means.clock, means.log))
            channel.settle(job)
