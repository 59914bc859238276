"""Certificate requests and certificates as this protocol knows them.

A stock certificate is signed by the server's key, yet its issuer equals its subject and its serial number is 0. Nothing
but the signature of the pinned authority, the one common name and the key counts; names are never chained.

Layer: ``crypto``; reads with ``candado.crypto.der`` because the cryptographic library refuses serial number 0.
Source: protocol document, sections 4 and 5; RFC 2986; RFC 5280; threat model, A05 to A08.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from candado.crypto import der
from candado.crypto.mnemonic import words_of
from candado.crypto.rsa import HashName, PrivateKey, PublicKey
from candado.encoding import pem_decode, pem_encode
from candado.errors import BadSignatureError, MalformedError, MisuseError, UntrustedCertificateError
from candado.types import UserId

__all__ = [
    "AUTHORITY_KEY_ID",
    "SHA256_WITH_RSA",
    "SIGNATURE_HASHES",
    "Certificate",
    "Csr",
    "assemble_certificate",
    "certificate_to_sign",
    "check_certificate",
    "common_name_only",
    "extension",
    "fingerprint_grouped",
    "fingerprint_words",
    "key_identifier",
    "make_csr",
    "parse_certificate",
    "parse_csr",
    "renewal_of",
]

_CERTIFICATE: Final = "CERTIFICATE"
_REQUEST: Final = "CERTIFICATE REQUEST"
_COMMON_NAME: Final = der.oid("2.5.4.3")
_NULL: Final = der.tlv(der.NULL)
_TRUE: Final = b"\x01\x01\xff"
SHA256_WITH_RSA: Final = der.sequence(der.oid("1.2.840.113549.1.1.11"), _NULL)

SIGNATURE_HASHES: Final[dict[bytes, HashName]] = {
    der.oid("1.2.840.113549.1.1.5"): "sha1",
    der.oid("1.2.840.113549.1.1.11"): "sha256",
    der.oid("1.2.840.113549.1.1.12"): "sha384",
    der.oid("1.2.840.113549.1.1.13"): "sha512",
}
"""Encoded OID of ``shaXXXWithRSAEncryption`` to the hash."""

_BASIC_CONSTRAINTS: Final = der.oid("2.5.29.19")
_SUBJECT_KEY_ID: Final = der.oid("2.5.29.14")
AUTHORITY_KEY_ID: Final = der.oid("2.5.29.35")
_UNDERSTOOD: Final = frozenset(
    (
        _BASIC_CONSTRAINTS,
        _SUBJECT_KEY_ID,
        AUTHORITY_KEY_ID,
        der.oid("2.5.29.15"),  # key usage
        der.oid("2.5.29.17"),  # subject alternative name
        der.oid("2.5.29.37"),  # extended key usage
    )
)
_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")
_SERIAL_BYTES_MAX: Final = 21
_SKEW_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Csr:
    """A certificate request whose own signature holds: the sender has the private key."""

    common_name: str
    public_key: PublicKey
    spki_der: bytes
    subject_der: bytes
    """The subject as it came; only the common name goes into the certificate."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was read; nothing about its signature is known before ``check_certificate``.

    Times are seconds since 1970. ``pem`` is the text as it came: documents carry it byte for byte.
    """

    pem: str
    der: bytes
    common_name: str
    public_key: PublicKey
    serial: int
    not_before: float
    not_after: float
    signature_hash: HashName
    fingerprint_hex: str
    """SHA-256 of ``der``."""
    signed_part: bytes = field(repr=False)
    """TBSCertificate, DER."""
    signature: bytes = field(repr=False)


def make_csr(key: PrivateKey, common_name: str) -> str:
    """Return a PEM certificate request with nothing but the common name, signed with SHA-256."""
    info = der.sequence(
        der.integer(0), common_name_only(common_name), key.public.spki_der, der.tlv(0xA0)
    )  # version, subject, key, no attributes
    signed = der.sequence(info, SHA256_WITH_RSA, der.bit_string(key.sign_pkcs1_sha256(info)))
    return pem_encode(_REQUEST, signed)


def parse_csr(pem: str) -> Csr:
    """Return the request in ``pem``; any line width, any further names in the subject, any attributes.

    Raises:
        MalformedError, LimitExceededError: not a request in DER, too large, or not exactly one common name.
        UntrustedCertificateError: the key is not acceptable, see ``PublicKey``.
        BadSignatureError: the request is not signed by its own key.

    Source: RFC 2986, 4; protocol document, section 4.
    """
    info, algorithm, bits = der.children(der.read_der(pem_decode(pem, _REQUEST)), der.SEQUENCE, 3, 3)
    _, subject, spki, _ = der.children(info, der.SEQUENCE, 4, 4)
    common_name = _common_name(subject)
    public_key = PublicKey.from_spki_der(spki.raw)
    public_key.verify_pkcs1(der.read_bits(bits), info.raw, hash_name=_signature_hash(algorithm))
    return Csr(common_name, public_key, spki.raw, subject.raw)


def parse_certificate(pem: str) -> Certificate:
    """Return the certificate in ``pem``: X.509 v3, RSA, exactly one common name; serial number 0 is fine.

    Raises:
        MalformedError, LimitExceededError: not a certificate in DER, too large, trailing bytes, a name type or time
            that is not allowed, none or several common names.
        UntrustedCertificateError: the key is not acceptable, the signature algorithm is not RSA with SHA-1 or SHA-2, a
            critical extension is not understood, or the period of validity is empty.
    """
    data = pem_decode(pem, _CERTIFICATE)
    tbs, algorithm, bits = der.children(der.read_der(data), der.SEQUENCE, 3, 3)
    version, serial, inner_algorithm, _, validity, subject, spki, *rest = der.children(tbs, der.SEQUENCE, 7, 10)
    if version.raw != der.tlv(0xA0, der.integer(2)):
        raise MalformedError("only certificates of version 3 are known")
    if inner_algorithm.raw != algorithm.raw or len(serial.content) > _SERIAL_BYTES_MAX:
        raise MalformedError("the certificate contradicts itself or its serial number is too long")
    begin, end = (der.read_time(moment) for moment in der.children(validity, der.SEQUENCE, 2, 2))
    if begin >= end:
        raise UntrustedCertificateError("the certificate ends before it begins")
    _check_extensions(rest)
    return Certificate(
        pem=pem,
        der=data,
        common_name=_common_name(subject),
        public_key=PublicKey.from_spki_der(spki.raw),
        serial=der.read_integer(serial),
        not_before=begin,
        not_after=end,
        signature_hash=_signature_hash(algorithm),
        fingerprint_hex=hashlib.sha256(data).hexdigest(),
        signed_part=tbs.raw,
        signature=der.read_bits(bits),
    )


def check_certificate(certificate: Certificate, *, user_id: UserId, authority: PublicKey, now: float) -> list[str]:
    """Check that ``authority`` vouches for ``user_id`` with this certificate; return warnings.

    Warnings: ``certificate.sha1`` (account made by an old server), ``certificate.expired``,
    ``certificate.not-yet-valid`` (more than a day ahead of ``now``); clocks are wrong too often to refuse.

    Raises:
        UntrustedCertificateError: the common name is not exactly ``user_id``, or the signature is not the authority's.

    Source: protocol document, sections 5 and 15.3; threat model, A05 and A06.
    """
    if certificate.common_name != user_id:
        raise UntrustedCertificateError("the certificate was issued for somebody else")
    try:
        authority.verify_pkcs1(certificate.signature, certificate.signed_part, hash_name=certificate.signature_hash)
    except BadSignatureError as exc:
        raise UntrustedCertificateError("the certificate is not signed by the server's key") from exc
    warnings = ["certificate.sha1"] if certificate.signature_hash == "sha1" else []
    if now > certificate.not_after:
        warnings.append("certificate.expired")
    if now + _SKEW_SECONDS < certificate.not_before:
        warnings.append("certificate.not-yet-valid")
    return warnings


def renewal_of(certificate: Certificate) -> Csr:
    """Return the request for another certificate of the same name and key; its holder has shown the key before."""
    name = certificate.common_name
    return Csr(name, certificate.public_key, certificate.public_key.spki_der, common_name_only(name))


def certificate_to_sign(csr: Csr, *, serial: int, not_before: float, not_after: float) -> bytes:
    """Return the TBSCertificate (DER) that the authority signs with RSA and SHA-256.

    Issuer and subject are the common name of the request; the key identifiers are those of the person's key; it is a
    CA certificate: stock clients need all three.

    Args:
        csr: the checked request.
        serial: positive, at most 159 bits, random.
        not_before: seconds since 1970, not in the future.
        not_after: seconds since 1970.
    """
    if not 0 < serial < 1 << 159 or not_before >= not_after:
        raise MisuseError("a serial number is positive and has at most 159 bits; a certificate ends after it begins")
    name = common_name_only(csr.common_name)
    key_id = key_identifier(csr.spki_der)
    extensions = der.sequence(
        extension(_SUBJECT_KEY_ID, der.tlv(der.OCTET_STRING, key_id)),
        extension(AUTHORITY_KEY_ID, der.sequence(der.tlv(0x80, key_id))),
        extension(_BASIC_CONSTRAINTS, der.sequence(_TRUE), critical=True),
    )
    return der.sequence(
        der.tlv(0xA0, der.integer(2)),
        der.integer(serial),
        SHA256_WITH_RSA,
        name,
        der.sequence(der.time(not_before), der.time(not_after)),
        name,
        csr.spki_der,
        der.tlv(0xA3, extensions),
    )


def assemble_certificate(tbs: bytes, signature: bytes) -> str:
    """Return the PEM certificate of a signed TBSCertificate: 64 columns, final newline."""
    return pem_encode(_CERTIFICATE, der.sequence(tbs, SHA256_WITH_RSA, der.bit_string(signature)))


def fingerprint_words(fingerprint_hex: str) -> str:
    """Return a fingerprint for people to compare: its first 132 bits as twelve words joined by dashes.

    Word n stands for bits 11n to 11n + 10 of the SHA-256 value, most significant first, by the English list of BIP-39.
    """
    return "-".join(words_of(bytes.fromhex(_checked_fingerprint(fingerprint_hex))))


def fingerprint_grouped(fingerprint_hex: str) -> str:
    """Return all 64 hex digits of a fingerprint in sixteen groups of four joined by blanks."""
    digits = _checked_fingerprint(fingerprint_hex)
    return " ".join(digits[at : at + 4] for at in range(0, 64, 4))


def _checked_fingerprint(fingerprint_hex: str) -> str:
    if not _FINGERPRINT.match(fingerprint_hex):
        raise MalformedError("a fingerprint has 64 lower-case hex digits")
    return fingerprint_hex


def key_identifier(spki_der: bytes) -> bytes:
    """Return the 20 bytes by which extensions name a public key (RFC 5280, 4.2.1.2, method 1)."""
    return hashlib.sha1(der.read_bits(der.read_der(spki_der).children[1]), usedforsecurity=False).digest()


def common_name_only(common_name: str) -> bytes:
    """Return a name that consists of a common name, DER."""
    value = der.tlv(der.UTF8_STRING, common_name.encode("utf-8"))
    return der.sequence(der.tlv(der.SET, der.sequence(_COMMON_NAME, value)))


def _common_name(subject: der.Node) -> str:
    """The one common name; other attributes are ignored, but each must stand alone in its set."""
    found: list[str] = []
    for names in der.children(subject, der.SEQUENCE, 1, 32):
        (attribute,) = der.children(names, der.SET, 1, 1)
        kind, value = der.children(attribute, der.SEQUENCE, 2, 2)
        if kind.raw == _COMMON_NAME:
            found.append(der.read_text(value))
    if len(found) != 1 or not found[0] or any(ord(character) < 32 for character in found[0]):
        raise MalformedError("exactly one common name without control characters was expected")
    return found[0]


def _signature_hash(algorithm: der.Node) -> HashName:
    kind, *parameters = der.children(algorithm, der.SEQUENCE, 1, 2)
    hash_name = SIGNATURE_HASHES.get(kind.raw)
    if hash_name is None:
        raise UntrustedCertificateError("the signature algorithm is not RSA with SHA-1 or SHA-2")
    if any(parameter.raw != _NULL for parameter in parameters):
        raise MalformedError("an RSA signature algorithm has no parameters")
    return hash_name


def extension(kind: bytes, value: bytes, *, critical: bool = False) -> bytes:
    """Return an extension, DER; ``kind`` is an encoded object identifier."""
    return der.sequence(kind, _TRUE if critical else b"", der.tlv(der.OCTET_STRING, value))


def _check_extensions(rest: list[der.Node]) -> None:
    """Refuse duplicates and critical extensions that are not understood (RFC 5280, 4.2)."""
    seen: set[bytes] = set()
    for field_node in rest:
        (extensions,) = der.children(field_node, 0xA3, 1, 1)
        for extension in der.children(extensions, der.SEQUENCE, 1, 64):
            kind, *flags, _ = der.children(extension, der.SEQUENCE, 2, 3)
            if kind.raw in seen or any(flag.raw != _TRUE for flag in flags):
                raise MalformedError("a certificate has an extension twice or in a form that is not DER")
            seen.add(kind.raw)
            if flags and kind.raw not in _UNDERSTOOD:
                raise UntrustedCertificateError("the certificate has a critical extension that is not known")
