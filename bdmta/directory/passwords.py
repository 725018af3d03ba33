"""Passwords: what is accepted, how it is kept, how it is verified (contract 12).

Chosen passwords are kept with argon2id at about 50 ms of CPU. Generated ones hold 80 bits and more, which nobody
guesses: a fast keyed hash is enough, and 20,000 of them take a second. Hashes of other servers are verified as they
are, and renewed at the first login.
"""

from __future__ import annotations

import hmac
import os
import secrets
import unicodedata
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import blake2b

from bdmta.directory.foreign_hash import verify_foreign
from bdmta.directory.snapshot import AppSecret, Credentials
from bdmta.errors import BdmtaError

# Measured at 48 ms of CPU on the reference machine (two slow cores); RFC 9106 §4 with less memory, more passes.
ARGON_MEMORY_KIB = 19_456
ARGON_PASSES = 5
PASSWORD_OCTETS_MAX = 1024
PASSWORD_MIN = 10
CLASSES_MIN = 3

# 32 signs, five bits each; no 0/o, 1/l: they are read aloud and typed from paper.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_GENERATED = "$bdmta-g1$"
_ARGON_OURS = f"$argon2id$v=19$m={ARGON_MEMORY_KIB},t={ARGON_PASSES},p=1$"

# Ten characters in three classes, and yet in everybody's list; compared without case.
_COMMON_TEXT = (
    "password1! password12! password123! password@1 password@12 password@123 password@1234 passw0rd@1 p@ssw0rd12 "
    "p@ssw0rd123 p@ssword12 p@ssword123 admin@12345 admin@123456 abc@123456 abcd@12345 abcd@123456 qwerty@123 "
    "qwerty@12345 qwerty123! qwerty1234! welcome@123 welcome123! changeme1! matkhau@12 matkhau@123 matkhau@1234 "
    "matkhau123! vietnam@123 vietnam@2026 binhduong@123 1q2w3e4r5t! 1qaz@wsx3edc"
)
_COMMON = frozenset(_COMMON_TEXT.split())


class PasswordRefused(BdmtaError):
    """The password is not good enough; the text says why, in Vietnamese and English."""


@dataclass(frozen=True, slots=True)
class Verified:
    """`ok`: it is the password. `renew`: and it should be kept under a better hash now (`hash_password`).

    `app`: it is this application password, not the mailbox's own.
    """

    ok: bool
    renew: bool = False
    app: AppSecret | None = None


def check_policy(password: str, address: str = "") -> None:
    """Raise PasswordRefused unless `password` has 10 characters of three classes and is not a common one.

    Classes: small letters, capitals, digits, other signs (letters without case count as other). 20 characters and
    more need no classes: a sentence is good.
    """
    text = unicodedata.normalize("NFC", password)
    if any(ord(char) < 0x20 or char == "\x7f" for char in text):
        _refuse("mật khẩu không được chứa ký tự điều khiển", "a password cannot hold control characters")
    if len(text.encode("utf-8", "surrogatepass")) > PASSWORD_OCTETS_MAX:
        _refuse("mật khẩu quá dài", f"the password is over {PASSWORD_OCTETS_MAX} octets")
    if len(text) < PASSWORD_MIN:
        _refuse(
            f"mật khẩu phải có ít nhất {PASSWORD_MIN} ký tự", f"a password needs at least {PASSWORD_MIN} characters"
        )
    classes = {_class(char) for char in text}
    if len(text) < 2 * PASSWORD_MIN and len(classes) < CLASSES_MIN:
        _refuse(
            "mật khẩu phải có ba trong bốn loại: chữ thường, chữ hoa, chữ số, ký hiệu",
            "a password needs three of: small letters, capitals, digits, other signs",
        )
    if len(set(text)) < 5:
        _refuse("mật khẩu lặp lại quá ít ký tự", "the password repeats too few characters")
    if text.casefold() in _COMMON or text.casefold() == address:
        _refuse("mật khẩu quá dễ đoán", "the password is too easy to guess")


def _refuse(vietnamese: str, english: str) -> None:
    raise PasswordRefused(f"{vietnamese} / {english}")


def _class(char: str) -> str:
    return "small" if char.islower() else "capital" if char.isupper() else "digit" if char.isdigit() else "other"


def hash_password(password: str) -> str:
    """The argon2id hash to keep of a chosen password. About 50 ms of CPU: not on an event loop."""
    from argon2.low_level import Type, hash_secret  # the import costs 20 ms, which most commands need not pay

    text = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    kept = hash_secret(text, secrets.token_bytes(16), ARGON_PASSES, ARGON_MEMORY_KIB, 1, 32, Type.ID)
    return kept.decode("ascii")


def generate(sign_count: int = 16) -> str:
    """A new secret of 5 bits a sign (16: 80 bits), in fours: `k3wd-9xhp-…`. Case, spaces and dashes do not matter."""
    if sign_count < 16:
        raise ValueError("a generated secret holds 80 bits at least")
    signs = "".join(secrets.choice(_ALPHABET) for _ in range(sign_count))
    return "-".join(signs[n : n + 4] for n in range(0, sign_count, 4))


def load_key(path: str) -> bytes:
    """The site's key for generated secrets; made (mode 0600, durable) when absent. BdmtaError if others read it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _make_key(path)
    try:
        if os.fstat(fd).st_mode & 0o077:
            raise BdmtaError(f"{path}: others can read the password key; chmod 600 it")
        key = os.read(fd, 64)
    finally:
        os.close(fd)
    if len(key) != 32:
        raise BdmtaError(f"{path}: the password key is damaged ({len(key)} octets, not 32); restore it from the backup")
    return key


def _make_key(path: str) -> bytes:
    key, fresh = secrets.token_bytes(32), f"{path}.{os.getpid()}.tmp"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, key)
        os.fsync(fd)
    finally:
        os.close(fd)
    try:
        os.link(fresh, path)  # of two that make it at once, one wins
    except FileExistsError:
        return load_key(path)
    finally:
        os.unlink(fresh)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return key


class Passwords:
    """Verifies. Holds the site's key for generated secrets. Nothing here raises on what a stranger sends."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hash_generated(self, secret: str) -> str:
        """The hash to keep of a secret made by `generate`: microseconds, not milliseconds."""
        salt = secrets.token_bytes(9)
        return f"{_GENERATED}{b64encode(salt).decode()}${b64encode(self._digest(salt, secret)).decode()}"

    def verify(self, stored: str, given: str) -> Verified:
        """Whether `given` is the password kept as `stored`. Costs what its hash costs: not on an event loop."""
        if len(given) > PASSWORD_OCTETS_MAX or "\x00" in given:
            return Verified(False)
        if stored.startswith(_GENERATED):
            return Verified(self._verify_generated(stored, given))
        if stored.startswith("$argon2id$"):
            ok = _verify_argon(stored, given)
            return Verified(ok, ok and not stored.startswith(_ARGON_OURS))
        ok = verify_foreign(stored, given)
        return Verified(ok, ok)

    def is_ours(self, stored: str) -> bool:
        """Whether a kept hash is one that `hash_password` or `hash_generated` of today would make."""
        return stored.startswith((_GENERATED, _ARGON_OURS))

    def authenticate(self, credentials: Credentials | None, given: str) -> Verified:
        """Whether `given` opens this mailbox: by an application password or by its own.

        A failure costs at least one argon2 whatever the account, so that time does not tell who exists. The caller
        looks at `credentials.status`: also after a right password, so that the answer for a suspended mailbox takes
        as long.
        """
        if credentials is None:
            return self.dummy_verify(given)
        for app in credentials.app_passwords:
            if self._verify_generated(app.hash, given):
                return Verified(True, app=app)
        stored_own = credentials.password_hash
        if stored_own is None:
            return self.dummy_verify(given)
        verified = self.verify(stored_own, given)
        if not verified.ok and stored_own.startswith(_GENERATED):
            return self.dummy_verify(given)
        return verified

    def dummy_verify(self, given: str) -> Verified:
        """The work of a verification, for someone who does not exist; never ok."""
        _verify_argon(_DUMMY, given[:PASSWORD_OCTETS_MAX])
        return Verified(False)

    def _verify_generated(self, stored: str, given: str) -> bool:
        if not stored.startswith(_GENERATED):
            return False
        salt, _, digest = stored[len(_GENERATED) :].partition("$")
        return hmac.compare_digest(b64decode(digest), self._digest(b64decode(salt), given))

    def _digest(self, salt: bytes, secret: str) -> bytes:
        signs = "".join(secret.casefold().split()).replace("-", "").encode("utf-8", "surrogatepass")
        return blake2b(salt + signs, key=self._key, digest_size=32, person=b"bdmta-generated").digest()


def _verify_argon(stored: str, given: str) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHash
    from argon2.low_level import Type, verify_secret

    text = unicodedata.normalize("NFC", given).encode("utf-8", "surrogatepass")
    try:
        return verify_secret(stored.encode("ascii"), text, Type.ID)
    except (Argon2Error, InvalidHash, UnicodeEncodeError):
        return False


# Of a random word that nobody knows.
_DUMMY = _ARGON_OURS + "AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
