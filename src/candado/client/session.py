"""Writing: one lock, many files, one metadata write per touched folder, one unlock, everything read back.

Layer: ``client``. Use as a context manager::

    async with WriteSession(reader, "/Secret") as session:
        await session.put_files([UploadItem("/Secret/a.txt", source)])
        await session.move("/Secret/b.txt", "/Secret/c.txt")

Leaving the block commits; an exception in it undoes everything on the server. What was written shows up for
everybody at one moment, or not at all. A device never holds two locks: sessions of one account wait for each other.

A session covers the folder it locks and all below. On a server without our extensions a folder that is made in a
session can be filled only in the next one (``one_session`` is False then).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from candado.client import commit
from candado.client.account import Account
from candado.client.draft import Draft
from candado.client.drafts import Drafts
from candado.client.items import PER_FILE_ERRORS, UploadItem, Written
from candado.client.lock import Lock, recover_locked, recover_sessions
from candado.client.pins import Row
from candado.client.reader import FolderReader
from candado.client.transfer import Progress, SealedUpload, Source, copy_body, upload
from candado.client.view import FolderView, RemoteEntry, clear_path, join
from candado.errors import (
    AlreadyExistsError,
    CandadoError,
    MisuseError,
    TamperError,
)
from candado.folder.members import MembershipChange, rotate_key
from candado.folder.model import Member, OpenFolder
from candado.ports.client import RemoteNode
from candado.protocol import edit
from candado.types import Counter, FileId, LockToken, MetadataKey, SealedName, check_sealed_name

__all__ = ["PER_FILE_ERRORS", "UploadItem", "WriteSession", "Written", "recover_sessions"]

_PATIENCE_SECONDS: Final = 120.0
_TRANSFERS: Final = 16
_CHUNKED_ABOVE_BYTES: Final = 50 * 1024 * 1024
"""Bodies above this may travel in chunks, which a server without our extensions does not stage."""


class WriteSession:
    """One write session on the folder at ``scope`` and everything below it.

    Args:
        reader: of the account.
        scope: clear path of an encrypted folder: the deepest one that holds all changes. The root is locked instead
            when it needs a new metadata key first.
        transfers: bodies under way at once.
        progress: told how far each file is.
        patience_seconds: how long to wait for a lock that somebody else holds.
    """

    def __init__(
        self,
        reader: FolderReader,
        scope: str,
        *,
        transfers: int = _TRANSFERS,
        progress: Progress | None = None,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self.account: Account = reader.account
        self.reader = reader
        self.scope = clear_path(scope)
        self.rows: list[Row] = []
        """Rows that are committed together with the pins of this session, once it is confirmed."""
        self.views: dict[str, FolderView] = {}
        """After the session: the folders it touched, by clear path, as the server shows them now."""
        self.one_session = True
        self._transfers = transfers
        self._progress = progress
        self._patience_seconds = patience_seconds
        self._drafts = Drafts(reader)
        self._create: tuple[RemoteNode, Member] | None = None
        self._locked: Lock | None = None
        self._change: MembershipChange | None = None
        self._stages_chunks = True
        self._made: list[FileId] = []
        self._forgotten: set[FileId] = set()
        self._relocated: dict[FileId, FileId] = {}
        self._writes: list[commit.PendingWrite] = []

    @classmethod
    def create_root(
        cls, reader: FolderReader, node: RemoteNode, *, progress: Progress | None = None, transfers: int = _TRANSFERS
    ) -> Self:
        """A session that writes the first metadata of an empty folder already marked as encrypted; we are its member.

        MisuseError when this device has ever seen metadata of that folder: writing it anew would destroy all file
        keys.
        """
        if reader.account.book.folder(node.file_id) is not None:
            raise MisuseError("a folder whose metadata was seen is never set up again", path=node.path)
        identity = reader.account.require_identity()
        session = cls(reader, node.path, progress=progress, transfers=transfers)
        session._create = (node, Member(identity.user_id, identity.certificate))
        return session

    # --- the context manager --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.account.write_lock.acquire()
        try:
            await recover_locked(self.account)
            capabilities = await self.account.capabilities()
            self.one_session = capabilities.nested_in_one_session
            self._stages_chunks = capabilities.staged_chunks
            await self._open()
        except BaseException:
            self.account.write_lock.release()
            raise
        return self

    async def _open(self) -> None:
        """Lock, then read what was locked: nothing that was read before the lock is written back."""
        if self._create is not None:
            node, _ = self._create
            file_id, counter = node.file_id, Counter(1)
        else:
            self.scope, file_id, counter = await self._drafts.locate(self.scope)
        self._locked = Lock(self.account, file_id, self.scope, self, patience_seconds=self._patience_seconds)
        await self._locked.acquire(counter)
        try:
            if self._create is not None:
                self._drafts.create(self._create[0])
                self._change = self._first_members(self._create[1])
            else:
                await self._drafts.open(self.scope, file_id)
        except BaseException as error:
            await self._locked.abort(error)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lock = self._lock
        try:
            if error is not None:
                await lock.abort(error)
                return
            try:
                await self._rotate_if_owed()
            except BaseException as fault:
                await lock.abort(fault)
                raise
            if self._change is None and not any(draft.changed for draft in self._drafts.all()):
                # Nothing to write: the lock is given back without a new state.
                await lock.abort(MisuseError("nothing to write"))
                return
            await lock.commit()
        finally:
            self.account.write_lock.release()

    # --- files ------------------------------------------------------------------------------------------------

    async def put_files(self, items: Sequence[UploadItem]) -> list[Written | CandadoError]:
        """Upload many files, several at once; results in the order of ``items``.

        A fault of one file (it changed while it was read, vanished, is refused by a rule, has an impossible name) is
        returned in its place and the others go on; the file is left out of the folder. Everything else is raised:
        QuotaExceededError, LockLostError, TransportError, TamperError.
        """

        async def one(item: UploadItem) -> Written | CandadoError:
            try:
                return await self.put_file(item.path, item.source, replace=item.replace)
            except PER_FILE_ERRORS as error:
                error.path = error.path or item.path
                return error

        return await commit.bounded(one, items, self._transfers)

    async def put_file(self, path: str, source: Source, *, replace: bool = False) -> Written:
        """Upload one file; see ``put_files`` for many.

        Raises:
            AlreadyExistsError: the name is taken by a folder, or by a file and ``replace`` is False.
            NotFoundError: there is no such folder.
            FileChangedError: the file changed while it was read; it is left out.
        """

        async def send(remote_path: str) -> SealedUpload:
            return await upload(
                self.account, source, remote_path, token=self._lock.token, path=path, progress=self._progress
            )

        return await self._store(path, send, may_replace=replace)

    async def copy_files(self, items: Sequence[tuple[RemoteEntry, str]]) -> list[Written | CandadoError]:
        """Copy many remote files to the paths beside them; faults of one file as in ``put_files``."""

        async def one(item: tuple[RemoteEntry, str]) -> Written | CandadoError:
            try:
                return await self.copy_file(*item)
            except PER_FILE_ERRORS as error:
                error.path = error.path or item[1]
                return error

        return await commit.bounded(one, items, self._transfers)

    async def copy_file(self, entry: RemoteEntry, path: str) -> Written:
        """Copy a remote file to ``path``, sealed under a fresh key; nothing is overwritten. OpenFailedError."""

        async def send(remote_path: str) -> SealedUpload:
            return await copy_body(self.account, entry, remote_path, token=self._lock.token, progress=self._progress)

        return await self._store(path, send, may_replace=False)

    async def _store(self, path: str, send: Callable[[str], Awaitable[SealedUpload]], *, may_replace: bool) -> Written:
        parent, name = await self._drafts.parent(path)
        self._check_fillable(parent)
        taken = parent.names.get(name)
        if taken is None or taken in parent.folders or not (may_replace or parent.is_missing(name)):
            parent.check_free(name)
        if name in parent.reserved:
            raise AlreadyExistsError(path=path)
        before = None if taken is None else parent.files[taken]
        # Without staging of chunks a big body goes under a new name, so that the old one stays whole until the commit.
        sealed = taken if taken is not None and self._stages_chunks else self._new_name()
        parent.reserved.add(name)
        try:
            sent = await send(join(parent.remote_path, sealed))
            if taken is not None and taken != sealed:
                await self.account.remote.delete(join(parent.remote_path, taken), token=self._lock.token)
                parent.drop(name)
        finally:
            parent.reserved.discard(name)
        entry = parent.add_file(name, sealed, sent, before)
        return Written(path, sealed, entry, sent.size_bytes, sent.mtime_ns, sent.result.file_id, sent.result.etag)

    # --- folders and names --------------------------------------------------------------------------------------

    async def add_folder(self, path: str) -> None:
        """Make a nested folder; an unfinished one of that name is replaced. AlreadyExistsError, NotFoundError.

        When ``one_session`` is False nothing can be put into it before the next session.
        """
        parent, name = await self._drafts.parent(path)
        self._check_fillable(parent)
        if name in parent.names and parent.is_unfinished(name):
            await self._remove_from(parent, name)
        parent.check_free(name)
        sealed = self._new_name()
        remote_path = join(parent.remote_path, sealed)
        parent.reserved.add(name)
        try:
            file_id = await self.account.remote.make_folder(remote_path, token=self._lock.token)
            if self.one_session:
                await self.account.remote.mark_encrypted(file_id)
            else:
                self._made.append(file_id)
        finally:
            parent.reserved.discard(name)
        parent.put_back(name, sealed, None)
        self._drafts.made(parent, name, sealed, file_id)

    async def remove(self, path: str) -> None:
        """Remove a file, or a nested folder with all below it. NotFoundError."""
        parent, name = await self._drafts.parent(path)
        await self._remove_from(parent, name)

    async def move(self, source: str, target: str) -> None:
        """Rename within a folder (metadata only), or move to another folder of the session (file id and body stay).

        NotFoundError, AlreadyExistsError (nothing is overwritten), LocalNameError, MisuseError (a folder into itself).
        """
        old, old_name = await self._drafts.parent(source)
        new, new_name = await self._drafts.parent(target)
        sealed = old.sealed(old_name)
        if old is new and old_name == new_name:
            return
        new.check_free(new_name)
        entry = old.files.get(sealed)
        child = None if entry is not None else await self._drafts.child(old, sealed)
        if child is not None and new.is_within(child):
            raise MisuseError("A folder cannot be moved into itself.", path=source)
        remote_path = join(new.remote_path, sealed)
        if old is not new:
            self._check_fillable(new)
            await self.account.remote.move(join(old.remote_path, sealed), remote_path, token=self._lock.token)
        stored = old.stored.get(sealed)
        old.drop(old_name)
        new.put_back(new_name, sealed, entry)
        if stored is not None:
            new.stored[sealed] = stored
        if child is not None:
            child.parent = new
            new.children[sealed] = child
            child.moved = child.moved or (old is not new and not self.one_session)
            child.relocate(join(new.path, new_name), remote_path)
            if old is not new:
                self._relocated[child.file_id] = new.file_id

    async def _remove_from(self, parent: Draft, name: str) -> None:
        sealed = parent.sealed(name)
        if sealed in parent.folders:
            pinned = self.account.book.at(parent.file_id, sealed)
            if pinned is not None:
                self._forgotten.add(pinned)
                self._forgotten.update(self.account.book.below(pinned))
        await self.account.remote.delete(join(parent.remote_path, sealed), token=self._lock.token)
        parent.drop(name)

    # --- the root ---------------------------------------------------------------------------------------------

    async def rekey(self, change: Callable[[OpenFolder, MetadataKey], MembershipChange]) -> None:
        """Give the root new members and a new metadata key; every nested folder is sealed anew in this session.

        ``change`` gets the root's state and a fresh key. The session's scope must be the root. Old keys stay in the
        state of this device, for folders that an interrupted rekey of somebody else left behind (A82).
        """
        top = self._drafts.top
        if top.kind != "root" or top.before is None:
            raise MisuseError("A new metadata key is made for a root.", path=self.scope)
        self._change = change(top.before, MetadataKey(self.account.random.token(MetadataKey.SIZE)))
        top.changed = True
        await self._drafts.open_all()

    def delete_root(self, *, remove: bool) -> None:
        """Sign the deletion of the root: empty, marked as deleted; with ``remove`` the folder itself goes too.

        A deletion that is signed in one session and carried out in the next can be told from a theft by every device
        that looks in between.
        """
        top = self._drafts.top
        if top.kind != "root":
            raise MisuseError("Only a root is deleted this way.", path=self.scope)
        top.deleted = True
        top.removed = remove
        top.changed = True

    async def _rotate_if_owed(self) -> None:
        """Make a new key when a member was removed under the old one (A33)."""
        top = self._drafts.top
        owed = top.view is not None and top.view.must_rotate and top.kind == "root"
        if owed and self._change is None:
            await self.rekey(rotate_key)

    def _first_members(self, member: Member) -> MembershipChange:
        return MembershipChange((member,), MetadataKey(self.account.random.token(MetadataKey.SIZE)), ())

    # --- looking ----------------------------------------------------------------------------------------------

    async def folder(self, path: str) -> FolderView | None:
        """A folder of this session as it was when it was locked; None for one that the session made."""
        return (await self._drafts.folder(path)).view

    async def names(self, path: str) -> dict[str, bool]:
        """Clear names that a folder will have after the session; True for folders.

        A file whose body the server does not have is left out: its name can be used as if it were free.
        """
        draft = await self._drafts.folder(path)
        return {
            name: sealed in draft.folders
            for name, sealed in draft.names.items()
            if sealed in draft.folders or not draft.is_missing(name)
        }

    # --- steps of the lock (LockSteps) --------------------------------------------------------------------------

    async def reread(self) -> Counter:
        """Read the folder again after a conflict or a wait; the next counter."""
        if self._create is not None:
            return Counter(1)
        return await self._drafts.reread(self.scope)

    async def send(self, token: LockToken) -> None:
        """Seal and send every touched folder."""
        self._writes = commit.seal_all(self.account, self._drafts.all(), self._drafts.root, self._change)
        await commit.send_all(self.account, self._writes, token)
        if self._drafts.top.removed:
            await self.account.remote.delete(self._drafts.top.remote_path, token=token)

    async def check(self, *, acknowledged: bool) -> object:
        """Read every touched folder back; pins are committed here, with the end of the journal."""
        if acknowledged:
            for file_id in self._made:
                await self.account.remote.mark_encrypted(file_id)
        root = next((write.sealed.folder for write in self._writes if write.draft.kind == "root"), self._drafts.root)
        assert root is not None
        outcome = await commit.read_back(self.account, self.reader, self._writes, root=root, acknowledged=acknowledged)
        if outcome.shown is commit.Shown.OLD:
            return edit.StillOld()
        if outcome.error is not None:
            if isinstance(outcome.error, TamperError):
                self.account.record_refusal(outcome.error, path=outcome.error.path or self.scope)
            return edit.ShowsOther(outcome.error)
        self.views = outcome.views
        rows = [*commit.rows_of(self.account, self._writes), *self._moved_rows(), *self.rows]
        self.account.store.commit([*rows, self._lock.end_row])
        return edit.Confirmed()

    def _moved_rows(self) -> list[Row]:
        rows = self.account.book.rows_forget_folders(self._forgotten)
        written = {write.draft.file_id for write in self._writes}
        for file_id, parent_id in self._relocated.items():
            pin = self.account.book.folder(file_id)
            if pin is not None and file_id not in written:
                rows += self.account.book.rows_folder(replace(pin, parent_id=parent_id))
        return rows

    # --- small things -----------------------------------------------------------------------------------------

    @property
    def _lock(self) -> Lock:
        if self._locked is None:
            raise MisuseError("The session is not open.", path=self.scope)
        return self._locked

    def _check_fillable(self, draft: Draft) -> None:
        """On a server without our extensions a folder made or moved in this session has no path yet."""
        if not self.one_session and draft.has_no_path_yet():
            raise MisuseError("This server lets a new folder be filled in the next session only.", path=draft.path)

    def _new_name(self) -> SealedName:
        return check_sealed_name(self.account.random.token(16).hex())
