"""How commands and the office speak: one JSON line each way on a Unix socket in the run folder (mode 0700)."""

from __future__ import annotations

import json
from typing import Any

from bdmta.errors import BdmtaError, UsageError

MAX_LINE_OCTETS = 256 * 1024 * 1024  # an import of 20,000 rows is some megabytes


def request(call: str, arguments: dict[str, Any], actor: str, grounds: str = "") -> bytes:
    """A call as a line. `actor` and `grounds`: for the audit log."""
    asked = {"call": call, "arguments": arguments, "actor": actor, "grounds": grounds}
    return json.dumps(asked).encode() + b"\n"


def result(value: Any) -> bytes:
    """A result as a line."""
    return json.dumps({"result": value}).encode() + b"\n"


def failure(error: Exception) -> bytes:
    """An error as a line: its text and exit code travel, its traceback stays in the log."""
    code = error.exit_code if isinstance(error, BdmtaError) else 1
    text = (
        str(error) if isinstance(error, BdmtaError) else f"the office failed ({type(error).__name__}); its log has more"
    )
    return json.dumps({"error": text, "exit_code": code}).encode() + b"\n"


def unpack(line: bytes) -> Any:
    """The result in an answer, or the error it carries, raised again."""
    if not line.endswith(b"\n"):
        raise BdmtaError("the office hung up before it answered; see its log")
    answer = json.loads(line)
    if "error" in answer:
        raise (UsageError if answer.get("exit_code") == 2 else BdmtaError)(answer["error"])
    return answer["result"]
