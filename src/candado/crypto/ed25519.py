"""Ed25519: signatures of an organisation under documents of its own, not of the protocol.

Layer: ``crypto``. Deterministic (RFC 8032), so signing draws no randomness. Keys travel as SubjectPublicKeyInfo in PEM
(RFC 8410); the fingerprint of a key is the SHA-256 of that DER, as for every other key of ours.
"""

import hashlib
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from candado.encoding import pem_decode, pem_encode
from candado.errors import BadSignatureError, MalformedError
from candado.types import SecretBytes

__all__ = ["SIGNATURE_BYTES", "SigningKey", "VerifyingKey"]

SIGNATURE_BYTES: Final = 64
_SEED_BYTES: Final = 32
_PEM_CHARS_MAX: Final = 512
_SPKI_HEAD: Final = bytes.fromhex("302a300506032b6570032100")
"""AlgorithmIdentifier 1.3.101.112 without parameters and the head of a bit string of 32 bytes (RFC 8410, 4)."""


class VerifyingKey:
    """A public key; equal when the encoded key is equal."""

    __slots__ = ("_key", "fingerprint_hex", "spki_der")

    spki_der: bytes
    """SubjectPublicKeyInfo, DER, 44 bytes."""
    fingerprint_hex: str
    """SHA-256 of ``spki_der``, 64 lower-case hex digits."""

    def __init__(self, spki_der: bytes) -> None:
        if len(spki_der) != len(_SPKI_HEAD) + _SEED_BYTES or not spki_der.startswith(_SPKI_HEAD):
            raise MalformedError("not an Ed25519 public key")
        self._key = Ed25519PublicKey.from_public_bytes(spki_der[len(_SPKI_HEAD) :])
        self.spki_der = bytes(spki_der)
        self.fingerprint_hex = hashlib.sha256(spki_der).hexdigest()

    @classmethod
    def from_pem(cls, pem: str) -> Self:
        """The key in one PEM block ``PUBLIC KEY``; MalformedError, LimitExceededError."""
        return cls(pem_decode(pem, "PUBLIC KEY", chars_max=_PEM_CHARS_MAX))

    def to_pem(self) -> str:
        """PEM block ``PUBLIC KEY``, final newline."""
        return pem_encode("PUBLIC KEY", self.spki_der)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check a signature (RFC 8032, 5.1.7); BadSignatureError when it does not hold."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature as exc:
            raise BadSignatureError("the signature does not fit the key") from exc

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifyingKey) and self.spki_der == other.spki_der

    def __hash__(self) -> int:
        return hash(self.spki_der)

    def __repr__(self) -> str:
        return f"VerifyingKey({self.fingerprint_hex[:16]})"


class SigningKey:
    """A private key made of a seed of 32 random bytes; prints as ``<secret>``."""

    __slots__ = ("_key", "public")

    public: VerifyingKey
    """The public half."""

    def __init__(self, seed: SecretBytes) -> None:
        if len(seed.reveal()) != _SEED_BYTES:
            raise MalformedError("the seed of an Ed25519 key has 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed.reveal())
        self.public = VerifyingKey(_SPKI_HEAD + self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, 64 bytes."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return "<secret>"
