"""Where received shares appear: the rows of ``shares`` that stand for a place in somebody's home.

Layer: ``server``. Functions here run inside the transaction of a change. A share with a user is such a row itself. A
share with a group has one more row (type 2, ``parent_share`` names the share) for each member, made and removed with
the membership, so that finding a path needs no look at groups. A member who leaves the share keeps the row with no
permissions, as a mark that it does not come back by itself.

Somebody who receives one node in several ways sees it once: all these rows have the same target, and their permissions
add up.
"""

from typing import Final, cast

from candado.errors import AlreadyExistsError
from candado.ports.server import Rows, SqlValue
from candado.server.names import numbered_name
from candado.types import UserId

__all__ = [
    "admit_member",
    "dismiss_member",
    "end_group_shares",
    "free_target",
    "leave_mount",
    "mount_for_group",
    "recipients_of",
    "touch_recipients",
]

_ATTEMPTS: Final = 1000
_OF_GROUP: Final = "SELECT id FROM shares WHERE share_with = $1 AND share_type = 1"
_INSERT: Final = (
    "INSERT INTO shares (node_id, share_type, owner_id, initiator_id, share_with, permissions, target, created,"
    " parent_share, expires) VALUES ($1, 2, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING"
)
_SHARE: Final = (
    "SELECT s.id, s.node_id, s.owner_id, s.initiator_id, s.permissions, s.created, s.expires, n.name"
    " FROM shares s JOIN nodes n ON n.id = s.node_id WHERE s.share_type = 1 AND "
)
_TOUCH: Final = (
    "UPDATE nodes SET etag = $2 WHERE owner IN (SELECT share_with FROM shares"
    " WHERE (id = $1 OR parent_share = $1) AND share_type IN (0, 2))"
)


async def free_target(rows: Rows, user_id: str, node_id: int, name: str) -> str:
    """A name for a node that is free at the top of the user's home: ``name``, ``name (2)``, ...

    A node that is there already by another share keeps its name.
    """
    found = await rows.one(
        "SELECT target FROM shares WHERE share_with = $1 AND node_id = $2 AND share_type IN (0, 2)"
        " AND permissions > 0 ORDER BY id LIMIT 1",
        user_id,
        node_id,
    )
    if found is not None:
        return str(found[0])
    for number in range(1, _ATTEMPTS):
        target = numbered_name(name, number)
        taken = await rows.one(
            "SELECT 1 FROM shares WHERE share_with = $1 AND target = $2 AND share_type IN (0, 2) AND permissions > 0"
            " UNION ALL SELECT 1 FROM nodes h JOIN nodes c ON c.parent_id = h.id WHERE h.owner = $1 AND c.name = $2",
            user_id,
            target,
        )
        if taken is None:
            return target
    raise AlreadyExistsError("too many folders of this name in the home of the other user", path=user_id)


async def touch_recipients(rows: Rows, share_id: int, node_id: int, etag: str) -> None:
    """New entity tags for the node and the homes it appears in: devices look only where one has changed."""
    await rows.run(_TOUCH, share_id, etag)
    await rows.run("UPDATE nodes SET etag = $2 WHERE id = $1", node_id, etag)


async def recipients_of(rows: Rows, share_id: int) -> list[UserId]:
    """Everybody who receives a share, by himself or as a member of a group."""
    sql = "SELECT share_with FROM shares WHERE (id = $1 OR parent_share = $1) AND share_type IN (0, 2) ORDER BY id"
    return [UserId(str(row[0])) for row in await rows.all(sql, share_id)]


async def leave_mount(rows: Rows, user_id: str, target: str) -> None:
    """Take what is received under this name out of the user's home, for this user alone."""
    await rows.run("DELETE FROM shares WHERE share_with = $1 AND share_type = 0 AND target = $2", user_id, target)
    sql = "UPDATE shares SET permissions = 0 WHERE share_with = $1 AND share_type = 2 AND target = $2"
    await rows.run(sql, user_id, target)


async def mount_for_group(rows: Rows, share_id: int, group: str) -> None:
    """Make the rows of a new share with a group."""
    share = await rows.one(_SHARE + "s.id = $1", share_id)
    assert share is not None
    for (user_id,) in await rows.all("SELECT user_id FROM memberships WHERE group_id = $1 ORDER BY user_id", group):
        await _mount(rows, share, str(user_id))


async def admit_member(rows: Rows, group: str, user_id: str, etag: str) -> None:
    """Show a new member what was shared with the group."""
    for share in await rows.all(_SHARE + "s.share_with = $1 ORDER BY s.id", group):
        await _mount(rows, share, user_id)
    await rows.run("UPDATE nodes SET etag = $2 WHERE owner = $1", user_id, etag)


async def _mount(rows: Rows, share: tuple[SqlValue, ...], user_id: str) -> None:
    share_id, node_id, owner_id, initiator_id, permissions, created, expires, name = share
    if user_id in (owner_id, initiator_id):
        return
    target = await free_target(rows, user_id, cast("int", node_id), str(name))
    await rows.run(_INSERT, node_id, owner_id, initiator_id, user_id, permissions, target, created, share_id, expires)


async def dismiss_member(rows: Rows, group: str, user_id: str, etag: str) -> None:
    """Take what was shared with the group away from one who is no member any more."""
    for (share_id,) in await rows.all(_OF_GROUP, group):
        sql = "DELETE FROM shares WHERE parent_share = $1 AND share_type = 2 AND share_with = $2"
        await rows.run(sql, share_id, user_id)
    await rows.run("UPDATE nodes SET etag = $2 WHERE owner = $1", user_id, etag)


async def end_group_shares(rows: Rows, group: str, etag: str) -> list[UserId]:
    """End all shares with a group that is going, and return who received them."""
    losers: list[UserId] = []
    for (share_id,) in await rows.all(_OF_GROUP, group):
        losers += await recipients_of(rows, cast("int", share_id))
        await rows.run(_TOUCH, share_id, etag)
        await rows.run("DELETE FROM shares WHERE id = $1 OR parent_share = $1", share_id)
    return losers
