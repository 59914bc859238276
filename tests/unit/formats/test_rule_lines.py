"""The one-line language of access rules: what it says, and what it answers to what it does not know."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.errors import FormatError, LimitExceededError, MalformedError
from candado.formats.rulechecks import DAYS, RELATIONS, make_test
from candado.formats.rules import Operation, Relation, Subject, Test, format_line, parse_line

EVERY = frozenset(Operation)
CREATE = frozenset({Operation.CREATE})

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    # A backslash before a quotation mark, or at the end, has no way to be written: it would take the mark with it.
    lambda text: text.strip() == text and not re.search(r'(?<!\\)(\\\\)*\\("|$)', text)
)
TIMES = st.tuples(
    st.sampled_from(["", *DAYS, "Mon-Fri", "Sat-Mon"]), st.sampled_from(["08:00-18:00", "22:00-06:00", "00:00-24:00"])
).map(lambda parts: " ".join([*filter(None, parts), "Europe/Berlin"]))
VALUES = {
    (Subject.NAME, Relation.IS): WORDS.filter(lambda text: "/" not in text),
    (Subject.NAME, Relation.LIKE): WORDS,
    (Subject.NAME, Relation.MATCHES): WORDS.map(re.escape).filter(lambda text: '\\"' not in text),
    (Subject.MIME, Relation.IS): st.sampled_from(["application/pdf", "image/svg+xml"]),
    (Subject.MIME, Relation.LIKE): st.sampled_from(["image/*", "text/*"]),
    (Subject.TAG, Relation.IS): WORDS,
    (Subject.IP, Relation.IS): st.ip_addresses().map(str),
    (Subject.TIME, Relation.IS): TIMES,
    (Subject.URL, Relation.IS): st.one_of(st.just("webdav"), WORDS.map(lambda text: f"/{text}")),
    (Subject.URL, Relation.LIKE): WORDS,
    (Subject.AGENT, Relation.IS): st.sampled_from(["android", "other"]),
    (Subject.AGENT, Relation.LIKE): WORDS,
    (Subject.GROUP, Relation.IS): WORDS,
}
SIZES = st.tuples(st.integers(0, 10**6), st.sampled_from(["B", "KB", "MiB", "TB"])).map(
    lambda size: f"{size[0]} {size[1]}"
)


@st.composite
def made_tests(draw: st.DrawFn) -> Test:
    subject = draw(st.sampled_from(list(Subject)))
    relation = draw(
        st.sampled_from([one for one in RELATIONS[subject] if one is not Relation.MATCHES or subject is Subject.NAME])
    )
    if relation is Relation.HOLDS:
        values: list[str] = []
    elif subject is Subject.SIZE:
        values = [draw(SIZES)]
    else:
        values = draw(st.lists(VALUES[subject, relation], min_size=1, max_size=3))
    return make_test(subject, relation, values, negated=draw(st.booleans()))


@given(
    st.sets(st.sampled_from(Operation), min_size=1).map(frozenset),
    st.lists(st.lists(made_tests(), min_size=1, max_size=3).map(tuple), max_size=4).map(tuple),
)
def test_the_canonical_line_is_read_as_what_it_was_written_from(
    operations: frozenset[Operation], clauses: tuple[tuple[Test, ...], ...]
) -> None:
    line = format_line(operations, clauses)
    assert parse_line(line) == (operations, clauses)
    assert format_line(*parse_line(line)) == line


@given(st.text(max_size=60), st.sampled_from(["", "deny ", "deny all when ", "deny all when name = "]))
def test_any_text_is_a_rule_or_is_refused(text: str, begin: str) -> None:
    try:
        parsed = parse_line(begin + text)
    except FormatError:
        return
    assert parse_line(format_line(*parsed)) == parsed


@given(
    st.lists(
        st.sampled_from(
            [
                "deny",
                "all",
                "create",
                "when",
                "and",
                "or",
                "not",
                "(",
                ")",
                ",",
                "=",
                ">",
                "like",
                "name",
                "size",
                "encrypted",
                "link",
                "a",
                "1",
                "MB",
            ]
        ),
        max_size=14,
    )
)
def test_any_row_of_words_is_a_rule_or_is_refused(words: list[str]) -> None:
    try:
        parsed = parse_line(" ".join(words))
    except FormatError:
        return
    assert parse_line(format_line(*parsed)) == parsed


@pytest.mark.parametrize(
    ("line", "canonical"),
    [
        ("deny all", "deny all"),
        ("deny create,update,read,rename,delete,share", "deny all"),
        ("deny delete,create", "deny create, delete"),
        ("deny all but read", "deny create, update, rename, delete, share"),
        ("deny all but read, share when link", "deny create, update, rename, delete when link"),
        ("deny create when link or encrypted", "deny create when link or encrypted"),
        ("deny create when (link or encrypted)", "deny create when link or encrypted"),
        ("deny create when (link) and (encrypted)", "deny create when link and encrypted"),
        ("deny create when link and(encrypted or size>1MB)", "deny create when link and (encrypted or size > 1 MB)"),
        ("deny  create\n when\tgroup=HR,Sales", "deny create when group = HR, Sales"),
        (
            "deny create,update when (group=HR or mime=application/pdf) and not encrypted",
            "deny create, update when (group = HR or mime = application/pdf) and not encrypted",
        ),
    ],
)
def test_a_line_has_one_canonical_form(line: str, canonical: str) -> None:
    assert format_line(*parse_line(line)) == canonical


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "character 1: here comes deny, which is missing"),
        ("allow all", "character 1: here comes deny, not allow"),
        ('"deny" all', "character 2: here comes deny, which is missing"),
        ("deny", "character 5: here comes an operation; there are create, read"),
        ("deny crate", "character 6: crate is no operation; did you mean create?"),
        ("deny create,", "character 13: here comes an operation"),
        ("deny create link", "character 13: here comes when, not link"),
        ("deny all but", "character 13: here comes an operation"),
        ("deny all when", "character 14: here comes a test; there are name, mime"),
        ("deny all when naem = x", "character 15: naem is no test; did you mean name?"),
        ("deny all when link encrypted", "character 20: here comes and, or the end; a value of several words"),
        ("deny all when group = Human Resources", "character 29: here comes and, or the end; a value of several words"),
        ("deny all when link )", "character 20: here comes and, or the end"),
        ("deny all when link or encrypted and tag = a", "character 33: and meets or: put brackets around"),
        ("deny all when tag = a and link or encrypted", "character 32: or meets and: put brackets around"),
        ("deny all when (link) or encrypted", "character 22: all tests of which one is enough stand in one pair"),
        (
            "deny all when (link and encrypted)",
            "character 21: a bracket is not closed; inside of it come tests with or",
        ),
        ("deny all when (link", "character 20: a bracket is not closed"),
        ("deny all when ((link))", "character 16: brackets are not nested"),
        ("deny all when not (link or encrypted)", "character 19: brackets are not nested, and not is written before"),
        ("deny all when not not link", "character 19: not is no test"),
        ("deny all when link = yes", "character 20: link stands alone: write link, or not link"),
        ("deny all when name", "character 19: name is tested with = or like or matches; write = or like"),
        ("deny all when name != x", "character 20: name is tested with = or like or matches; write: not name = ..."),
        ("deny all when name is x", "character 20: name is tested with = or like or matches; write = for is"),
        ("deny all when size >= 1 MB", "character 20: size is tested with > or <"),
        ("deny all when name =", "character 21: here comes a value"),
        ("deny all when name = and", "character 22: here comes a value; put it into quotation marks"),
        ('deny all when name = ""', "character 24: here comes a value"),
        ("deny all when size > and", "character 22: here comes a value"),
        ('deny all when size > 1 "MB"', "character 15: a size is a whole number"),
        ('deny all when name = "x', "character 21: a quotation mark is not closed"),
    ],
)
def test_an_error_says_where_it_is_and_what_may_have_been_meant(line: str, reason: str) -> None:
    with pytest.raises(MalformedError, match="^" + re.escape(reason)):
        parse_line(line)


@pytest.mark.parametrize(
    "line",
    [
        "deny all when name = " + "x" * 8000,
        "deny all when " + " and ".join(["link"] * 51),
        "deny all when (" + " or ".join(["link"] * 51) + ")",
        "deny all when group = " + ", ".join(["x"] * 202),
    ],
)
def test_a_line_has_limits(line: str) -> None:
    with pytest.raises(LimitExceededError):
        parse_line(line)


def test_operations_are_what_they_say() -> None:
    assert parse_line("deny all")[0] == EVERY
    assert parse_line("deny all but create")[0] == EVERY - CREATE
    assert parse_line("deny create when link")[0] == CREATE
