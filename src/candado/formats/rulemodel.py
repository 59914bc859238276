"""Rules as values, and what they say of one operation.

Layer: ``formats``. All rules deny; what no rule denies is allowed, and one that denies is not outweighed by anything. A
rule denies when each of its clauses has a test that fits; what the server cannot know fits no test, see ``rulefacts``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from candado.formats.rulefacts import Facts, Operation, Subject, Test
from candado.formats.rulelines import Clause, format_line

__all__ = ["DEFAULT_MESSAGE", "NO_RULES", "Decision", "Rule", "Rules", "decide"]

DEFAULT_MESSAGE: Final = "A rule of this server does not allow this."


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    ``message`` is what people are told, ``tests`` the clauses that must all fit; none of them means always.
    """

    id: str
    operations: frozenset[Operation]
    tests: tuple[Clause, ...]
    message: str = DEFAULT_MESSAGE
    report_only: bool = False

    @property
    def line(self) -> str:
        """The rule on one line, in canonical form."""
        return format_line(self.operations, self.tests)

    def denies(self, facts: Facts) -> bool:
        """Whether the rule says no, report-only or not."""
        return facts.operation in self.operations and all(_fits(clause, facts) for clause in self.tests)


@dataclass(frozen=True)
class Rules:
    """A whole document; ``report_only`` turns all of its rules into ones that only report."""

    rules: tuple[Rule, ...] = ()
    report_only: bool = False

    @cached_property
    def subjects(self) -> frozenset[Subject]:
        """What any rule looks at: facts of other subjects need not be gathered."""
        return frozenset(test.subject for rule in self.rules for clause in rule.tests for test in clause)

    @cached_property
    def operations(self) -> frozenset[Operation]:
        """Operations that any rule is about: of others nothing needs to be asked."""
        return frozenset(operation for rule in self.rules for operation in rule.operations)


NO_RULES: Final = Rules()


@dataclass(frozen=True, slots=True)
class Decision:
    """``denied`` is the first rule that says no, ``reported`` all that would if they did not only report."""

    denied: Rule | None
    reported: tuple[Rule, ...]


_ALLOWED: Final = Decision(None, ())


def decide(rules: Rules, facts: Facts) -> Decision:
    """Return what the rules say of one operation."""
    if facts.operation not in rules.operations:
        return _ALLOWED
    denying = [rule for rule in rules.rules if rule.denies(facts)]
    if not denying:
        return _ALLOWED
    reported = tuple([rule for rule in denying if rule.report_only or rules.report_only])
    return Decision(next((rule for rule in denying if rule not in reported), None), reported)


def _fits(clause: Sequence[Test], facts: Facts) -> bool:
    return any(test.holds(facts) is True for test in clause)
