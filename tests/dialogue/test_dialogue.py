"""Every dialogue file below this folder, played against the real server."""

from pathlib import Path

import pytest

from bdmta.testing.dialogue import Dialogue
from tests.site import PASSWORDS

FILES = sorted(Path(__file__).parent.glob("smtp/*.txt"))
VALUES = PASSWORDS | {f"line{length}": "x" * length for length in (3000, 60000, 70000)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_dialogue(site, path):
    dialogue = Dialogue(path, VALUES)
    dialogue.play("127.0.0.1", site.port(dialogue.listener), site.tls())
