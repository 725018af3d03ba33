"""The alert file reaches those who are connected and those who log in; a capability can be withheld from one account."""

import imaplib
import signal

from tests.site import DOMAIN, PASSWORDS


def test_alerts_and_withheld_capabilities(own_site):
    site = own_site({"dns": {"servers": "[]"}, "imap": {"withheld": f'["minhnv@{DOMAIN} MOVE condstore"]'}})
    site.start()

    def login(local):
        client = imaplib.IMAP4_SSL("localhost", site.port("imaps"), ssl_context=site.tls(), timeout=10)
        client.login(f"{local}@{DOMAIN}", PASSWORDS[local])
        return client

    mine, hers = login("minhnv"), login("khaintm")
    offered = mine.capability()[1][-1]
    assert b"MOVE" not in offered.split() and b"CONDSTORE" not in offered.split()
    assert b"MOVE" in hers.capability()[1][-1].split()
    (site.folder / "state" / "alert").write_text("Hệ thống tạm ngừng lúc 22 giờ\n")
    site.signal(signal.SIGHUP)
    site.wait_for(lambda: "reloaded" in site.log())

    def told():
        hers.noop()
        return any(b"ALERT" in line for line in hers.response("ALERT")[1] or [] if line) or b"22 gi" in b"".join(
            line for line in hers.untagged_responses.get("OK", []) if line
        )

    site.wait_for(told)
    late = login("sotttt")
    assert b"22 gi" in b"".join(line for line in late.untagged_responses.get("OK", []) if line)
    for client in (mine, hers, late):
        client.logout()
