"""The whole configuration: the tables, and what follows from several of them."""

from __future__ import annotations

from functools import cached_property

from pydantic import Field, model_validator

from bdmta.config import schema, schema_audit, schema_backup, schema_outage, schema_requests, schema_web
from bdmta.config.listeners import STANDARD_PORTS, ListenerConfig, clash
from bdmta.config.values import IPNetwork, Table, parse_network


class Config(Table):
    """One site's configuration, frozen. `bdmta.config.load` makes it; paths in it are absolute then."""

    server: schema.Server = Field(default_factory=schema.Server)
    listen: schema.Listen = Field(default_factory=schema.Listen)
    listener: tuple[schema.Listener, ...] = Field(default=(), max_length=100)
    mail: schema.Mail = Field(default_factory=schema.Mail)
    smtp: schema.Smtp = Field(default_factory=schema.Smtp)
    imap: schema.Imap = Field(default_factory=schema.Imap)
    pop3: schema.Pop3 = Field(default_factory=schema.Pop3)
    limits: schema.Limits = Field(default_factory=schema.Limits)
    auth: schema.Auth = Field(default_factory=schema.Auth)
    tls: schema.Tls = Field(default_factory=schema.Tls)
    dkim: schema.Dkim = Field(default_factory=schema.Dkim)
    dmarc: schema.DmarcTable = Field(default_factory=schema.DmarcTable)
    dns: schema.Dns = Field(default_factory=schema.Dns)
    clock: schema.ClockTable = Field(default_factory=schema.ClockTable)
    quota: schema.QuotaTable = Field(default_factory=schema.QuotaTable)
    policies: schema.Policies = Field(default_factory=schema.Policies)
    quarantine: schema.QuarantineTable = Field(default_factory=schema.QuarantineTable)
    examiner: schema.Examiner = Field(default_factory=schema.Examiner)
    queue: schema.Queue = Field(default_factory=schema.Queue)
    transport: schema.Transport = Field(default_factory=schema.Transport)
    audit: schema_audit.Audit = Field(default_factory=schema_audit.Audit)
    web: schema_web.Web = Field(default_factory=schema_web.Web)
    addressbook: schema_web.AddressBook = Field(default_factory=schema_web.AddressBook)
    outage: schema_outage.Outage = Field(default_factory=schema_outage.Outage)
    backup: schema_backup.Backup = Field(default_factory=schema_backup.Backup)
    requests: schema_requests.Requests = Field(default_factory=schema_requests.Requests)
    log: schema.Log = Field(default_factory=schema.Log)

    @property
    def primary_domain(self) -> str:
        """The first of [mail] domains (Điều 5.1)."""
        return self.mail.domains[0]

    @property
    def postmaster(self) -> str:
        """The mailbox that postmaster and abuse reach (RFC 2142)."""
        return self.mail.postmaster or f"postmaster@{self.primary_domain}"

    @cached_property
    def services(self) -> tuple[str, ...]:
        """What of smtp, imap (with POP3) and web is offered: whose absence is an outage (Điều 15)."""
        protocols = {listener.protocol for listener in self._listeners}
        offered = {
            "smtp": protocols & {"smtp", "submission", "submissions"},
            "imap": protocols & {"imap", "imaps", "pop3", "pop3s"},
            "web": {"web"},
        }
        return tuple(service for service, by in offered.items() if by)

    @property
    def status_page_endpoints(self) -> tuple[tuple[str, int], ...]:
        """Where the status page answers: addresses and port."""
        port = self.outage.status_port or 81 + self.listen.base_port
        return tuple((address, port) for address in self.outage.status_addresses or self.listen.addresses)

    @property
    def status_page_urls(self) -> tuple[str, ...]:
        """The same, to type into a browser."""
        return tuple(
            f"http://{f'[{address}]' if ':' in address else address}:{port}/"
            for address, port in self.status_page_endpoints
        )

    @cached_property
    def trusted_networks(self) -> tuple[IPNetwork, ...]:
        """[limits] trusted_networks, parsed."""
        return tuple(map(parse_network, self.limits.trusted_networks))

    @cached_property
    def relay_networks(self) -> tuple[IPNetwork, ...]:
        """[limits] relay_networks, parsed."""
        return tuple(map(parse_network, self.limits.relay_networks))

    def listeners(self) -> tuple[ListenerConfig, ...]:
        """Every port to open, in the file's order."""
        return self._listeners

    @cached_property
    def _listeners(self) -> tuple[ListenerConfig, ...]:
        given = self.listener or tuple(
            schema.Listener(name=protocol, protocol=protocol, addresses=self.listen.addresses)
            for protocol in self.listen.protocols
        )
        return tuple(map(self._resolved, given))

    def _resolved(self, given: schema.Listener) -> ListenerConfig:
        return ListenerConfig(
            name=given.name or given.protocol,
            protocol=given.protocol,
            addresses=given.addresses,
            port=given.port or STANDARD_PORTS[given.protocol] + self.listen.base_port,
            networks=tuple(map(parse_network, given.networks)),
            hostname=given.hostname or self.server.hostname,
            policies=given.policies or self.policies.file,
            max_message_octets=given.max_message_octets or self.smtp.max_message_octets,
            max_sessions=given.max_sessions or self.limits.max_sessions,
        )

    @model_validator(mode="after")
    def _is_whole(self) -> Config:
        if problem := clash(self._listeners):
            where = "[[listener]]" if self.listener and "base_port" not in problem else "[listen]"
            raise ValueError(f"{where} {problem}")
        domains = self.mail.domains
        for domain in domains:
            if domains.count(domain) > 1:
                raise ValueError(f"[mail] domains: {domain!r} is listed twice")
        if self.requests.address and self.requests.address.rpartition("@")[2] not in domains:
            raise ValueError(f"[requests] address: {self.requests.address} is not in one of [mail] domains")
        if self.mail.postmaster and self.mail.postmaster.rpartition("@")[2] not in domains:
            raise ValueError(f"[mail] postmaster: {self.mail.postmaster} is not in one of [mail] domains")
        if self.outage.webhook and not self.outage.webhook_secret:
            raise ValueError("[outage] webhook_secret: is needed with webhook, so that receivers can tell who calls")
        return self
