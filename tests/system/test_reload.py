"""SIGHUP: new policies, certificates and accounts under open sessions; what is broken keeps the old and says so."""

import datetime
import os
import re
import signal
import socket
import ssl

import pytest

from bench.process import descendants
from tests.site import SiteUnderTest
from tests.system.wire import OUTSIDE, Wire, deliver, here, letter

POLICY = '''
from dataclasses import dataclass
from bdmta.policy import Pass, Reject, Stage

@dataclass(frozen=True)
class Config:
    """None."""

class Policy:
    stages = frozenset({Stage.DATA})

    def __init__(self, config, services):
        pass

    async def decide(self, stage, facts):
        return %s
'''
REJECT = 'Reject(text="%s", text_vi="Luật %s")'


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory):
    """A site of two edges with a policy of its own."""
    site = SiteUnderTest(tmp_path_factory.mktemp("reload"), {"dns": {"servers": "[]"}})
    policies = site.folder / "policies.toml"
    policies.write_text(policies.read_text() + '\n[[policy]]\nuse = "./ours.py"\n')
    write(site, "Pass()")
    site.start(workers=2)
    yield site
    assert site.stop() == 0, site.log()


def write(site, verdict):
    (site.folder / "ours.py").write_text(POLICY % verdict)


def reload(site, says="reloaded"):
    """SIGHUP, and wait until both edges have said what came of it."""
    path = site.folder / "test.log"
    before = len(path.read_text())

    def news():
        told = path.read_text()[before:].splitlines()
        return [line for line in told if "what=" in line and "process=edge" in line]  # the office tells of the pages

    site.signal(signal.SIGHUP)
    site.wait_for(lambda: len(news()) >= 4)
    return [line for line in news() if says in line]


def answers(site, count=8):
    return {deliver(site, letter(), here("minhnv")).text for _ in range(count)}


def test_new_policy_code_is_taken_and_broken_code_is_not(reloaded):
    assert {text[:3] for text in answers(reloaded)} == {"250"}
    write(reloaded, REJECT % ("one", "một"))
    reload(reloaded)
    assert all("550-5.7.1 one" in text and "Luat mot" in text for text in answers(reloaded))
    for broken in ("this is no Python", "Reject(", "nothing_known_at_import\nraise SystemError"):
        (reloaded.folder / "ours.py").write_text(broken)
        kept = reload(reloaded, "the old one stays")
        assert len(kept) == 2
        assert all("ours.py" in line for line in kept)
        assert all("one" in text for text in answers(reloaded))
    write(reloaded, "Pass()")
    reload(reloaded)
    assert {text[:3] for text in answers(reloaded)} == {"250"}


def test_a_policy_whose_constructor_fails_keeps_the_old_chain(reloaded):
    write(reloaded, REJECT % ("two", "hai"))
    reload(reloaded)
    sound = POLICY % "Pass()"
    for text, said in (
        (sound.replace("        pass", "        raise KeyError('missing')"), "KeyError"),
        (sound.replace("        pass", "        self.nothing"), "AttributeError"),
        (sound.replace("    stages = frozenset({Stage.DATA})", ""), "stages"),
        (sound.replace("class Policy", "class Police"), "no class Policy"),
    ):
        (reloaded.folder / "ours.py").write_text(text)
        kept = reload(reloaded, "the old one stays")
        assert len(kept) == 2
        assert all("ours" in line and said in line for line in kept)
    assert all("two" in text for text in answers(reloaded))
    write(reloaded, "Pass()")
    reload(reloaded)


def test_an_open_transaction_finishes_on_the_chain_it_began_with(reloaded):
    with Wire(reloaded) as old, Wire(reloaded) as new:
        old.envelope(OUTSIDE, here("minhnv"))
        write(reloaded, REJECT % ("three", "ba"))
        reload(reloaded)
        assert new.deliver(letter(), here("minhnv")).code == 550
        assert old.data(letter()).code == 250
        assert old.deliver(letter(), here("minhnv")).code == 550
    write(reloaded, "Pass()")
    reload(reloaded)


def test_a_broken_policy_file_keeps_the_old_chain_and_the_server_running(reloaded):
    policies = reloaded.folder / "policies.toml"
    sound = policies.read_text()
    pids = set(descendants(reloaded.server.pid))
    policies.write_text(sound.replace('mode = "enforce"', 'mode = "enforcee"', 1))
    try:
        kept = reload(reloaded, "the old one stays")
    finally:
        policies.write_text(sound)
    assert len(kept) == 2
    assert all("policies.toml" in line and "enforce" in line for line in kept)
    assert {text[:3] for text in answers(reloaded)} == {"250"}
    reload(reloaded)
    assert {pid for pid in pids if os.path.exists(f"/proc/{pid}")} == pids


def serial(site, listener):
    with socket.create_connection(("127.0.0.1", site.port(listener)), 10) as plain:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as sock:
            from cryptography import x509

            return x509.load_der_x509_certificate(sock.getpeercert(True)).serial_number


def test_a_new_certificate_is_served_and_a_broken_one_is_not(reloaded):
    cert, key = reloaded.folder / "tls" / "cert.pem", reloaded.folder / "tls" / "key.pem"
    before = serial(reloaded, "submissions")
    with Wire(reloaded, "submissions") as open_session:
        new_cert, new_key, number = new_certificate()
        cert.write_bytes(new_cert)
        kept = reload(reloaded, "the old one stays")  # the key does not fit it
        told = " ".join(line for line in kept if "certificate" in line)
        assert "process=edge0" in told and "process=edge1" in told
        assert {serial(reloaded, "submissions") for _ in range(6)} == {before}
        key.write_bytes(new_key)
        reload(reloaded)
        assert {serial(reloaded, "submissions") for _ in range(6)} == {number}
        assert open_session.ask("NOOP").code == 250


def new_certificate():
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2026, 1, 1)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return cert.public_bytes(pem), private, cert.serial_number


def test_check_finds_what_reload_would_refuse(reloaded):
    policies = reloaded.folder / "policies.toml"
    sound = policies.read_text()
    policies.write_text(re.sub(r'(?m)^mode = "enforce"', 'mode = "enforcee"', sound, count=1))
    try:
        done = reloaded.run("check", check=False)
    finally:
        policies.write_text(sound)
    assert done.returncode == 1
    assert "enforcee" in done.stdout
