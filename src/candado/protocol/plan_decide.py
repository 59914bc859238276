"""Decisions path by path: the second half of a plan.

Layer: ``protocol``. Works on a ``Draft`` after its renames. Paths come children before parents, so that a folder
knows whether anything in it survives: a folder that was removed on one side comes back for the sake of a child that
is new or changed on the other. A folder with something blocked in it is not removed, nor is it made anew for its sake.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from candado.protocol.plan_model import (
    Adopt,
    AgreedNode,
    DeleteLocal,
    DeleteRemote,
    Download,
    Forget,
    LocalFacts,
    MakeFolderLocal,
    MakeFolderRemote,
    Mode,
    MoveLocal,
    MoveRemote,
    Operation,
    Problem,
    RemoteFacts,
    RemoveFolderLocal,
    RemoveFolderRemote,
    Upload,
)
from candado.protocol.plan_moves import Draft, PlannedFolder, is_under
from candado.protocol.plan_names import conflict_name, join, name_of, parent_of

__all__ = ["Decisions", "is_same_local", "is_same_remote"]

_LocalRemoval = DeleteLocal | RemoveFolderLocal
_RemoteRemoval = DeleteRemote | RemoveFolderRemote

R = TypeVar("R", DeleteLocal | RemoveFolderLocal, DeleteRemote | RemoveFolderRemote)


class Decisions:
    """The operations decided so far, and which folders are needed by something in them."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        mode = draft.options.mode
        self._may_write_local = mode is not Mode.PUSH
        self._may_write_remote = mode is not Mode.PULL
        self._needed: set[str] = set()
        self._cleared: set[str] = set()
        self._taken: set[str] = set()
        self._aside_local: list[MoveLocal] = []
        self._aside_remote: list[MoveRemote] = []
        self._removals_local: list[_LocalRemoval] = []
        self._removals_remote: list[_RemoteRemoval] = []
        self._made_local: list[MakeFolderLocal] = []
        self._made_remote: list[MakeFolderRemote] = []
        self._downloads: list[Download] = []
        self._uploads: list[Upload] = []
        self._memory: list[Adopt | Forget] = []
        self._occupied = {folder for path in draft.blocked_local | draft.blocked_remote for folder in _folders_of(path)}

    def decide(self, paths: Sequence[str]) -> None:
        """Decide all paths; children come before their parents."""
        for path in paths:
            here = self._draft.local.nodes.get(path)
            there = self._draft.remote.nodes.get(path)
            agreed = self._draft.agreed.nodes.get(path)
            if here is None and there is None:
                self._memory.append(Forget(path))
            elif here is not None and there is not None and here.is_folder != there.is_folder:
                self._clash(path, here, there, agreed)
            elif (here is not None and here.is_folder) or (there is not None and there.is_folder):
                self._folder(path, here, there, agreed)
            else:
                self._file(path, here, there, agreed)

    def in_order(self) -> tuple[Operation, ...]:
        """All operations in the order of execution: each side's own order is safe, contents before removals."""
        early_local, late_local = _split(self._removals_local, self._cleared)
        early_remote, late_remote = _split(_collapsed(self._removals_remote), self._cleared)
        return (
            *self._draft.local_moves,
            *self._aside_local,
            *early_local,
            *sorted(self._made_local, key=_path),
            *sorted(self._downloads, key=_path),
            *self._draft.remote_moves,
            *self._aside_remote,
            *early_remote,
            *sorted(self._made_remote, key=_path),
            *sorted(self._uploads, key=_path),
            *late_remote,
            *late_local,
            *self._memory,
        )

    # --- the tables ---------------------------------------------------------------------------------------

    def _file(self, path: str, here: LocalFacts | None, there: RemoteFacts | None, agreed: AgreedNode | None) -> None:
        """A file on one side or on both, and no folder."""
        if agreed is not None and agreed.is_folder:
            agreed = None
        if there is None:
            assert here is not None
            self._file_here(path, here, agreed)
            return
        if here is None:
            self._file_there(path, there, agreed)
            return
        self._need_folders_of(path)
        if agreed is not None and there.content_id == agreed.content_id:
            if here.size_bytes != agreed.size_bytes or self._draft.ask(path, there) is False:
                self._upload(path, here, there)
            else:
                self._memory.append(Adopt(path, here, there))
        elif agreed is not None and is_same_local(here, agreed):
            self._download(path, there, here)
        else:
            same = here.size_bytes == there.size_bytes and self._draft.ask(path, there) is not False
            if same:
                self._memory.append(Adopt(path, here, there))
            else:
                self._keep_both(path, here, there)

    def _file_here(self, path: str, here: LocalFacts, agreed: AgreedNode | None) -> None:
        """A file here only: it is new, or changed, or the other side removed it."""
        if agreed is None or (here.size_bytes, here.mtime_ns) != (agreed.size_bytes, agreed.mtime_ns):
            self._need_folders_of(path)
            self._upload(path, here, None)
        elif self._may_write_local:
            self._removals_local.append(DeleteLocal(path, here))

    def _file_there(self, path: str, there: RemoteFacts, agreed: AgreedNode | None) -> None:
        """A file there only: it is new, or changed, or this side removed it."""
        if agreed is None or there.content_id != agreed.content_id:
            self._need_folders_of(path)
            self._download(path, there, None)
        elif self._may_write_remote:
            self._removals_remote.append(DeleteRemote(path, there))

    def _folder(self, path: str, here: LocalFacts | None, there: RemoteFacts | None, agreed: AgreedNode | None) -> None:
        """A folder on one side or on both, and no file."""
        if here is not None and there is not None:
            self._need_folders_of(path)
            if not isinstance(here, PlannedFolder) and not isinstance(there, PlannedFolder):
                self._memory.append(Adopt(path, here, there))
        elif agreed is not None and agreed.is_folder and path not in self._needed:
            if path not in self._occupied:
                self._remove_folder(path, here, there)
        else:
            self._need_folders_of(path)
            self._make_folder(path, here, there)

    def _clash(self, path: str, here: LocalFacts, there: RemoteFacts, agreed: AgreedNode | None) -> None:
        """A file on one side, a folder on the other."""
        local_file = there.is_folder
        self._need_folders_of(path)
        self._cleared.add(path)
        if agreed is not None and agreed.is_folder and path not in self._needed | self._occupied:
            self._remove_folder(path, None if local_file else here, there if local_file else None)
            if local_file:
                self._upload(path, here, None)
            else:
                self._download(path, there, None)
            return
        if agreed is not None and not agreed.is_folder:
            if local_file and is_same_local(here, agreed):
                if self._may_write_local:
                    self._removals_local.append(DeleteLocal(path, here))
                self._make_folder(path, None, there)
                return
            if not local_file and there.content_id == agreed.content_id:
                if self._may_write_remote:
                    self._removals_remote.append(DeleteRemote(path, there))
                self._make_folder(path, here, None)
                return
        if not (self._may_write_local if local_file else self._may_write_remote):
            self._refuse(path, "there is a file here and a folder on the other side")
            return
        copy = self._copy_path(path)
        if local_file:
            self._aside_local.append(MoveLocal(path, copy, conflict=True))
            self._upload(copy, here, None)
        else:
            self._aside_remote.append(MoveRemote(path, copy, conflict=True, expected=there))
            self._download(copy, there, None)
        self._make_folder(path, None if local_file else here, there if local_file else None)

    def _keep_both(self, path: str, here: LocalFacts, there: RemoteFacts) -> None:
        if not self._may_write_local:
            self._refuse(path, "the file was changed on both sides")
            return
        copy = self._copy_path(path)
        self._aside_local.append(MoveLocal(path, copy, conflict=True))
        self._upload(copy, here, None)
        self._download(path, there, None)

    # --- the operations -----------------------------------------------------------------------------------

    def _upload(self, path: str, here: LocalFacts, expected: RemoteFacts | None) -> None:
        if self._may_write_remote:
            self._uploads.append(Upload(path, here, expected))

    def _download(self, path: str, there: RemoteFacts, expected: LocalFacts | None) -> None:
        if self._may_write_local:
            self._downloads.append(Download(path, there, expected))

    def _make_folder(self, path: str, here: LocalFacts | None, there: RemoteFacts | None) -> None:
        """Make the folder on the side that lacks it."""
        if here is not None and self._may_write_remote:
            self._made_remote.append(MakeFolderRemote(path, here))
        if there is not None and self._may_write_local:
            self._made_local.append(MakeFolderLocal(path, there))

    def _remove_folder(self, path: str, here: LocalFacts | None, there: RemoteFacts | None) -> None:
        if here is not None and self._may_write_local:
            self._removals_local.append(RemoveFolderLocal(path))
        if there is not None and self._may_write_remote:
            self._removals_remote.append(RemoveFolderRemote(path, there, {}))

    def _refuse(self, path: str, message: str) -> None:
        self._draft.problems.append(Problem(path, "CONFLICT", message))

    def _need_folders_of(self, path: str) -> None:
        """Keep the folders above a path that survives."""
        for folder in _folders_of(path):
            if folder in self._needed:
                return
            self._needed.add(folder)

    def _copy_path(self, path: str) -> str:
        folder, options = parent_of(path), self._draft.options

        def is_taken(name: str) -> bool:
            candidate = join(folder, name)
            trees = (self._draft.local.nodes, self._draft.remote.nodes, self._draft.agreed.nodes, self._taken)
            return any(candidate in tree for tree in trees)

        name = conflict_name(name_of(path), device=options.device, stamp=options.stamp, is_taken=is_taken)
        copy = join(folder, name)
        self._taken.add(copy)
        return copy


def _folders_of(path: str) -> Iterator[str]:
    """The folders above a path, the nearest first."""
    folder = parent_of(path)
    while folder:
        yield folder
        folder = parent_of(folder)


def is_same_local(here: LocalFacts, agreed: AgreedNode) -> bool:
    """Whether a local node is beyond doubt the one that was agreed upon."""
    if here.is_folder or agreed.is_folder:
        return here.is_folder and agreed.is_folder and here.inode == agreed.inode
    return (
        here.size_bytes == agreed.size_bytes
        and here.mtime_ns == agreed.mtime_ns
        and here.inode == agreed.inode
        and here.ctime_ns == agreed.ctime_ns
    )


def is_same_remote(there: RemoteFacts, agreed: AgreedNode) -> bool:
    """Whether a remote node is the one that was agreed upon."""
    if there.is_folder or agreed.is_folder:
        return there.is_folder and agreed.is_folder and there.file_id == agreed.file_id
    return there.content_id == agreed.content_id


def _path(op: MakeFolderLocal | MakeFolderRemote | Download | Upload) -> str:
    return op.path


def _split(removals: list[R], cleared: set[str]) -> tuple[list[R], list[R]]:
    """Removals that make room for something else, and the others."""
    early = [op for op in removals if is_under(op.path, cleared)]
    return early, [op for op in removals if not is_under(op.path, cleared)]


def _collapsed(removals: list[_RemoteRemoval]) -> list[_RemoteRemoval]:
    """One removal for a folder that goes with all that is in it.

    Children come before parents in the list; the result has the topmost folders, which name what they take along.
    """
    contents: dict[str, dict[str, RemoteFacts]] = {}
    folders = {op.path for op in removals if isinstance(op, RemoveFolderRemote)}
    kept: list[_RemoteRemoval] = []
    for op in removals:
        inside = contents.pop(op.path, {})
        parent = parent_of(op.path)
        if parent in folders:
            contents.setdefault(parent, {}).update({op.path: op.expected, **inside})
        elif isinstance(op, RemoveFolderRemote):
            kept.append(RemoveFolderRemote(op.path, op.expected, inside))
        else:
            kept.append(op)
    return kept
