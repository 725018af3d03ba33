"""A server whose machine lost its power: the next start brings back what the file system had not written."""

import os
import re
import struct
import subprocess
import sys
import zlib

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
