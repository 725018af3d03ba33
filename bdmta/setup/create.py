"""A working site in an empty folder."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

from bdmta.clock import Clock
from bdmta.config import Config, parse
from bdmta.config.render import render_toml
from bdmta.config.shipped import shipped
from bdmta.errors import BdmtaError
from bdmta.setup import certificate, dkim
from bdmta.setup.accounts import Account
from bdmta.site import Site
from storage.files import fsync_dir


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What `init` was asked for. `domains`: the primary one first. `hostname` empty: `mail.<primary domain>`."""

    folder: str
    domains: tuple[str, ...]
    addresses: tuple[str, ...] = ("127.0.0.1",)
    base_port: int = 0
    hostname: str = ""
    is_demo: bool = False


def create_site(wish: Wish, clock: Clock) -> tuple[Site, Sequence[Account]]:
    """Write a working site into `wish.folder`, empty or absent; the site, and a demonstration's accounts.

    All or nothing: what was written is taken away again when it fails. Raises BdmtaError when the folder has anything
    in it, ConfigError when the wish makes no valid configuration (nothing is written then).
    """
    folder = os.path.abspath(wish.folder)
    text = _configuration(wish)
    config = parse(tomllib.loads(text), folder=folder)
    was_there = _claim(folder)
    try:
        site = Site(config, os.path.join(folder, "bdmta.toml"))
        _write(site.config_path, text.encode(), mode=0o644)
        with open(shipped("policies.toml"), "rb") as file:
            _write(config.policies.file, file.read(), mode=0o644)
        site.create_folders()
        _write_keys(config, clock)
        accounts = _fill(site, wish, clock)
        for written in (site.config_dir, site.tls_dir, site.dkim_dir):
            fsync_dir(written)
    except BaseException:
        _give_back(folder, was_there)
        raise
    return site, accounts


def _configuration(wish: Wish) -> str:
    values: dict[str, dict[str, object]] = {
        "server": {"hostname": wish.hostname or f"mail.{wish.domains[0]}"},
        "listen": {"addresses": list(wish.addresses), "base_port": wish.base_port},
        "mail": {"domains": list(wish.domains), "root": "mail", "postmaster": f"postmaster@{wish.domains[0]}"},
    }
    if wish.is_demo:
        values["requests"] = {"address": f"yeucau@{wish.domains[0]}"}
    return render_toml(values)


def _claim(folder: str) -> bool:
    try:
        os.makedirs(folder, mode=0o700)
        return False
    except FileExistsError:
        pass
    if not os.path.isdir(folder):
        raise BdmtaError(f"{folder}: is not a folder")
    if os.listdir(folder):
        raise BdmtaError(f"{folder}: is not empty; init writes into an empty or absent folder only")
    return True


def _give_back(folder: str, was_there: bool) -> None:
    if not was_there:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            os.unlink(entry.path)


def _write_keys(config: Config, clock: Clock) -> None:
    authority = certificate.make_authority(config.primary_domain, clock)
    names = list(dict.fromkeys([config.server.hostname, "localhost", "127.0.0.1", "::1", *_own_addresses(config)]))
    cert, key = certificate.make_server_certificate(authority, names, clock)
    tls_dir = os.path.dirname(config.tls.cert)
    os.makedirs(tls_dir, mode=0o755, exist_ok=True)
    _write(os.path.join(tls_dir, "ca.pem"), authority.cert_pem, mode=0o644)
    _write(os.path.join(tls_dir, "ca-key.pem"), authority.key_pem, mode=0o600)
    _write(config.tls.cert, cert, mode=0o644)
    _write(config.tls.key, key, mode=0o600)
    os.makedirs(config.dkim.dir, mode=0o700, exist_ok=True)
    _write(os.path.join(config.dkim.dir, f"{config.dkim.selector}.pem"), dkim.make_key(), mode=0o600)


def _own_addresses(config: Config) -> list[str]:
    return [address for address in config.listen.addresses if address not in ("0.0.0.0", "::")]  # noqa: S104


def _fill(site: Site, wish: Wish, clock: Clock) -> Sequence[Account]:
    """The databases, the postmaster's mailbox (RFC 2142), and a demonstration's people."""
    from bdmta.setup.demo import people
    from bdmta.setup.population import populate

    return populate(site, people(site.config.primary_domain) if wish.is_demo else None, clock)


def _write(path: str, octets: bytes, *, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)  # whatever the umask took or left
        file.write(octets)
        file.flush()
        os.fsync(fd)
