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
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from candado.crypto.mnemonic import word_list
from candado.crypto.shamir import SHARES_MAX
from candado.errors import LimitExceededError, MisuseError, ShareTypoError

__all__ = [
    "CEREMONY_BYTES",
    "LINES",
    "SECRET_BYTES",
    "Share",
    "parse_line",
    "parse_share",
    "secret_check",
    "share_lines",
]

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
_FAULTS_SHOWN: Final = 6


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
    faults: list[str] = []
    data: list[int] = []
    for number, tokens in enumerate(_split_lines(text), 1):
        value, found = _read_line(number, tokens, data[0] if data else None)
        faults += found
        data.append(value)
        if number == 1 and found:
            break  # the check words of the other lines need line 1
    if faults:
        more = len(faults) - _FAULTS_SHOWN
        raise ShareTypoError("; ".join([*faults[:_FAULTS_SHOWN], *([f"and {more} more"] if more > 0 else [])]))
    return _unpack(data)


def parse_line(number: int, text: str, first: int | None) -> int:
    """Return the data of one line (1 to 7), so that a typo can be told while a person types.

    ``first`` is what line 1 gave, None for line 1. ShareTypoError as ``parse_share``.
    """
    tokens = _TOKEN.findall(text.lower())
    if len(tokens) != _LINE_WORDS:
        raise ShareTypoError(_wrong_number(number, len(tokens)))
    value, faults = _read_line(number, tokens, first)
    if faults:
        raise ShareTypoError("; ".join(faults))
    return value


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
            _wrong_number(number, len(tokens)) for number, tokens in enumerate(lines, 1) if len(tokens) != _LINE_WORDS
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


def _read_line(number: int, tokens: Sequence[str], first: int | None) -> tuple[int, list[str]]:
    """The data of a line, and its faults; words by their place only, for what stands there is a part of the secret."""
    value, faults = 0, list[str]()
    for place, token in enumerate(tokens, 1):
        word = _numbers().get(token) if len(token) < _PREFIX_CHARS else _by_prefix(token)
        if word is None:
            faults.append(f"line {number}, word {place} is not in the list of words")
        value = value << _WORD_BITS | (word or 0)
    data = value >> _WORD_BITS
    if not faults and value & 0x7FF != _line_check(number, data if first is None else first, data):
        faults.append(f"line {number}: the words do not fit together: one is wrong, or two changed places")
    return data, faults


def _wrong_number(number: int, count: int) -> str:
    return f"line {number}: {count} words, but every line has {_LINE_WORDS}"


def _by_prefix(token: str) -> int | None:
    number = _numbers().get(token[:_PREFIX_CHARS])
    return number if number is not None and word_list()[number].startswith(token) else None


@cache
def _numbers() -> dict[str, int]:
    """The first four letters of every word to its number."""
    return {word[:_PREFIX_CHARS]: number for number, word in enumerate(word_list())}
