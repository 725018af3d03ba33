"""Signed JSON to the addresses of [outage] webhook: the Center's SMS gateway, the portal, a chat.

`X-Bdmta-Signature: sha256=<hex>` is HMAC-SHA256 over `<X-Bdmta-Time>.<body>` with the key of [outage] webhook_secret;
`Idempotency-Key` is the same at every attempt, so that a receiver sends one message.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from bdmta.outage.channels import ChannelError, Hopeless, Means
from bdmta.outage.http import HttpFailure, send
from bdmta.outage.jobs import Job, Reach, is_public
from bdmta.outage.wording import as_json

_SECRET_OCTETS = 4096
_NEVER_AGAIN = frozenset({400, 404, 405, 410, 413, 415, 422})


def sign(secret: bytes, time: str, body: bytes) -> str:
    """What a receiver compares the header with."""
    return "sha256=" + hmac.new(secret, time.encode() + b"." + body, hashlib.sha256).hexdigest()


class Webhook:
    """One address. Each is a channel of its own, so that one that is down keeps no other waiting."""

    def __init__(self, means: Means, url: str, number: int) -> None:
        self._means = means
        self._url = url
        self.reach = Reach("webhook" if number == 0 else f"webhook-{number + 1}", is_public)

    def deliver(self, job: Job) -> str:
        """The status that the receiver answered with."""
        config = self._means.site.config
        body = json.dumps(as_json(self._means, job), ensure_ascii=False).encode()
        time = str(int(self._means.clock.time()))
        headers = {
            "Content-Type": "application/json", "User-Agent": "bdmta",
            "Idempotency-Key": f"{config.primary_domain}/{job.key}",
            "X-Bdmta-Time": time, "X-Bdmta-Signature": sign(self._secret(), time, body),
        }  # fmt: skip
        try:
            status = send("POST", self._url, body, headers, config.dns.servers, config.transport.ca_file)
        except HttpFailure as error:
            raise (Hopeless if error.status in _NEVER_AGAIN else ChannelError)(str(error)) from error
        return f"HTTP {status}"

    def _secret(self) -> bytes:
        path = self._means.site.config.outage.webhook_secret
        try:
            with open(path, "rb") as file:
                secret = file.read(_SECRET_OCTETS).strip()
        except OSError as error:
            raise ChannelError(f"{path}: {error.strerror}") from error
        if not secret:
            raise ChannelError(f"{path}: is empty")
        return secret

    def settle(self, job: Job) -> None:
        """Nothing is kept."""
