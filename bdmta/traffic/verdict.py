"""Promise against find: each fault that a server can commit with a letter that it answered for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from bdmta.traffic.ledger import Entry, Ledger, State
from bdmta.traffic.letter import Expect
from bdmta.traffic.look import Copy

OWN_FOLDERS = ("SENT", "DRAFTS", "TRASH")
"""A letter that arrives does not lie there."""
_DATE_SLACK_S = 2.0  # INTERNALDATE has whole seconds


@dataclass(frozen=True, slots=True)
class Fault:
    """`what`: lost, doubled, corrupted, misplaced, late, intruder (it was refused), stray (it was for others), let-in
    (accepted though it must be refused), kept-out (refused though it must be accepted).
    """

    what: str
    number: int
    address: str
    detail: str

    def __str__(self) -> str:
        return f"{self.what}: letter {self.number} to {self.address}: {self.detail}"


MEANINGS = {
    "lost": "answered 250 and not there",
    "doubled": "there more than once",
    "corrupted": "its octets are not those that were sent",
    "misplaced": "in a folder where no letter arrives",
    "late": "there longer after its 250 than allowed",
    "intruder": "there though it was refused",
    "stray": "in the mailbox of somebody it was not for",
    "let-in": "accepted though the rules forbid it",
    "kept-out": "refused though nothing is wrong with it",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The faults, how many promises were looked at, and which are open: accepted, and not (yet) there."""

    faults: tuple[Fault, ...]
    checked_count: int
    missing: tuple[tuple[int, str], ...]


def judge(ledger: Ledger, copies: Iterable[Copy], checked: Iterable[str], late_s: float) -> Verdict:
    """Compare. `checked`: the addresses whose mailboxes were looked into; others prove nothing."""
    addresses = set(checked)
    by_place: dict[tuple[int, str], list[Copy]] = defaultdict(list)
    for copy in copies:
        by_place[copy.number, copy.address].append(copy)
    faults: list[Fault] = []
    missing: list[tuple[int, str]] = []
    count = 0
    for entry in ledger.entries.values():
        faults += _rules(entry)
        for address, state in entry.states.items():
            if address not in addresses:
                continue
            count += 1
            found = by_place.pop((entry.number, address), [])
            if not found and state is State.ACCEPTED:
                missing.append((entry.number, address))
            of_this = _promise(entry, address, state, found, late_s)
            is_unsure = (entry.number, address) in ledger.unsure
            faults += [fault for fault in of_this if not (is_unsure and fault.what == "doubled")]
    for (number, address), found in by_place.items():
        if number in ledger.entries:
            faults.append(Fault("stray", number, address, f"{len(found)} in {found[0].folder}"))
    return Verdict(tuple(faults), count, tuple(missing))


def _rules(entry: Entry) -> list[Fault]:
    """Whether it was right to accept or refuse it; a reply 4xx or none says nothing about that."""
    to = next(iter(entry.states), "")
    states = set(entry.states.values())
    if entry.expect is Expect.REFUSE and State.ACCEPTED in states:
        return [Fault("let-in", entry.number, to, f"{entry.kind} {entry.what}: {entry.code} {entry.reply[:100]}")]
    if entry.expect is Expect.ACCEPT and states == {State.REFUSED} and entry.code >= 500:
        return [Fault("kept-out", entry.number, to, f"{entry.kind} {entry.what}: {entry.code} {entry.reply[:100]}")]
    return []


def _promise(entry: Entry, address: str, state: State, found: list[Copy], late_s: float) -> list[Fault]:
    faults: list[Fault] = []

    def add(what: str, detail: str) -> None:
        faults.append(Fault(what, entry.number, address, detail))

    if found and state is State.REFUSED:
        add("intruder", f"{entry.code} {entry.reply[:80]}; in {found[0].folder}")
    if len(found) > 1:
        add("doubled", f"{len(found)} copies in {', '.join(sorted({copy.folder for copy in found}))}")
    for copy in found:
        if (damage := _damage(entry, copy)) and entry.expect is not Expect.ANY:
            add("corrupted", f"{damage} ({copy.folder})")
        if not _may_lie_in(entry, copy.folder):
            add("misplaced", f"in {copy.folder}")
        delay_s = copy.arrived_at - entry.answered_at
        if state is State.ACCEPTED and copy.arrived_at and delay_s > late_s + _DATE_SLACK_S:
            add("late", f"{delay_s:.0f} s after its 250")
    return faults


def _damage(entry: Entry, copy: Copy) -> str:
    if copy.digest == entry.digest:
        return ""
    return "its header was changed" if copy.body_digest == entry.body_digest else "its text was changed"


def _may_lie_in(entry: Entry, folder: str) -> bool:
    if entry.folders:
        return folder in entry.folders
    return folder.upper() not in OWN_FOLDERS


def settle(verdict: Verdict, appeared: Iterable[tuple[int, str]], late_s: float) -> tuple[Fault, ...]:
    """The final faults: what is missing is lost; what was missing at the first look and came by a later one is late."""
    lost = tuple(Fault("lost", number, address, "answered 250, not there") for number, address in verdict.missing)
    known = {(fault.number, fault.address) for fault in verdict.faults if fault.what == "late"}
    late = tuple(
        Fault("late", number, address, f"not there {late_s:.0f} s after the last 250, there afterwards")
        for number, address in appeared
        if (number, address) not in known
    )
    return verdict.faults + lost + late
