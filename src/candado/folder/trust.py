"""Steps 6 and 7 of acceptance: who the members are, and which of them signed.

Layer: ``folder``; pure. Trust comes from pins: a pinned key outranks the authority, the authority introduces people
met for the first time, and the certificates that a signature carries are never looked at.

Source: threats.md section 3, A01 to A08, A20 to A28; crypto.md 5 and 15.3.
"""

import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from candado.crypto.cms import verify_detached
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import check_certificate, parse_certificate
from candado.encoding import decode_b64
from candado.errors import (
    BadSignatureError,
    ContextError,
    KeyChangedError,
    MalformedError,
    NotAMemberError,
    SignerError,
    UntrustedCertificateError,
)
from candado.folder.escrow import check_announced, is_recovery_id
from candado.folder.model import AccountPins, FolderPin, Member, PeerPin
from candado.formats.canonjson import JsonObject, signed_bytes
from candado.formats.metadata import SealedUser
from candado.types import UserId

__all__ = ["Membership", "Notice", "check_members", "check_signature", "signers"]

Notice = tuple[str, UserId | None, str]
"""(event code, user, detail)."""


@dataclass(frozen=True, slots=True)
class Membership:
    """The checked users of a root, in the document's order."""

    members: tuple[Member, ...]
    own: SealedUser
    new_peers: Mapping[UserId, PeerPin]
    notices: tuple[Notice, ...]


def check_members(users: tuple[SealedUser, ...], pins: AccountPins, *, pin: FolderPin | None, now: float) -> Membership:
    """Return the members, or raise (step 6).

    ``pin`` is the accepted state of the root, ``now`` in seconds since the epoch.

    Raises:
        NotAMemberError: we are not among the users.
        ContextError: ``users.duplicate``, or ``own.cert-mismatch`` when our entry carries another key than ours.
        KeyChangedError: a user has another key than the pinned one.
        UntrustedCertificateError: a certificate is for somebody else, or of a stranger and not signed by the authority.
        EscrowError: ``escrow.unsigned``: a recovery key that no policy announces.
        MalformedError: a certificate cannot be read.
    """
    members = tuple(Member(user.user_id, parse_certificate(user.certificate_pem)) for user in users)
    _check_unique(members)
    own = [user for user in users if user.user_id == pins.user_id]
    if not own:
        raise NotAMemberError
    new_peers: dict[UserId, PeerPin] = {}
    notices: list[Notice] = []
    for member in members:
        if is_recovery_id(member.user_id):
            check_announced(member, pins, pin)
            notices.extend(_check_vouched(member, None, pins, now))
            if pin is None:
                notices.append(("recovery.member", member.user_id, member.key_fingerprint))
            continue
        notices.extend(_check_member(member, pins, now))
        if member.user_id != pins.user_id and member.user_id not in pins.peers:
            new_peers[member.user_id] = PeerPin(member.key_fingerprint, now, verified=False)
            notices.append(("key.first-seen", member.user_id, member.key_fingerprint))
    return Membership(members, own[0], new_peers, tuple(notices))


def _check_unique(members: tuple[Member, ...]) -> None:
    # Two ids that differ only in case or Unicode form would look the same to a person who compares them.
    ids = {unicodedata.normalize("NFKC", member.user_id).casefold() for member in members}
    keys = {member.key_fingerprint for member in members}
    if len(ids) < len(members) or len(keys) < len(members):
        raise ContextError("users.duplicate", "A user or a key occurs twice among the members.")


def _check_member(member: Member, pins: AccountPins, now: float) -> list[Notice]:
    pinned = _pinned_key(member.user_id, pins)
    if pinned is not None and pinned != member.key_fingerprint:
        if member.user_id == pins.user_id:
            raise ContextError(
                "own.cert-mismatch",
                "The folder lists this account with a key that is not this account's key.",
                expected=pinned,
                got=member.key_fingerprint,
                advice="If you lost your keys and made new ones, let the owner take you out of the folder and share it "
                "with you again, or ask for access with `candado recovery request`. Else compare with another device "
                "or member; the refused document is kept as evidence, see `candado issues`.",
            )
        raise KeyChangedError(
            f"The key of {member.user_id} is not the one seen before: "
            f"it was {pinned[:16]}..., now it is {member.key_fingerprint[:16]}..."
        )
    return _check_vouched(member, pinned, pins, now)


def _check_vouched(member: Member, pinned: str | None, pins: AccountPins, now: float) -> list[Notice]:
    if member.certificate.common_name != member.user_id:
        raise UntrustedCertificateError(f"The certificate of {member.user_id} was issued for somebody else.")
    try:
        warnings = check_certificate(member.certificate, user_id=member.user_id, authority=pins.authority, now=now)
    except UntrustedCertificateError as exc:
        former = _by_former_authority(member, pins, now)
        if former is not None:
            return former
        if pinned is None:
            raise
        # The key is the one we know, so an authority that changed does not lock us out of our folders (A04).
        return [("cert.untrusted", member.user_id, exc.message)]
    return [("cert.warning", member.user_id, warning) for warning in warnings]


def _by_former_authority(member: Member, pins: AccountPins, now: float) -> list[Notice] | None:
    """The warnings when an authority that has handed over since signed the certificate; None when none did."""
    for authority in pins.former_authorities:
        with suppress(UntrustedCertificateError):
            found = check_certificate(member.certificate, user_id=member.user_id, authority=authority, now=now)
            return [("cert.warning", member.user_id, warning) for warning in found]
    return None


def _pinned_key(user_id: UserId, pins: AccountPins) -> str | None:
    if user_id == pins.user_id:
        return pins.own_key_fingerprint
    peer = pins.peers.get(user_id)
    return None if peer is None else peer.key_fingerprint


def signers(members: tuple[Member, ...], pin: FolderPin | None, pins: AccountPins) -> tuple[Member, ...]:
    """The members whose signature counts.

    For a root with a pin those who were members before: under the same key, under one that a person compared on another
    channel since (*verified*), or, of this account, under its own; else all. A recovery key reads, no more.
    """
    members = tuple(member for member in members if not is_recovery_id(member.user_id))
    if pin is None or pin.kind != "root":
        return members
    return tuple(
        member
        for member in members
        if pin.members.get(member.user_id) == member.key_fingerprint
        or (member.user_id in pin.members and _is_verified(member, pins))
    )


def _is_verified(member: Member, pins: AccountPins) -> bool:
    if member.user_id == pins.user_id:
        return member.key_fingerprint == pins.own_key_fingerprint
    known = pins.peers.get(member.user_id)
    return known is not None and known.verified and known.key_fingerprint == member.key_fingerprint


def check_signature(
    document: JsonObject,
    signature: str | None,
    *,
    candidates: tuple[Member, ...],
    listed: tuple[Member, ...],
    pin: FolderPin | None,
) -> UserId:
    """Return the member who signed the document, or raise (step 7).

    Args:
        document: the parsed outer document; the very object that is used afterwards.
        signature: value of the signature header: base64 of a detached CMS.
        candidates: whose signature counts.
        listed: all members the document lists; only to name the fault.
        pin: the pinned state; only to name the fault.

    Raises:
        SignerError: ``sig.missing``; ``sig.format``; ``sig.removed-member`` or ``meta.signer-unknown`` when a listed
            user signed whose signature does not count; ``sig.invalid`` when no listed user signed these bytes.
    """
    if signature is None or not signature.strip():
        raise SignerError("sig.missing", "The folder's metadata is not signed.")
    content = signed_bytes(document)
    try:
        der = decode_b64(signature)
    except MalformedError as exc:
        raise _unknown_form() from exc
    try:
        return verify_detached(der, content, _keys(candidates))
    except MalformedError as exc:
        raise _unknown_form() from exc
    except BadSignatureError as exc:
        others = tuple(member for member in listed if member not in candidates)
        raise _wrong_signer(der, content, others, pin) from exc


def _unknown_form() -> SignerError:
    return SignerError("sig.format", "The signature of the folder has an unknown form.")


def _wrong_signer(der: bytes, content: bytes, others: tuple[Member, ...], pin: FolderPin | None) -> SignerError:
    try:
        signer = verify_detached(der, content, _keys(others))
    except BadSignatureError:
        return SignerError("sig.invalid", "No member of the folder signed this state.")
    if pin is not None and signer in pin.former:
        return SignerError("sig.removed-member", f"{signer} was removed from the folder and signed this state.")
    return SignerError("meta.signer-unknown", f"{signer} was not a member before and signed this state.")


def _keys(members: tuple[Member, ...]) -> dict[UserId, list[PublicKey]]:
    return {member.user_id: [member.certificate.public_key] for member in members}
