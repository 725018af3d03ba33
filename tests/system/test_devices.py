"""Application passwords on a served site: the right doors, a name to each act, an end at once when revoked."""

import imaplib
import json
import poplib

import pytest

from tests.site import DOMAIN
from tests.system.wire import Wire, here, letter, office


def imap(site, user, password):
    client = imaplib.IMAP4_SSL("127.0.0.1", site.port("imaps"), ssl_context=_lax(site))
    client.login(user, password)
    return client


def _lax(site):
    context = site.tls()
    context.check_hostname = False
    return context


def test_each_clerk_enters_the_agency_with_a_device_of_their_own(site, mailbox):
    agency = mailbox(kind="agency", password="Mat-khau-2050")
    clerk = mailbox(password="Mat-khau-2051")
    made = json.loads(
        site.run(
            "mailbox", "app-password", "add", here(agency), "--label", "Máy văn thư", "--scope", "imap,smtp",
            "--holder", here(clerk), "--json",
        ).stdout
    )  # fmt: skip
    with Wire(site, "submissions") as wire:
        assert wire.login(agency, made["password"]).code == 235
        sent = letter("giao việc", author=here(agency))
        assert wire.deliver(sent, here("khaintm"), sender=here(agency)).code == 250
        with imap(site, here(agency), made["password"]) as client:
            client.select("INBOX")
            with pytest.raises(poplib.error_proto):
                pop = poplib.POP3_SSL("127.0.0.1", site.port("pop3s"), context=_lax(site))
                pop.user(here(agency))
                pop.pass_(made["password"])

            def last_use():
                (one,) = office(site, "app_password_list", address=here(agency))
                return one["last_used_from"]

            site.wait_for(lambda: last_use() == "imap 127.0.0.1")
            facts = office(site, "trace", text=here(agency))
            named = {fact["event"]: fact["detail"] for fact in facts if fact["detail"].get("device") == "Máy văn thư"}
            assert {"login-smtp", "accepted", "login", "select"} <= named.keys()
            assert all(detail["holder"] == here(clerk) for detail in named.values())
            assert [one["protocol"] for one in office(site, "login_list", address=here(agency))] == ["imap", "smtp"]

            site.run(
                "mailbox", "app-password", "revoke", here(agency), "--label", "Máy văn thư", "--grounds", "mất máy"
            )
            with pytest.raises(imaplib.IMAP4.error):
                imap(site, here(agency), made["password"])
            site.wait_for(lambda: _is_out(client))
        site.wait_for(lambda: wire.ask(f"MAIL FROM:<{here(agency)}>").code == 421 or wire.ask("RSET").code == 0)
    act = office(site, "audit_list", subject=here(agency), limit_count=1)[0]
    assert (act["action"], act["grounds"]) == ("app-password.remove", "mất máy")
    assert act["before"] == {"label": "Máy văn thư", "holder": here(clerk), "scope": "imap,smtp"}


def _is_out(client):
    try:
        client.noop()
    except (imaplib.IMAP4.abort, OSError):
        return True
    return False


@pytest.mark.slow
def test_an_initial_password_beyond_its_days_is_told_where_to_change_it(own_site):
    site = own_site({"dns": {"servers": "[]"}, "auth": {"initial_password_days": "0"}})
    secret = json.loads(
        site.run("mailbox", "add", f"moi@{DOMAIN}", "--name", "Mới", "--generate", "--json").stdout
    )["password"]  # fmt: skip
    site.start()
    with Wire(site, "submissions") as wire:
        answer = wire.login("moi", secret)
        assert answer.code == 535 and "must be changed first" in answer.text
    client = imaplib.IMAP4_SSL("127.0.0.1", site.port("imaps"), ssl_context=_lax(site))
    with pytest.raises(imaplib.IMAP4.error, match=r"\[EXPIRED\].*must be changed"):
        client.login(f"moi@{DOMAIN}", secret)
    client.shutdown()
