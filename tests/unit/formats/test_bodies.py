"""Many bodies in one answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.errors import MalformedError
from candado.formats.bodies import format_bodies, parse_bodies


@given(st.lists(st.none() | st.binary(max_size=300)))
def test_what_was_framed_is_read_back(bodies: list[bytes | None]) -> None:
    assert parse_bodies(format_bodies(bodies), [len(body or b"") for body in bodies]) == bodies


def test_the_frames_are_those_of_the_specification() -> None:
    assert format_bodies([b"ab", None, b""]).hex() == "000000026162" + "ffffffff" + "00000000"


@pytest.mark.parametrize(
    ("answer", "sizes"),
    [
        ("", [1]), ("0000", [1]), ("00000001", [1]), ("0000000161", [2]), ("000000016162", [1]),
        ("0000000161", []), ("ffffffff", []), ("ffffffffffffffff", [3]), ("000000016100000001", [1, 1]),
        ("fffffffe", [1]),
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_refused(answer: str, sizes: list[int]) -> None:
    with pytest.raises(MalformedError):
        parse_bodies(bytes.fromhex(answer), sizes)
