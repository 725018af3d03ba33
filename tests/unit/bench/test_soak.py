"""What `scripts/soak` calls flat, and that it sees what grows; the curves of growth in words."""

import os
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from bdmta.traffic.latency import Meter
from bench.bars import bar_chart
from bench.flat import kept_at_the_end, rows_of
from bench.growth import times_a_decade
from bench.samples import Sample, Sampler, kept_open, role
from bench.soak import _PICTURE, _chart

MINUTE = [number * 5.0 for number in range(60)]


def grown(
    memory_mb=lambda at: 50.0, descriptors=lambda at: 100, threads=lambda at: 8, latency_s=lambda at: 0.02,
    role="edge 0", letters=0,
):  # fmt: skip
    """The names of the rows that are not flat."""
    by_role = {role: [Sample(at, memory_mb(at), descriptors(at), threads(at), 1) for at in MINUTE]}
    meter = Meter()
    for at in MINUTE:
        for _ in range(20):
            meter.add_letter(at, latency_s(at), 5.0)
    return {name for name, _, _, is_flat in rows_of(by_role, meter, letters) if not is_flat}


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


def test_letters_held_let_an_edge_grow_and_nothing_else():
    """Three letters a second in three mailboxes each, for 300 s: 2,700, of 1.1 KB."""

    def by_letters(at, leaked_kb=0.0):
        return 50 + at * 9 * (1.1 + leaked_kb) / 1000

    assert grown(memory_mb=by_letters, letters=2700) == set()
    assert grown(memory_mb=lambda at: 50 + at / 20, letters=2700) == {"edge 0: anonymous memory, MB"}
    assert grown(memory_mb=lambda at: 50 + at / 15, letters=2700, role="office") == {"office: anonymous memory, MB"}
    leaked = {leaked_kb: grown(memory_mb=lambda at: by_letters(at, leaked_kb), letters=2700) for leaked_kb in (1, 4)}  # noqa: B023
    assert leaked == {1: set(), 4: {"edge 0: anonymous memory, MB"}}  # 20 minutes find a quarter of that


def workers(mb_of_each):
    """Whether four workers, each of so much at a time, are flat."""
    samples = [Sample(at, sum(mb_of_each(at)), 16, 4, 4, 0, max(mb_of_each(at))) for at in MINUTE]
    meter = Meter()
    meter.add_letter(0.0, 0.02, 5.0)
    meter.add_letter(299.0, 0.02, 5.0)
    return {name for name, _, _, is_flat in rows_of({"worker": samples}, meter) if not is_flat}


def test_workers_that_were_idle_may_become_like_the_others():
    assert workers(lambda at: (32, 32, 23 if at < 150 else 32, 23 if at < 150 else 32)) == set()
    assert workers(lambda at: (23, 23, 23, 32 + at / 20)) == {"worker: anonymous memory of the largest of 4, MB"}


def test_answers_that_become_slow_are_named():
    assert grown(latency_s=lambda at: 0.02 + at / 2000) == {
        "answer to a letter, p50, ms", "answer to a letter, p99, ms",
    }  # fmt: skip


MAIL, INDEX = "/srv/site/mail/test.local", "/srv/site/index/test.local"


def kept_after(letters, leak_every=0, boxes=25):
    """An edge's descriptors after so many letters: caches that fill at the pace of the traffic, and perhaps a leak."""
    seen = min(letters, boxes)
    paths = ["socket:[1]", "/srv/site/log", "/dev/null"]
    paths += [f"{MAIL}/u{box}/new" for box in range(seen) for _ in range(3)]
    paths += [f"{INDEX}/u{box}.db{tail}" for box in range(seen) for tail in ("", "-wal", "-shm")]
    paths += [f"{MAIL}/u{letter % boxes}/new" for letter in range(letters) if leak_every and letter % leak_every == 0]
    return paths


def test_caches_that_fill_are_told_apart_from_what_is_judged():
    for letters in (1, 10, 25, 1000):
        paths = kept_after(letters)
        assert len(paths) - kept_open(paths) == 3
    assert kept_open(kept_after(1000)) == 25 * 6


@pytest.mark.parametrize("kind", ["a folder once more", "a letter", "a removed index", "a socket"])
def test_a_leak_of_descriptors_is_none_of_the_caches(kind):
    leaked = {
        "a folder once more": [f"{MAIL}/u1/new"],
        "a letter": [f"{MAIL}/u1/cur/1790000000.M1P1Q1.mx,S=1:2,S"],
        "a removed index": [f"{INDEX}/u1.db (deleted)"],
        "a socket": ["socket:[2]"],
    }[kind]
    full = kept_after(1000)
    assert len(full + leaked) - kept_open(full + leaked) == 4


def test_caches_beyond_their_limits_are_judged():
    paths = kept_after(10_000, boxes=1000)
    assert kept_open(paths) == 3 * 256 + 3 * 32


def series(leak_every, letters_a_second=6):
    """Samples of an edge whose caches are still filling within the judged time: one new mailbox in 10 s."""
    for at in MINUTE:
        paths = kept_after(int(at * letters_a_second), leak_every, boxes=int(at / 10) + 1)
        kept = kept_open(paths)
        yield Sample(at, 50.0, len(paths) - kept, 8, 1, kept)


def test_filling_caches_are_flat_and_a_leak_beside_them_is_found():
    def judged(leak_every):
        meter = Meter()
        meter.add_letter(0.0, 0.02, 5.0)
        meter.add_letter(299.0, 0.02, 5.0)
        return {name for name, _, _, is_flat in rows_of({"edge 0": list(series(leak_every))}, meter) if not is_flat}

    assert judged(leak_every=0) == set()
    assert judged(leak_every=50) == {"edge 0: descriptors"}


def test_what_caches_held_at_the_end_is_told():
    assert kept_at_the_end({"edge 0": list(series(0)), "office": [Sample(1.0, 1.0, 1, 1, 1)]}) == "edge 0 180"


def test_the_sampler_reads_what_is_open(tmp_path):
    folder = tmp_path / "mail" / "test.local" / "u1" / "new"
    folder.mkdir(parents=True)

    def taken():
        sampler = Sampler(os.getpid())
        sampler._start = 0.0
        sampler.take()
        return sampler.by_role[role(os.getpid())][0]  # children that earlier tests left have roles of their own

    before = taken()
    fds = [os.open(folder, os.O_RDONLY) for _ in range(5)]
    try:
        after = taken()
    finally:
        for fd in fds:
            os.close(fd)
    assert (after.kept - before.kept, after.descriptors - before.descriptors) == (3, 2)


def test_the_picture_has_memory_and_latency():
    sampler, meter = Sampler(1), Meter()
    sampler.by_role["edge 0"] = [Sample(at, 50.0, 100, 8, 1) for at in MINUTE]
    for at in MINUTE:
        meter.add_letter(at, 0.02 + at / 1000, 5.0)
    drawn = ElementTree.fromstring(_chart(sampler, SimpleNamespace(meter=meter)))
    assert [title.text for title in drawn.iter("{http://www.w3.org/2000/svg}title")] == [
        "Anonymous memory of each process", "Answer to a letter",
    ]  # fmt: skip
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"edge 0", "p50", "p99"} <= set(texts)
    assert [text for text in texts if text and text.startswith("scripts/soak, ")]


def test_the_picture_is_the_checkouts_wherever_it_is_called():
    assert _PICTURE.is_absolute() and _PICTURE.exists()


def test_a_process_of_another_program_has_its_name():
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
