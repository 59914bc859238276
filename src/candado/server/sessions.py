"""Locks, and the end of the write sessions they open.

Layer: ``server``. Source: the locking rules of the end-to-end encryption API, version 2. Ours is stricter: the counter
is final from the first metadata on, a folder above a foreign lock cannot be locked, a lock has a time to live that
every write under it renews, and everything written under it becomes visible, or vanishes, together.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this package

from functools import partial
from typing import Final, cast

from candado.errors import (
    BadRequestError,
    CounterConflictError,
    ForbiddenError,
    LockedError,
    LockLostError,
    NotFoundError,
    PolicyDeniedError,
)
from candado.ports.server import Rows
from candado.server.accounts import random_text
from candado.server.audit import Event, actor_of, node_ref, record
from candado.server.guard import guarded_write
from candado.server.model import PERMISSION_UPDATE, Backend, Principal
from candado.server.moving import release_below
from candado.server.permits import permit_session, permit_staged
from candado.server.staging import (
    LOCK_COLUMNS,
    Lock,
    LockRule,
    SessionExpiredSignal,
    apply_session,
    covering_locks,
    drop_session,
    lock_of,
    session_of,
    staged_blobs,
    touch_session,
)
from candado.server.tree import Located, View, locate_id
from candado.types import COUNTER_MAX, LockToken

__all__ = ["Sessions"]

TOKEN_CHARS: Final = 64
_PERSIST_SLICE: Final = 1024
_NOTE_COUNTER: Final = (
    "INSERT INTO lock_counters (session, node_id, counter) VALUES ($1, $2, $3)"
    " ON CONFLICT (session, node_id) DO UPDATE SET counter = excluded.counter"
)


class Sessions:
    """Lock, unlock, abort."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def lock(
        self, principal: Principal, file_id: int, *, counter: int | None, token: LockToken | None = None
    ) -> LockToken:
        """Lock a folder and everything below; the token proves it.

        With the token of a lock that covers the folder already that token is returned and its time runs anew.

        Raises:
            BadRequestError: no counter, or 0. ForbiddenError: unknown id, no right to write, the home, no encrypted
            tree. CounterConflictError: the counter is not above the stored one. LockedError: somebody else's lock is on
            the way up, or below. PolicyDeniedError: a rule would refuse the new document of the folder.
        """
        wanted = session_of(token)
        fresh = LockToken(random_text(self._backend.random, TOKEN_CHARS))
        fresh_session = session_of(fresh)
        assert fresh_session is not None

        async def work(rows: Rows, rule: LockRule) -> bool:
            found = await self._lockable(View(rows, wanted), principal, file_id, rule.now)
            node = found.existing()
            own: Lock | None = None
            for lock in await covering_locks(rows, [*found.above, node]):
                if rule.is_over(lock):
                    await drop_session(rows, lock.session, now=rule.now, why="expired")
                elif lock.session == wanted:
                    own = lock
                else:
                    raise LockedError("somebody else is writing into this folder")
            if own is not None:
                await touch_session(rows, own.session, rule, staged_bytes=0)
                if own.node_id != node.id and counter and 0 < counter <= COUNTER_MAX:
                    await _note_counter(rows, own.session, node.id, counter)
                return True
            await permit_session(rows, rule, found)
            await release_below(rows, found.home_id, node, session=None, rule=rule)
            if not counter or not 0 < counter <= COUNTER_MAX:
                raise BadRequestError("X-NC-E2EE-COUNTER is missing or not a number from 1 to 2^53 - 1")
            await rows.run(
                "INSERT INTO locks (session, node_id, home_id, user_id, created, refreshed, epoch)"
                " VALUES ($1, $2, $3, $4, $5, $5, $6)",
                fresh_session,
                node.id,
                found.home_id,
                principal.member_id,
                rule.now,
                rule.epoch,
            )
            await _note_counter(rows, fresh_session, node.id, counter)
            details = {"counter": counter}
            await record(rows, Event("session.locked", actor_of(principal), node_ref(node.id), details=details))
            return False

        resumed = await guarded_write(self._backend, principal, work, durable=False)
        return token if resumed and token is not None else fresh

    async def unlock(self, principal: Principal, file_id: int, *, token: LockToken | None, abort: bool = False) -> None:
        """End the session: everything staged becomes visible at once, or with ``abort`` is undone.

        On return the new state survives a power cut. When the wait for that is cut short, the lock and everything
        staged are still there and the unlock can be asked for again.

        Raises:
            BadRequestError: no token. ForbiddenError: another token, or no right. NotFoundError: the lock is gone, with
            all that was staged under it. PolicyDeniedError: a rule denies a part of it by now; all of it is undone.
        """
        session = session_of(token)
        if session is None:
            raise BadRequestError("e2e-token is missing")
        try:
            if abort:
                await self._abort(principal, file_id, session)
            else:
                await self._finish(principal, file_id, session)
        except LockLostError as exc:
            raise NotFoundError("the lock of this token is gone", path=str(file_id)) from exc

    async def _abort(self, principal: Principal, file_id: int, session: str) -> None:
        async def work(rows: Rows, rule: LockRule) -> None:
            lock = await self._held(rows, principal, file_id, session, rule)
            if lock is not None:
                await drop_session(rows, session, now=rule.now, why="asked")

        await guarded_write(self._backend, principal, work, durable=False)

    async def _finish(self, principal: Principal, file_id: int, session: str) -> None:
        batch, tag = self._backend.tag(), self._backend.tag()
        persisted: set[str] = set()

        while True:
            seen = await self._look(principal, file_id, session)
            if seen is None:
                return
            generation, blobs = seen
            try:
                await self._persist(session, [blob for blob in blobs if blob not in persisted])
            except NotFoundError as exc:
                await self._abort(principal, file_id, session)
                raise LockLostError("a staged body is gone") from exc
            persisted.update(blobs)

            async def apply(rows: Rows, rule: LockRule, generation: int = generation) -> bool:
                lock = await self._held(rows, principal, file_id, session, rule)
                if lock is None or lock.generation != generation:
                    return False  # something was staged while the bodies were being synced: sync that too
                await apply_session(rows, session, batch=batch, tag=tag, now=rule.now)
                await record(rows, Event("session.unlocked", actor_of(principal), node_ref(lock.node_id)))
                return True

            if await guarded_write(self._backend, principal, apply):
                return

    async def _look(self, principal: Principal, file_id: int, session: str) -> tuple[int, list[str]] | None:
        """The generation of the session and all its bodies; None when the folder is not the one that was locked.

        Rules that have changed since something was staged undo the session: nothing of it shows, and nobody waits for
        its lock.
        """

        async def look(rows: Rows, rule: LockRule) -> tuple[int, list[str]] | None:
            lock = await self._held(rows, principal, file_id, session, rule)
            if lock is None:
                return None
            await touch_session(rows, session, rule, staged_bytes=0)
            if rule.guard is not None:
                folder = await locate_id(View(rows), principal, file_id, rule.now)
                await permit_staged(rows, rule.guard, session, folder)
            return lock.generation + 1, await staged_blobs(rows, session)

        try:
            return await guarded_write(self._backend, principal, look, durable=False)
        except PolicyDeniedError:
            await self._abort(principal, file_id, session)
            raise

    async def _persist(self, session: str, blobs: list[str]) -> None:
        """Persist in slices and keep the lock alive meanwhile: a slow disk must not cost a large session."""
        clock = self._backend.clock
        renewed = clock.now()
        for start in range(0, len(blobs), _PERSIST_SLICE):
            await self._backend.objects.persist(blobs[start : start + _PERSIST_SLICE])
            now = clock.now()
            if now - renewed > self._backend.settings.lock_ttl_seconds / 4:
                await self._backend.database.write(partial(_renew, session=session, now=now), durable=False)
                renewed = now

    async def _lockable(self, view: View, principal: Principal, file_id: int, now: float) -> Located:
        try:
            found = await locate_id(view, principal, file_id, now)
        except NotFoundError as exc:
            raise ForbiddenError("You are not allowed to lock this folder", path=str(file_id)) from exc
        node = found.existing()
        found.require(PERMISSION_UPDATE)
        if not found.above or not node.is_folder:
            raise ForbiddenError("only a folder below the home can be locked", path=str(file_id))
        if not any(folder.encrypted for folder in [*found.above, node]):
            raise ForbiddenError("only a folder of an encrypted tree can be locked", path=str(file_id))
        return found

    async def _held(self, rows: Rows, principal: Principal, file_id: int, session: str, rule: LockRule) -> Lock | None:
        """The session's lock on this folder; None when the folder was only entered under the lock of one above."""
        row = await rows.one(f"SELECT {LOCK_COLUMNS} FROM locks WHERE session = $1", session)
        if row is None:
            if await rows.one("SELECT 1 FROM locks WHERE node_id = $1", file_id) is not None:
                raise ForbiddenError("this token does not hold the lock of the folder", path=str(file_id))
            raise NotFoundError("the folder is not locked", path=str(file_id))
        lock = lock_of(row)
        if rule.is_over(lock):
            raise SessionExpiredSignal(session)
        if lock.node_id != file_id:
            sql = "SELECT 1 FROM lock_counters WHERE session = $1 AND node_id = $2"
            if await rows.one(sql, session, file_id) is None:
                raise ForbiddenError("this token does not hold the lock of the folder", path=str(file_id))
            return None
        try:
            found = await locate_id(View(rows), principal, file_id, rule.now)
        except NotFoundError as exc:
            raise ForbiddenError("You are not allowed to unlock this folder", path=str(file_id)) from exc
        found.require(PERMISSION_UPDATE)
        return lock


async def _renew(rows: Rows, *, session: str, now: float) -> None:
    """Let the lock's time run anew without counting it as a write of the session."""
    await rows.run("UPDATE locks SET refreshed = $2 WHERE session = $1", session, now)


async def _note_counter(rows: Rows, session: str, node_id: int, counter: int) -> None:
    """Remember what the folder's counter becomes; the one place where an older writer is turned away."""
    row = await rows.one("SELECT counter FROM folder_metadata WHERE node_id = $1", node_id)
    if row is not None and counter <= cast("int", row[0]):
        raise CounterConflictError("the folder was written by somebody else first", path=str(node_id))
    await rows.run(_NOTE_COUNTER, session, node_id, counter)
