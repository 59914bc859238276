"""Rules that an organisation signs for its clients: for names inside of encrypted folders, where no server looks.

Layer: ``formats``; pure. The body of a policy of kind ``client-rules`` (``orgpolicy``) has one member, ``rules``: a
list of objects with ``id``, ``deny`` and ``message`` as in a document of access rules (``ruledocument``). Of the
language a client takes what it knows before it seals a file: the operations create, update and rename, and tests of
``name``, ``mime`` (by the name) and ``size`` (of the clear file). Anything else makes the body invalid as a whole, so
that no client follows a half of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from candado.errors import RulesInvalidError
from candado.formats.canonjson import JsonObject, JsonValue
from candado.formats.fields import list_of, object_of, string_member
from candado.formats.rules import NO_RULES, Facts, Operation, Rule, Rules, Subject, decide, make_rule, parse_rules

__all__ = ["CLIENT_RULES_MAX", "ClientRules", "client_rules_body", "parse_client_rules"]

CLIENT_RULES_MAX: Final = 200
_OPERATIONS: Final = frozenset({Operation.CREATE, Operation.UPDATE, Operation.RENAME})
_SUBJECTS: Final = frozenset({Subject.NAME, Subject.MIME, Subject.SIZE})
_NO_TIME: Final = datetime.fromtimestamp(0, UTC)
"""No rule for clients asks for the time."""


@dataclass(frozen=True, slots=True)
class ClientRules:
    """Rules that hold inside of encrypted folders."""

    rules: Rules = NO_RULES

    def denied(
        self, operation: Operation, parts: Sequence[str], *, media_type: str | None, size_bytes: int | None
    ) -> Rule | None:
        """The rule that says no to one file or folder, if one does.

        Shapes:
            parts: of the clear path, the last one is the name of the thing.
            media_type: by the name, None for a folder or when the name tells none.
            size_bytes: of the clear file, None for a folder.
        """
        facts = Facts(
            operation=operation,
            moment=_NO_TIME,
            names=tuple(parts),
            media_type=media_type,
            size_bytes=size_bytes,
            encrypted=True,
        )
        return decide(self.rules, facts).denied


def parse_client_rules(body: JsonObject) -> ClientRules:
    """Return the rules in the body of a policy.

    Raises:
        RulesInvalidError, MalformedError: it is not one, or asks for what a client does not know.
    """
    if body.keys() != {"rules"}:
        raise RulesInvalidError("rules for clients are a list of rules and nothing else")
    listed = list_of(body["rules"], "the rules for clients")
    if len(listed) > CLIENT_RULES_MAX:
        raise RulesInvalidError(f"there are more than {CLIENT_RULES_MAX} rules for clients")
    rules = tuple(_rule(value) for value in listed)
    if len({rule.id for rule in rules}) != len(rules):
        raise RulesInvalidError("two rules have the same id")
    return ClientRules(Rules(rules))


def _rule(value: JsonValue) -> Rule:
    table = object_of(value, "a rule for clients")
    if table.keys() != {"id", "deny", "message"}:
        raise RulesInvalidError("a rule for clients has the members id, deny and message")
    rule = make_rule(
        f"deny {string_member(table, 'deny')}",
        rule_id=string_member(table, "id"),
        message=string_member(table, "message"),
        report_only=False,
    )
    _check(rule)
    return rule


def _check(rule: Rule) -> None:
    """RulesInvalidError for what only a server could know."""
    beyond = sorted(operation.value for operation in rule.operations - _OPERATIONS)
    if beyond:
        reason = f"clients ask for create, update and rename, not for {', '.join(beyond)}"
        raise RulesInvalidError(reason, rule=rule.id, key="deny")
    subjects = {test.subject for clause in rule.tests for test in clause}
    unknown = sorted(subject.value for subject in subjects - _SUBJECTS)
    if unknown:
        reason = f"inside of an encrypted folder clients test name, mime and size, not {', '.join(unknown)}"
        raise RulesInvalidError(reason, rule=rule.id, key="deny")


def client_rules_body(text: str) -> JsonObject:
    """Return the body of a policy from a document of access rules (TOML).

    Raises:
        RulesInvalidError: the document has an error, only reports, or asks for what a client does not know.
    """
    document = parse_rules(text)
    if document.report_only or any(rule.report_only for rule in document.rules):
        raise RulesInvalidError("rules for clients deny; they cannot only report", key="report_only")
    rules: list[JsonValue] = [
        {"id": rule.id, "deny": rule.line.removeprefix("deny "), "message": rule.message} for rule in document.rules
    ]
    body: JsonObject = {"rules": rules}
    parse_client_rules(body)
    return body
