"""Ports of the client: the remote cloud, the state of this device, the key store; the local tree is in ``local``.

Layer: ``ports``; classes here are contracts, the docstrings are binding for every adapter and are tested by one
contract suite for all of them.

Paths: a *remote path* is an absolute path below the account's files, clear at the plain level and made of sealed names
inside an encrypted tree, "/" separated, no trailing slash, "/" alone is the home.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from candado.formats.canonjson import JsonObject
from candado.ports.local import LeftOut, LocalFile, LocalStat, LocalTree, Spool
from candado.ports.organisation import OrganisationRemote, RemoteRecovery
from candado.protocol.keylog import KeyLogAnswer
from candado.types import Counter, FileId, LockToken, SecretBytes, SecretText, UserId

__all__ = [
    "Body",
    "Capabilities",
    "Keychain",
    "LeftOut",
    "LinkFolder",
    "LinkRemote",
    "LocalFile",
    "LocalStat",
    "LocalTree",
    "PutResult",
    "RawMetadata",
    "Remote",
    "RemoteNode",
    "RemoteRecovery",
    "RemoteShare",
    "Spool",
    "StateStore",
    "UserInfo",
]

# --- the remote cloud -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server says it can do; a hint only, never a reason to lower a pinned guarantee."""

    product: str
    version: str
    e2ee_enabled: bool
    e2ee_api_version: str
    candado_version: int
    """0 on a stock server; our own server announces 1 or more."""
    nested_in_one_session: bool
    """A folder made under a lock can be written into under the same lock."""
    staged_chunks: bool
    """Chunked uploads are staged until the unlock like any other write."""
    chunk_bytes_max: int
    bodies_count_max: int = 0
    """How many small files one call of ``get_many`` may ask for; 0 where there is no such call."""
    bodies_bytes_max: int = 0
    """How many bytes of bodies one answer of it has at most."""
    revocation_list: bool = False
    """The server publishes which keys were revoked."""
    handovers: bool = False
    """The server tells to which key its authority was handed over."""
    rules_version: int = 0
    """Of the access rules of the server; 0 where there never were any, or it does not say."""
    client_rules: int = 0
    """Serial of the rules that the organisation signed for clients; 0 where there are none."""
    recovery: bool = False
    """The server tells which organisation's key and which recovery key it has, if any."""
    key_log: bool = False
    """The server logs the keys that it gives out, and proves it."""


@dataclass(frozen=True, slots=True)
class UserInfo:
    """The account as the server describes it; quotas in bytes, negative when unknown or unlimited."""

    user_id: UserId
    display_name: str
    quota_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class RemoteNode:
    """One file or folder of a listing."""

    path: str
    file_id: FileId
    is_folder: bool
    size_bytes: int
    """Of a file: bytes as stored. Of a folder: recursive size."""
    etag: str
    mtime_seconds: float
    is_encrypted: bool
    """Of a folder: its flag. Of a file: the flag of its folder."""
    permissions: str
    owner_id: str
    metadata_text: str | None = None
    """Folder metadata when it was asked for and there is one."""
    metadata_signature: str | None = None


@dataclass(frozen=True, slots=True)
class RawMetadata:
    """A metadata document exactly as the server sent it; not verified."""

    text: str
    signature: str | None


@dataclass(frozen=True, slots=True)
class PutResult:
    """What the server says of a stored file."""

    file_id: FileId | None
    etag: str


@dataclass(frozen=True, slots=True)
class RemoteShare:
    """One share with a user, or by link.

    A link is shared with ``s:`` and its ``token``; only it has a token, a label and maybe a password. ``last_day`` is
    the last day on which the share counts, YYYY-MM-DD in UTC, "" for no end.
    """

    share_id: str
    path: str
    owner_id: UserId
    share_with: UserId
    permissions: int
    file_id: FileId
    token: str = ""
    label: str = ""
    has_password: bool = False
    last_day: str = ""


@dataclass(frozen=True, slots=True)
class LinkFolder:
    """What the visitor of a link may know of the encrypted folder behind it; nothing of it is verified."""

    file_id: FileId
    permissions: int
    metadata: RawMetadata


class Body(Protocol):
    """The ciphertext of one upload, made while it is sent.

    ``chunks`` may be called once only: a retry makes a new body with a fresh key and nonce.
    """

    @property
    def size_bytes(self) -> int:
        """Exact number of bytes that ``chunks`` yields."""
        ...

    def chunks(self) -> AsyncIterator[bytes | memoryview]:
        """Yield the bytes in order. A yielded view is valid until the next one is asked for."""
        ...


class Remote(OrganisationRemote, Protocol):
    """One account on one server.

    Errors are those of ``candado.errors``: RemoteError when the server says no, TransportError when it cannot be
    reached, FormatError when its answer is not understood. No redirect is followed with credentials. Every method is
    safe to cancel. Idempotent reads are repeated a bounded number of times by the adapter; writes never are, except
    ``unlock`` and ``delete`` whose repetition is harmless. Every request carries ``X-E2EE-SUPPORTED: true``.
    """

    requests: int
    """Number of HTTP requests sent so far."""

    async def capabilities(self) -> Capabilities:
        """Ask for the capabilities."""
        ...

    async def user_info(self) -> UserInfo:
        """Ask who we are; AuthRequiredError when the password is wrong."""
        ...

    async def server_key(self) -> str:
        """PEM (SPKI) of the key that signs certificates."""
        ...

    async def certificates(self, users: Sequence[UserId]) -> dict[UserId, str]:
        """PEM certificates by user id; PeerWithoutKeysError or NoKeysError when one is missing."""
        ...

    async def revocation_list(self) -> str:
        """PEM of the signed list of revoked keys; NotFoundError where there is none."""
        ...

    async def handovers(self) -> list[str]:
        """Texts of the hand-overs of the authority, oldest first; at most 64."""
        ...

    async def key_log(self, users: Sequence[UserId], *, known_size: int) -> KeyLogAnswer:
        """What the server's log has on the keys of ``users``, for who knows it at a size; not verified.

        NotFoundError where there is no such log; RemoteError when it never had that size.
        """
        ...

    async def register_certificate(self, csr_pem: str, *, link: str = "") -> str:
        """Send a CSR, return the PEM certificate; KeysExistError when there is one already.

        With the token of an own ``link`` it is that of the link.
        """
        ...

    async def delete_certificate(self, password: SecretText) -> None:
        """Remove the own certificate; needs the login password."""
        ...

    async def private_key(self) -> str:
        """The wrapped private key; NoKeysError when there is none."""
        ...

    async def store_private_key(self, wrapped: str, *, link: str = "") -> None:
        """Store the wrapped private key, or that of an own ``link``; KeysExistError when there is one already."""
        ...

    async def list_folder(self, path: str, *, depth: int, with_metadata: bool = False) -> list[RemoteNode]:
        """The node itself first, then (depth 1) its children in no order; NotFoundError when absent."""
        ...

    async def metadata(self, file_id: FileId) -> RawMetadata:
        """Metadata of a folder; NotFoundError when there is none."""
        ...

    async def membership_steps(self, file_id: FileId, *, after: Counter) -> list[RawMetadata]:
        """Documents of a root above a counter that changed its members, oldest first; none where nobody keeps them."""
        ...

    async def mark_encrypted(self, file_id: FileId) -> None:
        """Set the encryption flag of an empty folder; FolderNotEmptyError when it is not empty."""
        ...

    async def lock(self, file_id: FileId, counter: Counter, *, resume: LockToken | None = None) -> LockToken:
        """Lock a folder and all below it; LockedError, CounterConflictError."""
        ...

    async def unlock(self, file_id: FileId, token: LockToken, *, abort: bool = False) -> None:
        """Make everything written under the token visible at once, or undo it all; LockLostError."""
        ...

    async def create_metadata(self, file_id: FileId, token: LockToken, text: str, signature: str) -> None:
        """First metadata of a folder; AlreadyExistsError when there is one; LockLostError."""
        ...

    async def update_metadata(self, file_id: FileId, token: LockToken, text: str, signature: str) -> None:
        """Next metadata of a folder; NotFoundError when there is none; LockLostError."""
        ...

    async def delete_metadata(self, file_id: FileId, token: LockToken) -> None:
        """Remove the metadata of a folder at the unlock."""
        ...

    async def put(
        self, path: str, body: Body, *, token: LockToken | None, mtime_seconds: float | None = None
    ) -> PutResult:
        """Store a file; above the chunking threshold through the chunked upload. QuotaExceededError, LockLostError."""
        ...

    async def put_bytes(
        self, path: str, data: bytes, *, token: LockToken | None, mtime_seconds: float | None = None
    ) -> PutResult:
        """Store a small file from memory (at most 1 MiB)."""
        ...

    async def get_many(self, folder: str, names: Sequence[str], sizes: Sequence[int]) -> list[bytes | None]:
        """Read small files of one folder in one request, within the bounds of the capabilities.

        Returns the bodies in the order of the names, None for each that the server did not send, for whatever reason:
        it has to be asked for alone. NotFoundError or RemoteError where there is no such call; MalformedError when a
        body does not have its size.
        """
        ...

    async def get_bytes(self, path: str, *, size_max: int) -> bytes:
        """Read a whole small file; LimitExceededError beyond ``size_max``."""
        ...

    def get(self, path: str, *, size_expected: int) -> AsyncIterator[bytes | memoryview]:
        """Yield at most 1 MiB at a time, a view until the next is asked for; MalformedError at another length."""
        ...

    async def make_folder(self, path: str, *, token: LockToken | None) -> FileId:
        """Create a folder; AlreadyExistsError."""
        ...

    async def move(self, source: str, target: str, *, token: LockToken | None) -> None:
        """Move a node without overwriting."""
        ...

    async def delete(self, path: str, *, token: LockToken | None) -> None:
        """Remove a node and all below it; of a received share only the share ends. Absent is success."""
        ...

    async def create_share(self, path: str, user: UserId, *, permissions: int, last_day: str = "") -> RemoteShare:
        """Share a folder with a user; 31 is everything, 1 is read-only."""
        ...

    async def create_link(
        self, path: str, *, permissions: int, password: SecretText | None, last_day: str, label: str
    ) -> RemoteShare:
        """Make a link; 1 is for reading, 4 for uploads only."""
        ...

    async def list_shares(self, path: str | None) -> list[RemoteShare]:
        """Shares by us of one node, or of all, with users and by link."""
        ...

    async def delete_share(self, share_id: str) -> None:
        """End a share."""
        ...

    async def delete_app_password(self) -> None:
        """Revoke the app password this device uses; silently does nothing when the server does not know it."""
        ...

    async def close(self) -> None:
        """Release the connections."""
        ...


class LinkRemote(Remote, Protocol):
    """The visitor of one link on one server: a ``Remote`` whose home is what the link leads to.

    What only accounts have is refused with AuthRequiredError or ForbiddenError.
    """

    async def link_folder(self) -> LinkFolder:
        """The encrypted folder of the link; NotFoundError when the link is for a plain one."""
        ...

    async def add_drops(self, file_id: FileId, drops: JsonObject) -> None:
        """Hand in the entries of files whose bodies were stored; PreconditionFailedError while somebody writes."""
        ...


# --- the state of this device ------------------------------------------------------------------------


class StateStore(Protocol):
    """Durable, authenticated state of one account on one device.

    A row belongs to a *space* (such as ``pin``, ``agreed/PAIR``, ``session``, ``issue``) and has a text key. Values are
    bytes; they are authenticated, and sealed when ``secret``. Reading a row that was altered, swapped with another row
    or moved to another space raises CorruptStateError. ``commit`` is atomic: all rows or none, durable on return.
    """

    def load(self, space: str, key: str) -> bytes | None:
        """One value or None."""
        ...

    def load_all(self, space: str) -> dict[str, bytes]:
        """All values of a space."""
        ...

    def commit(self, changes: Iterable[tuple[str, str, bytes | None]], *, durable: bool = True) -> None:
        """Write (space, key, value) rows in one transaction; None deletes.

        With durable=False a power cut may lose it, never half of it.
        """
        ...

    def close(self) -> None:
        """Close the store."""
        ...


class Keychain(Protocol):
    """Where the one secret of this device lives that seals all others: OS keyring, passphrase file, plain file."""

    kind: str
    """``keyring``, ``passphrase`` or ``file``."""

    def load(self) -> SecretBytes | None:
        """The 32-byte device secret or None; WrongPassphraseError."""
        ...

    def store(self, secret: SecretBytes) -> None:
        """Keep the secret."""
        ...

    def delete(self) -> None:
        """Forget it; harmless when absent."""
        ...
