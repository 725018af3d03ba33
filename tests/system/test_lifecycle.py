"""The processes: start, drain, a port that is taken, children that fall, no edge at all."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from bench.process import descendants
from tests.site import SiteUnderTest
from tests.system.wire import OUTSIDE, Wire, deliver, here, letter, office

SETTINGS = {"dns": {"servers": "[]"}, "smtp": {"data_timeout_s": "20"}, "server": {"grace_s": "5"}}


def children(site, role):
    """Process ids of the server's children of one role."""
    found = []
    for pid in descendants(site.server.pid):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        if f'"role": "{role}"' in command:
            found.append(pid)
    return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """One site, started and stopped by each test in turn."""
    site = SiteUnderTest(tmp_path_factory.mktemp("life"), SETTINGS)
    yield site
    site.kill()


@pytest.fixture
def stopped(prepared):
    prepared.kill()
    yield prepared
    prepared.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A site of two edges; each test leaves it as it was, but for the children's process ids."""
    site = SiteUnderTest(tmp_path_factory.mktemp("lives"), SETTINGS)
    site.start(workers=2)
    yield site
    assert site.stop() == 0, site.log()


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_sigterm_ends_idle_sessions_finishes_the_letter_in_data_and_exits_0(stopped, workers):
    stopped.start(workers=workers)
    assert len(children(stopped, "edge")) == workers
    assert deliver(stopped, letter(f"{workers} edges"), here("minhnv")).code == 250
    idle, wire = Wire(stopped), Wire(stopped)
    wire.envelope(OUTSIDE, here("minhnv"))
    assert wire.ask("DATA").code == 354
    wire.send(letter(f"{workers} edges, die erste Hälfte"))
    stopped.signal(signal.SIGTERM)
    assert idle.answer().code == 421
    stopped.wait_for(lambda: _refuses(stopped))
    assert stopped.server.poll() is None
    wire.send(b"und der Rest\r\n.\r\n")
    assert wire.answer().code == 250
    assert wire.answer().code == 421
    assert stopped.stop() == 0
    found = [octets for octets in stopped.letters("minhnv") if f"{workers} edges".encode() in octets]
    assert [b"und der Rest" in octets for octets in sorted(found, key=len)] == [False, True]


def _refuses(site):
    try:
        with socket.create_connection(("127.0.0.1", site.port("smtp")), 5) as sock:
            sock.settimeout(5)
            greeting = sock.recv(100)
            return greeting == b"" or greeting.startswith(b"421")
    except OSError:
        return True


def test_a_session_that_never_ends_its_letter_is_ended_by_the_grace(own_site):
    site = own_site({"dns": {"servers": "[]"}, "server": {"grace_s": "1"}})
    site.start(workers=1)
    with Wire(site) as wire:
        wire.envelope(OUTSIDE, here("minhnv"))
        assert wire.ask("DATA").code == 354
        started = time.monotonic()
        assert site.stop() == 0
        assert time.monotonic() - started < 6
    assert site.letters("minhnv") == []


def test_a_port_in_use_is_one_clear_line(stopped):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", stopped.port("submission")))
        taken.listen()
        for workers in ("0", "2"):
            done = stopped.run("serve", "--workers", workers, check=False)
            assert done.returncode == 1
            assert done.stdout == ""
            (line,) = done.stderr.strip().splitlines()
            assert "submission" in line
            assert str(stopped.port("submission")) in line


def test_a_second_server_on_the_same_site_says_so(running):
    done = running.run("serve", "--workers", "0", check=False)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert deliver(running, letter(), here("minhnv")).code == 250


def test_a_killed_edge_is_started_again_and_the_other_serves_meanwhile(running):
    first, second = children(running, "edge")
    os.kill(first, signal.SIGKILL)
    for _ in range(20):
        assert deliver(running, letter(), here("minhnv")).code == 250
    running.wait_for(lambda: len(children(running, "edge")) == 2 and first not in children(running, "edge"))
    assert second in children(running, "edge")


def test_with_no_edge_alive_the_answer_is_421_and_nobody_is_left_waiting(running):
    edges = children(running, "edge")
    policies = running.folder / "policies.toml"
    sound = policies.read_bytes()
    policies.write_text("broken")
    try:
        for edge in edges:
            os.kill(edge, signal.SIGKILL)
        running.wait_for(lambda: _greeting(running, "smtp").startswith(b"421 4.3.2 "), 20)
        assert _greeting(running, "imap").startswith(b"* BYE ")
        assert _greeting(running, "pop3").startswith(b"-ERR ")
        assert _greeting(running, "imaps") == b""
    finally:
        policies.write_bytes(sound)
    running.wait_for(lambda: _delivers(running), 20)
    running.wait_for(lambda: len(children(running, "edge")) == 2, 20)


def _greeting(site, listener):
    try:
        with socket.create_connection(("127.0.0.1", site.port(listener)), 20) as sock:
            return sock.recv(200)
    except ConnectionError:  # whoever had accepted it was killed
        return b""


def _delivers(site):
    try:
        return deliver(site, letter(), here("minhnv")).code == 250
    except ConnectionError:  # the one that answers 421 is just going
        return False


def test_mail_goes_on_without_the_office_which_comes_back(running):
    (pid,) = children(running, "office")
    before = len(running.letters("minhnv"))
    os.kill(pid, signal.SIGKILL)
    with Wire(running, "submissions") as wire:
        assert wire.login("khaintm").code == 235
        assert wire.deliver(letter(author=here("khaintm")), here("minhnv"), sender=here("khaintm")).code == 250
    assert len(running.letters("minhnv")) == before + 1
    running.wait_for(lambda: children(running, "office") not in ([], [pid]))
    running.wait_for(lambda: _office_answers(running))


def _office_answers(site):
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(site.folder / "run" / "office.sock"))
    except OSError:
        return False
    return bool(office(site, "mailbox_list"))


def test_children_end_with_a_killed_supervisor(stopped):
    stopped.start(workers=1)
    pids = descendants(stopped.server.pid)
    assert len(pids) >= 4
    os.kill(stopped.server.pid, signal.SIGKILL)
    stopped.server.wait()
    stopped.wait_for(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(shutil.which("ss") is None, reason="ss is not installed")
def test_listening_sockets_keep_the_backlog_they_were_bound_with(running):
    command = ["ss", "-Hltn", f"sport = :{running.port('smtp')}"]
    (line,) = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert int(line.split()[2]) == 1024


def test_a_broken_configuration_is_one_line_and_exit_status_2(stopped):
    text = stopped.config.read_text()
    stopped.config.write_text(re.sub(r"(?m)^\[limits\]$", "[limits]\nsesions_per_address = 3", text))
    try:
        done = stopped.run("serve", check=False)
    finally:
        stopped.config.write_text(text)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "sessions_per_address" in done.stderr


def test_policies_that_do_not_load_are_one_line_too(stopped):
    policies = stopped.folder / "policies.toml"
    sound = policies.read_text()
    policies.write_text(sound + '\n[[policy]]\nuse = "policies.nichts"\n')
    try:
        for workers in ("0", "1"):
            done = stopped.run("serve", "--workers", workers, check=False)
            assert done.returncode in (1, 2)
            assert "policies.nichts" in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        policies.write_text(sound)
