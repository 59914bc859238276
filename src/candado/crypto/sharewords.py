"""One share of the recovery key as 42 words in seven lines, each with a check word of its own.

    line     = 5 words of data (55 bits) | check word (11 bits)
    data     = version (3 bits) | needed - 1 (4) | shares - 1 (4) | index - 1 (4) | ceremony (40)           line 1
               value (256 bits) | check of the secret (40) | check of this share (34)                       lines 2 to 7
    check word        = first 11 bits of SHA-256("candado share line" | line | data of line 1 | data of the line)
    check of secret   = first 40 bits of SHA-256("candado share secret" | ceremony | secret)
    check of share    = first 34 bits of SHA-256("candado share whole" | data of line 1 | value | check of the secret)

The check word names the line with the typo, and lines that stand on another sheet fit no line 1 but their own. The
words are those of the English BIP-39 list, no two of which share their first four letters, so four are enough.

Layer: ``crypto``. Source: our own; ``docs/spec/recovery.md``.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from candado.crypto.mnemonic import word_list
from candado.crypto.shamir import SHARES_MAX
from candado.errors import LimitExceededError, MisuseError, ShareTypoError

__all__ = ["CEREMONY_BYTES", "SECRET_BYTES", "Share", "parse_share", "secret_check", "share_lines"]

SECRET_BYTES: Final = 32
CEREMONY_BYTES: Final = 5
LINES: Final = 7
_VERSION: Final = 1
_LINE_WORDS: Final = 6
_DATA_BITS: Final = 55
_WORD_BITS: Final = 11
_CHARS_MAX: Final = 4096
_PREFIX_CHARS: Final = 4
_TOKEN: Final = re.compile(r"[a-z]+")
_UNKNOWN_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Share:
    """One share; whether it is the right one only the secret tells that it gives with others."""

    ceremony: bytes
    """Five random bytes that all sheets of one ceremony have in common."""
    needed: int
    shares: int
    index: int
    value: bytes = field(repr=False)
    check: bytes = field(repr=False)
    """Five bytes, see ``secret_check``; the same on all sheets."""

    def __post_init__(self) -> None:
        """MisuseError unless everything has its size."""
        sizes = (len(self.ceremony), len(self.value), len(self.check))
        if sizes != (CEREMONY_BYTES, SECRET_BYTES, CEREMONY_BYTES) or not (
            2 <= self.needed <= self.shares <= SHARES_MAX and 1 <= self.index <= self.shares
        ):
            raise MisuseError("a share has another size, or numbers that do not fit each other")

    @property
    def digest(self) -> str:
        """SHA-256 of the share, 64 hex digits; tells nothing of a value that nobody can guess."""
        return hashlib.sha256(b"candado share digest" + _packed(self)).hexdigest()


def secret_check(ceremony: bytes, secret: bytes) -> bytes:
    """Return the five bytes by which a combined secret is told right from wrong before it is used."""
    return hashlib.sha256(b"candado share secret" + ceremony + secret).digest()[:5]


def share_lines(share: Share) -> tuple[tuple[str, ...], ...]:
    """Return the seven lines of six words."""
    head, rest = _head(share), int.from_bytes(share.value + share.check, "big") << 34 | _whole(share)
    data = [head, *(rest >> (_DATA_BITS * at) & ((1 << _DATA_BITS) - 1) for at in range(LINES - 2, -1, -1))]
    words = word_list()
    return tuple(
        tuple(
            words[(piece << _WORD_BITS | _line_check(number, head, piece)) >> (_WORD_BITS * at) & 0x7FF]
            for at in range(_LINE_WORDS - 1, -1, -1)
        )
        for number, piece in enumerate(data, 1)
    )


def parse_share(text: str) -> Share:
    """Return the share in words that a person typed or scanned: seven lines, or 42 words in any lines.

    Four letters of a word are enough; case, numbers and punctuation do not matter.

    Raises:
        ShareTypoError: says which lines have which fault. LimitExceededError: longer than 4 Ki characters.
    """
    if len(text) > _CHARS_MAX:
        raise LimitExceededError(f"the words of a sheet are longer than {_CHARS_MAX} characters")
    lines = _split_lines(text)
    faults: list[str] = []
    data: list[int | None] = []
    for number, tokens in enumerate(lines, 1):
        numbers, unknown = _look_up(tokens)
        faults += [f"line {number}, {fault}" for fault in unknown]
        value = None if unknown else _join(numbers)
        if value is not None and data and data[0] is None:
            value = None  # the check word of a later line needs line 1
        if value is not None:
            head = value >> _WORD_BITS if number == 1 else data[0] or 0
            if value & 0x7FF != _line_check(number, head, value >> _WORD_BITS):
                faults.append(f"line {number}: the words do not fit together: one is wrong, or two changed places")
                value = None
        data.append(None if value is None else value >> _WORD_BITS)
    if faults:
        raise ShareTypoError("; ".join(_shortened(faults)))
    return _unpack([piece for piece in data if piece is not None])


# --- packing --------------------------------------------------------------------------------------------


def _head(share: Share) -> int:
    numbers = ((_VERSION << 4 | share.needed - 1) << 4 | share.shares - 1) << 4 | share.index - 1
    return numbers << 40 | int.from_bytes(share.ceremony, "big")


def _packed(share: Share) -> bytes:
    return _head(share).to_bytes(7, "big") + share.value + share.check


def _whole(share: Share) -> int:
    return _first_bits(b"candado share whole" + _packed(share), 34)


def _line_check(number: int, head: int, data: int) -> int:
    before = 0 if number == 1 else head
    message = b"candado share line" + bytes((number,)) + before.to_bytes(7, "big") + data.to_bytes(7, "big")
    return _first_bits(message, _WORD_BITS)


def _first_bits(message: bytes, bits: int) -> int:
    return int.from_bytes(hashlib.sha256(message).digest()[:8], "big") >> (64 - bits)


def _join(numbers: Iterable[int]) -> int:
    value = 0
    for number in numbers:
        value = value << _WORD_BITS | number
    return value


def _unpack(data: Sequence[int]) -> Share:
    head = data[0]
    if head >> 52 != _VERSION:
        raise ShareTypoError("line 1: this sheet has another version than this program knows")
    needed, shares, index = ((head >> at & 15) + 1 for at in (48, 44, 40))
    if not 2 <= needed <= shares or index > shares:
        raise ShareTypoError("line 1: the numbers of the sheet contradict each other")
    rest = 0
    for piece in data[1:]:
        rest = rest << _DATA_BITS | piece
    body = (rest >> 34).to_bytes(SECRET_BYTES + 5, "big")
    ceremony = (head & ((1 << 40) - 1)).to_bytes(CEREMONY_BYTES, "big")
    share = Share(ceremony, needed, shares, index, body[:SECRET_BYTES], body[SECRET_BYTES:])
    if rest & ((1 << 34) - 1) != _whole(share):
        raise ShareTypoError("every line fits its check word, but the sheet as a whole does not: compare every word")
    return share


# --- reading what people type -----------------------------------------------------------------------------


def _split_lines(text: str) -> list[list[str]]:
    lines = [tokens for line in text.lower().splitlines() if (tokens := _TOKEN.findall(line))]
    if len(lines) == LINES:
        faults = [
            f"line {number}: {len(tokens)} words, but every line has {_LINE_WORDS}"
            for number, tokens in enumerate(lines, 1)
            if len(tokens) != _LINE_WORDS
        ]
        if faults:
            raise ShareTypoError("; ".join(faults))
        return lines
    words = [word for tokens in lines for word in tokens]
    if len(words) != LINES * _LINE_WORDS:
        raise ShareTypoError(
            f"a sheet has {LINES * _LINE_WORDS} words in {LINES} lines, here are {len(words)} in {len(lines)}"
        )
    return [words[at : at + _LINE_WORDS] for at in range(0, len(words), _LINE_WORDS)]


def _look_up(tokens: Sequence[str]) -> tuple[list[int], list[str]]:
    """The numbers of the words, and which are none; by their place, for what stands there is a part of the secret."""
    numbers: list[int] = []
    unknown: list[str] = []
    for place, token in enumerate(tokens, 1):
        number = _numbers().get(token) if len(token) < _PREFIX_CHARS else _by_prefix(token)
        if number is None:
            unknown.append(f"word {place} is not in the list of words")
        else:
            numbers.append(number)
    return numbers, unknown


def _by_prefix(token: str) -> int | None:
    number = _numbers().get(token[:_PREFIX_CHARS])
    return number if number is not None and word_list()[number].startswith(token) else None


@cache
def _numbers() -> dict[str, int]:
    """The first four letters of every word to its number."""
    return {word[:_PREFIX_CHARS]: number for number, word in enumerate(word_list())}


def _shortened(faults: Sequence[str]) -> list[str]:
    more = len(faults) - _UNKNOWN_SHOWN
    return [*faults[:_UNKNOWN_SHOWN], f"and {more} more"] if more > 0 else list(faults)
