"""What a user sees: nodes, listings, content.

Layer: ``server``. Reads show the visible state only.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this package and numbered marks

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from candado.errors import ForbiddenError
from candado.formats.rules import Operation
from candado.ports.server import Rows
from candado.server.guard import ensure_home, guarded_read, space_of
from candado.server.locating import IDS_MAX, locate_many, padded
from candado.server.model import (
    NO_PROPERTIES,
    PERMISSION_READ,
    Backend,
    MetadataRow,
    NodeInfo,
    Part,
    Principal,
    Quota,
    permission_letters,
)
from candado.server.permits import denies_below, permit
from candado.server.staging import LockRule
from candado.server.tree import NODE_COLUMNS, Located, Node, View, locate_id, locate_path, node_of
from candado.types import FileId, UserId

__all__ = ["Extras", "Reading", "Wanted", "mounts_of", "parts_of"]

_BELOW: Final = " IN (SELECT id FROM nodes WHERE parent_id = {})"
_ITSELF: Final = " = {}"
_SHARED: Final = "SELECT DISTINCT node_id, share_type FROM shares WHERE share_type <> 2 AND node_id"
_METADATA: Final = "SELECT node_id, text, signature, counter FROM folder_metadata WHERE node_id"
_PROPERTIES: Final = "SELECT node_id, name, value FROM node_properties WHERE user_id = $1 AND node_id"
_NAMED: Final = f"SELECT {NODE_COLUMNS} FROM nodes WHERE parent_id = $1 AND is_folder = 0 AND name IN"
_CHILDREN: Final = (
    "SELECT id, name, is_folder, encrypted, size, mtime, created, etag, checksum FROM nodes WHERE parent_id = $1"
    " ORDER BY name"
)
_MOUNTS: Final = (
    "SELECT node_id, permissions FROM shares WHERE share_with = $1 AND share_type IN (0, 2) AND permissions > 0"
    " AND (expires IS NULL OR expires > $2)"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What else to show of nodes."""

    metadata: bool = False
    properties: bool = False
    children: bool = False


@dataclass(slots=True)
class Extras:
    """What is known of nodes beside their rows, by node id."""

    share_types: dict[int, tuple[int, ...]] = field(default_factory=dict)
    metadata: dict[int, MetadataRow] = field(default_factory=dict)
    properties: dict[int, dict[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.share_types or self.metadata or self.properties)

    async def load(self, rows: Rows, principal: Principal, where: str, keys: Sequence[int], wanted: Wanted) -> None:
        """Read for the nodes that ``where`` selects, whose ``{}`` stands for the next of the ``keys``."""
        plain, behind = _numbered(where, 1, len(keys)), _numbered(where, 2, len(keys))
        for node_id, kind in cast("list[tuple[int, int]]", await rows.all(_SHARED + plain, *keys)):
            self.share_types[node_id] = (*self.share_types.get(node_id, ()), kind)
        if wanted.metadata:
            found = cast("list[tuple[int, str, str, int]]", await rows.all(_METADATA + plain, *keys))
            self.metadata.update({node_id: MetadataRow(text, sig, counter) for node_id, text, sig, counter in found})
        if wanted.properties:
            texts = cast("list[tuple[int, str, str]]", await rows.all(_PROPERTIES + behind, principal.user_id, *keys))
            for node_id, name, value in texts:
                self.properties.setdefault(node_id, {})[name] = value

    def onto(self, node: NodeInfo) -> NodeInfo:
        """The node with what is known of it."""
        key = node.file_id
        if key not in self.share_types and key not in self.metadata and key not in self.properties:
            return node
        return node._replace(
            share_types=self.share_types.get(key, ()),
            metadata=self.metadata.get(key),
            properties=self.properties.get(key, {}),
        )


def _numbered(where: str, first: int, count: int) -> str:
    return where.format(*(f"${number}" for number in range(first, first + count)))


async def parts_of(rows: Rows, node: Node) -> list[Part]:
    """The blobs of a file's content in order."""
    if node.content is None:
        return []
    if node.part_count == 1:
        return [Part(node.content, node.size)]
    found = await rows.all("SELECT blob_id, size FROM parts WHERE content = $1 ORDER BY position", node.content)
    return [Part(*cast("tuple[str, int]", row)) for row in found]


class Reading:
    """Reads of the tree one user sees: the own home and received shares mounted at its top."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def ensure_home(self, user_id: UserId) -> FileId:
        """The id of the user's home, made when absent."""
        return await ensure_home(self._backend, user_id)

    async def stat(self, principal: Principal, path: str, *, with_metadata: bool = False) -> NodeInfo:
        """One node with its properties.

        Raises:
            NotFoundError: nothing there. BadRequestError, LimitExceededError: the path itself.
        """
        wanted = Wanted(metadata=with_metadata, properties=True)
        return (await self._look(principal, path, wanted))[0]

    async def stat_id(self, principal: Principal, file_id: int) -> NodeInfo:
        """One node by its id; NotFoundError when absent or not the caller's to see."""

        async def work(rows: Rows, rule: LockRule) -> NodeInfo:
            info = (await locate_id(View(rows), principal, file_id, rule.now)).info()
            extras = Extras()
            await extras.load(rows, principal, _ITSELF, [file_id], Wanted(properties=True))
            return extras.onto(info)

        return await guarded_read(self._backend, principal, work)

    async def paths(self, principal: Principal, ids: Sequence[int]) -> dict[int, str]:
        """The paths of nodes by id in the caller's tree; what is not the caller's to see is left out."""
        found: dict[int, str] = {}
        for start in range(0, len(ids), IDS_MAX):
            some = ids[start : start + IDS_MAX]

            async def work(rows: Rows, rule: LockRule, some: Sequence[int] = some) -> dict[int, Located]:
                return await locate_many(rows, principal, some, rule.now)

            places = await guarded_read(self._backend, principal, work)
            found.update({node_id: place.path for node_id, place in places.items()})
        return found

    async def list_folder(
        self, principal: Principal, path: str, *, with_metadata: bool = False, with_properties: bool = False
    ) -> tuple[NodeInfo, list[NodeInfo]]:
        """A node and its direct children by name (none for a file); errors as ``stat``.

        Metadata and properties, when asked for, are those of the node and of its children.
        """
        wanted = Wanted(metadata=with_metadata, properties=with_properties, children=True)
        return await self._look(principal, path, wanted)

    async def open_file(self, principal: Principal, path: str) -> tuple[NodeInfo, list[Part]]:
        """A file and the parts of its content in order.

        Raises:
            NotFoundError: nothing there. ForbiddenError: a folder, or no right to read.
        """

        async def work(rows: Rows, rule: LockRule) -> tuple[NodeInfo, list[Part]]:
            found = await locate_path(View(rows), principal, path, rule.now)
            node = found.existing()
            found.require(PERMISSION_READ)
            if node.is_folder:
                raise ForbiddenError("a folder has no content", path=found.path)
            await permit(rows, rule, Operation.READ, found)
            return found.info(), await parts_of(rows, node)

        return await guarded_read(self._backend, principal, work)

    async def open_small_files(
        self, principal: Principal, folder: str, names: Sequence[str]
    ) -> dict[str, tuple[int, str | None]]:
        """Size and blob (None: empty) by name of the files of a folder that are stored as one blob, without others.

        Raises:
            NotFoundError: no such folder. ForbiddenError: no right to read.
        """

        async def work(rows: Rows, rule: LockRule) -> dict[str, tuple[int, str | None]]:
            found = await locate_path(View(rows), principal, folder, rule.now)
            parent = found.existing()
            found.require(PERMISSION_READ)
            marks = ", ".join(f"${number}" for number in range(2, len(names) + 2))
            nodes = [node_of(row) for row in await rows.all(f"{_NAMED} ({marks})", parent.id, *names)]
            # Who asks for one of those alone is told why.
            shown = [node for node in nodes if not await denies_below(rows, rule, Operation.READ, found, node)]
            return {node.name: (node.size, node.content) for node in shown if node.part_count <= 1}

        return await guarded_read(self._backend, principal, work) if names else {}

    async def quota(self, user_id: UserId) -> Quota:
        """Used and total bytes of the user's storage."""
        home_id = await self.ensure_home(user_id)

        async def work(rows: Rows) -> Quota:
            return Quota(*await space_of(rows, home_id))

        return await self._backend.database.read(work)

    async def _look(self, principal: Principal, path: str, wanted: Wanted) -> tuple[NodeInfo, list[NodeInfo]]:
        async def work(rows: Rows, rule: LockRule) -> tuple[NodeInfo, list[NodeInfo]]:
            view, extras = View(rows), Extras()
            found = await locate_path(view, principal, path, rule.now)
            info = found.info()
            found.require(PERMISSION_READ)
            await extras.load(rows, principal, _ITSELF, [info.file_id], wanted)
            below: list[NodeInfo] = []
            if wanted.children and info.is_folder:
                below = await _children(view, found)
                if principal.link is not None and not info.encrypted:
                    below = [node for node in below if not node.encrypted]
                await extras.load(rows, principal, _BELOW, [info.file_id], wanted)
                if not found.path:
                    mounts = await mounts_of(view, principal, rule.now)
                    for start in range(0, len(mounts), IDS_MAX):
                        ids = padded([int(mount.file_id) for mount in mounts[start : start + IDS_MAX]])
                        where = f" IN ({', '.join(['{}'] * len(ids))})"
                        await extras.load(rows, principal, where, ids, wanted)
                    below = sorted(below + mounts, key=lambda node: node.name)
            return extras.onto(info), [extras.onto(node) for node in below] if extras else below

        return await guarded_read(self._backend, principal, work)


async def _children(view: View, found: Located) -> list[NodeInfo]:
    """What the caller may know of the children of a folder, by name."""
    folder = found.existing()
    prefix = f"{found.path}/" if found.path else ""
    bits, owner_id, hidden, mounted = found.bits, found.owner_id, bool(folder.encrypted), found.mounted
    letters = [permission_letters(bits, is_folder=kind, shared=mounted, mount_root=False) for kind in (False, True)]
    same = [(hidden, shown, bits, owner_id, False) for shown in letters]
    rest = ((), None, NO_PROPERTIES)
    # As ``node_info`` says it, without a call for each and by place: a folder may have many.
    rows = cast("list[tuple[Any, ...]]", await view.rows.all(_CHILDREN, folder.id))
    return [
        NodeInfo._make(
            (
                id_,
                name,
                prefix + name,
                kind == 1,
                size,
                tag,
                mtime,
                created,
                encrypted == 1,
                *same[kind],
                checksum,
                *rest,
            )
        )
        for id_, name, kind, encrypted, size, mtime, created, tag, checksum in rows
    ]


async def mounts_of(view: View, principal: Principal, now: float) -> list[NodeInfo]:
    """The tops of received shares by name; one hidden behind an own node of the same name is left out."""
    bits: dict[int, int] = {}
    for node_id, granted in cast("list[tuple[int, int]]", await view.rows.all(_MOUNTS, principal.user_id, now)):
        bits[node_id] = bits.get(node_id, 0) | granted
    ids, mounts = list(bits), list[NodeInfo]()
    for start in range(0, len(ids), IDS_MAX):
        found = await locate_many(view.rows, principal, ids[start : start + IDS_MAX], now, hidden=False)
        # Inside another received share it may be allowed more; here it is what the path of this name allows.
        mounts += [replace(place, bits=bits[node_id]).info() for node_id, place in found.items() if place.mount_root]
    return sorted(mounts, key=lambda node: node.name)
