"""A command of ours in a process of its own, which dies with the office."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from bdmta.errors import BdmtaError


async def run(config_path: str, words: Sequence[str]) -> str:
    """What `bdmta -c config_path WORDS` prints. BdmtaError with its last line on stderr when it fails.

    Cancelled, it ends the process and waits for it.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bdmta.office.errand", str(os.getpid()), "-c", config_path, *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        lines = err.decode("utf-8", "replace").strip().splitlines()
        said = lines[-1].removeprefix("bdmta: ") if lines else f"exit status {process.returncode}"
        raise BdmtaError(f"{' '.join(words)}: {said}")
    return out.decode("utf-8", "replace")


def main() -> None:
    """`python -m bdmta.office.errand PARENT_PID WORDS`: the command WORDS."""
    from bdmta.cli import main as command
    from bdmta.service import privileges

    privileges.die_with(int(sys.argv[1]))
    command(sys.argv[2:])


if __name__ == "__main__":
    main()
