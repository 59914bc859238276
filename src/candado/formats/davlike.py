"""The ``like`` of a search: wildcards matched in time that no pattern can make explode.

Layer: ``formats``. ``%`` stands for any text, ``_`` for one character, a backslash takes the meaning of the next.
Upper and lower case are the same. Source: RFC 5323, 5.14.
"""

import re
from dataclasses import dataclass
from typing import Final

from candado.errors import LimitExceededError

__all__ = ["LikePattern"]

PATTERN_CHARS_MAX: Final = 128
_WILDCARDS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class LikePattern:
    """A pattern, cut at its ``%``: the first piece begins the text, the last ends it, the others follow in order.

    A piece has a fixed length and no repetition, so the leftmost place of each is also the best.
    """

    first: re.Pattern[str]
    middle: tuple[re.Pattern[str], ...]
    last: re.Pattern[str] | None

    @classmethod
    def parse(cls, text: str) -> "LikePattern":
        """Return the pattern of a literal.

        Raises:
            LimitExceededError: more than 128 characters or 16 ``%``.
        """
        if len(text) > PATTERN_CHARS_MAX:
            raise LimitExceededError(f"a pattern has at most {PATTERN_CHARS_MAX} characters")
        pieces = _pieces(text.casefold())
        if len(pieces) > _WILDCARDS_MAX + 1:
            raise LimitExceededError(f"a pattern has at most {_WILDCARDS_MAX} wildcards for any text")
        if len(pieces) == 1:
            return cls(_compiled(pieces[0] + r"\Z"), (), None)
        middle = tuple(_compiled(piece) for piece in pieces[1:-1] if piece)
        return cls(_compiled(pieces[0]), middle, _compiled(pieces[-1] + r"\Z"))

    def matches(self, text: str) -> bool:
        """Whether the whole text is as the pattern says."""
        text = text.casefold()
        found = self.first.match(text)
        for piece in self.middle:
            if found is None:
                return False
            found = piece.search(text, found.end())
        if found is None or self.last is None:
            return found is not None
        return self.last.search(text, found.end()) is not None


def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL)


def _pieces(text: str) -> list[str]:
    """Regular expressions of fixed length between the ``%``."""
    pieces = [""]
    characters = iter(text)
    for character in characters:
        if character == "%":
            pieces.append("")
        elif character == "_":
            pieces[-1] += "."
        else:
            pieces[-1] += re.escape(next(characters, "\\") if character == "\\" else character)
    return pieces
