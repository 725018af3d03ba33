"""Which letters there are: who writes to whom, in what share, and what it must come to; the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from bdmta.errors import UsageError
from bdmta.traffic.compose import Composer, Party, Thread
from bdmta.traffic.hostile import Hostile, generate
from bdmta.traffic.letter import Letter, id_line
from bdmta.traffic.population import Account, full_name

KINDS = ("internal", "inbound", "citizens", "bulk", "junk", "hostile")
MIXES: dict[str, dict[str, float]] = {  # assumptions, not measurements
    "office": {"internal": 45, "inbound": 20, "citizens": 12, "bulk": 8, "junk": 10, "hostile": 5},
    "calm": {"internal": 70, "inbound": 20, "citizens": 10},
    "siege": {"internal": 10, "inbound": 5, "citizens": 5, "bulk": 5, "junk": 45, "hostile": 30},
    "inbound": {"inbound": 60, "citizens": 40},
}
_DOMAINS = {
    "inbound": ("angiang.gov.example", "dongnai.gov.example", "vnpt.example", "bidv.example", "tphcm.gov.example"),
    "citizens": ("gmail.example", "yahoo.example", "hotmail.example"),
    "bulk": ("bantin.example", "hoithao.example"),
    "junk": ("khuyenmai.example", "win.example"),
    "hostile": ("khongro.example",),
}
_ANSWERED = {"internal": 0.4, "inbound": 0.2, "citizens": 0.1}  # share that answers an earlier letter; an assumption
_TO = {"internal": (0.7, 0.15, 0.1, 0.05), "bulk": (0.0, 0.2, 0.3, 0.5)}  # 1, 2, 3 to 5, 6 to 30 recipients
_THREADS_KEPT = 300
_LETTERS_A_MINUTE = 60.0


def read_mix(text: str) -> dict[str, float]:
    """`office`, another name of MIXES, or `internal=50,hostile=5`: weights by kind. Raises UsageError."""
    if text in MIXES:
        return dict(MIXES[text])
    mix: dict[str, float] = {}
    for item in text.split(","):
        kind, _, weight = item.partition("=")
        try:
            value = float(weight)
        except ValueError:
            value = -1.0
        if kind not in KINDS or not 0 <= value < 1e9:
            known = f"one of {', '.join(MIXES)}, or kind=weight,... of the kinds {', '.join(KINDS)}"
            raise UsageError(f"--mix {text}: {item!r} is not known; give {known}")
        mix[kind] = value
    if not sum(mix.values()):
        raise UsageError(f"--mix {text}: all weights are 0")
    return mix


@dataclass
class Mix:
    """An endless row of letters. `folder`: hostile letters from a folder, sent in turn with the generated ones."""

    accounts: Sequence[Account]
    weights: Mapping[str, float]
    composer: Composer
    label: str
    seed: int
    folder: Sequence[Hostile] = ()
    can_submit: bool = True
    _threads: list[tuple[str, str, Thread]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._senders = [account for account in self.accounts if account.password and self.can_submit]
        self._officials = {account.address: account for account in self.accounts}
        if self.weights.get("internal") and not self._senders:
            raise UsageError(
                "letters between officials need accounts with passwords and --submission; see --mix, --accounts"
            )

    def letters(self, at_s: Callable[[int], float] | None = None) -> Iterator[Letter]:
        """Letter 1, 2, 3 and so on; `at_s` tells the moment that the date of a letter says."""
        draw = Random(self.seed)
        kinds, weights = list(self.weights), list(self.weights.values())
        number = 0
        while True:
            number += 1
            kind = draw.choices(kinds, weights)[0]
            moment = at_s(number) if at_s else number * 60 / _LETTERS_A_MINUTE
            yield self._hostile(number, draw) if kind == "hostile" else self._plain(number, kind, draw, moment)

    def _plain(self, number: int, kind: str, draw: Random, at_s: float) -> Letter:
        account = draw.choice(self._senders) if kind == "internal" else None
        author, thread = "", None
        if self._threads and draw.random() < _ANSWERED.get(kind, 0.0):
            author, reader, thread = draw.choice(self._threads)
            account, thread = self._answering(kind, reader, thread)
        if account is not None:
            sender = Party(account.name, account.address)
        else:
            name = "" if kind == "bulk" else full_name(draw)
            sender = Party(name, _outside(kind, draw))
        is_answer = thread is not None and author in self._officials
        recipients = (author,) if is_answer else self._recipients(kind, draw, sender.address)
        to = tuple(Party(self._officials[one].name, one) for one in recipients)
        made = self.composer.compose(number, kind, draw, sender, to, at_s=at_s, answers=thread)
        self._remember(draw, sender.address, recipients[0], made.thread)
        return Letter(number, kind, sender.address, recipients, made.octets, account)

    def _answering(self, kind: str, reader: str, thread: Thread) -> tuple[Account | None, Thread | None]:
        """An answer comes from who was written to; a letter from outside answers without an account."""
        if kind != "internal":
            return None, thread
        account = self._officials.get(reader)
        if account is None or account not in self._senders:
            return self._senders[0], None
        return account, thread

    def _recipients(self, kind: str, draw: Random, sender: str) -> tuple[str, ...]:
        low, high = ((1, 1), (2, 2), (3, 5), (6, 30))[draw.choices(range(4), _TO.get(kind, (0.9, 0.05, 0.05, 0.0)))[0]]
        count = min(draw.randint(low, high), len(self.accounts))
        chosen = draw.sample(range(len(self.accounts)), count)
        found = [self.accounts[at].address for at in chosen if self.accounts[at].address != sender]
        return tuple(found) or (self.accounts[chosen[0]].address,)

    def _remember(self, draw: Random, author: str, reader: str, thread: Thread) -> None:
        if len(self._threads) < _THREADS_KEPT:
            self._threads.append((author, reader, thread))
        else:
            self._threads[draw.randrange(_THREADS_KEPT)] = (author, reader, thread)

    def _hostile(self, number: int, draw: Random) -> Letter:
        sender, to = _outside("hostile", draw), draw.choice(self.accounts).address
        if self.folder and draw.random() < 0.5:
            found = self.folder[number % len(self.folder)]
        else:
            found = generate(draw, sender, to)
        octets = id_line(self.label, number) + found.octets
        return Letter(number, "hostile", sender, (to,), octets, None, found.expect, found.what, found.needs_utf8)


def _outside(kind: str, draw: Random) -> str:
    return f"{draw.choice('abcdefghklmnpqstvxy')}{draw.randrange(10_000)}@{draw.choice(_DOMAINS[kind])}"
