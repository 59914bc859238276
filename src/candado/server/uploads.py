"""Uploads in chunks, version 2.

Layer: ``server``. Chunks are blobs with rows of their own; joining them at a place makes no copy, the file's content is
the list of its parts. What is joined in an encrypted folder is staged like any other write. Chunks
that were not persisted are forgotten with the next start of the machine, so that a client sends them again.
"""

import re
from typing import Final, cast

from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    FormatError,
    LimitExceededError,
    NotFoundError,
    PolicyDeniedError,
    RemoteError,
)
from candado.ports.server import Rows
from candado.server.guard import ensure_home, guarded_read, guarded_write, refuse_growth, space_of
from candado.server.model import Backend, ChunkInfo, NodeInfo, Part, Principal
from candado.server.permits import has_rules, permit_content
from candado.server.spread import discard_content
from candado.server.staging import LockRule, session_of
from candado.server.storing import NewContent, TargetFolderMissingError, begin_store, store_content
from candado.server.tree import View, locate_path
from candado.types import LockToken, UserId

__all__ = ["Uploads"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_NUMBER: Final = re.compile(r"(\d+)")
_FIND: Final = "SELECT id FROM uploads WHERE user_id = $1 AND transfer = $2"
_CHUNKS: Final = "SELECT name, size, mtime, blob_id FROM chunks WHERE upload_id = $1 AND epoch = $2"
_RECEIVED: Final = (
    "SELECT COALESCE(SUM(c.size), 0) FROM uploads u JOIN chunks c ON c.upload_id = u.id WHERE u.user_id = $1"
)


def _natural_order(name: str) -> tuple[tuple[int, str], ...]:
    """``2`` before ``10``; pieces of digits compare as numbers."""
    return tuple((int(piece), "") if piece.isdecimal() else (-1, piece) for piece in _NUMBER.split(name) if piece)


class Uploads:
    """Uploads in chunks: ``uploads/<user>/<transfer>/<chunk>``, joined by a MOVE of ``.file``."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def begin(self, principal: Principal, transfer: str) -> None:
        """Open an upload; BadRequestError (name), AlreadyExistsError when it is open."""
        _check_name(transfer)
        upload_id = self._backend.random.token(16).hex()
        now = self._backend.clock.now()

        async def work(rows: Rows) -> None:
            changed = await rows.run(
                "INSERT INTO uploads (id, user_id, transfer, created, refreshed) VALUES ($1, $2, $3, $4, $4)"
                " ON CONFLICT DO NOTHING",
                upload_id,
                principal.user_id,
                transfer,
                now,
            )
            if changed == 0:
                raise AlreadyExistsError("this upload is open already", path=transfer)

        await self._backend.database.write(work, durable=False)

    async def check_target(
        self, principal: Principal, target: str, *, token: LockToken | None, length: int | None
    ) -> None:
        """Ask the access rules for what a client announces, before any of it is received; anything else comes later.

        Raises:
            PolicyDeniedError: it would be refused when the chunks are joined.
        """
        if not await has_rules(self._backend, principal):
            return
        session = session_of(token)

        async def work(rows: Rows, rule: LockRule) -> None:
            found = await locate_path(View(rows, session), principal, target, rule.now)
            await permit_content(rows, rule, found, length)

        try:
            await guarded_read(self._backend, principal, work)
        except PolicyDeniedError:
            raise
        except (RemoteError, FormatError):
            return  # said when the chunks are joined; until then somebody may have made the folder

    async def list_chunks(self, principal: Principal, transfer: str) -> list[ChunkInfo]:
        """Chunks received so far in the order they will be joined; NotFoundError."""

        async def work(rows: Rows) -> list[ChunkInfo]:
            upload_id = await _find(rows, principal.user_id, transfer)
            found = await _chunks(rows, upload_id, self._backend.epoch)
            return [ChunkInfo(name, size, mtime) for name, size, mtime, _ in found]

        return await self._backend.database.read(work)

    async def check_chunk(self, principal: Principal, transfer: str, name: str, *, length: int | None) -> None:
        """Check before the body of a chunk is read.

        Raises:
            NotFoundError: no such upload. BadRequestError: the name. LimitExceededError: too many chunks.
            QuotaExceededError: what is stored and what was received leave no space for it.
        """
        _check_name(name)
        home_id = await ensure_home(self._backend, principal.user_id)

        async def work(rows: Rows) -> tuple[int, int, int | None]:
            upload_id = await _find(rows, principal.user_id, transfer)
            row = await rows.one("SELECT COUNT(*) FROM chunks WHERE upload_id = $1", upload_id)
            received = await rows.one(_RECEIVED, principal.user_id)
            assert row is not None
            assert received is not None
            used, quota = await space_of(rows, home_id)
            return cast("int", row[0]), used + int(cast("int", received[0])), quota

        count, used, quota = await self._backend.database.read(work)
        if count >= self._backend.settings.chunks_max:
            raise LimitExceededError(f"an upload has at most {self._backend.settings.chunks_max} chunks")
        refuse_growth(used, quota, max(1, length or 0))

    async def put_chunk(
        self,
        principal: Principal,
        transfer: str,
        name: str,
        *,
        blob_id: str,
        size_bytes: int,
        token: LockToken | None = None,
    ) -> None:
        """Record a finished blob as a chunk, replacing one of the same name.

        ``token`` renews the lock it belongs to, if it is one: long uploads keep their session alive. On a refusal the
        blob is removed.

        Raises:
            NotFoundError: no such upload. BadRequestError: the name.
        """
        epoch, session = self._backend.epoch, session_of(token)

        async def work(rows: Rows, rule: LockRule) -> None:
            _check_name(name)
            upload_id = await _find(rows, principal.user_id, transfer)
            sql = "SELECT blob_id FROM chunks WHERE upload_id = $1 AND name = $2"
            before = await rows.one(sql, upload_id, name)
            if before is not None:
                await discard_content(rows, str(before[0]), rule.now)
            await rows.run(
                "INSERT INTO chunks (upload_id, name, blob_id, size, mtime, epoch) VALUES ($1, $2, $3, $4, $5, $6)"
                " ON CONFLICT (upload_id, name) DO UPDATE SET blob_id = excluded.blob_id, size = excluded.size,"
                " mtime = excluded.mtime, epoch = excluded.epoch",
                upload_id,
                name,
                blob_id,
                size_bytes,
                rule.now,
                epoch,
            )
            await rows.run("UPDATE uploads SET refreshed = $2 WHERE id = $1", upload_id, rule.now)
            if session is not None:
                await rows.run("UPDATE locks SET refreshed = $2 WHERE session = $1", session, rule.now)

        try:
            await guarded_write(self._backend, principal, work, durable=False)
        except (RemoteError, FormatError):
            await self._backend.objects.delete([blob_id])
            raise

    async def finish(
        self,
        principal: Principal,
        transfer: str,
        target: str,
        *,
        token: LockToken | None,
        total_length: int | None,
        mtime: float | None,
        checksum: str | None = None,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> tuple[NodeInfo, bool]:
        """Join the chunks at ``target`` and close the upload; (node, created).

        ``checksum`` is stored as given; whoever wants it verified reads the chunks before. Not so in an encrypted
        folder: a stock client may announce that of the clear text there, which must not stay on the server.

        Raises:
            NotFoundError: no such upload. TargetFolderMissingError. BadRequestError: ``total_length`` is not the sum
            of the chunks, or two of them have one number (``1`` and ``01``). Otherwise as ``Files.begin_put``; the
            upload stays open then.
        """
        upload_id, parts = await self._collect(principal, transfer)
        total = sum(part.size_bytes for part in parts)
        if total_length is not None and total_length != total:
            raise BadRequestError(f"{total} bytes were received, {total_length} announced", path=transfer)
        try:
            ticket = await begin_store(
                self._backend,
                principal,
                target,
                token=token,
                length=total,
                if_match=if_match,
                if_none_match=if_none_match,
            )
        except NotFoundError as exc:
            raise TargetFolderMissingError("there is no folder for the target", path=exc.path) from exc
        if ticket.session is None:
            await self._backend.objects.persist([part.blob_id for part in parts])
        if ticket.parent_encrypted:
            checksum = None
        content = parts[0].blob_id if len(parts) == 1 else self._backend.random.token(16).hex()
        stored = await store_content(self._backend, ticket, NewContent(content, parts, mtime, checksum))
        # The chunks are parts of the file now; the rows that go are only their second name.
        await self._backend.database.write(lambda rows: _close(rows, upload_id), durable=False)
        return stored

    async def abort(self, principal: Principal, transfer: str) -> None:
        """Throw the upload away; NotFoundError."""
        now = self._backend.clock.now()

        async def work(rows: Rows) -> None:
            upload_id = await _find(rows, principal.user_id, transfer)
            await rows.run(
                "INSERT INTO garbage (content, since) SELECT blob_id, $2 FROM chunks WHERE upload_id = $1"
                " ON CONFLICT DO NOTHING",
                upload_id,
                now,
            )
            await _close(rows, upload_id)

        await self._backend.database.write(work, durable=False)

    async def _collect(self, principal: Principal, transfer: str) -> tuple[str, tuple[Part, ...]]:
        now = self._backend.clock.now()

        async def work(rows: Rows) -> tuple[str, tuple[Part, ...]]:
            upload_id = await _find(rows, principal.user_id, transfer)
            await rows.run("UPDATE uploads SET refreshed = $2 WHERE id = $1", upload_id, now)
            found = await _chunks(rows, upload_id, self._backend.epoch)
            if len({_natural_order(name) for name, _, _, _ in found}) != len(found):
                raise BadRequestError("two chunks have the same number, so their order is unknown", path=transfer)
            return upload_id, tuple(Part(blob_id, size) for _, size, _, blob_id in found)

        upload_id, parts = await self._backend.database.write(work, durable=False)
        if not parts:
            raise BadRequestError("no chunk was received", path=transfer)
        return upload_id, parts


def _check_name(name: str) -> None:
    if not _NAME.match(name):
        raise BadRequestError("uploads and chunks have names of 1 to 128 letters, digits, '.', '_' or '-'", path=name)


async def _find(rows: Rows, user_id: UserId, transfer: str) -> str:
    row = await rows.one(_FIND, user_id, transfer)
    if row is None:
        raise NotFoundError("no such upload", path=transfer)
    return str(row[0])


async def _chunks(rows: Rows, upload_id: str, epoch: str) -> list[tuple[str, int, float, str]]:
    found = cast("list[tuple[str, int, float, str]]", await rows.all(_CHUNKS, upload_id, epoch))
    return sorted(found, key=lambda chunk: _natural_order(chunk[0]))


async def _close(rows: Rows, upload_id: str) -> None:
    await rows.run("DELETE FROM chunks WHERE upload_id = $1", upload_id)
    await rows.run("DELETE FROM uploads WHERE id = $1", upload_id)
