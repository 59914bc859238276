"""Tags that administrators put on files and folders, for access rules to look at.

Layer: ``server``. A tag is a name on one node and holds for everything below it. Nothing that users call sets or shows
one. A node that is moved keeps its tags, a copy has none, and one that is removed takes them along.
"""

from collections.abc import Sequence
from typing import Final

from candado.errors import BadRequestError, LimitExceededError
from candado.ports.server import Rows
from candado.server.audit import Event, node_ref, record
from candado.server.locating import IDS_MAX, marks, padded
from candado.server.model import Backend, Principal
from candado.server.nodes import View
from candado.server.tree import Located, locate_path
from candado.types import UserId

__all__ = ["Tags", "tags_of"]

TAGS_MAX: Final = 50
_TAG_CHARS_MAX: Final = 64
_LIST: Final = "SELECT tag FROM node_tags WHERE node_id = $1 ORDER BY tag"
_ANY: Final = "SELECT tag FROM node_tags WHERE node_id IN"
_ADD: Final = "INSERT INTO node_tags (node_id, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_REMOVE: Final = "DELETE FROM node_tags WHERE node_id = $1 AND tag = $2"


async def tags_of(rows: Rows, node_ids: Sequence[int]) -> frozenset[str]:
    """The tags on any of the nodes: one that is looked at and those above it."""
    found: set[str] = set()
    for start in range(0, len(node_ids), IDS_MAX):
        ids = padded(node_ids[start : start + IDS_MAX])
        found |= {str(tag) for (tag,) in await rows.all(f"{_ANY} {marks(len(ids))}", *ids)}
    return frozenset(found)


class Tags:
    """Use cases on tags: whoever administrates the server says of which user's path."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock

    async def on(self, user_id: UserId, path: str) -> tuple[list[str], list[str]]:
        """Tags of what is at a path of a user, and those it has from the folders above it; NotFoundError."""
        now = self._clock.now()

        async def work(rows: Rows) -> tuple[list[str], list[str]]:
            found = await _locate(rows, user_id, path, now)
            above = await tags_of(rows, [folder.id for folder in found.above])
            return await _tags(rows, found.existing().id), sorted(above)

        return await self._database.read(work)

    async def change(self, user_id: UserId, path: str, tag: str, *, put: bool) -> list[str]:
        """Put a tag on what is at a path of a user, or take it off; what it has then. Twice is success.

        Raises:
            NotFoundError: no such user, or nothing there. BadRequestError: no tag. LimitExceededError: too many.
        """
        if not 0 < len(tag) <= _TAG_CHARS_MAX or not tag.isprintable() or tag.strip() != tag:
            raise BadRequestError(f"a tag has 1 to {_TAG_CHARS_MAX} characters", path=tag[:_TAG_CHARS_MAX])
        now = self._clock.now()

        async def work(rows: Rows) -> list[str]:
            node_id = (await _locate(rows, user_id, path, now)).existing().id
            if await rows.run(_ADD if put else _REMOVE, node_id, tag):
                await record(rows, Event("policy.tagged", target=node_ref(node_id), details={"put": int(put)}))
            tags = await _tags(rows, node_id)
            if len(tags) > TAGS_MAX:
                raise LimitExceededError(f"a file or folder has at most {TAGS_MAX} tags", path=path)
            return tags

        return await self._database.write(work)


async def _locate(rows: Rows, user_id: UserId, path: str, now: float) -> Located:
    return await locate_path(View(rows), Principal(user_id), path.strip("/"), now)


async def _tags(rows: Rows, node_id: int) -> list[str]:
    return [str(tag) for (tag,) in await rows.all(_LIST, node_id)]
