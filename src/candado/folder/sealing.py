"""Open to sealed: a folder's content made into a signed document.

Layer: ``folder``; pure: nonce and time are arguments. What is written keeps to the one form that all stock clients
read: 12-byte nonce, no users in nested documents but the root's complete key history, version 2.0 unless a public
link is a member.

Source: crypto.md 8 to 14 (WRITE rules), 16, 17; client-flows.md 17.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from candado.crypto.cms import sign_detached
from candado.crypto.keywrap import key_checksum, wrap_key
from candado.crypto.sealing import seal_text
from candado.encoding import encode_b64
from candado.errors import MisuseError
from candado.folder.model import FolderPin, Identity, Member, OpenFolder
from candado.formats.canonjson import JsonObject, document_digest, signed_bytes
from candado.formats.metadata import (
    FolderContent,
    SealedBlock,
    SealedUser,
    format_content,
    format_sealed,
)
from candado.types import (
    Counter,
    FileId,
    MetadataKey,
    Nonce,
    SealedName,
    Tag,
    UserId,
    check_counter,
)

__all__ = [
    "SealedWrite",
    "kept_drops",
    "new_content",
    "next_counter",
    "seal_nested",
    "seal_root",
]


@dataclass(frozen=True, slots=True)
class SealedWrite:
    """A document ready to be sent, and what it becomes once the server shows it.

    ``signature_b64`` is the value of the signature header. ``pin`` and ``folder`` are true only after the unlock.
    """

    text: str
    signature_b64: str
    digest: str
    pin: FolderPin
    folder: OpenFolder


# --- before sealing -------------------------------------------------------------------------------------


def new_content(*, key_checksums: tuple[str, ...] = ()) -> FolderContent:
    """An empty folder whose first written counter will be 1."""
    return FolderContent(counter=Counter(0), deleted=False, files={}, folders={}, key_checksums=key_checksums)


def next_counter(current: Counter, pinned: Counter | None) -> Counter:
    """One more than the highest of the document's and the pinned counter; LimitExceededError beyond 2^53 - 1."""
    return check_counter(max(current, pinned or 0) + 1)


def kept_drops(folder: OpenFolder) -> JsonObject:
    """The file-drop entries of a folder as they stand in its document, to be handed to ``seal_root`` unchanged."""
    drops = folder.document.get("filedrop")
    return drops if isinstance(drops, dict) else {}


# --- sealing --------------------------------------------------------------------------------------------


def seal_root(
    *,
    content: FolderContent,
    members: Sequence[Member],
    metadata_key: MetadataKey,
    version: str,
    file_id: FileId,
    identity: Identity,
    drops_raw: JsonObject,
    nonce: Nonce,
    now: float,
    previous: FolderPin | None = None,
    path_hint: str = "",
) -> SealedWrite:
    """Seal and sign the metadata of a root.

    Shapes:
        content: as it shall be, counter included; the checksum of ``metadata_key`` is appended to its history if
            missing.
        version: of the document that is replaced, or ``"2.0"``. nonce: 12 fresh bytes. now: seconds since the epoch.
        previous: pin of the state this one replaces; keeps its path hint and the list of former members.

    Raises:
        MisuseError: we are not a member, the counter does not grow, an older key of this root would be used again, or a
            removal would be written under the old key.
    """
    if all(member.user_id != identity.user_id for member in members):
        raise MisuseError("a root cannot be sealed without its writer as a member")
    checksum = key_checksum(metadata_key)
    history = content.key_checksums or ()
    content = replace(content, key_checksums=history if checksum in history else (*history, checksum))
    names = {member.user_id: member.key_fingerprint for member in members}
    former: dict[UserId, str] = {}
    if previous is not None:
        _check_step(content, checksum, names, previous)
        former = {**previous.former, **previous.members}
    version = _written_version(version, members)
    text, document = format_sealed(
        version, _seal(content, metadata_key, nonce), _wrapped(members, metadata_key), drops_raw
    )
    pin = FolderPin(
        file_id=file_id,
        kind="root",
        root_id=file_id,
        parent_id=None,
        sealed_name=None,
        version=version,
        counter=content.counter,
        digest=document_digest(document),
        signer=identity.user_id,
        members=names,
        key_checksums=content.key_checksums or (),
        current_checksum=checksum,
        path_hint=path_hint or (previous.path_hint if previous is not None else ""),
        former={user: fingerprint for user, fingerprint in former.items() if names.get(user) != fingerprint},
    )
    return _signed(text, document, content, tuple(members), metadata_key, identity, pin, now)


def seal_nested(
    *,
    content: FolderContent,
    root: OpenFolder,
    file_id: FileId,
    parent_id: FileId,
    sealed_name: SealedName,
    identity: Identity,
    nonce: Nonce,
    now: float,
    previous: FolderPin | None = None,
    path_hint: str = "",
) -> SealedWrite:
    """Seal and sign the metadata of a nested folder under the current key of its root.

    ``root`` is the root as it will stand after this session: for a rekey the folder of its ``SealedWrite``.

    Raises:
        MisuseError: ``root`` is not a root, or the counter does not grow.
    """
    if root.kind != "root":
        raise MisuseError("a nested folder is sealed under its root")
    if previous is not None and content.counter <= previous.counter:
        raise MisuseError("the counter of a folder must grow")
    content = replace(content, key_checksums=root.content.key_checksums)
    text, document = format_sealed(root.version, _seal(content, root.metadata_key, nonce), None, {})
    pin = FolderPin(
        file_id=file_id,
        kind="nested",
        root_id=root.file_id,
        parent_id=parent_id,
        sealed_name=sealed_name,
        version=root.version,
        counter=content.counter,
        digest=document_digest(document),
        signer=identity.user_id,
        members={},
        key_checksums=(),
        current_checksum=key_checksum(root.metadata_key),
        path_hint=path_hint or (previous.path_hint if previous is not None else ""),
    )
    return _signed(text, document, content, root.members, root.metadata_key, identity, pin, now)


def _check_step(content: FolderContent, checksum: str, names: Mapping[UserId, str], previous: FolderPin) -> None:
    if content.counter <= previous.counter:
        raise MisuseError("the counter of a folder must grow")
    if checksum != previous.current_checksum and checksum in previous.key_checksums:
        raise MisuseError("an older metadata key of this root would be used again")
    missing = set(previous.key_checksums) - set(content.key_checksums or ())
    if missing:
        raise MisuseError("the history of metadata keys would be shortened")
    removed = any(names.get(user) != fingerprint for user, fingerprint in previous.members.items())
    if (removed or previous.must_rotate) and checksum == previous.current_checksum:
        raise MisuseError("a member was removed, so a new metadata key is needed")


def _wrapped(members: Sequence[Member], metadata_key: MetadataKey) -> tuple[SealedUser, ...]:
    return tuple(
        SealedUser(
            user_id=member.user_id,
            certificate_pem=member.certificate.pem,
            wrapped_key=wrap_key(member.certificate.public_key, metadata_key.reveal()),
        )
        for member in members
    )


def _written_version(version: str, members: Sequence[Member]) -> str:
    return "2.1" if version == "2.1" or any(member.user_id.startswith("s:") for member in members) else "2.0"


def _seal(content: FolderContent, metadata_key: MetadataKey, nonce: Nonce) -> SealedBlock:
    parts = seal_text(metadata_key, nonce, format_content(content))
    return SealedBlock(ciphertext=parts.ciphertext, nonce=Nonce(parts.nonce), tag=Tag(parts.tag))


def _signed(
    text: str,
    document: JsonObject,
    content: FolderContent,
    members: tuple[Member, ...],
    metadata_key: MetadataKey,
    identity: Identity,
    pin: FolderPin,
    now: float,
) -> SealedWrite:
    signature = sign_detached(
        signed_bytes(document), key=identity.key, certificate_der=identity.certificate.der, signing_time=now
    )
    folder = OpenFolder(
        file_id=pin.file_id,
        kind=pin.kind,
        root_id=pin.root_id,
        version=pin.version,
        counter=content.counter,
        digest=pin.digest,
        content=content,
        members=members,
        metadata_key=metadata_key,
        signer=identity.user_id,
        drops=(),
        document=document,
    )
    return SealedWrite(text, encode_b64(signature), pin.digest, pin, folder)
