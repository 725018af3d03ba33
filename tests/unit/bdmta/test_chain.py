"""The chain: order, modes, errors, time limits, verdicts by recipient, fresh modules at each load."""

import asyncio
from pathlib import Path

import pytest
import structlog

from bdmta.chain import load_chain
from bdmta.errors import ConfigError
from bdmta.message import scan
from bdmta.policy import Direction, Facts, Services, Stage
from bdmta.testing import FakeClock
from bdmta.testing.policy import MemoryState

LETTER = b"From: <a@example.org>\r\nSubject: x\r\n\r\nbody\r\n"

ONE = """
from dataclasses import dataclass
from bdmta.policy import *
@dataclass(frozen=True)
class Config:
    say: str = option("pass", "What to say.")
    to: tuple[str, ...] = option((), "Whom it is about.")
class Policy:
    stages = frozenset({Stage.DATA})
    def __init__(self, config, services):
        self.config, self.services = config, services
    async def decide(self, stage, facts):
        said = {"text": "no", "text_vi": "Không được", "recipients": frozenset(self.config.to) or None}
        match self.config.say:
            case "reject": return Reject(**said)
            case "defer": return Defer(**said)
            case "quarantine": return Quarantine(**said)
            case "annotate": return Annotate((("X-Seen", "1"),))
            case "rewrite": return Rewrite(bytes(facts.message.octets).replace(b"body", b"BODY"))
            case "accept": return Accept()
            case "raise": raise RuntimeError("broken")
            case "hang":
                import asyncio
                await asyncio.Event().wait()
            case "nonsense": return "250 OK"
            case "needs-BODY": return Pass() if b"BODY" in facts.message.octets else Reject(**said)
        return Pass()
"""


@pytest.fixture
def chain_of(tmp_path):
    (tmp_path / "one.py").write_text(ONE)

    def make(*tables: str):
        text = "".join(f'[[policy]]\nuse = "one.py"\nname = "p{n}"\n{table}\n' for n, table in enumerate(tables))
        return load(tmp_path, text)

    return make


def load(folder: Path, text: str):
    path = folder / "policies.toml"
    path.write_text(text)
    clock = FakeClock()

    def services(name):
        return Services(clock=clock, examiner=None, state=MemoryState(clock), log=structlog.get_logger())

    return load_chain(path, services, structlog.get_logger())


def rule(chain, rcpt=("a@b.vn", "c@b.vn"), direction=Direction.INBOUND):
    facts = Facts(
        direction=direction, received_at=FakeClock().now(), reference="r1", rcpt_to=rcpt, message=scan(LETTER),
        mail_from="x@y.vn", size=len(LETTER),
    )  # fmt: skip
    return asyncio.run(chain.rule(Stage.DATA, facts))


def options(say, to=(), extra=""):
    return f'{extra}\n[policy.options]\nsay = "{say}"\nto = {list(to)}'


def test_the_first_refusal_ends_the_chain(chain_of):
    ruling = rule(chain_of(options("pass"), options("reject"), options("raise")))
    assert (ruling.verdict, ruling.refused_by, len(ruling.steps)) == ("reject", "p1", 2)
    assert ruling.reply().encode() == b"550-5.7.1 no (ref r1)\r\n550 5.7.1 Khong duoc\r\n"


def test_a_later_reject_wins_over_quarantine(chain_of):
    assert rule(chain_of(options("quarantine"), options("reject"))).verdict == "reject"
    ruling = rule(chain_of(options("quarantine"), options("pass")))
    assert (ruling.verdict, ruling.quarantined) == ("quarantine", {"a@b.vn", "c@b.vn"})


def test_accept_ends_the_stage(chain_of):
    assert rule(chain_of(options("accept"), options("reject"))).verdict == "accept"


@pytest.mark.parametrize(
    ("on_error", "verdict"),
    [("defer", "defer"), ("pass", "accept"), ("reject", "reject"), ("quarantine", "quarantine")],
)
@pytest.mark.parametrize("say", ["raise", "hang", "nonsense"])
def test_what_fails_becomes_on_error(chain_of, say, on_error, verdict):
    ruling = rule(chain_of(options(say, extra=f'timeout_s = 0.05\non_error = "{on_error}"')))
    assert ruling.verdict == verdict
    assert ruling.steps[0].error
    if verdict == "defer":
        assert ruling.reply().encode().startswith(b"451-4.3.0 ")
        assert b"broken" not in ruling.reply().encode() and b"RuntimeError" not in ruling.reply().encode()


def test_a_rewritten_letter_is_what_later_policies_see(chain_of):
    ruling = rule(chain_of(options("rewrite"), options("needs-BODY")))
    assert (ruling.verdict, ruling.rewritten_by) == ("accept", ["p0"])
    assert bytes(ruling.facts.message.octets).endswith(b"BODY\r\n")


def test_observe_records_and_does_nothing(chain_of):
    chain = chain_of(
        *(options(say, extra='mode = "observe"') for say in ("reject", "rewrite", "annotate", "quarantine"))
    )
    ruling = rule(chain)
    assert (ruling.verdict, ruling.headers, ruling.rewritten_by, ruling.quarantined) == ("accept", [], [], set())
    assert [step.name for step in ruling.steps] == ["reject", "rewrite", "annotate", "quarantine"]


def test_warn_marks_the_letter(chain_of):
    ruling = rule(chain_of(options("reject", extra='mode = "warn"')))
    assert (ruling.verdict, ruling.headers) == ("accept", [("X-Bdmta-Warning", "p0: Không được")])


def test_modes_differ_by_direction(chain_of):
    chain = chain_of(options("reject", extra='mode = { inbound = "off", submission = "enforce" }'))
    assert rule(chain).verdict == "accept" and not rule(chain).steps
    assert rule(chain, direction=Direction.SUBMISSION).verdict == "reject"


def test_a_verdict_about_some_recipients(chain_of):
    ruling = rule(chain_of(options("reject", ["a@b.vn"])))
    assert (ruling.verdict, ruling.quarantined) == ("quarantine", {"a@b.vn"})
    ruling = rule(chain_of(options("reject", ["a@b.vn"]), options("defer", ["c@b.vn"])))
    assert ruling.verdict == "reject"  # nobody is left: the first refusal is the reply


def test_a_reload_reads_the_code_anew(tmp_path):
    (tmp_path / "one.py").write_text(ONE)
    text = '[[policy]]\nuse = "one.py"\n[policy.options]\nsay = "reject"\n'
    old = load(tmp_path, text)
    (tmp_path / "one.py").write_text(ONE.replace('"no"', '"changed"'))
    new = load(tmp_path, text)
    assert rule(old).refusal.text == "no"
    assert rule(new).refusal.text == "changed"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[[policy]]\n", "[[policy]] 1: use: missing"),
        ('[[policy]]\nuse = "policies.sendr"\n', "no module policies.sendr; known: policies."),
        ('[[policy]]\nuse = "one.py"\nmod = "warn"\n', "mod: unknown key; did you mean mode?"),
        ('[[policy]]\nuse = "one.py"\nmode = "wran"\n', "mode: 'wran'; one of off, observe, warn, enforce"),
        (
            '[[policy]]\nuse = "one.py"\nmode = { inbond = "warn" }\n',
            "mode: inbond: unknown key; did you mean inbound?",
        ),
        (
            '[[policy]]\nuse = "one.py"\n[policy.options]\nsya = "x"\n',
            "[policy.options]: sya: unknown key; did you mean say?",
        ),
        ('[[policy]]\nuse = "one.py"\n[policy.options]\nsay = 3\n', "[policy.options] say: "),
        ('[[policy]]\nuse = "one.py"\n[[policy]]\nuse = "one.py"\n', "the name one is taken"),
        ('[[policy]]\nuse = "one.py"\ntimeout_s = 0\n', "timeout_s: 0"),
        ('[[policy]]\nuse = "one.py"\non_error = "x"\n', "on_error: 'x'; one of defer"),
        ('[[policy]]\nuse = "broken.py"\n', "use: broken.py: SyntaxError"),
        ('[[policy]]\nuse = "absent.py"\n', "absent.py: No such file"),
        ('[[polcy]]\nuse = "one.py"\n', "polcy: unknown table"),
        ("not toml", "not TOML"),
    ],
)
def test_a_wrong_file_says_where(tmp_path, text, wanted):
    (tmp_path / "one.py").write_text(ONE)
    (tmp_path / "broken.py").write_text("def\n")
    with pytest.raises(ConfigError, match="policies.toml") as error:
        load(tmp_path, text)
    assert wanted in str(error.value) and "\n" not in str(error.value)
