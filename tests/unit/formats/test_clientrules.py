"""Rules that an organisation signs for its clients: what they may ask, and what they say of a file."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.errors import FormatError, RulesInvalidError
from candado.formats.canonjson import dump_canonical, load_json
from candado.formats.clientrules import ClientRules, client_rules_body, parse_client_rules
from candado.formats.rules import Operation

DOCUMENT = """
version = 1

[[rule]]
id = "no-programs"
deny = 'create, update, rename when (name like "*.exe", "*.msi" or mime = application/pdf)'
message = "No programs here."

[[rule]]
id = "small"
deny = 'create, update when size > 1 MiB'
"""
RULE = {"id": "a", "deny": "create when name = x", "message": "No."}


def body(*rules: Any) -> Any:
    return {"rules": list(rules)}


def said(
    rules: ClientRules, operation: Operation, path: str, media_type: str | None = None, size: int | None = 1
) -> str | None:
    found = rules.denied(operation, path.split("/"), media_type=media_type, size_bytes=size)
    return None if found is None else found.id


def test_a_document_of_rules_becomes_a_body_and_decides() -> None:
    rules = parse_client_rules(client_rules_body(DOCUMENT))
    assert said(rules, Operation.CREATE, "Vault/Setup.EXE") == "no-programs"
    assert said(rules, Operation.RENAME, "Vault/a.msi", size=None) == "no-programs"
    assert said(rules, Operation.UPDATE, "Vault/a", "application/pdf") == "no-programs"
    assert said(rules, Operation.CREATE, "Vault/big", size=2**20 + 1) == "small"
    assert said(rules, Operation.RENAME, "Vault/big", size=2**20 + 1) is None
    assert said(rules, Operation.CREATE, "Vault.exe/notes", "text/plain", 2**20) is None
    assert said(rules, Operation.CREATE, "Vault/folder", size=None) is None


def test_the_body_survives_the_one_spelling_of_policies() -> None:
    made = client_rules_body(DOCUMENT)
    again = load_json(dump_canonical(made), bytes_max=10_000)
    assert again == made
    assert isinstance(again, dict)
    assert parse_client_rules(again) == parse_client_rules(made)


def test_no_rules_deny_nothing() -> None:
    assert said(parse_client_rules(body()), Operation.CREATE, "a") is None
    assert said(ClientRules(), Operation.CREATE, "a") is None


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({**RULE, "deny": "all when name = x"}, "not for delete, read, share"),
        ({**RULE, "deny": "create, share when name = x"}, "not for share"),
        ({**RULE, "deny": "create when not encrypted"}, "not encrypted"),
        ({**RULE, "deny": "create when group = HR and name = x"}, "not group"),
        ({**RULE, "deny": "create when (name = x or time = Mon 08:00-09:00 UTC)"}, "not time"),
        ({**RULE, "deny": "create when ip = 192.0.2.1"}, "not ip"),
        ({**RULE, "deny": "create when tag = x"}, "not tag"),
        ({**RULE, "deny": "create when agent = desktop"}, "not agent"),
        ({**RULE, "deny": "create when link"}, "not link"),
        ({**RULE, "deny": "deny create"}, "deny is no operation"),
        ({**RULE, "deny": ""}, "a"),
        ({**RULE, "id": "No"}, "an id is"),
        ({**RULE, "message": ""}, "a message is"),
        ({**RULE, "message": "\u001b[2J"}, "a message is"),
        ({**RULE, "report_only": True}, "the members id, deny and message"),
        ({"id": "a", "deny": "create"}, "the members id, deny and message"),
    ],
)
def test_what_a_client_cannot_know_makes_the_whole_invalid(rule: Any, reason: str) -> None:
    with pytest.raises(RulesInvalidError) as caught:
        parse_client_rules(body({**RULE, "id": "first"}, rule))
    assert reason in caught.value.message


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"rules": [], "more": 1},
        {"rule": []},
        {"rules": {}},
        {"rules": "x"},
        {"rules": ["x"]},
        {"rules": [{**RULE, "id": 1}]},
        body(RULE, RULE),
        body(*({**RULE, "id": f"r{n}"} for n in range(201))),
    ],
)
def test_other_shapes_are_refused(value: Any) -> None:
    with pytest.raises(FormatError):
        parse_client_rules(value)


def test_rules_that_only_report_are_none_for_clients() -> None:
    for text in (DOCUMENT.replace("version = 1", "version = 1\nreport_only = true"), DOCUMENT + "report_only = true\n"):
        with pytest.raises(RulesInvalidError):
            client_rules_body(text)
    with pytest.raises(RulesInvalidError):
        client_rules_body("version = 2\n")


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=20) | st.integers(-9, 9), st.lists, max_leaves=5))
def test_anything_is_rules_or_refused(value: Any) -> None:
    shapes: list[Any] = [{"rules": value}, {"rules": [value]}, body({"id": value, "deny": value, "message": value})]
    for shaped in shapes:
        try:
            parse_client_rules(shaped)
        except FormatError:
            continue
