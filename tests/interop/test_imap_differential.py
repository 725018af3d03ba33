"""The same commands on the same mailbox, to us and to Debian's Dovecot: what is told must be the same.

Where the two may differ by the RFCs, or differ by intent, `KNOWN` says why.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.fixtures.account import PASSWORD, Account
from tests.interop.fixtures.dovecot import dovecot
from tests.site import SiteUnderTest

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.getuid() != 0, reason="Dovecot's accounts need root"),
]
_FOLDER = "Compared"
_HEADS = (
    'From: "Nguyen, Lan" <lan@b.vn>\nTo: a@b.vn, "C. D" <c@d.vn>\nCc: Nhom: x@y.vn, z@y.vn;\nSubject: Re: hop giao ban\n'
    "Date: Mon, 23 Nov 2026 08:00:00 +0700\nMessage-ID: <1@b.vn>",
    "From: =?utf-8?B?Tmd1eeG7hW4gVsSDbiBNaW5o?= <minh@b.vn>\nTo: undisclosed-recipients:;\n"
    "Subject: =?utf-8?Q?C=C3=B4ng_v=C4=83n?=\nDate: 24 Nov 2026 01:00 GMT\nMessage-ID: <2@b.vn>\nIn-Reply-To: <1@b.vn>",
    "From: a@b.vn (An Le)\nSender: <s@b.vn>\nReply-To: r1@b.vn, r2@b.vn\nSubject: hop giao ban\nReferences: <1@b.vn> <2@b.vn>\n"
    "Date: Sun, 22 Nov 2026 23:30:00 -0500\nMessage-ID: <3@b.vn>",
    "From: <@r1,@r2:route@b.vn>\nTo: ok@b.vn\nSubject: [list] Fwd: Re: hop giao ban (fwd)\n"
    "Date: 25 Nov 2026 10:00 +0700\nMessage-ID: <4@b.vn>",
    'Subject: folded\n over\n lines\nFrom: "quo\\"ted \\\\ name" <q@b.vn>\nDate: Fri, 1 Jan 2027 00:00:00 +0000\n'
    "Message-ID: <5@b.vn>\nReferences: <3@b.vn>",
    "X-Nothing: at all",
)
_BODIES = (
    "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nKính gửi các đơn vị\n",
    'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b 1"\n\npreamble\n--b 1\nContent-Type: text/html; '
    "charset=us-ascii\nContent-Disposition: inline\nContent-Language: vi, en\n\n<p>hello</p>\n--b 1\nContent-Type: "
    'application/pdf; name="cong van.pdf"\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; '
    'filename="cong van.pdf"; size=3\nContent-ID: <part@b.vn>\nContent-Description: a file\n\nYWJj\n--b 1--\nepilogue\n',
    "Content-Type: message/rfc822\n\nFrom: in@b.vn\nTo: ner@b.vn\nSubject: inner\nContent-Type: multipart/alternative; "
    "boundary=x\n\n--x\n\nplain\n--x\nContent-Type: text/html\n\n<b>html</b>\n--x--\n",
    "\nplain seventy words\n",
    "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nC=C3=B4ng v=C4=83n s=E1=BB=91 70=\n/2026\n",
    "",
)
_FETCHED = (
    "(UID FLAGS INTERNALDATE RFC822.SIZE)", "ALL", "FULL", "FAST", "ENVELOPE", "BODY", "BODYSTRUCTURE", "BODY.PEEK[]",
    "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "BODY.PEEK[1]", "BODY.PEEK[2]", "BODY.PEEK[1.MIME]", "BODY.PEEK[1.1]",
    "BODY.PEEK[1.HEADER]", "BODY.PEEK[1.TEXT]", "BODY.PEEK[]<5.20>", "BODY.PEEK[TEXT]<1000.5>", "RFC822.HEADER",
    "BODY.PEEK[HEADER.FIELDS (Subject from X-Nothing)]", "BODY.PEEK[HEADER.FIELDS.NOT (Subject Received Date)]",
    "(MODSEQ)",
)  # fmt: skip
_SEARCHED = (
    "ALL", "1:3", "2:*", "NOT 1:3", "OR 1 2", "UID 2:4", "SEEN", "UNSEEN", "FLAGGED", "KEYWORD $Label", "UNKEYWORD $Label", "NEW",
    "OLD", "DRAFT ANSWERED", "DELETED", "SUBJECT hop", 'SUBJECT "giao  ban"', "FROM lan", "FROM minh@b.vn", "TO c@d.vn",
    "CC x@y.vn", "BCC x", "BODY seventy", "BODY hello", "BODY html", "TEXT inner", "TEXT 3@b.vn", "HEADER Message-ID 1@b.vn",
    'HEADER Subject ""', 'HEADER X-Nothing ""', "LARGER 300", "SMALLER 300", "SENTON 23-Nov-2026", "SENTSINCE 24-Nov-2026",
    "SENTBEFORE 23-Nov-2026", "SINCE 23-Nov-2026", "BEFORE 23-Nov-2026", "ON 23-Nov-2026", "RETURN (MIN MAX COUNT) ALL",
    "RETURN (ALL) SUBJECT hop", "RETURN () 1000", "(OR (SUBJECT hop) (NOT FROM lan)) UNDELETED",
    'CHARSET US-ASCII SUBJECT "hop"', "YOUNGER 1000000000", "OLDER 1",
)  # fmt: skip
_SORTED = tuple(
    f"({keys}) UTF-8 ALL"
    for keys in ("SUBJECT", "DATE", "ARRIVAL", "SIZE", "FROM", "TO", "CC", "REVERSE DATE", "SUBJECT REVERSE DATE")
)
_OTHERS = (
    "THREAD REFERENCES UTF-8 ALL", "THREAD ORDEREDSUBJECT UTF-8 ALL", "THREAD REFERENCES UTF-8 SUBJECT hop",
    f"STATUS {_FOLDER} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "FETCH 1000 FLAGS", "FETCH 0 FLAGS", "FETCH 1 NOTHING",
    "STORE 1 FLAGS", "SEARCH NOTHING", "SORT (NOTHING) UTF-8 ALL", "NAMESPACE", 'LIST "" ""', f'LSUB "" {_FOLDER}',
    f'LIST "" "{_FOLDER}%"', "UID FETCH 900:1000 FLAGS", "UID SEARCH UID 900:1000", "SELECT Nowhere", "COPY 1 Nowhere",
    "EXPUNGE", "CLOSE", "CHECK",
)  # fmt: skip
_CHANGING = (
    "STORE 1:3 +FLAGS (\\Flagged)", "STORE 2 -FLAGS (\\Flagged \\Seen)", "STORE 4 FLAGS (\\Answered $Label)", "UID STORE 1:2 "
    "+FLAGS.SILENT (\\Seen)", "FETCH 5 BODY[TEXT]", "STORE 5,7 +FLAGS (\\Deleted)", "UID EXPUNGE 1:4", "UID EXPUNGE 1:5",
    "EXPUNGE", "FETCH 1:* (UID FLAGS)", "SEARCH ALL",
)  # fmt: skip
KNOWN = {
    "(MODSEQ)": "numbers of each server's own",
    "BODY.PEEK[1.1]": "Dovecot takes 1.1 of a part that is no multipart for the part; RFC 3501 has no such part",
    "SEARCH NEW": "who looked first has taken what is recent",
    "SEARCH OLD": "the same",
    "SEARCH SENTSINCE 24-Nov-2026": "a letter without Date was sent when it came, as in SORT; Dovecot says in 1970",
    "SEARCH SENTBEFORE 23-Nov-2026": "the same",
    "BODY.PEEK[HEADER.FIELDS.NOT (Subject Received Date)]": "of a letter that is all header we end it with an empty line",
    "STORE 1 FLAGS": "no list of flags is malformed; Dovecot lets it pass",
    "EXPUNGE": "in a folder opened for reading only: we say NO",
    "STORE 1:3 +FLAGS (\\Flagged)": "flags that were set already are told again; Dovecot is silent",
    "STORE 5,7 +FLAGS (\\Deleted)": "the same",
    "FETCH 5 BODY[TEXT]": "\\Seen is told in an answer of its own",
}
"""Commands whose answers may differ, and why."""


class Client:
    """Sends a command and returns what was told, parsed: untagged answers, then the tagged one's first word."""

    def __init__(self, account: Account) -> None:
        raw = socket.create_connection(("localhost", account.site.port("imaps")), 30)
        self.file = account.site.tls().wrap_socket(raw, server_hostname="localhost").makefile("rwb")
        self.number = 0
        self._line()
        self.ask(f"LOGIN {account.address} {PASSWORD}")

    def _line(self) -> bytes:
        whole = b""
        while True:
            line = self.file.readline()
            assert line.endswith(b"\r\n"), whole + line
            whole += line
            literal = re.search(rb"\{(\d+)\}\r\n$", line)
            if literal is None:
                return whole[:-2]
            whole += self.file.read(int(literal[1]))

    def ask(self, command: str, literal: bytes | None = None) -> list[Any]:
        self.number += 1
        tag = b"t%d " % self.number
        self.file.write(
            tag + command.encode() + (b"" if literal is None else b" {%d+}\r\n" % len(literal) + literal) + b"\r\n"
        )
        self.file.flush()
        told: list[Any] = []
        while not (line := self._line()).startswith(tag):
            if not re.match(rb"\* (OK|\d+ RECENT)", line):  # free text, and a flag that only its first session sees
                told.append(parsed(line))
        return [*told, line[len(tag) :].split()[0].decode()]


def parsed(line: bytes) -> Any:
    """Atoms and strings as octets however they were sent, lists as lists; flags in an order of their own."""
    stack: list[list[Any]] = [[]]
    at = 0
    token = re.compile(rb'\s+|(\()|(\))|"((?:[^"\\]|\\.)*)"|\{(\d+)\}\r\n|([^\s()"{]*\[[^\]]*\][^\s()]*|[^\s()"{]+)')
    while at < len(line):
        match = token.match(line, at)
        assert match is not None, line[at:]
        at = match.end()
        if match[1]:
            stack.append([])
        elif match[2]:
            done = stack.pop()
            stack[-1].append(done)
        elif match[3] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", match[3]))
        elif match[4]:
            stack[-1].append(line[at : at + int(match[4])])
            at += int(match[4])
        elif match[5]:
            stack[-1].append(_atom(match[5]))
    return _without_order(stack[0])


def _atom(octets: bytes) -> bytes | None:
    """NIL, and names of sections, in any case."""
    upper = octets.upper()
    return None if upper == b"NIL" else upper if upper.startswith(b"BODY[") else octets


def _without_order(told: list[Any]) -> list[Any]:
    out: list[Any] = []
    for place, value in enumerate(told):
        before = told[place - 1] if place else None
        if value is None and isinstance(before, bytes) and before.startswith(b"BODY["):
            out.append(b"")  # a section that there is not: NIL or nothing
        elif not isinstance(value, list):
            out.append(value)
        elif before == b"FLAGS":
            out.append(sorted(flag for flag in value if flag != b"\\Recent"))
        else:
            out.append(_without_order(value))
    return out


def everything(account: Account) -> Iterator[tuple[str, Any]]:
    """What whoever serves now tells of the folder, command by command."""
    client = Client(account)
    client.ask(f"EXAMINE {_FOLDER}")
    for items in _FETCHED:
        yield items, client.ask(f"FETCH 1:* {items}")
    for verb, arguments in [("SEARCH", _SEARCHED), ("UID SEARCH", _SEARCHED[:8]), ("SORT", _SORTED)]:
        for words in arguments:
            yield f"{verb} {words}", client.ask(f"{verb} {words}")
    for words in _OTHERS:
        yield words, client.ask(words)
        if words in ("CLOSE", "SELECT Nowhere"):
            client.ask(f"EXAMINE {_FOLDER}")


def changed(account: Account, folder: str) -> Iterator[tuple[str, Any]]:
    """The same after changes, on a copy."""
    client = Client(account)
    client.ask(f"CREATE {folder}")
    client.ask(f"EXAMINE {_FOLDER}")
    client.ask(f"COPY 1:* {folder}")
    client.ask(f"SELECT {folder}")
    for words in _CHANGING:
        yield words, client.ask(words)


def test_both_tell_the_same(own_site, tmp_path: Path) -> None:
    running: SiteUnderTest = own_site({"limits": {"auth_backoff_s": "0"}, "dns": {"servers": "[]"}})
    running.start()
    account = Account(running, "minhnv", tmp_path)
    client = Client(account)
    client.ask(f"CREATE {_FOLDER}")
    letters = [f"{head}\n{body}" for head in _HEADS for body in _BODIES[:3]] + [
        f"{_HEADS[0]}\n{body}" for body in _BODIES[3:]
    ]
    octets = [text.replace("\n", "\r\n").encode() for text in letters]
    for number, letter in enumerate(octets):
        flags = ["()", "(\\Seen)", "(\\Flagged $Label)", "(\\Answered \\Draft)", "(\\Deleted)"][number % 5]
        day = f'"{20 + number % 8}-Nov-2026 08:00:00 +0700"'
        assert client.ask(f"APPEND {_FOLDER} {flags} {day}", letter)[-1] == "OK"
    ours, ours_changed = dict(everything(account)), dict(changed(account, "Ours"))
    with dovecot(account, tmp_path / "top"):
        theirs, theirs_changed = dict(everything(account)), dict(changed(account, "Theirs"))
    differing = [
        f"{words}\n  ours   {mine}\n  theirs {other}"
        for asked, answered in ((ours, theirs), (ours_changed, theirs_changed))
        for words in asked
        if words not in KNOWN
        for mine, other in _differences(asked[words], answered[words])
    ]
    assert not differing, f"{len(differing)} differences\n" + "\n".join(differing)


def _differences(ours: list[Any], theirs: list[Any]) -> list[tuple[Any, Any]]:
    if len(ours) != len(theirs):
        return [(ours, theirs)]
    return [(mine, other) for mine, other in zip(ours, theirs, strict=True) if mine != other]
