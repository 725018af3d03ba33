"""Files of logins for other systems: a line has host, user and password; nobody else may read them."""

from __future__ import annotations

import os
from typing import NamedTuple

from bdmta.errors import ConfigError


class Login(NamedTuple):
    """Name and password for another system."""

    user: str
    password: str


def read_credentials(path: str, table: str) -> dict[str, Login]:
    """The logins by host of `[table] credentials`; "" has none. Raises ConfigError: the file is missing, readable by
    others, or has a line of other form.
    """
    if not path:
        return {}
    try:
        if os.stat(path).st_mode & 0o077:
            raise ConfigError(f"{path}: others may read the passwords in it; chmod 600 {path}")
        with open(path, encoding="utf-8") as file:
            lines = [line.split(None, 2) for line in file if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the logins of [{table}] cannot be read ({error})") from error
    if any(len(words) != 3 for words in lines):
        raise ConfigError(f"{path}: a line has host, user and password, with blanks between")
    return {host.lower(): Login(user, password.rstrip("\n")) for host, user, password in lines}
