"""Ten clients, deliveries and another program in one mailbox at once: the protocol holds, and the store at the end.

`BDMTA_STRESS_S=60` makes it the long run.
"""

from __future__ import annotations

import os
import random
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.dialogue.imap.harness import PASSWORD, USER, MailServer

SECONDS = float(os.environ.get("BDMTA_STRESS_S", "4"))
FOLDERS = (b"INBOX", b"Sent", b"Trash")


class Client(threading.Thread):
    """Says random commands and keeps its own books: EXISTS never shrinks, numbers and UIDs never part."""

    def __init__(self, server: MailServer, number: int) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._random = random.Random(number)
        self._in = b""
        self._count = 0
        self._uids: list[int | None] = []
        self._log: list[bytes] = []
        self.answered = 0
        self.problem: Any = None

    def run(self) -> None:
        try:
            self._session()
        except BaseException as error:
            self.problem = (repr(error), self._log[-10:])

    # -- the wire

    def _until(self, count: int | None) -> bytes:
        while (end := self._in.find(b"\r\n") + 2 if count is None else count) < 2 or len(self._in) < end:
            block = self._sock.recv(1 << 16)
            assert block, "hung up"
            self._in += block
        piece, self._in = self._in[:end], self._in[end:]
        return piece

    def _line(self) -> bytes:
        line = self._until(None)
        while found := re.search(rb"\{(\d+)\}\r\n$", line):
            self._until(int(found[1]))
            line = line[: found.start()] + b'""' + self._until(None)
        return line.rstrip()

    def _untagged(self, line: bytes, verb: bytes) -> None:
        assert not line.startswith(b"* BYE") or verb == b"LOGOUT", line
        if found := re.match(rb"\* (\d+) EXISTS", line):
            assert int(found[1]) >= len(self._uids), line
            self._uids += [None] * (int(found[1]) - len(self._uids))
        elif found := re.match(rb"\* (\d+) EXPUNGE", line):
            assert verb not in (b"FETCH", b"STORE", b"SEARCH", b"SORT", b"THREAD"), "RFC 3501 §7.4.1"
            self._uids.pop(int(found[1]) - 1)
        elif found := re.match(rb"\* (\d+) FETCH .*?\bUID (\d+)", line):
            row, uid = int(found[1]) - 1, int(found[2])
            assert self._uids[row] in (None, uid), (line, self._uids[row])
            self._uids[row] = uid

    def _command(self, text: bytes) -> None:
        verb = text.split()[0]
        if verb == b"SELECT":
            self._uids = []
        self._count += 1
        tag = b"t%d " % self._count
        self._log.append(text[:70])
        self._sock.sendall(tag + text + b"\r\n")
        while not (line := self._line()).startswith(tag):
            self._untagged(line, verb)
        assert line.split()[1] in (b"OK", b"NO"), line
        self.answered += 1

    # -- what it says

    def _session(self) -> None:
        self._sock = socket.create_connection(("127.0.0.1", self._server.ports["imap"]), 60)
        self._line()
        self._command(f'LOGIN {USER} "{PASSWORD}"'.encode())
        self._command(b"SELECT INBOX")
        end_at = time.monotonic() + SECONDS
        while time.monotonic() < end_at:
            self._random.choice(self.ACTIONS)(self)
        self._command(b"LOGOUT")
        self._sock.close()

    def _set(self) -> bytes:
        count = max(1, len(self._uids))
        first, second = sorted((self._random.randint(1, count), self._random.randint(1, count)))
        if not self._uids:
            return b"1:*"
        return b"%d" % first if self._random.random() < 0.5 else b"%d:%d" % (first, second)

    def _one(self) -> bytes:
        return b"%d" % self._random.randint(1, len(self._uids)) if self._uids else b"1:*"

    def _folder(self) -> bytes:
        return self._random.choice(FOLDERS)

    def _append(self) -> None:
        letter = b"Subject: s%d\r\n\r\nhello\r\n" % self._count
        flags = self._random.choice([b"", b"\\Seen", b"$K1"])
        self._command(b"APPEND %b (%b) {%d+}\r\n%b" % (self._folder(), flags, len(letter), letter))

    def _store(self) -> None:
        change = self._random.choice([b"FLAGS", b"+FLAGS", b"-FLAGS", b"+FLAGS.SILENT"])
        flags = self._random.choice([b"\\Seen", b"\\Deleted", b"\\Flagged $K2", b"$K1"])
        self._command(b"STORE %b %b (%b)" % (self._set(), change, flags))

    def _idle(self) -> None:
        self._sock.sendall(b"i IDLE\r\n")
        while not (line := self._line()).startswith(b"+"):
            self._untagged(line, b"IDLE")
        self._sock.sendall(b"DONE\r\n")
        while not (line := self._line()).startswith(b"i "):
            self._untagged(line, b"IDLE")
        assert line.startswith(b"i OK"), line

    def _read_elsewhere(self) -> None:
        """Another program marks letters as read: new -> cur."""
        box = self._server.mailbox_path
        for path in sorted((box / "new").iterdir())[:3]:
            try:
                path.rename(box / "cur" / f"{path.name}:2,S")
            except FileNotFoundError:
                continue

    ACTIONS = (
        _append,
        _store,
        _idle,
        _read_elsewhere,
        lambda self: self._command(b"FETCH %b (UID FLAGS)" % self._set()),
        lambda self: self._command(b"FETCH %b (UID BODY.PEEK[])" % self._set()),
        lambda self: self._command(b"UID FETCH 1:* (UID FLAGS)"),
        lambda self: self._command(b"EXPUNGE"),
        lambda self: self._command(b"COPY %b %b" % (self._one(), self._folder())),
        lambda self: self._command(b"UID MOVE %d %b" % (self._random.choice(self._uids or [1]) or 1, self._folder())),
        lambda self: self._command(b"SEARCH UNSEEN SUBJECT s"),
        lambda self: self._command(b"UID SEARCH BODY hello"),
        lambda self: self._command(b"NOOP"),
        lambda self: self._command(b"SELECT " + self._folder()),
        lambda self: self._command(b"STATUS %b (MESSAGES UNSEEN UIDNEXT)" % self._folder()),
        lambda self: self._server.deliver(b"Subject: s%d\r\n\r\nhello\r\n" % self._count),
    )


def listed_uids(folder: Path) -> list[int]:
    """UIDs in dovecot-uidlist."""
    lines = (folder / "dovecot-uidlist").read_text().splitlines()[1:]
    return [int(line.split()[0]) for line in lines]


@pytest.mark.slow
def test_ten_clients(tmp_path: Path) -> None:
    with MailServer(tmp_path) as server:
        clients = [Client(server, number) for number in range(10)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(SECONDS + 60)
        assert not [client.problem for client in clients if client.problem]
        assert not any(client.is_alive() for client in clients)
        for folder in FOLDERS:
            last = Client(server, 99)
            last._sock = socket.create_connection(("127.0.0.1", server.ports["imap"]), 60)
            last._line()
            last._command(f'LOGIN {USER} "{PASSWORD}"'.encode())
            last._command(b"SELECT " + folder)
            last._command(b"FETCH 1:* (UID FLAGS)")
            path = server.mailbox_path if folder == b"INBOX" else server.mailbox_path / f".{folder.decode()}"
            files = [*os.listdir(path / "new"), *os.listdir(path / "cur")]
            assert len(files) == len(last._uids), folder
            assert len(set(listed_uids(path))) == len(listed_uids(path)), "a UID given twice"
            assert last._uids == sorted(set(last._uids)), folder  # type: ignore[type-var]
            last._sock.close()
    assert not server.errors, server.errors[:3]
