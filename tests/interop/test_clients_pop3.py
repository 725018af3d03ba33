"""POP3 as Outlook uses it, with letters left on the server: UIDL holds over sessions, restarts and a lost index."""

from __future__ import annotations

import poplib
from pathlib import Path

import pytest

from tests.interop.fixtures.account import PASSWORD, Account, letter, needs, restart_without_index

pytestmark = pytest.mark.interop


@pytest.fixture
def served(own_site, tmp_path: Path) -> Account:
    running = own_site({"limits": {"auth_backoff_s": "0"}, "dns": {"servers": "[]"}})
    running.start()
    home = tmp_path / "home"
    home.mkdir()
    return Account(running, "minhnv", home)


def pop(account: Account) -> poplib.POP3_SSL:
    client = poplib.POP3_SSL("localhost", account.site.port("pop3s"), timeout=30, context=account.site.tls())
    client.user(account.address)
    client.pass_(PASSWORD)
    return client


def unique_ids(account: Account) -> list[bytes]:
    client = pop(account)
    found = client.uidl()[1]
    client.quit()
    return found


def test_poplib_both_ways(served: Account) -> None:
    served.put("mot", "hai", "ba")
    client = pop(served)
    assert client.stat()[0] == 3
    assert b"\r\n".join(client.retr(2)[1]) + b"\r\n" == letter("hai")
    assert client.top(1, 0)[1][-1] == b""
    client.dele(1)
    client.rset()
    client.dele(3)
    client.quit()
    assert set(served.subjects()) == {"mot", "hai"}


def test_poplib_stls(served: Account) -> None:
    client = poplib.POP3("localhost", served.site.port("pop3"), timeout=30)
    with pytest.raises(poplib.error_proto):
        client.user(served.address)
        client.pass_(PASSWORD)
    client.stls(served.site.tls())
    client.user(served.address)
    client.pass_(PASSWORD)
    assert "PIPELINING" in client.capa()
    client.quit()


def test_uidl_holds_over_restart_and_lost_index(served: Account) -> None:
    served.put(*(f"thu {number}" for number in range(12)))
    before = unique_ids(served)
    assert len({line.split()[1] for line in before}) == 12
    assert unique_ids(served) == before
    restart_without_index(served.site)
    assert unique_ids(served) == before
    served.put("moi")
    client = pop(served)
    client.dele(1)
    client.quit()
    after = [line.split()[1] for line in unique_ids(served)]
    assert after[:11] == [line.split()[1] for line in before[1:]]
    assert after[11] not in {line.split()[1] for line in before}


def test_drop_is_locked_and_freed_with_its_client(served: Account) -> None:
    served.put("mot")
    first = pop(served)
    with pytest.raises(poplib.error_proto, match="IN-USE"):
        pop(served)
    first.close()  # no QUIT: the client died
    served.site.wait_for(lambda: _opens(served))


def _opens(account: Account) -> bool:
    try:
        pop(account).quit()
    except poplib.error_proto:
        return False
    return True


@needs("curl")
def test_curl_pop3(served: Account) -> None:
    served.put("mot", "hai")
    base = ("curl", "-sS", "--cacert", served.ca, "-u", f"{served.address}:{PASSWORD}")
    url = f"pop3s://localhost:{served.site.port('pop3s')}"
    assert served.run(*base, f"{url}/2").encode().replace(b"\r\n", b"\n") == letter("hai").replace(b"\r\n", b"\n")
    served.run(*base, f"{url}/1", "-X", "DELE", "-l")
    served.site.wait_for(lambda: set(served.subjects()) == {"hai"})


FETCHMAILRC = """
poll localhost proto {protocol} port {port} {unique}
 user "{user}" password "{password}" ssl sslcertck sslcertfile {ca} keep no rewrite mda "cat >> {home}/got"
"""


@needs("fetchmail")
@pytest.mark.parametrize(("protocol", "unique"), [("pop3", "uidl"), ("imap", "")])
def test_fetchmail_leaves_letters(served: Account, protocol: str, unique: str) -> None:
    """The second run, after a restart without the index, takes only what is new."""
    rc = served.home / "fetchmailrc"
    rc.write_text(
        FETCHMAILRC.format(protocol=protocol, port=served.site.port(f"{protocol}s"), user=served.address,
                           password=PASSWORD, ca=served.ca, unique=unique, home=served.home)
    )  # fmt: skip
    rc.chmod(0o600)
    command = ("fetchmail", "-f", str(rc), "--nosyslog", "-d0")
    served.put("mot", "hai")
    served.run(*command, FETCHMAILHOME=str(served.home))
    restart_without_index(served.site)
    served.put("ba")
    served.run(*command, FETCHMAILHOME=str(served.home))
    got = (served.home / "got").read_bytes()
    assert [got.count(b"Subject: " + name) for name in (b"mot", b"hai", b"ba")] == [1, 1, 1]
    assert set(served.subjects()) == {"mot", "hai", "ba"}


GETMAILRC = """
[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = {port}
username = {user}
password = {password}
ca_certs = {ca}
[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >{home}/got/$$")
allow_root_commands = true
[options]
delete = {delete}
read_all = false
"""


@needs("getmail")
def test_getmail_leaves_letters_then_deletes(served: Account) -> None:
    (served.home / "got").mkdir()
    (served.home / ".getmail").mkdir()
    rc = served.home / ".getmail" / "getmailrc"

    def get(delete: str) -> int:
        rc.write_text(GETMAILRC.format(port=served.site.port("pop3s"), user=served.address, password=PASSWORD,
                                       ca=served.ca, home=served.home, delete=delete))  # fmt: skip
        served.run("getmail", f"--getmaildir={served.home}/.getmail")
        return len(list((served.home / "got").iterdir()))

    served.put("mot", "hai")
    assert get("false") == 2
    restart_without_index(served.site)
    assert get("false") == 2
    served.put("ba")
    assert get("true") == 3
    assert served.subjects() == {}
