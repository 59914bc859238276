"""The TOML document of access rules: read whole or not at all, and errors that can be found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.errors import RulesInvalidError
from candado.formats.ruledocument import RULES_BYTES_MAX, RULES_MAX
from candado.formats.rules import (
    DEFAULT_MESSAGE,
    NO_RULES,
    Rule,
    Rules,
    format_rules,
    make_rule,
    parse_line,
    parse_rules,
)

HEAD = "version = 1\n"
GOOD = '[[rule]]\nid = "a"\ndeny = "all when link"\n'
LINES = [
    "deny all",
    "deny create when link",
    'deny share when name matches "^a\\.b \\d+$" and tag = "x \\"y\\""',
    "deny read when tag = it's",
]
MESSAGES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"]), min_size=1, max_size=20
)


def rule(line: str, **more: object) -> Rule:
    operations, clauses = parse_line(line)
    return Rule("a", operations, clauses, **more)  # type: ignore[arg-type]


@st.composite
def documents(draw: st.DrawFn) -> Rules:
    ids = draw(st.lists(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,9}", fullmatch=True), unique=True, max_size=5))
    made = [
        make_rule(
            draw(st.sampled_from(LINES)),
            rule_id=one,
            message=draw(
                st.one_of(st.just(DEFAULT_MESSAGE), MESSAGES, st.sampled_from(['"\\', "a\nb", "'''", "it's \\"]))
            ),
            report_only=draw(st.booleans()),
        )
        for one in ids
    ]
    return Rules(tuple(made), report_only=draw(st.booleans()))


@given(documents())
def test_the_canonical_document_is_read_as_the_rules_it_was_written_from(rules: Rules) -> None:
    text = format_rules(rules)
    assert parse_rules(text) == rules
    assert format_rules(parse_rules(text)) == text


@given(st.one_of(st.text(max_size=80), st.text(max_size=30).map(lambda text: HEAD + GOOD + text)))
def test_any_text_is_a_document_or_is_refused(text: str) -> None:
    try:
        rules = parse_rules(text)
    except RulesInvalidError:
        return
    assert parse_rules(format_rules(rules)) == rules


def test_a_document_is_read() -> None:
    text = """# rules of ours
version = 1
report_only = true

[[rule]]
id = "hr"           # the one of the lawyers
deny = '''create, update
    when group = HR
    and not encrypted'''
message = "Use an encrypted folder."

[[rule]]
id = "links.2"
deny = 'all when link and name matches "^x\\.y$"'
report_only = true
"""
    hr = Rule("hr", *parse_line("deny create, update when group = HR and not encrypted"), "Use an encrypted folder.")
    links = Rule(
        "links.2", *parse_line(r'deny all when link and name matches "^x\.y$"'), DEFAULT_MESSAGE, report_only=True
    )
    assert parse_rules(text) == Rules((hr, links), report_only=True)
    assert parse_rules(HEAD) == NO_RULES
    assert parse_rules('version = 1\nrule = [{id = "hr", deny = "all"}]').rules[0].id == "hr"
    assert hr.line == "deny create, update when group = HR and not encrypted"


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("", 1, "version", "line 1, version: the document begins with: version = 1"),
        ("version = 2", 1, "version", "line 1, version: the document begins with: version = 1"),
        ("version = true", 1, "version", "line 1, version: the document begins with: version = 1"),
        ("version = '1'", 1, "version", "line 1, version: the document begins with: version = 1"),
        (HEAD + "x", 2, "", "line 2: this is no TOML: Expected '=' after a key in a key/value pair"),
        (HEAD + "x = 'a", 2, "", "line 2: this is no TOML: Expected \"'\""),
        (HEAD + "version = 1", 2, "", "line 2: this is no TOML: Cannot overwrite a value"),
        (HEAD + "rules = 1", None, "rules", "rules: unknown key; did you mean rule?"),
        (HEAD + "rule = 1", None, "rule", "rule: each rule begins with a line [[rule]]"),
        (HEAD + "[rule]\nid = 'a'", None, "rule", "rule: each rule begins with a line [[rule]]"),
        (HEAD + "rule = [1]", None, "rule", "rule: each rule begins with a line [[rule]]"),
        (HEAD + "report_only = 1", None, "report_only", "report_only: the value is true or false"),
        (HEAD + GOOD + "denny = 1", 5, "denny", "line 5, rule a, denny: unknown key; did you mean deny?"),
        (HEAD + GOOD + "report_only = 'yes'", 5, "report_only", "line 5, rule a, report_only: the value is true or false"),
        (HEAD + GOOD + "message = 1", 5, "message", "line 5, rule a, message: the value is a text in quotation marks"),
        (HEAD + GOOD + "message = ''", 5, "message", "line 5, rule a, message: a message is 1 to 500 characters of text, on one line or several"),
        (HEAD + GOOD + 'message = "\\u0007"', 5, "message", "line 5, rule a, message: a message is 1 to 500 characters of text, on one line or several"),
        (HEAD + GOOD + f"message = '{'x' * 501}'", 5, "message", "line 5, rule a, message: a message is 1 to 500 characters of text, on one line or several"),
        (HEAD + "\n[[rule]]\nid = 'a'", 3, "deny", "line 3, rule a, deny: the rule has no deny"),
        (HEAD + "[[rule]]\ndeny = 'all'", 2, "id", "line 2, rule number 1, id: the rule has no id"),
        (HEAD + "[[rule]]\ndeny = 'all'\nid = 'A b'", 4, "id", "line 4, rule number 1, id: an id is 1 to 64 lower-case letters, digits, points, hyphens and underscores, a letter or digit first"),
        (HEAD + "[[rule]]\nid = 7\ndeny = 'all'", 3, "id", "line 3, rule number 1, id: the value is a text in quotation marks"),
        (HEAD + GOOD + GOOD, 6, "id", "line 6, rule a, id: another rule has this id already"),
        (HEAD + "rule = [{id='a',deny='all'},{id='a',deny='all'}]", None, "id", "rule a, id: another rule has this id already"),
        (HEAD + "[[rule]]\nid = 'a'\ndeny = 'all when'", 4, "deny", "line 4, rule a, deny: character 14: here comes a test; there are name, mime, size, tag, ip, time, url, agent, group, encrypted, link, known-device"),
        (HEAD + "[[rule]]\nid = 'a'\nmessage = '''\n[[rule]]\nx = \"\"\"\n'''\ndeny = 'x'", 8, "deny", "line 8, rule a, deny: character 6: x is no operation; there are create, read, update, rename, delete, share, all"),
        (HEAD + "a." * 30 + "b = 1", 2, "", "line 2: a key has more than 20 parts"),
        (HEAD + '"a b".' * 30 + "b = 1", 2, "", "line 2: a key has more than 20 parts"),
        (HEAD + "x = {" + "a . " * 30 + "b = 1}", 2, "", "line 2: a key has more than 20 parts"),
        (HEAD + "#" * 10_001, 2, "", "line 2: the line is longer than 10000 characters"),
        (HEAD + "x = " + "[" * 9000, None, "", "this is no TOML that could be rules: nested too deep, or a number too long"),
        (HEAD + "x = " + "9" * 9000, None, "", "this is no TOML that could be rules: nested too deep, or a number too long"),
        (HEAD + "#\n" * RULES_BYTES_MAX, None, "", "the document is larger than 128 KiB"),
        (HEAD + "\ud800", None, "", "the document is no text in UTF-8"),
    ],
)  # fmt: skip
def test_an_error_says_line_rule_and_key(text: str, line: int | None, key: str, message: str) -> None:
    with pytest.raises(RulesInvalidError) as caught:
        parse_rules(text)
    assert (caught.value.message, caught.value.line, caught.value.key) == (message, line, key)
    assert caught.value.safe == "The rules in force are the same as before."


def test_networks_on_lines_of_their_own_are_no_keys() -> None:
    networks = ",\n".join(f"10.{number}.0.0/16" for number in range(30))
    text = f"{HEAD}[[rule]]\nid = 'a'\ndeny = '''all when ip =\n{networks}'''\nmessage = '{'...' * 30}'\n"
    [[test]] = parse_rules(text).rules[0].tests
    assert len(test.values) == 30


def test_there_are_not_endless_rules() -> None:
    tables = "".join(f'[[rule]]\nid = "r{number}"\ndeny = "read"\n' for number in range(RULES_MAX + 1))
    with pytest.raises(RulesInvalidError, match="there are more than 500 rules"):
        parse_rules(HEAD + tables)
