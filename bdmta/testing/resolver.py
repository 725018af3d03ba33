"""FakeResolver: a test's whole DNS world as one dict, answered at once and without a socket.

FakeResolver({
    "example.org": {"MX": [(10, "mail.example.org")], "TXT": ["v=spf1 mx -all"]},
    "mail.example.org": {"A": ["192.0.2.1"]},
    "slow.example.org": TempFail("no answer in time"),
})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from bdmta.dns import Answer, Missing, Mx, Outcome, Resolver, TempFail

World: TypeAlias = Mapping[str, Mapping[str, Sequence[Any] | TempFail] | TempFail]


class FakeResolver(Resolver):
    """Answers from `world`; what is not in it does not exist. `asked` holds every question in order.

    With `cached=False` `known()` knows nothing, so that code has to await every answer once.
    """

    def __init__(self, world: World, *, cached: bool = True, ttl_s: float = 300) -> None:
        super().__init__([])
        self.world = {name.lower().rstrip("."): kinds for name, kinds in world.items()}
        self.asked: list[tuple[str, str]] = []
        self.is_off = False
        self._all_cached = cached
        self._ttl_s = ttl_s

    def known(self, name: str, kind: str) -> Outcome[Any] | None:
        """The answer, where `cached`."""
        return self._answer(name, kind) if self._all_cached else None

    async def _ask(self, name: str, kind: str) -> Outcome[Any]:
        self.asked.append((name.lower().rstrip("."), kind))
        return self._answer(name, kind)

    def _answer(self, name: str, kind: str) -> Outcome[Any]:
        found = self.world.get(name.lower().rstrip("."))
        if found is None:
            return Missing.NO_SUCH_NAME
        records = found if isinstance(found, TempFail) else found.get(kind)
        if isinstance(records, TempFail):
            return records
        if not records:
            return Missing.NO_DATA
        return Answer(tuple(_record(kind, record) for record in records), self._ttl_s)


def _record(kind: str, record: Any) -> Any:
    if kind == "TXT" and isinstance(record, str):
        return record.encode()
    if kind == "MX" and isinstance(record, tuple):
        return Mx(*record)
    return record
