"""No name leads out of the mail root, and every folder that can be made is found again under its name."""

from __future__ import annotations

import os
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Invalid
from storage.maildir import folder_dir, folder_name, mailbox_dir
from storage.mutf7 import mutf7_decode, mutf7_encode

ANY = st.text(st.characters(codec=None), max_size=40) | st.text("./~&-+%\0INBOXé\u0301\n\ud83d\U0001f600", max_size=12)


@given(ANY)
def test_mailboxes_stay_two_levels_under_the_root(address: str) -> None:
    try:
        path = mailbox_dir("/m", address)
    except Invalid:
        return
    assert os.path.normpath(path) == path
    parts = path.split("/")
    assert parts[:2] == ["", "m"] and len(parts) == 4
    assert all(p.isascii() and p[0] != "." and "\0" not in p and len(p) <= 255 for p in parts[1:])


@given(ANY, ANY)
def test_mailboxes_are_never_shared(one: str, other: str) -> None:
    try:
        assert (mailbox_dir("/m", one) == mailbox_dir("/m", other)) == (one == other)
    except Invalid:
        pass


@given(ANY)
def test_folders_are_one_directory_and_found_again(name: str) -> None:
    try:
        path = folder_dir("/m", name)
    except Invalid:
        return
    if path == "/m":
        assert name.upper() == "INBOX"
        return
    directory = path.removeprefix("/m/")
    assert directory.startswith(".") and "/" not in directory and ".." not in directory
    assert directory.isascii() and directory.isprintable() and len(directory) <= 255
    again = folder_name(directory)
    assert again is not None
    given_name = unicodedata.normalize("NFC", name)
    assert again == given_name or again.partition("/")[0] == "INBOX"


@given(st.text(max_size=60))
def test_mutf7_both_ways(text: str) -> None:
    encoded = mutf7_encode(text)
    assert encoded.isascii()
    assert mutf7_decode(encoded) == text


@given(st.text("&-,AZaz09+/é ", max_size=20))
def test_every_spelling_but_one_is_refused(encoded: str) -> None:
    try:
        text = mutf7_decode(encoded)
    except Invalid:
        return
    assert mutf7_encode(text) == encoded
