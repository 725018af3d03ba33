import pytest

from bdmta.limits import SessionTable, Throttle, network_of
from bdmta.limits.network import Networks
from bdmta.testing import FakeClock


def test_sessions_are_counted_over_all_edges(tmp_path):
    path = str(tmp_path / "table")
    first, second = SessionTable(path, 0, 2), SessionTable(path, 1, 2)
    assert first.enter("192.0.2.1") == 1
    assert second.enter("192.0.2.1") == 2
    assert first.enter("192.0.2.1") == 3
    second.leave("192.0.2.1")
    assert first.enter("192.0.2.1") == 3
    assert (first.total, second.total) == (3, 0)


def test_an_edge_that_comes_back_starts_at_nothing(tmp_path):
    path = str(tmp_path / "table")
    other = SessionTable(path, 1, 2)
    for _ in range(5):
        SessionTable(path, 0, 2).enter("192.0.2.1")
    assert other.enter("192.0.2.1") == 2


def test_waits_double_to_the_longest_and_are_forgotten(tmp_path):
    clock = FakeClock()
    throttle = Throttle(str(tmp_path / "table"), clock, 30)
    assert [throttle.fail("account a") for _ in range(9)] == [0, 0, 1, 2, 4, 8, 16, 30, 30]
    assert throttle.wait_s("account b") == 0
    clock.advance(10)
    assert throttle.wait_s("account b", "account a") == 20
    clock.advance(21)
    assert throttle.wait_s("account a") == 0
    assert throttle.fail("account a") == 30
    clock.advance(1000)
    assert throttle.fail("account a") == 0


def test_waits_are_shared_by_processes_and_cleared_by_a_login(tmp_path):
    clock = FakeClock()
    one, two = (Throttle(str(tmp_path / "table"), clock, 30) for _ in range(2))
    for _ in range(5):
        one.fail("account a", "network n")
    assert two.wait_s("account a") == 4
    two.clear("account a")
    assert one.wait_s("account a") == 0
    assert one.wait_s("network n") == 4


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("x", "x"),
    ],
)
def test_an_ipv6_host_counts_by_its_64(ip, network):
    assert network_of(ip) == network


def test_networks():
    networks = Networks(["10.0.0.0/8", "2001:db8::/32"])
    assert "10.1.2.3" in networks and "2001:db8::1" in networks and "::ffff:10.0.0.1" in networks
    assert "127.0.0.1" not in networks and None not in networks and "junk" not in networks
