"""A history that only grows: what is changed by hand is found, what was torn by a crash was never promised."""

from __future__ import annotations

import json

import pytest

from storage.errors import Corrupt, Locked, NoSpace
from storage.history import History, read_history


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "history.jsonl")


def grown(path, count=5):
    history = History(path)
    for number in range(count):
        history.append({"event": "noted", "text": f"sự cố {number}"})
    history.close()


def test_what_was_appended_is_read_in_order_and_with_cat(path):
    grown(path)
    assert [entry["text"] for entry in read_history(path)] == [f"sự cố {n}" for n in range(5)]
    assert "sự cố 3" in open(path).read()


def test_several_at_once_and_a_second_opening_go_on_with_the_chain(path):
    grown(path, 2)
    history = History(path)
    history.append({"event": "a"}, {"event": "b"})
    history.close()
    assert [entry["event"] for entry in read_history(path)] == ["noted", "noted", "a", "b"]


def test_no_file_is_an_empty_history(path):
    assert read_history(path) == []


@pytest.mark.parametrize("line", [1, 2, 4])
def test_a_changed_line_is_found(path, line):
    grown(path)
    lines = open(path).read().splitlines(keepends=True)
    row = json.loads(lines[line - 1])
    row["text"] = "chưa từng có gì"
    lines[line - 1] = json.dumps(row, ensure_ascii=False, separators=(", ", ": ")) + "\n"
    open(path, "w").writelines(lines)
    with pytest.raises(Corrupt, match=f"line {line + 1} does not follow"):
        read_history(path)
    with pytest.raises(Corrupt):
        History(path)


def test_a_line_that_was_taken_out_or_put_in_is_found(path):
    grown(path)
    lines = open(path).read().splitlines(keepends=True)
    open(path, "w").writelines(lines[:1] + lines[2:])
    with pytest.raises(Corrupt, match="line 2 "):
        read_history(path)
    open(path, "w").writelines([*lines[:2], lines[1], *lines[2:]])
    with pytest.raises(Corrupt, match="line 3 "):
        read_history(path)


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_cut_and_the_rest_goes_on(path, cut):
    grown(path)
    octets = open(path, "rb").read()
    open(path, "wb").write(octets[:-cut])
    assert len(read_history(path)) == 4
    history = History(path)
    history.append({"event": "after"})
    history.close()
    assert [entry["event"] for entry in read_history(path)] == ["noted"] * 4 + ["after"]


def test_one_writer(path):
    first = History(path)
    with pytest.raises(Locked):
        History(path)
    first.close()
    History(path).close()


def test_a_full_disk_leaves_nothing_half(path, monkeypatch):
    import storage.history

    grown(path, 2)
    history = History(path)
    real = storage.history.write_all

    def full(fd, pieces):
        real(fd, [pieces[0][:20]])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.history, "write_all", full)
    with pytest.raises(NoSpace):
        history.append({"event": "lost"})
    monkeypatch.setattr(storage.history, "write_all", real)
    history.append({"event": "kept"})
    history.close()
    assert [entry["event"] for entry in read_history(path)] == ["noted", "noted", "kept"]


def test_the_chain_cannot_be_given_by_the_caller(path):
    history = History(path)
    with pytest.raises(ValueError):
        history.append({"n": 1})
    history.close()
