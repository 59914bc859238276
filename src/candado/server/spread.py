"""What a change of the tree entails: sizes and entity tags above it, removal of everything below, forgotten content.

Layer: ``server``. Functions here run inside the transaction of the change. They cost a few statements for a change of
any size, plus one row update for each folder whose tag changes.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this package

from collections.abc import Mapping, Sequence
from typing import Final, cast

from candado.ports.server import Rows
from candado.server.linkkeys import forget_link_keys

__all__ = ["delete_doomed", "discard_content", "doom", "spread", "spread_one"]

_UP: Final = (
    "WITH RECURSIVE up(id, parent_id) AS (SELECT id, parent_id FROM nodes WHERE id = $1"
    " UNION ALL SELECT n.id, n.parent_id FROM nodes n JOIN up ON n.id = up.parent_id)"
)
_SPREAD_ONE: Final = (
    _UP + " UPDATE nodes SET size = size + $2, etag = $3, mtime = $4 WHERE id IN (SELECT id FROM up) RETURNING id"
)
_SUMS: Final = (
    "WITH RECURSIVE up(id, parent_id, delta) AS ("
    " SELECT n.id, n.parent_id, d.delta FROM deltas d JOIN nodes n ON n.id = d.node_id WHERE d.batch = $1"
    " UNION ALL SELECT n.id, n.parent_id, up.delta FROM nodes n JOIN up ON n.id = up.parent_id)"
    " SELECT id, SUM(delta) FROM up GROUP BY id"
)
_TOUCH_RECIPIENTS: Final = (
    "UPDATE nodes SET etag = $1 WHERE owner IN (SELECT share_with FROM shares WHERE share_type IN (0, 2)"
    " AND node_id IN ({}))"
)
_FOLDERS_AT_ONCE: Final = 128
_FOLDER_MARKS: Final = ", ".join(f"${number}" for number in range(2, _FOLDERS_AT_ONCE + 2))
_TOUCH_LOSERS: Final = (
    "UPDATE nodes SET etag = $2 WHERE owner IN (SELECT s.share_with FROM shares s"
    " JOIN doomed d ON d.node_id = s.node_id WHERE d.batch = $1 AND s.share_type IN (0, 2))"
)
_DOOM_BELOW: Final = (
    "INSERT INTO doomed (batch, node_id)"
    " WITH RECURSIVE down(id) AS (SELECT node_id FROM doomed WHERE batch = $1"
    " UNION SELECT n.id FROM nodes n JOIN down ON n.parent_id = down.id)"
    " SELECT $1, id FROM down WHERE true ON CONFLICT DO NOTHING"
)
_OF_DOOMED: Final = "(SELECT node_id FROM doomed WHERE batch = $1)"
_FORGET_DOOMED: Final = (
    "INSERT INTO garbage (content, since)"
    " SELECT DISTINCT n.content, CAST($2 AS DOUBLE PRECISION) FROM nodes n JOIN doomed d ON d.node_id = n.id"
    " WHERE d.batch = $1 AND n.content IS NOT NULL ON CONFLICT DO NOTHING"
)


async def spread_one(rows: Rows, folder_id: int, delta: int, *, tag: str, now: float) -> None:
    """Give one folder and all above it a new entity tag and add ``delta`` bytes to their sizes."""
    touched = [cast("int", row[0]) for row in await rows.all(_SPREAD_ONE, folder_id, delta, tag, now)]
    await _touch_recipients(rows, touched, tag)


async def spread(rows: Rows, batch: str, deltas: Mapping[int, int], *, tag: str, now: float) -> None:
    """As ``spread_one`` for many folders at once, and for the rows of ``deltas`` that carry this batch already."""
    await rows.many(
        "INSERT INTO deltas (batch, node_id, delta) VALUES ($1, $2, $3)"
        " ON CONFLICT (batch, node_id) DO UPDATE SET delta = deltas.delta + excluded.delta",
        [(batch, folder_id, delta) for folder_id, delta in deltas.items()],
    )
    sums = cast("list[tuple[int, int]]", await rows.all(_SUMS, batch))
    await rows.many(
        "UPDATE nodes SET size = size + $2, etag = $3, mtime = $4 WHERE id = $1",
        [(folder_id, int(delta), tag, now) for folder_id, delta in sums],
    )
    await rows.run("DELETE FROM deltas WHERE batch = $1", batch)
    await _touch_recipients(rows, [folder_id for folder_id, _ in sums], tag)


async def _touch_recipients(rows: Rows, folders: Sequence[int], tag: str) -> None:
    """Devices of people a folder is shared with look at the tag of their own home first."""
    if await rows.one("SELECT 1 FROM shares LIMIT 1") is None:
        return
    for at in range(0, len(folders), _FOLDERS_AT_ONCE):
        some = folders[at : at + _FOLDERS_AT_ONCE]
        # Always as many marks, so that there is one statement: a path of any depth costs the same.
        filled = [*some, *[some[-1]] * (_FOLDERS_AT_ONCE - len(some))]
        await rows.run(_TOUCH_RECIPIENTS.format(_FOLDER_MARKS), tag, *filled)


async def doom(rows: Rows, batch: str, node_ids: Sequence[int]) -> None:
    """Mark nodes for ``delete_doomed``."""
    await rows.many(
        "INSERT INTO doomed (batch, node_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        [(batch, node_id) for node_id in node_ids],
    )


async def delete_doomed(rows: Rows, batch: str, *, tag: str, now: float) -> list[int]:
    """Remove the marked nodes and everything below, with metadata, properties and shares; ids of the encrypted folders.

    Sizes above are the caller's to change. The content is only listed as garbage.
    """
    await rows.run(_DOOM_BELOW, batch)
    await rows.run(_TOUCH_LOSERS, batch, tag)
    await rows.run(_FORGET_DOOMED, batch, now)
    flagged = await rows.all(
        f"SELECT id FROM nodes WHERE is_folder = 1 AND encrypted = 1 AND id IN {_OF_DOOMED}", batch
    )
    await forget_link_keys(rows, f"node_id IN {_OF_DOOMED}", batch, now=now)
    for table in ("folder_metadata", "membership_steps", "node_properties", "node_tags", "shares"):
        await rows.run(f"DELETE FROM {table} WHERE node_id IN {_OF_DOOMED}", batch)
    await rows.run(f"DELETE FROM nodes WHERE id IN {_OF_DOOMED}", batch)
    await rows.run("DELETE FROM doomed WHERE batch = $1", batch)
    return sorted(cast("int", row[0]) for row in flagged)


async def discard_content(rows: Rows, content: str | None, now: float) -> None:
    """List content as garbage; whoever collects it checks that nothing names it."""
    if content is not None:
        await rows.run("INSERT INTO garbage (content, since) VALUES ($1, $2) ON CONFLICT DO NOTHING", content, now)
