"""The server's certificate, renewable under live sessions."""

from __future__ import annotations

import ssl

from bdmta.errors import ConfigError

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsContext:
    """One context for all listeners; `reload` puts a new certificate into it, and new handshakes show it."""

    def __init__(self, cert: str, key: str, min_version: str) -> None:
        self._cert = cert
        self._key = key
        self._min_version = min_version
        self.context = self._fresh()

    def _fresh(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self._min_version]
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        try:
            context.load_cert_chain(self._cert, self._key)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
            raise ConfigError(f"[tls] cert {self._cert}, key {self._key}: {reason}") from None
        return context

    def reload(self) -> None:
        """Take the files anew; ConfigError leaves the old certificate in place."""
        self._fresh()  # tried on a context of its own, as a failed load can leave half a pair behind
        self.context.load_cert_chain(self._cert, self._key)
