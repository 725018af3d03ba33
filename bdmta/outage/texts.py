"""The words of notices: templates in `conf/notices/`, or in the site's own folder, checked whole before they are used.

`vi.toml` and `en.toml` hold Jinja2 texts; a site's file stands for the shipped one. A text can use the names of
PLACEHOLDERS and nothing else; whatever it would refuse when a notice is due, it refuses when it is loaded.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bdmta.config.shipped import shipped
from bdmta.errors import ConfigError
from bdmta.outage.notice import Announcement, Notice

LANGUAGES = ("vi", "en")
PLACEHOLDERS = (
    "id", "what", "scope", "start", "until", "ended", "lasted", "done", "hours", "url", "office", "phone", "agency",
)  # fmt: skip
_MAX_OCTETS = 262_144
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


class Texts:
    """The texts of both languages, compiled."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], timezone: str, url: str = "") -> None:
        self._tables = tables
        self._zone = ZoneInfo(timezone)
        self._url = url
        self._compiled: dict[tuple[str, str, str], Any] = {}

    @classmethod
    def load(cls, folder: str, timezone: str, url: str = "") -> Texts:
        """The texts of `folder`, and the shipped ones where it has none. ConfigError names file, text and fault."""
        texts = cls({language: _table(folder, language) for language in LANGUAGES}, timezone, url)
        texts._check(folder)
        return texts

    def say(self, language: str, table: str, key: str, values: Mapping[str, Any]) -> str:
        """The text `[table] key`, with `values` put in."""
        known = self._compiled.get((language, table, key))
        if known is None:
            known = _environment().from_string(self._tables[language][table][key])
            self._compiled[language, table, key] = known
        return str(known.render(dict.fromkeys(PLACEHOLDERS, "") | dict(values))).strip()

    def label(self, language: str, key: str) -> str:
        """A fixed word of the page."""
        return str(self._tables[language]["page"][key])

    def labels(self, language: str) -> Mapping[str, str]:
        """All of them."""
        return self._tables[language]["page"]  # type: ignore[no-any-return]

    @property
    def office(self) -> Mapping[str, Any]:
        """Names and lines of the office that signs."""
        return self._tables["vi"]["office"]  # type: ignore[no-any-return]

    def values(self, language: str, notice: Notice, said: Announcement | None = None) -> dict[str, Any]:
        """What the texts can name, of a notice as it stands or as an announcement said it."""
        ended = notice.ended_at or (notice.until_at if notice.found_ended else None)
        return {
            "id": notice.id, "what": said.what if said else notice.what, "scope": self.scope(language, notice.scope),
            "start": self.time(language, notice.from_at),
            "until": self.time(language, said.until_at if said else notice.until_at),
            "ended": self.time(language, ended) if ended else "",
            "lasted": duration(language, ended - (notice.began_at or notice.from_at)) if ended else "",
            "done": notice.done, "hours": said.hours if said else 0, "url": self._url,
            "office": self.office["short"], "phone": self.office["phone"],
        }  # fmt: skip

    def scope(self, language: str, scope: tuple[str, ...]) -> str:
        """What is touched, in words."""
        names = self._tables[language]["scope"]
        return ", ".join(
            self.say(language, "scope", one, {}) if one in names and one != "agency"
            else self.say(language, "scope", "agency", {"agency": one})
            for one in scope
        )  # fmt: skip

    def time(self, language: str, at: datetime) -> str:
        """A moment as people read it."""
        local = at.astimezone(self._zone)
        if language == "vi":
            return f"{local:%H} giờ {local:%M} ngày {local:%d/%m/%Y}"
        return f"{local:%H:%M} on {local.day} {_MONTHS[local.month - 1]} {local.year}"

    def local(self, at: datetime) -> datetime:
        """In the office's time zone."""
        return at.astimezone(self._zone)

    def _check(self, folder: str) -> None:
        """Every text that is shipped is there, of its kind, and can be rendered."""
        sample = dict.fromkeys(PLACEHOLDERS, "x")
        for language in LANGUAGES:
            wanted = _read(shipped("notices", f"{language}.toml"))
            for table, keys in wanted.items():
                for key, value in keys.items():
                    where = f"{os.path.join(folder, language + '.toml')}: [{table}] {key}"
                    found = self._tables[language].get(table, {}).get(key)
                    if type(found) is not type(value):
                        raise ConfigError(
                            f"{where}: {'is missing' if found is None else 'a text in quotes is expected'}"
                        )
                    if isinstance(found, str):
                        self._try(language, table, key, sample, where)

    def _try(self, language: str, table: str, key: str, sample: Mapping[str, Any], where: str) -> None:
        from jinja2 import TemplateError, UndefinedError
        from jinja2.exceptions import SecurityError

        try:
            said = _environment().from_string(self._tables[language][table][key]).render(sample)
        except UndefinedError as error:
            raise ConfigError(f"{where}: {error}; known are {', '.join(PLACEHOLDERS)}") from None
        except (TemplateError, SecurityError, TypeError, ValueError, ArithmeticError) as error:
            raise ConfigError(f"{where}: {' '.join(str(error).split())}") from None
        if key == "subject" and "\n" in said.strip():
            raise ConfigError(f"{where}: a subject is one line")


def duration(language: str, lasted: timedelta) -> str:
    """A span of time in words, to the minute; at least one."""
    minutes = max(1, round(lasted.total_seconds() / 60))
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    units = ("ngày", "giờ", "phút") if language == "vi" else ("d", "h", "min")
    return " ".join(f"{count} {unit}" for count, unit in zip((days, hours, rest), units, strict=True) if count)


def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def _table(folder: str, language: str) -> dict[str, Any]:
    path = os.path.join(folder, f"{language}.toml")
    return _read(path if os.path.exists(path) else shipped("notices", f"{language}.toml"))


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            octets = file.read(_MAX_OCTETS + 1)
        if len(octets) > _MAX_OCTETS:
            raise ConfigError(f"{path}: is over {_MAX_OCTETS} octets")
        found = tomllib.loads(octets.decode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {' '.join(str(error).split())}") from error
    for table, keys in found.items():
        if not isinstance(keys, dict):
            raise ConfigError(f"{path}: {table} stands in no table")
    return found
