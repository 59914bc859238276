"""Addresses of keys on hardware tokens."""

import pytest

from candado.errors import LimitExceededError, MalformedError
from candado.formats.pkcs11uri import URI_CHARS_MAX, KeyUri, format_key_uri, parse_key_uri

MODULE = "module-path=/usr/lib/hsm.so"


def test_an_address_names_token_key_module_and_the_place_of_the_pin() -> None:
    text = f"pkcs11:token=The%20Authority;object=ca%3b1;id=%01%ff?{MODULE}&pin-source=file:/etc/candado/pin"
    uri = parse_key_uri(text)
    assert uri == KeyUri(
        "/usr/lib/hsm.so", token="The Authority", label="ca;1", key_id=b"\x01\xff", pin_source="/etc/candado/pin"
    )
    assert uri.place == "The Authority/ca;1"
    assert "pin" not in repr(uri)


@pytest.mark.parametrize(
    "uri",
    [
        KeyUri("/a b/c.so", token="größer", label="x"),
        KeyUri("/a.so", serial="0042", manufacturer="M&M", model="v=2", key_id=b"/\x00?", pin_source="/run/pin&file"),
        KeyUri("/a.so", token="t", label="l"),
    ],
)
def test_an_address_is_read_back_as_it_was_written(uri: KeyUri) -> None:
    assert parse_key_uri(format_key_uri(uri)) == uri


def test_a_key_without_label_is_shown_by_its_id_and_a_token_without_label_by_its_serial_number() -> None:
    assert parse_key_uri(f"pkcs11:serial=0042;id=%0A%0b;type=private?{MODULE}").place == "serial 0042/id 0a0b"


@pytest.mark.parametrize("source", ["/run/pin", "file:/run/pin", "file:///run/pin"])
def test_the_place_of_the_pin_has_three_spellings(source: str) -> None:
    assert parse_key_uri(f"pkcs11:token=t;object=o?{MODULE}&pin-source={source}").pin_source == "/run/pin"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begins with"),
        ("PKCS11:token=t;object=o", "begins with"),
        ("pkcs11:", "empty"),
        (f"pkcs11:token=t;object=?{MODULE}", "empty"),
        (f"pkcs11:token=t;;object=o?{MODULE}", "empty"),
        (f"pkcs11:token=t;object=a b?{MODULE}", "empty"),
        (f"pkcs11:token=t;object=%4?{MODULE}", "empty"),
        (f"pkcs11:token=t;object=a/b?{MODULE}", "empty"),
        (f"pkcs11:token=t;object=o\n?{MODULE}", "empty"),
        ("pkcs11:token=t;object=o?", "empty"),
        (f"pkcs11:token=t;token=t;object=o?{MODULE}", "twice"),
        (f"pkcs11:token=t;object=o?{MODULE}&{MODULE}", "twice"),
        (f"pkcs11:token=t;object=o;x-vendor=1?{MODULE}", "not known"),
        (f"pkcs11:token=t;object=o;library-version=1?{MODULE}", "not known"),
        (f"pkcs11:token=t;object=o;module-path=/x?{MODULE}", "empty"),
        (f"pkcs11:token=t;object=o;type=public?{MODULE}", "private key"),
        (f"pkcs11:object=o?{MODULE}", "no token"),
        (f"pkcs11:token=t?{MODULE}", "no key"),
        ("pkcs11:token=t;object=o", "no module"),
        ("pkcs11:token=t;object=o?module-path=hsm.so", "no module"),
        (f"pkcs11:token=t;object=o;slot-id=1?{MODULE}", "slots are numbered"),
        (f"pkcs11:token=t;object=o?{MODULE}&pin-value=1234", "does not belong"),
        (f"pkcs11:token=t;object=o?{MODULE}&module-name=hsm", "whole path"),
        (f"pkcs11:token=t;object=o?{MODULE}&pin-source=pin", "absolute path"),
        (f"pkcs11:token=t;object=o?{MODULE}&pin-source=|/bin/pin", "absolute path"),
        (f"pkcs11:token=t;object=o?{MODULE}&pin-source=file://host/pin", "absolute path"),
        (f"pkcs11:token=%ff;object=o?{MODULE}", "not UTF-8"),
        (f"pkcs11:token=%00;object=o?{MODULE}", "control"),
    ],
)
def test_what_is_not_such_an_address_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason) as caught:
        parse_key_uri(text)
    assert "1234" not in caught.value.message


def test_an_address_beyond_the_limit_is_not_parsed() -> None:
    with pytest.raises(LimitExceededError):
        parse_key_uri("pkcs11:" + "a" * URI_CHARS_MAX)
