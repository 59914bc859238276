"""Many node ids to the places the caller sees them at, in a number of statements that does not grow with the ids.

Layer: ``server``. Functions here run inside one unit of work.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this package and numbered marks

from collections.abc import Sequence
from typing import Final, cast

from candado.ports.server import Rows
from candado.server.model import Principal
from candado.server.nodes import NODE_COLUMNS, Node, node_of
from candado.server.tree import Located, grants_of, locate_chain

__all__ = ["IDS_MAX", "locate_many", "marks", "padded"]

IDS_MAX: Final = 256
"""How many ids one call takes."""
_CHAINS: Final = (
    "WITH RECURSIVE up(start, node, above, height) AS (SELECT id, id, parent_id, 0 FROM nodes WHERE id IN {}"
    " UNION ALL SELECT up.start, n.id, n.parent_id, up.height + 1 FROM nodes n JOIN up ON n.id = up.above)"
    f" SELECT up.start, {', '.join(f'nodes.{name}' if name != '0' else name for name in NODE_COLUMNS.split(', '))}"
    " FROM up JOIN nodes ON nodes.id = up.node ORDER BY up.start, up.height DESC"
)
_OWN_NAMES: Final = "SELECT c.name FROM nodes h JOIN nodes c ON c.parent_id = h.id WHERE h.owner = $1 AND c.name IN {}"


def marks(count: int, first: int = 1) -> str:
    """``($1, $2, ...)`` for a list of values in a statement."""
    return f"({', '.join(f'${number}' for number in range(first, first + count))})"


def padded(ids: Sequence[int]) -> list[int]:
    """The ids, the last of them repeated up to one of few lengths, so that there are as few statements."""
    length = next(most for most in (1, 16, IDS_MAX) if len(ids) <= most)
    return [*ids, *[ids[-1]] * (length - len(ids))]


async def locate_many(
    rows: Rows, principal: Principal, ids: Sequence[int], now: float, *, hidden: bool = True
) -> dict[int, Located]:
    """The places of at most ``IDS_MAX`` visible nodes by id; what is not the caller's to see is left out.

    Without ``hidden`` so is what a path does not reach, since an own node has the name of the received share.
    """
    if not ids:
        return {}
    wanted = padded(ids)
    chains: dict[int, list[Node]] = {}
    for start, *columns in await rows.all(_CHAINS.format(marks(len(wanted))), *wanted):
        chains.setdefault(cast("int", start), []).append(node_of(tuple(columns)))
    whole = {node_id: chain for node_id, chain in chains.items() if chain[0].parent_id is None}
    grants = []
    if any(chain[0].owner != principal.user_id for chain in whole.values()):
        grants = await grants_of(rows, principal, now)
    found: dict[int, Located] = {}
    for node_id, chain in whole.items():
        place = locate_chain(principal, chain, grants)
        if place is not None:
            found[node_id] = place
    return found if hidden else await _reachable(rows, principal, found)


async def _reachable(rows: Rows, principal: Principal, found: dict[int, Located]) -> dict[int, Located]:
    tops = sorted({place.path.partition("/")[0] for place in found.values() if place.mounted})
    if not tops:
        return found
    names = await rows.all(_OWN_NAMES.format(marks(len(tops), 2)), principal.user_id, *tops)
    taken = {str(name) for (name,) in names}
    return {
        node_id: place
        for node_id, place in found.items()
        if not (place.mounted and place.path.partition("/")[0] in taken)
    }
