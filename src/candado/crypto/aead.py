"""AES-GCM in one piece, nonce given by the caller, no associated data (the protocol has none).

Layer: ``crypto``. A nonce is used once per key: callers take it fresh from the Random port for every seal.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from candado.errors import MisuseError, OpenFailedError

__all__ = ["TAG_BYTES", "open_sealed", "seal"]

TAG_BYTES: Final = 16


def _check(key: bytes, nonce: bytes) -> None:
    if len(key) not in (16, 32) or len(nonce) not in (12, 16):
        raise MisuseError("AES-GCM is used with keys of 16 or 32 bytes and nonces of 12 or 16")


def seal(key: bytes, nonce: bytes, plaintext: bytes | memoryview) -> bytes:
    """Return ciphertext || tag.

    Shapes:
        key: 16 or 32 bytes.   nonce: 12 or 16 bytes, never used before with this key.   return: n + 16 bytes.

    Source: NIST SP 800-38D, 7.1.
    """
    _check(key, nonce)
    return AESGCM(key).encrypt(nonce, plaintext, None)


def open_sealed(key: bytes, nonce: bytes, sealed: bytes | memoryview) -> bytes:
    """Return the plaintext of ciphertext || tag.

    Shapes:
        key: 16 or 32 bytes.   nonce: 12 or 16 bytes.   sealed: at least 16 bytes.

    Raises:
        OpenFailedError: altered, cut short, or another key or nonce; no plaintext is returned.

    Source: NIST SP 800-38D, 7.2.
    """
    _check(key, nonce)
    try:
        return AESGCM(key).decrypt(nonce, sealed, None)
    except InvalidTag as exc:
        raise OpenFailedError from exc
