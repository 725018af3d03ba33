"""Once a day the audit log is verified and its head written down."""

import asyncio
from types import SimpleNamespace

import pytest

from bdmta.office.duties import prove_audit


class Desk:
    def __init__(self, anchor):
        self.site = SimpleNamespace(config=SimpleNamespace(audit=SimpleNamespace(anchor_file=anchor)))
        self.asked = []
        self.broken = False

    async def errand(self, *words):
        self.asked.append(words)
        if self.broken and words[1] == "verify":
            raise RuntimeError("the audit log is broken at line 4")


def test_it_is_verified_first_and_a_broken_one_gets_no_new_head(tmp_path):
    anchor = str(tmp_path / "heads")
    desk = Desk(anchor)
    asyncio.run(prove_audit(desk))
    assert desk.asked == [("audit", "verify"), ("audit", "head", "--out", anchor)]
    (tmp_path / "heads").write_text("")
    desk.asked.clear()
    asyncio.run(prove_audit(desk))
    assert desk.asked[0] == ("audit", "verify", "--anchor", anchor)
    desk.asked.clear()
    desk.broken = True
    with pytest.raises(RuntimeError, match="line 4"):
        asyncio.run(prove_audit(desk))
    assert len(desk.asked) == 1
