"""Marks and quarantine of CONNECT, MAIL and RCPT reach the letter that comes after."""

import smtplib

POLICY = '''
from dataclasses import dataclass
from bdmta.policy import *

@dataclass(frozen=True)
class Config:
    """None."""

class Policy:
    """Speaks at every stage before the letter."""
    stages = frozenset({Stage.CONNECT, Stage.MAIL, Stage.RCPT})
    def __init__(self, config, services): ...
    async def decide(self, stage, facts):
        if stage is Stage.CONNECT:
            return Annotate((("X-Bdmta-Seen", "connect"),))
        if stage is Stage.MAIL and facts.mail_from == "all@example.org":
            return Quarantine(text="bulk", text_vi="Thư hàng loạt")
        if stage is Stage.RCPT and facts.recipient == "khaintm@binhduong.gov.vn":
            return Quarantine(text="not for her", text_vi="Không dành cho chị")
        return Pass()
'''
LETTER = "From: a@example.org\r\nSubject: x\r\n\r\nbody\r\n"
BOTH = ["minhnv@binhduong.gov.vn", "khaintm@binhduong.gov.vn"]


def test_they_reach_the_letter(own_site):
    site = own_site()
    (site.folder / "early.py").write_text(POLICY)
    chain = site.folder / "policies.toml"
    chain.write_text('[[policy]]\nuse = "early.py"\n' + chain.read_text())
    site.start()
    with smtplib.SMTP("127.0.0.1", site.port("smtp")) as client:
        client.sendmail("some@example.org", BOTH, LETTER)
        client.sendmail("all@example.org", BOTH, LETTER)
    assert [len(site.letters("minhnv")), len(site.letters("minhnv", ".Junk"))] == [1, 1]
    assert [len(site.letters("khaintm")), len(site.letters("khaintm", ".Junk"))] == [0, 2]
    assert all(letter.count(b"X-Bdmta-Seen: connect") == 1 for letter in site.letters("khaintm", ".Junk"))
