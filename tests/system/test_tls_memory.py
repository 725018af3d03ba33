"""Ended sessions over TLS leave nothing behind that only the garbage collector would find, late."""

import pytest

from bench.process import anonymous_octets, descendants
from bench.samples import role
from tests.site import SiteUnderTest
from tests.system.wire import Wire

SESSIONS = 200
BOUND_OCTETS = 3_000_000  # some 8 million when each waits for the collector


@pytest.fixture
def uncollected(tmp_path, monkeypatch):
    """A site whose processes collect no garbage."""
    (tmp_path / "sitecustomize.py").write_text("import gc\ngc.disable()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    site = SiteUnderTest(tmp_path / "site", {"dns": {"servers": "[]"}})
    site.start(workers=1)
    yield site
    assert site.stop() == 0, site.log()


def test_an_ended_session_keeps_no_tls(uncollected):
    (edge,) = [pid for pid in descendants(uncollected.server.pid) if role(pid).startswith("edge")]

    def held():
        return anonymous_octets(edge)  # others may be starting yet

    def sessions(count):
        for _ in range(count):
            with Wire(uncollected, "submissions") as wire:
                assert wire.ask("QUIT").code == 221

    sessions(20)
    before = held()
    sessions(SESSIONS)
    assert held() - before < BOUND_OCTETS
