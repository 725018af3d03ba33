from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.config import Config, ConfigError, in_networks, load, parse, split_server
from bdmta.config.render import render_toml, toml_value
from bdmta.config.values import parse_network


def written(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "bdmta.toml"
    path.write_text(text)
    return load(str(path))


def test_an_empty_file_is_a_whole_configuration(tmp_path: Path) -> None:
    config = written(tmp_path, "")
    assert config.smtp.max_message_octets == 52_428_800
    assert config.limits.auth_backoff_s == 30
    assert config.limits.sessions_per_address == 100
    assert config.limits.trusted_networks == () == config.limits.relay_networks
    assert config.clock.timezone == "Asia/Ho_Chi_Minh"
    assert config.mail.plus_addressing is False
    assert config.dns.servers == ("system",)


def test_dns_without_servers_stays_without(tmp_path: Path) -> None:
    assert written(tmp_path, "[dns]\nservers = []\n").dns.servers == ()


def test_it_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        written(tmp_path, "").smtp.max_recipients = 5  # type: ignore[misc]


def test_paths_start_at_the_folder_of_the_file_and_data_at_data_dir(tmp_path: Path) -> None:
    config = written(tmp_path, '[server]\ndata_dir = "data"\n[tls]\ncert = "certs/a.pem"\n[mail]\nqueue_dir = "/q"\n')
    assert config.server.data_dir == f"{tmp_path}/data"
    assert config.mail.root == f"{tmp_path}/data/mail"
    assert config.mail.queue_dir == "/q"
    assert config.server.run_dir == f"{tmp_path}/data/run"
    assert config.tls.cert == f"{tmp_path}/certs/a.pem"
    assert config.policies.file == f"{tmp_path}/policies.toml"


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read \(No such file or directory\)$"):
        load(str(tmp_path / "none.toml"))


def test_deep_nesting_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bdmta.toml"
    path.write_text("x = " + "[" * 50_000)
    with pytest.raises(ConfigError, match="is not TOML"):
        load(str(path))


def test_an_enormous_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bdmta.toml"
    path.write_text("#" * 1_048_577)
    with pytest.raises(ConfigError, match="is over 1048576 octets"):
        load(str(path))


def test_listeners_follow_from_base_port() -> None:
    config = parse({"listen": {"base_port": 10_000, "addresses": ["127.0.0.1", "::1"]}}, folder="/site")
    ports = {listener.protocol: listener.port for listener in config.listeners()}
    assert ports == {
        "smtp": 10025, "submission": 10587, "submissions": 10465, "imap": 10143, "imaps": 10993, "pop3": 10110,
        "pop3s": 10995, "web": 10080,
    }  # fmt: skip
    smtp = config.listeners()[0]
    assert smtp.endpoints == (("127.0.0.1", 10025), ("::1", 10025))
    assert smtp.max_message_octets == config.smtp.max_message_octets
    assert smtp.policies == "/site/policies.toml"
    assert not smtp.has_implicit_tls
    assert config.listeners()[2].has_implicit_tls


def test_listeners_differ_by_network_dieu_4() -> None:
    config = parse(
        {
            "listener": [
                {"name": "wan", "addresses": ["10.0.0.5"], "networks": ["10.0.0.0/8"], "policies": "wan.toml",
                 "max_message_octets": 100_000_000, "hostname": "mail.wan.local"},
                {"name": "internet", "addresses": ["203.0.113.5"]},
            ]
        },
        folder="/site",
    )  # fmt: skip
    wan, internet = config.listeners()
    assert (wan.policies, wan.max_message_octets, wan.hostname) == ("/site/wan.toml", 100_000_000, "mail.wan.local")
    assert (internet.policies, internet.max_message_octets) == ("/site/policies.toml", 52_428_800)
    assert internet.port == wan.port == 25
    assert wan.admits("10.9.9.9")
    assert wan.admits("::ffff:10.9.9.9")
    assert not wan.admits("192.0.2.1")
    assert internet.admits("192.0.2.1")


def test_a_unix_sockets_peer_is_in_no_network() -> None:
    assert not in_networks("", (parse_network("0.0.0.0/0"),))


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("127.0.0.1:5300", ("127.0.0.1", 5300)),
        ("9.9.9.9", ("9.9.9.9", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("::1", ("::1", 53)),
    ],
)
def test_dns_servers(text: str, server: tuple[str, int]) -> None:
    assert split_server(text) == server


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999", "[::1"])
def test_what_is_no_dns_server(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        split_server(text)


def test_rendered_values_are_read_back() -> None:
    text = render_toml({"mail": {"domains": ["binhduong.gov.vn"]}, "smtp": {"max_recipients": 500}})
    config = parse(tomllib.loads(text), folder="/site")
    assert config.mail.domains == ("binhduong.gov.vn",)
    assert config.smtp.max_recipients == 500
    assert config.smtp.max_errors == Config().smtp.max_errors


@pytest.mark.parametrize("values", [{"smtp": {"max_recipient": 5}}, {"smpt": {}}])
def test_rendering_knows_no_other_keys(values: dict[str, dict[str, int]]) -> None:
    with pytest.raises(KeyError):
        render_toml(values)


_plain = st.one_of(st.text(), st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False))


@given(st.one_of(_plain, st.lists(st.text(), max_size=4), st.dictionaries(st.text(), _plain, max_size=3)))
@settings(max_examples=200)
def test_any_value_survives_toml(value: object) -> None:
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return  # a lone surrogate is not in UTF-8, and so never in a file
    assert tomllib.loads(f"x = {toml_value(value)}") == {"x": value}


_leaf = st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.floats(allow_nan=False))
_nested = st.recursive(_leaf, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3))


@given(_nested)
@settings(max_examples=200)
def test_whatever_stands_in_a_table_is_taken_or_refused_in_one_line(value: object) -> None:
    for table in ("server", "smtp", "listener", "listen", "mail", "no such table"):
        for data in ({table: value}, {table: {"hostname": value, "domains": value, "port": value}}):
            try:
                parse(data, folder="/site")
            except ConfigError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize("file", ["init", "conf"])
def test_a_script_may_set_keys_in_their_tables_by_pattern(file: str) -> None:
    """Acceptance checks replace `# key = …` below `[table]` in place."""
    text = render_toml({"mail": {"root": "mail"}} if file == "init" else None)
    for table, key, value in (
        ("mail", "root", '"/elsewhere"'), ("dns", "servers", "[]"), ("limits", "sessions_per_address", "2000"),
        ("smtp", "max_message_octets", "1000000"), ("smtp", "idle_timeout_s", "3"), ("imap", "idle_timeout_s", "4"),
        ("limits", "auth_backoff_s", "0"), ("limits", "trusted_networks", '["127.0.0.0/8"]'),
        ("clock", "timezone", '"UTC"'),
    ):  # fmt: skip
        found = re.search(rf"(?ms)^\[{table}\]\n(.*?)(?=^\[|\Z)", text)
        assert found, table
        body, count = re.subn(rf"(?m)^#?\s*{key}\s*=.*$", lambda _, line=f"{key} = {value}": line, found[1], count=1)
        assert count == 1, key
        text = text[: found.start(1)] + body + text[found.end(1) :]
    config = parse(tomllib.loads(text), folder="/site")
    assert (config.mail.root, config.dns.servers, config.limits.sessions_per_address) == ("/elsewhere", (), 2000)
    assert (config.smtp.max_message_octets, config.smtp.idle_timeout_s, config.imap.idle_timeout_s) == (1000000, 3, 4)
    assert (config.limits.auth_backoff_s, config.limits.trusted_networks) == (0, ("127.0.0.0/8",))
    assert config.clock.timezone == "UTC"
