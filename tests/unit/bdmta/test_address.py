import pytest
from hypothesis import given
from hypothesis import strategies as st

from bdmta.address import Address, AddressError, is_mailbox_local, parse_address, parse_path


@pytest.mark.parametrize(
    ("text", "address", "rest"),
    [
        ("<minhnv@BinhDuong.gov.vn>", Address("minhnv", "binhduong.gov.vn"), ""),
        ("<>", None, ""),
        ("<> SIZE=1", None, " SIZE=1"),
        (
            "<minhnv.dian@binhduong.gov.vn> SIZE=12 BODY=8BITMIME",
            Address("minhnv.dian", "binhduong.gov.vn"),
            " SIZE=12 BODY=8BITMIME",
        ),
        ("<@a.vn,@b.vn:x@c.vn>", Address("x", "c.vn"), ""),
        ('<"a b@c"@d.vn>', Address("a b@c", "d.vn"), ""),
        (r'<"a\"b"@d.vn>', Address('a"b', "d.vn"), ""),
        ("<x@[192.0.2.1]>", Address("x", "[192.0.2.1]"), ""),
        ("<x@[IPv6:2001:db8::1]>", Address("x", "[ipv6:2001:db8::1]"), ""),
        ("<Postmaster>", Address("Postmaster", ""), ""),
        ("<nguyễn@bình-dương.vn>", Address("nguyễn", "bình-dương.vn"), ""),
    ],
)
def test_paths(text, address, rest):
    assert parse_path(text) == (address, rest)


@pytest.mark.parametrize(
    "text",
    ["", "a@b.vn", "<a@b.vn", "<a>", "<a@>", "<@b>", "<a@b..vn>", "<a..b@c.vn>", "<a@-b.vn>", "<a b@c.vn>", "<a@b c>",
     "<a@b.vn\r\nRCPT>", '<"a@b.vn>', "<a@[1.2.3]>", "<" + "a" * 65 + "@b.vn>", "<a@" + "b." * 130 + "vn>", "<a\0@b.vn>",
     "<@a:>", "<a@b@c.vn>", "<.a@b.vn>", "<a.@b.vn>"],
)  # fmt: skip
def test_what_is_no_path(text):
    with pytest.raises(AddressError):
        parse_path(text)


@given(st.text(max_size=80))
def test_never_raises_anything_else(text):
    for parse in (parse_path, parse_address):
        try:
            parse(text)
        except AddressError:
            pass


@given(st.text(max_size=300).map(lambda t: "<" + t + ">"))
def test_an_accepted_address_is_accepted_again_as_written(text):
    try:
        address, _ = parse_path(text)
    except AddressError:
        return
    if address is not None and address.domain:
        assert parse_address(str(address)) == address


def test_dots_are_significant():
    assert parse_address("minhnv.dian@b.vn").key != parse_address("minhnvdian@b.vn").key


@pytest.mark.parametrize("local", ["..", ".a", "a/b", "a\0", "", "-", "a..b", "A", "a" * 65, "é", "a@b"])
def test_no_mailbox_is_named_so(local):
    assert not is_mailbox_local(local)


def test_mailbox_names_of_article_5():
    assert all(is_mailbox_local(local) for local in ("sotttt", "minhnv", "minhnv.dian", "ubnd-phuloi", "a"))
