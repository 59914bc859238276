"""The header by which a refusal names its rule, from our server and from a hostile one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.formats.denials import Denial, format_denial, one_line, parse_denial

FULL = Denial("hr-pdf", "PDFs of HR go into sealed folders; ask Ana.", 7, encrypt=True, lasting=True)


def test_a_refusal_comes_back_as_it_was_sent() -> None:
    assert parse_denial(format_denial(FULL)) == FULL


def test_the_header_has_the_documented_form() -> None:
    assert format_denial(FULL) == (
        "rule=hr-pdf; version=7; encrypt=1; lasting=1; text=PDFs of HR go into sealed folders%3B ask Ana."
    )


def test_text_of_other_scripts_comes_back_whole() -> None:
    spanish = Denial("a", 'Sólo "cifrado": год ñandú 100%')
    assert parse_denial(format_denial(spanish)) == spanish


def test_a_long_text_is_cut_and_says_so() -> None:
    value = format_denial(Denial("a", "加密" * 400))
    found = parse_denial(value)
    assert len(value) < 1700
    assert found is not None
    assert found.text.startswith("加密加密")
    assert found.text.endswith("\N{HORIZONTAL ELLIPSIS}")


@given(st.text(max_size=3000))
def test_whatever_an_administrator_wrote_fits_into_one_ascii_line(text: str) -> None:
    value = format_denial(Denial("a", text))
    assert value.isascii()
    assert value.isprintable()
    assert len(value) <= 1700
    found = parse_denial(value)
    assert found is not None
    assert found.text == one_line(text) or found.text.endswith("\N{HORIZONTAL ELLIPSIS}")


@given(st.text(max_size=200))
def test_any_header_is_a_refusal_or_none(value: str) -> None:
    found = parse_denial(value)
    assert found is None or one_line(found.text) == found.text


@pytest.mark.parametrize(
    "value",
    [
        "",
        "rule=",
        "rule=../etc",
        "rule=a b",
        "rule=a\n",
        "rule=-a",
        "rule=" + "a" * 65,
        "text=no rule",
        "rule=a; rule=b",
        "rule=a; encrypt=2",
        "rule=a; lasting=",
        "rule=a; version=-1",
        "rule=a; version=9007199254740992",
        "rule=a; version=" + "9" * 17,
        "rule=a; version=\u0661",
        "rule=a; text=%ff",
        "rule=a; text=%ed%a0%80",
        "rule=a; nonsense",
        "rule=a; text=\u00e9",
        "rule=a; text=" + "b" * 4096,
    ],
)
def test_what_is_no_refusal_is_none(value: str) -> None:
    assert parse_denial(value) is None


def test_members_that_are_not_known_are_passed_over() -> None:
    assert parse_denial("rule=a; new=1; text=b") == Denial("a", "b")


def test_text_of_a_hostile_server_cannot_steer_a_terminal() -> None:
    found = parse_denial("rule=a; text=%1b[2J%0d%0aroot%E2%80%AE%E2%80%A8x%00")
    assert found == Denial("a", "[2J root x")
