"""THREAD (RFC 5256): ORDEREDSUBJECT and REFERENCES, without recursion. Runs in the executor: blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bdmta.imap.search_match import Looked
from bdmta.imap.sort import sent_times

MAX_REFERENCES = 1000


class Node:
    """A message, or the place of one that is referred to and not here (`row` -1)."""

    __slots__ = ("children", "parent", "row", "sent")

    def __init__(self, row: int = -1) -> None:
        self.row = row
        self.parent: Node | None = None
        self.children: list[Node] = []
        self.sent: tuple[int, int] = (0, 0)


def ordered_subject(at: Looked, rows: Sequence[int]) -> list[Node]:
    """Threads by base subject, oldest first; each has its first letter as the parent of the others (RFC 5256 §3)."""
    subjects: list[Any] = at.box.fields(at.columns, "base_subject")
    sent_at = sent_times(at)
    threads: dict[str, list[int]] = {}
    for row in sorted(rows, key=lambda row: (sent_at(row), row)):
        threads.setdefault(subjects[row] or "", []).append(row)
    roots = []
    for members in threads.values():  # a dict keeps the order in which the threads began
        root = Node(members[0])
        root.children = [Node(row) for row in members[1:]]
        roots.append(root)
    return roots


def references(at: Looked, rows: Sequence[int]) -> list[Node]:
    """Threads by References, In-Reply-To and at last the subject (RFC 5256 §3, REFERENCES)."""
    top = _linked(at, rows)
    _date(top, sent_times(at))
    top = _merged_by_subject(at, _pruned(top))
    _date(top, sent_times(at))
    for node in _walk(top):
        node.children.sort(key=lambda child: child.sent)
    return sorted(top, key=lambda node: node.sent)


def _linked(at: Looked, rows: Sequence[int]) -> list[Node]:
    """Steps 1 and 2: every message and every reference has a node; those without a parent are returned."""
    ids: list[Any] = at.box.fields(at.columns, "message_id")
    refs: list[Any] = at.box.fields(at.columns, "references")
    by_id: dict[str, Node] = {}
    nodes: list[Node] = []
    for row in rows:
        own = ids[row] or ""
        node = by_id.get(own) if own else None
        if node is None or node.row >= 0:  # none, or a second letter of the same id: it stands for itself
            node = Node()
            nodes.append(node)
            if own and own not in by_id:
                by_id[own] = node
        node.row = row
        parent: Node | None = None
        for name in (refs[row] or ())[-MAX_REFERENCES:]:
            ancestor = by_id.get(name)
            if ancestor is None:
                ancestor = by_id[name] = Node()
                nodes.append(ancestor)
            if parent is not None and ancestor.parent is None and not _is_above(ancestor, parent):
                _adopt(parent, ancestor)
            parent = ancestor
        if node.parent is not None:
            node.parent.children.remove(node)
            node.parent = None
        if parent is not None and not _is_above(node, parent):
            _adopt(parent, node)
    return [node for node in nodes if node.parent is None]


def _is_above(node: Node, below: Node) -> bool:
    """Whether `node` is `below` or an ancestor of it: linking them would make a ring."""
    here: Node | None = below
    while here is not None:
        if here is node:
            return True
        here = here.parent
    return False


def _adopt(parent: Node, child: Node) -> None:
    child.parent = parent
    parent.children.append(child)


def _walk(top: Iterable[Node]) -> list[Node]:
    """Every node, parents before their children."""
    found = list(top)
    for node in found:
        found.extend(node.children)
    return found


def _pruned(top: list[Node]) -> list[Node]:
    """Step 3: empty places go; their children move up, but not to the top unless it is one alone."""
    for node in reversed(_walk(top)):
        children: list[Node] = []
        for child in node.children:
            children += child.children if child.row < 0 else [child]
        node.children = children
        for child in children:
            child.parent = node
    kept = []
    for node in top:
        if node.row >= 0 or len(node.children) > 1:
            kept.append(node)
        elif node.children:
            node.children[0].parent = None
            kept.append(node.children[0])
    return kept


def _date(top: list[Node], sent_at: Callable[[int], int]) -> None:
    """Step 4: a message's date is its own, an empty place's its first child's; ties by number."""
    for node in reversed(_walk(top)):
        if node.row >= 0:
            node.sent = (sent_at(node.row), node.row)
        else:
            node.sent = min((child.sent for child in node.children), default=(0, 0))


def _merged_by_subject(at: Looked, top: list[Node]) -> list[Node]:
    """Step 5: threads of one base subject come together."""
    subjects: list[Any] = at.box.fields(at.columns, "base_subject")
    replies: list[Any] = at.box.fields(at.columns, "is_reply")
    top = sorted(top, key=lambda node: node.sent)

    def first_row(node: Node) -> int:
        return node.row if node.row >= 0 else min(node.children, key=lambda child: child.sent).row

    table: dict[str, Node] = {}
    for node in top:
        subject = subjects[first_row(node)] or ""
        if not subject:
            continue
        known = table.get(subject)
        if (
            known is None
            or (node.row < 0 <= known.row)
            or (known.row >= 0 and node.row >= 0 and replies[known.row] and not replies[node.row])
        ):
            table[subject] = node
    merged: list[Node] = []
    for node in top:
        known = table.get(subjects[first_row(node)] or "")
        if known is None or known is node:
            merged.append(node)
        else:
            _join(known, node, replies, table, merged, subjects[first_row(node)])
    return [node for node in merged if node.parent is None]


def _join(
    known: Node, node: Node, replies: list[Any], table: dict[str, Node], merged: list[Node], subject: str
) -> None:
    """Put `node` beside or below the thread `known` of the same subject (RFC 5256 §3 (5) C)."""
    if known.row < 0 and node.row < 0:
        for child in node.children:
            _adopt(known, child)
    elif known.row < 0 or (replies[node.row] and not replies[known.row]):
        _adopt(known, node)
    else:
        both = Node()
        both.sent = min(known.sent, node.sent)
        place = next((i for i, root in enumerate(merged) if root is known), -1)
        if place >= 0:
            merged[place] = both
        else:
            merged.append(both)
        _adopt(both, known)
        _adopt(both, node)
        table[subject] = both


def render_threads(top: list[Node], number: Callable[[int], int]) -> bytes:
    """`(2)(3 6 (4 23)(44 7 96))` (RFC 5256 §4)."""
    out: list[bytes] = []
    waiting: list[Node | bytes] = []
    for root in top:
        waiting.append(b")")
        waiting.append(root)
        out.append(b"(")
        is_first = True
        while waiting:
            item = waiting.pop()
            if isinstance(item, bytes):
                out.append(item)
                if item == b"(":
                    is_first = True
                continue
            if item.row >= 0:
                out.append(b"%d" % number(item.row) if is_first else b" %d" % number(item.row))
                is_first = False
            if len(item.children) == 1:
                waiting.append(item.children[0])
            elif item.children:
                if item.row >= 0:
                    out.append(b" ")
                for child in reversed(item.children):
                    waiting += [b")", child, b"("]
    return b"".join(out)
