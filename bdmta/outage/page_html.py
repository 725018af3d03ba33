"""The status page's HTML: one file, no script, no other file asked for; every text goes through autoescape."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from bdmta.config.shipped import shipped
from bdmta.outage.notice import FOR_OPERATORS, Notice
from bdmta.outage.texts import Texts, duration
from bdmta.site import Site

if TYPE_CHECKING:
    from bdmta.outage.page_files import Picture

_QUIET = FOR_OPERATORS | {"quiet"}


def html(picture: Picture, texts: Texts, language: str, site: Site, printed: frozenset[str]) -> bytes:
    """The page in one language."""
    template, style, style_hash = _template()
    shown = {state: [] for state in ("current", "upcoming", "history")}  # type: dict[str, list[dict[str, Any]]]
    for notice in picture.notices:
        where = "current" if notice.is_active else "upcoming" if notice.state == "planned" else "history"
        shown[where].append(_shown(notice, texts, language, printed))
    silent = picture.pulse.silent_since
    since = texts.time(language, datetime.fromtimestamp(silent, UTC)) if silent is not None else ""
    labels = {k: v for k, v in texts.labels(language).items() if k != "silent_since"}
    services = site.config.services
    made = template.render(
        language=language, label=labels, domain=site.config.primary_domain, state=picture.state,
        silent_text=texts.say(language, "page", "silent_since", {"start": since}) if picture.state == "silent" else "",
        office=texts.office, updated=texts.local(picture.at).strftime("%H:%M %d/%m/%Y"),
        services=[(labels[s], picture.service_state(s), labels[picture.service_state(s)]) for s in services],
        has_agencies=[texts.scope(language, n.scope) for n in picture.active if n.agencies],
        months=_months(picture, services),
        style=style, style_hash=style_hash, **shown,
    )  # fmt: skip
    return str(made).encode()


def _shown(notice: Notice, texts: Texts, language: str, printed: frozenset[str]) -> dict[str, Any]:
    values = texts.values(language, notice)
    labels = texts.labels(language)
    said = [a for a in notice.announcements if a.kind not in _QUIET]
    steps = [
        {"at": texts.local(a.at).strftime("%H:%M %d/%m"), "kind": labels[f"kind_{a.kind}"], "what": a.what,
         "until": texts.time(language, a.until_at) if a.kind in ("opened", "updated", "planned") else ""}
        for a in said
    ]  # fmt: skip
    state = "cancelled" if notice.is_cancelled else notice.state
    return {
        **values, "state": state, "state_label": labels[f"state_{state}"], "planned": notice.is_planned, "steps": steps,
        "pdf": f"thong-bao-{notice.id}.pdf" if notice.id in printed else "",
    }  # fmt: skip


def _months(picture: Picture, services: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"month": row["month"], "cells": [_cell(row["services"].get(s)) for s in services]}
        for row in picture.months[:12]
    ]


def _cell(found: dict[str, Any] | None) -> dict[str, Any] | None:
    if not found:
        return None
    percent = float(found["percent"])
    away, planned = int(found["unplanned_s"]), int(found["planned_s"])
    return {
        "percent": f"{percent:.3f}".rstrip("0").rstrip(".").replace(".", ","), "width": max(0.0, percent),
        "grade": "good" if percent >= 99.9 else "fair" if percent >= 99 else "poor",
        "away_s": away, "planned_s": planned,
    }  # fmt: skip


@cache
def _template() -> tuple[Any, Any, Any]:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(shipped("templates")), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["span"] = _span
    with open(shipped("templates", "status.css"), encoding="utf-8") as file:
        style = file.read().strip()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("status.html.j2"), Markup(style), Markup(f"'sha256-{digest}'")  # noqa: S704 - ours


def _span(seconds: int, language: str) -> str:
    return duration(language, timedelta(seconds=seconds))
