"""Is the certificate the one that clients will accept?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from bdmta.clock import Clock
from bdmta.setup.finding import Finding, fail, ok, warn

_SOON = timedelta(days=21)
_CHECK = "certificate"


def examine_certificate(cert: str, key: str, names: Sequence[str], clock: Clock) -> Iterator[Finding]:
    """Whether `cert` and `key` can be read, belong together, are valid now, and bear each of `names`."""
    try:
        with open(cert, "rb") as file:
            certificate = x509.load_pem_x509_certificate(file.read())
    except OSError as error:
        yield fail(_CHECK, f"[tls] cert: {cert}: {error.strerror}")
        return
    except ValueError:
        yield fail(_CHECK, f"[tls] cert: {cert}: holds no PEM certificate")
        return
    yield from _key(certificate, cert, key)
    yield from _validity(certificate, cert, clock)
    yield from _names(certificate, cert, names)


def _key(certificate: x509.Certificate, cert: str, key: str) -> Iterator[Finding]:
    try:
        with open(key, "rb") as file:
            private = serialization.load_pem_private_key(file.read(), None)
    except OSError as error:
        yield fail(_CHECK, f"[tls] key: {key}: {error.strerror}")
        return
    except (ValueError, TypeError):
        yield fail(_CHECK, f"[tls] key: {key}: holds no PEM private key without a passphrase")
        return
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        yield fail(_CHECK, f"[tls] key: {key} does not belong to {cert}")


def _validity(certificate: x509.Certificate, cert: str, clock: Clock) -> Iterator[Finding]:
    now, begin, end = clock.now(), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        yield fail(_CHECK, f"{cert} is not valid before {begin:%Y-%m-%d}")
    elif now >= end:
        yield fail(_CHECK, f"{cert} expired on {end:%Y-%m-%d}")
    elif now > end - _SOON:
        yield warn(_CHECK, f"{cert} expires on {end:%Y-%m-%d}, in {(end - now).days} days")
    else:
        yield ok(_CHECK, f"{cert}, valid until {end:%Y-%m-%d}")


def _names(certificate: x509.Certificate, cert: str, names: Sequence[str]) -> Iterator[Finding]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        borne = [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]
    except x509.ExtensionNotFound:
        borne = []
    for name in names:
        if name not in borne and f"*.{name.partition('.')[2]}" not in borne:
            yield fail(_CHECK, f"{cert} does not bear the name {name}, only {', '.join(borne) or 'none'}")
