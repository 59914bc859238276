"""The recovery member of a root: an organisation's key that may read, and nothing else.

Layer: ``folder``; pure. A recovery key is a member ``recovery:<fp16>`` with a certificate of the authority and the
wrapped metadata key, so that stock clients carry it along like any member. It is no person: its signature never counts,
and it is a member only when a policy of the pinned organisation announces its key and the owner of the root let it in.

Source: threat model, G14, A109, A110, B14.
"""

import unicodedata

from candado.crypto.x509 import Certificate
from candado.errors import EscrowError
from candado.folder.model import AccountPins, FolderPin, Member, Position, RootPosition, Transition
from candado.formats.linkaddress import LINK_PREFIX
from candado.formats.orgpolicy import RECOVERY_PREFIX, recovery_member_id
from candado.types import UserId

__all__ = ["check_announced", "check_consent", "is_recovery_id", "recovery_member", "recovery_members"]


def is_recovery_id(user_id: str) -> bool:
    """Whether this names a recovery key, or looks to a person as if it did."""
    return unicodedata.normalize("NFKC", user_id).casefold().startswith(RECOVERY_PREFIX)


def recovery_members(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """The recovery keys among the members of a root."""
    return tuple(member for member in members if is_recovery_id(member.user_id))


def recovery_member(certificate: Certificate) -> Member:
    """The member that a recovery key is, by its certificate; the caller has checked it."""
    return Member(UserId(recovery_member_id(certificate.public_key.fingerprint_hex)), certificate)


def check_announced(member: Member, pins: AccountPins, pin: FolderPin | None) -> None:
    """Return when a recovery member was accepted before, or a policy of the organisation announces its key (step 6).

    The visitor of a link knows no organisation and lets nobody in, so it takes what the owner's link shows.

    Raises:
        EscrowError: ``escrow.unsigned``.
    """
    known = member.key_fingerprint
    was_member = pin is not None and pin.members.get(member.user_id) == known
    if was_member or pins.user_id.startswith(LINK_PREFIX) or pins.recovery.get(member.user_id) == known:
        return
    raise EscrowError(
        "escrow.unsigned",
        f"The folder has a recovery key, {member.user_id}, that no policy of an organisation announces which this "
        "device trusts.",
        got=known,
    )


def check_consent(position: Position, members: tuple[Member, ...], transition: Transition, signer: UserId) -> None:
    """Return unless a recovery key came into a known root by somebody else than its owner (step 14).

    Raises:
        EscrowError: ``escrow.not-owner``.
    """
    if not isinstance(position, RootPosition) or position.pin is None or signer == position.owner_id:
        return
    for member in recovery_members(members):
        if member.user_id in transition.members_added:
            raise EscrowError(
                "escrow.not-owner",
                f"{signer}, who does not own this folder, let a recovery key into it.",
                expected=position.owner_id,
                got=signer,
                advice=f"Ask {signer} and the owner why. The owner agrees with `candado recovery accept FOLDER`.",
            )
