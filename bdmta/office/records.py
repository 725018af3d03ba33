"""What is on record of what policies refused (incidents); never content."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bdmta.directory.registry import call
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError

_DAY_S = 86_400


@call
def incident_list(service: DirectoryService, *, days: int = 30) -> list[dict[str, Any]]:
    """What policies refused in the last days, by sender and policy, the most frequent first (Điều 18.1)."""
    if service.ledger is None:
        raise BdmtaError("the ledger is not open here")
    service.ledger.import_files(service.facts_dir)
    until = service.clock.time()
    counts: Counter[tuple[str, str, str]] = Counter()
    last: dict[tuple[str, str, str], float] = {}
    codes: dict[tuple[str, str, str], set[str]] = {}
    for fact in service.ledger.events("refused", until - days * _DAY_S, until + 1):
        detail = fact["detail"]
        key = (fact["sender"], detail.get("policy") or "server", detail.get("direction") or "")
        counts[key] += 1
        last[key] = max(last.get(key, 0.0), fact["at"])
        codes.setdefault(key, set()).update(f["code"] for f in detail.get("findings") or ())
    return [
        {"sender": sender, "policy": policy, "direction": direction, "count": count,
         "last_at": service.local_time(last[sender, policy, direction]),
         "codes": sorted(codes[sender, policy, direction])[:20]}
        for (sender, policy, direction), count in counts.most_common(1000)
    ]  # fmt: skip
