"""RSA keys: parsing with sanity checks, PKCS#1 v1.5 signatures, OAEP.

Layer: ``crypto``. Accepted keys: RSA of 2048 to 8192 bits with exponent 65537 and an odd modulus that does not
carry the mark of a known bad generator. Exponent 3 and every other kind of key are refused. Key material is encoded in
one way only, so that equal keys have equal fingerprints.
"""

import hashlib
import math
from typing import Final, Literal, Self, get_args

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_der_public_key,
)

from candado.crypto import der
from candado.encoding import pem_decode, pem_encode
from candado.errors import (
    BadSignatureError,
    LimitExceededError,
    MalformedError,
    OpenFailedError,
    UntrustedCertificateError,
)

__all__ = ["HashName", "PrivateKey", "PublicKey"]

HashName = Literal["sha1", "sha256", "sha384", "sha512"]
"""Hash of a signature; SHA-1 occurs only in certificates of old accounts."""

BITS_MIN: Final = 2048
BITS_MAX: Final = 8192
BITS_NEW: Final = 2048
EXPONENT: Final = 65537
KEY_DER_BYTES_MAX: Final = 16 * 1024

RSA_ENCRYPTION: Final = der.oid("1.2.840.113549.1.1.1")
_SPKI_ALGORITHM: Final = der.sequence(RSA_ENCRYPTION, der.tlv(der.NULL))
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # noqa: S303 -- certificates of old accounts carry it; callers warn
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
assert set(_HASHES) == set(get_args(HashName))
_OAEP: Final = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def _powers(prime: int) -> frozenset[int]:
    """The subgroup of the integers modulo ``prime`` that 65537 generates."""
    found, value = {1}, EXPONENT % prime
    while value not in found:
        found.add(value)
        value = value * EXPONENT % prime
    return frozenset(found)


# CVE-2017-15361: moduli of one smart-card generator are powers of 65537 modulo every small prime.
_MARK: Final = tuple(
    (prime, _powers(prime)) for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
)


class PublicKey:
    """An RSA public key that passed the checks; equal when the encoded key is equal."""

    __slots__ = ("_key", "bits", "fingerprint_hex", "spki_der")

    spki_der: bytes
    """SubjectPublicKeyInfo, DER."""
    fingerprint_hex: str
    """SHA-256 of ``spki_der``, 64 lower-case hex digits."""
    bits: int
    """Size of the modulus."""

    def __init__(self, spki_der: bytes) -> None:
        self.bits = _check_spki(spki_der)
        try:
            key = load_der_public_key(spki_der)
        except (ValueError, UnsupportedAlgorithm) as exc:
            raise MalformedError("the public key cannot be loaded") from exc
        assert isinstance(key, rsa.RSAPublicKey)
        self._key = key
        self.spki_der = bytes(spki_der)
        self.fingerprint_hex = hashlib.sha256(spki_der).hexdigest()

    @classmethod
    def from_spki_der(cls, data: bytes) -> Self:
        """Return the key in a SubjectPublicKeyInfo.

        Raises:
            MalformedError: not such a structure, or not in its one DER spelling.
            LimitExceededError: larger than 16 KiB; nothing was parsed.
            UntrustedCertificateError: not RSA, outside 2048 to 8192 bits, another exponent than 65537, a bad modulus.

        Source: RFC 5280, 4.1.2.7; RFC 8017, A.1.1; threat model, A07.
        """
        return cls(data)

    @classmethod
    def from_pem(cls, pem: str) -> Self:
        """Return the key in a PEM block ``PUBLIC KEY``; errors as ``from_spki_der``."""
        return cls(pem_decode(pem, "PUBLIC KEY"))

    @classmethod
    def from_numbers(cls, modulus: int, exponent: int) -> Self:
        """Return the key of a modulus and a public exponent, both >= 0; errors as ``from_spki_der``."""
        return cls(_encode_spki(modulus, exponent))

    def to_pem(self) -> str:
        """PEM block ``PUBLIC KEY``, 64 columns, final newline."""
        return pem_encode("PUBLIC KEY", self.spki_der)

    def verify_pkcs1_sha256(self, signature: bytes, message: bytes) -> None:
        """Check an RSASSA-PKCS1-v1_5 signature with SHA-256; BadSignatureError when it does not hold."""
        self.verify_pkcs1(signature, message, hash_name="sha256")

    def verify_pkcs1(self, signature: bytes, message: bytes, *, hash_name: HashName) -> None:
        """Check an RSASSA-PKCS1-v1_5 signature (RFC 8017, 8.2.2); BadSignatureError when it does not hold."""
        try:
            self._key.verify(signature, message, padding.PKCS1v15(), _HASHES[hash_name])
        except InvalidSignature as exc:
            raise BadSignatureError("the signature does not fit the key") from exc

    def for_library(self) -> rsa.RSAPublicKey:
        """The key as the cryptographic library has it, for an adapter that stands in for one of its keys."""
        return self._key

    def encrypt_oaep(self, plaintext: bytes) -> bytes:
        """Return RSA-OAEP with SHA-256 and MGF1-SHA-256, empty label; as many bytes as the modulus has."""
        return self._key.encrypt(plaintext, _OAEP)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.spki_der == other.spki_der

    def __hash__(self) -> int:
        return hash(self.spki_der)

    def __repr__(self) -> str:
        return f"PublicKey({self.fingerprint_hex[:16]})"


class PrivateKey:
    """An RSA private key; prints as ``<secret>``."""

    __slots__ = ("_key", "public")

    public: PublicKey
    """The public half."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        numbers = key.public_key().public_numbers()
        self.public = PublicKey(_encode_spki(numbers.n, numbers.e))
        self._key = key

    @classmethod
    def generate(cls) -> Self:
        """Return a fresh key: 2048 bits, exponent 65537, from the cryptographic library's generator."""
        return cls(rsa.generate_private_key(EXPONENT, BITS_NEW))

    @classmethod
    def from_pkcs8_der(cls, data: bytes, *, check: bool) -> Self:
        """Return the key in a PKCS#8 PrivateKeyInfo.

        Args:
            data: the encoded key.
            check: verify primes, exponents and coefficient (50 ms). Leave it out only for a key that this program
                sealed itself; a private operation on an inconsistent key can give the key away (threat model, A11).

        Raises:
            LimitExceededError: larger than 16 KiB; nothing was parsed.
            MalformedError: not a consistent RSA private key; the message is the same for every reason.
            UntrustedCertificateError: outside 2048 to 8192 bits or another exponent than 65537.
        """
        if len(data) > KEY_DER_BYTES_MAX:
            raise LimitExceededError(f"a private key is larger than {KEY_DER_BYTES_MAX} bytes")
        try:
            key = load_der_private_key(data, None, unsafe_skip_rsa_key_validation=not check)
        except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
            raise MalformedError("the private key is damaged") from exc
        if not isinstance(key, rsa.RSAPrivateKey):
            raise MalformedError("the private key is not an RSA key")
        return cls(key)

    @classmethod
    def from_primes(cls, data: bytes) -> Self:
        """Return the key whose two primes ``primes`` gave; MalformedError when they are not those of a sound key."""
        half = len(data) // 2
        p, q = int.from_bytes(data[:half], "big"), int.from_bytes(data[half:], "big")
        try:
            d = pow(EXPONENT, -1, math.lcm(p - 1, q - 1))
            numbers = rsa.RSAPrivateNumbers(
                p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(EXPONENT, p * q)
            )
            return cls(numbers.private_key())
        except (ValueError, ZeroDivisionError) as exc:
            raise MalformedError("the private key is damaged") from exc

    def primes(self) -> bytes:
        """The two primes, each half as long as the modulus: the shortest form of a private key, for paper."""
        numbers, size = self._key.private_numbers(), self.public.bits // 16
        return numbers.p.to_bytes(size, "big") + numbers.q.to_bytes(size, "big")

    def to_pkcs8_der(self) -> bytes:
        """PKCS#8 PrivateKeyInfo, DER, not encrypted: seal it before it leaves memory."""
        return self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def sign_pkcs1_sha256(self, message: bytes) -> bytes:
        """Return an RSASSA-PKCS1-v1_5 signature with SHA-256; deterministic."""
        return self._key.sign(message, padding.PKCS1v15(), _HASHES["sha256"])

    def decrypt_oaep(self, ciphertext: bytes) -> bytes:
        """Return the plaintext of ``PublicKey.encrypt_oaep``; OpenFailedError, always with the same message."""
        try:
            return self._key.decrypt(ciphertext, _OAEP)
        except ValueError as exc:
            raise OpenFailedError("a wrapped key does not open with this private key") from exc

    def __repr__(self) -> str:
        return "<secret>"


def _encode_spki(modulus: int, exponent: int) -> bytes:
    key = der.sequence(der.integer(modulus), der.integer(exponent))
    return der.sequence(_SPKI_ALGORITHM, der.bit_string(key))


def _check_spki(data: bytes) -> int:
    """Return the size of the modulus in bits, or raise as ``PublicKey.from_spki_der``."""
    if len(data) > KEY_DER_BYTES_MAX:
        raise LimitExceededError(f"a public key is larger than {KEY_DER_BYTES_MAX} bytes")
    algorithm, bits = der.children(der.read_der(data), der.SEQUENCE, 2, 2)
    if algorithm.raw != _SPKI_ALGORITHM:
        raise UntrustedCertificateError("only RSA keys are accepted")
    numbers = der.children(der.read_der(der.read_bits(bits)), der.SEQUENCE, 2, 2)
    modulus, exponent = (der.read_integer(number) for number in numbers)
    if modulus <= 0 or not BITS_MIN <= modulus.bit_length() <= BITS_MAX:
        raise UntrustedCertificateError(f"an RSA key must have {BITS_MIN} to {BITS_MAX} bits")
    if exponent != EXPONENT:
        raise UntrustedCertificateError(f"an RSA key must have the exponent {EXPONENT}")
    if modulus % 2 == 0 or all(modulus % prime in powers for prime, powers in _MARK):
        raise UntrustedCertificateError("the RSA key was made by a faulty generator")
    return modulus.bit_length()
