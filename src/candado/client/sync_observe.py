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
from candado.ports.client import RemoteNode
from candado.protocol.plan_decide import is_same_remote
from candado.protocol.plan_model import Question, RemoteFacts
from candado.protocol.plan_moves import is_under
from candado.protocol.plan_names import join, name_of, parent_of
from candado.types import FileId

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.reader import FolderReader
    from candado.client.view import FolderView, RemoteEntry
    from candado.ports.client import LeftOut, LocalStat, LocalTree

__all__ = ["LocalSight", "RemoteSight", "look_at_local", "look_at_remote", "mark_folders", "unchanged_top"]

_UNREADABLE = "\0unreadable"
"""Name of what is in a folder but has no name that can be used; nobody's file is called so."""


@dataclass(frozen=True, slots=True)
class LocalSight:
    """The scan: ``blocked`` are paths that are there but were left out, ``left_out`` says why.

    ``seen_ns`` is the time before it, in nanoseconds since the epoch.
    """

    nodes: "dict[str, LocalStat]"
    blocked: frozenset[str]
    seen_ns: int
    left_out: "tuple[LeftOut, ...]" = ()


@dataclass(slots=True)
class RemoteSight:
    """The remote tree below the top folder.

    ``nodes`` holds entries as accepted now, or rows of the agreed tree where a folder did not change. ``blocked``
    are paths that are listed but cannot be read now. ``marks`` are the states of the folders that were opened, ""
    is the top. ``top`` is None when the top folder did not change and was not opened. ``is_read_only`` says that the
    server lets this account write nothing here.
    """

    nodes: dict[str, RemoteFacts]
    blocked: frozenset[str] = frozenset()
    views: "dict[str, FolderView]" = field(default_factory=dict)
    top: "FolderView | None" = None
    is_read_only: bool = False
    _agreed_at: dict[str, str] | None = None

    def path_of(self, question: Question, agreed: PairState) -> str:
        """Relative path of a file in a folder that was not opened; PreconditionFailedError when it is not known."""
        if self._agreed_at is None:
            self._agreed_at = {node.content_id: path for path, node in agreed.nodes.items() if not node.is_folder}
        path = self._agreed_at.get(question.content_id)
        if path is None:
            raise PreconditionFailedError("a remote file moved while it was compared", path=question.local_path)
        return path


async def look_at_local(tree: "LocalTree", *, now: float) -> LocalSight:
    """Scan the local tree, in a thread; ``now`` is the time in seconds since the epoch."""

    def scan() -> LocalSight:
        nodes = tree.scan()
        left_out = tuple(tree.skipped())
        return LocalSight(nodes, frozenset(one.path for one in left_out), round(now * 1e9), left_out)

    return await asyncio.to_thread(scan)


async def look_at_remote(
    account: "Account", reader: "FolderReader", state: PairState, top: "FolderView | RemoteNode", *, skip_known: bool
) -> RemoteSight:
    """Walk the remote tree below ``top``; what ``unchanged_top`` found says that nothing in it changed.

    Raises:
        TamperError, FormatError, CryptoError: a folder was refused; nothing of the tree is used.
    """
    if isinstance(top, RemoteNode):
        return RemoteSight(dict(state.nodes), is_read_only=_is_read_only(top))
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
    views: dict[str, FolderView] = {}
    for path, view in walked.folders.items():
        below = "" if path == top.path else path.removeprefix(prefix)
        inside = below + "/" if below else ""
        # An unfinished folder holds nothing, and is set up anew when the local side has one of its name.
        unfinished = {problem.path for problem in view.problems if problem.code == "folder.unfinished"}
        for name in view.missing:
            if join(view.path, name) not in unfinished or inside + name in state.nodes:
                blocked.add(inside + name)
        if view.folder is not None and (view.folder.content.skipped or view.folder.drops):
            blocked.add(inside + _UNREADABLE)
        views[below] = view
    read_only = top.node is not None and _is_read_only(top.node)
    return RemoteSight(nodes, frozenset(blocked), views, top, is_read_only=read_only)


def _is_read_only(node: RemoteNode) -> bool:
    """Whether nothing may be put into a folder, as the server says; one that says nothing at all allows everything."""
    return bool(node.permissions) and not set(node.permissions) & {"C", "K"}


async def unchanged_top(account: "Account", state: PairState) -> "RemoteNode | None":
    """The top folder when it is in the state under which everything was agreed upon: one request, and no other."""
    top = state.top
    if top is None or not top.etag or top.digest != _digest(account, top.file_id):
        return None
    pin = account.book.folder(FileId(top.file_id))
    if pin is not None and account.book.is_deleted(pin.root_id):
        # A deleted root that is still there keeps its etag; whoever does not look does not see what it is.
        return None
    if pin is not None and account.pins().recovery:
        from candado.client.covering import owed_member  # noqa: PLC0415 -- few organisations have a recovery key

        if owed_member(account, pin.root_id) is not None:
            return None
    try:
        nodes = await account.remote.list_folder(top.remote_path, depth=0)
    except NotFoundError:
        return None
    node = nodes[0]
    return node if node.file_id == top.file_id and node.etag == top.etag and node.is_encrypted else None


def mark_folders(state: PairState, views: "dict[str, FolderView]", top: "FolderView | None") -> None:
    """Remember under which etags and documents folders are as agreed; forget it for opened folders that are not.

    A folder is as agreed when each of its entries is the one its row tells of, no row is left over, and each of its
    folders is as agreed under the very etag that is listed for it. Only then an equal etag says that nothing
    changed below.

    Args:
        state: the agreed tree after the run.
        views: folders that were read in this run, the newest of each, by relative path, "" for the top.
        top: the top folder when it was read.
    """
    rows: dict[str, set[str]] = {}
    for path in state.nodes:
        rows.setdefault(parent_of(path), set()).add(name_of(path))
    for path in sorted(views, reverse=True):
        view = views[path]
        settled = _is_settled(state, path, view, rows.get(path, set()))
        mark = FolderMark(view.etag, view.folder.digest) if settled and view.folder is not None else None
        if path:
            state.set_mark(path, mark)
        elif top is not None:
            etag, digest = ("", "") if mark is None else (mark.etag, mark.digest)
            state.set_top(TopMark(top.file_id, top.remote_path, etag, digest))


def _is_settled(state: PairState, path: str, view: "FolderView", names: set[str]) -> bool:
    folder = view.folder
    if folder is None or view.missing or folder.content.skipped or folder.drops or names != view.entries.keys():
        return False
    for name, entry in view.entries.items():
        child = join(path, name)
        if not is_same_remote(entry, state.nodes[child]):
            return False
        if entry.is_folder:
            mark = state.marks.get(child)
            if mark is None or mark.etag != entry.etag:
                return False
    return True


def _digest(account: "Account", file_id: int) -> str:
    """Digest of the state of a folder that was accepted last; empty when there is none."""
    pin = account.book.folder(file_id)  # type: ignore[arg-type]
    return "" if pin is None else pin.digest
