"""Renames: the first half of a plan.

Layer: ``protocol``. A ``Draft`` is the state of a plan in the making: three trees that are changed as if the
renames planned so far had happened, so that the second half (``plan``) sees a renamed node at one path on both
sides.

A rename is planned only when nothing about it is in doubt: the source is gone from the side that renamed and
unchanged on the other, the target is new on the one and free on the other. For a file the bytes are compared too
(``Question``): inode numbers are given out again, and unpacked archives bring sizes and times that were there
before.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from candado.protocol.plan_model import (
    AgreedNode,
    LocalFacts,
    MakeFolderLocal,
    MakeFolderRemote,
    Mode,
    MoveLocal,
    MoveRemote,
    PlanOptions,
    Problem,
    Question,
    RemoteFacts,
)
from candado.protocol.plan_names import join, name_of, parent_of

__all__ = ["Draft", "PlannedFolder", "Tree", "plan_moves"]

N = TypeVar("N")


@dataclass(frozen=True, slots=True)
class PlannedFolder:
    """A folder that an operation of this plan creates; fits both sides."""

    is_folder: bool = True
    size_bytes: int = 0
    mtime_ns: int = 0
    inode: int = 0
    ctime_ns: int = 0
    file_id: int = 0
    content_id: str = ""


class Tree(Generic[N]):
    """Nodes by path, with renames of whole folders in time that grows with the folder, not with the tree."""

    __slots__ = ("_children", "nodes")

    def __init__(self, nodes: Mapping[str, N]) -> None:
        self.nodes = dict(nodes)
        self._children: dict[str, set[str]] | None = None

    def put(self, path: str, node: N) -> None:
        """Set one node."""
        self.nodes[path] = node
        if self._children is not None:
            self._children.setdefault(parent_of(path), set()).add(name_of(path))

    def rename(self, source: str, target: str) -> None:
        """Give the node at ``source``, if there is one, and all below it the new path."""
        if self._children is None:
            self._children = {}
            for path in self.nodes:
                self._children.setdefault(parent_of(path), set()).add(name_of(path))
        pending = [(source, target)]
        while pending:
            old, new = pending.pop()
            pending += [(join(old, name), join(new, name)) for name in self._children.pop(old, ())]
            if old in self.nodes:
                self._children.get(parent_of(old), set()).discard(name_of(old))
                self.put(new, self.nodes.pop(old))


@dataclass(slots=True)
class Draft:
    """A plan in the making.

    ``blocked_local`` and ``blocked_remote`` are in the paths of their side as they are after the renames planned so
    far.
    """

    local: Tree[LocalFacts]
    remote: Tree[RemoteFacts]
    agreed: Tree[AgreedNode]
    options: PlanOptions
    verdicts: Mapping[tuple[str, str], bool]
    blocked_local: set[str]
    blocked_remote: set[str]
    questions: dict[tuple[str, str], Question] = field(default_factory=dict[tuple[str, str], Question])
    problems: list[Problem] = field(default_factory=list[Problem])
    local_moves: list[MoveLocal | MakeFolderLocal] = field(default_factory=list[MoveLocal | MakeFolderLocal])
    remote_moves: list[MoveRemote | MakeFolderRemote] = field(default_factory=list[MoveRemote | MakeFolderRemote])

    def ask(self, path: str, remote: RemoteFacts) -> bool | None:
        """Whether the local file has the remote content; None when it is not known yet, and then it is asked."""
        scanned = self._scanned_path(path)
        key = (scanned, remote.content_id)
        verdict = self.verdicts.get(key)
        if verdict is None:
            self.questions[key] = Question(scanned, remote.content_id, remote)
        return verdict

    def _scanned_path(self, path: str) -> str:
        """Where the scan saw what is at ``path`` after the local renames planned so far."""
        for op in reversed(self.local_moves):
            if isinstance(op, MoveLocal):
                path = _remapped(path, [(op.target, op.source)])
        return path

    def is_blocked(self, path: str) -> bool:
        """Whether a path or a folder above it is left alone."""
        return is_under(path, self.blocked_local) or is_under(path, self.blocked_remote)


def is_under(path: str, roots: Collection[str]) -> bool:
    """Whether ``path`` is one of ``roots`` or lies below one."""
    if not roots:
        return False
    while path:
        if path in roots:
            return True
        path = parent_of(path)
    return False


def plan_moves(draft: Draft) -> None:
    """Plan the renames of both sides and apply them to the trees of the draft."""
    if draft.options.mode is not Mode.PULL:
        _folders_renamed_locally(draft)
        _files_renamed_locally(draft)
    if draft.options.mode is not Mode.PUSH:
        _folders_renamed_remotely(draft)
        _files_renamed_remotely(draft)


def _depth_order(path: str) -> tuple[int, str]:
    return path.count("/"), path


def _gone(draft: Draft, present: Mapping[str, object], blocked: set[str], *, folders: bool) -> list[str]:
    """Agreed folders or files that one side no longer has, shallow ones first."""
    nodes = draft.agreed.nodes
    missing = [path for path in nodes.keys() - present.keys() if nodes[path].is_folder is folders]
    return sorted((path for path in missing if not is_under(path, blocked)), key=_depth_order)


def _remapped(path: str, moves: list[tuple[str, str]]) -> str:
    """Where a path is after these renames, in order."""
    for source, target in moves:
        if path == source or path.startswith(source + "/"):
            path = target + path[len(source) :]
    return path


# --- renamed locally, to be renamed remotely ---------------------------------------------------------


def _folders_renamed_locally(draft: Draft) -> None:
    new = draft.local.nodes.keys() - draft.agreed.nodes.keys()
    by_inode = {
        node.inode: path
        for path in new
        if (node := draft.local.nodes[path]).is_folder and node.inode and not draft.is_blocked(path)
    }
    if not by_inode:
        return
    applied: list[tuple[str, str]] = []
    for gone in _gone(draft, draft.local.nodes, draft.blocked_local, folders=True):
        agreed_at = _remapped(gone, applied)
        agreed = draft.agreed.nodes[agreed_at]
        target = by_inode.get(agreed.inode)
        if target is None or target == agreed_at:
            continue
        seen = draft.remote.nodes.get(agreed_at)
        if (
            seen is not None
            and seen.is_folder
            and seen.file_id == agreed.file_id
            and _move_remote(draft, agreed_at, target)
        ):
            applied.append((agreed_at, target))


def _files_renamed_locally(draft: Draft) -> None:
    by_facts: dict[tuple[int, int, int], str | None] = {}
    for path in draft.local.nodes.keys() - draft.agreed.nodes.keys():
        node = draft.local.nodes[path]
        if not node.is_folder and node.inode and not draft.is_blocked(path):
            key = (node.inode, node.size_bytes, node.mtime_ns)
            by_facts[key] = None if key in by_facts else path
    if not by_facts:
        return
    for gone in _gone(draft, draft.local.nodes, draft.blocked_local, folders=False):
        agreed = draft.agreed.nodes[gone]
        target = by_facts.get((agreed.inode, agreed.size_bytes, agreed.mtime_ns))
        seen = draft.remote.nodes.get(gone)
        if target is None or seen is None or seen.is_folder or target in draft.remote.nodes:
            continue
        if seen.content_id == agreed.content_id and draft.ask(target, seen):
            _move_remote(draft, gone, target)


def _move_remote(draft: Draft, source: str, target: str) -> bool:
    """Plan a remote rename, with the folders above its target; False when it cannot be done."""
    missing = _missing_above(target, draft.remote.nodes)
    if missing is None or not _is_free(draft, source, target, draft.remote.nodes):
        return False
    for folder in missing:
        draft.remote.put(folder, PlannedFolder())
        draft.remote_moves.append(MakeFolderRemote(folder, draft.local.nodes[folder]))
    draft.remote_moves.append(MoveRemote(source, target, expected=draft.remote.nodes[source]))
    draft.remote.rename(source, target)
    draft.agreed.rename(source, target)
    draft.blocked_remote = _rename_all(draft.blocked_remote, source, target)
    return True


# --- renamed remotely, to be renamed locally -----------------------------------------------------------


def _folders_renamed_remotely(draft: Draft) -> None:
    new = draft.remote.nodes.keys() - draft.agreed.nodes.keys()
    by_id = {
        node.file_id: path
        for path in new
        if (node := draft.remote.nodes[path]).is_folder and node.file_id and not draft.is_blocked(path)
    }
    if not by_id:
        return
    applied: list[tuple[str, str]] = []
    for gone in _gone(draft, draft.remote.nodes, draft.blocked_remote, folders=True):
        agreed_at = _remapped(gone, applied)
        target = by_id.get(draft.agreed.nodes[agreed_at].file_id)
        if target is None or target == agreed_at:
            continue
        seen = draft.local.nodes.get(agreed_at)
        if seen is not None and seen.is_folder and _move_local(draft, agreed_at, target):
            applied.append((agreed_at, target))


def _files_renamed_remotely(draft: Draft) -> None:
    by_content = {
        node.content_id: path
        for path in sorted(draft.remote.nodes.keys() - draft.agreed.nodes.keys(), reverse=True)
        if not (node := draft.remote.nodes[path]).is_folder and not draft.is_blocked(path)
    }
    if not by_content:
        return
    for gone in _gone(draft, draft.remote.nodes, draft.blocked_remote, folders=False):
        agreed = draft.agreed.nodes[gone]
        target = by_content.get(agreed.content_id)
        seen = draft.local.nodes.get(gone)
        if target is not None and seen is not None and not seen.is_folder:
            _move_local(draft, gone, target)


def _move_local(draft: Draft, source: str, target: str) -> bool:
    """Plan a local rename, with the folders above its target; False when it cannot be done."""
    missing = _missing_above(target, draft.local.nodes)
    if missing is None or not _is_free(draft, source, target, draft.local.nodes):
        return False
    for folder in missing:
        draft.local.put(folder, PlannedFolder())
        draft.local_moves.append(MakeFolderLocal(folder, draft.remote.nodes[folder]))
    draft.local_moves.append(MoveLocal(source, target))
    draft.local.rename(source, target)
    draft.agreed.rename(source, target)
    draft.blocked_local = _rename_all(draft.blocked_local, source, target)
    return True


# --- both ---------------------------------------------------------------------------------------------------


def _missing_above(path: str, nodes: Mapping[str, LocalFacts | RemoteFacts]) -> list[str] | None:
    """Folders above ``path`` that have to be made, topmost first; None when a file is in the way."""
    missing: list[str] = []
    folder = parent_of(path)
    while folder:
        node = nodes.get(folder)
        if node is not None:
            return missing[::-1] if node.is_folder else None
        missing.append(folder)
        folder = parent_of(folder)
    return missing[::-1]


def _is_free(draft: Draft, source: str, target: str, nodes: Mapping[str, object]) -> bool:
    return (
        target not in nodes
        and target not in draft.agreed.nodes
        and not target.startswith(source + "/")
        and not draft.is_blocked(source)
    )


def _rename_all(paths: set[str], source: str, target: str) -> set[str]:
    return {_remapped(path, [(source, target)]) for path in paths}
