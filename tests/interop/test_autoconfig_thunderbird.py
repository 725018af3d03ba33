"""Thunderbird reads the settings that we hand out, by https."""

import shutil
from pathlib import Path

import pytest

from tests.interop.fixtures.account import Account
from tests.interop.fixtures.thunderbird import Thunderbird
from tests.site import DOMAIN

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not all(map(shutil.which, ("thunderbird", "Xvfb", "certutil"))), reason="thunderbird, xvfb and certutil are wanted"
    ),
]  # fmt: skip

READ = """
const { readFromXML } = ChromeUtils.importESModule("resource:///modules/accountcreation/readFromXML.sys.mjs");
const { JXON } = ChromeUtils.importESModule("resource:///modules/JXON.sys.mjs");
const answer = await win.fetch(args[0]);
const page = new win.DOMParser().parseFromString(await answer.text(), "text/xml");
const found = readFromXML(JXON.build(page), "test");
const shown = one => [one.hostname, one.port, one.socketType, one.auth, one.username];
return { incoming: [found.incoming, ...found.incomingAlternatives].map(one => [one.type, ...shown(one)]),
         outgoing: [found.outgoing, ...found.outgoingAlternatives].map(shown), name: found.displayName };
"""
SSL, STARTTLS, PASSWORD_CLEARTEXT = 3, 2, 3


def test_thunderbird_reads_our_settings(site, tmp_path: Path):
    running = Thunderbird(Account(site, "minhnv", tmp_path / "home"), tmp_path)
    try:
        running.drive.run('await until("the window", () => win);')
        url = f"https://localhost:{site.port('web')}/.well-known/autoconfig/mail/config-v1.1.xml"
        found = running.drive.run(READ, url)
    finally:
        running.stop()
    user = "%EMAILADDRESS%"
    assert found["incoming"] == [
        ["imap", "localhost", site.port("imaps"), SSL, PASSWORD_CLEARTEXT, user],
        ["pop3", "localhost", site.port("pop3s"), SSL, PASSWORD_CLEARTEXT, user],
    ]
    assert found["outgoing"] == [
        ["localhost", site.port("submissions"), SSL, PASSWORD_CLEARTEXT, user],
        ["localhost", site.port("submission"), STARTTLS, PASSWORD_CLEARTEXT, user],
    ]
    assert found["name"] == f"Thư điện tử {DOMAIN}"
