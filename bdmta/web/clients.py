"""Settings for mail programs, made of the listeners: Thunderbird, Outlook, Apple's (Điều 15). No secret is in them."""

from __future__ import annotations

import plistlib
import uuid
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from bdmta.config import Config
from bdmta.setup.accounts import Connection, connections

_THUNDERBIRD = {"IMAP": "imap", "POP3": "pop3", "SMTP": "smtp"}
_SOCKET = {"SSL/TLS": "SSL", "STARTTLS": "STARTTLS"}
_REQUEST_SCHEMAS = frozenset({
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006",
    "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/requestschema/2006",
})  # fmt: skip
_RESPONSE = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_NODES = 100


class NotAsked(Exception):
    """The request is no autodiscover request."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered, the safest first; `name` is what programs call the provider."""

    domains: tuple[str, ...]
    name: str
    found: tuple[Connection, ...]

    @classmethod
    def of(cls, config: Config) -> Offer:
        """What this configuration offers."""
        return cls(tuple(config.mail.domains), f"Thư điện tử {config.primary_domain}", tuple(connections(config)))

    def first(self, protocol: str) -> Connection | None:
        """The safest of IMAP, POP3 or SMTP."""
        return next((one for one in self.found if one.protocol == protocol), None)


def thunderbird(offer: Offer, url: str) -> bytes:
    """Mozilla's `config-v1.1.xml`. The user name is the whole address, which Thunderbird puts in."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<clientConfig version="1.1">']
    lines.append(f'  <emailProvider id="{escape(offer.domains[0])}">')
    lines += [f"    <domain>{escape(domain)}</domain>" for domain in offer.domains]
    lines.append(f"    <displayName>{escape(offer.name)}</displayName>")
    lines.append(f"    <displayShortName>{escape(offer.domains[0])}</displayShortName>")
    for one in offer.found:
        tag = "outgoingServer" if one.protocol == "SMTP" else "incomingServer"
        lines += [
            f'    <{tag} type="{_THUNDERBIRD[one.protocol]}">',
            f"      <hostname>{escape(one.server)}</hostname>",
            f"      <port>{one.port}</port>",
            f"      <socketType>{_SOCKET[one.security]}</socketType>",
            "      <authentication>password-cleartext</authentication>",
            "      <username>%EMAILADDRESS%</username>",
            f"    </{tag}>",
        ]
    lines.append(f'    <documentation url="{escape(url, {chr(34): "&quot;"})}connection">')
    lines.append('      <descr lang="vi">Thông số kết nối</descr>')
    lines += ["    </documentation>", "  </emailProvider>", "</clientConfig>", ""]
    return "\n".join(lines).encode()


def asked_by_outlook(body: bytes) -> str:
    """The address in an autodiscover request; NotAsked says what is wrong with it.

    A document type is refused, so no entity is ever expanded; depth and number of elements are bounded.
    """
    found = _Texts()
    parser = expat.ParserCreate("utf-8", " ")  # whatever the document says of itself
    parser.StartDoctypeDeclHandler = found.refuse
    parser.EntityDeclHandler = found.refuse
    parser.ExternalEntityRefHandler = found.refuse
    parser.StartElementHandler = found.start
    parser.EndElementHandler = found.end
    parser.CharacterDataHandler = found.text
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise NotAsked(f"not XML: {error}") from None
    address = found.texts.get("EMailAddress", "").strip()
    if found.root not in _REQUEST_SCHEMAS or not address or len(address) > 320 or "@" not in address:
        raise NotAsked("no autodiscover request with an EMailAddress")
    return address


class _Texts:
    """The texts of the elements by local name, as they come."""

    def __init__(self) -> None:
        self.root = ""
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self._count = 0

    def refuse(self, *_: Any) -> Any:
        raise NotAsked("a document type or an entity")

    def start(self, name: str, attributes: Any) -> None:
        namespace, _, local = name.rpartition(" ")
        self._count += 1
        if self._count > _NODES:
            raise NotAsked("too many elements")
        if not self._open:
            self.root = namespace
        self._open.append(local)

    def end(self, name: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        local = self._open[-1]
        if len(self.texts.get(local, "")) < 1000:
            self.texts[local] = self.texts.get(local, "") + data


def outlook(offer: Offer, address: str) -> bytes:
    """The answer to an autodiscover request [MS-OXDSCLI §2.2.4]: IMAP, POP3 and SMTP by the whole address."""
    servers = "".join(
        f"<Protocol><Type>{kind}</Type><Server>{escape(one.server)}</Server><Port>{one.port}</Port>"
        f"<DomainRequired>off</DomainRequired><LoginName>{escape(address)}</LoginName><SPA>off</SPA>"
        f"<SSL>on</SSL><Encryption>{'SSL' if one.security == 'SSL/TLS' else 'TLS'}</Encryption>"
        f"<AuthRequired>on</AuthRequired>{smtp}</Protocol>"
        for kind, smtp in (("IMAP", ""), ("POP3", ""), ("SMTP", "<UsePOPAuth>on</UsePOPAuth><SMTPLast>off</SMTPLast>"))
        if (one := offer.first(kind)) is not None
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">'
        f'<Response xmlns="{_RESPONSE}"><User><DisplayName>{escape(address)}</DisplayName></User>'
        f"<Account><AccountType>email</AccountType><Action>settings</Action>{servers}</Account></Response>"
        "</Autodiscover>\n"
    ).encode()


def outlook_error(at: str) -> bytes:
    """The answer to what is no request (error 600, [MS-OXDSCLI §2.2.4.1.1.2])."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"><Response>'
        f'<Error Time="{escape(at)}" Id="0"><ErrorCode>600</ErrorCode><Message>Invalid Request</Message><DebugData/>'
        "</Error></Response></Autodiscover>\n"
    ).encode()


def apple(offer: Offer, address: str) -> bytes:
    """A profile for iPhone, iPad and Mac; it asks for the password. The same address gives the same profile."""
    incoming, outgoing = offer.first("IMAP"), offer.first("SMTP")
    account = uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{address}")
    payload: dict[str, Any] = {
        "PayloadType": "com.apple.mail.managed", "PayloadVersion": 1, "PayloadUUID": str(account),
        "PayloadIdentifier": f"{'.'.join(reversed(offer.domains[0].split('.')))}.mail.{account}",
        "PayloadDisplayName": offer.name, "EmailAccountType": "EmailTypeIMAP", "EmailAccountDescription": offer.name,
        "EmailAddress": address,
    }  # fmt: skip
    for side, one in (("Incoming", incoming), ("Outgoing", outgoing)):
        if one is not None:
            payload |= {
                f"{side}MailServerAuthentication": "EmailAuthPassword", f"{side}MailServerHostName": one.server,
                f"{side}MailServerPortNumber": one.port, f"{side}MailServerUseSSL": True,
                f"{side}MailServerUsername": address,
            }  # fmt: skip
    payload["OutgoingPasswordSameAsIncomingPassword"] = True
    profile = {
        "PayloadType": "Configuration", "PayloadVersion": 1, "PayloadContent": [payload],
        "PayloadUUID": str(uuid.uuid5(account, "profile")),
        "PayloadIdentifier": f"{'.'.join(reversed(offer.domains[0].split('.')))}.profile",
        "PayloadDisplayName": f"{offer.name}: {address}", "PayloadOrganization": offer.domains[0],
        "PayloadDescription": "Hộp thư công vụ. Máy sẽ hỏi mật khẩu.", "PayloadRemovalDisallowed": False,
    }  # fmt: skip
    return plistlib.dumps(profile)
