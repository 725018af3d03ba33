"""What `scripts/soak` calls flat, and that it sees what grows; the curves of growth in words."""

from types import SimpleNamespace

import pytest

from bdmta.traffic.latency import Meter
from bench.bars import bar_chart
from bench.growth import times_a_decade
from bench.samples import Sample, Sampler, role
from bench.soak import _rows

MINUTE = [number * 5.0 for number in range(60)]


def grown(memory_mb=lambda at: 50.0, descriptors=lambda at: 100, threads=lambda at: 8, latency_s=lambda at: 0.02):
    """The names of the rows that are not flat."""
    sampler = Sampler(1)
    sampler.by_role["edge 0"] = [Sample(at, memory_mb(at), descriptors(at), threads(at), 1) for at in MINUTE]
    meter = Meter()
    for at in MINUTE:
        for _ in range(20):
            meter.add_letter(at, latency_s(at), 5.0)
    return {name for name, _, _, is_flat in _rows(sampler, SimpleNamespace(meter=meter)) if not is_flat}


def test_what_is_flat_is_called_so():
    assert grown() == set()
    assert grown(memory_mb=lambda at: 50 + at % 7, descriptors=lambda at: 100 + at % 10) == set()


def test_warming_up_is_no_growth():
    assert grown(memory_mb=lambda at: min(80, 20 + 2 * at), descriptors=lambda at: min(150, 50 + 3 * at)) == set()


@pytest.mark.parametrize(
    ("what", "grows", "name"),
    [
        ("memory_mb", lambda at: 50 + at / 20, "edge 0: anonymous memory, MB"),
        ("descriptors", lambda at: 100 + int(at / 10), "edge 0: descriptors"),
        ("threads", lambda at: 8 + int(at / 30), "edge 0: threads"),
    ],
)
def test_what_grows_is_named(what, grows, name):
    assert grown(**{what: grows}) == {name}


def test_answers_that_become_slow_are_named():
    assert grown(latency_s=lambda at: 0.02 + at / 2000) == {
        "answer to a letter, p50, ms", "answer to a letter, p99, ms",
    }  # fmt: skip


def test_a_process_of_another_program_has_its_name():
    import os

    assert role(os.getpid())


def test_times_a_decade():
    points = {
        "100": {"flat": [1.0], "linear": [1.0], "log": [2.0]},
        "10000": {"flat": [1.0], "linear": [100.0], "log": [4.0]},
    }
    assert [round(times_a_decade(points, what), 2) for what in ("flat", "linear", "log")] == [1.0, 10.0, 1.41]


def test_bars_are_drawn_with_their_numbers():
    drawn = bar_chart("Letters & more", ["4 KiB"], [("bdmta", [("1,100", 1100.0, [1000.0, 1200.0])])])
    assert "Letters &amp; more" in drawn
    assert "1,100" in drawn
