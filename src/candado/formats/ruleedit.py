"""Changes to one rule of a document that leave everything else as it was written, comments included.

Layer: ``formats``. Each change is made in the text, which is then read. Were the result not the rules that are meant,
as can be with an unusual way of writing TOML, the document would be written anew in canonical form.
"""

import re
from dataclasses import replace
from typing import Final

from candado.errors import RulesInvalidError
from candado.formats.ruledocument import format_rules, parse_rules
from candado.formats.rulemodel import Rule, Rules

__all__ = ["add_rule", "free_id", "remove_rule", "set_report_only"]

_HEADER: Final = re.compile(r"\s*\[\[\s*rule\s*\]\]")
_FLAG: Final = re.compile(r"\s*report_only\s*=")
_VERSION: Final = re.compile(r"\s*version\s*=")


def add_rule(text: str, rule: Rule, *, first: bool = False, comment: str = "") -> str:
    """Return the document with one more rule, as the last one or the first, with a comment of one line before it.

    Raises:
        RulesInvalidError: its id is there.
    """
    rules = parse_rules(text)
    if rule.id in {one.id for one in rules.rules}:
        raise RulesInvalidError("another rule has this id already", rule=rule.id, key="id")
    wanted = replace(rules, rules=(rule, *rules.rules) if first else (*rules.rules, rule))
    block = format_rules(Rules((rule,))).partition("\n\n")[2].rstrip("\n").split("\n")
    lines = text.rstrip("\n").split("\n")
    at = next((begin for begin, _ in _places(lines)), len(lines)) if first else len(lines)
    block = [f"# {comment}", *block] if comment else block
    gap = [""] if at < len(lines) and lines[at].strip() else []
    return _settled([*lines[:at], "", *block, *gap, *lines[at:]], wanted)


def remove_rule(text: str, rule_id: str) -> str:
    """Return the document without a rule, and without the comments right before it; RulesInvalidError."""
    rules = parse_rules(text)
    number = _number_of(rules, rule_id)
    wanted = replace(rules, rules=rules.rules[:number] + rules.rules[number + 1 :])
    lines = text.split("\n")
    places = _places(lines)
    if len(places) == len(rules.rules):
        begin, end = places[number]
        lines = lines[:begin] + lines[end:]
    return _settled(lines, wanted)


def set_report_only(text: str, rule_id: str | None, *, report_only: bool) -> str:
    """Return the document in which a rule, or without an id all of it, only reports or does not; RulesInvalidError."""
    rules = parse_rules(text)
    lines = text.split("\n")
    places = _places(lines)
    if rule_id is None:
        wanted = replace(rules, report_only=report_only)
        begin, end = 0, places[0][0] if places else len(lines)
    else:
        number = _number_of(rules, rule_id)
        changed = replace(rules.rules[number], report_only=report_only)
        wanted = replace(rules, rules=(*rules.rules[:number], changed, *rules.rules[number + 1 :]))
        begin, end = places[number] if len(places) == len(rules.rules) else (0, 0)
    kept = [line for line in lines[begin:end] if not _FLAG.match(line)]
    if report_only:
        anchor = _VERSION if rule_id is None else re.compile(r"\s*deny\s*=")
        at = next((n for n, line in enumerate(kept) if anchor.match(line)), len(kept) - 1) + 1
        kept.insert(at, "report_only = true")
    return _settled(lines[:begin] + kept + lines[end:], wanted)


def free_id(rules: Rules) -> str:
    """An id that no rule has: ``rule-1``, ``rule-2`` ..."""
    taken = {rule.id for rule in rules.rules}
    return next(name for number in range(1, len(taken) + 2) if (name := f"rule-{number}") not in taken)


def _number_of(rules: Rules, rule_id: str) -> int:
    for number, rule in enumerate(rules.rules):
        if rule.id == rule_id:
            return number
    raise RulesInvalidError(f"there is no such rule; there are: {', '.join(r.id for r in rules.rules)}", rule=rule_id)


def _places(lines: list[str]) -> list[tuple[int, int]]:
    """Where the text of each rule begins and ends: at the comments and empty lines right before its header."""
    begins: list[int] = []
    for number, line in enumerate(lines):
        if _HEADER.match(line):
            begin = number
            while begin > 0 and (not lines[begin - 1].strip() or lines[begin - 1].lstrip().startswith("#")):
                begin -= 1
            begins.append(begin)
    ends = [*begins[1:], len(lines)]
    return list(zip(begins, ends[: len(begins)], strict=True))


def _settled(lines: list[str], wanted: Rules) -> str:
    """The lines when they are the rules that are meant, else those in canonical form."""
    text = "\n".join(lines).strip("\n") + "\n"
    try:
        if parse_rules(text) == wanted:
            return text
    except RulesInvalidError:
        pass
    return format_rules(wanted)
