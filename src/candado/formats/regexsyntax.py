r"""The text of a regular expression as a tree; see ``linearregex`` for what is accepted and why.

Layer: ``formats``. Limits: 500 characters, groups 20 deep, 2,000 instructions when repetitions are written out.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from candado.errors import LimitExceededError, MalformedError

__all__ = ["ANY", "END", "PATTERN_CHARS_MAX", "START", "Alternatives", "Chars", "Edge", "Node", "Repeat", "Sequence"]
__all__ += ["glob_tree", "parse_regex"]

PATTERN_CHARS_MAX: Final = 500
_DEPTH_MAX: Final = 20
_BRACES: Final = re.compile(r"\{([0-9]{1,4})(?:(,)([0-9]{1,4})?)?\}")
_KINDS: Final = "dDwWsS"
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r"}
_IGNORE_CASE: Final = "(?i)"


class Edge(Enum):
    """An end of the text."""

    START = "^"
    END = "$"


START: Final = Edge.START
END: Final = Edge.END


@dataclass(frozen=True, slots=True)
class Chars:
    """A set of characters: single ones, ranges, and kinds (letters of ``dDwWsS``)."""

    singles: frozenset[str] = frozenset()
    ranges: tuple[tuple[str, str], ...] = ()
    kinds: str = ""
    negated: bool = False
    ignore_case: bool = False

    def has(self, char: str) -> bool:
        """Whether the set has the character."""
        if self._lists(char):
            return not self.negated
        if self.ignore_case:
            return (self._lists(char.lower()) or self._lists(char.upper())) != self.negated
        return self.negated

    def _lists(self, char: str) -> bool:
        return (
            char in self.singles
            or any(first <= char <= last for first, last in self.ranges)
            or any(_is_kind(kind, char) for kind in self.kinds)
        )


ANY: Final = Chars(singles=frozenset("\n"), negated=True)
_REALLY_ANY: Final = Chars(negated=True)


@dataclass(frozen=True, slots=True)
class Sequence:
    """One part after the other."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """One of the parts."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part so many times; ``most`` is None when there is no end."""

    part: "Node"
    least: int
    most: int | None


Node = Chars | Edge | Sequence | Alternatives | Repeat


def parse_regex(pattern: str, *, steps_max: int) -> Node:
    """Return the tree of a pattern.

    Raises:
        MalformedError: wrong, or not possible in linear time; says at which character.
        LimitExceededError: over a limit.
    """
    if len(pattern) > PATTERN_CHARS_MAX:
        raise LimitExceededError(f"a regular expression is longer than {PATTERN_CHARS_MAX} characters")
    reader = _Reader(pattern)
    node = reader.read()
    if _steps(node) > steps_max:
        raise LimitExceededError(f"the regular expression repeats too much: over {steps_max} steps when written out")
    return node


def glob_tree(pattern: str) -> Node:
    """Return the tree of a pattern in which ``*`` is any text and ``?`` any character; LimitExceededError."""
    if len(pattern) > PATTERN_CHARS_MAX:
        raise LimitExceededError(f"a pattern is longer than {PATTERN_CHARS_MAX} characters")
    special: dict[str, Node] = {"*": Repeat(_REALLY_ANY, 0, None), "?": _REALLY_ANY}
    return Sequence((START, *[special.get(char, Chars(frozenset(char))) for char in pattern], END))


def _steps(node: Node) -> int:
    """How many instructions a part becomes, at most."""
    match node:
        case Sequence(parts) | Alternatives(parts):
            return 1 + sum(_steps(part) for part in parts)
        case Repeat():
            times = max(node.least + (node.most is None), node.most or 0, 1)
            return times * (_steps(node.part) + 1)
        case _:
            return 1


def _is_kind(kind: str, char: str) -> bool:
    low = kind.lower()
    if low == "d":
        found = char.isdecimal()
    elif low == "w":
        found = char.isalnum() or char == "_"
    else:
        found = char.isspace()
    return found == (low == kind)


class _Reader:
    """Recursive descent, as deep as groups are nested."""

    def __init__(self, pattern: str) -> None:
        self._ignore_case = pattern.startswith(_IGNORE_CASE)
        self._text = pattern
        self._at = len(_IGNORE_CASE) if self._ignore_case else 0

    def read(self) -> Node:
        node = self._alternatives(0)
        if self._at < len(self._text):
            raise self._wrong("a closing bracket has no opening one; write \\) for the character")
        return node

    def _wrong(self, reason: str) -> MalformedError:
        return MalformedError(f"regular expression, character {self._at + 1}: {reason}")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _alternatives(self, depth: int) -> Node:
        if depth > _DEPTH_MAX:
            raise LimitExceededError(f"a regular expression has groups more than {_DEPTH_MAX} deep")
        parts = [self._sequence(depth)]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else Alternatives(tuple(parts))

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._quantified(self._atom(depth)))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _quantified(self, atom: Node) -> Node:
        found = self._quantifier()
        if found is None:
            return atom
        if isinstance(atom, Edge):
            raise self._wrong("an end of the text cannot be repeated")
        if self._peek() == "?":
            self._at += 1
        if self._peek() == "+" or self._quantifier() is not None:
            raise self._wrong("two quantifiers in a row; put the first into a group")
        least, most = found
        return Repeat(atom, least, most)

    def _quantifier(self) -> tuple[int, int | None] | None:
        """The quantifier that stands here, read; None when there is none."""
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if self._peek() in simple:
            self._at += 1
            return simple[self._text[self._at - 1]]
        if self._peek() != "{":
            return None
        match = _BRACES.match(self._text, self._at)
        if match is None:
            raise self._wrong("after { comes a number, or two with a comma; write \\{ for the character")
        least = int(match[1])
        most = None if match[2] and not match[3] else int(match[3] or match[1])
        if most is not None and least > most:
            raise self._wrong("the first number is larger than the second")
        self._at = match.end()
        return least, most

    def _atom(self, depth: int) -> Node:
        char = self._peek()
        if char in ("*", "+", "?", "{"):
            raise self._wrong(f"there is nothing to repeat; write \\{char} for the character")
        self._at += 1
        if char == "(":
            return self._group(depth)
        if char == "[":
            return self._class()
        if char == ".":
            return ANY
        if char in ("^", "$"):
            return Edge(char)
        if char == "\\":
            return self._chars(*self._escape())
        return self._chars(char, "")

    def _chars(self, single: str, kind: str) -> Chars:
        return Chars(frozenset(single), (), kind, negated=False, ignore_case=self._ignore_case)

    def _group(self, depth: int) -> Node:
        if self._peek() == "?":
            if not self._text.startswith("?:", self._at):
                raise self._wrong("looking around, names and flags inside are not possible; groups are ( ) and (?: )")
            self._at += 2
        node = self._alternatives(depth + 1)
        if self._peek() != ")":
            raise self._wrong("a group is not closed")
        self._at += 1
        return node

    def _escape(self) -> tuple[str, str]:
        """What a backslash stands before: a character, or a kind of characters."""
        char = self._peek()
        self._at += 1
        if char and char in _KINDS:
            return "", char
        if char in _CONTROLS:
            return _CONTROLS[char], ""
        if not char or char.isalnum():
            self._at -= 1
            raise self._wrong(f"\\{char} is not possible; a backslash stands before punctuation or one of {_KINDS}")
        return char, ""

    def _class(self) -> Chars:
        negated = self._peek() == "^"
        self._at += negated
        singles: set[str] = set()
        ranges: list[tuple[str, str]] = []
        kinds = ""
        while self._peek() != "]":
            first, kind = self._class_char()
            if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in ("", "]"):
                singles |= set(first)
                kinds += kind
                continue
            self._at += 1
            last, other = self._class_char()
            if kind or other or first > last:
                raise self._wrong("a range goes from one character to a later one")
            ranges.append((first, last))
        if not (singles or ranges or kinds):
            raise self._wrong("an empty class; write \\] for the character")
        self._at += 1
        return Chars(frozenset(singles), tuple(ranges), kinds, negated=negated, ignore_case=self._ignore_case)

    def _class_char(self) -> tuple[str, str]:
        char = self._peek()
        if not char:
            raise self._wrong("a class is not closed")
        if char == "[":
            raise self._wrong("write \\[ for the character")
        self._at += 1
        return self._escape() if char == "\\" else (char, "")
