"""Access again after all keys were lost: asking for it, and taking what the recovery key gave.

Layer: ``client``; on the user's new device, with new keys. Taking it is an ordinary session: the root is opened with
the metadata key that was given, and the next state, under another key and with every nested folder sealed anew, lists
this account with its new certificate and is signed by it. A run that was cut is repeated.

Source: threat model, B14; ``docs/spec/recovery.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from candado.client.account import Account
from candado.client.handed import rows_handed
from candado.client.reader import FolderReader
from candado.client.recovery import refresh_quietly
from candado.client.session import WriteSession
from candado.client.transfer import Progress
from candado.client.view import clear_path
from candado.crypto.keywrap import unwrap_key
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import parse_certificate
from candado.errors import (
    CandadoError,
    CryptoError,
    FormatError,
    NotAMemberError,
    NotEncryptedError,
    NotFoundError,
    OpenFailedError,
    TransportError,
    UntrustedCertificateError,
    UsageError,
)
from candado.folder.members import add_member
from candado.folder.model import HandedKey, RawText
from candado.folder.recoveryrecords import recovery_user_id
from candado.folder.regrants import GrantedRoot, Regrant, Request, RequestedRoot, sign_request
from candado.formats.metadata import parse_sealed
from candado.ports.client import RemoteNode
from candado.types import MetadataKey

__all__ = ["Restored", "apply_regrant", "make_request"]

_LOST: Final = "own.cert-mismatch"


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of one root; ``folders`` were sealed anew, 0 when access was there already or there is an error."""

    path: str
    folders: int
    error: CandadoError | None = None


# --- asking -----------------------------------------------------------------------------------------------


async def make_request(account: Account, paths: Sequence[str]) -> tuple[Request, str]:
    """The request for the encrypted folders at ``paths``, or for all that the server shows; and its text.

    Folders that this account opens with its present key, and those without a recovery key, are left out.

    Raises:
        NotFoundError: nothing is left to ask for, or there is nothing at a path. NotEncryptedError.
    """
    identity = account.require_identity()
    if paths:
        nodes = [(await account.remote.list_folder(clear_path(path), depth=0))[0] for path in paths]
        for node in nodes:
            if not node.is_encrypted:
                raise NotEncryptedError(path=node.path)
    else:
        nodes = await _encrypted_below(account, "/")
    roots: list[RequestedRoot] = []
    for node in nodes:
        try:
            raw = await account.remote.metadata(node.file_id)
        except NotFoundError:
            continue  # its set-up was not finished
        if _is_lost(account, raw.text):
            roots.append(RequestedRoot(node.file_id, node.path, RawText(raw.text, raw.signature)))
    if not roots:
        raise NotFoundError(
            "There is no folder here that has a recovery key and that this account cannot open.",
            advice="For folders without a recovery key ask their owner to take you out and share them with you again.",
        )
    request = Request(
        account=account.user_id,
        server=account.server_url,
        certificate=identity.certificate,
        authority=account.pins().authority,
        created=int(account.clock.now()),
        roots=tuple(roots),
    )
    return request, sign_request(request, identity.key)


async def _encrypted_below(account: Account, path: str) -> list[RemoteNode]:
    found: list[RemoteNode] = []
    waiting = [path]
    while waiting:
        for node in (await account.remote.list_folder(waiting.pop(), depth=1))[1:]:
            if node.is_folder and node.is_encrypted:
                found.append(node)
            elif node.is_folder:
                waiting.append(node.path)
    return sorted(found, key=lambda node: node.path)


def _is_lost(account: Account, text: str) -> bool:
    """Whether a document lists this account under another key, and a recovery key; False for what cannot be read."""
    own, recovery = False, False
    try:
        for user in parse_sealed(text).users or ():
            key = parse_certificate(user.certificate_pem).public_key
            own = own or (user.user_id == account.user_id and key != account.require_identity().key.public)
            recovery = recovery or user.user_id == recovery_user_id(key)
    except (FormatError, CryptoError):
        return False
    return own and recovery


# --- taking -----------------------------------------------------------------------------------------------


async def apply_regrant(account: Account, regrant: Regrant, *, progress: Progress | None = None) -> list[Restored]:
    """Become a member again of every root of a re-grant, under this account's new key.

    Raises:
        UsageError: it was made for another account or another key.
        TransportError: the server could not be reached; what was done stays, the same call goes on.
    """
    identity = account.require_identity()
    if regrant.account != account.user_id or regrant.new_key != identity.key.public.fingerprint_hex:
        raise UsageError(
            "this was made for another account or for another key",
            path=regrant.account,
            advice="Ask again with `candado recovery request` on this device.",
        )
    await refresh_quietly(account, fresh=True)
    reader = FolderReader(account)
    results: list[Restored] = []
    for root in regrant.roots:
        try:
            folders = await _restore(reader, regrant.public_key, root, progress)
        except TransportError:
            raise
        except CandadoError as error:
            error.path = error.path or root.path
            results.append(Restored(root.path, 0, error))
            continue
        results.append(Restored(root.path, folders))
        _settle(account, root)
    return results


def _settle(account: Account, root: GrantedRoot) -> None:
    """What this device refused of the root while its old key was lost is settled."""
    for issue in account.issues():
        if issue.file_id == root.file_id and issue.code == _LOST:
            account.issue_book.dismiss(issue.issue_id)


async def _restore(reader: FolderReader, recovery: PublicKey, root: GrantedRoot, progress: Progress | None) -> int:
    account = reader.account
    identity = account.require_identity()
    path = await _path_of(account, root)
    users = parse_sealed((await account.remote.metadata(root.file_id)).text).users or ()
    keys = {user.user_id: parse_certificate(user.certificate_pem).public_key for user in users}
    if keys.get(account.user_id) == identity.key.public:
        await reader.open_root(path)  # written by a run that was cut before it could say so
        account.store.commit(rows_handed(root.file_id, None))
        return 0
    if keys.get(recovery_user_id(recovery)) != recovery:
        raise UntrustedCertificateError("The recovery key that gave this is not a member of the folder.", path=path)
    try:
        handed = HandedKey(MetadataKey(unwrap_key(identity.key, root.wrapped_key)), root.former_key)
    except OpenFailedError as exc:
        raise NotAMemberError("What was given for this folder does not open with this key.", path=path) from exc
    account.store.commit(rows_handed(root.file_id, handed))
    async with WriteSession(reader, path, progress=progress) as session:
        session.rows += rows_handed(root.file_id, None)
        await session.rekey(lambda state, new_key: add_member(state, identity.certificate, new_key))
    return len(session.written)


async def _path_of(account: Account, root: GrantedRoot) -> str:
    """Where the root is now; it may have another name than when it was asked for."""
    try:
        node = (await account.remote.list_folder(root.path, depth=0))[0]
    except NotFoundError:
        node = None
    if node is not None and node.file_id == root.file_id:
        return node.path
    for other in await _encrypted_below(account, "/"):
        if other.file_id == root.file_id:
            return other.path
    raise NotFoundError("The folder is not there any more.", path=root.path, advice="Ask its owner.")
