"""Sealed to open: the one way by which a folder's metadata gets into the client.

Layer: ``folder``; pure. ``accept_metadata`` runs fifteen numbered steps in a fixed order; nothing later runs when an
earlier one failed. Steps 1 and 15 belong to the caller:

1.  *Transport*: the bytes came from the account's own origin over valid TLS, and no redirect was followed with
    credentials.
15. *Commit*: the returned pin, the new peers and whatever depends on the accepted folder are committed in one local
    transaction; only then may the caller act on them.

The checks that the protocol itself asks for are self-referential: a server can make up a document with its own key,
member, signature and checksum that passes all of them. What protects is continuity with pinned state (steps 6, 7, 10,
11, 12). File drops are not part of this function, see ``filedrop``.

Source: threats.md section 3; crypto.md 8 to 15; client-flows.md 17.
"""

from collections.abc import Sequence
from dataclasses import replace

from candado.crypto.keywrap import key_checksum, unwrap_key
from candado.crypto.sealing import SealedParts, open_text
from candado.crypto.x509 import parse_certificate
from candado.errors import (
    ContextError,
    DowngradeError,
    KeyHistoryError,
    MisuseError,
    NotAMemberError,
    OpenFailedError,
    UnsupportedVersionError,
)
from candado.folder.continuity import (
    check_context,
    check_counter,
    check_key_continuity,
    check_names,
    compare,
    former_members,
)
from candado.folder.escrow import check_consent, is_recovery_id
from candado.folder.model import (
    Accepted,
    AccountPins,
    Event,
    FolderPin,
    Identity,
    Member,
    NestedPosition,
    OpenFolder,
    Position,
    RawText,
    RootPosition,
    Transition,
)
from candado.folder.trust import Membership, Notice, check_members, check_signature, signers
from candado.formats.canonjson import document_digest
from candado.formats.metadata import FolderContent, SealedFolder, SealedUser, parse_content, parse_sealed
from candado.types import MetadataKey, UserId

__all__ = ["accept_metadata"]


def accept_metadata(
    position: Position,
    raw: RawText,
    *,
    pins: AccountPins,
    identity: Identity,
    known_keys: Sequence[MetadataKey] = (),
    now: float,
) -> Accepted:
    """Return the accepted folder, or raise; nothing is changed either way.

    Args:
        position: where the document was found, and what is pinned for it.
        raw: the document and its signature header exactly as received.
        pins: what this device remembers of the account.
        identity: our own certificate and key.
        known_keys: older metadata keys of the same root; opens a nested document that a rekey left behind.
        now: seconds since the epoch.

    Raises:
        TamperError: the state cannot come from an honest server; ``event`` says which rule it broke. Freeze the root.
        FormatError: the document breaks its grammar or a limit.
        CryptoError: a certificate is not acceptable, a key changed, or we are not a member.
        MisuseError: position, pins and identity do not belong together; a bug.

    Source: threats.md section 3.
    """
    if pins.user_id != identity.user_id:
        raise MisuseError("pins and identity belong to different accounts")
    sealed = parse_strictly(raw, position.pin)  # steps 2, 3 and 5
    check_kind(position, sealed.users)  # step 4
    membership = _membership(position, sealed, pins, now)  # step 6
    members, pin = membership.members, position.pin
    signer = check_signature(  # step 7
        sealed.document, raw.signature, candidates=signers(members, pin, pins), listed=members, pin=pin
    )
    if isinstance(position, NestedPosition):
        keys = nested_keys(position, known_keys)  # step 8
    else:
        keys = [_root_key(position, sealed, membership, identity, signer)]
    metadata_key, content = open_content(sealed, keys, signer)  # step 9
    digest = document_digest(sealed.document)
    if isinstance(position, RootPosition):
        check_key_continuity(position, content, metadata_key, digest, pins)  # step 10
    check_counter(position, content, digest)  # step 11
    check_context(position, metadata_key, digest, pins)  # step 12
    notices = check_names(content, metadata_key)  # step 13
    old_key = metadata_key != keys[0]
    transition = compare(position, content, members, metadata_key, old_key=old_key)  # step 14
    check_consent(position, members, transition, signer)
    folder = _folder(position, sealed, content, members, metadata_key, signer, digest)
    events = [*membership.notices, *notices, *_notices(position, sealed, transition, signer)]
    return Accepted(
        folder=folder,
        pin=_pin(position, folder, transition),
        events=tuple(Event(code, folder.root_id, folder.file_id, user, detail) for code, user, detail in events),
        transition=transition,
        new_peers=membership.new_peers,
    )


def parse_strictly(raw: RawText, pin: FolderPin | None) -> SealedFolder:
    """Steps 2, 3 and 5: the one parse, with its limit of 32 MiB checked first; everything after it uses this object.

    A root may go from 2.1 back to 2.0: a member signs the number, and both mean the same.

    Raises:
        DowngradeError: ``ver.downgrade``: a known folder is offered in a version that is not signed, or not known.
        FormatError: the text is too long, not a folder document, or of a version that is not supported.
    """
    try:
        return parse_sealed(raw.text)
    except UnsupportedVersionError as exc:
        if pin is None:
            raise
        raise DowngradeError(
            "ver.downgrade", "A known folder is offered in another version of the format.", expected=pin.version
        ) from exc


def check_kind(position: Position, users: tuple[SealedUser, ...] | None) -> None:
    """Step 4: whether a folder is a root is known from its position, never from the document.

    Raises:
        ContextError: ``meta.kind``: users where none belong, or none where they must be; ``meta.key-missing``: no
            users.
    """
    if isinstance(position, NestedPosition):
        if position.parent.root_id != position.root.file_id or position.root.kind != "root":
            raise MisuseError("parent and root of a nested folder do not belong together")
        if users:
            raise ContextError("meta.kind", "A nested folder is shown with members of its own.")
        return
    if users is None:
        raise ContextError("meta.kind", "A top-level folder is shown without members.")
    if not users:
        raise ContextError("meta.key-missing", "A top-level folder is shown with no member at all.")


def _membership(position: Position, sealed: SealedFolder, pins: AccountPins, now: float) -> Membership:
    if isinstance(position, RootPosition):
        users, handed = sealed.users or (), position.handed
        if handed is not None and _own_key(users, pins.user_id) == handed.former_key:
            pins = replace(pins, own_key_fingerprint=handed.former_key)
        return check_members(users, pins, pin=position.pin, now=now)
    return Membership(position.root.members, SealedUser(pins.user_id, "", b""), {}, ())


def _own_key(users: tuple[SealedUser, ...], user_id: UserId) -> str:
    own = next((user for user in users if user.user_id == user_id), None)
    return "" if own is None else parse_certificate(own.certificate_pem).public_key.fingerprint_hex


def _root_key(
    position: RootPosition, sealed: SealedFolder, membership: Membership, identity: Identity, signer: UserId
) -> MetadataKey:
    """Step 8 for a root: the key of our entry, or the one that the recovery key handed us while our lost key is in it.

    Raises:
        KeyHistoryError: as ``unwrap_own_key``. NotAMemberError: the root has another key than the handed one by now.
    """
    handed = position.handed
    if handed is None or _own_key((membership.own,), identity.user_id) != handed.former_key:
        return unwrap_own_key(membership.own, identity, signer)
    try:
        open_content(sealed, [handed.metadata_key], signer)
    except KeyHistoryError as exc:
        raise NotAMemberError(
            "The folder was given a new key since access to it was asked for.",
            advice="Ask again with `candado recovery request`; or let its owner share it with you anew.",
        ) from exc
    return handed.metadata_key


def unwrap_own_key(own: SealedUser, identity: Identity, signer: UserId) -> MetadataKey:
    """Step 8 for a root: the metadata key from our own entry.

    Raises:
        KeyHistoryError: ``meta.key-missing``: our entry holds no key that opens with our private key.
    """
    try:
        return MetadataKey(unwrap_key(identity.key, own.wrapped_key))
    except OpenFailedError as exc:
        raise KeyHistoryError(
            "meta.key-missing", f"The entry that {signer} signed for this account holds no usable key."
        ) from exc


def nested_keys(position: NestedPosition, known_keys: Sequence[MetadataKey]) -> list[MetadataKey]:
    """Step 8 for a nested folder: the root's key, then older keys that are in the root's accepted history."""
    history = position.root.content.key_checksums or ()
    older = [key for key in known_keys if key_checksum(key) in history and key != position.root.metadata_key]
    return [position.root.metadata_key, *older]


def open_content(
    sealed: SealedFolder, keys: Sequence[MetadataKey], signer: UserId
) -> tuple[MetadataKey, FolderContent]:
    """Step 9: the key that opens the document, and its content.

    Raises:
        KeyHistoryError: ``meta.key-mismatch``: none of the keys opens it although a member signed it.
        FormatError: the content breaks its grammar or a limit.
    """
    block = sealed.block
    failure: OpenFailedError | None = None
    for key in keys:
        try:
            text = open_text(key, SealedParts(block.ciphertext, block.nonce, block.tag))
        except OpenFailedError as exc:
            failure = exc
        else:
            return key, parse_content(text)
    raise KeyHistoryError(
        "meta.key-mismatch", f"What {signer} signed does not open with the folder's key."
    ) from failure


def _folder(
    position: Position,
    sealed: SealedFolder,
    content: FolderContent,
    members: tuple[Member, ...],
    metadata_key: MetadataKey,
    signer: UserId,
    digest: str,
) -> OpenFolder:
    nested = isinstance(position, NestedPosition)
    return OpenFolder(
        file_id=position.file_id,
        kind="nested" if nested else "root",
        root_id=position.root.file_id if isinstance(position, NestedPosition) else position.file_id,
        version=sealed.version,
        counter=content.counter,
        digest=digest,
        content=content,
        members=members,
        metadata_key=metadata_key,
        signer=signer,
        drops=sealed.drops,
        document=sealed.document,
    )


def _pin(position: Position, folder: OpenFolder, transition: Transition) -> FolderPin:
    old = position.pin
    nested = isinstance(position, NestedPosition)
    return FolderPin(
        file_id=folder.file_id,
        kind=folder.kind,
        root_id=folder.root_id,
        parent_id=position.parent.file_id if isinstance(position, NestedPosition) else None,
        sealed_name=position.sealed_name if isinstance(position, NestedPosition) else None,
        version=folder.version,
        counter=folder.counter,
        digest=folder.digest,
        signer=folder.signer,
        members={} if nested else {member.user_id: member.key_fingerprint for member in folder.members},
        key_checksums=() if nested else folder.content.key_checksums or (),
        current_checksum=key_checksum(folder.metadata_key),
        path_hint=position.path_hint or (old.path_hint if old is not None else ""),
        former={} if nested else former_members(old, folder.members),
        must_rotate=transition.must_rotate,
    )


def _notices(position: Position, sealed: SealedFolder, transition: Transition, signer: UserId) -> list[Notice]:
    notices: list[Notice] = [("drop.bad", None, name) for name in sealed.bad_drops]
    for users, what in ((transition.members_added, "added"), (transition.members_removed, "removed")):
        for user in users:
            code = f"recovery.{what}" if is_recovery_id(user) else f"members.{what}"
            notices.append((code, user, f"signed by {signer}"))
    if transition.key_rotated:
        notices.append(("mk.rotated", signer, ""))
    if transition.must_rotate:
        notices.append(("mk.not-rotated", signer, "a removed member still holds the folder's key"))
    if transition.old_key:
        notices.append(("nested.old-key", signer, "sealed under an older key of its root"))
    if transition.deleted:
        notices.append(("folder.deleted", signer, ""))
    if isinstance(position, RootPosition) and transition.first_sight:
        notices.append(("fresh.unanchored" if position.owned else "share.new", signer, ""))
    pin = position.pin
    if isinstance(position, NestedPosition) and pin is not None and pin.parent_id != position.parent.file_id:
        notices.append(("nested.moved", signer, ""))
    return notices
