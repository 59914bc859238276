"""A secret split so that any ``needed`` of its shares give it back, and fewer tell nothing of it.

Each byte of the secret is the constant of a polynomial of degree ``needed - 1`` over the field of 256 elements with the
modulus x^8 + x^4 + x^3 + x + 1; share ``i`` holds its value at ``i``. Which shares there are is no secret, what is in
them is: nothing branches on it and nothing is looked up with it.

Layer: ``crypto``; the coefficients are an argument (ADR 0005). A share proves nothing by itself and is not checked
here, see ``sharewords``. Source: A. Shamir, How to share a secret, 1979.
"""

from collections.abc import Mapping
from typing import Final

from candado.errors import MisuseError

__all__ = ["SHARES_MAX", "combine", "split"]

SHARES_MAX: Final = 16
_MODULUS: Final = 0x11B


def split(secret: bytes, *, needed: int, shares: int, coefficients: bytes) -> tuple[bytes, ...]:
    """Return the shares 1 to ``shares``, each as long as the secret.

    Shapes:
        needed, shares: 2 <= needed <= shares <= 16.   coefficients: ``(needed - 1) * len(secret)`` fresh random bytes.
    """
    if not 2 <= needed <= shares <= SHARES_MAX:
        raise MisuseError(f"a secret is split into 2 to {SHARES_MAX} shares, of which 2 or more are needed")
    size = len(secret)
    if not size or len(coefficients) != (needed - 1) * size:
        raise MisuseError("every byte of the secret needs one random byte for each further share that is needed")
    polynomials = [secret, *(coefficients[at : at + size] for at in range(0, len(coefficients), size))]
    made: list[bytes] = []
    for x in range(1, shares + 1):
        value = bytes(size)
        for polynomial in reversed(polynomials):
            value = bytes(_times(held, x) ^ added for held, added in zip(value, polynomial, strict=True))
        made.append(value)
    return tuple(made)


def combine(shares: Mapping[int, bytes]) -> bytes:
    """Return what the shares give together: the secret when they are right and enough, else any other bytes.

    Shapes:
        shares: index (1 to 16) to value; all values equally long.
    """
    sizes = {len(value) for value in shares.values()}
    if len(sizes) != 1 or not all(1 <= index <= SHARES_MAX for index in shares):
        raise MisuseError("shares have an index from 1 to 16 and are equally long")
    secret = bytes(sizes.pop())
    for index, value in shares.items():
        weight = 1
        for other in shares:
            if other != index:
                weight = _times(weight, _times(other, _inverse(other ^ index)))
        secret = bytes(held ^ _times(part, weight) for held, part in zip(secret, value, strict=True))
    return secret


def _times(left: int, right: int) -> int:
    """The product in the field, with the same steps whatever the factors are."""
    product = 0
    for _ in range(8):
        product ^= -(right & 1) & left
        left = (left << 1) ^ (-(left >> 7) & _MODULUS)
        right >>= 1
    return product


def _inverse(value: int) -> int:
    """``value`` to the power of 254; only of differences between indices."""
    result = 1
    for _ in range(7):
        value = _times(value, value)
        result = _times(result, value)
    return result
