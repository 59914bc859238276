r"""The language of access rules: one rule on one line.

Layer: ``formats``. Source: docs/spec/rules.md::

    rule      = "deny" operations [ "when" condition ]
    operations = "all" | [ "all" "but" ] operation *( "," operation )
    condition = clause *( "and" clause )        every clause must fit
    clause    = test | "(" test *( "or" test ) ")"        one test of it is enough
    test      = [ "not" ] ( flag | subject relation value *( "," value ) )        one value is enough
    value     = word | '"' characters '"'        \" inside is one; every other \ is itself

Brackets are needed wherever "and" and "or" meet, so nobody has to know which of them binds first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from candado.errors import LimitExceededError, MalformedError
from candado.formats.rulechecks import RELATIONS, make_test
from candado.formats.rulefacts import Operation, Relation, Subject, Test

__all__ = ["DENY", "LINE_CHARS_MAX", "Clause", "format_clause", "format_line", "parse_line", "suggestion"]

DENY: Final = "deny"
LINE_CHARS_MAX: Final = 8000
TESTS_MAX: Final = 50
VALUES_MAX: Final = 200
_TOKEN: Final = re.compile(r'\s*(?:([(),]|!=|<=|>=|[=<>])|"((?:[^"\\]|\\.)*)"|([^\s(),=<>"]+))')
_BARE: Final = re.compile(r'[^\s(),=<>"!][^\s(),=<>"]*')
_PAIR: Final = re.compile(r"\\.|.", re.DOTALL)
_KEYWORDS: Final = frozenset({"and", "or", "not", "when", "deny", "like", "matches"})
_SEVERAL_WORDS: Final = (Subject.SIZE, Subject.TIME)
_ALL: Final = "all"
_RELATIONS: Final = {one.value: one for one in Relation if one is not Relation.HOLDS}

Clause = tuple[Test, ...]
"""Tests of which one is enough."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    quoted: bool
    column: int


def parse_line(text: str) -> tuple[frozenset[Operation], tuple[Clause, ...]]:
    """Return the operations and the condition of a rule on one line.

    Raises:
        MalformedError: says at which character, and what may have been meant. LimitExceededError: too long or too much.
    """
    reader = _Reader(text)
    reader.expect(DENY)
    operations = reader.operations()
    if reader.at_end:
        return operations, ()
    reader.expect("when")
    return operations, reader.condition()


def format_line(operations: frozenset[Operation], clauses: Sequence[Clause]) -> str:
    """Return the canonical line, which ``parse_line`` reads as the same."""
    named = [one.value for one in Operation if one in operations]
    line = f"{DENY} {_ALL if len(named) == len(Operation) else ', '.join(named)}"
    return f"{line} when {_format_condition(clauses)}" if clauses else line


def format_clause(clause: Clause) -> str:
    """Return the tests of which one is enough, with ``or`` between them."""
    return " or ".join(map(_format_test, clause))


def _format_condition(clauses: Sequence[Clause]) -> str:
    written = [format_clause(clause) for clause in clauses]
    if len(clauses) == 1:
        return written[0]
    return " and ".join(f"({text})" if len(clause) > 1 else text for text, clause in zip(written, clauses, strict=True))


def suggestion(word: str, known: Sequence[str]) -> str:
    """A sentence on what may have been meant by an unknown word, with what there is."""
    close = get_close_matches(word.lower(), known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"


def _format_test(test: Test) -> str:
    words = ["not"] * test.negated + [test.subject.value]
    if test.relation is not Relation.HOLDS:
        words += [test.relation.value, ", ".join(_format_value(test, value) for value in test.values)]
    return " ".join(words)


def _format_value(test: Test, value: str) -> str:
    if test.subject in _SEVERAL_WORDS or (_BARE.fullmatch(value) and value not in _KEYWORDS):
        return value
    escaped = _PAIR.sub(lambda match: '\\"' if match[0] == '"' else match[0], value)
    return f'"{escaped}"'


def _unescape(text: str) -> str:
    return _PAIR.sub(lambda match: '"' if match[0] == '\\"' else match[0], text)


class _Reader:
    """The tokens of a line, and what is made of them."""

    def __init__(self, text: str) -> None:
        if len(text) > LINE_CHARS_MAX:
            raise LimitExceededError(f"a rule is longer than {LINE_CHARS_MAX} characters")
        self._tokens: list[_Token] = []
        self._next = 0
        self._end = len(text.rstrip())
        self._tests = 0
        at = 0
        while at < self._end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise MalformedError(f"character {at + 1}: a quotation mark is not closed")
            quoted = match[2] is not None
            word = _unescape(match[2]) if quoted else match[1] or match[3]
            self._tokens.append(_Token(word, quoted, match.start(match.lastindex or 0)))
            at = match.end()

    @property
    def at_end(self) -> bool:
        return self._next == len(self._tokens)

    def wrong(self, reason: str) -> MalformedError:
        column = self._end if self.at_end else self._tokens[self._next].column
        return MalformedError(f"character {column + 1}: {reason}")

    def _peek(self) -> str:
        """The next word or sign; empty at the end and for what is in quotation marks."""
        if self.at_end or self._tokens[self._next].quoted:
            return ""
        return self._tokens[self._next].text

    def _take(self, *wanted: str) -> bool:
        if self._peek() not in wanted:
            return False
        self._next += 1
        return True

    def expect(self, word: str) -> None:
        if not self._take(word):
            found = f"not {self._peek()}" if self._peek() else "which is missing"
            raise self.wrong(f"here comes {word}, {found}")

    def operations(self) -> frozenset[Operation]:
        every = frozenset(Operation)
        if self._take(_ALL):
            if not self._take("but"):
                return every
            return every - self._operation_list()
        return self._operation_list()

    def _operation_list(self) -> frozenset[Operation]:
        found: set[Operation] = set()
        while True:
            word = self._peek()
            try:
                found.add(Operation(word))
            except ValueError:
                known = [one.value for one in Operation]
                missing = f"{word} is no operation" if word else "here comes an operation"
                raise self.wrong(f"{missing}; {suggestion(word, [*known, _ALL])}") from None
            self._next += 1
            if not self._take(","):
                return frozenset(found)

    def condition(self) -> tuple[Clause, ...]:
        bracketed = self._peek() == "("
        clauses = [self._clause()]
        if self._peek() == "or":  # a condition of nothing but alternatives needs no brackets
            if bracketed:
                raise self.wrong("all tests of which one is enough stand in one pair of brackets")
            clauses = [self._alternatives(clauses[0])]
            if self._peek() == "and":
                raise self.wrong("and meets or: put brackets around the tests of which one is enough")
        while self._take("and"):
            clauses.append(self._clause())
            if self._peek() == "or":
                raise self.wrong("or meets and: put brackets around the tests of which one is enough")
        if not self.at_end:
            word = self._peek()
            hint = "; a value of several words stands in quotation marks" if word not in (")", "(") else ""
            raise self.wrong(f"here comes and, or the end{hint}")
        return tuple(clauses)

    def _clause(self) -> Clause:
        if not self._take("("):
            return (self._test(),)
        clause = self._alternatives((self._test(),))
        if not self._take(")"):
            raise self.wrong("a bracket is not closed; inside of it come tests with or between them")
        return clause

    def _alternatives(self, first: Clause) -> Clause:
        found = list(first)
        while self._take("or"):
            found.append(self._test())
        return tuple(found)

    def _test(self) -> Test:
        self._tests += 1
        if self._tests > TESTS_MAX:
            raise LimitExceededError(f"a rule has more than {TESTS_MAX} tests")
        negated = self._take("not")
        word = self._peek()
        try:
            subject = Subject(word)
        except ValueError:
            if word == "(":
                raise self.wrong("brackets are not nested, and not is written before each test") from None
            known = [one.value for one in Subject]
            missing = f"{word} is no test" if word else "here comes a test"
            raise self.wrong(f"{missing}; {suggestion(word, known)}") from None
        start = self._next
        self._next += 1
        relation, values = self._comparison(subject)
        try:
            return make_test(subject, relation, values, negated=negated)
        except (MalformedError, LimitExceededError) as error:
            raise type(error)(f"character {self._tokens[start].column + 1}: {error.message}") from error

    def _comparison(self, subject: Subject) -> tuple[Relation, list[str]]:
        if RELATIONS[subject] == (Relation.HOLDS,):
            if self._peek() in ("=", "!=", "is"):
                raise self.wrong(f"{subject.value} stands alone: write {subject.value}, or not {subject.value}")
            return Relation.HOLDS, []
        sign = self._peek()
        if sign not in _RELATIONS:
            usual = " or ".join(one.value for one in RELATIONS[subject])
            advice = {"!=": f"write: not {subject.value} = ...", "is": "write = for is"}.get(sign, f"write {usual}")
            raise self.wrong(f"{subject.value} is tested with {usual}; {advice}")
        self._next += 1
        values = [self._value(subject)]
        while self._take(","):
            values.append(self._value(subject))
            if len(values) > VALUES_MAX:
                raise LimitExceededError(f"a test has more than {VALUES_MAX} values")
        return _RELATIONS[sign], values

    def _value(self, subject: Subject) -> str:
        words: list[str] = []
        while not self.at_end and (not words or (subject in _SEVERAL_WORDS and not self._tokens[self._next].quoted)):
            token = self._tokens[self._next]
            if not token.quoted and (token.text in _KEYWORDS or not _BARE.fullmatch(token.text)):
                break
            words.append(token.text)
            self._next += 1
        if not words or not words[0]:
            raise self.wrong(
                "here comes a value; put it into quotation marks if it has signs or is a word of this language"
            )
        return " ".join(words)
