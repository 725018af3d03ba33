"""The two halves of `bdmta backup restore`: letters into a mailbox, and a whole site."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from bdmta.cli.context import config_path, current_site, print_json, say
from bdmta.cli.progress import bar
from bdmta.clock import SystemClock
from bdmta.errors import BdmtaError, ConfigError, UsageError

if TYPE_CHECKING:
    from bdmta.backup.choose import Wanted
    from bdmta.backup.whole import Roots, Whole
    from bdmta.site import Site
    from storage.backup.repository import Repository


def restore_letters(site: Site, wanted: Wanted, *, into: str, in_place: bool, as_json: bool) -> None:
    """Restore what is wanted of one mailbox, and say what was done. Exit code 1 when a letter is damaged."""
    from bdmta.backup.choose import choose
    from bdmta.backup.plan import require_running_as_owner
    from bdmta.backup.restoring import entry_of, require_mailbox, restore_mailbox, side_folder
    from bdmta.backup.taking import open_repository
    from bdmta.journals import replay_unserved
    from bdmta.log import quiet_log
    from bdmta.office.client import actor, call
    from bdmta.setup.inspection import is_running
    from storage.backup.place import folder_is_void
    from storage.maildir import mailbox_dir

    clock = SystemClock()
    rules, who = site.config.backup.may_restore, actor()
    require_running_as_owner(site)
    if not is_running(site):
        replay_unserved(site, quiet_log(site))
    if wanted.mailbox:
        _require(site, rules, who, wanted.mailbox)
    repository = open_repository(site)
    chosen = choose(repository, wanted, ZoneInfo(site.config.clock.timezone))
    if not wanted.mailbox:
        _require(site, rules, who, chosen.mailbox)
    require_mailbox(site, chosen.mailbox)
    is_void = not os.path.isdir(mailbox_dir(site.mail_root, chosen.mailbox)) or folder_is_void(
        mailbox_dir(site.mail_root, chosen.mailbox)
    )
    in_place = in_place or (not into and is_void and not wanted.is_of_letters)
    target = into or side_folder(site, clock)
    entry = entry_of(site, chosen.mailbox)
    asked = {
        "backup": chosen.backup.id, "folder": wanted.folder, "message_id": wanted.message_id, "sender": wanted.sender,
        "day": str(wanted.day or ""), "letters": chosen.letters, "into": "in place" if in_place else target,
        "agency": entry.agency if entry else "",
    }  # fmt: skip
    call(site, "audit_note", action="backup.restore", subject=chosen.mailbox, detail=asked)
    with bar("restoring", lambda: chosen.letters) as advance:
        done = restore_mailbox(
            site, repository, chosen, clock, into=target, in_place=in_place, of_letters=wanted.is_of_letters,
            progress=lambda letters, octets: advance(letters),
        )  # fmt: skip
    call(site, "audit_note", action="backup.restored", subject=chosen.mailbox,
         detail={key: value for key, value in done.as_json().items() if key not in ("mailbox", "problems")}
         | {"problems": len(done.problems)})  # fmt: skip
    if as_json:
        print_json(done.as_json())
    else:
        for folder, letters in done.folders.items():
            how = ", UIDs as they were" if folder in done.uids_kept or done.revived.get(folder) == letters else ""
            how = ", UIDVALIDITY raised" if folder in done.renumbered else how
            say(f"{chosen.mailbox} {folder}: {letters} letters restored from {chosen.backup.id}{how}")
        if done.present:
            say(f"{done.present} letters were there already")
        elif not done.letters and not done.problems:
            say(f"{chosen.mailbox}: nothing to restore, {chosen.backup.id} has no letters of it")
    if done.problems:
        raise BdmtaError(f"{len(done.problems)} letters could not be restored: {done.problems[0]}")


def _require(site: Site, rules: Any, who: str, mailbox: str) -> None:
    """Refuse whoever may not; the refusal is on record too."""
    from bdmta.backup.allowed import require
    from bdmta.backup.restoring import entry_of
    from bdmta.office.client import call

    entry = entry_of(site, mailbox)
    try:
        require(rules, who, mailbox, entry.agency if entry else "")
    except BdmtaError:
        call(site, "audit_note", action="backup.restore refused", subject=mailbox)
        raise


def restore_whole(
    *, backup_id: str, before: str, onto: str, source: str, keys: str, passphrase_file: str, holds_queue: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Restore a site: into `onto`, else where the configuration says, when nothing is there."""
    from bdmta.backup.allowed import require
    from bdmta.backup.choose import parse_time
    from bdmta.backup.plan import read_secret
    from bdmta.backup.whole import Roots, adapt_config, require_void, restore_site
    from bdmta.office.client import actor

    site = _site_or_none(needed=not (source and onto))
    if site is not None:
        require(site.config.backup.may_restore, actor(), "", "")
    repository = _repository(site, source)
    clock = SystemClock()
    zone = ZoneInfo(site.config.clock.timezone if site is not None else "Asia/Ho_Chi_Minh")
    roots = Roots.below(onto) if onto else Roots.of(_given(site))
    if onto and os.path.isdir(onto) and os.listdir(onto):
        raise BdmtaError(f"{onto}: is not empty; a site is restored onto an empty or absent folder")
    require_void(roots)
    if not onto:
        _require_not_running(_given(site))
    keys = keys or (site.config.backup.keys_dir if site is not None else "")
    given_passphrase = passphrase_file or (site.config.backup.passphrase_file if site is not None else "")
    secret = read_secret(given_passphrase) if given_passphrase else b""
    os.makedirs(roots.data, mode=0o700, exist_ok=True)
    os.makedirs(roots.mail, mode=0o700, exist_ok=True)
    letters = repository.taken()[-1].letters if repository.taken() else 0
    with bar("restoring", lambda: letters) as advance:
        done = restore_site(
            repository, roots, clock, backup_id=backup_id, before=parse_time(before, zone) if before else None,
            keys_dir=keys if os.path.isdir(keys) else "", passphrase=secret, holds_queue=holds_queue,
            keeps_config=not onto, progress=lambda count, octets: advance(count),
        )  # fmt: skip
    if onto:
        for line in adapt_config(onto):
            done.to_do.append(f"bdmta.toml: {line} is a comment now, so that everything is below {onto}")
    _finish(done, roots, onto, site)
    _say(done, onto, as_json=as_json)


def _finish(done: Whole, roots: Roots, onto: str, site: Site | None) -> None:
    from bdmta.backup.whole import give_to_server, missing_keys, settle
    from bdmta.office import client, wire
    from bdmta.service.privileges import as_user
    from bdmta.site import Site

    restored = Site.open(os.path.join(onto, "bdmta.toml")) if onto else _given(site)
    restored.create_folders()
    give_to_server(restored, roots, done)
    server = restored.config.server

    def settled() -> bytes:
        try:
            settle(restored, done, SystemClock(), client.actor(), client.grounds())
        except BdmtaError as error:
            return wire.failure(error)
        return wire.result(None)

    wire.unpack(as_user(server.user, server.group, settled))
    done.to_do += missing_keys(restored)
    if done.held:
        done.to_do.append(
            f"{done.held} letters for outside are held: most were sent since; `bdmta queue list`, then release or drop"
        )


def _say(done: Whole, onto: str, *, as_json: bool) -> None:
    if as_json:
        print_json(done.as_json())
    else:
        where = f" onto {onto}" if onto else ""
        say(f"{done.backup.id}: {done.letters} letters, {done.files} files restored{where}")
        for line in done.to_do:
            say(f"  to do: {line}")
        for problem in done.problems:
            say(f"  not restored: {problem}")
    if done.problems:
        raise BdmtaError(f"{len(done.problems)} could not be restored: {done.problems[0]}")


def _site_or_none(*, needed: bool) -> Site | None:
    try:
        config_path()
    except ConfigError:
        if needed:
            raise UsageError("without a configuration give --from DIR (the backups) and --onto DIR") from None
        return None
    return current_site()


def _given(site: Site | None) -> Site:
    if site is None:
        raise UsageError("without a configuration give --onto DIR")
    return site


def _repository(site: Site | None, source: str) -> Repository:
    from bdmta.backup.taking import open_repository
    from storage.backup.repository import FolderRepository

    return FolderRepository(os.path.abspath(source)) if source else open_repository(_given(site))


def _require_not_running(site: Site) -> None:
    from bdmta.setup.inspection import is_running

    if is_running(site):
        raise BdmtaError("the site is being served: stop it first, or restore one mailbox with --mailbox")
