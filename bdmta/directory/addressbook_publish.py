"""Publishing the address book: files with a manifest, what changed since last time, and the ways to where it is read.

A target that holds what is to be published already is left alone; one that failed is tried again at the next run.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bdmta.directory.addressbook_site import files_of
from bdmta.directory.addressbook_targets import Access, TargetFailed, send
from bdmta.errors import BdmtaError
from storage.files import write_durable

Json = dict[str, Any]
MANIFEST, CHANGES = "manifest.json", "changes.json"
_SHOWN = 5_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What is published where. `state_dir`: what was published last, and the files as they were sent."""

    kind: str  # public or internal
    targets: tuple[str, ...]
    formats: tuple[str, ...]
    search_url: str
    state_dir: str
    access: Access


def digest_of(book: Json) -> str:
    """The same for two books with the same entries, whenever they were made."""
    told = json.dumps([book["domain"], book["agencies"], book["officials"]], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def differences(before: Json | None, after: Json) -> Json:
    """`added`, `removed`, `changed` (before and after) by address, at most 5000 each, with their whole counts.

    Without a `before` (the first time) nothing is listed: everything is new.
    """
    new = {one["address"]: one for one in (*after["agencies"], *after["officials"])}
    old = {one["address"]: one for one in (*before["agencies"], *before["officials"])} if before else {}
    added = [new[address] for address in sorted(new.keys() - old.keys())] if before else []
    removed = [old[address] for address in sorted(old.keys() - new.keys())]
    both = sorted(new.keys() & old.keys())
    changed = [{"before": old[one], "after": new[one]} for one in both if old[one] != new[one]]
    return {
        "since": before["generated_at"] if before else None, "at": after["generated_at"],
        "counts": {"added": len(added), "removed": len(removed), "changed": len(changed)},
        "added": added[:_SHOWN], "removed": removed[:_SHOWN], "changed": changed[:_SHOWN],
    }  # fmt: skip


def with_manifest(files: Mapping[str, bytes], book: Json, changes: Json, kind: str) -> dict[str, bytes]:
    """The files, what changed, and last the manifest: each file with its octets and SHA-256."""
    found = {**files, CHANGES: _json(changes)}
    listed = [
        {"name": name, "octets": len(octets), "sha256": hashlib.sha256(octets).hexdigest()}
        for name, octets in sorted(found.items())
    ]
    manifest = {
        "format": 1, "kind": kind, "domain": book["domain"], "generated_at": book["generated_at"],
        "digest": digest_of(book), "agencies": len(book["agencies"]), "officials": len(book["officials"]),
        "changes": changes["counts"], "files": listed,
    }  # fmt: skip
    return {**found, MANIFEST: _json(manifest)}


def publish(wish: Wish, book: Json, *, everything: bool = False) -> list[Json]:
    """Send the book to each target that lacks it, or to all; for each: target, done, error, files sent.

    One run at a time. What was published is remembered when every target has it, so that `changes.json` tells each of
    them the same.
    """
    with _alone(wish.state_dir):
        state_path = os.path.join(wish.state_dir, f"{wish.kind}.json")
        state = _read(state_path) or {"targets": {}, "book": None}
        digest = digest_of(book)
        held = state["targets"]
        waiting = [one for one in wish.targets if everything or held.get(one, {}).get("digest") != digest]
        if not waiting:
            return []
        changes = differences(state["book"], book)
        files = with_manifest(files_of(book, wish.formats, wish.search_url), book, changes, wish.kind)
        told = [_send(one, files, held, digest, book["generated_at"], wish.access) for one in waiting]
        state["targets"] = {one: held[one] for one in wish.targets if one in held}
        if all(one["done"] for one in told):
            state["book"] = {name: book[name] for name in ("generated_at", "agencies", "officials")}
        write_durable(state_path, _json(state))
        return told


def _send(
    target: str, files: Mapping[str, bytes], held: Json, digest: str, at: str, access: Access
) -> Json:  # fmt: skip
    known = held.get(target, {}).get("files", {})
    sums = {name: hashlib.sha256(octets).hexdigest() for name, octets in files.items()}
    try:
        sent = send(target, files, sums, known, access)
    except TargetFailed as error:
        # what it holds now is not known: everything is sent again
        held[target] = {"digest": "", "at": at, "files": {}, "error": str(error)[:500]}
        return {"target": target, "done": False, "error": str(error), "files": 0}
    held[target] = {"digest": digest, "at": at, "files": sums, "error": ""}
    return {"target": target, "done": True, "error": "", "files": sent}


def standing(state_dir: str, kind: str, targets: Sequence[str]) -> list[Json]:
    """What each target holds: target, published_at, error, digest."""
    state = _read(os.path.join(state_dir, f"{kind}.json")) or {"targets": {}}
    found = []
    for target in targets:
        one = state["targets"].get(target, {})
        found.append({"kind": kind, "target": target, "published_at": one.get("at"), "error": one.get("error", ""),
                      "digest": one.get("digest", "")})  # fmt: skip
    return found


@contextmanager
def _alone(state_dir: str) -> Iterator[None]:
    os.makedirs(state_dir, mode=0o700, exist_ok=True)
    fd = os.open(os.path.join(state_dir, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BdmtaError("the address book is being published at this moment") from None
    finally:
        os.close(fd)


def _read(path: str) -> Json | None:
    try:
        with open(path, encoding="utf-8") as file:
            found: Json = json.load(file)
        return found if isinstance(found.get("targets"), dict) else None
    except (FileNotFoundError, ValueError, AttributeError):
        return None  # then everything is published anew


def _json(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
