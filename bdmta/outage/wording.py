"""An announcement as a letter: Vietnamese, then English, the same octets for everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bdmta.message.write import compose_text, date
from bdmta.outage.channels import Means
from bdmta.outage.jobs import Job

_TO = "Người sử dụng hệ thống thư điện tử:;"


def compose_notice(means: Means, job: Job) -> bytes:
    """The letter to everybody. A notice's letters are one thread, and each has the same Message-ID at every attempt."""
    texts, kind = means.texts, job.said.kind
    values = {language: texts.values(language, job.notice, job.said) for language in ("vi", "en")}
    parts = [
        texts.say("vi", kind, "text", values["vi"]),
        _signed(means),
        "—",
        texts.say("en", kind, "subject", values["en"]),
    ]
    parts.append(texts.say("en", kind, "text", values["en"]))
    return _letter(means, job, texts.say("vi", kind, "subject", values["vi"]), parts, _TO)


def compose_for_operators(means: Means, job: Job, to: str) -> bytes:
    """The letter to those who keep the system: a draft, an estimate that has passed."""
    values = means.texts.values("vi", job.notice, job.said)
    subject = means.texts.say("vi", job.said.kind, "subject", values)
    return _letter(means, job, subject, [means.texts.say("vi", job.said.kind, "text", values)], to)


def _signed(means: Means) -> str:
    office, url = means.texts.office, means.site.config.outage.status_url
    lines = [str(office["short"])]
    lines += [f"Điện thoại: {office['phone']}"] if office["phone"] else []
    lines += [f"Tình trạng hệ thống: {url}"] if url else []
    return "\n".join(lines)


def _letter(means: Means, job: Job, subject: str, parts: Sequence[str], to: str) -> bytes:
    host, first = means.site.config.server.hostname, f"outage-{job.notice.id}-1"
    moment = means.texts.local(means.clock.now())
    headers: list[tuple[str, str]] = [
        ("Return-Path", "<>"),
        ("Date", date(moment).decode()),
        ("From", f"{means.texts.office['short']} <{means.site.config.postmaster}>"),
        ("To", to),
        ("Subject", subject),
        ("Message-ID", f"<outage-{job.key}@{host}>"),
    ]
    if job.said.number > 1:
        headers += [("In-Reply-To", f"<{first}@{host}>"), ("References", f"<{first}@{host}>")]
    headers += [("Auto-Submitted", "auto-generated"), ("Importance", "high"), ("X-Priority", "1")]
    return compose_text(headers, "\n\n".join(parts))


def as_json(means: Means, job: Job) -> Mapping[str, object]:
    """The announcement for machines: what a webhook gets."""
    notice, said, texts = job.notice, job.said, means.texts
    values = {language: texts.values(language, notice, said) for language in ("vi", "en")}
    return {
        "id": notice.id, "announcement": said.number, "kind": said.kind, "state": notice.state, "what": said.what,
        "scope": list(notice.scope), "planned": notice.is_planned, "from": texts.local(notice.from_at).isoformat(),
        "until": texts.local(said.until_at).isoformat(),
        "ended": texts.local(notice.ended_at).isoformat() if notice.ended_at else None, "done": said.done,
        "announced_at": texts.local(said.at).isoformat(), "system": means.site.config.primary_domain,
        "subject": {language: texts.say(language, said.kind, "subject", values[language]) for language in values},
        "text": texts.say("vi", "alert", said.kind, values["vi"]), "url": means.site.config.outage.status_url,
    }  # fmt: skip
