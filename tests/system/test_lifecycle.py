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
    from tests.site import SiteUnderTest

    site = SiteUnderTest(tmp_path_factory.mktemp("life"), SETTINGS)
    yield site
    site.kill()


@pytest.fixture
def stopped(prepared):
    yield prepared
    prepared.kill()


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_any_number_of_workers_serves_and_stops_with_0(stopped, workers):
    stopped.start(workers=workers)
    assert len(children(stopped, "edge")) == workers
    before = len(stopped.letters("minhnv"))
    assert deliver(stopped, letter(f"{workers} edges"), here("minhnv")).code == 250
    assert len(stopped.letters("minhnv")) == before + 1
    idle = Wire(stopped)
    assert stopped.stop() == 0
    assert idle.answer().code == 421


@pytest.mark.parametrize("workers", [0, 2])
def test_sigterm_finishes_the_letter_in_data(stopped, workers):
    stopped.start(workers=workers)
    wire = Wire(stopped)
    wire.envelope(OUTSIDE, here("minhnv"))
    assert wire.ask("DATA").code == 354
    wire.send(letter("erst die Hälfte"))
    stopped.signal(signal.SIGTERM)
    stopped.wait_for(lambda: _refuses(stopped))
    assert stopped.server.poll() is None
    wire.send(b"und der Rest\r\n.\r\n")
    assert wire.answer().code == 250
    assert wire.answer().code == 421
    assert stopped.stop() == 0
    assert any(b"und der Rest" in octets for octets in stopped.letters("minhnv"))


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


def test_a_second_server_on_the_same_site_says_so(stopped):
    stopped.start()
    done = stopped.run("serve", "--workers", "0", check=False)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert deliver(stopped, letter(), here("minhnv")).code == 250


def test_a_killed_edge_is_started_again_and_the_other_serves_meanwhile(stopped):
    stopped.start(workers=2)
    first, second = children(stopped, "edge")
    os.kill(first, signal.SIGKILL)
    for _ in range(20):
        assert deliver(stopped, letter(), here("minhnv")).code == 250
    stopped.wait_for(lambda: len(children(stopped, "edge")) == 2 and first not in children(stopped, "edge"))
    assert second in children(stopped, "edge")
    assert stopped.stop() == 0


def test_with_no_edge_alive_the_answer_is_421_and_nobody_is_left_waiting(stopped):
    stopped.start(workers=1)
    (edge,) = children(stopped, "edge")
    policies = stopped.folder / "policies.toml"
    sound = policies.read_bytes()
    policies.write_text("broken")
    try:
        os.kill(edge, signal.SIGKILL)
        stopped.wait_for(lambda: _refuses(stopped))
    finally:
        policies.write_bytes(sound)
    stopped.wait_for(lambda: _delivers(stopped), 20)
    assert stopped.stop() == 0


def _delivers(site):
    try:
        return deliver(site, letter(), here("minhnv")).code == 250
    except ConnectionError:  # the one that answers 421 is just going
        return False


def test_mail_goes_on_without_the_office_which_comes_back(stopped):
    stopped.start(workers=1)
    (pid,) = children(stopped, "office")
    before = len(stopped.letters("minhnv"))
    os.kill(pid, signal.SIGKILL)
    with Wire(stopped, "submissions") as wire:
        assert wire.login("khaintm").code == 235
        assert wire.deliver(letter(author=here("khaintm")), here("minhnv"), sender=here("khaintm")).code == 250
    assert len(stopped.letters("minhnv")) == before + 1
    stopped.wait_for(lambda: children(stopped, "office") not in ([], [pid]))
    stopped.wait_for(lambda: _office_answers(stopped))
    assert stopped.stop() == 0


def _office_answers(site):
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(site.folder / "run" / "office.sock"))
    except OSError:
        return False
    return bool(office(site, "mailbox_list"))


def test_children_end_with_a_killed_supervisor(stopped):
    stopped.start(workers=2)
    pids = descendants(stopped.server.pid)
    assert len(pids) >= 5
    os.kill(stopped.server.pid, signal.SIGKILL)
    stopped.server.wait()
    stopped.wait_for(lambda: not any(_runs(pid) for pid in pids))
    stopped.start(workers=2)
    assert stopped.stop() == 0


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(shutil.which("ss") is None, reason="ss is not installed")
def test_listening_sockets_keep_the_backlog_they_were_bound_with(stopped):
    stopped.start(workers=1)
    command = ["ss", "-Hltn", f"sport = :{stopped.port('smtp')}"]
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
