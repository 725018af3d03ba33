"""`scripts/bench policy`: what each policy and the whole chain cost a letter in CPU, and how long the loop is held.

A letter is scanned and ruled on as an edge does it, with the examiner's workers in processes of their own; every letter
is unlike the others, so that nothing is known beforehand. CPU: of the edge, and `+` that of its workers.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bdmta.chain import Chain
from bdmta.clock import SystemClock
from bdmta.examine.pool import ExaminerPool
from bdmta.log import configure
from bdmta.message import Message, scan
from bdmta.policy import Account, Direction, Facts, Stage
from bdmta.policytry import open_chain
from bdmta.setup.create import Wish, create_site
from bdmta.site import Site

INLINE_OCTETS = 262_144  # what Acceptance scans on the loop
_SENTENCE = "Phòng Bưu chính xin báo cáo kết quả rà soát danh bạ thư điện tử của các huyện, thị xã trong tỉnh. "
_TARGETS_MS = {"plain 4 KiB": 0.6, ".docx 100 KiB in a zip": 8.0}


@dataclass(frozen=True)
class Cost:
    """Milliseconds of CPU a letter."""

    edge_ms: float
    workers_ms: float

    def __str__(self) -> str:
        return f"{self.edge_ms:.2f}" + (f" + {self.workers_ms:.2f}" if self.workers_ms >= 0.005 else "")

    @property
    def total_ms(self) -> float:
        """Of all processes."""
        return self.edge_ms + self.workers_ms


def _letter(body: bytes, *fields: str) -> bytes:
    head = ["From: A <a@sender.test>", "To: b@binhduong.gov.vn", "Subject: Bao cao", "MIME-Version: 1.0", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def plain(number: int, octets: int = 4096) -> bytes:
    """ASCII, lines of 70."""
    text = (b"The quarterly report on the registry of mailboxes is attached, dear all." + b"\r\n") * (octets // 74)
    return _letter(b"%d\r\n" % number + text, "Content-Type: text/plain; charset=us-ascii")


def vietnamese(number: int, octets: int = 4096) -> bytes:
    """UTF-8, quoted as most programs send it: base64."""
    text = f"{number}\r\n" + (_SENTENCE + "\r\n") * (octets * 3 // 4 // len(_SENTENCE.encode()))
    fields = ("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64")
    return _letter(base64.encodebytes(text.encode()).replace(b"\n", b"\r\n"), *fields)


def document(number: int) -> bytes:
    """A .docx of 100 KiB in a zip."""
    from tests.corpus.attachments.files import ooxml, zipped
    from tests.corpus.attachments.letters import attached

    words = f"<w:p><w:r><w:t>{_SENTENCE}</w:t></w:r></w:p>" * 600
    body = f'<?xml version="1.0"?><w:document xmlns:w="w"><w:body>{words}</w:body></w:document>'.encode()
    picture = random.Random(number).randbytes(100 * 1024)
    docx = ooxml("docx", {"word/document.xml": body, "word/media/image1.png": b"\x89PNG\r\n\x1a\n" + picture})
    return attached("ho-so.zip", zipped({f"bao-cao-{number}.docx": docx}), "application/zip")


KINDS = {
    "plain 4 KiB": (plain, 200),
    "UTF-8 4 KiB": (vietnamese, 200),
    ".docx 100 KiB in a zip": (document, 30),
    "plain 5 MiB": (lambda number: plain(number, 5 << 20), 5),
}


def worst() -> list[bytes]:
    """The corpus of the tests, the shared one when it lies beside the checkout, and some large ones."""
    from bdmta.charset import encode
    from tests.corpus.attachments import accepted, refused

    letters = [case.octets for make in (accepted, refused) for case in make.every_kind()]
    project = Path(__file__).parents[1]
    letters += [path.read_bytes() for path in sorted(project.glob("tests/corpus/letters/*.eml"))]
    letters += [path.read_bytes() for path in sorted((project / "../shared/corpus").glob("*/*.eml"))]
    old = encode("tcvn3", (_SENTENCE + "\r\n"))
    eight = ("Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: 8bit")
    for size in (15_000, 250_000, 5 << 20):
        letters.append(_letter(old * (size // len(old)), *eight))
        letters.append(_letter(b"<p>" * (size // 3), "Content-Type: text/html"))
        letters.append(_letter(b"<b" * (size // 2), "Content-Type: text/html; charset=utf-8"))
        letters.append(_letter(b"a=?utf-8?B?Y2hheQ==?= " * (size // 22) + b"\r\n", "Content-Type: text/plain"))
        letters.append(_letter(b"begin 644 a\r\n" * (size // 13), "Content-Type: text/plain"))
        letters.append(plain(size, size))
        letters.append(vietnamese(size, size))
    letters.append(_letter(b"", *(f"X-{number}: {'=?utf-8?Q?a?= ' * 8}" for number in range(1500))))
    letters.append(_letter(b"", "Cc: " + ", ".join(f"=?utf-8?Q?=E1=BA=A5?= <n{n}@sender.test>" for n in range(3000))))
    return letters


class Trial:
    """The default chain over letters, as an edge asks it."""

    def __init__(self, site: Site, pool: ExaminerPool) -> None:
        self.chain = open_chain(site, pool)
        self._pool = pool
        self._numbers = 0

    async def rule(self, octets: bytes, chain: Chain, direction: Direction) -> str:
        """Scan and ask; the verdict."""
        if len(octets) <= INLINE_OCTETS:
            message = scan(octets)
        else:
            message = await asyncio.get_running_loop().run_in_executor(None, scan, octets)
        return (await chain.rule(Stage.DATA, self._facts(message, len(octets), direction))).verdict

    def _facts(self, message: Message, size: int, direction: Direction) -> Facts:
        account = None
        if direction is Direction.SUBMISSION:
            own = "a@sender.test"
            account = Account(address=own, kind="person", agency=None, may_send_as=frozenset({own}))
        return Facts(
            direction=direction, received_at=SystemClock().now(), reference="bench", listener="bench",
            remote_ip="127.0.0.1", helo="bench", account=account, mail_from="a@sender.test",
            rcpt_to=("b@binhduong.gov.vn",), size=size, message=message,
            local_domains=frozenset({"binhduong.gov.vn"}), smtputf8=False,
        )  # fmt: skip

    async def cost(self, letters: list[bytes], chain: Chain | None, direction: Direction) -> Cost:
        """The CPU a letter, without the scan (`chain` None: the scan alone)."""
        messages = [] if chain is None else [scan(octets) for octets in letters]
        facts = [self._facts(m, len(m.octets), direction) for m in messages]
        before = self.cpu_s()
        if chain is None:
            for octets in letters:
                scan(octets)
        else:
            for known in facts:
                await chain.rule(Stage.DATA, known)
        edge, workers = (after - start for start, after in zip(before, self.cpu_s(), strict=True))
        return Cost(edge * 1000 / len(letters), workers * 1000 / len(letters))

    def cpu_s(self) -> tuple[float, float]:
        """Of this process and of the examiner's."""
        return time.process_time(), _workers_s(self._pool)

    def fresh(self, make: Any, count: int) -> list[bytes]:
        """Letters that nobody has seen yet."""
        start, self._numbers = self._numbers, self._numbers + count
        return [make(number) for number in range(start, start + count)]


def _workers_s(pool: ExaminerPool) -> float:
    """Seconds of CPU of the examiner's processes, to the nanosecond."""
    total = 0
    for pid in pool.pids:
        try:
            total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        except OSError:
            continue
    return total / 1e9


class LoopProbe:
    """The CPU of every callback on the loop's thread, the longest kept."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.longest = ""
        self.count = 0
        self.over_20_ms = 0

    def __enter__(self) -> LoopProbe:
        self._run = asyncio.events.Handle._run
        run = self._run

        def measured(handle: asyncio.events.Handle) -> None:
            start = time.thread_time()
            run(handle)
            spent_ms = (time.thread_time() - start) * 1000
            self.count += 1
            self.over_20_ms += spent_ms > 20
            if spent_ms > self.longest_ms:
                self.longest_ms, self.longest = spent_ms, repr(handle)

        asyncio.events.Handle._run = measured  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *unused: object) -> None:
        asyncio.events.Handle._run = self._run  # type: ignore[method-assign]


async def _holds(trial: Trial, letters: Iterable[bytes]) -> list[tuple[float, int, bytes]]:
    """For every letter by itself: the longest callback in ms."""
    rows = []
    for number, octets in enumerate(letters):
        for direction in (Direction.INBOUND, Direction.SUBMISSION):
            with LoopProbe() as probe:
                await asyncio.create_task(trial.rule(octets, trial.chain, direction))
            rows.append((probe.longest_ms, number, octets))
    return sorted(rows, key=lambda row: -row[0])


async def _in_flight(trial: Trial, letters: list[bytes], at_once: int = 16) -> LoopProbe:
    """All letters, sixteen at a time, in both directions."""
    room = asyncio.Semaphore(at_once)

    async def one(octets: bytes, direction: Direction) -> None:
        async with room:
            await trial.rule(octets, trial.chain, direction)

    jobs = [one(octets, direction) for direction in (Direction.INBOUND, Direction.SUBMISSION) for octets in letters]
    with LoopProbe() as probe:
        await asyncio.gather(*jobs)
    return probe


@asynccontextmanager
async def _trial(site: Site) -> AsyncIterator[Trial]:
    """A chain whose examiner has seen nothing yet."""
    pool = ExaminerPool.for_site(site, configure("critical", "console"))
    await pool.start()
    try:
        yield Trial(site, pool)
    finally:
        await pool.close()


async def _measure(site: Site, say: Any) -> str:
    async with _trial(site) as trial:
        rows = await _costs(trial, say)
    letters = worst()
    say(f"{len(letters)} worst letters")
    gc.collect()
    gc.freeze()  # as an edge does before it serves
    async with _trial(site) as trial:
        start = trial.cpu_s()
        probe = await _in_flight(trial, letters)
        say(f"{probe.longest_ms:.1f} ms: {probe.longest}")
        spent = [after - before for before, after in zip(start, trial.cpu_s(), strict=True)]
    async with _trial(site) as trial:
        holds = await _holds(trial, letters)
    for longest_ms, number, octets in holds[:5]:
        say(f"{longest_ms:.1f} ms: letter {number}, {len(octets)} octets: {octets[200:260]!r}")
    return _report(rows, len(letters), probe, spent, holds[0][0])


async def _costs(trial: Trial, say: Any) -> dict[str, dict[str, Cost]]:
    """By policy and kind of letter."""
    rows: dict[str, dict[str, Cost]] = {}
    plans: list[tuple[str, Chain | None, Direction]] = [("scan (before the chain)", None, Direction.INBOUND)]
    for step in trial.chain.steps:
        direction = Direction.INBOUND if step.name == "dmarc" else Direction.SUBMISSION
        plans.append((step.name, trial.chain.only(frozenset({step.name})), direction))
    plans += [(f"whole chain, {d}", trial.chain, d) for d in (Direction.INBOUND, Direction.SUBMISSION)]
    for kind, (make, count) in KINDS.items():
        for name, chain, direction in plans:
            await trial.cost(trial.fresh(document, 2), trial.chain, direction)  # the worker is warm
            await trial.cost(trial.fresh(make, 3), chain, direction)
            cost = await trial.cost(trial.fresh(make, count), chain, direction)
            rows.setdefault(name, {})[kind] = cost
            say(f"{kind}: {name}: {cost}")
    return rows


def _report(
    rows: dict[str, dict[str, Cost]], letters: int, probe: LoopProbe, spent: list[float], alone_ms: float
) -> str:
    lines = ["CPU a letter in ms, the edge's (+ its examiner's).", "", "| policy | " + " | ".join(KINDS) + " |"]
    lines.append("|---" * (len(KINDS) + 1) + "|")
    lines += [
        f"| {name} | " + " | ".join(str(by_kind[kind]) for kind in KINDS) + " |" for name, by_kind in rows.items()
    ]
    lines.append("")
    for kind, most_ms in _TARGETS_MS.items():
        measured = max(rows[name][kind].total_ms for name in rows if name.startswith("whole"))
        lines.append(f"{kind}, whole chain: {measured:.2f} ms; at most {most_ms} is wanted.")
    lines += [
        "",
        f"The {letters} worst letters, in both directions: {spent[0] * 500 / letters:.2f} + "
        f"{spent[1] * 500 / letters:.2f} ms a letter. Sixteen in flight: {probe.count} callbacks, the longest held "
        f"the loop for {probe.longest_ms:.1f} ms of CPU (at most 50 is wanted), {probe.over_20_ms} for more than 20; "
        f"one letter at a time: {alone_ms:.1f} ms.",
    ]
    return "\n".join(lines)


def run(say: Any) -> str:
    """The section for RESULTS.md."""
    with tempfile.TemporaryDirectory(prefix="bdmta-bench.") as top:
        return asyncio.run(_measure(_site(Path(top) / "site"), say))


def _site(folder: Path) -> Site:
    create_site(Wish(folder=str(folder), domains=("binhduong.gov.vn",)), SystemClock())
    return Site.open(str(folder / "bdmta.toml"))
