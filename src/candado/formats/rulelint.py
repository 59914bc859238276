"""What is odd about access rules that are written correctly.

Layer: ``formats``. A rule that fits whatever is done is an ``error``: whoever means it says so. All else is a
``warning`` or a ``notice``; nothing here is guessed, each finding follows from the rules and the groups there are.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Final

from candado.formats.linearregex import LinearRegex
from candado.formats.rulechecks import DAYS
from candado.formats.rulefacts import AGENTS, Operation, Relation, Subject, Test
from candado.formats.rulelines import Clause
from candado.formats.rulemodel import Rule, Rules

__all__ = ["RuleFinding", "fits_everything", "lint_rules"]

_BLIND: Final = (Subject.NAME, Subject.MIME)
_PROBES: Final = ("", "a", "Z", "0", "-", "report.pdf", "/remote.php/dav", "application/pdf", "x y", "\u00e9", "\n")
_EVERYWHERE: Final = frozenset({"0.0.0.0/0", "::/0"})


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """One thing that is odd: a stable code, ``error``, ``warning`` or ``notice``, the rule's id, a sentence."""

    code: str
    severity: str
    rule: str
    message: str


def lint_rules(rules: Rules, *, groups: Collection[str] | None = None) -> list[RuleFinding]:
    """Return what is odd, in the order of the rules.

    Shapes:
        groups: names of all groups there are; None when that is not known.
    """
    found: list[RuleFinding] = []
    before: list[Rule] = []
    for rule in rules.rules:
        found += [RuleFinding(code, severity, rule.id, text) for code, severity, text in _lint(rule, groups)]
        for earlier in before:
            if earlier.tests == rule.tests and rule.operations <= earlier.operations:
                text = f"the rule {earlier.id} forbids all of this already"
                found.append(RuleFinding("twice", "warning", rule.id, text))
                break
        before.append(rule)
    return found


def fits_everything(rule: Rule) -> bool:
    """Whether the rule fits whatever anybody does, where its operations are concerned and names are not sealed."""
    return all(_is_always(clause) for clause in rule.tests)


_Found = Iterable[tuple[str, str, str]]


def _lint(rule: Rule, groups: Collection[str] | None) -> _Found:
    if fits_everything(rule):
        everything = "everything" if rule.operations == frozenset(Operation) else _listed(rule.operations)
        text = f"this forbids {everything} to everybody, administrators too; if it is meant, say so with --force"
        yield ("matches-everything", "warning" if rule.report_only else "error", text)
    if any(_is_never(rule.tests, test) for clause in rule.tests if len(clause) == 1 for test in clause):
        yield ("matches-nothing", "warning", "one of its tests excludes another, so this never fits")
    tests = [test for clause in rule.tests for test in clause]
    blind = sorted({test.subject.value for test in tests if test.subject in _BLIND})
    if blind and not any(_asks_encrypted(clause, negated=True) for clause in rule.tests):
        text = f"inside of encrypted folders the server sees no {' and no '.join(blind)}: the test fits nothing there,"
        yield ("blind-when-encrypted", "notice", f"{text} nor does its opposite")
    if any(test.subject is Subject.AGENT for test in tests):
        yield ("agent-is-a-claim", "notice", "a user agent is what the client says; anybody can send another one")
    unknown = {value for test in tests if test.subject is Subject.GROUP for value in test.values} - set(groups or ())
    if groups is not None and unknown:
        yield ("unknown-group", "warning", f"there is no group {', '.join(sorted(unknown))}")


def _listed(operations: frozenset[Operation]) -> str:
    return ", ".join(f"to {one.value}" for one in Operation if one in operations)


def _is_always(clause: Clause) -> bool:
    """Whether one of the tests fits always, or a test and its opposite are both among them."""
    return any(_fits_always(test) or _opposite(test) in {_key(other) for other in clause} for test in clause)


def _key(test: Test) -> tuple[Subject, Relation, tuple[str, ...], bool]:
    return test.subject, test.relation, test.values, test.negated


def _opposite(test: Test) -> tuple[Subject, Relation, tuple[str, ...], bool]:
    return test.subject, test.relation, test.values, not test.negated


def _is_never(clauses: Iterable[Clause], test: Test) -> bool:
    """Whether the test, which stands alone, excludes another that does, or needs what encrypted folders hide."""
    alone = {_key(clause[0]) for clause in clauses if len(clause) == 1}
    encrypted = (Subject.ENCRYPTED, Relation.HOLDS, (), False)
    return _opposite(test) in alone or (test.subject in _BLIND and encrypted in alone)


def _asks_encrypted(clause: Clause, *, negated: bool) -> bool:
    return len(clause) == 1 and clause[0].subject is Subject.ENCRYPTED and clause[0].negated == negated


def _fits_always(test: Test) -> bool:
    if test.negated:
        return test.subject is Subject.SIZE and test.relation is Relation.LESS and test.values[0].startswith("0 ")
    match test.subject, test.relation:
        case Subject.IP, _:
            return _is_everywhere(test.values)
        case Subject.AGENT, Relation.IS:
            return {*AGENTS, "other"} <= set(test.values)
        case Subject.TIME, _:
            return any(_is_whole_week(value) for value in test.values)
        case _, Relation.LIKE:
            return any(set(value) == {"*"} for value in test.values)
        case _, Relation.MATCHES:
            patterns = [LinearRegex(value) for value in test.values]
            return any(all(pattern.search(text) for text in _PROBES) for pattern in patterns)
        case _:
            return False


def _is_everywhere(values: Iterable[str]) -> bool:
    networks = [ip_network(value) for value in values]
    four = collapse_addresses(one for one in networks if isinstance(one, IPv4Network))
    six = collapse_addresses(one for one in networks if isinstance(one, IPv6Network))
    return {str(one) for one in (*four, *six)} >= _EVERYWHERE


def _is_whole_week(value: str) -> bool:
    words = value.split()
    hours = [word for word in words[:-1] if word[0].isdigit()]
    first, _, last = next((word for word in words[:-1] if word[0].isalpha()), f"{DAYS[0]}-{DAYS[-1]}").partition("-")
    days = (DAYS.index(last or first) - DAYS.index(first)) % 7 + 1
    return days == 7 and hours in ([], ["00:00-24:00"])
