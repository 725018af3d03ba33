"""The settings of outage notices (Điều 15)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bdmta.config.values import ConfigPath, Count, IpAddress, MailAddress, Port, Table, setting

LetterKind = Literal["planned", "reminder", "opened", "updated", "overdue", "closed", "cancelled", "report"]


def _url(value: str) -> str:
    scheme, mark, rest = value.partition("://")
    if scheme not in ("http", "https") or not mark or not rest or not value.isascii() or " " in value:
        raise ValueError(f"{value!r} is not an address such as https://portal.example/mail/")
    return value


def _push_target(value: str) -> str:
    if "://" in value and not value.startswith("rsync://"):
        return _url(value)
    if ":" not in value and not value.startswith("/"):
        raise ValueError(
            f"{value!r} is neither user@host:/folder, rsync://host/module, /folder nor https://host/folder/"
        )
    if value.startswith("-") or any(ord(letter) < 0x21 for letter in value):
        raise ValueError(f"{value!r} is no target of rsync")
    return value


Url = Annotated[str, Field(max_length=500), AfterValidator(_url)]
PushTarget = Annotated[str, Field(max_length=500), AfterValidator(_push_target)]
Hours = Annotated[int, Field(strict=True, ge=1, le=720)]


class Outage(Table):
    """Notices of outages and planned work, and who is told of them (Điều 15)."""

    status_page: Literal["off", "serve", "own"] = setting(
        "serve",
        "The status page's process: serve starts and ends it but does not take it along when killed; own is run by"
        " its unit (`bdmta status-page`).",
    )
    status_port: Port = setting(0, "The port of the status page; 0: 81 plus [listen] base_port.")
    status_addresses: tuple[IpAddress, ...] = setting((), "The status page's addresses; empty: [listen] addresses.")
    status_url: Url | Literal[""] = setting(
        "", "Where the public finds the status page, such as https://portal.example/mail/; letters and the feed say it."
    )
    push: tuple[PushTarget, ...] = setting(
        (),
        "Where the page's files are copied: user@host:/folder or rsync://host/module (rsync), https://host/dir/ (PUT).",
        max_length=10,
    )
    push_token: ConfigPath | Literal[""] = setting(
        "", "A file with the token that PUT sends as `Authorization: Bearer`, mode 0600; empty: none is sent."
    )
    webhook: tuple[Url, ...] = setting(
        (), "Who is sent each announcement as signed JSON, such as the SMS gateway.", max_length=10
    )
    webhook_secret: ConfigPath | Literal[""] = setting(
        "", "The file of the key that signs what webhooks get (HMAC-SHA256), mode 0600; it is needed with webhook."
    )
    contacts: tuple[MailAddress, ...] = setting((), "Addresses outside that get each letter too.", max_length=1000)
    operators: tuple[MailAddress, ...] = setting(
        (), "Mailboxes that hear of drafts and of estimates that have passed; empty: [mail] postmaster.", max_length=100
    )
    letters: tuple[LetterKind, ...] = setting(
        ("planned", "reminder", "opened", "updated", "closed", "cancelled", "report"),
        "Which announcements become a letter to every mailbox in scope.",
    )
    notices: ConfigPath = setting(
        "notices", "The folder of changed texts (vi.toml, en.toml, notice.typ); what it lacks is as shipped."
    )
    remind_hours: tuple[Hours, ...] = setting((24, 1), "How many hours before planned work people are reminded.")
    nag_s: Count = setting(
        1800, "How often operators hear of an estimate that has passed, in seconds.", ge=60, le=86_400
    )
    gap_s: Count = setting(
        120, "A service that was away for longer gets a notice by itself, in seconds.", ge=20, le=86_400
    )
    on_gap: Literal["draft", "announce"] = setting(
        "draft", "Whether such a notice waits for `bdmta outage confirm` or is sent at once."
    )
    estimate_s: Count = setting(
        3600, "The time to recovery that a notice states when it is sent at once, in seconds.", ge=60
    )
