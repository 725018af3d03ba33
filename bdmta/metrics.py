"""Figures for Prometheus: files in `metrics/` of the data folder, for its textfile collector, and the page `/metrics`.

No figure has the name of a person or of a letter in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from bdmta.site import Site

_SUFFIX = ".prom"
_FILE_MAX_OCTETS = 1 << 20


def write_figures(site: Site, name: str, figures: Mapping[str, tuple[str, float]]) -> str:
    """Replace `metrics/<name>.prom` by these gauges (name: sentence, value); its path. Raises OSError."""
    from prometheus_client import CollectorRegistry, Gauge  # 0.1 s, which few commands need

    registry = CollectorRegistry()
    for gauge, (sentence, value) in figures.items():
        Gauge(gauge, sentence, registry=registry).set(value)
    return write_registry(site, name, registry)


def write_registry(site: Site, name: str, registry: Any) -> str:
    """Replace `metrics/<name>.prom` by what a `CollectorRegistry` has; its path. Raises OSError."""
    from prometheus_client import write_to_textfile

    folder = _folder(site)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    path = os.path.join(folder, name + _SUFFIX)
    write_to_textfile(path, registry)
    return path


def read_figures(site: Site) -> bytes:
    """All of them, as Prometheus reads them. Blocks."""
    found = []
    try:
        names = sorted(name for name in os.listdir(_folder(site)) if name.endswith(_SUFFIX))
    except FileNotFoundError:
        names = []
    for name in names:
        try:
            with open(os.path.join(_folder(site), name), "rb") as file:
                found.append(file.read(_FILE_MAX_OCTETS))
        except OSError:
            continue
    return b"".join(found)


def _folder(site: Site) -> str:
    return os.path.join(site.data_dir, "metrics")
