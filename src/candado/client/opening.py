"""Opening folders without a server: with a private key and nothing remembered.

Layer: ``client``. ``Opener`` holds what is known of one recovery: the authority that is trusted, and whatever was
accepted so far, so that one document cannot stand for two folders and one person cannot have two keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from candado.crypto.keywrap import unwrap_key, unwrap_text_key
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.sealing import SealedParts, open_text
from candado.crypto.x509 import parse_certificate
from candado.errors import (
    CryptoError,
    FormatError,
    KeyHistoryError,
    MalformedError,
    NotAMemberError,
    OpenFailedError,
)
from candado.folder.escrow import is_recovery_id, recovery_member
from candado.folder.filedrop import DROP_LABEL
from candado.folder.model import (
    Accepted,
    AccountPins,
    Identity,
    NestedPosition,
    OpenFolder,
    PeerPin,
    RawText,
    RootPosition,
)
from candado.folder.names import unique_name
from candado.folder.opening import accept_metadata, open_content
from candado.formats.metadata import Entry, FolderContent, SealedFolder, SealedUser, parse_drop_content, parse_sealed
from candado.types import FileId, MetadataKey, SealedName, UserId

__all__ = ["Opener", "Unverified"]


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a document holds whose signature nobody looked at; ``drops`` are arrivals of its file drop, marked."""

    content: FolderContent
    metadata_key: MetadataKey
    drops: Mapping[SealedName, Entry]


class Opener:
    """Opens documents with one private key.

    Args:
        key: of any member.
        authority: the key that signs certificates.
        now: seconds since the epoch.
        member_id: whose key it is; without it the member with this key is looked for in each root.
    """

    def __init__(self, key: PrivateKey, authority: PublicKey, *, now: float, member_id: UserId | None = None) -> None:
        self.key, self.authority = key, authority
        self._now, self._member_id = now, member_id
        self._peers: dict[UserId, PeerPin] = {}
        self._checksums: dict[str, FileId] = {}
        self._documents: dict[str, FileId] = {}
        self._older: dict[FileId, list[MetadataKey]] = {}

    def accept_root(self, file_id: FileId, raw: RawText) -> OpenFolder:
        """The accepted root.

        Raises:
            NotAMemberError: nobody in it has this key. TamperError, FormatError, CryptoError: it is refused.
        """
        identity = self.identity(raw)
        return self._commit(
            accept_metadata(
                RootPosition(file_id, owned=False, pin=None),
                raw,
                pins=replace(self._pins(identity), recovery=_recovery_keys(raw)),
                identity=identity,
                now=self._now,
            )
        )

    def accept_nested(
        self, file_id: FileId, raw: RawText, *, parent: OpenFolder, root: OpenFolder, sealed_name: SealedName
    ) -> OpenFolder:
        """The accepted folder below an accepted parent; errors as ``accept_root``."""
        identity = self.identity_in(root)
        return self._commit(
            accept_metadata(
                NestedPosition(file_id, sealed_name, parent, root, pin=None),
                raw,
                pins=self._pins(identity),
                identity=identity,
                known_keys=self._older.get(root.file_id, ()),
                now=self._now,
            )
        )

    def add_older_keys(self, root_id: FileId, wrapped: Sequence[tuple[UserId, bytes]]) -> None:
        """Remember older keys of a root; what was not wrapped for us is left out."""
        for _, key in wrapped:
            try:
                self._older.setdefault(root_id, []).append(MetadataKey(unwrap_key(self.key, key)))
            except OpenFailedError:
                continue

    def identity(self, raw: RawText) -> Identity:
        """Who we are in a root, by the document's own word; NotAMemberError, FormatError."""
        user = self._own_entry(parse_sealed(raw.text).users or ())
        return Identity(user.user_id, self.key, parse_certificate(user.certificate_pem))

    def identity_in(self, root: OpenFolder) -> Identity:
        """Who we are in an accepted root."""
        me = next(member for member in root.members if member.key_fingerprint == self.key.public.fingerprint_hex)
        return Identity(me.user_id, self.key, me.certificate)

    def _own_entry(self, users: Sequence[SealedUser]) -> SealedUser:
        for user in users:
            if self._member_id is not None:
                if user.user_id == self._member_id:
                    return user
                continue
            try:
                certificate = parse_certificate(user.certificate_pem)
            except (FormatError, CryptoError):
                continue
            if certificate.public_key == self.key.public:
                return user
        raise NotAMemberError(
            "This key is not that of a member of the folder.",
            advice="Use the words or the key of somebody who was a member when the copy was made.",
        )

    # --- without verification -------------------------------------------------------------------------------

    def salvage_root(self, raw: RawText) -> Unverified:
        """What a root holds, whoever wrote it; OpenFailedError when nothing in it opens with this key, FormatError."""
        sealed = parse_sealed(raw.text)
        for user in sealed.users or ():
            try:
                key = MetadataKey(unwrap_key(self.key, user.wrapped_key))
            except OpenFailedError:
                continue
            return replace(self._salvage(raw, [key]), drops=self._drops(sealed))
        raise OpenFailedError("Nothing in this folder's document opens with this key.")

    def salvage_nested(self, raw: RawText, root_key: MetadataKey, root_id: FileId) -> Unverified:
        """What a nested folder holds, whoever wrote it; OpenFailedError, FormatError."""
        return self._salvage(raw, [root_key, *self._older.get(root_id, ())])

    @staticmethod
    def _salvage(raw: RawText, keys: Sequence[MetadataKey]) -> Unverified:
        sealed = parse_sealed(raw.text)
        try:
            key, content = open_content(sealed, keys, UserId("somebody"))
        except KeyHistoryError as exc:
            raise OpenFailedError("The document of the folder does not open with its key.") from exc
        if not content.files.keys().isdisjoint(content.folders.keys()):
            raise MalformedError("one identifier names a file and a folder")
        return Unverified(content, key, {})

    def _drops(self, sealed: SealedFolder) -> dict[SealedName, Entry]:
        found: dict[SealedName, Entry] = {}
        for drop in sealed.drops:
            for _, wrapped in drop.users:
                try:
                    key = unwrap_text_key(self.key, wrapped)
                    block = SealedParts(drop.block.ciphertext, drop.block.nonce, drop.block.tag)
                    entry = parse_drop_content(open_text(key, block))
                except (OpenFailedError, FormatError):
                    continue
                found[drop.sealed_name] = replace(entry, filename=unique_name(entry.filename, (), label=DROP_LABEL))
        return found

    # --- memory ---------------------------------------------------------------------------------------------

    def _pins(self, identity: Identity) -> AccountPins:
        return AccountPins(
            user_id=identity.user_id,
            authority=self.authority,
            own_key_fingerprint=self.key.public.fingerprint_hex,
            peers={user: pin for user, pin in self._peers.items() if user != identity.user_id},
            root_checksums=self._checksums,
            documents=self._documents,
        )

    def _commit(self, accepted: Accepted) -> OpenFolder:
        folder = accepted.folder
        self._peers.update(accepted.new_peers)
        self._documents[folder.digest] = folder.file_id
        if folder.kind == "root":
            self._checksums.update(dict.fromkeys(folder.content.key_checksums or (), folder.file_id))
        return folder


def _recovery_keys(raw: RawText) -> dict[UserId, str]:
    """The recovery keys among the members: whoever reads a copy knows no organisation, and lets nobody in."""
    found = [user for user in parse_sealed(raw.text).users or () if is_recovery_id(user.user_id)]
    members = [recovery_member(parse_certificate(user.certificate_pem)) for user in found]
    return {member.user_id: member.key_fingerprint for member in members}
