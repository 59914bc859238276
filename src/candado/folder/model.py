"""What is known of an encrypted folder: identities, members, pins, positions, opened folders.

Layer: ``folder``; frozen values without behaviour that touches the outside. ``SealedFolder`` (``formats.metadata``)
is what a server sent; ``OpenFolder`` is what passed ``opening.accept_metadata`` or was made by ``sealing``. Deeper
code takes only the latter. Pins are what this device remembers of states it accepted; they are stored by the caller,
in one transaction with whatever depends on them.

Source: threats.md section 3 (pins); crypto.md 8 to 13.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.x509 import Certificate
from candado.errors import CorruptStateError, FormatError
from candado.formats.canonjson import JsonObject, JsonValue, dump_canonical, load_json
from candado.formats.metadata import Entry, FolderContent, SealedDrop
from candado.types import (
    Counter,
    FileId,
    MetadataKey,
    SealedName,
    UserId,
    check_counter,
    check_file_id,
    check_sealed_name,
    check_user_id,
)

__all__ = [
    "Accepted",
    "AccountPins",
    "Event",
    "FolderKind",
    "FolderPin",
    "HandedKey",
    "Identity",
    "Member",
    "NestedPosition",
    "OpenFolder",
    "PeerPin",
    "Position",
    "RawText",
    "RootPosition",
    "Transition",
]

FolderKind = Literal["root", "nested"]

_PIN_BYTES_MAX: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """This account's own key pair and the certificate the authority issued for it."""

    user_id: UserId
    key: PrivateKey
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Member:
    """A user who holds the wrapped metadata key of a root; the order of members is the document's."""

    user_id: UserId
    certificate: Certificate

    @property
    def key_fingerprint(self) -> str:
        """SHA-256 of the public key (SPKI), 64 lower-case hex digits."""
        return self.certificate.public_key.fingerprint_hex


@dataclass(frozen=True, slots=True)
class PeerPin:
    """The public key under which another user was first seen.

    ``first_seen`` is in seconds since the epoch; ``verified`` says that a person compared the fingerprints.
    """

    key_fingerprint: str
    first_seen: float
    verified: bool


@dataclass(frozen=True, slots=True)
class FolderPin:
    """What this device remembers of the last accepted state of one folder.

    ``members`` maps user ids to key fingerprints and is empty for nested folders; ``former`` holds removed members the
    same way. ``key_checksums`` is every checksum ever accepted for the root (empty for nested folders),
    ``current_checksum`` the one whose key sealed the pinned state. ``path_hint`` is the clear path last seen, for
    people only. ``must_rotate`` stays True from a removal that kept the old key (A33) until a new key was accepted.
    """

    file_id: FileId
    kind: FolderKind
    root_id: FileId
    parent_id: FileId | None
    sealed_name: SealedName | None
    version: str
    counter: Counter
    digest: str
    signer: UserId
    members: Mapping[UserId, str]
    key_checksums: tuple[str, ...]
    current_checksum: str
    path_hint: str = ""
    former: Mapping[UserId, str] = field(default_factory=dict[UserId, str])
    must_rotate: bool = False

    def to_json(self) -> bytes:
        """Canonical JSON of this pin; the inverse of ``from_json``."""
        document: dict[str, JsonValue] = {
            "file_id": self.file_id,
            "kind": self.kind,
            "root_id": self.root_id,
            "parent_id": self.parent_id,
            "sealed_name": self.sealed_name,
            "version": self.version,
            "counter": self.counter,
            "digest": self.digest,
            "signer": self.signer,
            "members": {str(user): fingerprint for user, fingerprint in self.members.items()},
            "key_checksums": list(self.key_checksums),
            "current_checksum": self.current_checksum,
            "path_hint": self.path_hint,
            "former": {str(user): fingerprint for user, fingerprint in self.former.items()},
            "must_rotate": self.must_rotate,
        }
        return dump_canonical(document)

    @classmethod
    def from_json(cls, data: bytes) -> "FolderPin":
        """Read a pin that ``to_json`` wrote.

        Raises:
            CorruptStateError: the bytes are not such a pin.
        """
        try:
            return _pin_from(load_json(data, bytes_max=_PIN_BYTES_MAX))
        except (FormatError, KeyError, TypeError) as exc:
            raise CorruptStateError("a stored folder pin cannot be read") from exc


@dataclass(frozen=True, slots=True)
class AccountPins:
    """What this device remembers of its account and of the people it met.

    The mappings after ``owns`` are optional and make acceptance stricter; an empty one means *not known*.

    Args:
        user_id: the account.
        authority: the key that signs certificates, pinned at enrolment.
        own_key_fingerprint: fingerprint of the account's own public key.
        peers: keys of other users.
        owns: roots that this account created.
        root_checksums: key checksum to the root it belongs to, for all accepted roots (finds a root shown as another).
        documents: digest to the folder it was accepted for (finds a folder's document shown for another folder).
        places: (parent, sealed name) to the file id accepted there (finds a changed file id).
        history_overrides: digests whose shortened key history a person has accepted.
        former_authorities: keys that handed over to ``authority`` while this device looked; they vouch for members of
            documents, which carry certificates as they were when somebody was let in, and for nobody else.
        recovery: keys that verified policies of the pinned organisation announce, by member id.
    """

    user_id: UserId
    authority: PublicKey
    own_key_fingerprint: str
    peers: Mapping[UserId, PeerPin]
    owns: frozenset[FileId] = frozenset()
    root_checksums: Mapping[str, FileId] = field(default_factory=dict[str, FileId])
    documents: Mapping[str, FileId] = field(default_factory=dict[str, FileId])
    places: Mapping[tuple[FileId, SealedName], FileId] = field(default_factory=dict[tuple[FileId, SealedName], FileId])
    history_overrides: frozenset[str] = frozenset()
    former_authorities: tuple[PublicKey, ...] = ()
    recovery: Mapping[UserId, str] = field(default_factory=dict[UserId, str])


@dataclass(frozen=True, slots=True)
class HandedKey:
    """A root's metadata key that the recovery key gave this account after its own key was lost.

    ``former_key`` is the fingerprint of the lost key, under which the account is still a member of the root.
    """

    metadata_key: MetadataKey = field(repr=False)
    former_key: str


@dataclass(frozen=True, slots=True)
class RawText:
    """A metadata document and its signature header exactly as received; not verified."""

    text: str
    signature: str | None


@dataclass(frozen=True, slots=True)
class OpenFolder:
    """A folder whose state was accepted, or that we sealed ourselves.

    ``members`` and ``metadata_key`` of a nested folder are those of its root, except that the key is an older one of
    the same root while the transition says so. ``digest`` is the hex SHA-256 of the signed bytes.
    """

    file_id: FileId
    kind: FolderKind
    root_id: FileId
    version: str
    counter: Counter
    digest: str
    content: FolderContent
    members: tuple[Member, ...]
    metadata_key: MetadataKey = field(repr=False)
    signer: UserId
    drops: tuple[SealedDrop, ...]
    document: JsonObject = field(repr=False)

    @property
    def files(self) -> dict[SealedName, Entry]:
        """The files of this folder by sealed name."""
        return self.content.files

    @property
    def folders(self) -> dict[SealedName, str]:
        """The clear names of nested folders by sealed name."""
        return self.content.folders

    def member(self, user_id: UserId) -> Member | None:
        """The member with this user id, or None."""
        return next((member for member in self.members if member.user_id == user_id), None)


@dataclass(frozen=True, slots=True)
class RootPosition:
    """The place of a root: outside of every encrypted folder.

    ``owned`` says that this account created the root as far as this device knows; ``owner_id`` who owns it, as the
    server said first, "" when that is not known. ``handed`` opens it while its members still have our lost key.
    """

    file_id: FileId
    owned: bool
    pin: FolderPin | None
    path_hint: str = ""
    owner_id: str = ""
    handed: HandedKey | None = None


@dataclass(frozen=True, slots=True)
class NestedPosition:
    """The place of a nested folder: its sealed name is listed in an accepted parent (the root or a nested one)."""

    file_id: FileId
    sealed_name: SealedName
    parent: OpenFolder
    root: OpenFolder
    pin: FolderPin | None
    path_hint: str = ""


Position = RootPosition | NestedPosition


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person should see; codes are those of the threat model, such as ``members.added``."""

    code: str
    root_id: FileId
    file_id: FileId
    user_id: UserId | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """The difference between the pinned and the accepted state.

    ``must_rotate`` asks a writer to make a new metadata key before it writes anything else; ``old_key`` says that a
    nested document was still sealed under an older key of the root and has to be rewritten under the current one.
    """

    members_added: tuple[UserId, ...] = ()
    members_removed: tuple[UserId, ...] = ()
    key_rotated: bool = False
    first_sight: bool = False
    deleted: bool = False
    must_rotate: bool = False
    old_key: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted state, the pin to commit with it, and what changed.

    ``new_peers`` are the keys met for the first time; the caller commits them together with ``pin``.
    """

    folder: OpenFolder
    pin: FolderPin
    events: tuple[Event, ...]
    transition: Transition
    new_peers: Mapping[UserId, PeerPin] = field(default_factory=dict[UserId, PeerPin])


def _pin_from(value: JsonValue) -> FolderPin:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    kind = value["kind"]
    if kind not in {"root", "nested"}:
        raise TypeError("not a kind of folder")
    parent = value["parent_id"]
    name = value["sealed_name"]
    return FolderPin(
        file_id=check_file_id(_integer(value["file_id"])),
        kind=cast("FolderKind", kind),
        root_id=check_file_id(_integer(value["root_id"])),
        parent_id=None if parent is None else check_file_id(_integer(parent)),
        sealed_name=None if name is None else check_sealed_name(_text(name)),
        version=_text(value["version"]),
        counter=check_counter(_integer(value["counter"])),
        digest=_text(value["digest"]),
        signer=check_user_id(_text(value["signer"])),
        members=_users(value["members"]),
        key_checksums=_texts(value["key_checksums"]),
        current_checksum=_text(value["current_checksum"]),
        path_hint=_text(value["path_hint"]),
        former=_users(value["former"]),
        must_rotate=value["must_rotate"] is True,
    )


def _integer(value: JsonValue) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not an integer")
    return value


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _texts(value: JsonValue) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return tuple(_text(item) for item in value)


def _users(value: JsonValue) -> dict[UserId, str]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return {check_user_id(user): _text(fingerprint) for user, fingerprint in value.items()}
