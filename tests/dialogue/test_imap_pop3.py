"""Every transcript in imap/ and pop3/, each against listeners and a mailbox of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialogue.imap.harness import MailServer
from tests.dialogue.imap.transcript import Transcript

HERE = Path(__file__).parent
FILES = sorted([*HERE.glob("imap/*.txt"), *HERE.glob("pop3/*.txt")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_transcript(path: Path, tmp_path: Path) -> None:
    transcript = Transcript(path)
    settings = {k: float(v) for k, v in (pair.split("=") for pair in transcript.setting("settings").split())}
    with MailServer(tmp_path, plaintext=transcript.setting("plaintext", "yes") == "yes", settings=settings) as server:
        transcript.play(server)
        errors = list(server.errors)
    assert not errors, errors
