"""Metadata of encrypted folders and the encrypted flag.

Layer: ``server``. Texts and signatures are stored byte for byte; what ``filedrops`` adds is the one exception.
Everything but the flag is staged and needs a lock's token. Source: the metadata rules of the API, version 2.
"""

import hashlib
import json
from typing import Final, cast

from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    ForbiddenError,
    LimitExceededError,
    LockedError,
    LockLostError,
    NotEncryptedError,
    NotFoundError,
    PreconditionFailedError,
)
from candado.formats.rules import Operation
from candado.ports.server import Rows
from candado.server.audit import Event, actor_of, node_ref, record
from candado.server.guard import guarded_change, guarded_read, guarded_write
from candado.server.model import (
    PERMISSION_READ,
    PERMISSION_UPDATE,
    Backend,
    MetadataRow,
    Principal,
)
from candado.server.permits import permit, permit_marked, permit_tree
from candado.server.spread import delete_doomed, doom, spread, spread_one
from candado.server.staging import (
    LockRule,
    SessionExpiredSignal,
    covering_locks,
    drop_session,
    session_of,
    touch_session,
)
from candado.server.tree import Located, View, home_of, locate_id
from candado.types import FileId, LockToken

__all__ = ["METADATA_ROW", "FolderMetadata", "accessible", "refuse_locked"]

METADATA_ROW: Final = "SELECT text, signature, counter FROM folder_metadata WHERE node_id = $1"
_STEPS: Final = (
    "SELECT text, signature, counter FROM membership_steps WHERE node_id = $1 AND counter > $2 ORDER BY counter"
)
_STAGED: Final = "SELECT 1 FROM staged_metadata WHERE session = $1 AND node_id = $2"
_STAGE: Final = (
    "INSERT INTO staged_metadata (session, node_id, text, signature, members, gone) VALUES ($1, $2, $3, $4, $5, $6)"
    " ON CONFLICT (session, node_id) DO UPDATE SET text = excluded.text, signature = excluded.signature,"
    " members = excluded.members, gone = excluded.gone"
)
_TOP_FOLDERS: Final = (
    "WITH RECURSIVE walk(id, parent_id, size, encrypted) AS ("
    " SELECT id, parent_id, size, encrypted FROM nodes WHERE parent_id = $1 AND is_folder = 1"
    " UNION ALL SELECT n.id, n.parent_id, n.size, n.encrypted FROM nodes n JOIN walk ON n.parent_id = walk.id"
    " WHERE walk.encrypted = 0 AND n.is_folder = 1)"
    " SELECT id, parent_id, size FROM walk WHERE encrypted = 1"
)


class FolderMetadata:
    """Use cases on folder metadata and the encrypted flag."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get(self, principal: Principal, file_id: int) -> MetadataRow:
        """The visible metadata.

        Raises:
            ForbiddenError: the id is unknown or not the caller's to read. NotFoundError: there is none.
        """

        async def work(rows: Rows, rule: LockRule) -> MetadataRow:
            await accessible(View(rows), principal, file_id, rule.now, PERMISSION_READ)
            row = await rows.one(METADATA_ROW, file_id)
            if row is None:
                raise NotFoundError("Could not find metadata", path=str(file_id))
            return MetadataRow(*cast("tuple[str, str, int]", row))

        return await guarded_read(self._backend, principal, work)

    async def steps(self, principal: Principal, file_id: int, *, after: int) -> list[MetadataRow]:
        """The documents above the counter ``after`` that changed who the members are, oldest first; at most 16.

        A device that was away needs them: who signed the newest state may have become a member only meanwhile. Errors
        as ``get``; no steps are an empty list.
        """

        async def work(rows: Rows, rule: LockRule) -> list[MetadataRow]:
            await accessible(View(rows), principal, file_id, rule.now, PERMISSION_READ)
            found = cast("list[tuple[str, str, int]]", await rows.all(_STEPS, file_id, after))
            return [MetadataRow(*row) for row in found]

        return await guarded_read(self._backend, principal, work)

    async def create(
        self, principal: Principal, file_id: int, *, text: str, signature: str, token: LockToken | None
    ) -> None:
        """Stage the first metadata of a folder, also of one this session has just made.

        Raises:
            BadRequestError: text, signature or token missing. ForbiddenError: not locked by the token, or no right.
            NotEncryptedError: the flag is missing. AlreadyExistsError: there is metadata, staged or final.
        """
        self._check_document(text, signature)
        session, members = _required_session(token), _members_digest(text)

        async def work(rows: Rows, rule: LockRule) -> None:
            found = await _covered(rows, principal, file_id, session, rule)
            await permit(rows, rule, Operation.CREATE, found)
            staged = await rows.one(_STAGED, session, file_id)
            if staged is not None or await rows.one(METADATA_ROW, file_id) is not None:
                raise AlreadyExistsError("Metadata already exists", path=str(file_id))
            await rows.run(_STAGE, session, file_id, text, signature, members, 0)
            await touch_session(rows, session, rule, staged_bytes=0)

        try:
            await guarded_write(self._backend, principal, work, durable=False)
        except (LockedError, LockLostError) as exc:
            raise ForbiddenError("You are not allowed to create metadata without its lock", path=str(file_id)) from exc

    async def update(
        self, principal: Principal, file_id: int, *, text: str, signature: str, token: LockToken | None
    ) -> None:
        """Stage new metadata; the last of several under one lock counts.

        Raises:
            BadRequestError: text, signature or token missing. ForbiddenError: unknown id or no right.
            PreconditionFailedError: not locked by the token. NotFoundError: there is no final metadata yet.
        """
        self._check_document(text, signature)
        await self._replace(principal, file_id, token, text=text, signature=signature, gone=0)

    async def delete(self, principal: Principal, file_id: int, *, token: LockToken | None) -> None:
        """Stage the removal of the metadata; errors as ``update``."""
        await self._replace(principal, file_id, token, text="", signature="", gone=1)

    async def mark_encrypted(self, principal: Principal, file_id: int, *, token: LockToken | None = None) -> None:
        """Flag an empty folder; twice is success. A folder this session has just made shows its flag at the unlock.

        Raises:
            NotFoundError: unknown id, not a folder, not empty. ForbiddenError: no right, or the home.
            LockedError: somebody else's lock covers it.
        """
        wanted, tag = session_of(token), self._backend.tag()

        async def work(rows: Rows, rule: LockRule) -> tuple[None, bool]:
            maker = await _maker_of(rows, principal, file_id, wanted)
            view = View(rows, maker)
            found = await _empty_folder(view, principal, file_id, rule.now)
            await _refuse_widely_shared(rows, found)
            await permit_marked(rows, rule, found)
            for lock in await covering_locks(rows, [*found.above, found.existing()]):
                if lock.session != wanted and lock.user_id != principal.member_id and not rule.is_over(lock):
                    raise LockedError("somebody else is writing into this folder", path=found.path)
            if maker is not None:
                sql = "UPDATE staged SET encrypted = 1 WHERE session = $1 AND node_id = $2"
                await rows.run(sql, maker, file_id)
                await touch_session(rows, maker, rule, staged_bytes=0)
            elif not found.existing().encrypted:
                await rows.run("UPDATE nodes SET encrypted = 1 WHERE id = $1", file_id)
                await spread_one(rows, file_id, 0, tag=tag, now=rule.now)
            await record(rows, Event("folder.marked", actor_of(principal), node_ref(file_id)))
            return None, maker is not None

        await guarded_change(self._backend, principal, wanted, work)

    async def unmark(self, principal: Principal, file_id: int) -> None:
        """Take the flag and the metadata away from an empty folder.

        Raises:
            NotFoundError: unknown id, not a folder, not empty. ForbiddenError: no right. LockedError: it is locked.
        """
        tag = self._backend.tag()

        async def work(rows: Rows, rule: LockRule) -> None:
            found = await _empty_folder(View(rows), principal, file_id, rule.now)
            await refuse_locked(rows, found, rule)
            await permit(rows, rule, Operation.UPDATE, found)
            await rows.run("DELETE FROM folder_metadata WHERE node_id = $1", file_id)
            await rows.run("DELETE FROM membership_steps WHERE node_id = $1", file_id)
            await rows.run("UPDATE nodes SET encrypted = 0 WHERE id = $1", file_id)
            await record(rows, Event("folder.unmarked", actor_of(principal), node_ref(file_id)))
            await spread_one(rows, file_id, 0, tag=tag, now=rule.now)

        await guarded_write(self._backend, principal, work)

    async def delete_all_encrypted(self, principal: Principal) -> list[FileId]:
        """Remove all encrypted folders of the user's own storage, locked or not; their ids, those below included.

        Raises:
            PolicyDeniedError: a rule denies the removal of one of them; all stay.
        """
        tag, now = self._backend.tag(), self._backend.clock.now()

        async def work(rows: Rows, rule: LockRule) -> list[FileId]:
            home = await home_of(rows, principal.user_id)
            if home is None:
                return []
            for (session,) in await rows.all("SELECT session FROM locks WHERE home_id = $1", home.id):
                await drop_session(rows, str(session), now=now, why="removed")
            tops = cast("list[tuple[int, int, int]]", await rows.all(_TOP_FOLDERS, home.id))
            if rule.guard is not None:
                for node_id, _, _ in tops:
                    found = await locate_id(View(rows), principal, node_id, now)
                    await permit_tree(rows, rule, Operation.DELETE, found)
            deltas: dict[int, int] = {}
            for _, parent_id, size in tops:
                deltas[parent_id] = deltas.get(parent_id, 0) - size
            await doom(rows, tag, [node_id for node_id, _, _ in tops])
            removed = await delete_doomed(rows, tag, tag=tag, now=now)
            await spread(rows, tag, deltas, tag=tag, now=now)
            for node_id, _, _ in tops:
                await record(rows, Event("folder.unmarked", target=node_ref(node_id), reason="removed"))
            return [FileId(node_id) for node_id in removed]

        return await guarded_write(self._backend, principal, work)

    def _check_document(self, text: str, signature: str) -> None:
        if not text or not signature:
            raise BadRequestError("metaData or X-NC-E2EE-SIGNATURE is missing")
        try:
            size = len(text.encode()) + len(signature.encode())
        except UnicodeEncodeError as exc:
            raise BadRequestError("the metadata or its signature is not text") from exc
        if size > self._backend.settings.metadata_bytes_max:
            raise LimitExceededError("the metadata is too large")

    async def _replace(
        self,
        principal: Principal,
        file_id: int,
        token: LockToken | None,
        *,
        text: str,
        signature: str,
        gone: int,
    ) -> None:
        session, members = _required_session(token), _members_digest(text)

        async def work(rows: Rows, rule: LockRule) -> None:
            found = await _covered(rows, principal, file_id, session, rule)
            await permit(rows, rule, Operation.UPDATE, found)
            if await rows.one(METADATA_ROW, file_id) is None:
                raise NotFoundError("Could not find metadata", path=str(file_id))
            await rows.run(_STAGE, session, file_id, text, signature, members, gone)
            await touch_session(rows, session, rule, staged_bytes=0)

        try:
            await guarded_write(self._backend, principal, work, durable=False)
        except (LockedError, LockLostError) as exc:
            raise PreconditionFailedError("the folder is not locked by this token", path=str(file_id)) from exc


def _required_session(token: LockToken | None) -> str:
    session = session_of(token)
    if session is None:
        raise BadRequestError("e2e-token is missing")
    return session


async def accessible(view: View, principal: Principal, file_id: int, now: float, bits: int) -> Located:
    """The place of a node on which the caller has all these permissions; ForbiddenError."""
    try:
        found = await locate_id(view, principal, file_id, now)
    except NotFoundError as exc:
        raise ForbiddenError("You are not allowed to do this", path=str(file_id)) from exc
    found.require(bits)
    return found


async def _covered(rows: Rows, principal: Principal, file_id: int, session: str, rule: LockRule) -> Located:
    """Check that the session's lock covers this encrypted folder and the caller may write it; its place.

    Some stock clients send the first document of a nested folder before they flag it, so its parent's flag is enough.
    """
    found = await accessible(View(rows, session), principal, file_id, rule.now, PERMISSION_UPDATE)
    node = found.existing()
    for lock in await covering_locks(rows, [*found.above, node]):
        if lock.session == session:
            if rule.is_over(lock):
                raise SessionExpiredSignal(session)
            if not node.is_folder or not (node.encrypted or (found.above and found.above[-1].encrypted)):
                raise NotEncryptedError("the folder is not flagged as encrypted", path=str(file_id))
            return found
    raise LockedError("the folder is not locked by this token", path=str(file_id))


async def _empty_folder(view: View, principal: Principal, file_id: int, now: float) -> Located:
    found = await locate_id(view, principal, file_id, now)
    node = found.existing()
    found.require(PERMISSION_UPDATE)
    if not found.above:
        raise ForbiddenError("the home cannot be encrypted", path=str(file_id))
    if not node.is_folder or not await view.is_empty(node.id):
        raise NotFoundError("Folder not found", path=str(file_id))
    return found


async def _refuse_widely_shared(rows: Rows, found: Located) -> None:
    """What is shared with a group, or by a link that has no keys, cannot become encrypted: it would end for them."""
    sql = "SELECT 1 FROM shares WHERE node_id = $1 AND share_type IN (1, 3)"
    if await rows.one(sql, found.existing().id) is not None:
        raise ForbiddenError(
            "a folder that is shared with a group or by link cannot be encrypted",
            path=found.path,
            advice="End these shares first, then share the encrypted folder with people.",
        )


async def _maker_of(rows: Rows, principal: Principal, file_id: int, session: str | None) -> str | None:
    """The session that has just made this folder, when it is the caller's.

    Stock clients flag a new folder without naming the token, so the user who holds the lock counts as its maker.
    """
    row = await rows.one(
        "SELECT s.session, l.user_id FROM locks l JOIN staged s ON s.session = l.session AND s.node_id = $1"
        " WHERE s.is_new = 1 AND s.is_folder = 1 AND s.gone = 0",
        file_id,
    )
    if row is None or (row[0] != session and row[1] != principal.member_id):
        return None
    return str(row[0])


async def refuse_locked(rows: Rows, found: Located, rule: LockRule) -> None:
    """LockedError while a lock covers the place."""
    for lock in await covering_locks(rows, [*found.above, found.existing()]):
        if not rule.is_over(lock):
            raise LockedError("the folder is being written", path=found.path)


def _members_digest(text: str) -> str:
    """What changes when the members of the document do; empty for one that lists none, or cannot be read."""
    try:
        document = json.loads(text)
        users = document.get("users")
    except (ValueError, RecursionError, AttributeError):
        return ""
    if not isinstance(users, list):
        return ""
    members = sorted(repr((user.get("userId"), user.get("certificate"))) for user in users if isinstance(user, dict))
    return hashlib.sha256("\n".join(members).encode()).hexdigest() if members else ""
