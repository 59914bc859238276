"""Sharing a root with a person, and taking it back.

Layer: ``client``. Sharing is two steps that the server does not couple: the folder's metadata (new member, new
metadata key, every nested folder sealed anew, in one session) and the share itself. The metadata goes first, so that
a person never sees a folder that cannot be opened; when the share is then refused, the person is taken out of the
metadata again under another new key. Taking back goes the same way: first nothing new can be read, then the share
ends. Both may be repeated after an interruption and finish what is missing.
"""

from dataclasses import dataclass

from candado.client.account import Account
from candado.client.ends import remember_ends
from candado.client.reader import FolderReader
from candado.client.revocation import require_unrevoked, revoked_keys
from candado.client.session import WriteSession
from candado.client.transfer import Progress
from candado.client.transparency import require_logged
from candado.client.trust import Fingerprint, known_peers, peer_certificate
from candado.client.view import FolderView, root_deleted
from candado.crypto.x509 import Certificate
from candado.errors import (
    CandadoError,
    KeyRevokedError,
    NotFoundError,
    PeerWithoutKeysError,
    UntrustedCertificateError,
    UsageError,
)
from candado.folder.escrow import is_recovery_id
from candado.folder.members import add_member, remove_member
from candado.formats.linkaddress import LINK_PREFIX
from candado.ports.client import RemoteShare
from candado.types import UserId

__all__ = ["Share", "ShareReport", "UnshareReport", "list_shares", "share", "unshare"]

_ALL = 31
_READ = 1


@dataclass(frozen=True, slots=True)
class ShareReport:
    """What sharing did: whose key was used, whether it was compared, how many folders were sealed anew."""

    path: str
    user_id: UserId
    fingerprint: Fingerprint
    read_only: bool
    rekeyed_folders: int
    was_member: bool
    is_logged: bool = False
    """Whether the server's log has the key; False on a server that keeps none."""


@dataclass(frozen=True, slots=True)
class UnshareReport:
    """What taking back did, and what it cannot do.

    ``readable_files`` is the number of files whose present content the person could have kept: their keys change
    when they are written anew. Nothing that is written from now on can be read by the person.
    """

    path: str
    user_id: UserId
    was_member: bool
    had_share: bool
    rekeyed_folders: int
    readable_files: int


@dataclass(frozen=True, slots=True)
class Share:
    """One person of one root: who can open it (``member``), whom the server lets in (``shared``), how well known.

    The server lists shares to the owner alone: in a folder of somebody else ``shared`` and ``read_only`` are None. A
    link is listed by its member id ``s:TOKEN``; one for uploads is no member. ``last_day`` is the last day of the
    share, YYYY-MM-DD.
    """

    path: str
    user_id: UserId
    is_owner: bool
    member: bool
    shared: bool | None
    read_only: bool | None
    verified: bool
    first_seen: float | None
    last_day: str = ""
    is_drop: bool = False

    @property
    def is_link(self) -> bool:
        """Whether this is everybody who has a link, instead of a person."""
        return self.user_id.startswith(LINK_PREFIX)

    @property
    def is_recovery(self) -> bool:
        """Whether this is the recovery key of an organisation, instead of a person."""
        return is_recovery_id(self.user_id)


async def share(
    account: Account,
    path: str,
    user_id: UserId,
    *,
    read_only: bool = False,
    last_day: str = "",
    require_verified: bool = False,
    progress: Progress | None = None,
) -> ShareReport:
    """Let a person read (and, unless ``read_only``, write) a root and everything below it.

    Read-only and the end (``last_day``, YYYY-MM-DD in UTC, "" for none) are enforced by the server; this device takes
    the person out of the members with its first write after the end.

    Raises:
        PeerWithoutKeysError: the person has not set up end-to-end encryption; nothing was changed.
        KeyChangedError, UntrustedCertificateError: the person's key is not acceptable; nothing was changed.
        KeyUnloggedError, TamperError: the server's log lacks the key, or is not one log; nothing was changed.
        KeyRevokedError: it was revoked, or that of a member, who has to be taken out first; nothing was changed.
        NotEncryptedError: not the top of an encrypted folder.
        RemoteError: the server refused the share; the person was taken out of the metadata again.
    """
    if is_recovery_id(user_id):
        raise UsageError("this is a recovery key, not a person", advice="Use `candado recovery accept FOLDER`.")
    if user_id == account.user_id:
        raise UsageError("a folder cannot be shared with oneself")
    reader = FolderReader(account)
    root = await _root(reader, path)
    revoked = await revoked_keys(account)
    certificate = await _unrevoked_certificate(account, user_id, revoked)
    assert root.folder is not None
    logged = await require_logged(account, user_id, certificate.public_key.fingerprint_hex)
    # A new member comes with a new key of the folder, which everybody in it is given.
    require_unrevoked(root.folder.members, revoked, root.path)
    if require_verified and not _known(account, user_id).verified:
        raise UntrustedCertificateError(f"The key of {user_id} was not compared with the person yet.")
    wanted = _READ if read_only else _ALL
    shares = [item for item in await account.remote.list_shares(root.path) if item.share_with == user_id]
    member = root.folder.member(user_id)
    was_member = member is not None and member.key_fingerprint == certificate.public_key.fingerprint_hex
    folders = 0
    if not was_member:
        async with WriteSession(reader, root.path, progress=progress) as session:
            await session.rekey(lambda state, key: add_member(state, certificate, key))
        folders = len(session.written)
    try:
        await _set_share(account, root.path, user_id, wanted, shares, last_day)
    except CandadoError:
        if not was_member:
            async with WriteSession(reader, root.path) as undo:
                await undo.rekey(lambda state, key: remove_member(state, user_id, key))
        raise
    if last_day:
        remember_ends(account, root.file_id, await account.remote.list_shares(root.path))
    shown = _known(account, user_id)
    return ShareReport(root.path, user_id, shown, read_only, folders, was_member, logged)


async def _unrevoked_certificate(account: Account, user_id: UserId, revoked: frozenset[str]) -> Certificate:
    try:
        certificate = await peer_certificate(account, user_id)
    except PeerWithoutKeysError as error:
        # Our own server gives nobody a certificate that was revoked.
        pin = account.book.peers().get(user_id)
        if pin is None or pin.key_fingerprint not in revoked:
            raise
        raise KeyRevokedError(f"The key of {user_id} was revoked.") from error
    if certificate.public_key.fingerprint_hex in revoked:
        raise KeyRevokedError(f"The key of {user_id} was revoked.")
    return certificate


async def _set_share(
    account: Account, path: str, user_id: UserId, permissions: int, existing: list[RemoteShare], last_day: str
) -> None:
    fitting = [item for item in existing if (item.permissions, item.last_day) == (permissions, last_day)]
    for item in existing:
        if item not in fitting:
            await account.remote.delete_share(item.share_id)
    if not fitting:
        await account.remote.create_share(path, user_id, permissions=permissions, last_day=last_day)


async def unshare(account: Account, path: str, user_id: UserId, *, progress: Progress | None = None) -> UnshareReport:
    """Take a root back from a person: new metadata key for everything, then the end of the share.

    Raises:
        NotFoundError: the folder is not shared with this person.
        UsageError: the owner or the account itself was named.
    """
    if user_id.startswith(LINK_PREFIX):
        raise UsageError("this is a link, not a person", advice="Use `candado link revoke`.")
    if is_recovery_id(user_id):
        raise UsageError("this is a recovery key, not a person", advice="Use `candado recovery drop FOLDER`.")
    if user_id == account.user_id:
        raise UsageError("nobody can be taken out by oneself", advice="Ask the owner of the folder to do it.")
    reader = FolderReader(account)
    root = await _root(reader, path)
    assert root.folder is not None
    if user_id == _owner(root):
        raise UsageError("the owner cannot be taken out of a folder", path=root.path)
    was_member = root.folder.member(user_id) is not None
    shares = [item for item in await account.remote.list_shares(root.path) if item.share_with == user_id]
    if not was_member and not shares:
        raise NotFoundError(f"The folder is not shared with {user_id}.", path=root.path)
    folders = files = 0
    if was_member:
        async with WriteSession(reader, root.path, progress=progress) as session:
            await session.rekey(lambda state, key: remove_member(state, user_id, key))
        folders = len(session.written)
        files = sum(len(folder.files) for folder in session.written)
    for item in shares:
        await account.remote.delete_share(item.share_id)
    return UnshareReport(root.path, user_id, was_member, bool(shares), folders, files)


async def list_shares(account: Account, path: str | None = None) -> list[Share]:
    """Who can open which root, and whom the server lets in; the two are compared, as nobody else does it.

    ``path`` None means every root in the home folder that this account owns.
    """
    reader = FolderReader(account)
    if path is None:
        owned = [entry for entry in await reader.roots() if entry.owner_id == account.user_id]
        roots = [entry.path for entry in owned if not account.book.is_deleted(entry.file_id)]
    else:
        roots = [path]
    found: list[Share] = []
    for root_path in roots:
        root = await _root(reader, root_path)
        assert root.folder is not None
        owner = _owner(root)
        is_ours = owner == account.user_id
        listed = await account.remote.list_shares(root.path) if is_ours else []
        if is_ours:
            remember_ends(account, root.file_id, listed)
        shares = {item.share_with: item for item in listed}
        members = {member.user_id for member in root.folder.members} - {account.user_id}
        peers = account.book.peers()
        for user_id in sorted(members | shares.keys()):
            pin, item = peers.get(user_id), shares.get(user_id)
            found.append(
                Share(
                    root.path,
                    user_id,
                    user_id == owner,
                    user_id in members,
                    item is not None if is_ours else None,
                    item is not None and item.permissions == _READ if is_ours else None,
                    pin is not None and pin.verified,
                    None if pin is None else pin.first_seen,
                    "" if item is None else item.last_day,
                    item is not None and not item.permissions & _READ,
                )
            )
    return found


def _owner(root: FolderView) -> str:
    """Who owns a root, as the server says."""
    return "" if root.node is None else root.node.owner_id


async def _root(reader: FolderReader, path: str) -> FolderView:
    root = await reader.open_root(path)
    if root.deleted:
        raise root_deleted(root, reader.account.user_id)
    return root


def _known(account: Account, user_id: UserId) -> Fingerprint:
    return next(item for item in known_peers(account) if item.user_id == user_id)
