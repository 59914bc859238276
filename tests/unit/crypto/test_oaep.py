"""OAEP is taken off as the cryptographic library does it, and whatever is wrong is refused in the same words."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.vectors.keys import private_key

from candado.crypto.oaep import unpad_oaep_sha256
from candado.crypto.rsa import PrivateKey
from candado.errors import OpenFailedError

KEY = private_key("alice")
SIZE = KEY.public.bits // 8


def bare(key: PrivateKey, ciphertext: bytes) -> bytes:
    """The private operation alone, as a token does it."""
    primes = key.primes()
    p, q = (int.from_bytes(primes[start : start + len(primes) // 2], "big") for start in (0, len(primes) // 2))
    exponent = pow(65537, -1, (p - 1) * (q - 1))
    return pow(int.from_bytes(ciphertext, "big"), exponent, p * q).to_bytes(SIZE, "big")


def masked(seed: bytes, block: bytes, first: int = 0) -> bytes:
    """An encoded message made by the other half of the standard."""

    def mgf1(data: bytes, size: int) -> bytes:
        made = b"".join(hashlib.sha256(data + n.to_bytes(4, "big")).digest() for n in range(size // 32 + 1))
        return made[:size]

    hidden = bytes(a ^ b for a, b in zip(block, mgf1(seed, len(block)), strict=True))
    return bytes([first]) + bytes(a ^ b for a, b in zip(seed, mgf1(hidden, 32), strict=True)) + hidden


@given(message=st.binary(max_size=SIZE - 66))
def test_what_the_library_sealed_is_opened(message: bytes) -> None:
    assert unpad_oaep_sha256(bare(KEY, KEY.public.encrypt_oaep(message))) == message


LABEL = hashlib.sha256(b"").digest()
ROOM = SIZE - 33 - 32


@pytest.mark.parametrize(
    "padded",
    [
        masked(b"s" * 32, LABEL + bytes(ROOM - 4) + b"\x01abc", first=1),
        masked(b"s" * 32, b"\xff" + LABEL[1:] + bytes(ROOM - 4) + b"\x01abc"),
        masked(b"s" * 32, LABEL + bytes(ROOM - 4) + b"\x02abc"),
        masked(b"s" * 32, LABEL + b"\x03" + bytes(ROOM - 5) + b"\x01abc"),
        masked(b"s" * 32, LABEL + bytes(ROOM)),
        bytes(SIZE),
        b"",
        bytes(65),
    ],
)
def test_whatever_is_wrong_is_refused_in_the_same_words(padded: bytes) -> None:
    assert unpad_oaep_sha256(masked(b"s" * 32, LABEL + bytes(ROOM - 4) + b"\x01abc")) == b"abc"
    with pytest.raises(OpenFailedError, match="a wrapped key does not open with this private key"):
        unpad_oaep_sha256(padded)
