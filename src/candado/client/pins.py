"""What this device remembers of states it accepted: account, people, folders, metadata keys.

Layer: ``client``. One row per pin in the state; everything that belongs to one acceptance is committed in one
transaction, before anything acts on it (threats.md section 3, step 15). In memory the pins are live mappings behind
``AccountPins``, so accepting thousands of folders does not copy them.

Spaces: ``pin/account``, ``pin/owner``, ``pin/peer``, ``pin/folder``, ``pin/owned``, ``pin/deleted``, ``pin/history``,
``pin/recovery``, ``key/metadata``.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from candado.crypto.keywrap import key_checksum
from candado.crypto.rsa import PublicKey
from candado.encoding import decode_b64, encode_b64
from candado.errors import CorruptStateError, FormatError, NoKeysError
from candado.folder.model import Accepted, AccountPins, FolderPin, OpenFolder, PeerPin
from candado.ports.client import StateStore
from candado.types import FileId, MetadataKey, SealedName, UserId, check_file_id, check_user_id

__all__ = ["PinBook", "Row"]

Row = tuple[str, str, bytes | None]

_ACCOUNT: Final = "pin/account"
_PEER: Final = "pin/peer"
_FOLDER: Final = "pin/folder"
_OWNED: Final = "pin/owned"
_OWNER: Final = "pin/owner"
_DELETED: Final = "pin/deleted"
_HISTORY: Final = "pin/history"
_RECOVERY: Final = "pin/recovery"
_KEYS: Final = "key/metadata"
_KEYS_MAX: Final = 64


class PinBook:
    """The pins of one account on one device, loaded when first needed.

    Methods named ``rows_*`` change the memory and return the rows to commit; the caller commits them, together with
    what depends on them, before it acts.
    """

    def __init__(self, store: StateStore, user_id: UserId) -> None:
        self._store = store
        self._user_id = user_id
        self._loaded = False
        self._authority: PublicKey | None = None
        self._former: tuple[PublicKey, ...] | None = None
        self._folders: dict[FileId, FolderPin] = {}
        self._peers: dict[UserId, PeerPin] = {}
        self._owned: set[FileId] = set()
        self._deleted: set[FileId] = set()
        self._overrides: set[str] = set()
        self._recovery: dict[UserId, str] = {}
        self._checksums: dict[str, FileId] = {}
        self._documents: dict[str, FileId] = {}
        self._hints: dict[str, FileId] = {}
        self._places: dict[tuple[FileId, SealedName], FileId] = {}
        self._keys: dict[FileId, list[MetadataKey]] = {}

    # --- reading ------------------------------------------------------------------------------------------

    def account_pins(self, own_key_fingerprint: str) -> AccountPins:
        """The pins in the shape that acceptance takes; a live view. NoKeysError before the enrolment."""
        self._load()
        authority = self.authority()
        if authority is None:
            raise NoKeysError("This device has not joined yet.")
        return AccountPins(
            self._user_id,
            authority,
            own_key_fingerprint,
            self._peers,
            frozenset(self._owned),
            self._checksums,
            self._documents,
            self._places,
            frozenset(self._overrides),
            self._former_authorities(),
            self._recovery,
        )

    def authority(self) -> PublicKey | None:
        """The key that signs certificates, as pinned at enrolment."""
        if self._authority is None:
            stored = self._store.load(_ACCOUNT, "authority")
            self._authority = None if stored is None else PublicKey.from_spki_der(stored)
        return self._authority

    def _former_authorities(self) -> tuple[PublicKey, ...]:
        if self._former is None:
            stored = self._store.load(_ACCOUNT, "former")
            try:
                keys = json.loads(stored) if stored else []
                self._former = tuple(PublicKey.from_spki_der(decode_b64(key)) for key in keys)
            except (ValueError, TypeError, FormatError) as exc:
                raise CorruptStateError("the stored keys of earlier authorities cannot be read") from exc
        return self._former

    def folder(self, file_id: FileId) -> FolderPin | None:
        """The pin of one folder."""
        self._load()
        return self._folders.get(file_id)

    def roots(self) -> list[FolderPin]:
        """Pins of all roots that were not deleted by a signed deletion."""
        self._load()
        return [pin for pin in self._folders.values() if pin.kind == "root" and pin.file_id not in self._deleted]

    def roots_at(self, path: str) -> list[FolderPin]:
        """Pins of all roots that were last seen at a clear path, also of those whose deletion was signed."""
        self._load()
        return [pin for pin in self._folders.values() if pin.kind == "root" and pin.path_hint == path]

    def root_path(self, file_id: FileId) -> str | None:
        """The clear path at which the root of a pinned folder was last seen."""
        self._load()
        pin = self._folders.get(file_id)
        while pin is not None and pin.parent_id is not None:
            pin = self._folders.get(pin.parent_id)
        return None if pin is None else pin.path_hint

    def hinted(self, path: str) -> FolderPin | None:
        """The pin of the folder that was last seen at a clear path; of several, the newest accepted."""
        self._load()
        found = self._folders.get(self._hints.get(path, FileId(0)))
        return None if found is None or found.file_id in self._deleted else found

    def at(self, parent_id: FileId, sealed_name: SealedName) -> FileId | None:
        """The nested folder that was accepted at a place."""
        self._load()
        return self._places.get((parent_id, sealed_name))

    def peers(self) -> dict[UserId, PeerPin]:
        """Keys of other people by user id; a copy."""
        self._load()
        return dict(self._peers)

    def owns(self, file_id: FileId) -> bool:
        """True when this device created the root."""
        self._load()
        return file_id in self._owned

    def owner(self, root_id: FileId) -> str | None:
        """Who owns a root, as the server said when it was first accepted: only this one lets a recovery key in."""
        stored = self._store.load(_OWNER, str(root_id))
        return None if stored is None else stored.decode()

    def is_deleted(self, file_id: FileId) -> bool:
        """True when a member signed the deletion of this root."""
        self._load()
        return file_id in self._deleted

    def metadata_keys(self, root_id: FileId) -> tuple[MetadataKey, ...]:
        """Every metadata key this device has met for a root, newest first; for nested folders left behind (A82)."""
        return tuple(reversed(self._keys_of(root_id)))

    # --- changing -----------------------------------------------------------------------------------------

    def rows_account(self, authority: PublicKey, former: Iterable[PublicKey] = ()) -> list[Row]:
        """Pin the authority, and the keys that handed over to it."""
        self._authority, self._former = authority, tuple(former)
        return [
            (_ACCOUNT, "authority", authority.spki_der),
            (_ACCOUNT, "former", json.dumps([encode_b64(key.spki_der) for key in self._former]).encode()),
        ]

    def rows_accepted(self, accepted: Accepted) -> list[Row]:
        """Everything one acceptance changes; empty when nothing is new."""
        self._load()
        rows: list[Row] = []
        pin = accepted.pin
        if self._folders.get(pin.file_id) != pin:
            rows += self.rows_folder(pin)
        for user, peer in accepted.new_peers.items():
            rows += self.rows_peer(user, peer)
        folder = accepted.folder
        if folder.kind == "root":
            rows += self.rows_metadata_key(folder)
            if accepted.transition.deleted and folder.file_id not in self._deleted:
                rows += self.rows_deleted(folder.file_id)
        return rows

    def rows_folder(self, pin: FolderPin) -> list[Row]:
        """Set the pin of one folder."""
        self._load()
        self._forget_indexes(pin.file_id)
        self._folders[pin.file_id] = pin
        self._index(pin)
        return [(_FOLDER, str(pin.file_id), pin.to_json())]

    def rows_forget_folders(self, file_ids: Iterable[FileId]) -> list[Row]:
        """Drop the pins of folders that a signed change of their parent removed, or that a person gave up."""
        self._load()
        rows: list[Row] = []
        for file_id in file_ids:
            if file_id in self._folders:
                self._forget_indexes(file_id)
                del self._folders[file_id]
                rows.append((_FOLDER, str(file_id), None))
            if file_id in self._deleted:
                self._deleted.discard(file_id)
                rows.append((_DELETED, str(file_id), None))
            if self.owner(file_id) is not None:
                rows.append((_OWNER, str(file_id), None))
        return rows

    def below(self, file_id: FileId) -> list[FileId]:
        """Ids of pinned folders below one folder, any depth."""
        self._load()
        children: dict[FileId, list[FileId]] = {}
        for pin in self._folders.values():
            if pin.parent_id is not None:
                children.setdefault(pin.parent_id, []).append(pin.file_id)
        found: list[FileId] = []
        queue = [file_id]
        while queue:
            for child in children.get(queue.pop(), []):
                found.append(child)
                queue.append(child)
        return found

    def rows_peer(self, user: UserId, pin: PeerPin | None) -> list[Row]:
        """Set or forget the pinned key of a person."""
        self._load()
        if pin is None:
            self._peers.pop(user, None)
            return [(_PEER, user, None)]
        self._peers[user] = pin
        value = {"key": pin.key_fingerprint, "first_seen": pin.first_seen, "verified": pin.verified}
        return [(_PEER, user, json.dumps(value).encode())]

    def rows_owned(self, file_id: FileId) -> list[Row]:
        """Remember that this account created a root."""
        self._load()
        self._owned.add(file_id)
        return [(_OWNED, str(file_id), b"1")]

    def rows_owner(self, root_id: FileId, owner_id: str) -> list[Row]:
        """Remember who owns a root; empty when somebody is known, so that the server cannot name another later."""
        return [] if self.owner(root_id) else [(_OWNER, str(root_id), owner_id.encode())]

    def rows_deleted(self, file_id: FileId) -> list[Row]:
        """Remember a signed deletion; the pin stays, so that old states of the root stay refused."""
        self._load()
        self._deleted.add(file_id)
        return [(_DELETED, str(file_id), b"1")]

    def rows_history_override(self, digest: str) -> list[Row]:
        """Remember that a person accepted a document whose key history was shortened."""
        self._load()
        self._overrides.add(digest)
        return [(_HISTORY, digest, b"1")]

    def rows_recovery(self, keys: Mapping[UserId, str]) -> list[Row]:
        """Set which recovery keys verified policies announce, by member id."""
        self._load()
        gone: list[Row] = [(_RECOVERY, user, None) for user in self._recovery.keys() - keys.keys()]
        self._recovery.clear()
        self._recovery.update(keys)
        return [*gone, *((_RECOVERY, user, value.encode()) for user, value in keys.items())]

    def rows_metadata_key(self, root: OpenFolder) -> list[Row]:
        """Remember the metadata key of a root; empty when it is the newest one known."""
        keys = self._keys_of(root.root_id)
        if keys and keys[-1] == root.metadata_key:
            return []
        checksum = key_checksum(root.metadata_key)
        others = [key for key in keys if key_checksum(key) != checksum]
        keys[:] = [*others[-(_KEYS_MAX - 1) :], root.metadata_key]
        return [(_KEYS, str(root.root_id), b"".join(key.reveal() for key in keys))]

    # --- memory -------------------------------------------------------------------------------------------

    def _keys_of(self, root_id: FileId) -> list[MetadataKey]:
        if root_id not in self._keys:
            stored = self._store.load(_KEYS, str(root_id)) or b""
            if len(stored) % MetadataKey.SIZE:
                raise CorruptStateError("the stored metadata keys cannot be read")
            self._keys[root_id] = [
                MetadataKey(stored[at : at + MetadataKey.SIZE]) for at in range(0, len(stored), MetadataKey.SIZE)
            ]
        return self._keys[root_id]

    def _load(self) -> None:
        if self._loaded:
            return
        for value in self._store.load_all(_FOLDER).values():
            pin = FolderPin.from_json(value)
            self._folders[pin.file_id] = pin
            self._index(pin)
        for user, value in self._store.load_all(_PEER).items():
            self._peers[check_user_id(user)] = _parse_peer(value)
        self._owned = {check_file_id(int(key)) for key in self._store.load_all(_OWNED)}
        self._deleted = {check_file_id(int(key)) for key in self._store.load_all(_DELETED)}
        self._overrides = set(self._store.load_all(_HISTORY))
        self._recovery = {UserId(user): value.decode() for user, value in self._store.load_all(_RECOVERY).items()}
        self._loaded = True

    def _index(self, pin: FolderPin) -> None:
        self._documents[pin.digest] = pin.file_id
        if pin.path_hint:
            self._hints[pin.path_hint] = pin.file_id
        if pin.kind == "root":
            for checksum in pin.key_checksums:
                self._checksums[checksum] = pin.file_id
        elif pin.parent_id is not None and pin.sealed_name is not None:
            self._places[pin.parent_id, pin.sealed_name] = pin.file_id

    def _forget_indexes(self, file_id: FileId) -> None:
        pin = self._folders.get(file_id)
        if pin is None:
            return
        if self._documents.get(pin.digest) == file_id:
            del self._documents[pin.digest]
        if self._hints.get(pin.path_hint) == file_id:
            del self._hints[pin.path_hint]
        if pin.parent_id is not None and pin.sealed_name is not None:
            self._places.pop((pin.parent_id, pin.sealed_name), None)


def _parse_peer(value: bytes) -> PeerPin:
    try:
        data = json.loads(value)
        return PeerPin(str(data["key"]), float(data["first_seen"]), bool(data["verified"]))
    except (ValueError, KeyError, TypeError) as exc:
        raise CorruptStateError("the stored key of a person cannot be read") from exc
