"""A4 pages for people: typst templates of `conf/templates/`, filled with data that can never become markup.

A template begins with `#let data = json(bytes(sys.inputs.data))` and shows what it finds there; a text in it stays a
text whatever characters it holds. Fonts are those that typst brings along (Libertinus Serif, DejaVu Sans Mono; both
have every Vietnamese letter), so that each machine prints the same page, and the same data give the same octets.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

TIMEOUT_S = 120.0
"""Longest time for one file; a thousand pages take a few seconds."""

DATA_OCTETS = 64 << 20
"""Most data for one file."""

_MEMORY_OCTETS = 4 << 30
_PR_SET_PDEATHSIG = 1
_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000


class PrintingError(Exception):
    """No PDF came out; the text says why, in one line."""


def pdf(
    template_path: str, data: Mapping[str, Any], *, made_at: datetime | None = None, timeout_s: float = TIMEOUT_S
) -> bytes:
    """The PDF of a typst template (`shipped("templates", "x.typ")`) filled with `data`, which JSON must be able to say.

    `made_at` is the date in the file's metadata (1970 if None). Runs in a process of its own without network, bounded
    in time and memory, which reads no file outside of the template's folder; takes 0.2 s for a page, off no loop:
    call it by `asyncio.to_thread` where a loop waits. Raises PrintingError.
    """
    stamp = int((made_at or datetime.fromtimestamp(0, UTC)).timestamp())
    order = json.dumps([os.path.abspath(template_path), json.dumps(data, ensure_ascii=False), stamp]).encode()
    if len(order) > DATA_OCTETS:
        raise PrintingError(f"more than {DATA_OCTETS >> 20} MiB of data for one PDF; print in smaller batches")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bdmta.printing", str(os.getpid())], input=order, capture_output=True,
            timeout=timeout_s, env={"PYTHONPATH": path, "LANG": "C.UTF-8"}, cwd="/", check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise PrintingError(f"{os.path.basename(template_path)} was not printed within {timeout_s:g} s") from None
    if done.returncode != 0 or not done.stdout.startswith(b"%PDF-"):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise PrintingError(f"{os.path.basename(template_path)}: {said[-1] if said else 'typst ended without a word'}")
    return done.stdout


def qr_svg(text: str) -> str:
    """A QR code as SVG, for `image(bytes(data.qr), format: "svg")`. Raises PrintingError when `text` is too long."""
    import segno

    written = io.BytesIO()
    try:
        segno.make(text, error="m", micro=False).save(written, kind="svg", border=2)
    except segno.DataOverflowError:
        raise PrintingError("the text is too long for a QR code") from None
    return written.getvalue().decode()


def _confine(parent_pid: int) -> None:
    """No network, a bound on memory, and an end with the parent. Threads stay: typst's fonts load in parallel."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(0)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # without privileges; if not, no shipped template asks the net
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_OCTETS, _MEMORY_OCTETS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _print(order: bytes) -> bytes:
    import typst

    template_path, data, stamp = json.loads(order)
    made: bytes = typst.compile(
        template_path, root=os.path.dirname(template_path), format="pdf", ignore_system_fonts=True,
        sys_inputs={"data": data}, timestamp=stamp,
    )  # fmt: skip
    return made


def _main() -> int:
    _confine(int(sys.argv[1]))
    order = sys.stdin.buffer.read()
    try:
        made = _print(order)
    except Exception as error:
        sys.stderr.write(" ".join(str(error).split())[:500] + "\n")
        return 1
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
