"""Access rules as commands and calls show them, and what they ask: one form for both.

Layer: ``apps``.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from candado.apps.cli.output import rfc3339
from candado.errors import BadRequestError, FormatError, RulesInvalidError
from candado.formats.canonjson import JsonValue
from candado.formats.rulechecks import parse_size
from candado.formats.rules import Operation, Rule, RuleFinding, parse_rules
from candado.server.accessrules import RulesVersion
from candado.server.ruletrial import Question, Trial

__all__ = ["finding_document", "head_document", "invalid_document", "parse_question", "rule_document", "trial_document"]
__all__ += ["trial_lines", "version_document"]

_YES_NO: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_TEXT_CHARS_MAX: Final = 4096
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9000


def rule_document(rule: Rule) -> dict[str, JsonValue]:
    """One rule."""
    return {"id": rule.id, "rule": rule.line, "message": rule.message, "report-only": rule.report_only}


def version_document(stored: RulesVersion) -> dict[str, JsonValue]:
    """One version with its text and its rules; ``rules`` is None when this program cannot read them."""
    rules: list[JsonValue] | None
    try:
        found = parse_rules(stored.text)
        rules, report_only = [rule_document(rule) for rule in found.rules], found.report_only
    except RulesInvalidError:
        rules, report_only = None, False
    return head_document(stored) | {"text": stored.text, "report-only": report_only, "rules": rules}


def head_document(stored: RulesVersion) -> dict[str, JsonValue]:
    """When and by whom a version was made; nobody is named for the operator of the server."""
    return {
        "version": stored.version,
        "changed": rfc3339(stored.changed_at) if stored.version else None,
        "changed-by": stored.changed_by or None,
        "note": stored.note,
    }


def finding_document(found: RuleFinding) -> dict[str, JsonValue]:
    """One finding of lint."""
    return {"code": found.code, "severity": found.severity, "rule": found.rule, "line": None, "message": found.message}


def invalid_document(error: RulesInvalidError) -> dict[str, JsonValue]:
    """An error in the document, as a finding of lint."""
    return {
        "code": error.code,
        "severity": "error",
        "rule": error.rule,
        "line": error.line,
        "message": error.message,
    }


def parse_question(values: Mapping[str, str], tags: Sequence[str], *, now: float) -> Question:
    """A question from texts; what is not there or empty was not asked for.

    Shapes:
        values: ``operation``, ``user``, ``file``, ``size`` (with a unit of rules, or bytes), ``ip``, ``agent``,
            ``url``, ``mime``, ``time`` (RFC 3339), ``link``, ``encrypted``, ``known-device`` (yes or no).

    Raises:
        BadRequestError: a value is not of its kind.
    """
    for name, text in values.items():
        if len(text) > _TEXT_CHARS_MAX or "\x00" in text:
            raise BadRequestError(f"{name} is too long, or no text")
    return Question(
        operation=_operation(values.get("operation") or Operation.CREATE.value),
        moment=_moment(values.get("time", ""), now),
        user_id=values.get("user") or None,
        path=values.get("file") or None,
        size_bytes=_size(values.get("size", "")),
        media_type=values.get("mime", "").lower() or None,
        encrypted=_flag(values, "encrypted", default=None),
        tags=frozenset(tags),
        address=values.get("ip", ""),
        url=values.get("url", ""),
        user_agent=values.get("agent", ""),
        link=bool(_flag(values, "link", default=False)),
        device_known=bool(_flag(values, "known-device", default=True)),
    )


def _operation(text: str) -> Operation:
    try:
        return Operation(text)
    except ValueError as exc:
        known = ", ".join(one.value for one in Operation)
        raise BadRequestError(f"{text} is no operation; there are {known}") from exc


def _moment(text: str, now: float) -> datetime:
    if not text:
        return datetime.fromtimestamp(now, UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise BadRequestError(f"a time is like 2026-07-01T22:30:00+02:00, not {text}") from exc
    if moment.tzinfo is None:
        raise BadRequestError(f"a time needs a zone: {text}Z")
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise BadRequestError(f"a time is in the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment


def _size(text: str) -> int | None:
    if not text:
        return None
    try:
        return parse_size(f"{text} B" if text.isascii() and text.isdigit() else text)[1]
    except FormatError as exc:
        raise BadRequestError(exc.message) from exc


def _flag(values: Mapping[str, str], name: str, *, default: bool | None) -> bool | None:
    text = values.get(name, "").lower()
    if not text:
        return default
    if text not in _YES_NO:
        raise BadRequestError(f"{name} is yes or no, not {text}")
    return _YES_NO[text]


def trial_document(trial: Trial) -> dict[str, JsonValue]:
    """What the rules say, and from which facts."""
    facts, denied = trial.facts, trial.decision.denied
    return {
        "allowed": denied is None,
        "denied-by": denied.id if denied else None,
        "message": denied.message if denied else None,
        "reported-by": [rule.id for rule in trial.decision.reported],
        "facts": {
            "operation": facts.operation.value,
            "time": facts.moment.isoformat(),
            "names": list(facts.names) if facts.names is not None else None,
            "mime": facts.media_type,
            "size": facts.size_bytes,
            "groups": [*sorted(facts.groups)],
            "encrypted": facts.encrypted,
            "link": facts.link,
            "known-device": facts.device_known,
        },
        "rules": [{"id": one.rule.id, "fits": one.fits, "why": one.why} for one in trial.traces],
    }


def trial_lines(trial: Trial) -> list[str]:
    """The same for people."""
    denied, facts = trial.decision.denied, trial.facts
    lines = [f"denied by {denied.id}: {denied.message}" if denied else "allowed"]
    seen = ["inside of an encrypted folder: no name and no type"] if facts.encrypted else []
    seen += [f"type {facts.media_type}"] if facts.media_type else []
    seen += [f"groups {', '.join(sorted(facts.groups))}"] if facts.groups else []
    lines += [f"  seen: {'; '.join(seen)}"] if seen else []
    for one in trial.traces:
        reports = one.rule in trial.decision.reported
        verb = "would deny" if one.fits and reports else "denies" if one.fits else "does not deny"
        lines.append(f"  {one.rule.id} {verb} ({one.why})")
    return lines
