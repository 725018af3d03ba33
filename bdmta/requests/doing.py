"""Carrying out, from beside the office: what takes long is done here, what must be one transaction by its calls."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bdmta.backup.taking import take_backup
from bdmta.clock import Clock
from bdmta.directory.registry import Json
from bdmta.requests.export import count_letters, export_mailbox
from bdmta.site import Site
from storage.maildir import mailbox_dir
from storage.moving import move_letters

Ask = Callable[..., Any]
"""`ask(CALL, **arguments)`: the office, or the command itself while none runs."""


def carry_out(site: Site, clock: Clock, ask: Ask, number: str) -> Json:
    """Carry an approved request out, or go on with one that was begun; `request_show` of it. Repeat it at will.

    A mailbox that is to be closed is backed up and exported before; when either fails, it stays open.
    """
    with _turn(site):
        return _carry_out(site, clock, ask, number)


def _carry_out(site: Site, clock: Clock, ask: Ask, number: str) -> Json:
    begun = ask("request_begin", number=number)
    told = [f"backup {take_backup(site, clock)[0].id}"] if begun["export"] else []
    for address in begun["export"]:
        taken = _export(site, clock, number, address)
        told.append(f"{address}: {taken['letters']} letters, {taken['octets']} octets, {taken['tar']}")
    shown: Json = ask("request_finish", number=number, exported="; ".join(told))
    for one in ask("request_work"):
        if one["number"] == number:
            _work(site, clock, ask, one)
    return shown


def resume(site: Site, clock: Clock, ask: Ask) -> list[str]:
    """Go on with everything that was begun; the numbers. What fails is said by its own request's history."""
    numbers = []
    for one in ask("request_work"):
        with _turn(site):
            if one["state"] == "working":
                _carry_out(site, clock, ask, one["number"])
            else:
                ask("request_settle", number=one["number"])
                _work(site, clock, ask, one)
        numbers.append(one["number"])
    return numbers


@contextmanager
def _turn(site: Site) -> Iterator[None]:
    """One process at a time works with files: a command, or what the office started; freed when it dies."""
    fd = os.open(os.path.join(site.data_dir, "requests.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _work(site: Site, clock: Clock, ask: Ask, one: Json) -> None:
    for item in one["work"]:
        if item[0] == "drain":
            _drain(site, clock, ask, one["number"], item)
        elif item[0] == "export":
            _export_rest(site, clock, ask, one["number"], item)


def _drain(site: Site, clock: Clock, ask: Ask, number: str, item: list[Any]) -> None:
    """Move what came to the old place; finished when its time is over and nothing is left there."""
    _, old, new, below, until = item
    source, into = mailbox_dir(site.mail_root, old), mailbox_dir(site.mail_root, new)
    is_last = clock.time() >= until
    moved = move_letters(source, into, below)
    if is_last and not os.path.isdir(source):
        ask("request_worked", number=number, item=item, note=f"{moved} letters")


def _export_rest(site: Site, clock: Clock, ask: Ask, number: str, item: list[Any]) -> None:
    """What was delivered between the first export and the closing is in the second."""
    address = item[1]
    mailbox = mailbox_dir(site.mail_root, address)
    taken = _export(site, clock, number, address)
    if taken["letters"] == count_letters(mailbox):
        ask("request_worked", number=number, item=item, note=f"{taken['letters']} letters in {taken['tar']}")


def _export(site: Site, clock: Clock, number: str, address: str) -> Json:
    folder = os.path.join(site.backup_dir, "exports", number)
    return export_mailbox(mailbox_dir(site.mail_root, address), folder, address, clock.now().isoformat())
