"""The end of a share: by its maker, or by the time it was given.

Layer: ``server``. Functions here run inside the transaction of a change.
"""

from typing import Final, cast

from candado.ports.server import Rows
from candado.server.audit import Event, node_ref, record, share_ref
from candado.server.linkkeys import forget_link_keys
from candado.server.model import LINK_PREFIX
from candado.server.mounts import recipients_of, touch_recipients
from candado.server.moving import release_unreachable
from candado.server.staging import drop_session

__all__ = ["end_expired", "end_share"]

_EXPIRED_MAX: Final = 200


async def end_share(rows: Rows, share_id: int, *, etag: str, now: float, why: str = "asked") -> None:
    """Remove a share; what its recipients or visitors were writing is undone, and the keys of a link go with it."""
    row = await rows.one("SELECT node_id, token FROM shares WHERE id = $1", share_id)
    if row is None:
        return
    node_id, token = cast("tuple[int, str | None]", row)
    await touch_recipients(rows, share_id, node_id, etag)
    losers = await recipients_of(rows, share_id)
    await forget_link_keys(rows, "id = $1", share_id, now=now)
    kind, details = "share.ended" if token is None else "link.ended", {"node": node_ref(node_id)}
    await record(rows, Event(kind, target=share_ref(share_id), reason=why, details=details))
    await rows.run("DELETE FROM shares WHERE id = $1 OR parent_share = $1", share_id)
    for user_id in losers:
        await release_unreachable(rows, user_id, now=now)
    if token is None:
        return
    for (session,) in await rows.all("SELECT session FROM locks WHERE user_id = $1", f"{LINK_PREFIX}{token}"):
        await drop_session(rows, str(session), now=now, why="share-ended")


async def end_expired(rows: Rows, *, etag: str, now: float) -> int:
    """Remove shares whose end has come, a bounded number of them; how many."""
    sql = "SELECT id FROM shares WHERE expires <= $1 AND parent_share IS NULL ORDER BY expires LIMIT $2"
    found = cast("list[tuple[int]]", await rows.all(sql, now, _EXPIRED_MAX))
    for (share_id,) in found:
        await end_share(rows, share_id, etag=etag, now=now, why="expired")
    return len(found)
