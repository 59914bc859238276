"""Access rules: what a whole document says of one operation."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

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
