"""What a device does about the account's keys: make them, take them over, or stop.

Layer: ``protocol``; pure decisions over what the server answered. The caller performs the step, looks again and asks
again.

The dangerous answer is "there are no keys": a device that has an identity never makes a new one because of it (A13),
and a person who says that the twelve words exist is never led into making new keys.

Source: client-flows.md sections 1 and 2; threats.md A03, A09, A13.
"""

from dataclasses import dataclass
from enum import Enum, auto

from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import Certificate, check_certificate
from candado.errors import (
    CandadoError,
    ContextError,
    IncompleteKeysError,
    KeysExistError,
    NoKeysError,
)
from candado.types import UserId

__all__ = [
    "EnrolmentStep",
    "KeysOnServer",
    "Wish",
    "check_own_certificate",
    "decide",
    "wrapped_key_refused",
]


class Wish(Enum):
    """What the person asked for: new keys, joining with the twelve words, or replacing an incomplete set."""

    NEW_KEYS = auto()
    JOIN = auto()
    RESET = auto()


class EnrolmentStep(Enum):
    """What to do next.

    ``REGISTER``: make a key pair, send the CSR, check the certificate, store the wrapped key, show the words.
    ``UNWRAP``: fetch the wrapped key, open it with the words, check that it belongs to the certificate.
    ``DELETE_CERTIFICATE``: remove the certificate without a private key (needs the login password), then ask again.
    """

    REGISTER = auto()
    UNWRAP = auto()
    DELETE_CERTIFICATE = auto()


@dataclass(frozen=True, slots=True)
class KeysOnServer:
    """What the server showed: the account's certificate (PEM) and whether it has a wrapped private key."""

    certificate_pem: str | None
    has_private_key: bool


def decide(wish: Wish, found: KeysOnServer, *, own_key_fingerprint: str | None) -> EnrolmentStep:
    """Return the next step, or raise.

    Args:
        wish: what the person asked for.
        found: what the server shows now.
        own_key_fingerprint: fingerprint of the identity this device has already, or None.

    Raises:
        ContextError: ``own.keys-missing``: this device has an identity, the server says there is none.
        KeysExistError: new keys were asked for but there are some, or this device has joined already.
        IncompleteKeysError: there is a certificate without a private key; nobody can ever use it.
        NoKeysError: joining (or resetting) was asked for but the server shows no keys.
    """
    has_certificate = found.certificate_pem is not None
    if own_key_fingerprint is not None:
        if not has_certificate or not found.has_private_key:
            raise ContextError(
                "own.keys-missing",
                "This device has its keys, but the server says that the account has none; no new ones are made.",
            )
        raise KeysExistError(
            "This device has joined already.",
            advice="There is nothing to do: see `candado status`. `candado logout --wipe` makes room for another one.",
        )
    if not has_certificate and not found.has_private_key:
        if wish is Wish.NEW_KEYS:
            return EnrolmentStep.REGISTER
        raise NoKeysError("The server shows no end-to-end encryption keys for this account.")
    if not found.has_private_key:
        if wish is Wish.RESET:
            return EnrolmentStep.DELETE_CERTIFICATE
        raise IncompleteKeysError
    if not has_certificate:
        # A wrapped key alone cannot be matched with anything: never trusted, never overwritten.
        raise ContextError("own.keys-missing", "The server shows a private key but hides the certificate.")
    if wish is Wish.JOIN:
        return EnrolmentStep.UNWRAP
    raise KeysExistError


def check_own_certificate(
    certificate: Certificate, *, user_id: UserId, own_key: PublicKey, authority: PublicKey, now: float
) -> list[str]:
    """Return warnings about our own certificate, or raise; run on the answer to a CSR and on a further device.

    ``now`` in seconds since the epoch.

    Raises:
        ContextError: ``own.cert-mismatch``: the certificate is for another key (A03).
        UntrustedCertificateError: name, dates or the authority's signature are not acceptable.
    """
    if certificate.public_key != own_key:
        raise ContextError(
            "own.cert-mismatch",
            "The server shows a certificate for this account that is not for this account's key.",
            expected=own_key.fingerprint_hex,
            got=certificate.public_key.fingerprint_hex,
        )
    return check_certificate(certificate, user_id=user_id, authority=authority, now=now)


def wrapped_key_refused(error: CandadoError) -> CandadoError:
    """The error to raise when storing the wrapped key failed after a certificate was registered.

    A conflict means that another device stored its key meanwhile: join with its words. Anything else leaves a
    certificate without a private key, which only a reset removes; the cause is chained by the caller.
    """
    if isinstance(error, KeysExistError):
        return KeysExistError("Another device stored its keys meanwhile; the keys made here are thrown away.")
    return IncompleteKeysError("The private key could not be stored, so the set-up of the keys is not complete.")
