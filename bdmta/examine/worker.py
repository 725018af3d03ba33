"""A worker of the examiner: one letter at a time by descriptor, one answer each, over a socket pair.

`python -m bdmta.examine.worker FD PARENT MEMORY CPU`. A request is a line of JSON with the letter's descriptor beside
it (SCM_RIGHTS); an answer is four octets of length and the octets of `bdmta.examine.codec`.
"""

from __future__ import annotations

import array
import json
import mmap
import os
import resource
import socket
import sys
import time
from collections.abc import Callable

from bdmta.examine import codec
from bdmta.examine.bounds import Bounds
from bdmta.examine.confine import Limits, confine
from bdmta.examine.walk import take_inventory
from bdmta.examine.wording import texts_task, warm
from bdmta.message import Octets, scan

_MAX_REQUEST_OCTETS = 4096
_WARM_CODECS = """ascii latin-1 utf-8 utf-8-sig utf-7 utf-16 utf-16-le utf-16-be utf-32 cp437 cp850 cp874 cp1250 cp1251
cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7 iso8859-8
iso8859-9 iso8859-10 iso8859-11 iso8859-13 iso8859-14 iso8859-15 iso8859-16 koi8-r koi8-u gb2312 gbk gb18030 hz big5
shift_jis cp932 euc-jp iso2022_jp euc-kr cp949 iso2022_kr mac-roman tis-620"""


def inventory(octets: Octets, bounds: Bounds) -> bytes:
    """The inventory of a letter, encoded."""
    return codec.encode(take_inventory(scan(octets), bounds))


TASKS: dict[str, Callable[[Octets, Bounds], bytes]] = {"inventory": inventory, "texts": texts_task}
"""What a worker can be asked, by name."""


def main() -> None:
    """Serve until the socket closes."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    limits = Limits(memory_octets=int(sys.argv[3]), cpu_s=int(sys.argv[4]))
    for name in _WARM_CODECS.split():
        b"a".decode(name, "replace")  # codecs are read from disk when first used, which `confine` may forbid
    scan(b"Content-Type: text/plain\r\n\r\nwarm\r\n")
    warm()
    confine(limits, int(sys.argv[2]))
    while True:
        request, descriptor = _receive(channel)
        if descriptor < 0:
            return
        asked = json.loads(request)
        bounds = Bounds(**asked["bounds"])
        most_s = int(time.process_time() + bounds.seconds) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (min(most_s, limits.cpu_s), limits.cpu_s))
        answer = _answer(descriptor, TASKS[asked["task"]], bounds)
        channel.sendall(len(answer).to_bytes(4, "big") + answer)


def _receive(channel: socket.socket) -> tuple[bytes, int]:
    data, control, _, _ = channel.recvmsg(_MAX_REQUEST_OCTETS, socket.CMSG_SPACE(4))
    for level, kind, payload in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors = array.array("i")
            descriptors.frombytes(payload[: len(payload) // 4 * 4])
            return data, descriptors[0]
    return b"", -1


def _answer(descriptor: int, task: Callable[[Octets, Bounds], bytes], bounds: Bounds) -> bytes:
    try:
        size = os.fstat(descriptor).st_size
        if size <= 1 << 20:
            return task(os.pread(descriptor, size, 0), bounds)
        letter = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)
    return task(letter, bounds)


if __name__ == "__main__":
    main()
