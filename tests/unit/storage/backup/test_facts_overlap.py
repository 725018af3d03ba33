"""Facts and ledger in one backup: whatever the office imports meanwhile, after a restore each fact is there once.

The fact files are read before the ledger is copied. Between any two of these steps edges write on and the office
imports: here at random, through the very code.
"""

import os
import random
import sqlite3
from collections import Counter

import pytest

from storage.backup import site_read
from storage.backup.objects import Objects
from storage.backup.place import Placer
from storage.backup.site_read import SiteReader, Source
from storage.clock import SystemClock
from storage.facts import FactWriter
from storage.ledger import Ledger


class Life:
    """Two edges that write facts, and the office that imports them, a step at a time."""

    def __init__(self, folder, seed):
        self.facts, self.path = f"{folder}/data/facts", f"{folder}/data/db/ledger.sqlite"
        os.makedirs(self.facts)
        os.makedirs(os.path.dirname(self.path))
        self.random = random.Random(seed)
        self.ledger = Ledger.open(self.path)
        self.writers = [FactWriter(self.facts, SystemClock(), f"edge{n}", rotate_octets=400) for n in range(2)]
        self.count = 0

    def go_on(self):
        for _ in range(self.random.randrange(4)):
            what = self.random.random()
            if what < 0.6:
                facts = [
                    {"event": "accepted", "reference": str(self.count + n)} for n in range(self.random.randint(1, 5))
                ]
                self.count += len(facts)
                self.random.choice(self.writers).write(facts)
            elif what < 0.7:
                self.random.choice(self.writers).close()
            else:
                self.ledger.import_files(self.facts)


def references(path):
    with sqlite3.connect(path) as database:
        return Counter(int(row[0]) for row in database.execute("SELECT reference FROM facts"))


@pytest.mark.parametrize("seed", range(40))
def test_each_fact_is_there_once_after_a_restore(tmp_path, monkeypatch, seed):
    life = Life(tmp_path, seed)
    for _ in range(10):
        life.go_on()

    class InALiveSite(SiteReader):
        def _facts(self):
            rows = super()._facts()
            life.go_on()
            return rows

        def _file(self, path, name):
            life.go_on()
            return super()._file(path, name)

    asked = site_read._has_facts
    monkeypatch.setattr(site_read, "_has_facts", lambda *arguments: (life.go_on(), asked(*arguments))[1])
    objects = Objects(str(tmp_path / "repository"))
    objects.create()
    source = Source(
        mail_root=str(tmp_path / "mail"), trees={"data": str(tmp_path / "data")}, databases=(life.path,),
        facts_dir=life.facts, ledger=life.path, left_out=frozenset((life.facts,)),
    )  # fmt: skip
    promised = life.count
    rows = InALiveSite(source, objects).read_rest()
    placer = Placer(objects)
    for row in rows:
        placer.file(row, str(tmp_path / "restored" / row.path))
    for kept in (life.path, *(f"{tmp_path}/restored/{row.path}" for row in rows if "facts" in row.path)):
        assert os.path.exists(kept)
    restored = str(tmp_path / "restored/data/db/ledger.sqlite")
    ledger = Ledger.open(restored)
    os.makedirs(tmp_path / "restored/data/facts", exist_ok=True)
    for _ in range(2):  # also when it is asked twice
        ledger.import_files(str(tmp_path / "restored/data/facts"))
    ledger.close()
    found = references(restored)
    assert set(found.values()) <= {1}, f"twice: {[n for n, times in found.items() if times > 1]}"
    assert not set(range(promised)) - set(found), "facts of before the backup are missing"
