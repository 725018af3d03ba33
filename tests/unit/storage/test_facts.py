"""Fact files: one write a batch, rotation, torn lines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bdmta.testing.clock import FakeClock
from storage.facts import LINE_OCTETS_MAX, FactWriter


def lines(folder: Path) -> list[dict]:
    return [
        json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines() if line
    ]


def test_a_batch_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sizes = []
    real = os.write
    monkeypatch.setattr("storage.facts.os.write", lambda fd, data: sizes.append(len(data)) or real(fd, data))
    writer = FactWriter(str(tmp_path), FakeClock(), "edge-0")
    writer.write([{"event": "accepted", "recipient": "a@b.vn"}, {"event": "delivered", "at": 5.0}])
    assert len(sizes) == 1
    first, second = lines(tmp_path)
    assert (first["event"], first["at"]) == ("accepted", FakeClock().time())
    assert second == {"at": 5.0, "event": "delivered"}


def test_unknown_fields_never_reach_the_file(tmp_path: Path):
    FactWriter(str(tmp_path), FakeClock(), "e").write([{"event": "accepted", "subject": "mật", "content": "x"}])
    assert set(lines(tmp_path)[0]) == {"event", "at"}


def test_long_values_are_cut_and_a_long_detail_is_left_out(tmp_path: Path):
    writer = FactWriter(str(tmp_path), FakeClock(), "e")
    writer.write([{"event": "x", "sender": "s" * 100_000, "detail": {"findings": ["y" * 100] * 1000}}])
    (path,) = tmp_path.glob("*.jsonl")
    assert path.stat().st_size <= LINE_OCTETS_MAX
    assert lines(tmp_path)[0]["detail"] == {"cut": True}


def test_rotation_by_size(tmp_path: Path):
    writer = FactWriter(str(tmp_path), FakeClock(), "e", rotate_octets=1000)
    for number in range(40):
        writer.write([{"event": "x", "reference": str(number), "sender": "s" * 50}])
    assert len(list(tmp_path.glob("*.jsonl"))) > 3
    assert sorted(int(fact["reference"]) for fact in lines(tmp_path)) == list(range(40))


def test_after_a_failed_write_the_next_line_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writer = FactWriter(str(tmp_path), FakeClock(), "e")
    writer.write([{"event": "first"}])
    real = os.write

    def full(fd: int, data: bytes) -> int:
        real(fd, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("storage.facts.os.write", full)
    with pytest.raises(OSError, match="space"):
        writer.write([{"event": "torn"}])
    monkeypatch.setattr("storage.facts.os.write", real)
    writer.write([{"event": "after"}])
    (path,) = tmp_path.glob("*.jsonl")
    whole = path.read_bytes().split(b"\n")
    assert json.loads(whole[0])["event"] == "first"
    assert json.loads(whole[2])["event"] == "after"


def test_two_writers_of_one_name_do_not_share_a_file(tmp_path: Path):
    clock = FakeClock()
    for name in ("a", "b"):
        FactWriter(str(tmp_path), clock, "edge/../0").write([{"event": name}])
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
