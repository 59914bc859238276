"""Locks, and what a session has staged under its lock: rows in, rows out.

Layer: ``server``. Functions here run inside one unit of work.

Theory of operation. A session is named by half the SHA-256 of its lock token. Its changes are rows of ``staged``: the
state a node will have, or that it will be gone; ``nodes`` stays untouched. ``apply_session`` copies them in a fixed
number of statements, ``drop_session`` only removes them. Because a lock covers its whole subtree and every other writer
is refused there, what a session saw is what it changes: names it found free are free when it ends.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this package

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from candado.errors import ForbiddenError, LockedError
from candado.ports.server import Rows, SqlValue
from candado.server.audit import Event, node_ref, record, record_all, user_ref
from candado.server.recoveryuses import record_recovery_changes
from candado.server.spread import delete_doomed, discard_content, spread
from candado.server.tree import Node
from candado.types import LockToken

if TYPE_CHECKING:
    from candado.server.policy import Guard

__all__ = [
    "LOCK_COLUMNS",
    "Lock",
    "LockRule",
    "SessionExpiredSignal",
    "apply_session",
    "covering_locks",
    "drop_session",
    "lock_of",
    "require_writable",
    "restage",
    "session_of",
    "stage_change",
    "stage_new",
    "stage_removal",
    "staged_blobs",
    "touch_session",
]

_SESSION_CHARS: Final = 32
STEPS_MAX: Final = 16
STEP_CHARS_MAX: Final = 2 * 1024 * 1024
_GONE_METADATA: Final = "(SELECT node_id FROM staged_metadata WHERE session = $1 AND gone = 1)"
_INSERT: Final = (
    "INSERT INTO staged (session, node_id, is_new, gone, parent_id, name, is_folder, encrypted, content, part_count,"
    " size, mtime, created, etag, checksum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
)
_UPSERT: Final = (
    _INSERT + " ON CONFLICT (session, node_id) DO UPDATE SET gone = excluded.gone, parent_id = excluded.parent_id,"
    " name = excluded.name, encrypted = excluded.encrypted, content = excluded.content,"
    " part_count = excluded.part_count, size = excluded.size, mtime = excluded.mtime, etag = excluded.etag,"
    " checksum = excluded.checksum"
)
_DELTAS: Final = (
    "INSERT INTO deltas (batch, node_id, delta) SELECT $2, parent_id, SUM(delta) FROM ("
    " SELECT n.parent_id AS parent_id, -n.size AS delta FROM staged s JOIN nodes n ON n.id = s.node_id"
    "  WHERE s.session = $1"
    " UNION ALL SELECT s.parent_id, CASE WHEN s.is_folder = 1"
    "  THEN COALESCE((SELECT n.size FROM nodes n WHERE n.id = s.node_id), 0) ELSE s.size END"
    "  FROM staged s WHERE s.session = $1 AND s.gone = 0"
    " UNION ALL SELECT node_id, 0 FROM staged WHERE session = $1 AND gone = 0 AND is_folder = 1"
    " UNION ALL SELECT node_id, 0 FROM staged_metadata WHERE session = $1"
    " UNION ALL SELECT node_id, 0 FROM locks WHERE session = $1"
    ") changes GROUP BY parent_id"
)
_FORGET_REPLACED: Final = (
    "INSERT INTO garbage (content, since)"
    " SELECT DISTINCT n.content, CAST($2 AS DOUBLE PRECISION) FROM staged s JOIN nodes n ON n.id = s.node_id"
    " WHERE s.session = $1 AND n.content IS NOT NULL AND (s.content IS NULL OR s.content <> n.content)"
    " ON CONFLICT DO NOTHING"
)
_FORGET_STAGED: Final = (
    "INSERT INTO garbage (content, since) SELECT DISTINCT content, CAST($2 AS DOUBLE PRECISION) FROM staged"
    " WHERE session = $1 AND content IS NOT NULL AND gone >= $3 ON CONFLICT DO NOTHING"
)
_FREE_NAMES: Final = (
    # '/' cannot be in a name, so these are unique whatever order the rows are then written in.
    "UPDATE nodes SET name = '/' || CAST(id AS TEXT) WHERE id IN (SELECT s.node_id FROM staged s"
    " JOIN nodes n ON n.id = s.node_id"
    " WHERE s.session = $1 AND (s.gone = 1 OR s.parent_id <> n.parent_id OR s.name <> n.name))"
)
_APPLY: Final = (
    "INSERT INTO nodes (id, parent_id, name, is_folder, encrypted, content, part_count, size, mtime, created, etag,"
    " checksum) SELECT node_id, parent_id, name, is_folder, encrypted, content, part_count, size, mtime, created, etag,"
    " checksum FROM staged WHERE session = $1 AND gone = 0"
    " ON CONFLICT (id) DO UPDATE SET parent_id = excluded.parent_id, name = excluded.name,"
    " content = excluded.content, part_count = excluded.part_count,"
    " size = CASE WHEN nodes.is_folder = 1 THEN nodes.size ELSE excluded.size END,"
    " mtime = excluded.mtime, etag = excluded.etag, checksum = excluded.checksum"
)
_COUNTER: Final = (
    "COALESCE((SELECT c.counter FROM lock_counters c WHERE c.session = $1 AND c.node_id = m.node_id),"
    " (SELECT f.counter FROM folder_metadata f WHERE f.node_id = m.node_id), 0)"
)
_KEEP_STEPS: Final = (
    f"INSERT INTO membership_steps (node_id, counter, text, signature)"
    f" SELECT m.node_id, {_COUNTER}, m.text, m.signature"
    " FROM staged_metadata m JOIN folder_metadata b ON b.node_id = m.node_id"
    " WHERE m.session = $1 AND m.gone = 0 AND m.members <> '' AND m.members <> b.members AND LENGTH(m.text) <= $2"
    " ON CONFLICT (node_id, counter) DO UPDATE SET text = excluded.text, signature = excluded.signature"
)
_FORGET_STEPS: Final = (
    "DELETE FROM membership_steps WHERE node_id IN (SELECT node_id FROM staged_metadata WHERE session = $1)"
    " AND counter <= (SELECT o.counter FROM membership_steps o WHERE o.node_id = membership_steps.node_id"
    " ORDER BY o.counter DESC LIMIT 1 OFFSET $2)"
)
_APPLY_METADATA: Final = (
    "INSERT INTO folder_metadata (node_id, text, signature, members, counter, updated)"
    f" SELECT m.node_id, m.text, m.signature, m.members, {_COUNTER}, $2"
    " FROM staged_metadata m WHERE m.session = $1 AND m.gone = 0"
    " ON CONFLICT (node_id) DO UPDATE SET text = excluded.text, signature = excluded.signature,"
    " members = excluded.members, counter = excluded.counter, updated = excluded.updated"
)
_COUNTERS: Final = (
    "SELECT m.node_id, m.gone, b.counter, c.counter FROM staged_metadata m"
    " LEFT JOIN folder_metadata b ON b.node_id = m.node_id"
    " LEFT JOIN lock_counters c ON c.session = m.session AND c.node_id = m.node_id"
    " WHERE m.session = $1 ORDER BY m.node_id"
)
_BLOBS: Final = (
    "SELECT content FROM staged WHERE session = $1 AND gone = 0 AND part_count = 1"
    " UNION SELECT p.blob_id FROM staged s JOIN parts p ON p.content = s.content"
    " WHERE s.session = $1 AND s.gone = 0 AND s.part_count > 1"
)


class SessionExpiredSignal(Exception):  # noqa: N818 -- not an error of the caller: the unit of work asks for a roll back
    """Raised inside a unit of work when its session is past its time; the use case rolls it back and answers."""

    def __init__(self, session: str) -> None:
        super().__init__(session)
        self.session = session


@dataclass(frozen=True, slots=True)
class Lock:
    """One row of ``locks``."""

    session: str
    node_id: int
    home_id: int
    user_id: str
    refreshed: float
    epoch: str
    generation: int

    def is_over(self, *, now: float, ttl_seconds: float, epoch: str) -> bool:
        """Whether it has expired, or lost what it staged in a power cut."""
        return now - self.refreshed > ttl_seconds or self.epoch != epoch


LOCK_COLUMNS: Final = "session, node_id, home_id, user_id, refreshed, epoch, generation"


@dataclass(frozen=True, slots=True)
class LockRule:
    """What decides whether a lock still holds; ``guard`` are the access rules of a unit of work, if there are any."""

    now: float
    ttl_seconds: float
    epoch: str
    guard: "Guard | None" = None

    def is_over(self, lock: Lock) -> bool:
        """Whether the lock no longer counts."""
        return lock.is_over(now=self.now, ttl_seconds=self.ttl_seconds, epoch=self.epoch)


def lock_of(row: tuple[SqlValue, ...]) -> Lock:
    """A row of LOCK_COLUMNS as a lock."""
    return Lock(*cast("tuple[str, int, int, str, float, str, int]", row))


def session_of(token: LockToken | None) -> str | None:
    """The name of the session a token opens; None without one."""
    if token is None or not token.reveal():
        return None
    return hashlib.sha256(token.reveal().encode("utf-8", "surrogatepass")).hexdigest()[:_SESSION_CHARS]


async def covering_locks(rows: Rows, chain: list[Node]) -> list[Lock]:
    """Locks on any node of a chain."""
    if not any(node.encrypted for node in chain):
        return []  # only folders of encrypted trees can be locked
    marks = ", ".join(f"${i + 1}" for i in range(len(chain)))
    found = await rows.all(f"SELECT {LOCK_COLUMNS} FROM locks WHERE node_id IN ({marks})", *[node.id for node in chain])
    return [lock_of(row) for row in found]


async def require_writable(
    rows: Rows, chain: list[Node], *, needs_token: bool, session: str | None, rule: LockRule
) -> str | None:
    """Decide whether a write below ``chain`` may happen; the session that must stage it, or None.

    Raises:
        ForbiddenError: a token is needed and there is none.
        LockedError: somebody else's lock covers the place, or the token is not that of a lock here.
        SessionExpiredSignal: the token's own lock is over.
    """
    if needs_token and session is None:
        raise ForbiddenError("a write into an encrypted folder needs the token of its lock")
    for lock in await covering_locks(rows, chain):
        if lock.session == session:
            if rule.is_over(lock):
                raise SessionExpiredSignal(session)
            return session
        if not rule.is_over(lock):
            raise LockedError("somebody else is writing into this folder")
    if needs_token:
        raise LockedError("this token holds no lock here")
    return None


async def touch_session(rows: Rows, session: str, rule: LockRule, *, staged_bytes: int) -> None:
    """Note a write of the session: its time runs anew.

    Raises:
        LockedError: the session has ended meanwhile. SessionExpiredSignal: its time was over.
    """
    changed = await rows.run(
        "UPDATE locks SET refreshed = $2, generation = generation + 1, staged_bytes = staged_bytes + $3"
        " WHERE session = $1 AND refreshed >= $4 AND epoch = $5",
        session,
        rule.now,
        staged_bytes,
        rule.now - rule.ttl_seconds,
        rule.epoch,
    )
    if changed == 0:
        if await rows.one("SELECT 1 FROM locks WHERE session = $1", session) is not None:
            raise SessionExpiredSignal(session)
        raise LockedError("the lock of this token is gone")


async def stage_new(rows: Rows, session: str, node: Node) -> None:
    """Stage a node that does not exist yet."""
    await rows.run(_INSERT, *_values(session, node, is_new=1, gone=0))


async def stage_change(rows: Rows, session: str, node: Node) -> None:
    """Stage the new state of a node, visible or staged."""
    await rows.run(_UPSERT, *_values(session, node, is_new=0, gone=0))


async def stage_removal(rows: Rows, session: str, node: Node) -> None:
    """Stage that a node, visible or staged, and everything below it will be gone."""
    await rows.run(_UPSERT, *_values(session, node, is_new=0, gone=1))


def _values(session: str, node: Node, *, is_new: int, gone: int) -> tuple[str | int | float | None, ...]:
    return (
        session,
        node.id,
        is_new,
        gone,
        node.parent_id,
        node.name,
        node.is_folder,
        node.encrypted,
        node.content,
        node.part_count,
        node.size,
        node.mtime,
        node.created,
        node.etag,
        node.checksum,
    )


async def staged_blobs(rows: Rows, session: str) -> list[str]:
    """All blobs that will be visible when the session ends."""
    return [cast("str", row[0]) for row in await rows.all(_BLOBS, session)]


async def apply_session(rows: Rows, session: str, *, batch: str, tag: str, now: float) -> None:
    """Make everything the session staged visible and end it; every blob must have been persisted before."""
    await record_all(rows, [_written(row) for row in await rows.all(_COUNTERS, session)])
    await rows.run(_DELTAS, session, batch)
    await rows.run(_FORGET_REPLACED, session, now)
    await rows.run(_FORGET_STAGED, session, now, 1)
    await rows.run(_FREE_NAMES, session)
    await rows.run(_APPLY, session)
    if await rows.run(_KEEP_STEPS, session, STEP_CHARS_MAX):
        await record_recovery_changes(rows, session)
        await rows.run(_FORGET_STEPS, session, STEPS_MAX)
    await rows.run(_APPLY_METADATA, session, now)
    if await rows.run(f"DELETE FROM folder_metadata WHERE node_id IN {_GONE_METADATA}", session):
        await rows.run(f"DELETE FROM membership_steps WHERE node_id IN {_GONE_METADATA}", session)
    doomed = await rows.run(
        "INSERT INTO doomed (batch, node_id) SELECT $2, node_id FROM staged WHERE session = $1 AND gone = 1",
        session,
        batch,
    )
    if doomed:
        await delete_doomed(rows, batch, tag=tag, now=now)
    await spread(rows, batch, {}, tag=tag, now=now)
    await _end(rows, session)


async def drop_session(rows: Rows, session: str, *, now: float, why: str = "expired") -> None:
    """Undo everything the session staged and end it; harmless when it has ended."""
    row = await rows.one("SELECT node_id, user_id FROM locks WHERE session = $1", session)
    if row is not None:
        details = {"holder": user_ref(str(row[1]))}
        await record(
            rows, Event("session.rolled-back", target=node_ref(cast("int", row[0])), reason=why, details=details)
        )
    await rows.run(_FORGET_STAGED, session, now, 0)
    await _end(rows, session)


def _written(row: Sequence[SqlValue]) -> Event:
    node_id, gone, before, after = row
    old = before if isinstance(before, int) else 0
    new = after if isinstance(after, int) else old
    kind = "metadata.removed" if gone else "metadata.written"
    return Event(kind, target=node_ref(cast("int", node_id)), details={"counter_before": old, "counter_after": new})


async def _end(rows: Rows, session: str) -> None:
    for table in ("staged", "staged_metadata", "lock_counters", "locks"):
        await rows.run(f"DELETE FROM {table} WHERE session = $1", session)


async def restage(rows: Rows, session: str, before: Node | None, after: Node, *, now: float) -> int:
    """Stage ``after`` in place of ``before``; the bytes by which what is staged has grown.

    Content that only this session knew is listed as garbage when it is replaced.
    """
    if before is None:
        await stage_new(rows, session, after)
        return after.size
    await stage_change(rows, session, after)
    if not before.staged:
        return after.size
    if before.content != after.content:
        await discard_content(rows, before.content, now)
    return after.size - before.size
