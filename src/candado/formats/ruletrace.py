"""Why rules say what they say of one operation, for people who try them.

Layer: ``formats``.
"""

from dataclasses import dataclass

from candado.formats.rulefacts import Facts
from candado.formats.rulelines import format_clause
from candado.formats.rulemodel import Rule, Rules

__all__ = ["RuleTrace", "trace_rules"]


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule: whether it fits, and in words why, or the first thing by which it does not."""

    rule: Rule
    fits: bool
    why: str


def trace_rules(rules: Rules, facts: Facts) -> list[RuleTrace]:
    """Return what each rule says, in their order."""
    return [RuleTrace(rule, rule.denies(facts), _why(rule, facts)) for rule in rules.rules]


def _why(rule: Rule, facts: Facts) -> str:
    if facts.operation not in rule.operations:
        return f"not about {facts.operation.value}"
    fitting: list[str] = []
    for clause in rule.tests:
        found = [(test, test.holds(facts)) for test in clause]
        fits = [test for test, holds in found if holds]
        if not fits:
            unknown = any(holds is None for _, holds in found)
            return f"{'cannot be known' if unknown else 'not so'}: {format_clause(clause)}"
        fitting.append(format_clause((fits[0],)))
    return f"because {' and '.join(fitting)}" if fitting else "always"
