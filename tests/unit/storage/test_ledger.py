"""The ledger: each fact once, whatever falls between; nothing torn; found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.testing.clock import FakeClock
from storage.errors import Locked
from storage.facts import FactWriter
from storage.ledger import Ledger


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    (tmp_path / "facts").mkdir()
    return tmp_path / "facts"


@pytest.fixture
def ledger(tmp_path: Path):
    opened = Ledger.open(str(tmp_path / "ledger.db"))
    yield opened
    opened.close()


def fact(number: int, **more) -> dict:
    return {
        "event": "accepted",
        "reference": f"r{number}",
        "message_id": f"<{number}@x.vn>",
        "at": float(number),
        **more,
    }


def test_import_takes_each_fact_once_and_leaves_the_growing_file(facts: Path, ledger: Ledger):
    writer = FactWriter(str(facts), FakeClock(), "edge-0")
    writer.write([fact(1), fact(2)])
    assert ledger.import_files(str(facts)).facts == 2
    assert ledger.import_files(str(facts)).facts == 0
    writer.write([fact(3)])
    done = ledger.import_files(str(facts))
    assert (done.facts, done.files) == (1, 0)
    writer.close()
    done = ledger.import_files(str(facts))
    assert (done.facts, done.files) == (0, 1)
    assert list(facts.iterdir()) == []
    assert ledger.count() == 3


def test_a_line_still_being_written_waits(facts: Path, ledger: Ledger):
    writer = FactWriter(str(facts), FakeClock(), "e")
    writer.write([fact(1)])
    (path,) = facts.iterdir()
    with path.open("ab") as file:
        file.write(b'{"at": 2.0, "eve')
    assert ledger.import_files(str(facts)).facts == 1
    assert ledger.import_files(str(facts)).damaged == 0
    with path.open("ab") as file:
        file.write(b'nt": "x"}\n')
    assert ledger.import_files(str(facts)).facts == 1


@pytest.mark.parametrize(
    "torn", [b'{"at": 2.0, "ev', b"\xff\xfe\0", b"[1,2]", b'{"at": "x", "event": "y"}', b'{"at": 1}']
)
def test_a_torn_last_line_is_passed_over_and_told(facts: Path, ledger: Ledger, torn: bytes):
    writer = FactWriter(str(facts), FakeClock(), "e")
    writer.write([fact(1)])
    (path,) = facts.iterdir()
    with path.open("ab") as file:
        file.write(torn)
    writer.close()
    done = ledger.import_files(str(facts))
    assert (done.facts, done.damaged, done.files) == (1, 1, 1)


def test_a_killed_writer_loses_nothing_it_had_written(facts: Path, ledger: Ledger):
    code = (
        "import sys; from storage.facts import FactWriter; from bdmta.clock import SystemClock\n"
        "w = FactWriter(sys.argv[1], SystemClock(), 'edge')\n"
        "n = 0\n"
        "while True:\n"
        "    w.write([{'event': 'x', 'reference': str(n)}]); print(n, flush=True); n += 1\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(facts)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")
    told += [int(line) for line in rest[:-1]]
    done = ledger.import_files(str(facts))
    assert done.files == 1
    assert done.facts >= len(told)
    assert all(ledger.trace(str(number)) for number in told[-3:])


def test_a_crash_before_the_commit_imports_again_not_twice(
    facts: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    writer = FactWriter(str(facts), FakeClock(), "e")
    writer.write([fact(n) for n in range(10)])
    writer.close()
    unlink = os.unlink

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("storage.ledger._insert", stop)
    with pytest.raises(KeyboardInterrupt):
        ledger.import_files(str(facts))
    assert ledger.count() == 0
    monkeypatch.undo()
    monkeypatch.setattr("storage.ledger.os.unlink", stop)  # now after the commit, before the file is gone
    with pytest.raises(KeyboardInterrupt):
        ledger.import_files(str(facts))
    monkeypatch.setattr("storage.ledger.os.unlink", unlink)
    assert ledger.import_files(str(facts)).facts == 0
    assert ledger.count() == 10


@settings(max_examples=25, deadline=None)
@given(
    batches=st.lists(st.integers(1, 8), max_size=10),
    imports=st.sets(st.integers(0, 9)),
    rotate=st.sampled_from([200, 100_000]),
    block=st.sampled_from([150, 4096]),
)
def test_exactly_once_for_any_interleaving(tmp_path_factory, batches, imports, rotate, block):
    folder = tmp_path_factory.mktemp("l")
    ledger = Ledger.open(str(folder / "ledger.db"))
    writer = FactWriter(str(folder), FakeClock(), "e", rotate_octets=rotate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.ledger._BLOCK_OCTETS", block)
        number = 0
        for step, size in enumerate(batches):
            writer.write([fact(number + n) for n in range(size)])
            number += size
            if step in imports:
                ledger.import_files(str(folder))
        writer.close()
        ledger.import_files(str(folder))
    assert ledger.count() == number
    assert len(ledger.trace("r0")) == (1 if number else 0)
    assert not list(folder.glob("*.jsonl"))
    ledger.close()


def test_trace_by_message_id_address_and_reference(facts: Path, ledger: Ledger):
    FactWriter(str(facts), FakeClock(), "e").write(
        [
            fact(1, sender="Lan@Ngoai.vn", recipient="minhnv@bd.vn,antv@bd.vn"),
            fact(1, event="delivered", recipient="minhnv@bd.vn", detail={"folder": "INBOX"}),
            {"at": 2.0, "event": "queued", "reference": "r1", "recipient": "x@else.vn"},
            fact(2, recipient="minhnv@bd.vn"),
        ]
    )
    ledger.import_files(str(facts))
    assert [f["event"] for f in ledger.trace("1@x.vn")] == ["accepted", "delivered", "queued"]
    assert ledger.trace("<1@x.vn>") == ledger.trace("r1")
    assert [f["reference"] for f in ledger.trace("MinhNV@bd.vn")] == ["r1", "r1", "r2"]
    assert len(ledger.trace("lan@ngoai.VN")) == 1
    assert len(ledger.trace("antv@bd.vn")) == 1
    assert ledger.trace("minhnv@bd.vn", limit_count=1)[0]["reference"] == "r2"
    assert ledger.trace("") == ledger.trace("' OR 1=1 --") == []


def test_retention(facts: Path, ledger: Ledger):
    FactWriter(str(facts), FakeClock(), "e").write([fact(n, recipient="a@b.vn") for n in range(10)])
    ledger.import_files(str(facts))
    assert ledger.forget_before(5.0) == 5
    assert [f["at"] for f in ledger.trace("a@b.vn")] == [5.0, 6.0, 7.0, 8.0, 9.0]


def test_one_writer(ledger: Ledger, tmp_path: Path):
    with pytest.raises(Locked):
        Ledger.open(str(tmp_path / "ledger.db"))
