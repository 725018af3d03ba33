"""Mailboxes on the shared site; a site of two edges with narrow limits."""

import itertools

import pytest

from tests.site import SiteUnderTest
from tests.system.wire import here, office

MANY = 1000
_numbers = itertools.count()


def add_mailboxes(site, locals_):
    """Many mailboxes in one call."""
    rows = [{"line": line, "address": here(local), "name": local.title()} for line, local in enumerate(locals_, 1)]
    assert office(site, "import_rows", rows=rows)["problems"] == []
    office(site, "mailbox_folders", addresses=[here(local) for local in locals_])


@pytest.fixture(scope="session")
def crowd(site):
    """A thousand mailboxes m000 to m999."""
    names = [f"m{number:03d}" for number in range(MANY)]
    add_mailboxes(site, names)
    return names


@pytest.fixture
def mailbox(site):
    """A factory of fresh mailboxes on the shared site; its arguments are those of the office's `mailbox_add`."""

    def make(**fields):
        local = f"box{next(_numbers):03d}"
        office(site, "mailbox_add", address=here(local), name=local.title(), **fields)
        return local

    return make


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """A served site with two edges, few sessions an address, short time-outs, networks of its own."""
    site = SiteUnderTest(
        tmp_path_factory.mktemp("pair"),
        {
            "limits": {
                "auth_backoff_s": "1",
                "sessions_per_address": "10",
                "relay_networks": '["127.0.0.7/32"]',
                "trusted_networks": '["127.0.0.8/32"]',
            },
            "smtp": {"idle_timeout_s": "1", "data_timeout_s": "1", "max_message_octets": "200000"},
            "dns": {"servers": "[]"},
        },
    )
    site.start(workers=2)
    yield site
    assert site.stop() == 0, site.log()
