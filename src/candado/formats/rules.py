"""Access rules: what an administrator forbids, and what that says of one operation.

Layer: ``formats``. All that others need is here: ``parse_rules`` reads a document, ``decide`` answers for the facts of
one operation. ``Rules.operations`` and ``Rules.subjects`` say what need not be asked and gathered at all.
"""

from candado.formats.nextcloudrules import Imported, LeftOut, import_nextcloud
from candado.formats.ruledocument import format_rules, make_rule, parse_rules
from candado.formats.ruleedit import add_rule, free_id, remove_rule, set_report_only
from candado.formats.rulefacts import Facts, Operation, Relation, Subject, Test
from candado.formats.rulelines import Clause, format_line, parse_line
from candado.formats.rulelint import RuleFinding, fits_everything, lint_rules
from candado.formats.rulemodel import DEFAULT_MESSAGE, NO_RULES, Decision, Rule, Rules, decide
from candado.formats.ruletrace import RuleTrace, trace_rules

__all__ = [
    "DEFAULT_MESSAGE",
    "NO_RULES",
    "Clause",
    "Decision",
    "Facts",
    "Imported",
    "LeftOut",
    "Operation",
    "Relation",
    "Rule",
    "RuleFinding",
    "RuleTrace",
    "Rules",
    "Subject",
    "Test",
    "add_rule",
    "decide",
    "fits_everything",
    "format_line",
    "format_rules",
    "free_id",
    "import_nextcloud",
    "lint_rules",
    "make_rule",
    "parse_line",
    "parse_rules",
    "remove_rule",
    "set_report_only",
    "trace_rules",
]
