"""RSA-OAEP with SHA-256, the second half of opening: what remains when a token has done the arithmetic.

Layer: ``crypto``. Many tokens do OAEP with SHA-1 only, or not at all, but all do the bare private operation. Then the
padding is taken off here. Source: RFC 8017, 7.1.2, step 3; MGF1 is B.2.1.
"""

import hashlib
import hmac
from typing import Final

from candado.errors import OpenFailedError

__all__ = ["unpad_oaep_sha256"]

_HASH_BYTES: Final = 32
_LABEL_HASH: Final = hashlib.sha256(b"").digest()


def unpad_oaep_sha256(padded: bytes) -> bytes:
    """The message in an encoded message of as many bytes as the modulus has; empty label, MGF1 with SHA-256.

    Raises:
        OpenFailedError: always with the same message, and after the same steps whatever is wrong, so that nobody who
            can ask often learns from it which part was (Manger's attack).
    """
    size = len(padded)
    if size < 2 * _HASH_BYTES + 2:
        raise OpenFailedError("a wrapped key does not open with this private key")
    masked_seed, masked = padded[1 : 1 + _HASH_BYTES], padded[1 + _HASH_BYTES :]
    seed = _xor(masked_seed, _mgf1(masked, _HASH_BYTES))
    block = _xor(masked, _mgf1(seed, len(masked)))
    bad = padded[0] | (not hmac.compare_digest(block[:_HASH_BYTES], _LABEL_HASH))
    # All bytes are looked at, and the end of the zeros is found without leaving the loop.
    is_searching, start = 1, 0
    for place in range(_HASH_BYTES, len(block)):
        is_one, is_zero = int(block[place] == 1), int(block[place] == 0)
        start = start | (place + 1) * (is_searching & is_one)
        bad |= is_searching & (1 - is_one) & (1 - is_zero)
        is_searching &= 1 - is_one
    if bad | is_searching:
        raise OpenFailedError("a wrapped key does not open with this private key")
    return block[start:]


def _mgf1(seed: bytes, size: int) -> bytes:
    blocks = range((size + _HASH_BYTES - 1) // _HASH_BYTES)
    return b"".join(hashlib.sha256(seed + number.to_bytes(4, "big")).digest() for number in blocks)[:size]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
