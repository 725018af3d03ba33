"""Settings for mail programs: whatever is sent as an autodiscover request, it is an address or it is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.config import parse
from bdmta.web.clients import NotAsked, Offer, asked_by_outlook, outlook, thunderbird

SCHEMA = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"


def request(inside: str, before: str = "") -> bytes:
    return f'{before}<Autodiscover xmlns="{SCHEMA}"><Request>{inside}</Request></Autodiscover>'.encode()


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: request(text))))
def test_nothing_else_is_raised(body):
    try:
        assert "@" in asked_by_outlook(body)
    except NotAsked:
        pass


def test_a_billion_laughs_are_none():
    entities = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    with pytest.raises(NotAsked, match="document type"):
        asked_by_outlook(request("<EMailAddress>&a9;@x.vn</EMailAddress>", f"<!DOCTYPE a [{entities}]>"))


@pytest.mark.parametrize(
    "body",
    [
        request("<a>" * 200 + "</a>" * 200), request("<EMailAddress>x</EMailAddress>"),
        request(f"<EMailAddress>{'x' * 400}@x.vn</EMailAddress>"),
        b"<Autodiscover><Request><EMailAddress>a@x.vn</EMailAddress></Request></Autodiscover>",
        b"<?xml version='1.0' encoding='utf-7'?><a/>",
    ],
)  # fmt: skip
def test_what_is_refused(body):
    with pytest.raises(NotAsked):
        asked_by_outlook(body)


def test_what_is_told_is_escaped():
    offer = Offer.of(parse({"mail": {"domains": ["x.vn"]}}, folder="/site"))
    assert asked_by_outlook(request("<EMailAddress> a@x.vn </EMailAddress>")) == "a@x.vn"
    assert b"<LoginName>&lt;b&gt;&amp;@x.vn</LoginName>" in outlook(offer, "<b>&@x.vn")
    assert b"<domain>x.vn</domain>" in thunderbird(offer, "https://x.vn/")
