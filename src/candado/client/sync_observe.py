"""What a sync sees: the local scan and the accepted remote tree, by relative path.

Layer: ``client``. Looking is cheap where nothing happened: when the top folder has the etag under which everything
was agreed upon, one request tells that; else only folders whose etag is another one are opened. An etag is the
server's word; a server that repeats an old one hides changes, as it could by repeating the documents, and shows
nothing that was not accepted before.
"""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from candado.client.sync_state import FolderMark, PairState, TopMark
from candado.errors import (
    NotFoundError,
    PreconditionFailedError,
)
from candado.protocol.plan_model import Question, RemoteFacts
from candado.protocol.plan_moves import is_under

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.reader import FolderReader
    from candado.client.view import FolderView, RemoteEntry
    from candado.ports.client import LocalStat, LocalTree

__all__ = ["LocalSight", "RemoteSight", "is_top_unchanged", "look_at_local", "look_at_remote", "mark_folders"]

_UNREADABLE = "\0unreadable"
"""Name of what is in a folder but has no name that can be used; nobody's file is called so."""


@dataclass(frozen=True, slots=True)
class LocalSight:
    """The scan: ``blocked`` are paths that are there but were left out."""

    nodes: "dict[str, LocalStat]"
    blocked: frozenset[str]


@dataclass(slots=True)
class RemoteSight:
    """The remote tree below the top folder.

    ``nodes`` holds entries as accepted now, or rows of the agreed tree where a folder did not change. ``blocked``
    are paths that are listed but cannot be read now. ``marks`` are the states of the folders that were opened, ""
    is the top. ``top`` is None when the top folder did not change and was not opened.
    """

    nodes: dict[str, RemoteFacts]
    blocked: frozenset[str] = frozenset()
    marks: dict[str, FolderMark] = field(default_factory=dict)
    top: "FolderView | None" = None
    file_id: int = 0
    remote_path: str = ""
    deleted: bool = False
    _agreed_at: dict[str, str] | None = None

    def path_of(self, question: Question, agreed: PairState) -> str:
        """Relative path of a file in a folder that was not opened; PreconditionFailedError when it is not known."""
        if self._agreed_at is None:
            self._agreed_at = {node.content_id: path for path, node in agreed.nodes.items() if not node.is_folder}
        path = self._agreed_at.get(question.content_id)
        if path is None:
            raise PreconditionFailedError("a remote file moved while it was compared", path=question.local_path)
        return path


async def look_at_local(tree: "LocalTree") -> LocalSight:
    """Scan the local tree, in a thread."""

    def scan() -> LocalSight:
        nodes = tree.scan()
        return LocalSight(nodes, frozenset(path for path, _ in tree.skipped()))

    return await asyncio.to_thread(scan)


async def look_at_remote(
    account: "Account", reader: "FolderReader", state: PairState, top: "FolderView | None", *, skip_known: bool
) -> RemoteSight:
    """Walk the remote tree below ``top``, or find that nothing in it changed (``top`` None).

    Raises:
        TamperError, FormatError, CryptoError: a folder was refused; nothing of the tree is used.
    """
    if top is None:
        assert state.top is not None
        return RemoteSight(dict(state.nodes), file_id=state.top.file_id, remote_path=state.top.remote_path)
    prefix = top.path.rstrip("/") + "/"

    def is_known(entry: "RemoteEntry") -> bool:
        mark = state.marks.get(entry.path.removeprefix(prefix)) if skip_known else None
        return mark is not None and mark.etag == entry.etag and mark.digest == _digest(account, entry.file_id)

    walked = await reader.walk(top, skip=is_known)
    nodes: dict[str, RemoteFacts] = {entry.path.removeprefix(prefix): entry for entry in walked.entries()}
    known = {entry.path.removeprefix(prefix) for entry in walked.skipped}
    if known:
        for path, node in state.nodes.items():
            if path not in nodes and is_under(path, known):
                nodes[path] = node
    blocked: set[str] = set()
    marks: dict[str, FolderMark] = {}
    for path, view in walked.folders.items():
        below = "" if path == top.path else path.removeprefix(prefix)
        inside = below + "/" if below else ""
        blocked.update(inside + name for name in view.missing)
        if view.folder is not None and (view.folder.content.skipped or view.folder.drops):
            blocked.add(inside + _UNREADABLE)
        marks[below] = FolderMark(view.etag, _digest(account, view.file_id))
    return RemoteSight(nodes, frozenset(blocked), marks, top, top.file_id, top.remote_path, top.deleted)


async def is_top_unchanged(account: "Account", state: PairState) -> bool:
    """Whether the top folder is in the state under which everything was agreed upon: one request, and no other."""
    top = state.top
    if top is None or not top.etag or top.digest != _digest(account, top.file_id):
        return False
    try:
        nodes = await account.remote.list_folder(top.remote_path, depth=0)
    except NotFoundError:
        return False
    node = nodes[0]
    return node.file_id == top.file_id and node.etag == top.etag and node.is_encrypted


def mark_folders(state: PairState, sight: RemoteSight, dirty: set[str]) -> None:
    """Remember the states of opened folders below which everything is as agreed; forget those of the others.

    ``dirty`` are paths where something was written, failed or was left alone.
    """
    unsettled = {""} if dirty else set[str]()
    for path in dirty:
        folder = path
        while folder and folder not in unsettled:
            unsettled.add(folder)
            folder = folder.rpartition("/")[0]
    for path, mark in sight.marks.items():
        if path:
            state.set_mark(path, None if path in unsettled else mark)
    for path in unsettled:
        state.set_mark(path, None)
    if unsettled:
        state.set_top(TopMark(sight.file_id, sight.remote_path, "", ""))
    elif "" in sight.marks:
        top = sight.marks[""]
        state.set_top(TopMark(sight.file_id, sight.remote_path, top.etag, top.digest))


def _digest(account: "Account", file_id: int) -> str:
    """Digest of the state of a folder that was accepted last; empty when there is none."""
    pin = account.book.folder(file_id)  # type: ignore[arg-type]
    return "" if pin is None else pin.digest
