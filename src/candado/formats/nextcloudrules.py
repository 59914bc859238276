r"""A list of access control rules as Nextcloud's workflow engine exports it, as rules of ours.

Layer: ``formats``. The list is the JSON answer of ``/ocs/v2.php/apps/workflowengine/api/v1/workflows/global``, with or
without its envelope. A rule is taken whole or not at all: without one of its tests it would forbid more than before.
What is not taken is listed with the reason, and nothing is guessed.

A rule of Nextcloud denies every operation; one on the size of a file is asked while a file is sent and never otherwise.
Its sizes count in powers of 1,024, its names are compared in lower case, and its times are windows of one zone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final, cast

from candado.errors import FormatError, RulesInvalidError
from candado.formats.canonjson import JsonValue, load_json
from candado.formats.rulechecks import make_test
from candado.formats.ruledocument import RULES_BYTES_MAX
from candado.formats.rulefacts import Operation, Relation, Subject, Test
from candado.formats.rulelines import format_line, parse_line
from candado.formats.rulemodel import Rule

__all__ = ["Imported", "LeftOut", "import_nextcloud"]

LIST_BYTES_MAX: Final = 16 * RULES_BYTES_MAX
_ACCESS_CONTROL: Final = "OCA\\FilesAccessControl\\Operation"
_CHECKS: Final = "OCA\\WorkflowEngine\\Check\\"
_NAME_CHARS_MAX: Final = 100
_CLOSING: Final = {"(": ")", "[": "]", "{": "}", "<": ">"}
_SIZE: Final = re.compile(r"(0|[1-9][0-9]{0,14}) ?([KMGT]?)B", re.IGNORECASE)
_TIMES: Final = re.compile(r'\["([0-9:]{5}) ([^"\s]+)", ?"([0-9:]{5}) ([^"\s]+)"\]')
_WEBDAV: Final = r"^/remote\.php/(webdav|dav/files)(/|$)"
_AGENTS: Final = ("android", "ios", "desktop")
_FOLDERS: Final = "httpd/unix-directory"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A rule that was not taken: its number and name there, and why."""

    number: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """Rules that were taken, each with its name there, and those that were not."""

    rules: tuple[tuple[Rule, str], ...]
    left_out: tuple[LeftOut, ...]


class _NotTakenError(Exception):
    """One rule cannot be taken; the text says why."""


def import_nextcloud(data: bytes, *, tags: Mapping[str, str]) -> Imported:
    """Return the rules of a list, and what could not be taken.

    Shapes:
        data: JSON, at most 2 MiB.
        tags: names of tags by their numbers there, which is all that the list has of them.

    Raises:
        RulesInvalidError: this is no such list.
    """
    taken: list[tuple[Rule, str]] = []
    left_out: list[LeftOut] = []
    for entry in _entries(data):
        number, name = _text(entry, "id"), _text(entry, "name")[:_NAME_CHARS_MAX]
        name = "".join(char if char.isprintable() else " " for char in name)
        try:
            rule = _rule(entry, number, tags)
        except _NotTakenError as error:
            left_out.append(LeftOut(number, name, str(error)))
        else:
            taken.append((rule, name))
    return Imported(tuple(taken), tuple(left_out))


def _entries(data: bytes) -> list[dict[str, JsonValue]]:
    try:
        found = load_json(data, bytes_max=LIST_BYTES_MAX, floats=True)
    except FormatError as error:
        raise RulesInvalidError(f"this is no JSON: {error.message}") from error
    if isinstance(found, dict) and isinstance(found.get("ocs"), dict):
        found = cast("dict[str, JsonValue]", found["ocs"]).get("data")
    lists = list(found.values()) if isinstance(found, dict) else [found]
    entries: list[dict[str, JsonValue]] = []
    for listed in lists:
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise RulesInvalidError("this is no list of rules as the workflow engine exports it")
        entries += [cast("dict[str, JsonValue]", one) for one in listed]
    return entries


def _text(entry: Mapping[str, JsonValue], key: str) -> str:
    value = entry.get(key)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _rule(entry: Mapping[str, JsonValue], number: str, tags: Mapping[str, str]) -> Rule:
    if _text(entry, "class") != _ACCESS_CONTROL or _text(entry, "operation") != "deny":
        raise _NotTakenError("it is no rule that denies access")
    if not re.fullmatch(r"[0-9]{1,18}", number):
        raise _NotTakenError("it has no number")
    checks = entry.get("checks")
    if not isinstance(checks, list) or not checks:
        raise _NotTakenError("it has no tests")
    tests: list[Test] = []
    for check in checks:
        if not isinstance(check, dict):
            raise _NotTakenError("one of its tests is not readable")
        kind, operator, value = (_text(check, key) for key in ("class", "operator", "value"))
        try:
            tests.append(_test(kind, operator, value, tags))
        except FormatError as error:
            raise _NotTakenError(f"{_short(kind)}: {error.message}") from error
    sized = any(test.subject is Subject.SIZE for test in tests)
    operations = frozenset({Operation.CREATE, Operation.UPDATE} if sized else Operation)
    rule = Rule(f"nextcloud-{number}", operations, tuple((test,) for test in tests))
    try:
        if parse_line(format_line(rule.operations, rule.tests)) == (rule.operations, rule.tests):
            return rule
    except FormatError as error:
        raise _NotTakenError(error.message) from error
    raise _NotTakenError("a value has a backslash where our language cannot have one")


def _short(kind: str) -> str:
    return kind.rpartition("\\")[2]


def _test(kind: str, operator: str, value: str, tags: Mapping[str, str]) -> Test:
    negated = operator.startswith("!")
    maker = _MAKERS.get(kind.removeprefix(_CHECKS)) if kind.startswith(_CHECKS) else None
    if maker is None:
        raise _NotTakenError(f"there is no test like {_short(kind)} here")
    if maker is _mime and operator == "is" and value == _FOLDERS:
        raise _NotTakenError("folders have no media type here")
    subject, relation, values = maker(operator.removeprefix("!"), value, tags)
    return make_test(subject, relation, values, negated=negated)


_Parts = tuple[Subject, Relation, Sequence[str]]


def _name(operator: str, value: str, tags: Mapping[str, str]) -> _Parts:
    del tags
    if operator == "is":
        return Subject.NAME, Relation.IS, [value]
    return Subject.NAME, Relation.MATCHES, [_regex(operator, value, ignore_case=True)]


def _mime(operator: str, value: str, tags: Mapping[str, str]) -> _Parts:
    del tags
    if operator == "is":
        return Subject.MIME, Relation.IS, [value]
    return Subject.MIME, Relation.MATCHES, [_regex(operator, value)]


def _size(operator: str, value: str, tags: Mapping[str, str]) -> _Parts:
    del tags
    match = _SIZE.fullmatch(value)
    relation = {"less": Relation.LESS, "greater": Relation.GREATER}.get(operator)
    if match is None or relation is None:
        raise _NotTakenError(f"FileSize: {operator} {value} is no comparison of sizes")
    unit = f"{match[2].upper()}iB" if match[2] else "B"
    return Subject.SIZE, relation, [f"{match[1]} {unit}"]


def _tag(operator: str, value: str, tags: Mapping[str, str]) -> _Parts:
    _wants(operator, "is")
    if value not in tags:
        raise _NotTakenError(f"the list has no name of tag {value}: add --tag {value}=NAME")
    return Subject.TAG, Relation.IS, [tags[value]]


def _address(operator: str, value: str, tags: Mapping[str, str]) -> _Parts:
    del tags
    _wants(operator, "matchesIPv4", "matchesIPv6")
    try:
        network = ip_network(value, strict=False)
    except ValueError as error:
        raise _NotTakenError(f"RequestRemoteAddress: {value} is no network") from error
    if operator != f"matchesIPv{network.version}":
        raise _NotTakenError(f"RequestRemoteAddress: {value} is no network of this kind")
    return Subject.IP, Relation.IS, [str(network)]


def _time(operator: str, value: str, tags: Mapping[str, str]) -> _Parts:
    del tags
    _wants(operator, "in")
    match = _TIMES.fullmatch(value.replace("\\/", "/"))
    if match is None:
        raise _NotTakenError(f"RequestTime: {value} is no span of time")
    if match[2] != match[4]:
        raise _NotTakenError("RequestTime: it begins and ends in two time zones")
    return Subject.TIME, Relation.IS, [f"{match[1]}-{match[3]} {match[2]}"]


def _url(operator: str, value: str, tags: Mapping[str, str]) -> _Parts:
    del tags
    _wants(operator, "is", "matches")
    if operator == "is" and value == "webdav":
        return Subject.URL, Relation.MATCHES, [_WEBDAV]
    raise _NotTakenError("RequestURL: addresses of another server, with its name, mean nothing here")


def _agent(operator: str, value: str, tags: Mapping[str, str]) -> _Parts:
    del tags
    if operator == "is" and value in _AGENTS:
        return Subject.AGENT, Relation.IS, [value]
    if operator == "is" and value == "mail":
        raise _NotTakenError("RequestUserAgent: there is no kind of app called mail here")
    if operator == "is":
        return Subject.AGENT, Relation.MATCHES, [f"^{re.escape(value)}$"]
    return Subject.AGENT, Relation.MATCHES, [_regex(operator, value)]


def _group(operator: str, value: str, tags: Mapping[str, str]) -> _Parts:
    del tags
    _wants(operator, "is")
    return Subject.GROUP, Relation.IS, [value]


def _wants(operator: str, *known: str) -> None:
    if operator not in known:
        raise _NotTakenError(f"there is no comparison like {operator} here")


def _regex(operator: str, value: str, *, ignore_case: bool = False) -> str:
    """The pattern inside of its delimiters; no flags but i (case) and u (Unicode, which ours are)."""
    _wants(operator, "matches")
    opening = value[:1]
    end = value.rfind(_CLOSING.get(opening, opening)) if opening else -1
    if end < 1 or opening.isalnum() or opening in ("\\", " "):
        raise _NotTakenError(f"{value} is no regular expression between delimiters")
    flags = value[end + 1 :]
    if set(flags) - set("iu"):
        raise _NotTakenError(f"the regular expression {value} has flags other than i and u")
    pattern = value[1:end].replace('\\"', '"')
    return f"(?i){pattern}" if (ignore_case or "i" in flags) and not pattern.startswith("(?i)") else pattern


_MAKERS: Final = {
    "FileName": _name,
    "FileMimeType": _mime,
    "FileSize": _size,
    "FileSystemTags": _tag,
    "RequestRemoteAddress": _address,
    "RequestTime": _time,
    "RequestURL": _url,
    "RequestUserAgent": _agent,
    "UserGroupMembership": _group,
}
