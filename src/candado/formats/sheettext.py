"""The text form of a sheet: what it says to people, with the words and the sealed key between marks.

Layer: ``formats``; pure. The marks are what a reader looks for, so that the text around them may change. What a QR
code gave is marked by its first two words. Text without any mark is what somebody typed: words of a share, one sheet
after the other with an empty line between them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from candado.errors import LimitExceededError, ShareTypoError

__all__ = ["KEY_CODE", "SHARE_CODE", "SheetParts", "find_parts", "marked"]

SHARE_CODE: Final = "CANDADO SHARE"
KEY_CODE: Final = "CANDADO KEY"
SHEET_CHARS_MAX: Final = 256 * 1024
_WORDS: Final = "words"
_KEY: Final = "sealed key"
_MARK: Final = "====="


@dataclass(frozen=True, slots=True)
class SheetParts:
    """The texts of shares and of sealed keys, in the order in which they stand."""

    shares: tuple[str, ...]
    keys: tuple[str, ...]


def marked(words: tuple[str, ...], key: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the lines of both blocks, marks and numbers included."""
    return _block(_WORDS, words), _block(_KEY, key)


def find_parts(text: str) -> SheetParts:
    """Return the shares and sealed keys in a file, in what a scanner gave, or in what somebody typed.

    Raises:
        LimitExceededError: longer than 256 Ki characters. ShareTypoError: a mark at the end of a block is missing.
    """
    if len(text) > SHEET_CHARS_MAX:
        raise LimitExceededError(f"a sheet is longer than {SHEET_CHARS_MAX} characters")
    shares: list[str] = []
    keys: list[str] = []
    loose: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        bare = line.strip()
        if bare == _mark(_WORDS):
            shares.append(_until_end(lines, _WORDS))
        elif bare == _mark(_KEY):
            keys.append(_until_end(lines, _KEY))
        elif bare.upper().startswith(SHARE_CODE):
            shares.append(bare[len(SHARE_CODE) :])
        elif bare.upper().startswith(KEY_CODE):
            keys.append(bare[len(KEY_CODE) :])
        else:
            loose.append(bare)
    if not shares and not keys:
        shares = [found for paragraph in "\n".join(loose).split("\n\n") if (found := paragraph.strip())]
    return SheetParts(tuple(shares), tuple(keys))


def _until_end(lines: Iterator[str], name: str) -> str:
    block: list[str] = []
    for line in lines:
        if line.strip() == _mark(f"end of {name}"):
            return "\n".join(block)
        block.append(line)
    raise ShareTypoError(f"the mark at the end of the {name} is missing")


def _mark(name: str) -> str:
    return f"{_MARK} {name} {_MARK}"


def _block(name: str, lines: tuple[str, ...]) -> list[str]:
    return [_mark(name), *(f"{number:2}.  {line}" for number, line in enumerate(lines, 1)), _mark(f"end of {name}")]
