"""The settings of the pages for officials and of the published address book."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from bdmta.config.values import ConfigPath, Count, Flag, Network, Table, setting


def _url(value: str) -> str:
    if value and not (value.startswith(("https://", "http://")) and value.isascii() and value.endswith("/")):
        raise ValueError(f"{value!r} is not an address such as https://mail.binhduong.gov.vn/ (with / at its end)")
    return value


def _target(value: str) -> str:
    is_http = value.startswith(("https://", "http://"))
    is_rsync = value.startswith("rsync:") and len(value) > len("rsync:")
    if not (value.startswith("/") or is_http or is_rsync) or any(ord(letter) <= 0x20 for letter in value):
        raise ValueError(f"{value!r} is none of /a/folder, rsync:user@host:/folder/, https://host/folder/")
    if is_http and not value.endswith("/"):
        raise ValueError(f"{value!r} is no folder; it ends with /")
    return value


Url = Annotated[str, Field(max_length=500), AfterValidator(_url)]
Target = Annotated[str, Field(max_length=1000), AfterValidator(_target)]


class Web(Table):
    """The pages: own password, devices, connection settings, address book. They show no mail."""

    url: Url = setting(
        "", "The address of the pages as people are told it; empty: https:// with the host name and port."
    )
    idle_timeout_s: Count = setting(
        900, "After how long without a click somebody is logged out, in seconds.", ge=60, le=86_400
    )
    session_s: Count = setting(28_800, "After how long somebody is logged out in any case, in seconds.", le=604_800)
    plain_networks: tuple[Network, ...] = setting(
        ("127.0.0.0/8", "::1/128"), "Who is answered without TLS; everybody else is sent to https."
    )
    proxy_networks: tuple[Network, ...] = setting(
        (), "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, such as nginx on this machine."
    )
    metrics_networks: tuple[Network, ...] = setting(
        ("127.0.0.0/8", "::1/128"), "Who may read /metrics, the figures for Prometheus."
    )
    requests_per_minute: Count = setting(
        300, "Requests from one address (IPv6: one /64) in a minute; 429 beyond.", ge=10, le=100_000
    )

    @model_validator(mode="after")
    def _idle_fits_session(self) -> Web:
        if self.session_s < self.idle_timeout_s:
            raise ValueError(f"session_s ({self.session_s}) must be at least idle_timeout_s ({self.idle_timeout_s})")
        return self


class AddressBook(Table):
    """The address book that everybody may read, as it is published (Điều 6)."""

    targets: tuple[Target, ...] = setting(
        (),
        'Where it is published: "/var/www/danhba", "rsync:portal@10.82.0.9:/srv/danhba/", '
        '"https://portal.example/danhba/" (by HTTP PUT).',
        max_length=10,
    )
    internal_targets: tuple[Target, ...] = setting(
        (), "Where the internal one, with everybody who has a mailbox, is published; as targets.", max_length=10
    )
    formats: tuple[Literal["html", "csv", "vcard", "ldif", "json"], ...] = setting(
        ("html", "csv", "vcard", "ldif", "json"), "In which forms.", min_length=1
    )
    publish_hour: Count = setting(
        5, "The hour, local time, at which it is published even if nothing has changed.", le=23
    )
    credentials: ConfigPath | Literal[""] = setting(
        "", "The file of logins for HTTP targets, mode 0600; a line has host, user and password."
    )
    ca_file: ConfigPath | Literal[""] = setting("", "Authorities trusted for https targets, PEM; empty: the system's.")
    timeout_s: Count = setting(120, "The longest time for one target, in seconds.", ge=1, le=3600)
    on_pages: Flag = setting(True, "Whether everybody can read the public address book on the pages of [web].")
