"""Who is told of what, and how (Điều 7 Bước 3): the one table. Its tests name the exact recipients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Channel = Literal["mail", "paper"]
Who = Literal["asker", "asking-agency", "managing-agency", "successor", "home-affairs"]


@dataclass(frozen=True, slots=True)
class Addressee:
    """One line of a notice's list of recipients. A copy is what `đồng gửi` asks for."""

    who: Who
    channel: Channel
    is_copy: bool = False


_NOI_VU_PAPER = Addressee("home-affairs", "paper", is_copy=True)
_NOI_VU_MAIL = Addressee("home-affairs", "mail", is_copy=True)
_TO_AGENCY = (Addressee("asking-agency", "mail"), _NOI_VU_MAIL)
_TO_MANAGER = (Addressee("managing-agency", "mail"), _NOI_VU_MAIL)
_REFUSED = (Addressee("asker", "mail"), _NOI_VU_MAIL)

MATRIX: dict[tuple[str, str, str], tuple[Addressee, ...]] = {
    ("create", "agency", "result"): (Addressee("asking-agency", "paper"), _NOI_VU_PAPER),
    ("create", "person", "result"): (Addressee("managing-agency", "paper"), _NOI_VU_PAPER),
    ("change", "agency", "result"): _TO_AGENCY,
    ("change", "person", "result"): _TO_MANAGER,
    ("reset", "agency", "result"): _TO_AGENCY,
    ("reset", "person", "result"): _TO_MANAGER,
    ("cancel", "agency", "result"): (Addressee("home-affairs", "mail"),),
    ("cancel", "person", "result"): (Addressee("managing-agency", "mail"), Addressee("home-affairs", "mail")),
    ("merge", "agency", "result"): (Addressee("successor", "mail"), _NOI_VU_MAIL),
    **{
        (kind, of, "refusal"): _REFUSED
        for kind in ("create", "change", "reset", "cancel", "merge")
        for of in ("agency", "person")
    },
}
"""(kind of request, kind of mailbox, outcome) -> whom, how. Whoever has no mailbox gets his notice on paper."""
