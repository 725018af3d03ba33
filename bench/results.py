"""bench/RESULTS.md: one section for each kind of measurement, replaced when it is measured again."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys

from bench.extent import FOLDER, IS_QUICK

RESULTS = FOLDER / "RESULTS.md"
_VERSIONS = {
    "Postfix": ["postconf", "-dh", "mail_version"], "Dovecot": ["dovecot", "--version"],
    "opendkim": ["opendkim", "-V"],
}  # fmt: skip


def machine() -> str:
    """Date, cores, memory, kernel, Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{datetime.date.today()}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {sys.version.split()[0]}"
    )


def version(peer: str) -> str:
    """`Postfix 3.7.11`; the bare name where it is not installed."""
    try:
        told = subprocess.run(_VERSIONS[peer], capture_output=True, text=True).stdout
    except FileNotFoundError:
        return peer
    found = told.split("\n")[0].split(" (")[0].strip()
    return found if found.lower().startswith(peer.lower()) else f"{peer} {found}"


def write(section: str, text: str, *peers: str, command: str = "") -> None:
    """Put the section in place of the one before. `command`: what measures it again, if not `scripts/bench SECTION`."""
    told = ", ".join([machine(), *map(version, peers)])
    old = RESULTS.read_text() if RESULTS.exists() else "# Measured\n"
    parts = {part.split("\n", 1)[0]: part for part in old.split("\n## ")[1:]}
    given = (command or f"scripts/bench {section}") + (" --quick" if IS_QUICK else "")
    parts[section] = f"{section}\n\n_{told}; `{given}`._\n\n{text}\n"
    FOLDER.mkdir(exist_ok=True)
    RESULTS.write_text("# Measured\n" + "".join(f"\n## {part.rstrip()}\n" for part in parts.values()))
