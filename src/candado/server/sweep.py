"""Cleaning that nobody waits for: expired sessions and shares, stale uploads, content nothing names.

Layer: ``server``. Rows go first, durably; blobs after them. A crash between leaves orphans, which
``collect_orphans`` takes.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this package

from typing import Final, cast

from candado.ports.server import Rows
from candado.server.holding import deletions_wait
from candado.server.model import Backend
from candado.server.shareends import end_expired
from candado.server.staging import drop_session

__all__ = ["collect_orphans", "orphans_due", "sweep", "unknown_blobs"]

_ROWS_MAX: Final = 500
_ORPHAN_SECONDS: Final = 86_400.0
_NAMED: Final = (
    "SELECT 1 FROM nodes WHERE content = $1 UNION ALL SELECT 1 FROM staged WHERE content = $1"
    " UNION ALL SELECT 1 FROM parts WHERE blob_id = $1 UNION ALL SELECT 1 FROM chunks WHERE blob_id = $1"
)
_NAMED_OR_GARBAGE: Final = _NAMED + " UNION ALL SELECT 1 FROM garbage WHERE content = $1"
_STALE: Final = "upload_id IN (SELECT id FROM uploads WHERE refreshed < $1)"
_LOST: Final = "epoch <> $1"
_FORGET: Final = "INSERT INTO garbage (content, since) SELECT blob_id, CAST($2 AS DOUBLE PRECISION) FROM chunks WHERE "
_FORGET_STALE: Final = _FORGET + _STALE + " ON CONFLICT DO NOTHING"
_FORGET_LOST: Final = _FORGET + _LOST + " ON CONFLICT DO NOTHING"
_DELETE_STALE: Final = "DELETE FROM chunks WHERE " + _STALE
_DELETE_LOST: Final = "DELETE FROM chunks WHERE " + _LOST


async def sweep(backend: Backend) -> dict[str, int]:
    """Clean what is due; counts of sessions, uploads, shares, contents and blobs. Safe at any time, by any process.

    Content is removed only ``garbage_grace_seconds`` after it lost its last name, because a download may still be
    reading it, and not while a backup runs, which may still want to.
    """
    now, settings = backend.clock.now(), backend.settings
    sessions = await backend.database.write(
        lambda rows: _end_sessions(rows, now - settings.lock_ttl_seconds, backend.epoch, now)
    )
    uploads = await backend.database.write(
        lambda rows: _end_uploads(rows, now - settings.upload_ttl_seconds, backend.epoch, now)
    )
    tag = backend.tag()
    shares = await backend.database.write(lambda rows: end_expired(rows, etag=tag, now=now))
    contents = blobs = 0
    while True:
        taken, freed = await backend.database.write(
            lambda rows: _take_garbage(rows, now - settings.garbage_grace_seconds, now)
        )
        await backend.objects.delete(freed)
        contents, blobs = contents + taken, blobs + len(freed)
        if taken < _ROWS_MAX:
            break
    return {"sessions": sessions, "uploads": uploads, "shares": shares, "contents": contents, "blobs": blobs}


async def _end_sessions(rows: Rows, before: float, epoch: str, now: float) -> int:
    found = await rows.all("SELECT session FROM locks WHERE refreshed < $1 OR epoch <> $2", before, epoch)
    for (session,) in found:
        await drop_session(rows, str(session), now=now)
    return len(found)


async def _end_uploads(rows: Rows, before: float, epoch: str, now: float) -> int:
    for forget, delete, value in ((_FORGET_STALE, _DELETE_STALE, before), (_FORGET_LOST, _DELETE_LOST, epoch)):
        await rows.run(forget, value, now)
        await rows.run(delete, value)
    return await rows.run("DELETE FROM uploads WHERE refreshed < $1", before)


async def _take_garbage(rows: Rows, before: float, now: float) -> tuple[int, list[str]]:
    """Forget contents that nothing names; (how many rows were looked at, the blobs that are free now)."""
    if await deletions_wait(rows, now):
        return 0, []
    found = await rows.all("SELECT content FROM garbage WHERE since < $1 LIMIT $2", before, _ROWS_MAX)
    freed: list[str] = []
    for (content,) in cast("list[tuple[str]]", found):
        await rows.run("DELETE FROM garbage WHERE content = $1", content)
        if await rows.one(_NAMED, content) is not None:
            continue
        parts = [str(row[0]) for row in await rows.all("SELECT blob_id FROM parts WHERE content = $1", content)]
        await rows.run("DELETE FROM parts WHERE content = $1", content)
        freed += [blob_id for blob_id in parts or [content] if await rows.one(_NAMED, blob_id) is None]
    return len(found), freed


async def unknown_blobs(backend: Backend, blob_ids: list[str]) -> list[str]:
    """Those of the blobs that no row names, garbage included."""

    async def work(rows: Rows) -> list[str]:
        return [blob_id for blob_id in blob_ids if await rows.one(_NAMED_OR_GARBAGE, blob_id) is None]

    return await backend.database.read(work)


async def orphans_due(backend: Backend) -> bool:
    """Whether the caller is to look for orphans now: once a day one process of all is, by a row that it takes."""
    now = backend.clock.now()

    async def work(rows: Rows) -> bool:
        sql = "INSERT INTO settings (name, value) VALUES ('orphans_sought', $1) ON CONFLICT DO NOTHING"
        await rows.run(sql, str(now))
        sql = "UPDATE settings SET value = $1 WHERE name = 'orphans_sought' AND CAST(value AS DOUBLE PRECISION) < $2"
        return await rows.run(sql, str(now), now - _ORPHAN_SECONDS) == 1

    return await backend.database.write(work)


async def collect_orphans(backend: Backend) -> int:
    """Remove blobs, and parts of them that were never finished, that no row names; how many.

    They must be older than the time of an upload, because a living process may be about to write the row.
    """
    oldest = backend.clock.now() - backend.settings.upload_ttl_seconds
    removed, batch = 0, list[str]()
    async for blob_id, _, written in backend.objects.scan():
        if written < oldest:
            batch.append(blob_id)
        if len(batch) >= _ROWS_MAX:
            removed += await _remove_orphans(backend, batch)
            batch = []
    return removed + await _remove_orphans(backend, batch)


async def _remove_orphans(backend: Backend, batch: list[str]) -> int:
    orphans = await unknown_blobs(backend, batch)
    await backend.objects.delete(orphans)
    return len(orphans)
