"""Base64 and PEM have one spelling; a wrapped key has at most two readings."""

import pytest

from candado import encoding
from candado.errors import LimitExceededError, MalformedError
from candado.types import Nonce


def test_base64_comes_back_and_has_the_size_asked_for() -> None:
    assert encoding.decode_b64(encoding.encode_b64(b"\xfb\xff"), size=2) == b"\xfb\xff"
    assert encoding.decode_b64("") == b""
    with pytest.raises(MalformedError, match="3 bytes were expected, 2 came"):
        encoding.decode_b64("+/8=", size=3)


@pytest.mark.parametrize("text", ["+/9=", "+/8", "+/8==", "-_8=", "+/8=\n", " +/8=", "+/8=A", "ä", "+/8=+/8=", "="])
def test_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        encoding.decode_b64(text)


@pytest.mark.parametrize("size", [1, 47, 48, 49, 200])
def test_pem_comes_back_whatever_its_columns(size: int) -> None:
    der = bytes(range(size))
    text = encoding.pem_encode("CERTIFICATE", der)
    assert max(len(line) for line in text.splitlines()) <= 64
    assert text.endswith("-----END CERTIFICATE-----\n")
    assert encoding.pem_decode(text, "CERTIFICATE") == der
    assert encoding.pem_decode(text.replace("\n", "\r\n").rstrip(), "CERTIFICATE") == der


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-----BEGIN X-----\nAAAA\n-----END Y-----", "not one PEM block"),
        ("-----BEGIN Y-----\nAAAA\n-----END X-----", "not one PEM block"),
        ("AAAA", "not one PEM block"),
        ("-----BEGIN X-----END X-----", "not one PEM block"),
        ("-----BEGIN X-----\n-----END X-----", "is empty"),
    ],
)
def test_pem_that_is_not_one_block_with_content_is_refused(text: str, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        encoding.pem_decode(text, "X")


WRAPPED = encoding.WrappedKey(b"c" * 40, Nonce(b"n" * 12), b"s" * 40)


def test_a_wrapped_key_is_written_with_bars_and_read_with_both_separators() -> None:
    text = encoding.join_wrapped(WRAPPED)
    assert encoding.split_wrapped(text) == [WRAPPED]
    assert encoding.split_wrapped(f"\n{text} ") == [WRAPPED]
    assert encoding.split_wrapped(text.replace("|", "fA==")) == [WRAPPED]
    long_nonce = encoding.WrappedKey(WRAPPED.ciphertext, Nonce(b"n" * 16), WRAPPED.salt)
    assert encoding.split_wrapped(encoding.join_wrapped(long_nonce).replace("|", "fA==")) == [long_nonce]


def test_a_field_that_ends_like_the_separator_is_still_found() -> None:
    ciphertext = encoding.decode_b64("A" * 44 + "fA==")
    key = encoding.WrappedKey(ciphertext, WRAPPED.nonce, WRAPPED.salt)
    assert encoding.split_wrapped(encoding.join_wrapped(key).replace("|", "fA==")) == [key]


def test_a_reading_that_is_not_base64_is_passed_over() -> None:
    text = encoding.join_wrapped(WRAPPED).replace("|", "fA==")
    with pytest.raises(MalformedError):
        encoding.split_wrapped("!" + text)


def test_a_wrapped_key_that_is_too_long_is_not_parsed() -> None:
    with pytest.raises(LimitExceededError):
        encoding.split_wrapped("A" * 33_000)
