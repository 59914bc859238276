"""Rows of the tree, and the tree as one transaction sees it.

Layer: ``server``. Functions here run inside one unit of work. A ``View`` with a session shows the visible tree overlaid
with what that session has staged; without one, the visible tree.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this package

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from candado.errors import NotFoundError
from candado.ports.server import Rows, SqlValue
from candado.types import UserId

__all__ = ["NODE_COLUMNS", "SUBTREE", "Node", "View", "chain_of", "node_of"]

_FIELDS: Final = "parent_id, name, is_folder, encrypted, content, part_count, size, mtime, created, etag, checksum"
NODE_COLUMNS: Final = f"id, {_FIELDS}, owner, 0"
_CHAIN_COLUMNS: Final = ("id", *_FIELDS.split(", "), "owner")
_CHAIN_WIDTH: Final = len(_CHAIN_COLUMNS)
_STEPS_AT_ONCE: Final = 8
_STAGED_COLUMNS: Final = f"node_id, {_FIELDS}, NULL, 1 + is_new"
_HIDDEN: Final = "NOT EXISTS (SELECT 1 FROM staged s WHERE s.session = $1 AND s.node_id = nodes.id)"

_CHILD: Final = f"SELECT {NODE_COLUMNS} FROM nodes WHERE parent_id = $1 AND name = $2"
_CHILD_STAGED: Final = (
    f"SELECT {_STAGED_COLUMNS} FROM staged WHERE session = $1 AND parent_id = $2 AND name = $3 AND gone = 0"
    f" UNION ALL SELECT {NODE_COLUMNS} FROM nodes WHERE parent_id = $2 AND name = $3 AND {_HIDDEN}"
)
_BY_ID: Final = f"SELECT {NODE_COLUMNS} FROM nodes WHERE id = $1"
_BY_ID_STAGED: Final = (
    f"SELECT {_STAGED_COLUMNS} FROM staged WHERE session = $1 AND node_id = $2 AND gone = 0"
    f" UNION ALL SELECT {NODE_COLUMNS} FROM nodes WHERE id = $2 AND {_HIDDEN}"
)
_ABOVE: Final = (
    "WITH RECURSIVE up(node, above, height) AS (SELECT id, parent_id, 0 FROM nodes WHERE id = $1"
    " UNION ALL SELECT n.id, n.parent_id, up.height + 1 FROM nodes n JOIN up ON n.id = up.above)"
    f" SELECT {NODE_COLUMNS} FROM nodes JOIN up ON nodes.id = up.node ORDER BY up.height DESC"
)
_ANY_CHILD_STAGED: Final = (
    "SELECT 1 FROM staged WHERE session = $1 AND parent_id = $2 AND gone = 0"
    f" UNION ALL SELECT 1 FROM nodes WHERE parent_id = $2 AND {_HIDDEN} LIMIT 1"
)
_ANY_CHILD: Final = (
    # Only a session whose lock covers the folder can have staged something in it.
    "WITH RECURSIVE up(id, above) AS (SELECT id, parent_id FROM nodes WHERE id = $1"
    " UNION ALL SELECT n.id, n.parent_id FROM nodes n JOIN up ON n.id = up.above)"
    " SELECT 1 FROM nodes WHERE parent_id = $1"
    " UNION ALL SELECT 1 FROM up JOIN locks l ON l.node_id = up.id"
    " JOIN staged s ON s.session = l.session AND s.parent_id = $1 AND s.gone = 0 LIMIT 1"
)
SUBTREE: Final = (
    "WITH RECURSIVE down(node, depth) AS (SELECT id, 0 FROM nodes WHERE id = $1"
    " UNION ALL SELECT n.id, down.depth + 1 FROM nodes n JOIN down ON n.parent_id = down.node)"
    f" SELECT {NODE_COLUMNS} FROM nodes JOIN down ON nodes.id = down.node ORDER BY down.depth, nodes.id"
)
"""A node and everything below it, what is above first."""


class Node(NamedTuple):
    """One row of ``nodes`` or ``staged``; ``staged`` is 0 for a visible row, 1 for a changed one, 2 for a new one."""

    id: int
    parent_id: int | None
    name: str
    is_folder: int
    encrypted: int
    content: str | None
    part_count: int
    size: int
    mtime: float
    created: float
    etag: str
    checksum: str | None
    owner: str | None
    staged: int


def node_of(row: tuple[SqlValue, ...]) -> Node:
    """A row of NODE_COLUMNS as a node."""
    return Node._make(cast("tuple[Any, ...]", row))


class View:
    """The tree as one transaction sees it, with or without the staged changes of a session."""

    __slots__ = ("rows", "session")

    def __init__(self, rows: Rows, session: str | None = None) -> None:
        self.rows = rows
        self.session = session

    async def child(self, parent_id: int, name: str) -> Node | None:
        """The node of this name in a folder."""
        if self.session is None:
            row = await self.rows.one(_CHILD, parent_id, name)
        else:
            row = await self.rows.one(_CHILD_STAGED, self.session, parent_id, name)
        return None if row is None else node_of(row)

    async def by_id(self, node_id: int) -> Node | None:
        """The node with this id."""
        if self.session is None:
            row = await self.rows.one(_BY_ID, node_id)
        else:
            row = await self.rows.one(_BY_ID_STAGED, self.session, node_id)
        return None if row is None else node_of(row)

    async def is_empty(self, parent_id: int) -> bool:
        """Whether a folder has no children; without a session those that any session staged count too."""
        if self.session is None:
            return await self.rows.one(_ANY_CHILD, parent_id) is None
        return await self.rows.one(_ANY_CHILD_STAGED, self.session, parent_id) is None

    async def ancestors(self, node: Node) -> list[Node]:
        """The folders above a node from the home down; ``[]`` for a home, NotFoundError for a node without one."""
        above: list[Node] = []
        parent_id = node.parent_id
        if self.session is None and parent_id is not None:
            above = [node_of(row) for row in await self.rows.all(_ABOVE, parent_id)]
            if not above or above[0].parent_id is not None:
                raise NotFoundError("no such file or folder")
            return above
        while parent_id is not None:
            parent = await self.by_id(parent_id)
            if parent is None:
                raise NotFoundError("no such file or folder")
            above.append(parent)
            parent_id = parent.parent_id
        above.reverse()
        return above


async def chain_of(rows: Rows, user_id: UserId, parts: Sequence[str]) -> list[Node | None]:
    """A user's home and the nodes of the first steps of a path in it, in one statement; nothing without a home.

    None stands for what is not there. A database on another machine answers once instead of once for every step.
    """
    steps = parts[:_STEPS_AT_ONCE]
    row = await rows.one(_chain_statement(len(steps)), user_id, *steps)
    if row is None:
        return []
    return [
        None if row[at] is None else node_of((*row[at : at + _CHAIN_WIDTH], 0))
        for at in range(0, len(row), _CHAIN_WIDTH)
    ]


@lru_cache(maxsize=_STEPS_AT_ONCE + 1)
def _chain_statement(steps: int) -> str:
    columns = [f"n{step}.{column}" for step in range(steps + 1) for column in _CHAIN_COLUMNS]
    joins = [
        f" LEFT JOIN nodes n{step} ON n{step}.parent_id = n{step - 1}.id AND n{step}.name = ${step + 1}"
        for step in range(1, steps + 1)
    ]
    return f"SELECT {', '.join(columns)} FROM nodes n0{''.join(joins)} WHERE n0.owner = $1"
