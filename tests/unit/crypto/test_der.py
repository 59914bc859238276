"""The strict reader of DER: every rule by itself, and agreement with another reader."""

import pytest
from asn1crypto.core import load
from hypothesis import given
from hypothesis import strategies as st

from candado.crypto import der
from candado.errors import FormatError, LimitExceededError, MalformedError

NULL = b"\x05\x00"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut short"),
        (b"\x30", "cut short"),
        (b"\x30\x01\x05", "cut short"),
        (b"\x1f\x01\x00", "a tag that does not occur"),
        (b"\x3f\x81\x01\x00", "a tag that does not occur"),
        (b"\x00\x00", "a tag that does not occur"),
        (b"\x30\x02\x00\x00", "a tag that does not occur"),
        (b"\x30\x80\x05\x00\x00\x00", "indefinite length"),
        (b"\x04\x80\x00\x00", "indefinite length"),
        (b"\x04\x84\x01", "cut short or too long"),
        (b"\x04\x85\x00\x00\x00\x00\x01\x00", "cut short or too long"),
        (b"\x04\xff" + bytes(200), "cut short or too long"),
        (b"\x04\x81\x01\x00", "shortest form"),
        (b"\x04\x81\x7f" + bytes(127), "shortest form"),
        (b"\x04\x82\x00\x80" + bytes(128), "shortest form"),
        (b"\x04\x02\x00", "longer than what holds it"),
        (b"\x30\x03\x04\x02\x00", "longer than what holds it"),
        (b"\x05\x00\x00", "bytes after"),
        (NULL + NULL, "bytes after"),
    ],
)
def test_what_is_not_der_is_refused_with_its_reason(data: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        der.read_der(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x04\x80\x00\x00",
        b"\x30\x80\x05\x00\x00",
        b"\x30\x80\x05\x00",
        b"\x30\x03\x30\x80\x00",
        b"\x30\x80\x00\x00\x00",
    ],
)
def test_an_indefinite_length_must_be_of_a_constructed_element_and_must_end(data: bytes) -> None:
    with pytest.raises(MalformedError):
        der.read_der(data, indefinite=True)


def test_indefinite_lengths_give_the_same_elements() -> None:
    definite = der.sequence(NULL, der.sequence(der.integer(7)), der.tlv(0xA0, NULL))
    streamed = (
        b"\x30\x80" + NULL + b"\x30\x80" + der.integer(7) + b"\x00\x00" + b"\xa0\x80" + NULL + b"\x00\x00\x00\x00"
    )
    assert der.encode(der.read_der(streamed, indefinite=True)) == definite == der.encode(der.read_der(definite))
    assert der.read_der(streamed, indefinite=True).children[1].raw == b"\x30\x80" + der.integer(7) + b"\x00\x00"


def nested(levels: int) -> bytes:
    data = NULL
    for _ in range(levels - 1):
        data = der.sequence(data)
    return data


def test_depth_and_number_of_elements_are_bounded() -> None:
    der.read_der(nested(der.DEPTH_MAX))
    der.read_der(der.sequence(*[NULL] * (der.ELEMENTS_MAX - 1)))
    for data in (nested(der.DEPTH_MAX + 1), der.sequence(*[NULL] * der.ELEMENTS_MAX)):
        with pytest.raises(LimitExceededError):
            der.read_der(data)
    with pytest.raises(LimitExceededError):
        der.read_der(b"\x30\x80" * 100_000, indefinite=True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x02\x00", "an INTEGER was expected"), (b"\x04\x01\x00", "an INTEGER was expected"), (b"\x02\x02\x00\x7f", "shortest"), (b"\x02\x02\xff\x80", "shortest"),
    ],
)  # fmt: skip
def test_an_integer_has_one_form(data: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        der.read_integer(der.read_der(data))


def test_integers_have_signs() -> None:
    values = [
        der.read_integer(der.read_der(data))
        for data in (b"\x02\x01\x00", b"\x02\x02\x00\x80", b"\x02\x01\x80", b"\x02\x02\xff\x7f")
    ]
    assert values == [0, 128, -128, -129]


@pytest.mark.parametrize("data", [b"\x04\x02\x00\x01", b"\x03\x02\x01\x02", b"\x03\x00"])
def test_a_bit_string_has_whole_bytes(data: bytes) -> None:
    with pytest.raises(MalformedError, match="BIT STRING"):
        der.read_bits(der.read_der(data))


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (0x17, b"2601010000Z"), (0x17, b"260101000000"), (0x17, b"260101000000+0000"), (0x17, b"20260101000000Z"), (0x18, b"260101000000Z"),
        (0x18, b"20260101000000.5Z"), (0x0C, b"260101000000Z"), (0x0C, b"20260101000000Z"), (0x17, b"260101000000Z\n"), (0x17, b""),
    ],
)  # fmt: skip
def test_a_time_has_one_form(tag: int, text: bytes) -> None:
    with pytest.raises(MalformedError, match="a Time was expected"):
        der.read_time(der.read_der(der.tlv(tag, text)))


@pytest.mark.parametrize(
    "text", [b"260230000000Z", b"261301000000Z", b"260101240000Z", b"260101006000Z", b"260101000060Z", b"260100000000Z"]
)
def test_a_time_exists(text: bytes) -> None:
    with pytest.raises(MalformedError, match="does not exist"):
        der.read_time(der.read_der(der.tlv(0x17, text)))


@pytest.mark.parametrize("seconds", [0, 1_790_000_000, 2_524_607_999, 2_524_608_000, 4_000_000_000])
def test_a_time_comes_back(seconds: int) -> None:
    assert der.read_time(der.read_der(der.time(seconds + 0.9))) == seconds
    assert load(der.time(seconds)).native.timestamp() == seconds


def test_a_shape_says_how_many_parts_it_has() -> None:
    node = der.read_der(der.sequence(NULL, NULL))
    assert len(der.children(node, der.SEQUENCE, 2, 2)) == 2
    for tag, least, most in ((der.SET, 2, 2), (der.SEQUENCE, 3, 4), (der.SEQUENCE, 0, 1)):
        with pytest.raises(MalformedError):
            der.children(node, tag, least, most)


@pytest.mark.parametrize("dotted", ["2.5.4.3", "1.2.840.113549.1.1.11", "2.16.840.1.101.3.4.2.1", "1.3.14.3.2.26"])
def test_an_identifier_is_encoded_as_others_do(dotted: str) -> None:
    assert load(der.oid(dotted)).dotted == dotted


@given(st.binary(max_size=60))
def test_whatever_is_accepted_has_this_one_encoding(data: bytes) -> None:
    try:
        node = der.read_der(data)
    except FormatError:
        return
    assert der.encode(node) == node.raw == data
