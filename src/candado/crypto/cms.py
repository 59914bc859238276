"""Detached CMS signatures of folder metadata: written in one form, verified by pinned public keys.

    ContentInfo { signedData, [0] { 1, { digest }, { id-data }, [0] { certificate }, { SignerInfo } } }
    SignerInfo  { 1, issuer and serial, digest, [0] signed attributes, rsaEncryption, signature }

Layer: ``crypto``. A certificate inside the blob proves nothing: anybody can make one with the issuer and the serial
number of a member. The verifier looks at the candidates' keys only and says whose key it was.

Source: RFC 5652, 5; protocol document, sections 14 and 15; threat model, A20 to A24.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from candado.crypto import der
from candado.crypto.rsa import RSA_ENCRYPTION, HashName, PrivateKey, PublicKey
from candado.crypto.x509 import SIGNATURE_HASHES
from candado.errors import BadSignatureError, LimitExceededError, MalformedError
from candado.types import UserId

__all__ = ["SIGNATURE_BYTES_MAX", "sign_detached", "verify_detached"]

SIGNATURE_BYTES_MAX: Final = 256 * 1024

_SIGNED_DATA: Final = der.oid("1.2.840.113549.1.7.2")
_DATA: Final = der.oid("1.2.840.113549.1.7.1")
_CONTENT_TYPE: Final = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = der.oid("1.2.840.113549.1.9.4")
_SIGNING_TIME: Final = der.oid("1.2.840.113549.1.9.5")
_SHA256: Final = der.oid("2.16.840.1.101.3.4.2.1")
_DIGESTS: Final[dict[bytes, HashName]] = {
    _SHA256: "sha256",
    der.oid("2.16.840.1.101.3.4.2.2"): "sha384",
    der.oid("2.16.840.1.101.3.4.2.3"): "sha512",
}
_NULL: Final = der.tlv(der.NULL)
_CONTEXT_0: Final = 0xA0


def sign_detached(content: bytes, *, key: PrivateKey, certificate_der: bytes, signing_time: float) -> bytes:
    """Return a detached CMS SignedData over ``content``: DER, about 1.3 kB, the certificate embedded.

    Args:
        content: what is signed; it is not part of the result.
        key: the signer's key.
        certificate_der: the certificate of that key; gives issuer and serial number.
        signing_time: seconds since 1970.

    Raises:
        MalformedError: ``certificate_der`` is not a certificate.
    """
    tbs, _, _ = der.children(der.read_der(certificate_der), der.SEQUENCE, 3, 3)
    _, serial, _, issuer, *_ = der.children(tbs, der.SEQUENCE, 7, 10)
    attributes = sorted(
        (
            _attribute(_CONTENT_TYPE, _DATA),
            _attribute(_SIGNING_TIME, der.time(signing_time)),
            _attribute(_MESSAGE_DIGEST, der.tlv(der.OCTET_STRING, hashlib.sha256(content).digest())),
        )
    )
    digest = der.sequence(_SHA256)
    signer = der.sequence(
        der.integer(1),
        der.sequence(issuer.raw, serial.raw),
        digest,
        der.tlv(_CONTEXT_0, *attributes),
        der.sequence(RSA_ENCRYPTION, _NULL),
        der.tlv(der.OCTET_STRING, key.sign_pkcs1_sha256(der.tlv(der.SET, *attributes))),
    )
    signed = der.sequence(
        der.integer(1),
        der.tlv(der.SET, digest),
        der.sequence(_DATA),
        der.tlv(_CONTEXT_0, certificate_der),
        der.tlv(der.SET, signer),
    )
    return der.sequence(_SIGNED_DATA, der.tlv(_CONTEXT_0, signed))


def verify_detached(signature_der: bytes, content: bytes, candidates: Mapping[UserId, Sequence[PublicKey]]) -> UserId:
    """Return the candidate whose key signed ``content``, or raise.

    Shapes:
        signature_der: DER, or BER with indefinite lengths (phone clients); at most 256 KiB.
        candidates: keys by person, from pinned state, never from the blob.

    Accepted: exactly one SignerInfo of version 0 or 1 named by issuer and serial number, content absent, signed
    attributes with content type ``id-data`` and the digest of ``content``, each attribute once with one value, SHA-256,
    SHA-384 or SHA-512, RSASSA-PKCS1-v1_5. The attributes are hashed in the order received: the web client does not
    sort them. Embedded certificates, issuer, serial number and signing time are not looked at.

    Raises:
        MalformedError: any other form, too large, trailing bytes.
        BadSignatureError: the digest is of other content, or no candidate's key fits.
    """
    if len(signature_der) > SIGNATURE_BYTES_MAX:
        raise MalformedError("a signature is larger than 256 KiB")
    try:
        info = der.read_der(signature_der, indefinite=True)
    except LimitExceededError as exc:
        raise MalformedError("a signature has too many elements") from exc
    hash_name, attributes, signature = _signer(_only_signer(info))
    _check_attributes(attributes, hashlib.new(hash_name, content).digest())
    signed = der.tlv(der.SET, *(der.encode(attribute) for attribute in attributes))
    for user_id, keys in candidates.items():
        for key in keys:
            try:
                key.verify_pkcs1(signature, signed, hash_name=hash_name)
            except BadSignatureError:
                continue
            return user_id
    raise BadSignatureError


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.sequence(kind, der.tlv(der.SET, value))


def _only_signer(info: der.Node) -> der.Node:
    """The one SignerInfo of a detached SignedData; also checks that its digest was announced."""
    kind, wrapper = der.children(info, der.SEQUENCE, 2, 2)
    if kind.raw != _SIGNED_DATA:
        raise MalformedError("not a CMS SignedData")
    (signed,) = der.children(wrapper, _CONTEXT_0, 1, 1)
    version, digests, content, *certificates, signers = der.children(signed, der.SEQUENCE, 4, 5)
    if der.read_integer(version) != 1 or any(node.tag != _CONTEXT_0 for node in certificates):
        raise MalformedError("a SignedData has another version or more parts than allowed")
    (content_type,) = der.children(content, der.SEQUENCE, 1, 1)
    if content_type.raw != _DATA:
        raise MalformedError("a SignedData has another content type than id-data")
    (announced,) = der.children(digests, der.SET, 1, 1)
    (signer,) = der.children(signers, der.SET, 1, 1)
    if len(signer.children) < 3 or _digest(announced) != _digest(signer.children[2]):
        raise MalformedError("a SignedData announces another digest than it uses")
    return signer


def _signer(signer: der.Node) -> tuple[HashName, tuple[der.Node, ...], bytes]:
    """Hash, signed attributes in the order received, and signature of a SignerInfo."""
    version, identifier, digest, attributes, algorithm, signature = der.children(signer, der.SEQUENCE, 6, 6)
    if der.read_integer(version) not in (0, 1):
        raise MalformedError("a SignerInfo has an unknown version")
    der.children(identifier, der.SEQUENCE, 2, 2)
    hash_name = _digest(digest)
    kind, *parameters = der.children(algorithm, der.SEQUENCE, 1, 2)
    if kind.raw != RSA_ENCRYPTION and SIGNATURE_HASHES.get(kind.raw) != hash_name:
        raise MalformedError("a SignerInfo uses another signature algorithm than RSA with its digest")
    if any(parameter.raw != _NULL for parameter in parameters) or signature.tag != der.OCTET_STRING:
        raise MalformedError("a SignerInfo has another shape than expected")
    return hash_name, der.children(attributes, _CONTEXT_0, 2, 32), signature.content


def _digest(algorithm: der.Node) -> HashName:
    kind, *parameters = der.children(algorithm, der.SEQUENCE, 1, 2)
    hash_name = _DIGESTS.get(kind.raw)
    if hash_name is None or any(parameter.raw != _NULL for parameter in parameters):
        raise MalformedError("a digest is not SHA-256, SHA-384 or SHA-512")
    return hash_name


def _check_attributes(attributes: tuple[der.Node, ...], expected: bytes) -> None:
    """Content type and message digest present once with the one right value; no attribute twice."""
    values: dict[bytes, der.Node] = {}
    for attribute in attributes:
        kind, holder = der.children(attribute, der.SEQUENCE, 2, 2)
        (value,) = der.children(holder, der.SET, 1, 1)
        if kind.tag != der.OID or kind.raw in values:
            raise MalformedError("a signed attribute occurs twice or has no type")
        values[kind.raw] = value
    content_type, digest = values.get(_CONTENT_TYPE), values.get(_MESSAGE_DIGEST)
    if content_type is None or content_type.raw != _DATA:
        raise MalformedError("the signed content type is not id-data")
    if digest is None or digest.tag != der.OCTET_STRING:
        raise MalformedError("the signed attributes have no message digest")
    if not hmac.compare_digest(digest.content, expected):
        raise BadSignatureError("the signature belongs to other content")
