"""What an operator does beside the running server, and what is left when the disk is full."""

import json

from tests.site import DOMAIN
from tests.system.wire import OUTSIDE, Wire, deliver, here, letter, submit


def test_a_full_disk_puts_letters_off_and_loses_none(own_site):
    """As if all but nothing were kept in reserve: 452 4.3.1, nothing left behind, and mail again once there is room."""
    site = own_site({"dns": {"servers": "[]"}, "mail": {"reserve_octets": str(1 << 52)}})
    site.start()
    in_memory, spooled = letter(), letter(("x" * 76 + "\r\n") * 5000)
    with Wire(site) as wire:
        for octets in (in_memory, spooled, spooled, in_memory):
            answer = wire.deliver(octets, here("minhnv"))
            assert (answer.code, answer.text[4:9]) == (452, "4.3.1")
            assert "het cho" in answer.text
        assert wire.ask("NOOP").code == 250
    assert site.stop() == 0
    assert site.letters("minhnv") == []
    assert list((site.mailbox("minhnv") / "tmp").iterdir()) == []
    assert list((site.folder / "queue").iterdir()) == []
    assert list((site.folder / "mail" / ".incoming").iterdir()) == []
    site.set("mail", "reserve_octets", "1000000")
    site.start()
    for octets in (in_memory, spooled):
        assert deliver(site, octets, here("minhnv")).code == 250
    assert len(site.letters("minhnv")) == 2


def test_commands_work_the_same_with_and_without_the_server(own_site):
    site = own_site({"dns": {"servers": "[]"}})

    def rounds(local):
        site.add_mailbox(local)
        site.run("group", "add", here(f"{local}.nhom"), here(local), here("minhnv"))
        assert site.json("mailbox", "show", here(local))["status"] == "active"
        done = site.run("mailbox", "show", here("khongco"), check=False)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        return {box["address"] for box in site.json("mailbox", "list")}

    stopped = rounds("truoc")
    site.start()
    assert rounds("sau") - stopped == {here("sau")}
    assert deliver(site, letter(), here("truoc.nhom"), here("sau.nhom")).code == 250
    assert [len(site.letters(local)) for local in ("truoc", "sau", "minhnv")] == [1, 1, 1]
    status = site.json("status")
    assert status["running"] is True
    assert all(
        one["answers"] for one in status["listeners"] if one["protocol"] in ("smtp", "submission", "submissions")
    )


def test_the_ledger_tells_where_a_letter_went(site, mailbox):
    local = mailbox()
    octets = letter("bí mật", "Message-ID: <trace-me@elsewhere.example>")
    answer = deliver(site, octets, here(local))
    reference = answer.text.split()[-1]
    for asked in ("<trace-me@elsewhere.example>", here(local), reference):
        facts = site.json("trace", asked)
        assert [fact["event"] for fact in facts] == ["accepted", "delivered"], asked
        assert facts[1]["recipient"] == here(local)
        assert "+" in facts[0]["at"]
        assert "bí mật" not in json.dumps(facts, ensure_ascii=False)


def test_the_ledger_tells_of_refusals_and_the_reply_leads_to_them(site):
    answer = submit(site, letter("hai", f"From: <{OUTSIDE}>", author=here("minhnv")), here("khaintm"))
    reference = answer.text.partition("(ref ")[2].partition(")")[0]
    (fact,) = site.json("trace", reference)
    assert fact["event"] == "refused"
    assert fact["detail"]["account"] == here("minhnv")


def test_a_letter_for_outside_waits_in_the_spool_whole(site):
    octets = letter("ra ngoài", "Bcc: <x@y.example>", author=here("minhnv"))
    before = set((site.folder / "queue").glob("*.env"))
    assert submit(site, octets, OUTSIDE, here("khaintm")).code == 250
    (path,) = set((site.folder / "queue").glob("*.env")) - before
    entry = json.loads(path.read_text())
    assert [r["address"] for r in entry["recipients"]] == [OUTSIDE]
    kept = path.with_suffix(".msg").read_bytes()
    assert kept.endswith("ra ngoài\r\n".encode())
    assert b"Bcc" not in kept
    assert kept in site.letters("khaintm")


def test_the_log_and_the_facts_hold_no_content(site, mailbox):
    local = mailbox()
    assert deliver(site, letter("noi-dung-mat", "Subject: tieu-de-mat"), here(local)).code in (250, 550)
    assert deliver(site, letter("noi-dung-mat").replace(b"Test", b"tieu-de-mat"), here(local)).code == 250
    kept = (site.folder / "test.log").read_bytes()
    site.json("trace", here(local))  # what the edges wrote is in the ledger now
    places = [site.folder / "test.log", *(p for p in site.folder.rglob("*") if "fact" in str(p) or "ledger" in p.name)]
    for path in places:
        if path.is_file():
            kept = path.read_bytes()
            assert b"noi-dung-mat" not in kept, path
            assert b"tieu-de-mat" not in kept, path


def test_the_demonstration_site_receives(tmp_path):
    from tests.site import SiteUnderTest, free_base_port

    site = SiteUnderTest.__new__(SiteUnderTest)
    site.folder, site.base_port, site.server = tmp_path / "demo", free_base_port(), None
    made = site.run("init", str(site.folder), "--demo", "--base-port", str(site.base_port), "--json", config=False)
    accounts = json.loads(made.stdout)["accounts"]
    site.start()
    try:
        with Wire(site, "submissions") as wire:
            assert wire.login(accounts[0]["address"].partition("@")[0], accounts[0]["password"]).code == 235
            assert accounts[0]["address"].endswith(f"@{DOMAIN}")
            answer = wire.deliver(
                letter(author=accounts[0]["address"]), accounts[1]["address"], sender=accounts[0]["address"]
            )
            assert answer.code == 250
        assert site.stop() == 0
    finally:
        site.kill()
