"""The document of access rules: strict TOML, read whole or not at all, and its canonical form.

Layer: ``formats``. Source: docs/spec/rules.md. One table for each rule, in the order in which they are asked::

    version = 1
    report_only = false

    [[rule]]
    id = "hr-and-pdf"
    deny = 'create, update when (group = HR or mime = application/pdf) and not encrypted'
    message = "Files of this kind belong into an encrypted folder."
    report_only = false

Everything but ``version``, ``id`` and ``deny`` may be left out.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Final, cast

from candado.errors import FormatError, RulesInvalidError
from candado.formats.rulelines import DENY, parse_line, suggestion
from candado.formats.rulemodel import DEFAULT_MESSAGE, Rule, Rules

__all__ = ["RULES_BYTES_MAX", "RULES_MAX", "check_id", "check_message", "format_rules", "make_rule", "parse_rules"]

RULES_BYTES_MAX: Final = 128 * 1024
RULES_MAX: Final = 500
MESSAGE_CHARS_MAX: Final = 500
_VERSION: Final = 1
_KEY_PARTS_MAX: Final = 20
_LINE_CHARS_MAX: Final = 10_000
_DOCUMENT_KEYS: Final = ("version", "report_only", "rule")
_RULE_KEYS: Final = ("id", "deny", "message", "report_only")
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LITERAL: Final = re.compile(r"""\"(?:[^"\\]|\\.)*"|'[^']*'""")
_KEY_PART: Final = re.compile(r"\s*[\w-]+\s*")
_HEADER: Final = re.compile(r"\s*\[\[\s*rule\s*\]\]")
_AT_LINE: Final = re.compile(r"(.*) \(at (?:line ([0-9]+), column [0-9]+|end of document)\)")
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def parse_rules(text: str) -> Rules:
    """Return the rules of a document.

    Shapes:
        text: TOML of at most 128 KiB in UTF-8; 500 rules; a rule of 8,000 characters and 50 tests; a message of 500.

    Raises:
        RulesInvalidError: anything is wrong; says the line, the rule and the key, and what may have been meant.
    """
    document = _load(text)
    _check_keys(document, _DOCUMENT_KEYS, line=None, rule="")
    if document.get("version") != _VERSION or isinstance(document["version"], bool):
        raise RulesInvalidError(f"the document begins with: version = {_VERSION}", line=1, key="version")
    tables = _tables(document.get("rule", []))
    lines = _lines_of(text)
    rules: list[Rule] = []
    for number, table in enumerate(tables):
        rule = _parse_rule(table, lines[number] if number < len(lines) else {}, number + 1)
        if rule.id in {earlier.id for earlier in rules}:
            where = lines[number].get("id") if number < len(lines) else None
            raise RulesInvalidError("another rule has this id already", line=where, rule=rule.id, key="id")
        rules.append(rule)
    return Rules(tuple(rules), report_only=_flag(document, None, ""))


def format_rules(rules: Rules) -> str:
    """Return the canonical document, which ``parse_rules`` reads as the same rules."""
    parts = [f"version = {_VERSION}\n" + ("report_only = true\n" if rules.report_only else "")]
    for rule in rules.rules:
        lines = ["[[rule]]", f"id = {_quote(rule.id)}", f"deny = {_quote(rule.line.removeprefix(f'{DENY} '))}"]
        if rule.message != DEFAULT_MESSAGE:
            lines.append(f"message = {_quote(rule.message)}")
        if rule.report_only:
            lines.append("report_only = true")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def make_rule(line: str, *, rule_id: str, message: str, report_only: bool) -> Rule:
    """Return one rule from its line, ``deny ... when ...``; RulesInvalidError."""
    check_id(rule_id)
    check_message(message)
    try:
        operations, clauses = parse_line(line)
    except FormatError as error:
        raise RulesInvalidError(error.message, rule=rule_id, key="deny") from error
    return Rule(rule_id, operations, clauses, message, report_only)


def check_id(rule_id: str) -> None:
    """RulesInvalidError unless a text may be the id of a rule."""
    if not _ID.fullmatch(rule_id):
        reason = "an id is 1 to 64 lower-case letters, digits, points, hyphens and underscores, a letter or digit first"
        raise RulesInvalidError(reason, rule=rule_id[:64], key="id")


def check_message(message: str) -> None:
    """RulesInvalidError unless a text may be what people are told."""
    if not message.strip() or len(message) > MESSAGE_CHARS_MAX or not _is_printable(message):
        reason = f"a message is 1 to {MESSAGE_CHARS_MAX} characters of text, on one line or several"
        raise RulesInvalidError(reason, key="message")


def _is_printable(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


def _load(text: str) -> Mapping[str, object]:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise RulesInvalidError("the document is no text in UTF-8") from error
    if size > RULES_BYTES_MAX:
        raise RulesInvalidError(f"the document is larger than {RULES_BYTES_MAX // 1024} KiB")
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > _LINE_CHARS_MAX:
            raise RulesInvalidError(f"the line is longer than {_LINE_CHARS_MAX} characters", line=number)
        if _has_long_key(line):
            raise RulesInvalidError(f"a key has more than {_KEY_PARTS_MAX} parts", line=number)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _AT_LINE.fullmatch(str(error))
        where = int(match[2]) if match and match[2] else text.count("\n") + 1
        raise RulesInvalidError(f"this is no TOML: {match[1] if match else error}", line=where) from error
    except (RecursionError, ValueError) as error:
        raise RulesInvalidError("this is no TOML that could be rules: nested too deep, or a number too long") from error


def _has_long_key(line: str) -> bool:
    """Whether a line may have a key of many parts, of which a parser takes time in the square of their number."""
    parts = 0
    for part in _LITERAL.sub("x", line).split("."):
        parts = parts + 1 if _KEY_PART.fullmatch(part) else 1
        if parts > _KEY_PARTS_MAX:
            return True
    return False


def _tables(value: object) -> list[dict[str, object]]:
    listed = cast("list[object]", value) if isinstance(value, list) else [None]
    if len(listed) > RULES_MAX:
        raise RulesInvalidError(f"there are more than {RULES_MAX} rules")
    tables = [cast("dict[str, object]", one) for one in listed if isinstance(one, dict)]
    if len(tables) < len(listed):
        raise RulesInvalidError("each rule begins with a line [[rule]]", key="rule")
    return tables


def _parse_rule(table: Mapping[str, object], lines: Mapping[str, int], number: int) -> Rule:
    """One table; ``lines`` says on which line each key is, and under an empty name where it begins."""
    name = table.get("id")
    named = name if isinstance(name, str) and _ID.fullmatch(name) else f"number {number}"
    _check_keys(table, _RULE_KEYS, line=lines.get(""), rule=named, lines=lines)
    texts = {"id": "", "deny": "", "message": DEFAULT_MESSAGE}
    for key, default in texts.items():
        value = table.get(key, default)
        if not isinstance(value, str):
            raise RulesInvalidError("the value is a text in quotation marks", line=lines.get(key), rule=named, key=key)
        texts[key] = value
    for key in ("id", "deny"):
        if key not in table:
            raise RulesInvalidError(f"the rule has no {key}", line=lines.get(""), rule=named, key=key)
    written = f"{DENY} {texts['deny']}"
    try:
        report_only = _flag(table, lines.get("report_only"), named)
        return make_rule(written, rule_id=texts["id"], message=texts["message"], report_only=report_only)
    except RulesInvalidError as error:
        raise error.at(lines.get(error.key), named) from error


def _flag(table: Mapping[str, object], line: int | None, rule: str) -> bool:
    value = table.get("report_only", False)
    if not isinstance(value, bool):
        raise RulesInvalidError("the value is true or false", line=line, rule=rule, key="report_only")
    return value


def _check_keys(
    table: Mapping[str, object],
    known: tuple[str, ...],
    *,
    line: int | None,
    rule: str,
    lines: Mapping[str, int] | None = None,
) -> None:
    for key in table:
        if key not in known:
            where = (lines or {}).get(key, line)
            raise RulesInvalidError(f"unknown key; {suggestion(key, known)}", line=where, rule=rule, key=key[:64])


def _lines_of(text: str) -> list[dict[str, int]]:
    """For each ``[[rule]]`` the line of its header, under an empty name, and of its keys.

    Lines inside of texts of several lines do not count. Rules written in another way have no lines.
    """
    found: list[dict[str, int]] = []
    inside = ""
    for number, line in enumerate(text.split("\n"), 1):
        if not inside and _HEADER.match(line):
            found.append({"": number})
        elif not inside and found:
            key = line.partition("=")[0].strip().strip("\"'")
            found[-1].setdefault(key, number)
        for mark in re.findall(r'"""|\'\'\'', line):
            inside = "" if inside == mark else inside or mark
    return found


def _quote(text: str) -> str:
    """A TOML string, literal when that is possible, so that patterns stay as they were written."""
    if "'" not in text and _is_printable(text) and "\n" not in text and ("\\" in text or '"' in text):
        return f"'{text}'"
    escaped = "".join(_ESCAPES.get(char) or _escape(char) for char in text)
    return f'"{escaped}"'


def _escape(char: str) -> str:
    return char if char.isprintable() else f"\\U{ord(char):08x}"
