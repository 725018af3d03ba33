"""Every row of the shared corpus comes out as its manifest states, with both policies on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bdmta.policy import Reject
from bdmta.testing.policy import PolicyContext

CORPUS = Path(__file__).parents[3] / "../shared/corpus/mail-attachments"
ROWS = json.loads((CORPUS / "manifest.json").read_text())["messages"] if CORPUS.is_dir() else []


@pytest.mark.skipif(not ROWS, reason="the shared corpus does not lie beside this clone")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_row(row: dict[str, Any]) -> None:
    octets = (CORPUS / row["file"]).read_bytes()
    expected = row["expected"]
    attachments = PolicyContext("policies.attachments")
    for sets, wanted in (
        (("qd20-2008", "extended"), expected.get("verdict_if_extended", expected["verdict"])),
        (("qd20-2008",), expected["verdict"]),
    ):
        formats = PolicyContext("policies.formats", sets=sets)
        verdicts = [asyncio.run(context.data(octets)) for context in (attachments, formats)]
        refused = any(isinstance(verdict, Reject) for verdict in verdicts)
        assert ("reject" if refused else "accept") == wanted
        codes = {finding.code for verdict in verdicts for finding in verdict.findings}
        assert codes >= set(expected.get("warnings", ()))
