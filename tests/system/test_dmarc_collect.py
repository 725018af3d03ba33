"""A report about our domain comes by SMTP to where `rua=` leads, and is kept, listed and shown."""

from __future__ import annotations

import gzip

from tests.site import DOMAIN
from tests.system.wire import deliver, here

XML = (
    "<feedback><report_metadata><org_name>Big</org_name><report_id>r-1</report_id><date_range><begin>{begin}</begin>"
    "<end>{end}</end></date_range></report_metadata><policy_published><domain>{domain}</domain></policy_published><record>"
    "<row><source_ip>192.0.2.7</source_ip><count>5</count><policy_evaluated><disposition>quarantine</disposition>"
    "<dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>{domain}</header_from>"
    "</identifiers></record></feedback>"
)


def test_a_report_that_comes_is_kept(site):
    from base64 import encodebytes

    xml = XML.format(domain=DOMAIN, begin=1_767_571_200, end=1_767_657_599)
    attached = encodebytes(gzip.compress(xml.encode())).replace(b"\n", b"\r\n")
    octets = (
        f"From: reports@big.example\r\nTo: {here('postmaster')}\r\nSubject: Report Domain: {DOMAIN}\r\n"
        "Message-ID: <r-1@big.example>\r\nDate: Mon, 5 Jan 2026 08:00:00 +0700\r\nMIME-Version: 1.0\r\n"
        "Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n"
        'Content-Disposition: attachment; filename="big.example!report.xml.gz"\r\n\r\n'
    ).encode() + attached  # fmt: skip
    assert deliver(site, octets, here("postmaster"), sender="reports@big.example").code == 250
    site.run("dmarc", "collect")
    (row,) = site.json("dmarc", "list", "--since", "2026-01-01")
    assert (row["domain"], row["reporter"], row["letters"], row["failed"]) == (DOMAIN, "Big", 5, 5)
    assert not row["is_proven"]
    assert "192.0.2.7" in site.run("dmarc", "show", row["id"]).stdout
    assert "0 reports kept" in site.run("dmarc", "collect").stdout
