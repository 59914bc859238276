"""Regular expressions in linear time: as Python's where both know the syntax, and never more work than promised."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.errors import LimitExceededError, MalformedError
from candado.formats.linearregex import PROGRAM_STEPS_MAX, LinearRegex
from candado.formats.regexsyntax import PATTERN_CHARS_MAX

LEAVES = ["a", "b", "c", ".", "[ab]", "[^a]", "[a-c1]", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"[\d_-]", r"\.", "B"]
QUANTIFIERS = ["*", "+", "?", "{2}", "{1,}", "{0,2}", "{0}", "*?", "+?", "??"]
PATTERNS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda parts: f"(?:{parts[0]}|{parts[1]})"),
        st.tuples(inner, st.sampled_from(QUANTIFIERS)).map(lambda parts: f"({parts[0]}){parts[1]}"),
        inner.map(lambda part: f"^{part}"),
        inner.map(lambda part: f"{part}$"),
        inner.map(lambda part: f"({part}|)"),
    ),
    max_leaves=8,
)


@given(st.sampled_from(["", "(?i)"]), PATTERNS, st.text("abcA1 ._-", max_size=8))
def test_it_finds_what_the_usual_engine_finds(flag: str, pattern: str, text: str) -> None:
    assert LinearRegex(flag + pattern).search(text) is bool(re.search(flag + pattern, text))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^(a+)+$", "a" * 5000 + "b"),
        (r"(a|a)*c", "a" * 5000),
        (r"(x+x+)+y", "x" * 5000),
        (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 5000),
        (r"(.*)*(.*)*(.*)*=", "x" * 5000),
        (r"(a?){50}a{50}", "a" * 49),
        (r"(a|b)*a(a|b){12}c", "ab" * 2500),
    ],
)
def test_a_pattern_that_hangs_others_costs_a_visit_of_each_instruction_for_each_character(
    pattern: str, text: str
) -> None:
    made = LinearRegex(pattern)
    found, visits = made.run(text)
    assert not found
    assert visits <= 2 * made.size * (len(text) + 1)


@given(PATTERNS, st.text("abcA1 ._-", max_size=30))
def test_no_pattern_costs_more_than_that(pattern: str, text: str) -> None:
    made = LinearRegex(pattern)
    assert made.run(text)[1] <= 2 * made.size * (len(text) + 2)


def test_what_is_remembered_does_not_grow_without_end() -> None:
    made = LinearRegex("^ab")
    for number in range(10_000):
        made.search("ab"[: number % 2] + chr(0x4E00 + number))
    assert len(made._kept) <= 4096


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("", "", True),
        ("", "x", True),
        ("^$", "", True),
        ("^$", "x", False),
        ("a$", "a\n", False),
        ("(?i)straße", "STRAßE", True),
        ("(?i)[a-z]x", "QX", True),
        ("(?i)[^a]", "A", False),
        (r"\t\n\r", "\t\n\r", True),
        (r"[\]\\-]", "-", True),
        ("a{2,3}$", "aaaa", True),
        ("^a{2,3}$", "aaaa", False),
        ("^(a|bc)+$", "abcbca", True),
        ("x{0}y", "y", True),
        ("a|", "", True),
        ("}", "}", True),
        ("]", "]", True),
    ],
)
def test_what_fits(pattern: str, text: str, found: bool) -> None:
    assert LinearRegex(pattern).search(text) is found


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?=a)", "character 2: looking around"),
        ("(?P<x>a)", "character 2: looking around"),
        ("a(?i)b", "character 3: looking around"),
        (r"(a)\1", r"\\1 is not possible"),
        (r"\bword", r"\\b is not possible"),
        ("x\\", r"character 3: \\ is not possible"),
        ("a)", "character 2: a closing bracket"),
        ("(a", "a group is not closed"),
        ("[a", "a class is not closed"),
        ("[[:alpha:]]", r"write \\\[ for the character"),
        ("[z-a]", "a range goes"),
        (r"[a-\d]", "a range goes"),
        (r"[\d-z]", "a range goes"),
        ("[]", "an empty class"),
        ("*a", "nothing to repeat"),
        ("a|+", "nothing to repeat"),
        ("a**", "two quantifiers"),
        ("a*+", "two quantifiers"),
        ("a{2}{3}", "two quantifiers"),
        ("a{3,2}", "first number is larger"),
        ("a{,3}", "after { comes a number"),
        ("a{x}", "after { comes a number"),
        ("^*", "an end of the text cannot be repeated"),
    ],
)
def test_what_is_wrong_or_needs_more_than_linear_time_is_said(pattern: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        LinearRegex(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["a" * (PATTERN_CHARS_MAX + 1), "(" * 22 + ")" * 22, "((a{100}){100}){9999}", "(a{0,50}){0,50}", "(.{30,}){70}"],
)
def test_a_pattern_over_a_limit_is_refused(pattern: str) -> None:
    with pytest.raises(LimitExceededError):
        LinearRegex(pattern)


def test_no_accepted_pattern_has_more_instructions_than_allowed() -> None:
    assert LinearRegex("(a{0,30}){0,30}").size <= PROGRAM_STEPS_MAX
    assert LinearRegex("([ab]{9}c|d){80}").size <= PROGRAM_STEPS_MAX


@given(st.text(max_size=40))
def test_any_text_is_a_pattern_or_is_refused(pattern: str) -> None:
    with contextlib.suppress(MalformedError, LimitExceededError):
        LinearRegex(pattern).search("abc")


@given(st.text("ab*?.\n[", max_size=8), st.text("ab.\n[", max_size=8))
def test_a_simple_pattern_knows_two_signs_only(pattern: str, text: str) -> None:
    expected = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    assert LinearRegex(pattern, glob=True).search(text) is bool(re.fullmatch(expected, text, re.DOTALL))


def test_a_simple_pattern_has_a_limit_too() -> None:
    with pytest.raises(LimitExceededError):
        LinearRegex("*" * (PATTERN_CHARS_MAX + 1), glob=True)
