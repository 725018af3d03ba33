"""Keys rotate without a letter that cannot be verified; the server sees it by itself."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from bdmta.cli import run
from bdmta.dns import Missing
from bdmta.mailauth.dkim import verify
from bdmta.mailauth.keyring import OVERLAP_S, Keyring, KeyringError, record_of
from bdmta.mailauth.results import DkimResult, Result
from bdmta.mailauth.sign import Signer
from bdmta.message import scan
from bdmta.setup import dkim
from bdmta.testing.clock import FakeClock
from bdmta.testing.resolver import FakeResolver

LETTER = b"From: a@example.org\r\nSubject: Hai\r\n\r\nXin chao\r\n"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "bdmta.pem").write_bytes(dkim.make_key())
    return str(tmp_path)


def zone(folder: str, domain: str = "example.org") -> FakeResolver:
    """What stands in DNS after `bdmta dns records` was published."""
    ring = Keyring(folder, "bdmta")
    return FakeResolver(
        {
            f"{entry.selector}._domainkey.{domain}": {"TXT": [record_of(ring.private_key(entry.selector))]}
            for entry in ring.published(domain)
        }
    )


def results(letter: bytes, resolver: FakeResolver, clock: FakeClock) -> tuple[DkimResult, ...]:
    return asyncio.run(verify(scan(letter), resolver, clock.time()))


def signer(folder: str, clock: FakeClock, domain: str = "example.org") -> Signer:
    return Signer(folder, "bdmta", lambda: (domain,), clock)


def test_a_rotation_leaves_no_letter_unverifiable(folder: str) -> None:
    clock = FakeClock()
    ours = signer(folder, clock)
    old_zone, letters = zone(folder), [asyncio.run(ours.sign(LETTER)) + LETTER]
    entry = Keyring(folder, "bdmta").add("new", "rsa-sha256", clock)
    clock.advance(6)
    letters.append(asyncio.run(ours.sign(LETTER)) + LETTER)
    assert [results(letter, old_zone, clock)[0].selector for letter in letters] == ["bdmta", "bdmta"]
    Keyring(folder, "bdmta").activate(entry, clock)
    clock.advance(6)  # no signal to the server: it looks every five seconds
    letters.append(asyncio.run(ours.sign(LETTER)) + LETTER)
    found = [results(letter, zone(folder), clock)[0] for letter in letters]
    assert [(r.selector, r.result) for r in found] == [("bdmta", "pass"), ("bdmta", "pass"), ("new", "pass")]


def test_retired_keys_go_after_the_overlap(folder: str) -> None:
    clock = FakeClock()
    ring = Keyring(folder, "bdmta")
    ring.activate(ring.add("new", "rsa-sha256", clock), clock)
    assert [e.state for e in ring.entries] == ["retired", "active"]
    clock.advance(OVERLAP_S - 1)
    assert ring.expired(clock) == ()
    clock.advance(2)
    ring.forget(ring.expired(clock))
    assert [e.selector for e in Keyring(folder, "bdmta").entries] == ["new"]
    assert sorted(os.listdir(folder)) == ["keys.json", "new.pem"]


def test_both_algorithms_sign_and_both_pass(folder: str) -> None:
    clock = FakeClock()
    ring = Keyring(folder, "bdmta")
    ring.activate(ring.add("ed", "ed25519-sha256", clock), clock)
    found = results(asyncio.run(signer(folder, clock).sign(LETTER)) + LETTER, zone(folder), clock)
    assert {(r.algorithm, r.result) for r in found} == {("rsa-sha256", "pass"), ("ed25519-sha256", "pass")}


def test_a_domain_may_have_a_key_of_its_own(folder: str) -> None:
    clock = FakeClock()
    ring = Keyring(folder, "bdmta")
    ring.activate(ring.add("own", "rsa-sha256", clock, "example.org"), clock)
    assert [e.state for e in ring.entries] == ["active", "active"]
    (result,) = results(asyncio.run(signer(folder, clock).sign(LETTER)) + LETTER, zone(folder), clock)
    assert (result.selector, result.result) == ("own", Result.PASS)
    other = LETTER.replace(b"example.org", b"example.com")
    field = asyncio.run(signer(folder, clock, "example.com").sign(other))
    assert b"s=bdmta;" in field
    assert asyncio.run(zone(folder, "example.com").txt("own._domainkey.example.com")) is Missing.NO_SUCH_NAME


def test_private_keys_are_private_and_never_overwritten(folder: str) -> None:
    ring = Keyring(folder, "bdmta")
    ring.add("new", "rsa-sha256", FakeClock())
    assert os.stat(f"{folder}/new.pem").st_mode & 0o777 == 0o600
    for taken in ("new", "bdmta"):
        with pytest.raises(KeyringError):
            ring.add(taken, "rsa-sha256", FakeClock())


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"selektor": "x"}]'])
def test_a_damaged_list_is_an_error_and_a_running_server_keeps_its_keys(folder: str, text: str) -> None:
    clock = FakeClock()
    ours = signer(folder, clock)
    Path(f"{folder}/keys.json").write_text(text)
    with pytest.raises(KeyringError):
        Keyring(folder, "bdmta")
    with pytest.raises(KeyringError):
        ours.reload()
    clock.advance(6)
    assert asyncio.run(ours.sign(LETTER))


def test_a_damaged_key_is_named(folder: str) -> None:
    Path(f"{folder}/bdmta.pem").write_text("-----BEGIN NOTHING-----\n")
    with pytest.raises(KeyringError, match=r"bdmta\.pem"):
        signer(folder, FakeClock())


def test_the_command_asks_whether_the_key_is_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dkim").mkdir()
    (tmp_path / "dkim/bdmta.pem").write_bytes(dkim.make_key())
    config = tmp_path / "bdmta.toml"
    config.write_text('[mail]\ndomains = ["example.org"]\n[dns]\nservers = []\n')
    assert run(["-c", str(config), "dkim", "rotate", "--selector", "two", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["state"], made["records"][0]["name"]) == ("next", "two._domainkey.example.org")
    assert run(["-c", str(config), "dkim", "rotate"]) == 1
    assert "nobody can be asked" in capsys.readouterr().err
    assert run(["-c", str(config), "dkim", "rotate", "--unchecked"]) == 0
    capsys.readouterr()
    assert run(["-c", str(config), "dkim", "list", "--json"]) == 0
    assert [(e["selector"], e["state"]) for e in json.loads(capsys.readouterr().out)] == [
        ("bdmta", "retired"), ("two", "active"),
    ]  # fmt: skip
    for wrong in (["--algorithm", "dsa"], ["--domain", "example.com"], ["--selector", "../x"]):
        assert run(["-c", str(config), "dkim", "rotate", *wrong]) == 2
