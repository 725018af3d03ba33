"""Fixtures shared by all tests."""

import os

import pytest
import structlog
from hypothesis import settings

from tests.site import SiteUnderTest

# In CI the same examples every time: a push is judged by what it changes. By hand they are new at every run.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("by-hand", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "by-hand")


@pytest.fixture(autouse=True)
def log_of_its_own():
    """What one test sets up of the log writes to a stderr that is closed when it ends."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """One served site for all tests that only talk to it."""
    running = SiteUnderTest(
        tmp_path_factory.mktemp("site"), {"limits": {"auth_backoff_s": "0"}, "dns": {"servers": "[]"}}
    )
    running.start()
    yield running
    assert running.stop() == 0, running.log()


@pytest.fixture
def own_site(tmp_path):
    """A factory of sites for tests that stop, break or change one; killed at the end whatever happens."""
    made = []

    def make(settings=None):
        made.append(SiteUnderTest(tmp_path, settings))
        return made[-1]

    yield make
    for one in made:
        one.kill()
