from __future__ import annotations

import os
from pathlib import Path

from bdmta.testing.clock import FakeClock
from storage.maildir import create_mailbox
from storage.quota import Quota
from storage.verify import verify_mailbox


def test_each_kind_of_problem_is_found(tmp_path: Path) -> None:
    clock = FakeClock()
    box = tmp_path / "dian.vn" / "a"
    create_mailbox(str(box))
    good = "1.M1P1Q1.h,S=5,W=5"
    (box / "new" / good).write_bytes(b"12345")
    Quota(clock).usage(str(box))
    (box / "dovecot-uidlist").write_text(f"3 V1 N3 Gabc\n1 W5 :{good}\n2 :gone\n")
    assert verify_mailbox(str(box), clock) == []

    (box / "cur" / f"{good}:2,S").write_bytes(b"12345")
    (box / "new" / "2.M1P1Q1.h,S=9,W=9").write_bytes(b"partial")
    (box / "new" / "3.M1P1Q1.h").write_bytes(b"")
    (box / "new" / "what").write_bytes(b"x")
    (box / ".Sent" / "cur" / "dir").mkdir()
    (box / "tmp" / "old").write_bytes(b"")
    os.utime(box / "tmp" / "old", (0, 0))
    (box / "tmp" / "young").write_bytes(b"")
    os.utime(box / "tmp" / "young", (clock.time(), clock.time()))
    (box / ".&bad" / "cur").mkdir(parents=True)
    (box / "dovecot-uidlist").write_text("3 V1 N3\n2 :a\n1 :b\n3 :a\nrubbish\n")
    (box / ".Junk" / "dovecot-uidlist").write_text("1 1 1\n")
    found = sorted((p.kind, os.path.relpath(p.path, box)) for p in verify_mailbox(str(box), clock))
    assert found == [
        ("empty", "new/3.M1P1Q1.h"), ("folder-name", ".&bad"), ("leftover", "tmp/old"), ("missing", ".&bad/new"),
        ("name", "new/what"), ("not-a-file", ".Sent/cur/dir"), ("quota", "maildirsize"),
        ("size", "new/2.M1P1Q1.h,S=9,W=9"), ("twice", f"cur/{good}:2,S"), ("uidlist", ".Junk/dovecot-uidlist"),
        ("uidlist", "dovecot-uidlist"), ("uidlist", "dovecot-uidlist"), ("uidlist", "dovecot-uidlist"),
    ]  # fmt: skip
