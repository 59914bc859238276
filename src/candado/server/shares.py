"""Shares between users.

Layer: ``server``. A share grants permission bits on one node to one user and mounts it at the top of that user's home.
Of an encrypted tree only the root can be shared: below it nobody could open what was shared. Sharing changes what the
server allows; what a person can *read* is decided by the members of the folder's metadata.
"""

from dataclasses import dataclass
from typing import Final

from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    ForbiddenError,
    LimitExceededError,
    NotFoundError,
)
from candado.ports.server import Rows, SqlValue
from candado.server.files import Files
from candado.server.model import PERMISSION_READ, PERMISSION_SHARE, Backend, NodeInfo, Principal
from candado.server.moving import release_unreachable
from candado.types import FileId, UserId

__all__ = ["SHARE_TYPE_USER", "Share", "ShareChange", "Shares"]

SHARE_TYPE_USER: Final = 0
_NOTE_CHARS_MAX: Final = 1000
_ATTEMPTS: Final = 1000
_SELECT: Final = """SELECT s.id, s.share_type, s.owner_id, s.initiator_id, s.share_with, s.permissions, s.target,
    s.node_id, s.created, s.note, s.label, n.is_folder, o.display_name, w.display_name
    FROM shares s JOIN nodes n ON n.id = s.node_id
    LEFT JOIN users o ON o.id = s.initiator_id LEFT JOIN users w ON w.id = s.share_with"""
_BY_NODE: Final = _SELECT + " WHERE s.node_id = $1 ORDER BY s.id"
_BY_ID: Final = _SELECT + " WHERE s.id = $1"
_BY_INITIATOR: Final = _SELECT + " WHERE s.initiator_id = $1 OR s.owner_id = $1 ORDER BY s.id"
_BY_RECIPIENT: Final = _SELECT + " WHERE s.share_with = $1 AND s.share_type = 0 ORDER BY s.id"


@dataclass(frozen=True, slots=True)
class Share:
    """One share as one of its parties sees it; ``path`` is in that party's home, with a leading slash."""

    share_id: int
    share_type: int
    owner_id: UserId
    initiator_id: UserId
    initiator_name: str
    share_with: UserId
    share_with_name: str
    permissions: int
    target: str
    node_id: FileId
    is_folder: bool
    created_at: float
    note: str
    label: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class ShareChange:
    """What to change of a share; None leaves a member as it is."""

    permissions: int | None = None
    note: str | None = None
    label: str | None = None


class Shares:
    """Use cases on user shares."""

    def __init__(self, backend: Backend, files: Files) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._random = backend.random
        self._files = files

    async def create(
        self, principal: Principal, path: str, *, share_with: str, permissions: int, note: str = "", label: str = ""
    ) -> Share:
        """Share a node with a user.

        Raises:
            NotFoundError: no such path or user. BadRequestError: permissions without READ or beyond 31, long texts.
            ForbiddenError: no right to share, more rights than the own ones, the home itself, below an encrypted
                root, or the owner as recipient.
            AlreadyExistsError: shared with this user already.
        """
        node = await self._files.stat(principal, path)
        _check_shareable(node, permissions)
        if len(note) > _NOTE_CHARS_MAX or len(label) > _NOTE_CHARS_MAX:
            raise LimitExceededError(f"a note or label has at most {_NOTE_CHARS_MAX} characters")
        if share_with in (principal.user_id, node.owner_id):
            raise ForbiddenError("a folder cannot be shared with its owner or with oneself")
        if not node.is_folder:
            permissions &= ~(4 | 8)
        now, etag = self._clock.now(), self._random.token(8).hex()

        async def work(rows: Rows) -> Share:
            sql = "SELECT 1 FROM users WHERE id = $1 AND enabled = 1"
            if await rows.one(sql, share_with) is None:
                raise NotFoundError("there is no such user", path=share_with)
            sql = "SELECT 1 FROM shares WHERE node_id = $1 AND share_with = $2 AND share_type = 0"
            if await rows.one(sql, node.file_id, share_with) is not None:
                raise AlreadyExistsError("Path is already shared with this user", path=share_with)
            made = await rows.one(
                "INSERT INTO shares (node_id, share_type, owner_id, initiator_id, share_with, permissions, target,"
                " note, label, created) VALUES ($1, 0, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
                node.file_id,
                node.owner_id,
                principal.user_id,
                share_with,
                permissions,
                await _free_target(rows, share_with, node.name),
                note,
                label,
                now,
            )
            assert made is not None
            await _touch(rows, share_with, node.file_id, etag)
            row = await rows.one(_BY_ID, made[0])
            assert row is not None
            return _share(row, f"/{node.path}")

        return await self._database.write(work)

    async def of_path(self, principal: Principal, path: str) -> list[Share]:
        """Shares of one node that the caller may see: all for its owner, else the own ones; NotFoundError."""
        node = await self._files.stat(principal, path)

        async def work(rows: Rows) -> list[tuple[SqlValue, ...]]:
            return await rows.all(_BY_NODE, node.file_id)

        shares = [_share(row, f"/{node.path}") for row in await self._database.read(work)]
        return [s for s in shares if principal.user_id in (s.owner_id, s.initiator_id)]

    async def by_me(self, principal: Principal) -> list[Share]:
        """All shares the caller made, and those of its storage, oldest first."""

        async def work(rows: Rows) -> list[tuple[SqlValue, ...]]:
            return await rows.all(_BY_INITIATOR, principal.user_id)

        return await self._with_paths(principal, await self._database.read(work))

    async def with_me(self, principal: Principal) -> list[Share]:
        """All shares the caller received, oldest first."""

        async def work(rows: Rows) -> list[tuple[SqlValue, ...]]:
            return await rows.all(_BY_RECIPIENT, principal.user_id)

        return await self._with_paths(principal, await self._database.read(work))

    async def get(self, principal: Principal, share_id: int) -> Share:
        """One share the caller is a party of; NotFoundError for all others, as if they did not exist."""

        async def work(rows: Rows) -> list[tuple[SqlValue, ...]]:
            return await rows.all(_BY_ID, share_id)

        rows = await self._database.read(work)
        parties = {str(part) for row in rows for part in (row[2], row[3], row[4])}
        if principal.user_id not in parties:
            raise NotFoundError("Wrong share ID, share does not exist", path=str(share_id))
        return (await self._with_paths(principal, rows))[0]

    async def update(self, principal: Principal, share_id: int, change: ShareChange) -> Share:
        """Change a share the caller made or owns; NotFoundError, ForbiddenError, BadRequestError as ``create``."""
        share = await self.get(principal, share_id)
        if principal.user_id not in (share.owner_id, share.initiator_id):
            raise ForbiddenError("only who made the share can change it")
        if change.permissions is not None:
            _check_shareable(await self._files.stat_id(principal, share.node_id), change.permissions)
        etag, now = self._random.token(8).hex(), self._clock.now()

        async def work(rows: Rows) -> None:
            await rows.run(
                "UPDATE shares SET permissions = COALESCE($2, permissions), note = COALESCE($3, note),"
                " label = COALESCE($4, label) WHERE id = $1",
                share_id,
                change.permissions,
                None if change.note is None else change.note[:_NOTE_CHARS_MAX],
                None if change.label is None else change.label[:_NOTE_CHARS_MAX],
            )
            await _touch(rows, share.share_with, share.node_id, etag)
            await release_unreachable(rows, share.share_with, now=now)

        await self._database.write(work)
        return await self.get(principal, share_id)

    async def delete(self, principal: Principal, share_id: int) -> None:
        """End a share: its maker or owner takes it back, its recipient leaves it; NotFoundError."""
        share = await self.get(principal, share_id)
        etag, now = self._random.token(8).hex(), self._clock.now()

        async def work(rows: Rows) -> None:
            await rows.run("DELETE FROM shares WHERE id = $1", share_id)
            await _touch(rows, share.share_with, share.node_id, etag)
            await release_unreachable(rows, share.share_with, now=now)

        await self._database.write(work)

    async def _with_paths(self, principal: Principal, rows: list[tuple[SqlValue, ...]]) -> list[Share]:
        shares: list[Share] = []
        for row in rows:
            share = _share(row, "")
            if principal.user_id == share.share_with:
                path = f"/{share.target}"
            else:
                try:
                    path = f"/{(await self._files.stat_id(principal, share.node_id)).path}"
                except NotFoundError:
                    continue
            shares.append(_share(row, path))
        return shares


def _check_shareable(node: NodeInfo, permissions: int) -> None:
    if not 0 < permissions <= 31 or not permissions & PERMISSION_READ:
        raise BadRequestError("permissions are 1 to 31 and include reading (1)")
    if not node.path:
        raise ForbiddenError("the home cannot be shared")
    if not node.permission_bits & PERMISSION_SHARE:
        raise ForbiddenError("you may not share this")
    if permissions & ~node.permission_bits & (31 if node.is_folder else 31 & ~12):
        raise ForbiddenError("you cannot give more rights than you have")
    if node.parent_encrypted:
        raise ForbiddenError("only the topmost encrypted folder can be shared")


async def _free_target(rows: Rows, user_id: str, name: str) -> str:
    """A name for the mount that is free at the top of the user's home: ``name``, ``name (2)``, ..."""
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    for number in range(1, _ATTEMPTS):
        target = name if number == 1 else f"{stem} ({number}){dot}{suffix}"
        taken = await rows.one(
            "SELECT 1 FROM shares WHERE share_with = $1 AND target = $2 AND share_type = 0"
            " UNION ALL SELECT 1 FROM nodes h JOIN nodes c ON c.parent_id = h.id WHERE h.owner = $1 AND c.name = $2",
            user_id,
            target,
        )
        if taken is None:
            return target
    raise AlreadyExistsError("too many folders of this name in the home of the other user", path=user_id)


async def _touch(rows: Rows, user_id: str, node_id: int, etag: str) -> None:
    """New entity tags for the node and the recipient's home: devices look only where one has changed."""
    await rows.run("UPDATE nodes SET etag = $2 WHERE owner = $1", user_id, etag)
    await rows.run("UPDATE nodes SET etag = $2 WHERE id = $1", node_id, etag)


def _share(row: tuple[SqlValue, ...], path: str) -> Share:
    share_id, kind, owner, initiator, recipient, bits, target, node_id, created, note, label, folder, name, other = row
    assert isinstance(share_id, int)
    assert isinstance(kind, int)
    assert isinstance(bits, int)
    assert isinstance(node_id, int)
    assert isinstance(created, int | float)
    return Share(
        share_id=share_id,
        share_type=kind,
        owner_id=UserId(str(owner)),
        initiator_id=UserId(str(initiator)),
        initiator_name=str(name or initiator),
        share_with=UserId(str(recipient)),
        share_with_name=str(other or recipient),
        permissions=bits,
        target=str(target),
        node_id=FileId(node_id),
        is_folder=bool(folder),
        created_at=float(created),
        note=str(note),
        label=str(label),
        path=path,
    )
