"""The folders of one write session: found by clear path, read under the lock, each once.

Layer: ``client``.
"""

import asyncio
from typing import Final

from candado.client.bounded import bounded
from candado.client.covering import owed_member
from candado.client.draft import Draft
from candado.client.ends import has_due
from candado.client.reader import FolderReader
from candado.client.view import FolderView, join, root_deleted, split
from candado.errors import (
    CandadoError,
    CryptoError,
    FormatError,
    MisuseError,
    NotEncryptedError,
    NotFoundError,
    PreconditionFailedError,
    TamperError,
)
from candado.folder.model import FolderPin, OpenFolder
from candado.folder.sealing import next_counter
from candado.ports.client import RemoteNode
from candado.types import Counter, FileId, SealedName

__all__ = ["Drafts"]

_PARALLEL: Final = 8


class Drafts:
    """The drafts of one session by place.

    Args:
        reader: of the account.
        deletes: the session deletes its root. No other one is let into a root that is marked as deleted: what it wrote
            there would be gone with the root.
    """

    def __init__(self, reader: FolderReader, *, deletes: bool) -> None:
        self._reader = reader
        self._deletes = deletes
        self.refused: CandadoError | None = None
        """A folder of the session was refused; the session must not write anything (A37)."""
        self._account = reader.account
        self._top: Draft | None = None
        self._root: OpenFolder | None = None
        self._above: FolderView | None = None
        self._loading: dict[tuple[FileId, SealedName], asyncio.Lock] = {}

    @property
    def top(self) -> Draft:
        """The draft of the locked folder."""
        if self._top is None:
            raise MisuseError("the session has not read its folder yet")
        return self._top

    @property
    def root(self) -> OpenFolder | None:
        """The root's accepted state; None when this session makes the root."""
        return self._root

    def all(self) -> list[Draft]:
        """Every draft of the session, the top first."""
        found: list[Draft] = []
        queue = [self.top]
        while queue:
            draft = queue.pop()
            found.append(draft)
            queue.extend(draft.children.values())
        return found

    # --- the scope --------------------------------------------------------------------------------------------

    async def locate(self, scope: str) -> tuple[str, FileId, Counter]:
        """(path, file id, next counter) of the folder to lock: the scope, or its root when that owes a new key.

        A folder that this device knows is not read before it is locked: the lock compares the counter.
        """
        pin = self._pin_at(scope)
        if pin is not None and pin.kind == "root":
            return scope, pin.file_id, next_counter(pin.counter, None)
        if pin is not None:
            root = self._account.book.folder(pin.root_id)
            if root is not None and root.path_hint and (root.must_rotate or self._owes(root.file_id)):
                return await self.locate(root.path_hint)
            above = await self._reader.open_folder("/" + "/".join(split(scope)[:-1]))
            entry = above.entries.get(split(scope)[-1])
            if entry is not None and entry.file_id == pin.file_id and above.is_encrypted:
                self._above = above
                return scope, pin.file_id, next_counter(pin.counter, None)
        view = await self._reader.open_folder(scope)
        if not view.is_encrypted:
            raise NotEncryptedError(path=scope)
        assert view.root is not None
        if view.kind == "nested" and (view.must_rotate or self._owes(view.root.file_id)):
            root = self._account.book.folder(view.root.file_id)
            assert root is not None
            return await self.locate(root.path_hint)
        self._need_live(view)
        return scope, view.file_id, self._next(view)

    def _owes(self, root_id: FileId) -> bool:
        """Whether the root has to be locked: the share of a member is over, or its owner agreed to a recovery key."""
        return has_due(self._account, root_id) or owed_member(self._account, root_id) is not None

    async def open(self, scope: str, file_id: FileId) -> None:
        """Read the locked folder; PreconditionFailedError when another one stands at its path now."""
        view = await self._read(scope)
        if view.file_id != file_id:
            raise PreconditionFailedError("The folder was replaced by another one.", path=scope)
        self._need_live(view)
        self._root = view.root
        self._top = Draft.of_view(view, None, self._account.book.folder(file_id))

    def create(self, node: RemoteNode) -> None:
        """The draft of a root that this session makes."""
        self._top = Draft(node.path, node.path, node.file_id, "root", None, None, None, None, None)
        self._top.changed = True

    async def reread(self, scope: str) -> Counter:
        """Read the scope again before the next attempt to lock it; the next counter."""
        self._above = None
        return self._next(await self._reader.open_folder(scope))

    async def _read(self, scope: str) -> FolderView:
        if self._above is not None:
            above, self._above = self._above, None
            return await self._reader.open_entry(above, above.entries[split(scope)[-1]])
        view = await self._reader.open_folder(scope)
        if not view.is_encrypted:
            raise NotEncryptedError(path=scope)
        return view

    def _next(self, view: FolderView) -> Counter:
        if view.folder is None:
            raise NotEncryptedError(path=view.path)
        pin = self._account.book.folder(view.file_id)
        return next_counter(view.folder.counter, None if pin is None else pin.counter)

    def _need_live(self, view: FolderView) -> None:
        if view.root is not None and view.root.content.deleted and not self._deletes:
            raise root_deleted(view, self._account.user_id)

    def _pin_at(self, path: str) -> FolderPin | None:
        return self._account.book.hinted(path)

    # --- below the scope ----------------------------------------------------------------------------------------

    async def folder(self, path: str) -> Draft:
        """The draft of a folder by clear path, as names are in this session. NotFoundError, NotEncryptedError."""
        parts, above = split(path), split(self.top.path)
        if parts[: len(above)] != above:
            raise MisuseError("This path is outside of the session.", path=path)
        draft = self.top
        for part in parts[len(above) :]:
            sealed = draft.sealed(part)
            if sealed not in draft.folders:
                raise NotFoundError("This is a file, not a folder.", path=path)
            draft = await self.child(draft, sealed)
        return draft

    async def parent(self, path: str) -> tuple[Draft, str]:
        """The draft that holds a path, and the last part of the path."""
        parts = split(path)
        if len(parts) <= len(split(self.top.path)):
            raise MisuseError("This path is outside of the session.", path=path)
        return await self.folder("/" + "/".join(parts[:-1])), parts[-1]

    async def child(self, draft: Draft, sealed: SealedName) -> Draft:
        """The draft of a nested folder, read under the lock when it is needed for the first time."""
        async with self._loading.setdefault((draft.file_id, sealed), asyncio.Lock()):
            known = draft.children.get(sealed)
            if known is not None:
                return known
            if draft.before is None or self._root is None:
                raise NotFoundError(path=join(draft.path, draft.folders[sealed]))
            path = join(draft.path, draft.folders[sealed])
            try:
                view = await self._reader.open_nested(
                    draft.before, self._root, sealed, join(draft.remote_path, sealed), path
                )
            except (CryptoError, FormatError, TamperError) as error:
                self.refused = error
                raise
            child = Draft.of_view(view, draft, self._account.book.folder(view.file_id))
            draft.children[sealed] = child
            return child

    def made(self, parent: Draft, name: str, sealed: SealedName, file_id: FileId) -> None:
        """Enter a nested folder that the session has made."""
        path, remote_path = join(parent.path, name), join(parent.remote_path, sealed)
        child = Draft(path, remote_path, file_id, "nested", parent, sealed, None, None, None)
        child.changed = True
        parent.children[sealed] = child

    async def open_all(self) -> None:
        """Read every folder below the scope: a new metadata key seals them all."""

        async def open_child(place: tuple[Draft, SealedName]) -> Draft:
            return await self.child(*place)

        level = [self.top]
        while level:
            places = [
                (draft, sealed)
                for draft in level
                for sealed, name in draft.folders.items()
                if sealed in draft.children or not draft.is_missing(name)
            ]
            level = await bounded(open_child, places, _PARALLEL)
