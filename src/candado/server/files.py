"""Files and folders: the use cases behind WebDAV.

Layer: ``server``. A write into an encrypted folder is staged under the lock of its token and shows at the unlock; every
other write is durable and visible when it returns. Blob first, row second: a body is persisted before a visible row
names it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, cast

from candado.errors import AlreadyExistsError, BadRequestError, FormatError, LimitExceededError, RemoteError
from candado.formats.davsearch import FAVOURITE
from candado.formats.rules import Operation
from candado.ports.server import Rows
from candado.server.guard import guarded_change, guarded_write
from candado.server.model import (
    PERMISSION_CREATE,
    PERMISSION_UPDATE,
    NodeInfo,
    Part,
    Principal,
    PutTicket,
)
from candado.server.moving import Errand, copy_node, move_node, remove_node
from candado.server.permits import permit, permit_folder
from candado.server.reading import Reading, parts_of
from candado.server.spread import spread_one
from candado.server.staging import LockRule, require_writable, session_of, stage_new, touch_session
from candado.server.storing import NewContent, begin_store, insert_node, store_content
from candado.server.tree import Node, View, check_name, locate_path
from candado.types import FileId, LockToken, UserId

__all__ = ["Files"]

_PROPERTIES_MAX: Final = 256
_PROPERTY_CHARS_MAX: Final = 256 * 1024
_LENGTH_SHORT: Final = 16 * 1024 * 1024
"""A body up to this size arrives well within the time of a lock that was just found to hold."""


class Files(Reading):
    """Use cases on the tree one user sees: the own home and received shares mounted at its top.

    Reads show the visible state; what a session has staged shows at its unlock. Writes into an encrypted folder need
    the token of a lock that covers it: without it ForbiddenError, with another one LockedError, with one whose
    lock has expired LockLostError.
    """

    async def begin_put(
        self,
        principal: Principal,
        path: str,
        *,
        token: LockToken | None,
        length: int | None,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> PutTicket:
        """Check everything that can be checked before the body is read.

        ``if_match`` is an entity tag without quotes, or ``*``; ``if_none_match`` stands for ``If-None-Match: *``.

        Raises:
            NotFoundError: the parent is missing. AlreadyExistsError: a folder is there.
            ForbiddenError, LockedError, LockLostError: permission, lock. PreconditionFailedError, QuotaExceededError.
        """
        ticket = await begin_store(
            self._backend,
            principal,
            path,
            token=token,
            length=length,
            if_match=if_match,
            if_none_match=if_none_match,
        )
        if length is None or length > _LENGTH_SHORT:
            await self.keep_alive(ticket)
        return ticket

    async def keep_alive(self, ticket: PutTicket) -> None:
        """Let the time of the ticket's lock run anew; to be called every minute while a long body is received.

        Nothing happens without a lock. Raises:
            LockedError, LockLostError: the lock is gone.
        """
        session = ticket.session
        if session is None:
            return

        async def work(rows: Rows, rule: LockRule) -> None:
            await touch_session(rows, session, rule, staged_bytes=0)

        await guarded_write(self._backend, ticket.principal, work, durable=False)

    async def commit_put(
        self, ticket: PutTicket, *, blob_id: str, size_bytes: int, mtime: float | None, checksum: str | None = None
    ) -> tuple[NodeInfo, bool]:
        """Make the finished (not yet persisted) blob the content of the ticket's place; (node, created).

        Everything is checked again. On a refusal the blob is removed; when the caller is cancelled or the storage fails
        it may stay as an orphan, because the write may have happened. Errors as ``begin_put``.
        """
        new = NewContent(blob_id, (Part(blob_id, size_bytes),), mtime, checksum)
        try:
            if ticket.session is None:
                await self._backend.objects.persist([blob_id])
            return await store_content(self._backend, ticket, new)
        except (RemoteError, FormatError):
            # Refusals only: after a failure of the storage itself the row may be found there later.
            await self._backend.objects.delete([blob_id])
            raise

    async def keep_checksum(self, file_id: FileId, parts: Sequence[Part], checksum: str) -> None:
        """Keep a checksum (TYPE:hex) that was computed of these parts; nothing when the file has other content by now.

        It says nothing new of the content, so the entity tag stays, and no lock is needed.
        """

        async def work(rows: Rows) -> None:
            node = await View(rows).by_id(file_id)
            if node is not None and await parts_of(rows, node) == list(parts):
                await rows.run("UPDATE nodes SET checksum = $2 WHERE id = $1", file_id, checksum)

        await self._backend.database.write(work, durable=False)

    async def make_folder(self, principal: Principal, path: str, *, token: LockToken | None) -> NodeInfo:
        """Create a folder.

        Raises:
            AlreadyExistsError: something is there. NotFoundError: the parent is missing.
            ForbiddenError, LockedError, LockLostError: permission, lock.
        """
        wanted, tag = session_of(token), self._backend.tag()
        fresh_id = await self._backend.ids.take(self._backend.database)

        async def work(rows: Rows, rule: LockRule) -> tuple[NodeInfo, bool]:
            found = await locate_path(View(rows, wanted), principal, path, rule.now)
            if found.node is not None:
                raise AlreadyExistsError("there is something of this name", path=found.path)
            check_name(found.name)
            found.require(PERMISSION_CREATE)
            session = await require_writable(
                rows, found.above, needs_token=bool(found.parent.encrypted), session=wanted, rule=rule
            )
            await permit_folder(rows, rule, found)
            found.node = _new_folder(fresh_id, found.parent.id, found.name, tag=tag, now=rule.now)
            if session is None:
                await insert_node(rows, found.node)
                await spread_one(rows, found.parent.id, 0, tag=tag, now=rule.now)
            else:
                await stage_new(rows, session, found.node)
                await touch_session(rows, session, rule, staged_bytes=0)
            return found.info(), session is not None

        return await guarded_change(self._backend, principal, wanted, work)

    async def delete(
        self, principal: Principal, path: str, *, token: LockToken | None, if_match: str | None = None
    ) -> None:
        """Remove a node and everything below; the top of a received share is only taken out of the own home.

        Raises:
            NotFoundError, ForbiddenError, LockedError, LockLostError, PreconditionFailedError.
        """
        await remove_node(Errand(self._backend, principal, session_of(token)), path, if_match=if_match)

    async def move(
        self, principal: Principal, source: str, target: str, *, token: LockToken | None, overwrite: bool
    ) -> tuple[NodeInfo, bool]:
        """Move or rename; (node, created) where created is False when something was replaced.

        The file id stays. Raises:
            NotFoundError: no source, or no folder for the target. PreconditionFailedError: the target exists and must
            not be replaced. ForbiddenError: rights, into itself, or between an encrypted and another folder.
            LockedError, LockLostError, QuotaExceededError.
        """
        return await move_node(Errand(self._backend, principal, session_of(token)), source, target, overwrite=overwrite)

    async def copy(
        self, principal: Principal, source: str, target: str, *, token: LockToken | None, overwrite: bool
    ) -> tuple[NodeInfo, bool]:
        """Copy without copying bodies; (node, created). Errors as ``move``; an encrypted folder cannot be copied."""
        return await copy_node(Errand(self._backend, principal, session_of(token)), source, target, overwrite=overwrite)

    async def patch_properties(
        self,
        principal: Principal,
        path: str,
        changes: Mapping[str, str | None],
        *,
        mtime: float | None = None,
    ) -> None:
        """Set (text) or remove (None) the caller's own properties of a node; ``mtime`` sets its time of change.

        Raises:
            NotFoundError: nothing there. ForbiddenError: no right to change the time.
            LimitExceededError: more than 256 properties of the caller, or 256 Ki characters in them.
        """
        tag = self._backend.tag()

        async def work(rows: Rows, rule: LockRule) -> None:
            found = await locate_path(View(rows), principal, path, rule.now)
            node = found.existing()
            if mtime is not None or not changes.keys() <= {FAVOURITE}:
                await permit(rows, rule, Operation.UPDATE, found)
            await _change_properties(rows, node.id, principal.user_id, changes)
            if mtime is not None:
                if not math.isfinite(mtime):
                    raise BadRequestError("a time of change is a finite number", path=found.path)
                found.require(PERMISSION_UPDATE)
                await spread_one(rows, node.id, 0, tag=tag, now=rule.now)
                await rows.run("UPDATE nodes SET mtime = $2 WHERE id = $1", node.id, mtime)

        await guarded_write(self._backend, principal, work)


async def _change_properties(rows: Rows, node_id: int, user_id: UserId, changes: Mapping[str, str | None]) -> None:
    names = [(node_id, user_id, name) for name in changes]
    await rows.many("DELETE FROM node_properties WHERE node_id = $1 AND user_id = $2 AND name = $3", names)
    kept = [(node_id, user_id, name, value) for name, value in changes.items() if value is not None]
    if not kept:
        return
    await rows.many("INSERT INTO node_properties (node_id, user_id, name, value) VALUES ($1, $2, $3, $4)", kept)
    row = await rows.one(
        "SELECT COUNT(*), COALESCE(SUM(LENGTH(name) + LENGTH(value)), 0) FROM node_properties"
        " WHERE node_id = $1 AND user_id = $2",
        node_id,
        user_id,
    )
    assert row is not None
    count, size = int(cast("int", row[0])), int(cast("int", row[1]))
    if count > _PROPERTIES_MAX or size > _PROPERTY_CHARS_MAX:
        raise LimitExceededError(
            f"a file or folder has at most {_PROPERTIES_MAX} properties with {_PROPERTY_CHARS_MAX} characters in all"
        )


def _new_folder(node_id: int, parent_id: int, name: str, *, tag: str, now: float) -> Node:
    return Node(node_id, parent_id, name, 1, 0, None, 0, 0, now, now, tag, None, None, 0)
