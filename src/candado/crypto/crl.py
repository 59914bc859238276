"""The authority's list of revoked keys: an X.509 CRL of version 2.

Layer: ``crypto``. Serial numbers say nothing in this ecosystem (stock servers give every certificate the number 0, and
issuer equals subject), so each entry carries the SHA-256 of the revoked public key in an extension of ours, and that
is what counts: a key that was revoked is revoked in every certificate that it was ever put into.

    extension 2.25.155650595618434633614144657747697301754, not critical: OCTET STRING, SHA-256 of SubjectPublicKeyInfo

Source: RFC 5280, 5; threat model, A111.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from candado.crypto import der
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import (
    AUTHORITY_KEY_ID,
    SHA256_WITH_RSA,
    common_name_only,
    extension,
    key_identifier,
)
from candado.encoding import pem_decode, pem_encode
from candado.errors import (
    BadSignatureError,
    MalformedError,
    MisuseError,
    UntrustedCertificateError,
)

__all__ = [
    "REASONS",
    "RevocationList",
    "RevokedKey",
    "assemble_revocation_list",
    "check_revocation_list",
    "parse_revocation_list",
    "revocation_list_to_sign",
]

PEM_CHARS_MAX: Final = 4 * 1024 * 1024
NUMBER_MAX: Final = 2**63 - 1
REASONS: Final[dict[str, int]] = {"key-compromise": 1, "left": 5, "superseded": 4}
"""Why a key was revoked, and the code of RFC 5280, 5.3.1."""

_LABEL: Final = "X509 CRL"
_ISSUER: Final = common_name_only("candado authority")
_ENUMERATED: Final = 0x0A
_EXTENSIONS: Final = 0xA0
_ELEMENTS_MAX: Final = 262_144
_FINGERPRINT_BYTES: Final = 32
_CRL_NUMBER: Final = der.oid("2.5.29.20")
_REASON_CODE: Final = der.oid("2.5.29.21")
_REVOKED_KEY: Final = der.oid("2.25.155650595618434633614144657747697301754")


@dataclass(frozen=True, slots=True)
class RevokedKey:
    """One entry. ``revoked_at`` in seconds since 1970; ``reason`` is a value of ``REASONS``."""

    serial: int
    revoked_at: float
    key_fingerprint_hex: str
    """SHA-256 of the SubjectPublicKeyInfo."""
    reason: int


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list that was read; nothing about its signature is known before ``check_revocation_list``. Times as above."""

    number: int
    this_update: float
    next_update: float
    entries: tuple[RevokedKey, ...]
    signed_part: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def revocation_list_to_sign(
    entries: Sequence[RevokedKey], authority: PublicKey, *, number: int, this_update: float, next_update: float
) -> bytes:
    """Return the TBSCertList (DER) that the authority signs with RSA and SHA-256.

    Args:
        entries: what is revoked; serial numbers not negative.
        authority: the key that will sign.
        number: positive, greater than that of every list before.
        this_update: seconds since 1970.
        next_update: seconds since 1970, after ``this_update``: when there will be another list at the latest.
    """
    if not 0 < number <= NUMBER_MAX or this_update >= next_update:
        raise MisuseError("a list of revoked keys has a positive number and ends after it begins")
    revoked = [
        der.sequence(
            der.integer(entry.serial),
            der.time(entry.revoked_at),
            der.sequence(
                extension(_REASON_CODE, der.tlv(_ENUMERATED, bytes((entry.reason,)))),
                extension(_REVOKED_KEY, der.tlv(der.OCTET_STRING, bytes.fromhex(entry.key_fingerprint_hex))),
            ),
        )
        for entry in entries
    ]
    key_id = der.sequence(der.tlv(0x80, key_identifier(authority.spki_der)))
    return der.sequence(
        der.integer(1),
        SHA256_WITH_RSA,
        _ISSUER,
        der.time(this_update),
        der.time(next_update),
        der.sequence(*revoked) if revoked else b"",
        der.tlv(
            _EXTENSIONS,
            der.sequence(extension(AUTHORITY_KEY_ID, key_id), extension(_CRL_NUMBER, der.integer(number))),
        ),
    )


def assemble_revocation_list(tbs: bytes, signature: bytes) -> str:
    """Return the PEM text of a signed list."""
    return pem_encode(_LABEL, der.sequence(tbs, SHA256_WITH_RSA, der.bit_string(signature)))


def parse_revocation_list(pem: str) -> RevocationList:
    """Return the list in ``pem``.

    Raises:
        LimitExceededError: more than 4 MiB, or some 20,000 entries.
        MalformedError: not a list of version 2 signed with RSA and SHA-256, without number or end, an entry without the
            fingerprint of its key, a critical extension, an extension twice.
    """
    whole = der.read_der(pem_decode(pem, _LABEL, chars_max=PEM_CHARS_MAX), elements_max=_ELEMENTS_MAX)
    tbs, algorithm, bits = der.children(whole, der.SEQUENCE, 3, 3)
    version, inner, issuer, begin, end, *rest = der.children(tbs, der.SEQUENCE, 6, 7)
    if version.raw != der.integer(1) or {inner.raw, algorithm.raw} != {SHA256_WITH_RSA} or issuer.raw != _ISSUER:
        raise MalformedError("a list of revoked keys has another version, algorithm or issuer")
    (known,) = der.children(rest[-1], _EXTENSIONS, 1, 1)
    number = der.read_integer(der.read_der(_needed(_read_extensions(known), _CRL_NUMBER)))
    this_update, next_update = der.read_time(begin), der.read_time(end)
    if not 0 < number <= NUMBER_MAX or this_update >= next_update:
        raise MalformedError("a list of revoked keys has no positive number, or ends before it begins")
    entries = der.children(rest[0], der.SEQUENCE, 1, _ELEMENTS_MAX) if len(rest) == 2 else ()
    return RevocationList(
        number=number,
        this_update=this_update,
        next_update=next_update,
        entries=tuple(_read_entry(entry) for entry in entries),
        signed_part=tbs.raw,
        signature=der.read_bits(bits),
    )


def check_revocation_list(revoked: RevocationList, authority: PublicKey) -> None:
    """Return when ``authority`` signed the list; UntrustedCertificateError."""
    try:
        authority.verify_pkcs1_sha256(revoked.signature, revoked.signed_part)
    except BadSignatureError as exc:
        raise UntrustedCertificateError("the list of revoked keys is not signed by the server's key") from exc


def _read_entry(entry: der.Node) -> RevokedKey:
    serial, moment, known = der.children(entry, der.SEQUENCE, 3, 3)
    found = _read_extensions(known)
    fingerprint = der.read_der(_needed(found, _REVOKED_KEY))
    reason = der.read_der(_needed(found, _REASON_CODE))
    if fingerprint.tag != der.OCTET_STRING or len(fingerprint.content) != _FINGERPRINT_BYTES:
        raise MalformedError("a revoked key is named by the 32 bytes of its SHA-256")
    if reason.tag != _ENUMERATED or len(reason.content) != 1:
        raise MalformedError("the reason of a revocation is one small number")
    return RevokedKey(der.read_integer(serial), der.read_time(moment), fingerprint.content.hex(), reason.content[0])


def _read_extensions(node: der.Node) -> dict[bytes, bytes]:
    """Contents by encoded object identifier. A critical one has a third element, and none of ours is critical."""
    found: dict[bytes, bytes] = {}
    for one in der.children(node, der.SEQUENCE, 1, 16):
        kind, value = der.children(one, der.SEQUENCE, 2, 2)
        if value.tag != der.OCTET_STRING or kind.raw in found:
            raise MalformedError("a list of revoked keys has an extension twice, or in another form")
        found[kind.raw] = value.content
    return found


def _needed(found: dict[bytes, bytes], kind: bytes) -> bytes:
    if kind not in found:
        raise MalformedError("a list of revoked keys lacks an extension that it must have")
    return found[kind]
