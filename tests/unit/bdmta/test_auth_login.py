"""Logins: devices and their scopes, initial passwords that end, sessions that a change ends."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from bdmta.auth import Authenticator, Failure, Login
from bdmta.auth.login import WEB
from bdmta.directory.calls import REGISTRY
from bdmta.directory.service import DirectoryService
from bdmta.directory.snapshot import SnapshotWatch
from bdmta.limits import Throttle
from bdmta.testing.clock import FakeClock
from storage.directory import Directory

D = "binhduong.gov.vn"
MINH, AGENCY = f"minhnv@{D}", f"sotttt@{D}"
DAY = timedelta(days=1)


class House:
    """A directory and the one who checks logins against it."""

    def __init__(self, tmp_path: Path, initial_days: float = 7) -> None:
        self.clock = FakeClock()
        self.service = DirectoryService(
            directory=Directory.open(str(tmp_path / "d.db"), self.clock), clock=self.clock,
            mail_root=str(tmp_path / "mail"), snapshot_path=str(tmp_path / "snapshot"),
            password_key_path=str(tmp_path / "key"), postmaster=f"postmaster@{D}",
        )  # fmt: skip
        with self.service.change() as change:
            change.set_domains([D])
        self.waited: list[float] = []
        self.auth = Authenticator(
            SnapshotWatch(self.service.snapshot_path, self.clock), self.service.passwords,
            Throttle(str(tmp_path / "throttle"), self.clock, 30), self.clock, ThreadPoolExecutor(1),
            structlog.get_logger(), sleep=self._sleep, initial_s=initial_days * 86_400, change_at=": https://x/",
        )  # fmt: skip

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    def ask(self, name: str, /, **arguments):
        return REGISTRY[name](self.service, **arguments)

    def ask_audit(self, subject: str) -> dict:
        """What the newest act upon `subject` changed."""
        return json.loads(self.service.directory.audit(subject=subject, limit_count=1)[0].before)

    def login(self, user: str, password: str, protocol: str = "imap") -> Login | Failure:
        self.clock.advance(2)  # the snapshot is looked at once a second
        return asyncio.run(self.auth.login(user, password, "192.0.2.1", protocol))


@pytest.fixture
def house(tmp_path: Path):
    made = House(tmp_path)
    made.ask("mailbox_add", address=MINH, name="Nguyễn Văn Minh", password="Mat-khau-2026")
    made.ask("mailbox_add", address=AGENCY, name="Sở TTTT", kind="agency", password="Mat-khau-2027")
    yield made
    made.service.close()


def test_a_device_opens_what_its_scope_says_and_gives_its_name(house: House):
    made = house.ask("app_password_add", address=AGENCY, label="Máy 1", scope=["imap", "smtp"], holder=MINH)
    found = house.login(AGENCY, made["password"])
    assert isinstance(found, Login) and not found.must_change
    assert (found.account.device, found.account.holder) == ("Máy 1", MINH)
    assert found.detail() == {"app": 1, "device": "Máy 1", "holder": MINH}
    assert isinstance(house.login(AGENCY, made["password"], "smtp"), Login)
    assert house.login(AGENCY, made["password"], "pop3") == Failure("scope")
    own = house.login(AGENCY, "Mat-khau-2027")
    assert isinstance(own, Login) and own.detail() == {}


def test_the_pages_take_no_application_password(house: House):
    made = house.ask("app_password_add", address=MINH, label="điện thoại")
    assert house.login(MINH, made["password"], WEB) == Failure("scope")
    assert isinstance(house.login(MINH, "Mat-khau-2026", WEB), Login)


def test_a_revoked_device_is_out_at_once_and_its_sessions_end(house: House):
    one = house.ask("app_password_add", address=MINH, label="một")
    two = house.ask("app_password_add", address=MINH, label="hai")
    first, second = house.login(MINH, one["password"]), house.login(MINH, two["password"])
    own = house.login(MINH, "Mat-khau-2026")
    house.ask("app_password_remove", address=MINH, label="một")
    house.clock.advance(2)
    assert [found.holds() for found in (first, second, own)] == [False, True, True]
    assert house.login(MINH, one["password"]) == Failure("password")  # it was in the cache
    assert isinstance(house.login(MINH, two["password"]), Login)


def test_a_changed_password_and_a_suspension_end_sessions_and_a_better_hash_does_not(house: House):
    found, app = house.login(MINH, "Mat-khau-2026"), house.ask("app_password_add", address=MINH, label="một")
    phone = house.login(MINH, app["password"])
    from bdmta.directory.passwords import hash_password

    house.service.directory.mailbox(MINH)
    with house.service.change() as change:
        was = house.service.directory.mailbox(MINH).password_hash
        assert change.renew_hash(MINH, was, hash_password("Mat-khau-2026"))
    house.clock.advance(2)
    assert found.holds() and phone.holds()
    house.ask("mailbox_password", address=MINH, password="Mat-khau-2030")
    house.clock.advance(2)
    assert (found.holds(), phone.holds()) == (False, True)
    house.ask("mailbox_status", address=MINH, status="suspended")
    house.clock.advance(2)
    assert not phone.holds()


def test_a_clerk_who_leaves_takes_the_devices_along(house: House):
    made = house.ask("app_password_add", address=AGENCY, label="Máy 1", holder=MINH)
    house.ask("mailbox_status", address=MINH, status="suspended")
    assert house.login(AGENCY, made["password"]) == Failure("password")
    house.ask("mailbox_status", address=MINH, status="active")
    assert isinstance(house.login(AGENCY, made["password"]), Login)
    house.ask("delegate_add", address=AGENCY, delegate=MINH)
    house.ask("mailbox_status", address=MINH, status="closed")
    act = house.ask_audit(MINH)
    assert act == {"status": "active", "devices": [f"{AGENCY}: Máy 1"], "acted_for": [AGENCY]}
    assert house.ask("app_password_list", address=AGENCY) == []


def test_one_who_acts_no_longer_for_the_agency_has_no_device_there(house: House):
    house.ask("delegate_add", address=AGENCY, delegate=MINH)
    house.ask("app_password_add", address=AGENCY, label="Máy 1", holder=MINH)
    house.ask("app_password_add", address=AGENCY, label="Máy 2", holder="Trần Thị Lan")
    house.ask("delegate_remove", address=AGENCY, delegate=MINH)
    assert [app["label"] for app in house.ask("app_password_list", address=AGENCY)] == ["Máy 2"]


def test_an_initial_password_opens_the_mail_for_some_days_and_the_page_always(house: House):
    made = house.ask("mailbox_password", address=MINH, generate_password=True)["password"]
    found = house.login(MINH, made)
    assert isinstance(found, Login) and found.must_change
    house.clock.advance(7 * 86_400)
    for _ in range(5):
        refused = house.login(MINH, made)
    assert refused == Failure("initial", "The initial password must be changed first: https://x/")
    assert house.waited == []  # nobody guesses here
    page = house.login(MINH, made, WEB)
    assert isinstance(page, Login) and page.must_change
    house.ask("mailbox_password", address=MINH, password="Mat-khau-2031")
    assert isinstance(house.login(MINH, "Mat-khau-2031"), Login)


def test_with_no_days_an_initial_password_opens_the_page_only(tmp_path: Path):
    house = House(tmp_path, initial_days=0)
    made = house.ask("mailbox_add", address=MINH, name="Minh", generate_password=True)["password"]
    assert house.login(MINH, made, "smtp").reason == "initial"
    assert isinstance(house.login(MINH, made, WEB), Login)
    house.service.close()
