"""Who is logged in on the pages, and how often somebody may ask: with a clock that a test moves."""

from bdmta.auth import Login
from bdmta.policy import Account
from bdmta.testing.clock import FakeClock
from bdmta.web.guard import Rate
from bdmta.web.sessions import SESSIONS_PER_ACCOUNT, Sessions


def login(address="minhnv@x.vn", holds=lambda: True):
    account = Account(address=address, kind="person", agency=None, may_send_as=frozenset({address}))
    return Login(account, holds=holds)


def test_a_session_ends_by_idling_and_by_age():
    clock = FakeClock()
    sessions = Sessions(clock, idle_s=900, longest_s=3600)
    token = sessions.begin(login())
    for _ in range(4):
        clock.advance(899)
        assert sessions.find(token).address == "minhnv@x.vn"
    clock.advance(5)
    assert sessions.find(token) is None  # an hour is over, however busy
    token = sessions.begin(login())
    clock.advance(901)
    assert sessions.find(token) is None
    assert sessions.find("") is None and sessions.find("x" * 10_000) is None


def test_a_session_ends_with_its_password():
    valid = [True]
    sessions = Sessions(FakeClock(), 900, 3600)
    token = sessions.begin(login(holds=lambda: valid[0]))
    valid[0] = False
    assert sessions.find(token) is None


def test_the_oldest_of_too_many_sessions_of_one_account_ends():
    sessions = Sessions(FakeClock(), 900, 3600)
    other = sessions.begin(login("other@x.vn"))
    tokens = [sessions.begin(login()) for _ in range(SESSIONS_PER_ACCOUNT + 1)]
    assert [sessions.find(token) is not None for token in tokens] == [False] + [True] * SESSIONS_PER_ACCOUNT
    assert sessions.find(other) is not None
    sessions.end_all_of("minhnv@x.vn")
    assert not any(sessions.find(token) for token in tokens) and sessions.find(other)


def test_words_of_forms_and_cookies_are_all_different():
    sessions = Sessions(FakeClock(), 900, 3600)
    tokens = [sessions.begin(login(f"a{n}@x.vn")) for n in range(50)]
    words = {sessions.find(token).csrf for token in tokens} | set(tokens)
    assert len(words) == 100 and min(map(len, words)) >= 43


def test_a_network_asks_so_often_a_minute():
    clock = FakeClock()
    rate = Rate(60, clock)
    assert [rate.wait_s("a") for _ in range(60)] == [0.0] * 60
    assert 0 < rate.wait_s("a") <= 1
    assert rate.wait_s("b") == 0
    clock.advance(2)
    assert [rate.wait_s("a") > 0 for _ in range(3)] == [False, False, True]
