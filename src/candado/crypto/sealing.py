"""Inner metadata documents: gzip inside AES-128-GCM, the tag kept twice.

Layer: ``crypto``. Source: protocol document, sections 8 and 9; threat model, A55 and A88.
"""

import hmac
import zlib
from dataclasses import dataclass
from typing import Final

from candado.crypto import aead
from candado.errors import LimitExceededError, MisuseError, OpenFailedError
from candado.types import MetadataKey, Nonce, Tag

__all__ = ["SealedParts", "open_text", "seal_text"]

TEXT_BYTES_MAX: Final = 64 * 1024 * 1024
RATIO_MAX: Final = 200
_RATIO_FREE_BYTES: Final = 64 * 1024
_KEY_BYTES: Final = 16
_GZIP: Final = 31


@dataclass(frozen=True, slots=True)
class SealedParts:
    """A sealed document: ``ciphertext`` ends in the 16-byte tag, ``tag`` is the second copy of it."""

    ciphertext: bytes
    nonce: Nonce
    tag: Tag


def seal_text(key: MetadataKey | bytes, nonce: Nonce, text: bytes) -> SealedParts:
    """Return ``text`` compressed and sealed.

    Shapes:
        key: 16 bytes, a metadata key or the key of one file drop.   nonce: 12 bytes, never used before with this key.

    Raises:
        LimitExceededError: more than 64 MiB; nothing was sealed.
    """
    if len(text) > TEXT_BYTES_MAX:
        raise LimitExceededError("a metadata document is larger than 64 MiB")
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    sealed = aead.seal(_raw(key), nonce, packer.compress(text) + packer.flush())
    return SealedParts(sealed, nonce, Tag(sealed[-aead.TAG_BYTES :]))


def open_text(key: MetadataKey | bytes, parts: SealedParts) -> bytes:
    """Return the document that ``seal_text`` or a stock client sealed.

    Raises:
        OpenFailedError: the two tags differ, the tag does not hold, or the content is not exactly one gzip member.
        LimitExceededError: more than 64 MiB, or more than 200 times what came (64 KiB are always allowed).
    """
    if not hmac.compare_digest(parts.ciphertext[-aead.TAG_BYTES :], parts.tag):
        raise OpenFailedError("the two tags of a metadata document differ")
    packed = aead.open_sealed(_raw(key), parts.nonce, parts.ciphertext)
    limit = min(TEXT_BYTES_MAX, max(RATIO_MAX * len(packed), _RATIO_FREE_BYTES))
    unpacker = zlib.decompressobj(_GZIP)
    try:
        text = unpacker.decompress(packed, limit + 1)
    except zlib.error as exc:
        raise OpenFailedError("the content of a metadata document is not gzip") from exc
    if len(text) > limit:
        raise LimitExceededError("a metadata document unpacks to more than is allowed")
    if not unpacker.eof or unpacker.unused_data:
        raise OpenFailedError("the content of a metadata document is not exactly one gzip member")
    return text


def _raw(key: MetadataKey | bytes) -> bytes:
    raw = key if isinstance(key, bytes) else key.reveal()
    if len(raw) != _KEY_BYTES:
        raise MisuseError("metadata is sealed with keys of 16 bytes")
    return raw
