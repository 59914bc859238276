r"""Regular expressions whose search takes time in proportion to the text, whatever the pattern.

Layer: ``formats``. For patterns that an administrator wrote and texts that a stranger chose. The pattern becomes a list
of instructions (K. Thompson, "Regular expression search algorithm", 1968); a search follows all ways through it at
once, one character at a time, so a character costs at most one visit of each instruction and nothing is ever tried
twice. What would need more than that (looking around, referring back) is refused when the pattern is read.

Syntax, as in Python's ``re``: ``. ^ $ | ( ) (?: ) * + ? {m} {m,} {m,n}``, classes such as ``[a-z_]`` and ``[^0-9]``,
``\d \D \w \W \s \S``, ``\t``, a backslash before punctuation, and ``(?i)`` at the beginning. ``^`` and ``$`` are the
ends of the text. A ``?`` behind a quantifier changes nothing, since the answer is yes or no.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from candado.formats.regexsyntax import (
    ANY,
    END,
    START,
    Alternatives,
    Chars,
    Edge,
    Node,
    Repeat,
    Sequence,
    glob_tree,
    parse_regex,
)

__all__ = ["PROGRAM_STEPS_MAX", "LinearRegex"]

PROGRAM_STEPS_MAX: Final = 2000
_KEPT_MAX: Final = 4096
_CHAR: Final = 0
_SPLIT: Final = 1
_START: Final = 2
_END: Final = 3
_MATCH: Final = 4


class _Step(NamedTuple):
    """One instruction: what it is, where it goes on, and which characters it takes."""

    kind: int
    ways: tuple[int, ...]
    chars: Chars = ANY


class LinearRegex:
    """A pattern that is ready to search."""

    __slots__ = ("_first", "_kept", "_last", "_program", "pattern")

    def __init__(self, pattern: str, *, glob: bool = False) -> None:
        """Read a pattern, or with ``glob`` one for whole texts in which only ``*`` and ``?`` mean something.

        Raises:
            MalformedError: it is wrong, or needs what cannot be had in linear time.
            LimitExceededError: it is too long, too deep, or repeats too much.
        """
        self.pattern = pattern
        node = glob_tree(pattern) if glob else parse_regex(pattern, steps_max=PROGRAM_STEPS_MAX)
        self._program: list[_Step] = [_Step(_MATCH, ())]
        entry = self._build(node, 0)
        self._first = self._closure((entry,), at_start=True)[0]
        self._last = self._closure((entry,), at_start=False)[0]
        self._kept: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def search(self, text: str) -> bool:
        """Whether the pattern fits anywhere in the text."""
        return self.run(text)[0]

    @property
    def size(self) -> int:
        """Number of instructions; a search visits at most twice as many for each character, and once more."""
        return len(self._program)

    def run(self, text: str) -> tuple[bool, int]:
        """As ``search``, with the number of instructions visited."""
        now, visits = self._first, len(self._first)
        for char in text:
            if 0 in now:
                return True, visits
            following = self._kept.get((now, char))
            if following is None:
                following, cost = self._follow(now, char)
                visits += cost
                if len(self._kept) >= _KEPT_MAX:
                    self._kept.clear()
                self._kept[now, char] = following
            now = following
            visits += 1
        if 0 in now:
            return True, visits
        ends = [way for number in now if self._program[number].kind == _END for way in self._program[number].ways]
        reached, cost = self._closure(ends, at_start=not text, at_end=True)
        return 0 in reached, visits + cost

    def _follow(self, now: frozenset[int], char: str) -> tuple[frozenset[int], int]:
        """Where one character leads, a beginning behind it included; and how many instructions were visited."""
        ways = [
            self._program[number].ways[0]
            for number in now
            if self._program[number].kind == _CHAR and self._program[number].chars.has(char)
        ]
        found, cost = self._closure(ways, at_start=False)
        return found | self._last, cost + len(now)

    def _closure(self, numbers: Iterable[int], *, at_start: bool, at_end: bool = False) -> tuple[frozenset[int], int]:
        """All instructions that can be reached without a character, but for those that only lead on."""
        seen: set[int] = set()
        found: set[int] = set()
        stack = list(numbers)
        while stack:
            number = stack.pop()
            if number in seen:
                continue
            seen.add(number)
            step = self._program[number]
            if step.kind == _SPLIT or (step.kind == _START and at_start) or (step.kind == _END and at_end):
                stack.extend(step.ways)
            elif step.kind != _START:
                found.add(number)
        return frozenset(found), len(seen)

    def _add(self, step: _Step) -> int:
        self._program.append(step)
        return len(self._program) - 1

    def _build(self, node: Node, goes_to: int) -> int:
        """Add the instructions of a part of the pattern in front of ``goes_to``; the number of the first."""
        match node:
            case Chars():
                return self._add(_Step(_CHAR, (goes_to,), node))
            case Edge():
                return self._add(_Step({START: _START, END: _END}[node], (goes_to,)))
            case Sequence(parts):
                for part in reversed(parts):
                    goes_to = self._build(part, goes_to)
                return goes_to
            case Alternatives(parts):
                return self._add(_Step(_SPLIT, tuple([self._build(part, goes_to) for part in parts])))
            case _:
                return self._build_repeat(node, goes_to)

    def _build_repeat(self, node: Repeat, goes_to: int) -> int:
        if node.most is None:
            loop = self._add(_Step(_SPLIT, ()))
            self._program[loop] = _Step(_SPLIT, (self._build(node.part, loop), goes_to))
            goes_to = loop
        else:
            end = goes_to
            for _ in range(node.most - node.least):
                goes_to = self._add(_Step(_SPLIT, (self._build(node.part, goes_to), end)))
        for _ in range(node.least):
            goes_to = self._build(node.part, goes_to)
        return goes_to
