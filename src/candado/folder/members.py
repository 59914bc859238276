"""Changes of membership of a root; every one of them comes with a new metadata key.

Layer: ``folder``; pure. The change is data; ``sealing.seal_root`` writes it and ``sealing.seal_nested`` rewrites
every nested folder under the new key in the same session.

Source: client-flows.md 10 and 11 (ours); threats.md A08, A33, A34.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from candado.crypto.keywrap import key_checksum
from candado.crypto.x509 import Certificate
from candado.errors import MisuseError, UntrustedCertificateError
from candado.folder.escrow import is_recovery_id
from candado.folder.model import Member, OpenFolder
from candado.types import MetadataKey, UserId

__all__ = ["MembershipChange", "add_member", "remove_member", "remove_members", "rotate_key", "set_recovery"]


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """Members, key and key history of the next state of a root."""

    members: tuple[Member, ...]
    metadata_key: MetadataKey = field(repr=False)
    key_checksums: tuple[str, ...]


def add_member(root: OpenFolder, certificate: Certificate, new_key: MetadataKey) -> MembershipChange:
    """The change that adds the user named in a certificate, at the end of the list.

    A certificate that was renewed for the same key, or a new key that the caller has decided to trust, replaces the one
    the user had. The caller has checked the certificate against the authority and the pins.

    Raises:
        UntrustedCertificateError: another member has the same public key.
        MisuseError: the key was used before, or ``root`` is not a root.
    """
    user_id = UserId(certificate.common_name)
    others = tuple(member for member in root.members if member.user_id != user_id)
    if any(member.certificate.public_key == certificate.public_key for member in others):
        raise UntrustedCertificateError("Two members must not have the same key.")
    joined = Member(user_id, certificate)
    if len(others) == len(root.members):
        return _change(root, (*others, joined), new_key)
    return _change(root, tuple(joined if member.user_id == user_id else member for member in root.members), new_key)


def remove_member(root: OpenFolder, user_id: UserId, new_key: MetadataKey) -> MembershipChange:
    """The change that removes a user; MisuseError when the user is not a member or is the last one."""
    return remove_members(root, (user_id,), new_key)


def remove_members(root: OpenFolder, user_ids: Collection[UserId], new_key: MetadataKey) -> MembershipChange:
    """The change that removes several users; MisuseError when one of them is not a member, or nobody would be left."""
    left = tuple(member for member in root.members if member.user_id not in user_ids)
    if not user_ids or len(left) + len(set(user_ids)) != len(root.members) or not left:
        raise MisuseError("only some of the members can be removed")
    return _change(root, left, new_key)


def set_recovery(root: OpenFolder, recovery: Member | None, new_key: MetadataKey) -> MembershipChange:
    """The change after which ``recovery`` is the only recovery key of the root, at the end; with None there is none.

    UntrustedCertificateError: a member has the same key.
    """
    people = tuple(member for member in root.members if not is_recovery_id(member.user_id))
    if recovery is None:
        return _change(root, people, new_key)
    if any(member.certificate.public_key == recovery.certificate.public_key for member in people):
        raise UntrustedCertificateError("Two members must not have the same key.")
    return _change(root, (*people, recovery), new_key)


def rotate_key(root: OpenFolder, new_key: MetadataKey) -> MembershipChange:
    """The change that only replaces the metadata key: after a removal that somebody wrote under the old one (A33)."""
    return _change(root, root.members, new_key)


def _change(root: OpenFolder, members: tuple[Member, ...], new_key: MetadataKey) -> MembershipChange:
    if root.kind != "root":
        raise MisuseError("only a root has members")
    checksum = key_checksum(new_key)
    history = root.content.key_checksums or ()
    if checksum in history:
        raise MisuseError("a metadata key must be new")
    return MembershipChange(members, new_key, (*history, checksum))
