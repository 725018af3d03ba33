"""A base port on which a whole site finds its ports free."""

from __future__ import annotations

import os
import random

from bdmta.config import STANDARD_PORTS, parse
from bdmta.errors import BdmtaError
from bdmta.service.sockets import bind


def free_base_port() -> int:
    """A number for `--base-port`. Of three that end in 00 (tests.site), 03 and 27 no port is another's."""
    ending = 3 if os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0" else 27
    for _ in range(200):
        base_port = random.randrange(110, 310) * 100 + ending
        listen = {"base_port": base_port, "protocols": sorted(STANDARD_PORTS)}
        try:
            for _name, sock in bind(parse({"listen": listen}, folder="/site").listeners()):
                sock.close()
        except BdmtaError:
            continue
        return base_port
    raise AssertionError("no free ports on this machine")
