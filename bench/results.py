"""bench/RESULTS.md: one section for each kind of measurement, replaced when it is measured again.

What people write about a measurement stands at the end of its section under `### Remarks` and stays.
"""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys

from bench.extent import FOLDER, IS_QUICK

RESULTS = FOLDER / "RESULTS.md"
ORDER = (
    "smtp", "latency", "group", "memory", "send", "queue", "imap", "pop3", "idle", "soak", "policy", "mailauth", "charset",
    "outage", "backup", "directory", "address book", "growth",
)  # fmt: skip
"""Of the sections; others come last, as they came. Two of them, charset and directory, are written by hand."""
_REMARKS = "\n### Remarks\n"
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
    """Put the section in place of the one before, whose remarks stay. The file is the old one or the new one, whole.

    `command`: what measures it again, if not `scripts/bench SECTION`.
    """
    told = ", ".join([machine(), *map(version, peers)])
    given = (command or f"scripts/bench {section}") + (" --quick" if IS_QUICK else "")
    old = RESULTS.read_text() if RESULTS.exists() else ""
    FOLDER.mkdir(exist_ok=True)
    aside = RESULTS.with_suffix(".new")
    aside.write_text(replaced(old, section, f"_{told}; `{given}`._\n\n{text}"))
    aside.replace(RESULTS)


def replaced(old: str, section: str, text: str) -> str:
    """The whole file with `text` as that section, above what stands there from `### Remarks` on; all in ORDER."""
    parts = {part.split("\n", 1)[0]: part.rstrip() for part in f"\n{old}".split("\n## ")[1:]}
    _, mark, remarks = parts.get(section, "").partition(_REMARKS)
    parts[section] = f"{section}\n\n{text.rstrip()}" + (f"\n{mark}{remarks}" if mark else "")
    places = {name: place for place, name in enumerate(ORDER)}
    names = sorted(parts, key=lambda name: places.get(name, len(places)))
    return "# Measured\n" + "".join(f"\n## {parts[name]}\n" for name in names)
