"""Reading: clear path to verified folder, listings, whole trees.

Layer: ``client``. One request a folder: a listing of depth 1 that brings the metadata along. What is encrypted goes
through ``accept_metadata`` with the pins of this device, and the pins are committed before anything acts on the
state (threats.md section 3). A folder is a root or nested by its position alone. What was once seen encrypted is
never taken for plain (A68), and a root that is gone without a signed deletion is an alarm, not a deletion (A85).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from candado.client.acceptor import Acceptor
from candado.client.account import Account
from candado.client.alarms import flag_dropped, replaced, unsigned_deletion
from candado.client.handed import handed_key
from candado.client.named import named
from candado.client.view import (
    FolderView,
    Located,
    RemoteEntry,
    Tree,
    ViewProblem,
    clear_path,
    join,
    plain_entries,
    root_deleted,
    sealed_entries,
    split,
)
from candado.client.walk import walk
from candado.errors import (
    CandadoError,
    ForbiddenError,
    NotEncryptedError,
    NotFoundError,
    PreconditionFailedError,
)
from candado.folder.model import FolderPin, NestedPosition, OpenFolder, RawText, RootPosition
from candado.folder.sealing import SealedWrite
from candado.ports.client import RemoteNode
from candado.types import FileId, SealedName

__all__ = ["FolderReader", "FolderView", "Located", "RemoteEntry", "Tree"]

_PARALLEL: Final = 12


class FolderReader:
    """Reads folders of one account.

    Args:
        account: whose.
        parallel: how many folders a walk asks for at once.
    """

    def __init__(self, account: Account, *, parallel: int = _PARALLEL) -> None:
        self.account = account
        self._parallel = parallel
        self._acceptor = Acceptor(account)
        self._noted: set[ViewProblem] = set()

    # --- paths --------------------------------------------------------------------------------------------

    async def roots(self) -> list[RemoteEntry]:
        """Encrypted roots in the home folder by name; known ones elsewhere are found by their path."""
        view = await self.open_folder("/")
        return [entry for _, entry in sorted(view.entries.items()) if entry.is_folder and entry.is_encrypted]

    async def open_path(self, path: str) -> Located:
        """What is at a clear path.

        Raises:
            NotFoundError: nothing.
            UnsignedDeletionError: a known root is gone.
            TamperError, FormatError, CryptoError: a state was refused; evidence was kept and nothing was changed.
        """
        parts = split(path)
        view, used = await self._open_top(parts)
        for at in range(used, len(parts)):
            entry = self._named(view, parts[at])
            if entry.is_folder:
                view = await self.open_entry(view, entry)
            elif at == len(parts) - 1:
                return Located("file", view, entry)
            else:
                raise NotFoundError(path=clear_path(path))
        return Located(view.kind, view)

    async def open_folder(self, path: str) -> FolderView:
        """The folder at a clear path; NotFoundError when there is none or it is a file. Else as ``open_path``."""
        found = await self.open_path(path)
        if found.kind == "file":
            raise NotFoundError("This is a file, not a folder.", path=clear_path(path))
        return found.view

    async def open_root(self, path: str) -> FolderView:
        """The encrypted root at a clear path.

        ``deleted`` of the view says that a member deleted it with a signature. NotEncryptedError when it is a plain
        folder, or lies inside an encrypted one. Else as ``open_path``.
        """
        view = await self.open_folder(path)
        if view.kind != "root":
            raise NotEncryptedError(
                "This is not the top of an encrypted folder.",
                path=clear_path(path),
                advice="Name the encrypted folder itself: `candado ls` lists them.",
            )
        return view

    async def open_entry(self, view: FolderView, entry: RemoteEntry) -> FolderView:
        """The folder that ``entry`` of ``view`` names: one request.

        PreconditionFailedError when it is gone meanwhile.
        """
        try:
            if view.kind == "plain":
                return await self._load_top(entry.path)
            return await self._load_nested(view, entry)
        except NotFoundError as error:
            raise PreconditionFailedError("The folder was removed while it was read.", path=entry.path) from error

    async def reload(self, view: FolderView, parent: FolderView | None) -> FolderView:
        """The same folder read again; ``parent`` (as current as wanted) is needed for a nested one."""
        if view.kind != "nested":
            return await self._load_top(view.path)
        assert parent is not None
        return await self.open_entry(parent, self._named(parent, view.path.rpartition("/")[2]))

    async def walk(self, top: FolderView, *, skip: Callable[[RemoteEntry], bool] | None = None) -> Tree:
        """Everything below ``top``, folders in parallel; encrypted roots below a plain folder are left out.

        ``skip`` is asked for every subfolder; True leaves it and all below it out. One refused folder refuses the
        tree: a root of which a part is a lie is not written to (A37).
        """
        return await walk(self.open_entry, top, skip=skip, parallel=self._parallel)

    # --- one folder -----------------------------------------------------------------------------------------

    async def _open_top(self, parts: list[str]) -> tuple[FolderView, int]:
        """The root above a path, or the plain folder at it or above it, with the number of parts it takes."""
        known = {pin.path_hint for pin in self.account.book.roots()}
        for used in range(1, len(parts) + 1):
            path = "/" + "/".join(parts[:used])
            if path in known:
                return await self._load_top(path), used
        for used in range(1, len(parts)):
            path = "/" + "/".join(parts[:used])
            node = (await self.account.remote.list_folder(path, depth=0))[0]
            if not node.is_folder:
                raise NotFoundError(path=path)
            if node.is_encrypted or self.account.book.folder(node.file_id) is not None:
                return await self._load_top(path), used
        path = "/" + "/".join(parts)
        if not parts:
            return await self._load_top(path), 0
        nodes = await self.account.remote.list_folder(path, depth=1, with_metadata=True)
        if not nodes[0].is_folder:
            parent = "/" + "/".join(parts[:-1])
            view = FolderView(parent, parent, "plain", nodes[0], entries=plain_entries(parent, nodes[:1]))
            return view, len(parts) - 1
        return await self._view_top(path, nodes), len(parts)

    async def _load_top(self, path: str) -> FolderView:
        try:
            nodes = await self.account.remote.list_folder(path, depth=1, with_metadata=path != "/")
        except NotFoundError:
            pin = self._known_at(path)
            if pin is None:
                raise
            return await self._vanished(pin, path)
        return await self._view_top(path, nodes)

    async def _view_top(self, path: str, nodes: list[RemoteNode]) -> FolderView:
        node = nodes[0]
        pin = self.account.book.folder(node.file_id)
        known = self._known_at(path)
        if not node.is_encrypted:
            if pin is not None or known is not None:
                raise self._refuse(flag_dropped(path), path, node.file_id)
            return FolderView(path, path, "plain", node, entries=self._sticky(plain_entries(path, nodes[1:])))
        if known is not None and known.file_id != node.file_id:
            raise self._refuse(replaced(pin, path), path, node.file_id)
        raw = await self._raw(node, path, pin)
        position = self._position(node.file_id, pin, path, node.owner_id)
        accepted = await self._acceptor.accept_root(position, raw, path=path)
        rows = self.account.book.rows_owner(node.file_id, node.owner_id)
        if rows:
            self.account.store.commit(rows, durable=False)
        return self._view(path, node, nodes[1:], accepted.folder, accepted.pin, accepted.folder)

    async def _load_nested(self, view: FolderView, entry: RemoteEntry) -> FolderView:
        assert view.folder is not None
        assert view.root is not None
        assert entry.sealed_name is not None
        return await self.open_nested(view.folder, view.root, entry.sealed_name, entry.remote_path, entry.path)

    async def open_nested(
        self, parent: OpenFolder, root: OpenFolder, sealed_name: SealedName, remote_path: str, path: str
    ) -> FolderView:
        """The nested folder ``sealed_name`` of an accepted parent: one request. NotFoundError when it is not there."""
        with named(path):
            nodes = await self.account.remote.list_folder(remote_path, depth=1, with_metadata=True)
        node = nodes[0]
        pin = self.account.book.folder(node.file_id)
        if not node.is_encrypted:
            raise self._refuse(flag_dropped(path), path, node.file_id)
        raw = await self._raw(node, path, pin)
        position = NestedPosition(node.file_id, sealed_name, parent, root, pin, path)
        accepted = self._acceptor.accept(position, raw, path=path)
        return self._view(path, node, nodes[1:], accepted.folder, accepted.pin, root)

    def view_of(
        self, write: SealedWrite, path: str, node: RemoteNode, children: list[RemoteNode], root: OpenFolder
    ) -> FolderView:
        """The view of a folder that the server shows exactly as we have written it."""
        return self._view(path, node, children, write.folder, write.pin, root)

    def _view(
        self,
        path: str,
        node: RemoteNode,
        children: list[RemoteNode],
        folder: OpenFolder,
        pin: FolderPin,
        root: OpenFolder,
    ) -> FolderView:
        book = self.account.book
        pinned = [child.file_id for child in children if child.is_folder and book.folder(child.file_id) is not None]
        entries, missing, problems = sealed_entries(path, folder, children, pinned=pinned)
        if folder.content.deleted:
            # What a signed deletion left behind is on its way out, and nobody's problem.
            entries, missing, problems = {}, frozenset(), ()
        for problem in problems:
            self._note(problem, node.file_id)
        root_pin = pin if folder.kind == "root" else book.folder(root.file_id)
        return FolderView(
            path=path,
            remote_path=node.path,
            kind=folder.kind,
            node=node,
            folder=folder,
            root=root,
            parent_id=pin.parent_id,
            sealed_name=pin.sealed_name,
            entries=entries,
            missing=missing,
            problems=problems,
            deleted=folder.content.deleted,
            must_rotate=root_pin is not None and root_pin.must_rotate,
            old_key=folder.metadata_key != root.metadata_key,
        )

    # --- lies and gaps --------------------------------------------------------------------------------------

    async def _raw(self, node: RemoteNode, path: str, pin: FolderPin | None) -> RawText:
        """The folder's document; asked for by itself when the listing did not bring it."""
        if node.metadata_text is not None:
            return RawText(node.metadata_text, node.metadata_signature)
        try:
            with named(path):
                raw = await self.account.remote.metadata(node.file_id)
        except NotFoundError as missing:
            if pin is None:
                raise NotEncryptedError(
                    "The folder is marked as encrypted, but its set-up was not finished.", path=path
                ) from missing
            root = self.account.book.folder(pin.root_id)
            error = unsigned_deletion(
                "root.vanished", "The metadata of a known folder is gone", path if root is None else root.path_hint
            )
            raise self._refuse(error, path, node.file_id) from missing
        return RawText(raw.text, raw.signature)

    def _position(self, file_id: FileId, pin: FolderPin | None, path: str, owner_id: str) -> RootPosition:
        """The position of a root; its owner is whom the server named first, and for one that we made ourselves."""
        owned = self.account.book.owns(file_id)
        owner = self.account.user_id if owned else self.account.book.owner(file_id) or owner_id
        return RootPosition(file_id, owned, pin, path, owner, handed_key(self.account.store, file_id))

    async def _vanished(self, pin: FolderPin, path: str) -> FolderView:
        """A known root is not at its path: deleted with a signature, moved, or taken away."""
        try:
            raw = await self.account.remote.metadata(pin.file_id)
        except CandadoError:
            raw = None
        if raw is not None:
            position = self._position(pin.file_id, pin, path, "")
            accepted = await self._acceptor.accept_root(position, RawText(raw.text, raw.signature), path=path)
            if accepted.folder.content.deleted:
                return FolderView(path, path, "root", None, accepted.folder, accepted.folder, deleted=True)
        for node in await self.account.remote.list_folder("/", depth=1):
            if node.file_id == pin.file_id:
                raise NotFoundError("The folder has another name now.", path=path, advice=f"Use {node.path}.")
        owner = self.account.book.owner(pin.file_id)
        if owner is not None and owner != self.account.user_id:
            raise self._share_ended(owner, path, pin.file_id)
        error = unsigned_deletion("root.vanished", "The encrypted folder is gone from the server", path)
        raise self._refuse(error, path, pin.file_id)

    def _share_ended(self, owner: str, path: str, file_id: FileId) -> CandadoError:
        """A folder of somebody else is gone: an ordinary event, but also what a server that hides it looks like."""
        error = ForbiddenError(
            f"The folder of {owner} is not shared with this account any more.",
            path=path,
            safe="Local files are unchanged and stay here; nothing was sent.",
            advice=f"If {owner} did not end the share, tell the administrator.",
        )
        self.account.issue_book.add(
            "problem", "share.ended", error.message, path=path, safe=error.safe, advice=error.advice, file_id=file_id
        )
        return error

    def _known_at(self, path: str) -> FolderPin | None:
        return next((pin for pin in self.account.book.roots() if pin.path_hint == path), None)

    def _sticky(self, entries: dict[str, RemoteEntry]) -> dict[str, RemoteEntry]:
        """Known roots stay encrypted in a listing, whatever the server says; opening one then refuses it."""
        for name, entry in entries.items():
            pin = self.account.book.folder(entry.file_id) if entry.is_folder and not entry.is_encrypted else None
            if pin is not None:
                self._refuse(flag_dropped(entry.path), entry.path, entry.file_id)
                entries[name] = replace(entry, is_encrypted=True)
        return entries

    def _named(self, view: FolderView, name: str) -> RemoteEntry:
        if name in view.entries:
            return view.entries[name]
        path = join(view.path, name)
        if name in view.missing:
            raise NotFoundError("The folder lists this name, but the server shows nothing usable for it.", path=path)
        raise root_deleted(view, self.account.user_id) if view.deleted else NotFoundError(path=path)

    def _refuse(self, error: CandadoError, path: str, file_id: FileId) -> CandadoError:
        error.path = path
        self.account.record_refusal(error, path=path, file_id=file_id)
        return error

    def _note(self, problem: ViewProblem, file_id: FileId) -> None:
        """Record a problem, once in the life of this reader."""
        if problem in self._noted:
            return
        self._noted.add(problem)
        self.account.issue_book.add(
            "problem", problem.code, problem.message, path=problem.path, advice=problem.advice, file_id=file_id
        )
