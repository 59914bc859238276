"""Searches: by conditions on what the server knows of nodes, and for favourites.

Layer: ``server``. Nothing here reads what the caller may not see. A condition that names an id or the caller's
favourites is answered from those alone. Every other search walks the tree below its scope, received shares included,
in pages of a bounded number of rows between which other requests have their turn; what comes after ``NODES_MAX`` nodes
or ``RESULTS_MAX`` results is left out, and the answer says so. Names are those that the server knows: in an encrypted
folder the sealed ones.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this package and numbered marks

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, cast

from candado.formats.davsearch import (
    FAVOURITE,
    FILE_ID,
    Comparison,
    Condition,
    IsCollection,
    Junction,
    Negation,
    Order,
    SearchRequest,
    SearchValue,
)
from candado.ports.server import Rows, SqlValue
from candado.server.guard import guarded_read
from candado.server.locating import IDS_MAX, locate_many, marks, padded
from candado.server.model import Backend, NodeInfo, Principal
from candado.server.reading import Extras, Wanted, mounts_of
from candado.server.staging import LockRule
from candado.server.tree import NODE_COLUMNS, Node, View, locate_path, node_info, node_of

__all__ = ["NODES_MAX", "RESULTS_MAX", "Found", "Searching"]

NODES_MAX: Final = 100_000
RESULTS_MAX: Final = 10_000
_PAGE_ROWS: Final = 500
_PAGE_FOLDERS: Final = IDS_MAX
_INLINE_NODES: Final = 128

_FAVOURITES: Final = (
    "SELECT node_id FROM node_properties WHERE user_id = $1 AND name = $2 AND value NOT IN ('', '0', 'false')"
    f" ORDER BY node_id LIMIT {RESULTS_MAX + 1}"
)
_OF_FOLDERS: Final = f"SELECT {NODE_COLUMNS} FROM nodes WHERE parent_id IN"
_OF_FOLDER: Final = (
    f"SELECT {NODE_COLUMNS} FROM nodes WHERE parent_id = $1 AND name > $2 ORDER BY name LIMIT {_PAGE_ROWS}"
)
_PAGE_ORDER: Final = f" ORDER BY parent_id, name LIMIT {_PAGE_ROWS}"

_VALUES: Final[Mapping[str, Callable[[NodeInfo], SearchValue]]] = {
    "{DAV:}displayname": lambda node: node.name,
    "{DAV:}getcontenttype": lambda node: node.content_type,
    # Whole seconds, as listings show them: a client asks for the time that it was told.
    "{DAV:}getlastmodified": lambda node: int(node.mtime),
    "{DAV:}creationdate": lambda node: int(node.created),
    "{http://owncloud.org/ns}size": lambda node: node.size_bytes,
    FILE_ID: lambda node: int(node.file_id),
    "{http://owncloud.org/ns}owner-id": lambda node: node.owner_id,
}


@dataclass(frozen=True, slots=True)
class Found:
    """Results in order; ``complete`` is False when there may be more than the limits of this module let through."""

    nodes: list[NodeInfo]
    complete: bool


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to look into, from the name on that sorts behind ``after``."""

    info: NodeInfo
    mounted: bool
    after: str = ""


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a search begins, the received shares that lie in the home, and the caller's favourites."""

    info: NodeInfo
    mounted: bool
    mounts: list[NodeInfo]
    favourites: frozenset[int]
    all_favourites: bool


class Searching:
    """Use cases that look for nodes by something else than their path."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def search(self, principal: Principal, path: str, request: SearchRequest) -> Found:
        """The nodes at ``path`` and down to the depth of the request that fulfil its condition.

        Raises:
            NotFoundError: nothing there. BadRequestError, LimitExceededError: the path itself.
        """
        start = await self._start(principal, path, with_favourites=_mentions(request.where, FAVOURITE))
        needed = None if request.order else request.first + _most(request.limit)
        ids = _candidates(request.where, start.favourites)
        found: list[NodeInfo] = []
        complete = start.all_favourites or not _mentions(request.where, FAVOURITE)
        seen = 0
        walk = self._walk(principal, start, request.depth) if ids is None else self._pages(principal, ids)
        async with aclosing(walk) as pages:
            async for page in pages:
                nodes = page if ids is None else [node for node in page if _is_below(node.path, path, request.depth)]
                found += await _sifted(request.where, nodes, start.favourites)
                seen += len(page)
                if ids is None and seen >= NODES_MAX:
                    complete = False
                    break
                if needed is not None and len(found) > needed:
                    break
        if request.order:
            await asyncio.to_thread(_arrange, found, request.order, start.favourites)
        most = _most(request.limit)
        left = found[request.first :]
        cut = len(left) > most and (request.limit is None or request.limit > RESULTS_MAX)
        return Found(await self._with_extras(principal, left[:most]), complete and not cut)

    async def favourites(self, principal: Principal, path: str) -> Found:
        """The caller's favourites at ``path`` and below; errors as ``search``."""
        start = await self._start(principal, path, with_favourites=True)
        found: list[NodeInfo] = []
        async for page in self._pages(principal, start.favourites):
            found += [node for node in page if _is_below(node.path, path, None)]
        return Found(await self._with_extras(principal, found[:RESULTS_MAX]), start.all_favourites)

    async def _start(self, principal: Principal, path: str, *, with_favourites: bool) -> _Start:
        async def work(rows: Rows, rule: LockRule) -> _Start:
            view = View(rows)
            found = await locate_path(view, principal, path, rule.now)
            info = found.info()
            mounts = [] if found.path else await mounts_of(view, principal, rule.now)
            marks: list[tuple[int]] = []
            if with_favourites:
                marks = cast("list[tuple[int]]", await rows.all(_FAVOURITES, principal.user_id, FAVOURITE))
            ids = frozenset(node_id for (node_id,) in marks)
            return _Start(info, found.mounted, mounts, ids, len(ids) <= RESULTS_MAX)

        return await guarded_read(self._backend, principal, work)

    async def _walk(
        self, principal: Principal, start: _Start, depth: int | None
    ) -> AsyncGenerator[list[NodeInfo], None]:
        """Everything from the start down, in pages."""
        yield [start.info]
        if depth == 0 or not start.info.is_folder:
            return
        below = depth is None
        waiting = deque([_Folder(start.info, start.mounted)])
        if start.mounts:
            yield start.mounts
            waiting += [_Folder(node, mounted=True) for node in start.mounts if below and node.is_folder]
        while waiting:
            page, unread = await self._page(principal, waiting)
            waiting.extendleft(reversed(unread))
            if below:
                waiting += [folder for folder in page if folder.info.is_folder]
            yield [folder.info for folder in page]

    async def _page(self, principal: Principal, waiting: deque[_Folder]) -> tuple[list[_Folder], list[_Folder]]:
        """The next children of the folders that wait, and what of those folders was left for the next page."""
        first = waiting.popleft()
        taken = {int(first.info.file_id): first}
        while not first.after and waiting and len(taken) < _PAGE_FOLDERS:
            following = waiting[0]
            # One folder can wait twice, below the share of a folder above it and as a share of its own.
            if following.after or int(following.info.file_id) in taken:
                break
            taken[int(following.info.file_id)] = waiting.popleft()
        keys: tuple[SqlValue, ...]
        if first.after:
            sql, keys = _OF_FOLDER, (int(first.info.file_id), first.after)
        else:
            keys = tuple(padded(sorted(taken)))
            sql = f"{_OF_FOLDERS} {marks(len(keys))}{_PAGE_ORDER}"

        async def work(rows: Rows, rule: LockRule) -> list[Node]:
            del rule
            return [node_of(row) for row in await rows.all(sql, *keys)]

        nodes = await guarded_read(self._backend, principal, work)
        page = [_child(taken[node.parent_id or 0], node) for node in nodes]
        if len(nodes) < _PAGE_ROWS:
            return page, []
        # A full page left out the rest of the folder it ended in, and those behind, in order of their ids.
        last = nodes[-1]
        ended = last.parent_id or 0
        unread = [replace(taken[ended], after=last.name)]
        return page, unread + [taken[folder_id] for folder_id in sorted(taken) if folder_id > ended]

    async def _pages(self, principal: Principal, ids: Iterable[int]) -> AsyncGenerator[list[NodeInfo], None]:
        """The nodes of these ids that the caller sees, in pages; none that hides behind an own node of its name."""
        left = sorted(ids)
        while left:
            taken, left = left[:IDS_MAX], left[IDS_MAX:]

            async def work(rows: Rows, rule: LockRule, taken: Sequence[int] = taken) -> list[NodeInfo]:
                found = await locate_many(rows, principal, taken, rule.now, hidden=False)
                return [found[node_id].info() for node_id in taken if node_id in found]

            yield await guarded_read(self._backend, principal, work)

    async def _with_extras(self, principal: Principal, nodes: list[NodeInfo]) -> list[NodeInfo]:
        """The nodes with their share types and the caller's properties; metadata is left to listings."""
        shown: list[NodeInfo] = []
        for at in range(0, len(nodes), IDS_MAX):
            page = nodes[at : at + IDS_MAX]
            ids = padded([int(node.file_id) for node in page])

            async def work(rows: Rows, rule: LockRule, ids: Sequence[int] = ids) -> Extras:
                del rule
                extras = Extras()
                where = f" IN ({', '.join(['{}'] * len(ids))})"
                await extras.load(rows, principal, where, ids, Wanted(properties=True))
                return extras

            extras = await guarded_read(self._backend, principal, work)
            shown += [extras.onto(node) for node in page]
        return shown


def _most(limit: int | None) -> int:
    return RESULTS_MAX if limit is None else min(limit, RESULTS_MAX)


def _child(folder: _Folder, node: Node) -> _Folder:
    above = folder.info
    info = node_info(
        node,
        path=f"{above.path}/{node.name}" if above.path else node.name,
        bits=above.permission_bits,
        owner_id=above.owner_id,
        parent_encrypted=above.encrypted,
        mounted=folder.mounted,
    )
    return _Folder(info, folder.mounted)


def _is_below(path: str, scope: str, depth: int | None) -> bool:
    """Whether a path is the scope, or at most ``depth`` levels below."""
    if path == scope:
        return True
    rest = path if not scope else path.removeprefix(f"{scope}/")
    if scope and rest == path:
        return False
    return depth is None or rest.count("/") < depth


def _key(name: str, favourites: frozenset[int]) -> Callable[[NodeInfo], SearchValue]:
    if name == FAVOURITE:
        return lambda node: int(node.file_id) in favourites
    return _VALUES[name]


def _arrange(nodes: list[NodeInfo], orders: Sequence[Order], favourites: frozenset[int]) -> None:
    for order in reversed(orders):
        nodes.sort(key=_key(order.name, favourites), reverse=order.descending)


def _mentions(condition: Condition | None, name: str) -> bool:
    if isinstance(condition, Junction):
        return any(_mentions(part, name) for part in condition.parts)
    if isinstance(condition, Negation):
        return _mentions(condition.part, name)
    return isinstance(condition, Comparison) and condition.name == name


def _candidates(condition: Condition | None, favourites: frozenset[int]) -> frozenset[int] | None:
    """Ids outside of which the condition cannot hold; None when it may hold anywhere."""
    if isinstance(condition, Comparison) and condition.name == FILE_ID and condition.equals is not None:
        return frozenset([int(condition.equals)])
    if isinstance(condition, Comparison) and condition.name == FAVOURITE and condition.equals is True:
        return favourites
    if isinstance(condition, Junction):
        parts = [_candidates(part, favourites) for part in condition.parts]
        known = [part for part in parts if part is not None]
        if condition.every:
            return min(known, key=len, default=None)
        return frozenset().union(*known) if len(known) == len(parts) else None
    return None


async def _sifted(condition: Condition | None, nodes: list[NodeInfo], favourites: frozenset[int]) -> list[NodeInfo]:
    """The nodes that fulfil the condition; many of them are looked at beside the event loop."""
    if condition is None:
        return nodes
    if len(nodes) > _INLINE_NODES:
        return await asyncio.to_thread(_sift, condition, nodes, favourites)
    return _sift(condition, nodes, favourites)


def _sift(condition: Condition, nodes: list[NodeInfo], favourites: frozenset[int]) -> list[NodeInfo]:
    return [node for node in nodes if _holds(condition, node, favourites)]


def _holds(condition: Condition, node: NodeInfo, favourites: frozenset[int]) -> bool:
    if isinstance(condition, Junction):
        holds = (_holds(part, node, favourites) for part in condition.parts)
        return all(holds) if condition.every else any(holds)
    if isinstance(condition, Negation):
        return not _holds(condition.part, node, favourites)
    if isinstance(condition, IsCollection):
        return node.is_folder
    return condition.test(_key(condition.name, favourites)(node))
