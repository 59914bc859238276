"""Addresses of links: what they carry, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.errors import MalformedError
from candado.formats.linkaddress import LinkAddress, format_link, parse_link
from candado.types import SecretText

TOKEN = "a1B2c3D4e5F6g7H8i9J0"
KEY = "0123456789abcdef" * 4
BASE = "https://cloud.example.org"
WORDS = SecretText("able baker charlie")


@pytest.mark.parametrize(
    "address",
    [
        LinkAddress(BASE, TOKEN),
        LinkAddress(BASE, TOKEN, by=KEY),
        LinkAddress(BASE, TOKEN, by=KEY, key=KEY[::-1]),
        LinkAddress("http://127.0.0.1:8080/cloud", TOKEN, key=KEY, words=WORDS),
    ],
)
def test_an_address_is_read_as_it_was_written(address: LinkAddress) -> None:
    assert parse_link(format_link(address)) == address
    assert parse_link(f"  {format_link(address)}\n") == address


def test_the_member_of_a_link_is_named_after_its_token() -> None:
    address = parse_link(f"{BASE}/index.php/s/{TOKEN}/")
    assert (address.base_url, address.member_id) == (BASE, f"s:{TOKEN}")
    assert format_link(address.with_words(WORDS)) == f"{BASE}/s/{TOKEN}#words=able-baker-charlie"
    assert "able" not in repr(address.with_words(WORDS))


@pytest.mark.parametrize(
    "text",
    [
        "",
        TOKEN,
        f"ftp://cloud.example.org/s/{TOKEN}",
        f"https:///s/{TOKEN}",
        f"{BASE}/s/short",
        f"{BASE}/s/{TOKEN}/more",
        f"{BASE}/x/{TOKEN}",
        f"{BASE}/s/{TOKEN}?x=1",
        f"{BASE}/s/{TOKEN}#by",
        f"{BASE}/s/{TOKEN}#by={KEY[:-1]}",
        f"{BASE}/s/{TOKEN}#by={KEY.upper()}",
        f"{BASE}/s/{TOKEN}#by={KEY}&by={KEY}",
        f"{BASE}/s/{TOKEN}#bye={KEY}",
        f"{BASE}/s/{TOKEN}#words=one",
        f"{BASE}/s/{TOKEN}#words=one two",
        f"https://[::1/s/{TOKEN}",
        f"{BASE}/{'a' * 5000}/s/{TOKEN}",
    ],
)
def test_what_is_no_address_or_was_damaged_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_link(text)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_link(text)
    except MalformedError:
        return
    assert parse_link(format_link(address)) == address
