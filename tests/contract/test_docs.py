"""What the documents say is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from bdmta.config import parse
from bdmta.config.manual import with_manual

PROJECT = Path(__file__).parents[2]
DOCUMENTS = sorted([PROJECT / "README.md", PROJECT / "CHANGES.md", *(PROJECT / "docs").glob("*.md")])


def test_the_chapter_of_settings_is_written_from_the_schema() -> None:
    page = (PROJECT / "docs/operators.md").read_text()
    assert page == with_manual(page), "run: python -m bdmta.config.manual"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (document.parent / target).exists(), target
    for script in re.findall(r"(?<![\w/])scripts/[a-z-]+", text):
        assert (PROJECT / script).exists(), script
    for path in re.findall(r"`((?:conf|docs|tests)/[\w./-]+\.\w+)`", text):
        assert (PROJECT / path).exists(), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_toml_in_the_documents_is_a_configuration(document: Path) -> None:
    for block in re.findall(r"(?s)```toml\n(.*?)```", document.read_text()):
        data = tomllib.loads(block)
        if "policy" not in data:
            parse(data, folder="/site")


def test_the_unit_lets_the_server_write_where_the_guide_puts_its_data() -> None:
    unit = (PROJECT / "conf/systemd/bdmta.service").read_text()
    writable = re.search(r"(?m)^ReadWritePaths=(.*)$", unit)
    guide = (PROJECT / "docs/operators.md").read_text()
    assert writable
    assert f'data_dir = "{writable[1]}"' in guide
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "SystemCallFilter=@system-service"):
        assert line in unit
    seconds = re.search(r"(?m)^TimeoutStopSec=(\d+)$", unit)
    assert seconds
    assert int(seconds[1]) > parse({}, folder="/site").server.grace_s
