"""Every wrong configuration and its one line. A new mistake gets a folder of its own: `bdmta.toml` and `expect.txt`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bdmta.cli import run
from bdmta.config import ConfigError, load

BAD = sorted(path.parent for path in Path(__file__).parent.glob("bad/*/bdmta.toml"))


def test_there_are_many() -> None:
    assert len(BAD) >= 20
    numbers = [folder.name.partition("-")[0] for folder in BAD]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("folder", BAD, ids=lambda folder: folder.name)
def test_a_bad_configuration_is_refused_in_one_line(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(str(folder / "bdmta.toml"))
    assert str(caught.value) == f"{folder}/{(folder / 'expect.txt').read_text().rstrip()}"
    assert "\n" not in str(caught.value)


def test_the_command_says_the_line_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    folder = BAD[0]
    assert run(["-c", str(folder / "bdmta.toml"), "check"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"bdmta: {folder}/{(folder / 'expect.txt').read_text()}")
