"""Letters made to exhaust a parser: each gets its answer, and nobody else waits for it."""

import threading
import time

import pytest

from tests.system.wire import OUTSIDE, Wire, here


def nested(depth):
    text = b"x\r\n"
    for level in range(depth):
        mark = b"b%d" % level
        head = b'Content-Type: multipart/mixed; boundary="%b"\r\n\r\n' % mark
        text = head + b"--" + mark + b"\r\n" + text + b"\r\n--" + mark + b"--\r\n"
    return text


FROM = b"From: <a@elsewhere.example>\r\n"
MIXED = FROM + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
WORD = b"=?utf-8?b?" + b"w7U=" * 15 + b"?="
TCVN3 = b"K\xddnh g\xf6i \xae\xe5ng ch\xdd Gi\xb8m \xae\xe8c\r\n"
PREFIXES = b"".join(b"--b%s\r\n" % (b"b" * (n % 60)) for n in range(60_000))
PARAMETERS = b"".join(b";\r\n a%d*0*=utf-8''x" % n for n in range(20_000))
OVER_A_BOUND = {
    "100,000 addresses": FROM + b"To: " + b",\r\n ".join([b"<u@x.example>"] * 100_000) + b"\r\n\r\nx\r\n",
    "a megabyte of open comments": FROM + b"To: " + b"(\r\n " * 250_000 + b"\r\n\r\nx\r\n",
    "50,000 header fields": FROM + b"X: y\r\n" * 50_000 + b"\r\nx\r\n",
    "a header of 30 MB": FROM + b"X: y" + b"\r\n ".join([b"z" * 900] * 30_000) + b"\r\n\r\nx\r\n",
    "20,000 parts": MIXED + b"--b\r\n\r\nx\r\n" * 20_000 + b"--b--\r\n",
    "2,000 levels": FROM + nested(2_000),
    "20,000 parameters": FROM + b"Content-Type: text/plain" + PARAMETERS + b"\r\n\r\nx\r\n",
    "20,000 encoded words": FROM + b"Subject: " + b"\r\n ".join([WORD] * 20_000) + b"\r\n\r\nx\r\n",
    "boundaries that are prefixes of one another": MIXED + PREFIXES,
}
WITHIN_BOUNDS = {
    "a megabyte of blank lines": FROM + b"\r\n" * 500_000,
    "html of unclosed tags": FROM + b"Content-Type: text/html\r\n\r\n" + b"<a <b <!-- <![CDATA[ &#x\r\n" * 40_000,
    "3,000 encoded words": FROM + b"Subject: " + b"\r\n ".join([WORD] * 3_000) + b"\r\n\r\nx\r\n",
    "900 parts in an old charset": MIXED + (b"--b\r\n\r\n" + TCVN3 * 3) * 900 + b"--b--\r\n",
    "16 KB of doubtful lines": FROM + b"\r\n" + b"\xe9\xf4 \xb5\r\n" * 2_700,
    "3 MB in an old charset": FROM + b"\r\n" + TCVN3 * 100_000,
    "a megabyte of mnemonics": FROM + b"\r\n" + b"Ki'nh ddo^`ng chi' Gia'm ddo^'c\r\n" * 30_000,
    "12,000 addresses": FROM + b"To: " + b",\r\n ".join([b"<u@x.example>"] * 12_000) + b"\r\n\r\nx\r\n",
}
LETTERS = OVER_A_BOUND | WITHIN_BOUNDS


@pytest.mark.parametrize("name", LETTERS)
def test_a_letter_made_to_exhaust_gets_its_answer_and_delays_nobody(site, mailbox, name):
    """The answer may be yes or no; the bound of ten seconds is generous for a machine that does other things."""
    local = mailbox()
    waits, done = [], threading.Event()

    def bystander():
        with Wire(site) as wire:
            while not done.is_set():
                started = time.monotonic()
                assert wire.ask("NOOP").code == 250
                waits.append(time.monotonic() - started)
                done.wait(0.02)

    thread = threading.Thread(target=bystander)
    thread.start()
    try:
        with Wire(site) as wire:
            started = time.monotonic()
            answer = wire.deliver(LETTERS[name], here(local), sender=OUTSIDE)
            took_s = time.monotonic() - started
    finally:
        done.set()
        thread.join(20)
    assert answer.code in (250, 550, 554), answer
    assert answer.code == 550 or name in WITHIN_BOUNDS
    assert (len(site.letters(local)) + len(site.letters(local, ".Junk")) > 0) == (answer.code == 250)
    assert took_s < 10
    assert waits
    assert max(waits) < 2
    print(f"{answer.text[:60]!r} {took_s:.2f} s, a bystander waited {max(waits) * 1000:.0f} ms")
