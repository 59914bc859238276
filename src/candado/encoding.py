"""Strict text encodings of bytes: base64, PEM, and the three fields of a wrapped private key.

Layer: above ``errors`` and ``types``; below ``crypto`` and ``formats``, which both need it and never import each other.
There is one spelling of every value: what would encode differently than it was read is refused. PEM is the exception:
the armour is the protocol's, the line width differs from writer to writer (protocol document, sections 3 and 4).
"""

import binascii
import re
from dataclasses import dataclass
from typing import Final

from candado.errors import LimitExceededError, MalformedError
from candado.types import Nonce

__all__ = ["WrappedKey", "decode_b64", "encode_b64", "join_wrapped", "pem_decode", "pem_encode", "split_wrapped"]

PEM_CHARS_MAX: Final = 32 * 1024
WRAPPED_CHARS_MAX: Final = 32 * 1024
SALT_BYTES: Final = 40
_SALT_CHARS: Final = 56
_NONCE_CHARS: Final = (16, 24)
_OLD_SEPARATOR: Final = "fA=="  # base64 of "|"
_PEM_COLUMNS: Final = 64
_TAG_BYTES: Final = 16
_WHITE_SPACE = re.compile(r"[ \t\r\n]+")


def encode_b64(data: bytes) -> str:
    """Return standard base64 with padding and without line breaks."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def decode_b64(text: str, *, size: int | None = None) -> bytes:
    """Return the bytes that ``text`` encodes, or raise.

    Shapes:
        text: standard alphabet, padded, no white space, unused bits zero: what ``encode_b64`` writes and nothing else.
        size: exact number of bytes expected; None for any.

    Raises:
        MalformedError: another alphabet, spelling or size.
    """
    try:
        raw = text.encode("ascii")
        data = binascii.a2b_base64(raw)
    except ValueError as exc:
        raise MalformedError("not base64") from exc
    if binascii.b2a_base64(data, newline=False) != raw:
        raise MalformedError("base64 is not in its one canonical spelling")
    if size is not None and len(data) != size:
        raise MalformedError(f"{size} bytes were expected, {len(data)} came")
    return data


def pem_encode(label: str, der: bytes) -> str:
    """Return PEM armour around ``der``: 64 columns, LF, final newline."""
    body = encode_b64(der)
    lines = [body[at : at + _PEM_COLUMNS] for at in range(0, len(body), _PEM_COLUMNS)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def pem_decode(text: str, label: str, *, chars_max: int = PEM_CHARS_MAX) -> bytes:
    """Return the bytes inside one PEM block, or raise.

    Shapes:
        text: one block of type ``label``, any line width, blanks around it; at most 32 Ki characters; no headers.

    Raises:
        LimitExceededError: the text is too long; nothing was parsed.
        MalformedError: another label, more than one block, other text around it, an empty or non-canonical body.

    Source: protocol document, section 3 (64 and 65 columns) and 4 (one single line).
    """
    if len(text) > chars_max:
        raise LimitExceededError(f"PEM text is longer than {chars_max} characters")
    body = text.strip(" \t\r\n")
    begin, end = f"-----BEGIN {label}-----", f"-----END {label}-----"
    if not (body.startswith(begin) and body.endswith(end) and len(body) >= len(begin) + len(end)):
        raise MalformedError(f"not one PEM block of type {label}")
    der = decode_b64(_WHITE_SPACE.sub("", body[len(begin) : -len(end)]))
    if not der:
        raise MalformedError("the PEM block is empty")
    return der


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A private key sealed under the mnemonic: ``ciphertext`` ends in the 16-byte tag; ``salt`` has 40 bytes."""

    ciphertext: bytes
    nonce: Nonce
    salt: bytes


def join_wrapped(wrapped: WrappedKey) -> str:
    """Return the text stored at the server: ciphertext, nonce and salt in base64, joined by ``|``."""
    return "|".join((encode_b64(wrapped.ciphertext), encode_b64(wrapped.nonce), encode_b64(wrapped.salt)))


def split_wrapped(text: str) -> list[WrappedKey]:
    """Return every reading of a stored wrapped key, the likely one first; never an empty list.

    The old separator ``fA==`` may occur inside a field by chance. The salt has a fixed length and the nonce one of
    two, so that counting from the end leaves at most two readings; the tag decides between them.

    Raises:
        LimitExceededError: more than 32 Ki characters; nothing was parsed.
        MalformedError: no reading gives a salt of 40 bytes, a nonce of 12 or 16 and a ciphertext longer than a tag.

    Source: protocol document, section 3.
    """
    if len(text) > WRAPPED_CHARS_MAX:
        raise LimitExceededError(f"a wrapped key is longer than {WRAPPED_CHARS_MAX} characters")
    text = text.strip()
    if "|" in text:
        fields = text.split("|")
        if len(fields) != 3:
            raise MalformedError("a wrapped key has three fields")
        return [_wrapped(*fields)]
    found: list[WrappedKey] = []
    head, salt = text[:-_SALT_CHARS], text[-_SALT_CHARS:]
    for nonce_chars in _NONCE_CHARS:
        if not head.endswith(_OLD_SEPARATOR):
            break
        rest = head[: -len(_OLD_SEPARATOR)]
        front, nonce = rest[:-nonce_chars], rest[-nonce_chars:]
        if front.endswith(_OLD_SEPARATOR):
            try:
                found.append(_wrapped(front[: -len(_OLD_SEPARATOR)], nonce, salt))
            except MalformedError:
                continue
    if not found:
        raise MalformedError("a wrapped key has three fields")
    return found


def _wrapped(ciphertext: str, nonce: str, salt: str) -> WrappedKey:
    sealed = decode_b64(ciphertext)
    if len(sealed) <= _TAG_BYTES:
        raise MalformedError("a wrapped key is longer than its tag")
    return WrappedKey(sealed, Nonce(decode_b64(nonce)), decode_b64(salt, size=SALT_BYTES))
