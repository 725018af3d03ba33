"""What people and agencies are called here (Điều 5): pure functions, no directory, no clock, no file.

`propose` makes an address from a full name, `place` and `allocate` settle namesakes, `abbreviations` suggests for an
agency, `order_key` sorts as Vietnamese does, `fold` takes the diacritics off.
"""

from bdmta.naming.abbreviation import abbreviations
from bdmta.naming.fold import fold
from bdmta.naming.namesakes import Held, Pending, allocate, extension_fault, place
from bdmta.naming.order import order_key, person_key
from bdmta.naming.person import propose
from bdmta.naming.proposal import Proposal

__all__ = [
    "Held", "Pending", "Proposal", "abbreviations", "allocate", "extension_fault", "fold", "order_key", "person_key",
    "place", "propose",
]  # fmt: skip
