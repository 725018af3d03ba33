"""Listeners that differ by network (Điều 4): the government's WAN and the Internet."""

import pytest

from tests.site import SiteUnderTest
from tests.system.wire import OUTSIDE, Wire, here, letter

STRICT = """
from dataclasses import dataclass
from bdmta.policy import Reject, Stage

@dataclass(frozen=True)
class Config:
    pass

class Policy:
    stages = frozenset({Stage.MAIL})

    def __init__(self, config, services):
        pass

    async def decide(self, stage, facts):
        return Reject(text=f"not through {facts.listener}", text_vi="Không qua cổng này")
"""


@pytest.fixture(scope="module")
def two_networks(tmp_path_factory):
    site = SiteUnderTest(tmp_path_factory.mktemp("networks"), {"dns": {"servers": "[]"}})
    wan, internet = site.port("smtp"), site.port("submission")
    (site.folder / "strict.toml").write_text('[[policy]]\nuse = "./strict.py"\n')
    (site.folder / "strict.py").write_text(STRICT)
    site.config.write_text(
        site.config.read_text()
        + f"""
[[listener]]
name = "wan"
protocol = "smtp"
addresses = ["127.0.0.1"]
port = {wan}
networks = ["127.0.0.16/28"]
hostname = "mail.tslcd.example"
max_message_octets = 100000

[[listener]]
name = "internet"
protocol = "smtp"
addresses = ["127.0.0.1"]
port = {internet}
policies = "strict.toml"
"""
    )
    site.start(workers=1)
    yield site
    assert site.stop() == 0, site.log()


def test_a_listener_serves_its_networks_only(two_networks):
    with Wire(two_networks, "smtp", source="127.0.0.17") as wire:
        assert "mail.tslcd.example" in wire.greeting.text
        assert "SIZE 100000" in wire.ehlo.text
        assert wire.deliver(letter("qua WAN"), here("minhnv")).code == 250
    with Wire(two_networks, "smtp", source="127.0.0.33") as stranger:
        assert stranger.greeting.code == 554
        assert stranger.is_closed()


def test_a_listener_has_policies_of_its_own(two_networks):
    with Wire(two_networks, "submission", source="127.0.0.33") as wire:
        assert "mail.binhduong.gov.vn" in wire.greeting.text
        answer = wire.ask(f"MAIL FROM:<{OUTSIDE}>")
        assert answer.code == 550
        assert "not through internet" in answer.text
