"""Is the store sound? Reads only; run it any time.

Layer: ``server``. Codes of findings are stable. ``error``: something is lost or wrong; ``notice``: something is left
over and will be cleaned up by itself or does no harm. Presence and size of every body are checked, and, when asked for,
its bytes against the checksum that the store took when it wrote them. Bodies in encrypted folders also carry a tag,
which only their readers can check.
"""
# ruff: noqa: ISC004 -- statements of a table, one per row

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, cast

from candado.errors import CandadoError, NotFoundError
from candado.ports.server import Rows
from candado.server.model import Backend, Finding
from candado.server.sweep import collect_orphans, sweep, unknown_blobs

__all__ = ["ReadTally", "check_store", "collect_orphans", "sweep"]

_PAGE: Final = 500
_AT_ONCE: Final = 8
"""Bodies that are looked at together: each is a request where they are in a bucket."""

_RULES: Final[tuple[tuple[str, str, str, str], ...]] = (
    (
        "tree.parent",
        "error",
        "a node lies in a folder that does not exist or is a file",
        "SELECT n.id FROM nodes n LEFT JOIN nodes p ON p.id = n.parent_id"
        " WHERE n.parent_id IS NOT NULL AND (p.id IS NULL OR p.is_folder = 0)",
    ),
    (
        "tree.unreachable",
        "error",
        "a node cannot be reached from any home",
        "WITH RECURSIVE seen(id) AS (SELECT id FROM nodes WHERE owner IS NOT NULL"
        " UNION SELECT n.id FROM nodes n JOIN seen ON n.parent_id = seen.id)"
        " SELECT id FROM nodes WHERE id NOT IN (SELECT id FROM seen)",
    ),
    (
        "tree.size",
        "error",
        "the size of a folder is not the sum of what it holds",
        "SELECT f.id FROM nodes f LEFT JOIN nodes c ON c.parent_id = f.id WHERE f.is_folder = 1"
        " GROUP BY f.id, f.size HAVING f.size <> COALESCE(SUM(c.size), 0)",
    ),
    (
        "tree.ids",
        "error",
        "an id was given out that is not below the next one",
        "SELECT id FROM nodes WHERE id >= (SELECT next FROM sequences WHERE name = 'node')",
    ),
    (
        "content.parts",
        "error",
        "the parts of a file are missing or their sizes do not add up to its own",
        "SELECT n.id FROM nodes n LEFT JOIN parts p ON p.content = n.content"
        " WHERE n.is_folder = 0 AND n.content IS NOT NULL AND n.part_count <> 1"
        " GROUP BY n.id, n.size, n.part_count"
        " HAVING COUNT(p.blob_id) <> n.part_count OR COALESCE(SUM(p.size), 0) <> n.size",
    ),
    (
        "content.none",
        "error",
        "a file has no content",
        "SELECT id FROM nodes WHERE is_folder = 0 AND (content IS NULL OR part_count = 0)",
    ),
    (
        "metadata.stray",
        "error",
        "metadata belongs to no encrypted folder",
        "SELECT m.node_id FROM folder_metadata m LEFT JOIN nodes n ON n.id = m.node_id"
        " WHERE n.id IS NULL OR n.encrypted = 0"
        " UNION SELECT s.node_id FROM membership_steps s LEFT JOIN folder_metadata f ON f.node_id = s.node_id"
        " WHERE f.node_id IS NULL",
    ),
    (
        "metadata.none",
        "notice",
        "an encrypted folder has no metadata yet",
        "SELECT n.id FROM nodes n LEFT JOIN folder_metadata m ON m.node_id = n.id"
        " WHERE n.encrypted = 1 AND m.node_id IS NULL",
    ),
    (
        "session.stray",
        "error",
        "something is staged under no lock",
        "SELECT session FROM staged WHERE session NOT IN (SELECT session FROM locks)"
        " UNION SELECT session FROM staged_metadata WHERE session NOT IN (SELECT session FROM locks)"
        " UNION SELECT session FROM lock_counters WHERE session NOT IN (SELECT session FROM locks)",
    ),
    (
        "session.lock",
        "error",
        "a lock belongs to a folder that does not exist",
        "SELECT l.session FROM locks l LEFT JOIN nodes n ON n.id = l.node_id WHERE n.id IS NULL",
    ),
    (
        "scratch.left",
        "error",
        "a scratch table is not empty",
        "SELECT batch FROM doomed UNION SELECT batch FROM deltas",
    ),
    (
        "share.stray",
        "error",
        "a share belongs to a node that does not exist",
        "SELECT s.id FROM shares s LEFT JOIN nodes n ON n.id = s.node_id WHERE n.id IS NULL",
    ),
    (
        "share.member",
        "error",
        "a share with a group and the memberships of the group do not agree on who receives it",
        "SELECT m.id FROM shares m LEFT JOIN shares s ON s.id = m.parent_share AND s.share_type = 1"
        " LEFT JOIN memberships g ON g.group_id = s.share_with AND g.user_id = m.share_with WHERE m.share_type = 2"
        " AND (s.id IS NULL OR g.user_id IS NULL OR (m.permissions <> 0 AND m.permissions <> s.permissions))"
        " UNION SELECT s.id FROM shares s JOIN memberships g ON g.group_id = s.share_with"
        " LEFT JOIN shares m ON m.parent_share = s.id AND m.share_with = g.user_id"
        " WHERE s.share_type = 1 AND m.id IS NULL AND g.user_id <> s.owner_id AND g.user_id <> s.initiator_id",
    ),
    (
        "upload.stray",
        "error",
        "a chunk belongs to no upload",
        "SELECT upload_id FROM chunks WHERE upload_id NOT IN (SELECT id FROM uploads)",
    ),
)

_BLOBS: Final[tuple[tuple[int | str, str], ...]] = (
    (
        0,
        # A copy shares the body of its original.
        "SELECT id, content, size FROM nodes n WHERE part_count = 1 AND content IS NOT NULL AND id > $1"
        " AND NOT EXISTS (SELECT 1 FROM nodes e WHERE e.content = n.content AND e.size = n.size AND e.id < n.id)"
        " ORDER BY id LIMIT $2",
    ),
    (
        "",
        "SELECT blob_id, blob_id, size FROM parts p WHERE blob_id > $1"
        " AND EXISTS (SELECT 1 FROM nodes n WHERE n.content = p.content) ORDER BY blob_id LIMIT $2",
    ),
)


@dataclass(slots=True)
class ReadTally:
    """How many bodies were read to their end, and how many of them could be compared with a checksum."""

    read: int = 0
    compared: int = 0


async def check_store(backend: Backend, *, read_data: bool = False, tally: ReadTally | None = None) -> list[Finding]:
    """All findings, errors first; none when sound.

    ``read_data`` reads every body to its end, compares it with its checksum and counts in ``tally``, instead of asking
    for its size.
    """
    counts = (tally or ReadTally()) if read_data else None
    findings: list[Finding] = []
    for code, severity, message, sql in _RULES:

        async def look(rows: Rows, sql: str = sql) -> list[str]:
            return [str(row[0]) for row in await rows.all(sql)]

        findings += [Finding(code, severity, subject, message) for subject in await backend.database.read(look)]
    findings += await _check_leftovers(backend)
    findings += [finding async for finding in _check_blobs(backend, counts)]
    findings += [finding async for finding in _check_orphans(backend)]
    return sorted(findings, key=lambda f: (f.severity != "error", f.code, f.subject))


async def _check_leftovers(backend: Backend) -> list[Finding]:
    oldest = backend.clock.now() - backend.settings.lock_ttl_seconds

    async def look(rows: Rows) -> list[str]:
        found = await rows.all("SELECT node_id FROM locks WHERE refreshed < $1 OR epoch <> $2", oldest, backend.epoch)
        return [str(row[0]) for row in found]

    message = "a lock is over and its session will be rolled back"
    return [Finding("session.over", "notice", subject, message) for subject in await backend.database.read(look)]


async def _check_blobs(backend: Backend, counts: ReadTally | None) -> AsyncIterator[Finding]:
    for first, sql in _BLOBS:
        last = first
        while True:

            async def look(rows: Rows, sql: str = sql, last: int | str = last) -> list[tuple[int | str, str, int]]:
                return cast("list[tuple[int | str, str, int]]", await rows.all(sql, last, _PAGE))

            page = await backend.database.read(look)
            for start in range(0, len(page), _AT_ONCE):
                looks = [_check_blob(backend, name, size, counts) for _, name, size in page[start : start + _AT_ONCE]]
                for finding in await asyncio.gather(*looks):
                    if finding is not None:
                        yield finding
            if len(page) < _PAGE:
                break
            last = page[-1][0]


async def _check_blob(backend: Backend, blob_id: str, size: int, counts: ReadTally | None) -> Finding | None:
    intact: bool | None = None
    try:
        if counts is None:
            found = await backend.objects.size(blob_id)
        else:
            found, intact = await backend.objects.check(blob_id)
            counts.read += 1
            counts.compared += intact is not None
    except NotFoundError:
        return Finding("blob.missing", "error", blob_id, "the body of a file is missing")
    except CandadoError as exc:
        return Finding("blob.unreadable", "error", blob_id, exc.message)
    if found != size:
        return Finding("blob.size", "error", blob_id, f"a body has {found} bytes instead of {size}")
    if intact is False:
        return Finding("blob.altered", "error", blob_id, "the bytes of a body are not those that were written")
    return None


async def _check_orphans(backend: Backend) -> AsyncIterator[Finding]:
    oldest = backend.clock.now() - backend.settings.upload_ttl_seconds
    batch: list[str] = []
    async for blob_id, _, written in backend.objects.scan():
        if written < oldest:
            batch.append(blob_id)
        if len(batch) >= _PAGE:
            for orphan in await unknown_blobs(backend, batch):
                yield _orphan(orphan)
            batch = []
    for orphan in await unknown_blobs(backend, batch):
        yield _orphan(orphan)


def _orphan(blob_id: str) -> Finding:
    return Finding("blob.orphan", "notice", blob_id, "a body belongs to no file; it takes space, no more")
