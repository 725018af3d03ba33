"""The files of `conf/`, beside the packages in a checkout and inside `bdmta` once installed."""

from __future__ import annotations

import os

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def shipped(*parts: str) -> str:
    """The path of `conf/<parts>`; raises FileNotFoundError when it did not come along."""
    for folder in (os.path.join(_PACKAGE, "conf"), os.path.join(os.path.dirname(_PACKAGE), "conf")):
        path = os.path.join(folder, *parts)
        if os.path.exists(path):
            return path
    raise FileNotFoundError(f"conf/{'/'.join(parts)} did not come with this installation")
