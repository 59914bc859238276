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

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Self

from candado.client.bounded import bounded
from candado.client.draft import Draft
from candado.client.items import PER_FILE_ERRORS, UploadItem, Written
from candado.client.lock import recover_sessions
from candado.client.named import named
from candado.client.reader import FolderReader
from candado.client.session_frame import TRANSFERS, SessionFrame
from candado.client.transfer import Progress, SealedUpload, Source, Target, copy_body, upload
from candado.client.view import FolderView, RemoteEntry, join
from candado.errors import CandadoError, MisuseError
from candado.folder.model import Member, OpenFolder
from candado.ports.client import RemoteNode
from candado.types import SealedName

__all__ = ["PER_FILE_ERRORS", "UploadItem", "WriteSession", "Written", "recover_sessions"]


_CHUNKED_ABOVE_BYTES: Final = 50 * 1024 * 1024
"""Bodies above this may travel in chunks, which a server without our extensions does not stage."""


class WriteSession(SessionFrame):
    """One write session on the folder at ``scope`` and everything below it.

    Args:
        reader: of the account.
        scope: clear path of an encrypted folder: the deepest one that holds all changes. The root is locked instead
            when it needs a new metadata key first.
        transfers: bodies under way at once.
        progress: told how far each file is.
        patience_seconds: how long to wait for a lock that somebody else holds.
        deletes: the session deletes its root; every other one refuses a root that is marked as deleted.
    """

    @classmethod
    def create_root(
        cls, reader: FolderReader, node: RemoteNode, *, progress: Progress | None = None, transfers: int = TRANSFERS
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

        return await bounded(one, items, self._transfers)

    async def put_file(self, path: str, source: Source, *, replace: bool = False) -> Written:
        """Upload one file; see ``put_files`` for many.

        Raises:
            AlreadyExistsError: the name is taken by a folder, or by a file and ``replace`` is False.
            NotFoundError: there is no such folder.
            FileChangedError: the file changed while it was read; it is left out.
        """

        async def send(target: Target) -> SealedUpload:
            return await upload(
                self.account, source, target, token=self._lock.token, path=path, progress=self._progress
            )

        return await self._store(path, send, may_replace=replace, size_bytes=lambda: _size(source))

    async def copy_files(
        self, items: Sequence[tuple[RemoteEntry, str]], *, replace: bool = False
    ) -> list[Written | CandadoError]:
        """Copy many remote files to the paths beside them; faults of one file as in ``put_files``."""

        async def one(item: tuple[RemoteEntry, str]) -> Written | CandadoError:
            try:
                return await self.copy_file(*item, replace=replace)
            except PER_FILE_ERRORS as error:
                error.path = error.path or item[1]
                return error

        return await bounded(one, items, self._transfers)

    async def copy_file(self, entry: RemoteEntry, path: str, *, replace: bool = False) -> Written:
        """Copy a remote file to ``path``, sealed under a fresh key; a file is overwritten with ``replace`` only.

        OpenFailedError.
        """

        async def send(target: Target) -> SealedUpload:
            return await copy_body(self.account, entry, target, token=self._lock.token, progress=self._progress)

        return await self._store(path, send, may_replace=replace, size_bytes=lambda: entry.size_bytes)

    async def _store(
        self,
        path: str,
        send: Callable[[Target], Awaitable[SealedUpload]],
        *,
        may_replace: bool,
        size_bytes: Callable[[], int],
    ) -> Written:
        parent, name = await self._drafts.parent(path)
        self._check_fillable(parent)
        taken = parent.check_place(name, may_replace=may_replace)
        self._rules.check_file(path, size_bytes, replaces=taken is not None)
        before = None if taken is None else parent.files[taken]
        # Without staging of chunks a big body goes under a new name, so that the old one stays whole until the commit.
        may_chunk = taken is not None and not self._stages_chunks and size_bytes() > _CHUNKED_ABOVE_BYTES
        target = _Place(self, parent, taken, taken if taken is not None and not may_chunk else self.new_name())
        parent.reserved.add(name)
        try:
            sent = await send(target)
            sealed = target.sealed
            if taken is not None and taken != sealed:
                with named(path):
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
        self._rules.check_folder(path)
        sealed = self.new_name()
        remote_path = join(parent.remote_path, sealed)
        parent.reserved.add(name)
        try:
            with named(path):
                file_id = await self.account.remote.make_folder(remote_path, token=self._lock.token)
                if self.one_session:
                    await self.account.remote.mark_encrypted(file_id)
            if not self.one_session:
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
        self._rules.check_move(source, target, is_folder=entry is None)
        remote_path = join(new.remote_path, sealed)
        if old is not new:
            self._check_fillable(new)
            with named(source):
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
        with named(join(parent.path, name)):
            await self.account.remote.delete(join(parent.remote_path, sealed), token=self._lock.token)
        parent.drop(name)

    # --- looking ----------------------------------------------------------------------------------------------

    @property
    def written(self) -> list[OpenFolder]:
        """After the session: the new state of every folder it wrote, those that were only sealed anew included."""
        return [write.sealed.folder for write in self._writes]

    async def folder(self, path: str) -> FolderView | None:
        """A folder of this session as it was when it was locked; None for one that the session made."""
        return (await self._drafts.folder(path)).view

    async def names(self, path: str) -> dict[str, bool]:
        """Clear names that a folder will have after the session; True for folders.

        A file whose body the server does not have is left out: its name can be used as if it were free.
        """
        return (await self._drafts.folder(path)).shown()


class _Place:
    """Where one body of a session goes; another sealed name after every attempt of unknown outcome."""

    def __init__(self, session: WriteSession, parent: Draft, taken: SealedName | None, sealed: SealedName) -> None:
        self._session = session
        self._parent = parent
        self._taken = taken
        self.sealed = sealed

    @property
    def remote_path(self) -> str:
        """See ``Target``."""
        return join(self._parent.remote_path, self.sealed)

    async def abandon(self) -> None:
        """See ``Target``; what the lost attempt may have stored under a name of its own is removed."""
        left, is_taken = self.remote_path, self.sealed == self._taken
        self.sealed = self._session.new_name()
        if not is_taken:
            # What cannot be removed now has no entry, and is reported as that by the next reader.
            with contextlib.suppress(CandadoError):
                await self._session.account.remote.delete(left, token=self._session.token)


def _size(source: Source) -> int:
    """Size of a source in bytes; the file errors of the local tree."""
    file = source.open()
    try:
        return file.stat.size_bytes
    finally:
        file.close()
