"""A base port on which a whole site finds its ports free."""

from __future__ import annotations

import random

from bdmta.config import STANDARD_PORTS, parse
from bdmta.errors import BdmtaError
from bdmta.service.sockets import bind


def free_base_port() -> int:
    """A number for `--base-port`; other tests on the machine look for theirs elsewhere."""
    for _ in range(200):
        base_port = random.randrange(11_000, 31_000)
        listen = {"base_port": base_port, "protocols": sorted(STANDARD_PORTS)}
        try:
            for _name, sock in bind(parse({"listen": listen}, folder="/site").listeners()):
                sock.close()
        except BdmtaError:
            continue
        return base_port
    raise AssertionError("no free ports on this machine")
