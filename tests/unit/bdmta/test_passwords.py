"""Passwords: the policy, ours, other servers', generated ones."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from passlib.hash import argon2, bcrypt, ldap_pbkdf2_sha512, ldap_salted_sha1, sha256_crypt, sha512_crypt

from bdmta.directory.foreign_hash import HashRefused, accept_hash
from bdmta.directory.passwords import (
    PasswordRefused,
    Passwords,
    check_policy,
    generate,
    hash_password,
    load_key,
)
from bdmta.directory.snapshot import AppSecret, Credentials
from bdmta.errors import BdmtaError

SECRET = "Mật khẩu 2026"
OURS = hash_password(SECRET)


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(bytes(32))


@pytest.mark.parametrize(
    "good", ["abcdefgh1X", "Abcdefgh12", "mật khẩu12", "aaaaaBB123c!", "một câu dài không có số nào cả", "Kh0ng-doan"]
)
def test_ten_characters_of_three_classes_are_accepted(good: str):
    check_policy(good)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("Abcdef12!", "at least 10"),
        ("abcdefghij", "three of"),
        ("abcdefgh12", "three of"),
        ("Password123!", "easy to guess"),
        ("MatKhau@123", "easy to guess"),
        ("MinhNV@binhduong.gov.vn", "easy to guess"),
        ("aA1aA1aA1aA1", "too few"),
        ("Abcdefgh12\n", "control"),
        ("Ab1!" * 300, "1024 octets"),
        ("", "at least 10"),
    ],
)
def test_weak_ones_are_refused_in_both_languages(bad: str, said: str):
    with pytest.raises(PasswordRefused) as refused:
        check_policy(bad, "minhnv@binhduong.gov.vn")
    assert said in str(refused.value)
    assert "mật khẩu" in str(refused.value)


def test_ours_verify_and_need_no_renewal(passwords: Passwords):
    assert OURS.startswith("$argon2id$")
    assert passwords.verify(OURS, SECRET) == passwords.verify(OURS, unicodedata.normalize("NFD", SECRET))
    assert passwords.verify(OURS, SECRET).ok
    assert not passwords.verify(OURS, SECRET).renew
    assert not passwords.verify(OURS, SECRET + "x").ok


FOREIGN = {
    "dovecot sha512": "{SHA512-CRYPT}" + sha512_crypt.using(rounds=1000).hash(SECRET),
    "bare $6$": sha512_crypt.using(rounds=5000).hash(SECRET),
    "bare $5$": sha256_crypt.using(rounds=1000).hash(SECRET),
    "crypt": "{CRYPT}" + sha512_crypt.using(rounds=1000).hash(SECRET),
    "ssha": ldap_salted_sha1.hash(SECRET),
    "bcrypt": "{BLF-CRYPT}" + bcrypt.using(rounds=4).hash(SECRET),
    "bcrypt of php": bcrypt.using(rounds=4, ident="2y").hash(SECRET),
    "argon2id": "{ARGON2ID}" + argon2.using(type="ID", memory_cost=1024, time_cost=1, parallelism=1).hash(SECRET),
    "pbkdf2": ldap_pbkdf2_sha512.using(rounds=1000).hash(SECRET),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_hashes_of_other_servers_verify_and_are_renewed(passwords: Passwords, name: str):
    stored = accept_hash(FOREIGN[name])
    assert passwords.verify(stored, SECRET) == type(passwords.verify(stored, SECRET))(True, True)
    assert not passwords.verify(stored, SECRET + "!").ok
    assert not passwords.is_ours(stored)


def test_a_known_hash_of_another_implementation(passwords: Passwords):
    """From the SHA-crypt specification (Drepper), not made by the library under test."""
    stored = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    assert passwords.verify(accept_hash(stored), "Hello world!").ok


@pytest.mark.parametrize(
    "bad",
    [
        "{PLAIN}secret", "{CLEARTEXT}secret", "{MD5}x", "secret", "", "$6$rounds=999999999$abc$def", "{SSHA.b64}xx",
        "$2b$31$" + "a" * 53, "{ARGON2ID}$argon2id$v=19$m=9999999,t=3,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo",
        "x" * 5000, "$6$é$x",
    ],
)  # fmt: skip
def test_what_cannot_be_taken_over_is_refused(bad: str):
    with pytest.raises(HashRefused):
        accept_hash(bad)


def test_nothing_given_raises(passwords: Passwords):
    stored = [OURS, *(accept_hash(text) for text in FOREIGN.values()), "", "$argon2id$v=19$broken", "{SSHA}", "$2b$"]
    for one in stored:
        for given in ("", "\0", "a\0b", "x" * 5000, "\ud800", "é" * 100):
            assert not passwords.verify(one, given).ok


def test_bcrypt_looks_at_72_octets(passwords: Passwords):
    stored = bcrypt.using(rounds=4).hash("a" * 72)
    assert passwords.verify(stored, "a" * 90).ok


def test_generated_secrets(passwords: Passwords):
    secrets = {generate() for _ in range(200)}
    assert len(secrets) == 200
    assert not set("".join(secrets)) & set("0o1l")
    secret = secrets.pop()
    stored = passwords.hash_generated(secret)
    assert stored != passwords.hash_generated(secret)
    for written in (secret, secret.upper(), secret.replace("-", ""), secret.replace("-", " ") + " "):
        assert passwords.verify(stored, written).ok
        assert not passwords.verify(stored, written).renew
    assert not passwords.verify(stored, secret[:-1]).ok
    assert not Passwords(b"k" * 32).verify(stored, secret).ok
    with pytest.raises(ValueError, match="80 bits"):
        generate(12)


def test_the_key_is_made_once_and_kept_from_others(tmp_path: Path):
    path = tmp_path / "password.key"
    key = load_key(str(path))
    assert load_key(str(path)) == key
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["password.key"]
    path.chmod(0o640)
    with pytest.raises(BdmtaError, match="chmod 600"):
        load_key(str(path))
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(BdmtaError, match="damaged"):
        load_key(str(path))


def credentials(stored: str | None, *apps: str) -> Credentials:
    return Credentials(
        "minhnv@binhduong.gov.vn", "active", stored, tuple(AppSecret(n, app) for n, app in enumerate(apps, 1)), False
    )


def test_every_failure_costs_an_argon2(passwords: Passwords, monkeypatch: pytest.MonkeyPatch):
    """Equal work whoever is asked for: no account, no password, a generated one, a chosen one."""
    import argon2.low_level as low_level

    asked: list[bytes] = []
    real = low_level.verify_secret
    monkeypatch.setattr(low_level, "verify_secret", lambda *a: asked.append(a[0]) or real(*a))
    fast = passwords.hash_generated(generate())
    for who in (None, credentials(None), credentials(fast), credentials(OURS), credentials(OURS, fast, fast)):
        asked.clear()
        assert not passwords.authenticate(who, "Wrong-pass-1").ok
        assert len(asked) == 1
        assert b"m=19456,t=5,p=1" in asked[0]


def test_an_application_password_opens_without_argon2(passwords: Passwords, monkeypatch: pytest.MonkeyPatch):
    secret = generate(20)
    monkeypatch.setattr("bdmta.directory.passwords._verify_argon", lambda *_: pytest.fail("dear work"))
    assert passwords.authenticate(credentials(OURS, passwords.hash_generated(secret)), secret).ok
