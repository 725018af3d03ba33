"""Senders rewritten and back, settings of mailboxes, and to whom one who is away does not answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.message.headers import read_headers
from bdmta.message.limits import Limits
from bdmta.queue.absence import may_answer
from bdmta.queue.srs import VALID_DAYS, SenderRewriting, make_srs_key
from bdmta.testing.clock import FakeClock
from storage.directory_forwarding import Forwarding, ForwardingWatch, change_forwarding, read_forwarding
from storage.errors import Corrupt, Invalid

OURS = "cv@binhduong.gov.vn"
_LOCAL = st.from_regex(r"[a-z0-9][a-z0-9.+_-]{0,15}[a-z0-9]", fullmatch=True).filter(lambda t: ".." not in t)
_DOMAIN = st.from_regex(r"[a-z0-9]{1,10}\.(example|vn)", fullmatch=True)


@pytest.fixture(scope="module")
def rewriting(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("srs") / "srs.key")
    make_srs_key(path)
    clock = FakeClock()
    return SenderRewriting(path, lambda domain: domain == "binhduong.gov.vn", clock), clock


@given(local=_LOCAL, domain=_DOMAIN, shouts=st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_sender_is_rewritten_and_found_again(rewriting, local, domain, shouts):
    srs, _ = rewriting
    made = srs.sender(f"{local}@{domain}", OURS)
    rewritten, _, ours = made.rpartition("@")
    assert ours == "binhduong.gov.vn"
    assert srs.original(rewritten.upper() if shouts else rewritten).lower() == f"{local}@{domain}"


def test_what_another_forwarder_wrote_goes_back_to_it(rewriting):
    srs, _ = rewriting
    made = srs.sender("SRS0=xx=yy=first.example=lan@second.example", OURS)
    assert made.startswith("SRS1=")
    assert srs.original(made.rpartition("@")[0]) == "SRS0=xx=yy=first.example=lan@second.example"


def test_forged_and_old_ones_lead_nowhere(rewriting):
    srs, clock = rewriting
    local = srs.sender("lan@else.example", OURS).rpartition("@")[0]
    assert srs.original(local.replace("lan", "eve")) is None
    assert srs.original("SRS0=aaaaaaaa=aa=else.example=lan") is None
    assert srs.original("lan") is None
    clock.advance((VALID_DAYS + 1) * 86_400)
    assert srs.original(local) is None


@pytest.mark.parametrize("sender", ["", "minhnv@binhduong.gov.vn", f"{'x' * 50}@else.example", '"a b"@else.example'])
def test_what_stays_as_it_is(rewriting, sender):
    assert rewriting[0].sender(sender, OURS) == sender


def test_without_a_key_nothing_is_ours(tmp_path):
    srs = SenderRewriting(str(tmp_path / "none"), lambda _: False, FakeClock())
    assert srs.original("SRS0=aaaaaaaa=aa=else.example=lan") is None


def test_settings_are_kept_and_seen(tmp_path):
    path, clock = str(tmp_path / "forwarding.json"), FakeClock()
    watch = ForwardingWatch(path, clock)
    assert watch.get("a@b") is None
    change_forwarding(path, "a@b", {"forward": ["c@d"], "absence": "Vắng mặt", "absence_until": 50.0})
    change_forwarding(path, "x@y", {"absence": "z"})
    clock.advance(2)
    settings = watch.get("a@b")
    assert settings == Forwarding(("c@d",), True, "Vắng mặt", 0.0, 50.0)
    assert settings.is_away(49)
    assert not settings.is_away(50)
    change_forwarding(path, "a@b", {"forward": [], "absence": "", "absence_until": 0.0})
    assert list(read_forwarding(path)) == ["x@y"]
    (tmp_path / "forwarding.json").write_text("{")
    with pytest.raises(Corrupt):
        read_forwarding(path)
    clock.advance(2)
    assert watch.get("a@b") == settings  # a broken file leaves what was known


@pytest.mark.parametrize("changes", [{"keeps": False}, {"forward": ["a@b"] * 11}, {"absence": "x" * 5001}])
def test_settings_that_are_refused(tmp_path, changes):
    with pytest.raises(Invalid):
        change_forwarding(str(tmp_path / "f.json"), "a@b", changes)


@pytest.mark.parametrize(
    ("sender", "fields", "answered"),
    [
        ("lan@else.example", "", True), ("", "", False), ("lan@else.example", "Auto-Submitted: no", True),
        ("lan@else.example", "Auto-Submitted: auto-generated (x)", False), ("lan@else.example", "List-Id: x", False),
        ("lan@else.example", "Precedence: Bulk", False), ("lan@else.example", "X-Auto-Response-Suppress: OOF", False),
        ("MAILER-DAEMON@else.example", "", False), ("owner-l@else.example", "", False),
        ("l-request@else.example", "", False), ("noreply@else.example", "", False),
        ("SRS0=a=b=c=d@else.example", "", False), ("list-bounces+x=y@else.example", "", False), ("not one", "", False),
    ],
)  # fmt: skip
def test_only_people_are_answered(sender, fields, answered):
    head = f"Subject: x\r\n{fields}\r\n".encode() if fields else b"Subject: x\r\n"
    assert may_answer(sender, read_headers(head, 0, len(head), Limits()).fields) is answered
