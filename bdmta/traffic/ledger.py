"""What was promised: each letter, each recipient, the answer; on disk as JSON lines when a file is given.

It survives the tool and the server: `bdmta-traffic check --ledger FILE` compares it later, after a crash for instance.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, TextIO

from bdmta.errors import UsageError
from bdmta.traffic.letter import ID_FIELD, Expect

OUTCOMES = ("accepted", "refused", "deferred", "doubtful", "failed")


class State(StrEnum):
    """What a recipient was promised."""

    ACCEPTED = "accepted"
    """250: there once."""
    REFUSED = "refused"
    """5xx: not there."""
    DEFERRED = "deferred"
    """4xx: a sender would try again, this tool does not; there at most once (a server may fail after it wrote)."""
    DOUBTFUL = "doubtful"
    """The answer never came: there at most once."""


@dataclass(slots=True)
class Entry:
    """One letter. Digests are SHA-256, cut to 16 octets: of all from its id line on, and of its body."""

    number: int
    kind: str
    expect: Expect
    what: str
    digest: str
    body_digest: str
    octets: int
    due_at: float
    answered_at: float
    code: int
    reply: str
    states: dict[str, State] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    """Where it may lie; empty: anywhere but in the folders of what one writes oneself."""


def digest(octets: bytes) -> str:
    """As entries hold it. Line ends count as CRLF: some servers keep LF."""
    whole = octets if b"\r\n" in octets[:2000] else octets.replace(b"\n", b"\r\n")
    return hashlib.sha256(whole).hexdigest()[:32]


def body_of(octets: bytes) -> bytes:
    """What comes after the header."""
    _, _, body = octets.partition(b"\r\n\r\n")
    return body


class Ledger:
    """The entries of one run, written behind as they come. `label` is the first half of each letter's id."""

    def __init__(self, label: str, file: TextIO | None = None) -> None:
        self.label = label
        self.entries: dict[int, Entry] = {}
        self.unsure: set[tuple[int, str]] = set()
        """Letters that a reader was moving by COPY and EXPUNGE when its session broke: two copies are its own doing."""
        self._file = file
        if file is not None:
            file.write(json.dumps({"label": label, "field": ID_FIELD}) + "\n")

    def add(self, entry: Entry) -> None:
        """Keep it; in the file it is when this returns (not synced: the tool is not what is tested)."""
        self.entries[entry.number] = entry
        if self._file is not None:
            self._file.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
            self._file.flush()

    def begin_move(self, number: int, address: str) -> None:
        """A reader starts to move a letter by COPY and EXPUNGE: until `end_move`, two copies are its own doing."""
        self.unsure.add((number, address))
        self._note(number, address, is_unsure=True)

    def end_move(self, number: int, address: str) -> None:
        """It is moved."""
        self.unsure.discard((number, address))
        self._note(number, address, is_unsure=False)

    def _note(self, number: int, address: str, *, is_unsure: bool) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"moving": number, "address": address, "is_unsure": is_unsure}) + "\n")
            self._file.flush()


def outcome(entry: Entry) -> str:
    """One of OUTCOMES: accepted when any recipient was promised it, failed when there was no reply at all."""
    states = set(entry.states.values())
    if entry.code == 0 and states == {State.REFUSED}:
        return "failed"
    for state in (State.ACCEPTED, State.DOUBTFUL, State.DEFERRED):
        if state in states:
            return state.value
    return State.REFUSED.value


def read_ledger(path: str) -> Ledger:
    """The ledger that a run wrote; a last line that was cut off is left out. Raises UsageError."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = iter(file.readlines())
        ledger = Ledger(json.loads(next(lines))["label"])
        for line in lines:
            if line.endswith("\n"):
                _take(ledger, json.loads(line))
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise UsageError(f"{path}: not a ledger of bdmta-traffic ({error!r})") from error
    return ledger


def _take(ledger: Ledger, data: dict[str, Any]) -> None:
    if "moving" in data:
        change = ledger.unsure.add if data["is_unsure"] else ledger.unsure.discard
        change((data["moving"], data["address"]))
        return
    data["expect"] = Expect(data["expect"])
    data["states"] = {address: State(state) for address, state in data["states"].items()}
    data["folders"] = tuple(data["folders"])
    ledger.entries[data["number"]] = Entry(**data)
