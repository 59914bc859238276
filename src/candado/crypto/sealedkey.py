"""The recovery private key, sealed under the secret that the sheets share out, in a form short enough for paper.

    blob   = header (16 bytes) | nonce (12) | AES-256-GCM(key, nonce, primes p and q, 128 bytes each) | tag (16)
    header = version 1 | kind 1 (RSA-2048) | ceremony (5) | needed - 1 and shares - 1 (4 bits each) | fingerprint (8)
    key    = HMAC-SHA-256(secret, "candado recovery key" | header)
    line   = 20 bytes of the blob in 8 groups of 4 characters | check group (20 bits)
    check group = SHA-256("candado sealed key line" | line | header, for line 1 zeros | the 20 bytes)

The blob is on every sheet, so that the paper alone is enough; without the secret it is worth nothing. Characters are
Crockford's base 32: O is read as 0, I and L as 1.

Layer: ``crypto``; the nonce is an argument. Source: our own; ``docs/spec/recovery.md``; NIST SP 800-38D; RFC 2104.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from candado.crypto import aead
from candado.crypto.rsa import PrivateKey
from candado.crypto.sharewords import CEREMONY_BYTES
from candado.errors import (
    FormatError,
    LimitExceededError,
    MisuseError,
    OpenFailedError,
    SharesUnfitError,
    ShareTypoError,
)

__all__ = ["KEY_LINES", "SealedKey", "key_lines", "open_key", "parse_key", "parse_key_line", "seal_key"]

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_HEADER_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_PRIMES_BYTES: Final = 256
_BLOB_BYTES: Final = _HEADER_BYTES + _NONCE_BYTES + _PRIMES_BYTES + aead.TAG_BYTES
_LINE_BYTES: Final = 20
_LINE_CHARS: Final = 36
_GROUP: Final = 4
KEY_LINES: Final = _BLOB_BYTES // _LINE_BYTES
_CHARS_MAX: Final = 4096
_VERSION: Final = 1
_KIND: Final = 1
_NUMBERING: Final = re.compile(r"^\s*\d{1,2}[.:)]")
_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A sealed recovery key; ``fingerprint`` is the first 8 bytes of the SHA-256 of its public half."""

    blob: bytes

    @property
    def ceremony(self) -> bytes:
        """Five bytes, as on the sheets."""
        return self.blob[2 : 2 + CEREMONY_BYTES]

    @property
    def fingerprint(self) -> str:
        """16 hex digits."""
        return self.blob[8:_HEADER_BYTES].hex()


def seal_key(key: PrivateKey, secret: bytes, *, ceremony: bytes, needed: int, shares: int, nonce: bytes) -> SealedKey:
    """Return the sealed key.

    Shapes:
        key: RSA-2048.   secret: 32 bytes, used for nothing else.   ceremony: 5 bytes.   nonce: 12 fresh bytes.
    """
    if key.public.bits != _BITS or len(ceremony) != CEREMONY_BYTES:
        raise MisuseError("a recovery key has 2048 bits, a ceremony a name of five bytes")
    numbers = (needed - 1) << 4 | (shares - 1)
    header = bytes((_VERSION, _KIND)) + ceremony + bytes((numbers,)) + bytes.fromhex(key.public.fingerprint_hex)[:8]
    return SealedKey(header + nonce + aead.seal(_derive(secret, header), nonce, key.primes()))


def open_key(sealed: SealedKey, secret: bytes) -> PrivateKey:
    """Return the private key; SharesUnfitError when the secret is of another ceremony, or the sealed key is damaged."""
    header, rest = sealed.blob[:_HEADER_BYTES], sealed.blob[_HEADER_BYTES:]
    try:
        primes = aead.open_sealed(_derive(secret, header), rest[:_NONCE_BYTES], rest[_NONCE_BYTES:])
        key = PrivateKey.from_primes(primes)
    except (OpenFailedError, FormatError) as exc:
        raise SharesUnfitError("the sealed recovery key does not open with these sheets") from exc
    if not key.public.fingerprint_hex.startswith(sealed.fingerprint):
        raise SharesUnfitError("the sealed recovery key holds another key than it says")
    return key


def key_lines(sealed: SealedKey) -> tuple[str, ...]:
    """Return the fifteen lines of nine groups."""
    lines: list[str] = []
    for number in range(1, KEY_LINES + 1):
        data = sealed.blob[(number - 1) * _LINE_BYTES : number * _LINE_BYTES]
        value = int.from_bytes(data, "big") << 20 | _line_check(number, sealed.blob[:_HEADER_BYTES], data)
        text = "".join(_ALPHABET[value >> (5 * at) & 31] for at in range(_LINE_CHARS - 1, -1, -1))
        lines.append(" ".join(text[at : at + _GROUP] for at in range(0, _LINE_CHARS, _GROUP)))
    return tuple(lines)


def parse_key(text: str) -> SealedKey:
    """Return the sealed key in what a person typed or scanned: fifteen lines, or all characters in any lines.

    Raises:
        ShareTypoError: says which lines have which fault, or that this is another version. LimitExceededError.
    """
    if len(text) > _CHARS_MAX:
        raise LimitExceededError(f"a sealed recovery key is longer than {_CHARS_MAX} characters")
    lines = [found for line in text.upper().splitlines() if (found := "".join(_NUMBERING.sub("", line).split()))]
    if len(lines) != KEY_LINES:
        joined = "".join(lines)
        lines = [joined[at : at + _LINE_CHARS] for at in range(0, len(joined), _LINE_CHARS)]
    if len(lines) != KEY_LINES:
        raise ShareTypoError(f"the sealed key has {KEY_LINES} lines of {_LINE_CHARS} characters, here are {len(lines)}")
    blob, faults = b"", list[str]()
    for number, line in enumerate(lines, 1):
        data = _read_line(number, line, blob[:_HEADER_BYTES])
        if data is None:
            faults.append(str(number))
            if number == 1:
                break  # the check groups of the other lines need line 1
        blob += data or bytes(_LINE_BYTES)
    if faults:
        which = "line" if len(faults) == 1 else "lines"
        raise ShareTypoError(
            f"the sealed key, {which} {', '.join(faults)}: the characters do not fit their check group"
        )
    if blob[:2] != bytes((_VERSION, _KIND)):
        raise ShareTypoError("the sealed key has another version than this program knows")
    return SealedKey(blob)


def parse_key_line(number: int, text: str, first: bytes) -> bytes:
    """Return the 20 bytes of one line (1 to 15), so that a typo can be told while a person types.

    ``first`` is what line 1 gave, empty for line 1. ShareTypoError.
    """
    data = _read_line(number, "".join(_NUMBERING.sub("", text.upper()).split()), first[:_HEADER_BYTES])
    if data is None:
        raise _typo("line", str(number))
    return data


def _typo(which: str, numbers: str) -> ShareTypoError:
    return ShareTypoError(f"the sealed key, {which} {numbers}: the characters do not fit their check group")


def _read_line(number: int, line: str, header: bytes) -> bytes | None:
    values = [_VALUES.get(letter) for letter in line]
    if len(values) != _LINE_CHARS:
        return None
    value = 0
    for one in values:
        if one is None:
            return None
        value = value << 5 | one
    data = (value >> 20).to_bytes(_LINE_BYTES, "big")
    return data if value & 0xFFFFF == _line_check(number, header, data) else None


def _line_check(number: int, header: bytes, data: bytes) -> int:
    before = bytes(_HEADER_BYTES) if number == 1 else header
    message = b"candado sealed key line" + bytes((number,)) + before + data
    return int.from_bytes(hashlib.sha256(message).digest()[:3], "big") >> 4


def _derive(secret: bytes, header: bytes) -> bytes:
    return hmac.digest(secret, b"candado recovery key" + header, "sha256")
