"""Changes to one rule leave the rest of the document as it was written."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.formats.test_rule_document import documents

from candado.errors import RulesInvalidError
from candado.formats.rules import (
    Rules,
    add_rule,
    format_rules,
    free_id,
    make_rule,
    parse_rules,
    remove_rule,
    set_report_only,
)

TEXT = """# ours
version = 1

# for the lawyers
[[rule]]
id = "a"
deny = "create when group = HR" # until March
message = "No."

# for guests
[[rule]]
id = "b"
deny = '''
  share when link'''
"""
NEW = make_rule('deny read when tag = "x y"', rule_id="c", message="Not this.", report_only=True)
BLOCK = """[[rule]]
id = "c"
deny = 'read when tag = "x y"'
message = "Not this."
report_only = true
"""


def test_a_rule_is_added_at_the_end_or_at_the_beginning() -> None:
    assert add_rule(TEXT, NEW) == f"{TEXT}\n{BLOCK}"
    assert add_rule("version = 1\n", NEW) == f"version = 1\n\n{BLOCK}"
    assert add_rule("version = 1\n", NEW, first=True) == f"version = 1\n\n{BLOCK}"
    assert add_rule(TEXT, NEW, first=True) == TEXT.replace("\n# for the", f"\n{BLOCK}\n# for the", 1)
    assert add_rule('version = 1\n[[rule]]\nid = "b"\ndeny = "all"\n', NEW, first=True) == (
        f'version = 1\n\n{BLOCK}\n[[rule]]\nid = "b"\ndeny = "all"\n'
    )


def test_a_rule_is_removed_with_the_comments_before_it() -> None:
    head, _, rest = TEXT.partition("\n# for the lawyers")
    first, _, second = rest.partition("\n# for guests")
    assert remove_rule(TEXT, "a") == f"{head}\n# for guests{second}"
    assert remove_rule(TEXT, "b") == f"{head}\n# for the lawyers{first}"
    assert remove_rule(add_rule(TEXT, NEW), "c") == TEXT


def test_a_rule_or_the_document_begins_to_report_only_and_ends_to() -> None:
    once = set_report_only(TEXT, "a", report_only=True)
    assert once == TEXT.replace("until March\n", "until March\nreport_only = true\n")
    assert set_report_only(once, "a", report_only=True) == once
    assert set_report_only(once, "a", report_only=False) == TEXT
    whole = set_report_only(TEXT, None, report_only=True)
    assert whole == TEXT.replace("version = 1\n", "version = 1\nreport_only = true\n")
    assert set_report_only(whole, None, report_only=False) == TEXT
    assert set_report_only("version = 1\n", None, report_only=True) == "version = 1\nreport_only = true\n"


@pytest.mark.parametrize(
    "text",
    [
        'version = 1\nrule = [{id = "a", deny = "all"}, {id = "b", deny = "read"}]\n',
        'version = 1\n[[rule]]\nid = "a"\ndeny = "all"\n[["rule"]]\nid = "b"\ndeny = "read"\n',
        'version = 1\n[[rule]]\nid = "a"\nmessage = """\n[[rule]]\n"""\ndeny = "all"\n[[rule]]\nid = "b"\ndeny = "read"\n',
        'version = 1\n[[rule]]\nid = "a"\n"deny" = "all"\n[[rule]]\nid = "b"\n"deny"="read"\nmessage = """x\nreport_only =\n"""\n',
    ],
)
def test_a_document_written_in_an_unusual_way_is_changed_to_what_is_meant(text: str) -> None:
    rules = parse_rules(text)
    a, b = rules.rules
    assert parse_rules(remove_rule(text, "b")) == Rules((a,))
    assert parse_rules(add_rule(text, NEW)) == Rules((a, b, NEW))
    assert parse_rules(add_rule(text, NEW, first=True)) == Rules((NEW, a, b))
    assert parse_rules(set_report_only(text, "b", report_only=True)) == Rules((a, replace(b, report_only=True)))
    assert parse_rules(set_report_only(text, None, report_only=True)) == Rules((a, b), report_only=True)


@given(documents(), st.data())
def test_every_change_is_the_one_that_is_meant(rules: Rules, data: st.DataObject) -> None:
    text = format_rules(rules)
    new = replace(NEW, id=free_id(rules))
    assert new.id not in {rule.id for rule in rules.rules}
    assert parse_rules(add_rule(text, new)) == replace(rules, rules=(*rules.rules, new))
    assert parse_rules(add_rule(text, new, first=True)) == replace(rules, rules=(new, *rules.rules))
    flag = data.draw(st.booleans())
    assert parse_rules(set_report_only(text, None, report_only=flag)) == replace(rules, report_only=flag)
    for number, rule in enumerate(rules.rules):
        others = rules.rules[:number] + rules.rules[number + 1 :]
        assert parse_rules(remove_rule(text, rule.id)) == replace(rules, rules=others)
        changed = (*rules.rules[:number], replace(rule, report_only=flag), *rules.rules[number + 1 :])
        assert parse_rules(set_report_only(text, rule.id, report_only=flag)) == replace(rules, rules=changed)


def test_a_rule_that_is_there_is_not_added_and_one_that_is_not_there_is_not_changed() -> None:
    with pytest.raises(RulesInvalidError, match="rule a, id: another rule has this id already"):
        add_rule(TEXT, replace(NEW, id="a"))
    with pytest.raises(RulesInvalidError, match="rule x: there is no such rule; there are: a, b"):
        remove_rule(TEXT, "x")
    with pytest.raises(RulesInvalidError, match="rule x: there is no such rule"):
        set_report_only(TEXT, "x", report_only=True)
