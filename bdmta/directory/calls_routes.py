"""Aliases and groups: what can be asked of them by name."""

from __future__ import annotations

from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from storage.directory_rows import Alias, Group


@call
def alias_add(service: DirectoryService, *, address: str, targets: list[str]) -> Json:
    """Make `address` lead to `targets`."""
    own = service.own_address(address)
    with service.change() as change:
        change.add_alias(own, [service.target_address(target) for target in targets])
    return _shown_alias(Alias(address=own, targets=service.directory.targets(own)))


@call
def alias_list(service: DirectoryService, *, target: str | None = None) -> list[Json]:
    """All aliases, or those that lead straight to `target`."""
    wanted = None if target is None else service.target_address(target)
    return [_shown_alias(alias) for alias in service.directory.aliases(wanted)]


@call
def alias_remove(service: DirectoryService, *, address: str, rest_days: int | None = None) -> None:
    """Remove an alias; its address rests for `rest_days` (0: free at once)."""
    own = service.own_address(address)
    with service.change() as change:
        change.remove_alias(own, rest_days=service.rest_days if rest_days is None else rest_days)


@call
def address_release(service: DirectoryService, *, address: str) -> None:
    """End the rest of a retired address."""
    own = service.own_address(address)
    with service.change() as change:
        change.release(own)


def _shown_alias(alias: Alias) -> Json:
    return {"address": alias.address, "targets": list(alias.targets)}


@call
def group_add(
    service: DirectoryService,
    *,
    address: str,
    name: str = "",
    members: list[str] | None = None,
    owner: str | None = None,
) -> Json:
    """Make a group; its members are mailboxes, aliases, groups here, or addresses outside."""
    own = service.own_address(address)
    who = None if owner is None else service.own_address(owner)
    with service.change() as change:
        change.add_group(own, name or own, [service.target_address(member) for member in members or []], who)
    return _shown_group(service.directory.group(own))


@call
def group_list(service: DirectoryService) -> list[Json]:
    """All groups."""
    return [_shown_group(group) for group in service.directory.groups()]


@call
def group_members(
    service: DirectoryService, *, address: str, add: list[str] | None = None, remove: list[str] | None = None
) -> list[str]:
    """The members of a group, after adding and removing some."""
    own = service.own_address(address)
    if add or remove:
        with service.change() as change:
            change.change_members(
                own,
                [service.target_address(member) for member in add or []],
                [service.target_address(member) for member in remove or []],
            )
    return list(service.directory.group(own).members)


@call
def group_remove(service: DirectoryService, *, address: str, rest_days: int | None = None) -> None:
    """Remove a group; its address rests for `rest_days` (0: free at once)."""
    own = service.own_address(address)
    with service.change() as change:
        change.remove_group(own, rest_days=service.rest_days if rest_days is None else rest_days)


def _shown_group(group: Group) -> Json:
    return {"address": group.address, "name": group.name, "owner": group.owner, "members": list(group.members)}
