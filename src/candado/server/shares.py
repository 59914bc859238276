"""Shares with users, with groups, and by link.

Layer: ``server``. A share grants permission bits on one node. With a user or a group it appears at the top of the
recipients' homes (see ``mounts``); whoever knows the address of a link needs no account (see ``links``).

Of an encrypted tree only the root can be shared, with users and by link: sharing changes what the server allows, but
what somebody can *read* is decided by the members of the folder's metadata. A link can be one of them: it then has keys
of its own, under the name ``s:TOKEN``. A group cannot.
"""

from dataclasses import dataclass, replace
from typing import Final

from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    ForbiddenError,
    LimitExceededError,
    NotFoundError,
)
from candado.formats.rules import Operation
from candado.ports.server import Rows, SqlValue
from candado.server.accounts import PasswordHasher, check_new_password, random_text
from candado.server.audit import Event, group_ref, node_ref, record, share_ref, user_ref
from candado.server.files import Files
from candado.server.guard import guarded_write
from candado.server.model import (
    PERMISSION_CREATE,
    PERMISSION_DELETE,
    PERMISSION_READ,
    PERMISSION_SHARE,
    Backend,
    NodeInfo,
    Principal,
)
from candado.server.mounts import free_target, leave_mount, mount_for_group, recipients_of, touch_recipients
from candado.server.moving import release_unreachable
from candado.server.permits import permit
from candado.server.shareends import end_share
from candado.server.sharerows import (
    BY_INITIATOR,
    BY_MAKER,
    BY_NODE,
    BY_PARENT,
    BY_RECIPIENT,
    BY_TOKEN,
    RECEIVED,
    SHARE_TYPE_GROUP,
    SHARE_TYPE_LINK,
    SHARE_TYPE_USER,
    Share,
    share_of,
)
from candado.server.staging import LockRule
from candado.server.tree import View, locate_id
from candado.types import SecretText, UserId

__all__ = ["LINK_TOKEN_CHARS", "ShareChange", "ShareRequest", "Shares"]

LINK_TOKEN_CHARS: Final = 20
_NOTE_CHARS_MAX: Final = 1000
_LINK_BITS: Final = 15
_NO_FILE_BITS: Final = PERMISSION_CREATE | PERMISSION_DELETE
_INSERT: Final = (
    "INSERT INTO shares (node_id, share_type, owner_id, initiator_id, share_with, permissions, target, note, label,"
    " created, token, password_hash, expires, hide_download)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id"
)
_UPDATE: Final = (
    "UPDATE shares SET permissions = $2, note = $3, label = $4, password_hash = $5, expires = $6, hide_download = $7"
    " WHERE id = $1"
)
_IN_ENCRYPTED: Final = (
    "WITH RECURSIVE up(id, parent_id, encrypted) AS ("
    " SELECT id, parent_id, encrypted FROM nodes WHERE id = $1"
    " UNION ALL SELECT n.id, n.parent_id, n.encrypted FROM nodes n JOIN up ON n.id = up.parent_id)"
    " SELECT COUNT(*) FROM up WHERE encrypted = 1"
)


@dataclass(frozen=True, slots=True)
class ShareRequest:
    """A share to be made; ``share_with`` is a user or a group, and nobody for a link."""

    path: str
    share_type: int
    permissions: int
    share_with: str = ""
    note: str = ""
    label: str = ""
    password: str = ""
    expires_at: float | None = None
    hide_download: bool = False


@dataclass(frozen=True, slots=True)
class ShareChange:
    """What to change of a share; None leaves a member as it is, an empty text takes it away.

    ``expires_at`` counts only with ``expires``, since None stands for no end.
    """

    permissions: int | None = None
    note: str | None = None
    label: str | None = None
    password: str | None = None
    expires: bool = False
    expires_at: float | None = None
    hide_download: bool | None = None


class Shares:
    """Use cases on shares."""

    def __init__(self, backend: Backend, files: Files, passwords: PasswordHasher) -> None:
        self._backend = backend
        self._database = backend.database
        self._clock = backend.clock
        self._random = backend.random
        self._files = files
        self._passwords = passwords

    async def create(self, principal: Principal, request: ShareRequest) -> Share:
        """Share a node.

        Raises:
            NotFoundError: no such path, user or group. LimitExceededError: long texts.
            BadRequestError: permissions, a password or an end that cannot be.
            ForbiddenError: no right to share, more rights than the own ones, the home itself, below an encrypted
                root, an encrypted folder with a group, or the owner as recipient.
            AlreadyExistsError: shared with this user or group already.
        """
        node = await self._files.stat(principal, request.path)
        bits = _allowed_bits(node, request.share_type, request.permissions)
        if len(request.note) > _NOTE_CHARS_MAX or len(request.label) > _NOTE_CHARS_MAX:
            raise LimitExceededError(f"a note or label has at most {_NOTE_CHARS_MAX} characters")
        is_link = request.share_type == SHARE_TYPE_LINK
        if request.share_type == SHARE_TYPE_USER and request.share_with in (principal.user_id, node.owner_id):
            raise ForbiddenError("a folder cannot be shared with its owner or with oneself")
        if not is_link and request.password:
            raise BadRequestError("only a link can have a password")
        self._check_end(request.expires_at)
        hashed = await self._hash(request.password)
        token = random_text(self._random, LINK_TOKEN_CHARS) if is_link else None
        now, etag = self._clock.now(), self._random.token(8).hex()

        async def work(rows: Rows, rule: LockRule) -> Share:
            await _check_kind(rows, request.share_type, node)
            await permit(rows, rule, Operation.SHARE, await locate_id(View(rows), principal, node.file_id, now))
            target = node.name
            if not is_link:
                await _check_recipient(rows, node.file_id, request)
            if request.share_type == SHARE_TYPE_USER:
                target = await free_target(rows, request.share_with, node.file_id, node.name)
            made = await rows.one(
                _INSERT,
                node.file_id,
                request.share_type,
                node.owner_id,
                principal.user_id,
                None if is_link else request.share_with,
                bits,
                target,
                request.note,
                request.label,
                now,
                token,
                hashed,
                request.expires_at,
                int(request.hide_download and is_link),
            )
            assert made is not None
            assert isinstance(made[0], int)
            if request.share_type == SHARE_TYPE_GROUP:
                await mount_for_group(rows, made[0], request.share_with)
            await touch_recipients(rows, made[0], node.file_id, etag)
            await record(rows, _made_event(made[0], node.file_id, bits, request))
            row = await rows.one(BY_MAKER, made[0], principal.user_id, now)
            assert row is not None
            return share_of(row, f"/{node.path}")

        return await guarded_write(self._backend, principal, work)

    async def _hash(self, password: str) -> str | None:
        return await self._passwords.hash(check_new_password(SecretText(password))) if password else None

    def _check_end(self, expires_at: float | None) -> None:
        if expires_at is not None and expires_at <= self._clock.now():
            raise BadRequestError("Expiration date is in the past")

    # --- lists -------------------------------------------------------------------------------------------

    async def of_path(self, principal: Principal, path: str, *, reshares: bool = True) -> list[Share]:
        """Shares of one node that the caller made; with ``reshares`` all of them for its owner. NotFoundError."""
        node = await self._files.stat(principal, path)
        shares = [replace(share, path=f"/{node.path}") for share in await self._read(BY_NODE, node.file_id)]
        return [s for s in shares if _is_shown(s, principal, reshares=reshares)]

    async def in_folder(self, principal: Principal, path: str, *, reshares: bool = True) -> list[Share]:
        """As ``of_path`` for what lies directly in a folder; BadRequestError when it is a file."""
        node = await self._files.stat(principal, path)
        if not node.is_folder:
            raise BadRequestError("Not a directory")
        shares = await self._read(BY_PARENT, node.file_id)
        return await self._with_paths(principal, [s for s in shares if _is_shown(s, principal, reshares=reshares)])

    async def by_me(self, principal: Principal) -> list[Share]:
        """All shares the caller made, and those of its storage, oldest first."""
        return await self._with_paths(principal, await self._read(BY_INITIATOR, principal.user_id))

    async def with_me(self, principal: Principal, path: str | None = None) -> list[Share]:
        """All shares the caller received, oldest first; those of one node when a path is given (NotFoundError)."""
        node = None if path is None else await self._files.stat(principal, path)
        shares = await self._read(BY_RECIPIENT, principal.user_id)
        return [
            replace(share, path=f"/{share.target}") for share in shares if node is None or share.node_id == node.file_id
        ]

    async def _read(self, sql: str, value: SqlValue) -> list[Share]:
        now = self._clock.now()

        async def work(rows: Rows) -> list[Share]:
            return [share_of(row) for row in await rows.all(sql, value, now)]

        return await self._database.read(work)

    async def _with_paths(self, principal: Principal, shares: list[Share]) -> list[Share]:
        """The shares whose node the caller still sees, with its path."""
        paths = await self._files.paths(principal, [share.node_id for share in shares])
        return [replace(share, path=f"/{paths[share.node_id]}") for share in shares if share.node_id in paths]

    # --- one share ---------------------------------------------------------------------------------------

    async def get(self, principal: Principal, share_id: int) -> Share:
        """One share the caller is a party of; NotFoundError for all others, as if they did not exist."""
        now = self._clock.now()

        async def work(rows: Rows) -> tuple[Share | None, Share | None]:
            made = await rows.one(BY_MAKER, share_id, principal.user_id, now)
            received = await rows.one(RECEIVED, share_id, principal.user_id, now)
            return share_of(made) if made else None, share_of(received) if received else None

        made, received = await self._database.read(work)
        found = await self._with_paths(principal, [made]) if made is not None else []
        if received is not None:
            found.append(replace(received, path=f"/{received.target}"))
        if not found:
            raise NotFoundError("Wrong share ID, share does not exist", path=str(share_id))
        return found[0]

    async def update(self, principal: Principal, share_id: int, change: ShareChange) -> Share:
        """Change a share the caller made or owns; NotFoundError, ForbiddenError, BadRequestError as ``create``."""
        share = await self.get(principal, share_id)
        if principal.user_id not in (share.owner_id, share.initiator_id):
            raise ForbiddenError("only who made the share can change it")
        if share.share_type != SHARE_TYPE_LINK and change.password:
            raise BadRequestError("only a link can have a password")
        bits = share.permissions
        if change.permissions is not None:
            node = await self._files.stat_id(principal, share.node_id)
            bits = _allowed_bits(node, share.share_type, change.permissions)
        if change.expires:
            self._check_end(change.expires_at)
        hashed = share.password_hash if change.password is None else await self._hash(change.password)
        etag, now = self._random.token(8).hex(), self._clock.now()

        async def work(rows: Rows, rule: LockRule) -> None:
            await permit(rows, rule, Operation.SHARE, await locate_id(View(rows), principal, share.node_id, now))
            await rows.run(
                _UPDATE,
                share_id,
                bits,
                share.note if change.note is None else change.note[:_NOTE_CHARS_MAX],
                share.label if change.label is None else change.label[:_NOTE_CHARS_MAX],
                hashed,
                change.expires_at if change.expires else share.expires_at,
                int(share.hide_download if change.hide_download is None else change.hide_download),
            )
            sql = "UPDATE shares SET permissions = $2 WHERE parent_share = $1 AND permissions > 0"
            await rows.run(sql, share_id, bits)
            expires = change.expires_at if change.expires else share.expires_at
            await rows.run("UPDATE shares SET expires = $2 WHERE parent_share = $1", share_id, expires)
            await touch_recipients(rows, share_id, share.node_id, etag)
            kind = "link.changed" if share.share_type == SHARE_TYPE_LINK else "share.changed"
            details: dict[str, str | int] = {"node": node_ref(share.node_id), "permissions": bits}
            await record(rows, Event(kind, target=share_ref(share_id), details=details))
            for user_id in {share.initiator_id, *await recipients_of(rows, share_id)}:
                await release_unreachable(rows, user_id, now=now)

        await guarded_write(self._backend, principal, work)
        return await self.get(principal, share_id)

    async def keeper_of(self, principal: Principal, token: str) -> Principal:
        """The name under which the maker or owner of a link into an encrypted folder keeps its keys; ForbiddenError."""
        now = self._clock.now()

        async def work(rows: Rows) -> Share | None:
            row = await rows.one(BY_TOKEN, token)
            return None if row is None else share_of(row)

        share = await self._database.read(work)
        is_over = share is not None and share.expires_at is not None and share.expires_at <= now
        if share is None or is_over or principal.user_id not in (share.owner_id, share.initiator_id):
            raise ForbiddenError("this is not a link of yours")
        if not share.is_encrypted:
            raise ForbiddenError("this link leads into a plain folder, which has no keys")
        return Principal(UserId(""), link=share.share_id, link_token=token)

    async def delete(self, principal: Principal, share_id: int) -> None:
        """End a share: its maker or owner takes it back, a recipient leaves it; NotFoundError."""
        share = await self.get(principal, share_id)
        etag, now = self._random.token(8).hex(), self._clock.now()

        async def work(rows: Rows) -> None:
            if principal.user_id in (share.owner_id, share.initiator_id):
                await end_share(rows, share_id, etag=etag, now=now)
                return
            await touch_recipients(rows, share_id, share.node_id, etag)
            await leave_mount(rows, principal.user_id, share.target)
            left = {"node": node_ref(share.node_id)}
            await record(rows, Event("share.ended", target=share_ref(share_id), reason="left", details=left))
            await release_unreachable(rows, principal.user_id, now=now)

        await self._database.write(work)


def _made_event(share_id: int, node_id: int, bits: int, request: ShareRequest) -> Event:
    details: dict[str, str | int] = {"node": node_ref(node_id), "permissions": bits}
    if request.share_type == SHARE_TYPE_LINK:
        details["password"] = int(bool(request.password))
        return Event("link.made", target=share_ref(share_id), details=details)
    with_ref = group_ref if request.share_type == SHARE_TYPE_GROUP else user_ref
    details["with"] = with_ref(request.share_with)
    return Event("share.made", target=share_ref(share_id), details=details)


def _is_shown(share: Share, principal: Principal, *, reshares: bool) -> bool:
    return share.initiator_id == principal.user_id or (reshares and share.owner_id == principal.user_id)


def _allowed_bits(node: NodeInfo, kind: int, permissions: int) -> int:
    """The permissions a share of this kind may give of a node."""
    least = PERMISSION_READ | PERMISSION_CREATE if kind == SHARE_TYPE_LINK else PERMISSION_READ
    if not 0 < permissions <= 31 or not permissions & least:
        raise BadRequestError("permissions are 1 to 31 and include reading (1)")
    if not node.path:
        raise ForbiddenError("the home cannot be shared")
    if not node.permission_bits & PERMISSION_SHARE:
        raise ForbiddenError("you may not share this")
    if kind == SHARE_TYPE_LINK:
        # Clients ask for the right to share on with every link; whoever has the address passes it on anyway.
        permissions &= _LINK_BITS
        if not permissions & PERMISSION_READ and (permissions != PERMISSION_CREATE or not node.is_folder):
            raise BadRequestError("a link gives reading (1), or nothing but uploads into a folder (4)")
        if not node.is_folder:
            return PERMISSION_READ
    if permissions & ~node.permission_bits & (31 if node.is_folder else 31 & ~_NO_FILE_BITS):
        raise ForbiddenError("you cannot give more rights than you have")
    if node.parent_encrypted:
        raise ForbiddenError("only the topmost encrypted folder can be shared")
    return permissions if node.is_folder else permissions & ~_NO_FILE_BITS


async def _check_kind(rows: Rows, kind: int, node: NodeInfo) -> None:
    """ForbiddenError for what is encrypted and has no members: with a group, or below the root by link."""
    if kind == SHARE_TYPE_USER:
        return
    row = await rows.one(_IN_ENCRYPTED, node.file_id)
    assert row is not None
    if kind == SHARE_TYPE_LINK and row[0] != int(node.encrypted):
        raise ForbiddenError("only the topmost encrypted folder can be shared")
    if kind == SHARE_TYPE_GROUP and row[0] != 0:
        raise ForbiddenError(
            "an end-to-end encrypted folder cannot be shared with a group",
            advice="Share it with people, one by one: each needs the key of the folder.",
        )


async def _check_recipient(rows: Rows, node_id: int, request: ShareRequest) -> None:
    if request.share_type == SHARE_TYPE_GROUP:
        known, what = "SELECT 1 FROM groups WHERE id = $1", "group"
    else:
        known, what = "SELECT 1 FROM users WHERE id = $1 AND enabled = 1", "user"
    if await rows.one(known, request.share_with) is None:
        raise NotFoundError(f"there is no such {what}", path=request.share_with)
    sql = "SELECT 1 FROM shares WHERE node_id = $1 AND share_with = $2 AND share_type = $3"
    if await rows.one(sql, node_id, request.share_with, request.share_type) is not None:
        raise AlreadyExistsError(f"Path is already shared with this {what}", path=request.share_with)
