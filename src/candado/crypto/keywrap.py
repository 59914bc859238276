"""Metadata and file-drop keys wrapped for one person with RSA-OAEP.

Layer: ``crypto``. Source: protocol document, sections 6, 11, 16 and 18.
"""

import hashlib
from typing import Final

from candado.crypto.rsa import PrivateKey, PublicKey
from candado.encoding import decode_b64
from candado.errors import MalformedError, MisuseError, OpenFailedError
from candado.types import MetadataKey

__all__ = ["KEY_BYTES", "key_checksum", "unwrap_key", "unwrap_text_key", "wrap_key"]

KEY_BYTES: Final = 16
_LAYERS_MAX: Final = 3


def wrap_key(public: PublicKey, key: bytes) -> bytes:
    """Return the raw 16-byte ``key`` under RSA-OAEP-SHA-256: as many bytes as the modulus has, random every time."""
    if len(key) != KEY_BYTES:
        raise MisuseError("a wrapped key has 16 bytes")
    return public.encrypt_oaep(key)


def unwrap_key(private: PrivateKey, wrapped: bytes) -> bytes:
    """Return the 16 bytes that ``wrapped`` holds.

    Raises:
        OpenFailedError: not made for this key, another length than 16, or sixteen zero bytes (threat model, A18).

    Source: protocol document, section 6.
    """
    return _checked(private.decrypt_oaep(wrapped))


def unwrap_text_key(private: PrivateKey, wrapped: bytes) -> bytes:
    """Return the key of a 1.x folder or of a file drop, which some clients encode in base64 before they wrap it.

    Up to three layers of base64 are taken off until 16 bytes are left. Raises as ``unwrap_key``.

    Source: protocol document, sections 16 and 18.
    """
    key = private.decrypt_oaep(wrapped)
    for _ in range(_LAYERS_MAX):
        if len(key) == KEY_BYTES:
            break
        try:
            key = decode_b64(key.decode("ascii"))
        except (MalformedError, UnicodeDecodeError) as exc:
            raise OpenFailedError("a wrapped key does not hold 16 bytes") from exc
    return _checked(key)


def key_checksum(key: MetadataKey) -> str:
    """Return the entry of ``keyChecksums`` for a metadata key: SHA-256 of the raw key, 64 lower-case hex digits."""
    return hashlib.sha256(key.reveal()).hexdigest()


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES or not any(key):
        raise OpenFailedError("a wrapped key does not hold 16 bytes")
    return key
