"""A server whose machine lost its power: the next start brings back what the file system had not written."""

import json
import os
import re
import resource
import struct
import subprocess
import sys
import zlib

import pytest

from storage.journal_replay import waiting
from tests.system.wire import Wire, here, letter


def other_boot(path):
    """The segment as one of an earlier boot."""
    head = struct.Struct("<16sQ36s")
    with open(path, "r+b") as file:
        magic, epoch, _ = head.unpack(file.read(head.size))
        octets = head.pack(magic, epoch, b"an-earlier-one".ljust(36, b"0"))
        file.seek(0)
        file.write(octets + struct.pack("<I", zlib.crc32(octets)))


def command(site, *words):
    return subprocess.run(
        [sys.executable, "-m", "bdmta", "-c", str(site.folder / "bdmta.toml"), *words], capture_output=True, text=True
    )


def test_letters_come_back_after_a_loss_of_power(own_site):
    site = own_site({"dns": {"servers": "[]"}})
    site.start(workers=2)
    with Wire(site) as wire:
        for number in range(6):
            assert wire.deliver(letter(f"number {number}\r\n"), here("minhnv"), here("khaintm")).code == 250
    new = {name: site.mailbox(name) / "new" for name in ("minhnv", "khaintm")}
    whole = {path.name: path.read_bytes() for path in new["minhnv"].iterdir() if b"\r\nnumber " in path.read_bytes()}
    assert len(whole) == 6
    site.kill()
    found = list(waiting(str(site.folder / "journal")))
    assert sum(segment.records for segment in found) == 6
    for segment in found:
        other_boot(segment.path)
    first, second, third, *_ = sorted(whole)
    os.truncate(new["minhnv"] / first, 0)  # the inode of both
    (new["minhnv"] / second).unlink()
    (new["khaintm"] / second).unlink()
    (new["khaintm"] / third).rename(site.mailbox("khaintm") / "cur" / f"{third}:2,S")
    told = command(site, "verify-store").stdout
    assert sum(map(int, re.findall(r"(\d+)\s+letters\s+await\s+the\s+replay", told))) == 6

    site.start(workers=2)
    assert "journal replayed" in site.log()
    assert list(waiting(str(site.folder / "journal"))) == []
    assert {n: (new["minhnv"] / n).read_bytes() for n in whole} == whole
    assert {n: (new["khaintm"] / n).read_bytes() for n in whole if n != third} == {
        n: octets for n, octets in whole.items() if n != third
    }
    assert not (new["khaintm"] / third).exists()
    with Wire(site) as wire:
        assert wire.deliver(letter(), here("minhnv")).code == 250
    assert site.stop() == 0
    assert list(waiting(str(site.folder / "journal"))) == []  # a clean stop leaves none


def cut_power(site):
    """Six letters that were acknowledged, of which the file system has kept none; the server is gone."""
    site.start(workers=0)
    with Wire(site) as wire:
        for number in range(6):
            assert wire.deliver(letter(f"number {number}\r\n"), here("minhnv")).code == 250
    site.kill()
    for segment in list(waiting(str(site.folder / "journal"))):
        other_boot(segment.path)
    for path in (site.mailbox("minhnv") / "new").iterdir():
        path.unlink()


def numbers(site):
    return sorted(int(n) for one in site.letters("minhnv") for n in re.findall(rb"\r\nnumber (\d)", one))


@pytest.mark.parametrize("words", [
    ("mailbox", "suspend", "khaintm@binhduong.gov.vn"), ("backup", "run"), ("verify-store", "--repair"),
    ("backup", "restore", "--mailbox", "khaintm@binhduong.gov.vn"),
])  # fmt: skip
def test_commands_bring_letters_back_before_they_do_anything(own_site, words):
    site = own_site({"dns": {"servers": "[]"}, "backup": {"schedule": '""'}})
    site.run("backup", "run")
    cut_power(site)
    assert numbers(site) == []
    assert json.loads(command(site, "status", "--json").stdout)["journal"]["letters_to_replay"] == 6
    assert "6 letters await the replay" in command(site, "status").stdout
    done = command(site, *words)
    assert numbers(site) == list(range(6)), done.stderr
    assert done.returncode == 0 and "journal replayed" in done.stderr
    assert json.loads(command(site, "status", "--json").stdout)["journal"]["letters_to_replay"] == 0
    if words == ("backup", "run"):
        assert json.loads(command(site, "backup", "list", "--json").stdout)[-1]["letters"] == 6


def test_a_journal_that_was_given_up_is_in_status_and_metrics(own_site):
    """The journal's disk takes no more: a limit on the size of files, which Python answers with EFBIG."""
    site = own_site({"dns": {"servers": "[]"}})
    site.start(workers=0)
    limits = resource.prlimit(site.server.pid, resource.RLIMIT_FSIZE)
    with Wire(site) as wire:
        assert wire.deliver(letter("one\r\n"), here("minhnv")).code == 250
        assert json.loads(command(site, "status", "--json").stdout)["journal"]["given_up"] == []
        resource.prlimit(site.server.pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
        wire.deliver(letter("two\r\n"), here("minhnv"))
        site.wait_for(lambda: list((site.folder / "state").glob("journal-trouble-*")))
        resource.prlimit(site.server.pid, resource.RLIMIT_FSIZE, limits)
        assert wire.deliver(letter("three\r\n"), here("minhnv")).code == 250
    (trouble, *_) = json.loads(command(site, "status", "--json").stdout)["journal"]["given_up"]
    assert "failed" in trouble["why"] and trouble["at"]
    assert "alarm: journal" in command(site, "status").stdout
    assert "bdmta_journal_given_up 1.0" in site.metrics()
    assert site.stop() == 0
    site.start(workers=0)
    assert json.loads(command(site, "status", "--json").stdout)["journal"]["given_up"] == []
    assert "bdmta_journal_given_up 0.0" in site.metrics()
