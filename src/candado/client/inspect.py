"""What there is to see: who we are, how this device stands, and what an administrator of the server can read.

Layer: ``client``; reads only.
"""

import re
from dataclasses import dataclass
from typing import Final

from candado.client.account import Account
from candado.client.lock import LeftLock, left_locks
from candado.client.reader import FolderReader
from candado.client.transparency import known_log
from candado.client.view import FolderView, root_deleted
from candado.crypto.x509 import fingerprint_words
from candado.errors import DowngradeError
from candado.folder.escrow import is_recovery_id
from candado.types import FileId, UserId

__all__ = ["RootStatus", "ServerLine", "ServerView", "Status", "WhoAmI", "server_view", "status", "whoami"]

_SEALED_FORMS: Final = re.compile(r"(?:[0-9a-f]{32}|E2EE[0-9A-F]{32}|[A-Za-z0-9]{20})\Z")
_CLEAR_CHARS_MIN: Final = 6
_TEXT_CHARS: Final = re.compile(r"[A-Za-z0-9+/=]*\Z")
"""A clear name that is short, or made only of what base64 is made of, occurs by chance and proves nothing."""


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """This account on this device.

    ``fingerprint`` and ``words`` are empty before ``init``; quotas as the server says.
    """

    user_id: UserId
    display_name: str
    server_url: str
    device_name: str
    fingerprint: str
    words: str
    quota_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class RootStatus:
    """One root this device knows: last accepted counter and digest (the *state line* that members can compare).

    ``recovery_keys`` are the recovery keys in it, which are no people and not among ``members``.
    """

    path: str
    file_id: FileId
    counter: int
    digest: str
    signer: UserId
    members: tuple[UserId, ...]
    owned: bool
    must_rotate: bool
    recovery_keys: tuple[UserId, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """How this device stands; nothing is asked of the server."""

    user_id: UserId
    server_url: str
    device_name: str
    keychain: str
    has_keys: bool
    roots: tuple[RootStatus, ...]
    left_locks: tuple[LeftLock, ...]
    open_issues: int
    key_log_size: int | None = None
    """Records in the server's log of keys when this device last followed it; None where it has met none."""


@dataclass(frozen=True, slots=True)
class ServerLine:
    """One thing the server stores: the path it knows, sizes in bytes, time in seconds since the epoch."""

    path: str
    is_folder: bool
    size_bytes: int
    mtime_seconds: float
    metadata_bytes: int


@dataclass(frozen=True, slots=True)
class ServerView:
    """Everything an administrator can read of a root. ``clear_names`` were looked for in all of it and not found."""

    path: str
    owner_id: str
    members: tuple[UserId, ...]
    lines: tuple[ServerLine, ...]
    clear_names: int


async def whoami(account: Account) -> WhoAmI:
    """Who we are, as the server and this device say; AuthRequiredError when the password is not accepted any more."""
    info = await account.remote.user_info()
    identity = account.identity
    value = "" if identity is None else identity.key.public.fingerprint_hex
    return WhoAmI(
        account.user_id,
        info.display_name,
        account.server_url,
        account.device_name,
        value,
        fingerprint_words(value) if value else "",
        info.quota_bytes,
        info.used_bytes,
    )


def status(account: Account) -> Status:
    """What this device knows: roots, locks of interrupted sessions, open issues."""
    roots = tuple(
        RootStatus(
            pin.path_hint,
            pin.file_id,
            pin.counter,
            pin.digest,
            pin.signer,
            tuple(user for user in pin.members if not is_recovery_id(user)),
            account.book.owns(pin.file_id),
            pin.must_rotate,
            tuple(user for user in pin.members if is_recovery_id(user)),
        )
        for pin in sorted(account.book.roots(), key=lambda pin: pin.path_hint)
    )
    issues = [issue for issue in account.issues() if issue.severity != "notice"]
    point = known_log(account) if account.identity is not None else None
    return Status(
        account.user_id,
        account.server_url,
        account.device_name,
        account.keychain.kind,
        account.identity is not None,
        roots,
        tuple(left_locks(account)),
        len(issues),
        None if point is None else point.size,
    )


async def server_view(account: Account, path: str) -> ServerView:
    """What the server stores of a root and everything below it, taken from its own answers, not decrypted.

    The clear names are read the ordinary way and then looked for in every path and document the server has shown.

    Raises:
        DowngradeError: ``name.clear``: a name inside is not sealed, or a clear name occurs in what the server stores.
        NotEncryptedError: it is a plain folder.
    """
    reader = FolderReader(account)
    root = await reader.open_root(path)
    if root.deleted:
        raise root_deleted(root, account.user_id)
    assert root.folder is not None
    tree = await reader.walk(root)
    lines: list[ServerLine] = []
    documents: list[str] = []
    for view in tree.folders.values():
        for node in await account.remote.list_folder(view.remote_path, depth=1, with_metadata=True):
            if node.path != view.remote_path:
                _check_sealed(account, root, node.path)
            text = node.metadata_text or ""
            if node.path == view.remote_path or not node.is_folder:
                lines.append(ServerLine(node.path, node.is_folder, node.size_bytes, node.mtime_seconds, len(text)))
                documents.append(f"{node.path.removeprefix(root.path)}\n{text}")
    names = {entry.name for entry in tree.entries()}
    stored = "\n".join(documents)
    for name in names:
        if len(name) >= _CLEAR_CHARS_MIN and not _TEXT_CHARS.match(name) and name in stored:
            raise _clear(account, root, "The server stores a clear name of something inside the folder.")
    members = tuple(member.user_id for member in root.folder.members)
    owner = "" if root.node is None else root.node.owner_id
    return ServerView(root.path, owner, members, tuple(sorted(lines, key=lambda line: line.path)), len(names))


def _check_sealed(account: Account, root: FolderView, path: str) -> None:
    if not _SEALED_FORMS.match(path.rpartition("/")[2]):
        raise _clear(account, root, "Something inside the folder has a name that is not sealed.")


def _clear(account: Account, root: FolderView, message: str) -> DowngradeError:
    error = DowngradeError("name.clear", message, path=root.path)
    account.record_refusal(error, path=root.path, file_id=root.file_id)
    return error
