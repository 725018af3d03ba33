"""An inventory as JSON and back: a worker that opened hostile content is not believed more than its octets.

Only the shapes below are read; anything else is a DecodeError. Never pickle.
"""

from __future__ import annotations

import json
from typing import Any

from bdmta.examine.inventory import Inventory, Item

MAX_OCTETS = 16 << 20
_MAX_ITEMS = 20_000
_MAX_TEXT = 2048


class DecodeError(ValueError):
    """The octets are not an inventory."""


def encode(inventory: Inventory) -> bytes:
    """The inventory in ASCII JSON."""
    items = [
        [i.path, i.names, i.extensions, i.declared, i.detected, i.family, i.size_octets, i.role, i.problems]
        for i in inventory.items
    ]
    return json.dumps(
        {"items": items, "problems": inventory.problems, "truncated": inventory.truncated}, separators=(",", ":")
    ).encode("ascii")


def decode(octets: bytes) -> Inventory:
    """The inventory that `encode` wrote. Raises DecodeError."""
    try:
        document = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise DecodeError("not JSON") from error
    if not isinstance(document, dict) or set(document) != {"items", "problems", "truncated"}:
        raise DecodeError("not an inventory")
    items = document["items"]
    if not isinstance(items, list) or len(items) > _MAX_ITEMS:
        raise DecodeError("items")
    truncated = document["truncated"]
    if not isinstance(truncated, bool):
        raise DecodeError("truncated")
    return Inventory(tuple(_item(i) for i in items), _texts(document["problems"]), truncated)


def _item(fields: Any) -> Item:
    if not isinstance(fields, list) or len(fields) != 9:
        raise DecodeError("item")
    path, names, extensions, declared, detected, family, size, role, problems = fields
    if type(size) is not int or size < 0:
        raise DecodeError("size")
    return Item(
        _texts(path), _texts(names), _texts(extensions), _text(declared), _text(detected), _text(family), size,
        _text(role), _texts(problems),
    )  # fmt: skip


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise DecodeError("text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > 4096:
        raise DecodeError("texts")
    return tuple(_text(v) for v in value)
