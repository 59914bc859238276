"""Access rules: what a whole document says of one operation."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.formats.rules import (
    NO_RULES,
    Decision,
    Facts,
    Operation,
    Rules,
    Subject,
    decide,
    make_rule,
    parse_rules,
    trace_rules,
)

SENTENCE = "deny create, update when (group = HR or mime = application/pdf) and not encrypted"
FACTS = Facts(operation=Operation.CREATE, moment=datetime(2026, 7, 1, 12, 0, tzinfo=UTC))


def rules(*lines: str, report_only: bool = False) -> Rules:
    made = [make_rule(line, rule_id=f"r{n}", message="no", report_only=False) for n, line in enumerate(lines)]
    return Rules(tuple(made), report_only=report_only)


def denied(line: str, **facts: object) -> bool:
    return decide(rules(line), replace(FACTS, **facts)).denied is not None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "refused"),
    [
        ({"groups": frozenset({"HR"})}, True),
        ({"groups": frozenset({"HR"}), "encrypted": True}, False),
        ({"groups": frozenset({"Sales"})}, False),
        ({"media_type": "application/pdf"}, True),
        ({"media_type": "application/pdf", "encrypted": True}, False),
        ({"media_type": "image/png"}, False),
        ({"media_type": "application/pdf", "operation": Operation.UPDATE}, True),
        ({"media_type": "application/pdf", "operation": Operation.READ}, False),
        ({}, False),
    ],
)
def test_files_of_a_group_or_a_type_may_be_uploaded_encrypted_only(facts: dict[str, object], refused: bool) -> None:
    assert denied(SENTENCE, **facts) is refused


def test_the_first_rule_that_denies_is_named_and_the_others_that_only_report() -> None:
    text = """version = 1
[[rule]]
id = "other"
deny = "read"
[[rule]]
id = "watched"
deny = "create"
report_only = true
[[rule]]
id = "first"
deny = "all"
[[rule]]
id = "second"
deny = "create"
"""
    found = parse_rules(text)
    other, watched, first, second = found.rules
    assert decide(found, FACTS) == Decision(first, (watched,))
    assert decide(replace(found, report_only=True), FACTS) == Decision(None, (watched, first, second))
    assert decide(replace(found, report_only=True), replace(FACTS, operation=Operation.READ)) == Decision(
        None, (other, first)
    )


LINES = [
    "deny create when group = HR",
    "deny all when not mime = application/pdf",
    "deny create when (link or group = HR) and not encrypted",
    "deny create when size > 5 B and not size > 10 B",
    "deny read when link",
    "deny create when name like a* or size < 3 B",
    "deny all",
]


def read_aloud(line: int, facts: Facts) -> bool:
    """What each of the lines says, written once more by hand."""
    create, hr = facts.operation is Operation.CREATE, "HR" in facts.groups
    size, name = facts.size_bytes, facts.names[-1] if facts.names else None
    return [
        create and hr,
        facts.media_type is not None and facts.media_type != "application/pdf",
        create and (facts.link or hr) and not facts.encrypted,
        create and size is not None and 5 < size <= 10,
        facts.operation is Operation.READ and facts.link,
        create and ((name is not None and name[:1].lower() == "a") or (size is not None and size < 3)),
        True,
    ][line]


@given(
    st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.booleans()), max_size=5),
    st.booleans(),
    st.builds(
        Facts,
        operation=st.sampled_from(Operation),
        moment=st.just(FACTS.moment),
        names=st.sampled_from([None, ("A",), ("b",), ("a", "b")]),
        media_type=st.sampled_from([None, "application/pdf", "text/plain"]),
        size_bytes=st.sampled_from([None, 0, 2, 5, 6, 10, 11]),
        groups=st.sampled_from([frozenset(), frozenset({"HR"})]),
        encrypted=st.booleans(),
        link=st.booleans(),
    ),
)
def test_a_decision_is_what_the_rules_say_read_aloud(
    chosen: list[tuple[int, bool]], all_report: bool, facts: Facts
) -> None:
    made = [
        make_rule(LINES[line], rule_id=f"r{at}", message="no", report_only=report)
        for at, (line, report) in enumerate(chosen)
    ]
    fitting = [
        (rule, report or all_report)
        for rule, (line, report) in zip(made, chosen, strict=True)
        if read_aloud(line, facts)
    ]
    denying = [rule for rule, report in fitting if not report]
    assert decide(Rules(tuple(made), report_only=all_report), facts) == Decision(
        denying[0] if denying else None, tuple(rule for rule, report in fitting if report)
    )


def test_without_rules_everything_is_allowed() -> None:
    assert decide(NO_RULES, FACTS) == Decision(None, ())
    assert decide(rules("deny read"), FACTS) == Decision(None, ())
    assert decide(rules("deny create when link"), FACTS) == Decision(None, ())


def test_rules_say_what_they_look_at() -> None:
    found = rules(SENTENCE, "deny share when tag = Secret")
    assert found.subjects == {Subject.GROUP, Subject.MIME, Subject.ENCRYPTED, Subject.TAG}
    assert found.operations == {Operation.CREATE, Operation.UPDATE, Operation.SHARE}


def test_a_trial_says_of_each_rule_why() -> None:
    found = rules(
        SENTENCE,
        "deny read",
        "deny create",
        "deny create when name like *.pdf and link",
        "deny create when link and group = HR",
        "deny create when not link and (group = HR or time = Mon-Fri 08:00-18:00 UTC)",
    )
    facts = replace(FACTS, media_type="application/pdf", names=None)
    assert [(one.rule.id, one.fits, one.why) for one in trace_rules(found, facts)] == [
        ("r0", True, "because mime = application/pdf and not encrypted"),
        ("r1", False, "not about create"),
        ("r2", True, "always"),
        ("r3", False, "cannot be known: name like *.pdf"),
        ("r4", False, "not so: link"),
        ("r5", True, "because not link and time = Mon-Fri 08:00-18:00 UTC"),
    ]
