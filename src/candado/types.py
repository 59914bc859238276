"""Branded values: identifiers, key material and secrets, checked on construction.

Layer: above ``errors`` only. Sizes in bytes; sources: the protocol's glossary in ``docs/spec/glossary.md``.
Python cannot wipe memory reliably; ``SecretBytes`` and ``SecretText`` keep secrets out of logs and tracebacks, no more.
"""

import hmac
import re
from typing import Final, NewType, Self

from candado.errors import LimitExceededError, MalformedError

__all__ = [
    "COUNTER_MAX",
    "Counter",
    "FileId",
    "FileKey",
    "LockToken",
    "MetadataKey",
    "Nonce",
    "SealedName",
    "SecretBytes",
    "SecretText",
    "Tag",
    "UserId",
    "check_counter",
    "check_file_id",
    "check_sealed_name",
    "check_user_id",
]

UserId = NewType("UserId", str)
"""Id of an account, or ``s:TOKEN`` for the visitors of a public link."""

FileId = NewType("FileId", int)
"""The server's number of a file or folder; positive, below 2^63."""

SealedName = NewType("SealedName", str)
"""The opaque name under which the server stores an entry; we write 32 lower-case hex digits."""

Counter = NewType("Counter", int)
"""A folder's edit counter, 0 to 2^53 - 1."""

COUNTER_MAX: Final = 2**53 - 1
_FILE_ID_MAX: Final = 2**63 - 1
_USER_ID_BYTES_MAX: Final = 255
_SEALED_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def check_user_id(text: str) -> UserId:
    """Return ``text`` as a user id, or raise MalformedError: 1 to 255 bytes, no control characters, no slash."""
    if not text or len(text.encode("utf-8", "surrogatepass")) > _USER_ID_BYTES_MAX:
        raise MalformedError("a user id must have 1 to 255 bytes")
    if any(ord(c) < 32 or c in "/\\\x7f" or 0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise MalformedError("a user id must not contain control characters or slashes")
    return UserId(text)


def check_file_id(number: int) -> FileId:
    """Return ``number`` as a file id, or raise MalformedError unless 0 < number < 2^63."""
    if not 0 < number <= _FILE_ID_MAX:
        raise MalformedError("a file id must be a positive 63-bit number")
    return FileId(number)


def check_sealed_name(text: str) -> SealedName:
    """Return ``text`` as a sealed name, or raise MalformedError.

    Stock clients write 32 hex digits, ``E2EE`` with 32 upper-case hex digits, or 20 letters and digits.
    """
    if not _SEALED_NAME.match(text):
        raise MalformedError("a sealed name must be 1 to 64 letters, digits, '-' or '_'")
    return SealedName(text)


def check_counter(number: int) -> Counter:
    """Return ``number`` as a counter, or raise LimitExceededError unless 0 <= number <= 2^53 - 1."""
    if not 0 <= number <= COUNTER_MAX:
        raise LimitExceededError("a folder counter must be between 0 and 2^53 - 1")
    return Counter(number)


class SecretBytes:
    """Bytes that print as ``<secret>`` and compare in constant time."""

    __slots__ = ("_value",)
    SIZE: int | None = None

    def __init__(self, value: bytes) -> None:
        if self.SIZE is not None and len(value) != self.SIZE:
            raise MalformedError(f"a {type(self).__name__} has {self.SIZE} bytes")
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """The bytes themselves; the caller must not log them."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((type(self), self._value))


class FileKey(SecretBytes):
    """AES-128 key of one content version: 16 bytes, fresh for every version."""

    SIZE = 16


class MetadataKey(SecretBytes):
    """AES-128 key that seals the metadata of a root folder and everything below: 16 bytes."""

    SIZE = 16


class SecretText:
    """Text that prints as ``<secret>`` and compares in constant time: passwords, mnemonics."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself; the caller must not log it."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((type(self), self._value))


class LockToken(SecretText):
    """The secret that proves a lock (``e2e-token``)."""


class Nonce(bytes):
    """AES-GCM nonce: we write 12 bytes, stock clients also 16."""

    def __new__(cls, value: bytes) -> Self:
        """Check the length: 12 or 16 bytes."""
        if len(value) not in (12, 16):
            raise MalformedError("a nonce has 12 or 16 bytes")
        return super().__new__(cls, value)


class Tag(bytes):
    """AES-GCM authentication tag: 16 bytes."""

    def __new__(cls, value: bytes) -> Self:
        """Check the length: exactly 16 bytes."""
        if len(value) != 16:
            raise MalformedError("a tag has 16 bytes")
        return super().__new__(cls, value)
