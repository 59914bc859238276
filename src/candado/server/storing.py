"""A body becomes the content of a place: checks before it is read, and the row after it was stored.

Layer: ``server``. Used by plain uploads and by uploads in chunks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from candado.errors import AlreadyExistsError, BadRequestError, NotFoundError, PreconditionFailedError
from candado.ports.server import Rows
from candado.server.guard import guarded_read, guarded_write, refuse_growth, space_of
from candado.server.model import (
    PERMISSION_CREATE,
    PERMISSION_READ,
    PERMISSION_UPDATE,
    Backend,
    NodeInfo,
    Part,
    Principal,
    PutTicket,
)
from candado.server.permits import has_rules, permit_content, permit_stored
from candado.server.spread import discard_content, spread_one
from candado.server.staging import LockRule, require_writable, restage, session_of, touch_session
from candado.server.tree import Node, View, check_name, locate_id, locate_path, node_info, split_path
from candado.types import LockToken

__all__ = [
    "NewContent",
    "TargetFolderMissingError",
    "begin_store",
    "check_precondition",
    "insert_node",
    "store_content",
]

_WRITE_BITS: Final = PERMISSION_CREATE | PERMISSION_UPDATE
_LENGTH_UNCHECKED: Final = 1024 * 1024
"""Bodies up to this size are checked against the quota once, when they are stored."""


class TargetFolderMissingError(NotFoundError):
    """There is no folder for the target; what was to be moved, copied or joined may well be there."""


@dataclass(frozen=True, slots=True)
class NewContent:
    """What was received: a blob, or several in order under a content id of their own."""

    content: str
    parts: Sequence[Part]
    mtime: float | None
    checksum: str | None

    @property
    def size_bytes(self) -> int:
        """All parts together."""
        return sum(part.size_bytes for part in self.parts)


def check_precondition(node: Node | None, *, if_match: str | None, if_none_match: bool, path: str) -> None:
    """PreconditionFailedError unless the entity tag (or ``*``) is the node's, and the place free if it must be."""
    if if_none_match and node is not None:
        raise PreconditionFailedError("there is a file already", path=path)
    if if_match is not None and (node is None or if_match not in {"*", node.etag}):
        raise PreconditionFailedError("the file changed meanwhile", path=path)


async def begin_store(
    backend: Backend,
    principal: Principal,
    path: str,
    *,
    token: LockToken | None,
    length: int | None,
    if_match: str | None,
    if_none_match: bool,
) -> PutTicket:
    """Check everything that can be checked before the body is read; see ``Files.begin_put``."""
    session = session_of(token)
    wish = _Wish(length, if_match, if_none_match)
    # Where there are rules each write is asked for: they may tell a new file from one that is replaced.
    is_short = length is not None and length <= _LENGTH_UNCHECKED
    if session is not None and is_short and not await has_rules(backend, principal):
        folder, _, name = path.strip("/").rpartition("/")
        cached = backend.places.find(principal.member_id, session, folder, backend.clock.monotonic())
        if cached is not None and split_path(name) == [name]:
            check_name(name)
            return replace(
                cached,
                principal=principal,
                path=f"{folder}/{name}",
                name=name,
                length=length,
                if_match=if_match,
                if_none_match=if_none_match,
            )
    return await _admit(backend, principal, path, session, wish)


@dataclass(frozen=True, slots=True)
class _Wish:
    """The length and the preconditions of a request."""

    length: int | None
    if_match: str | None
    if_none_match: bool


async def _admit(backend: Backend, principal: Principal, path: str, wanted: str | None, wish: _Wish) -> PutTicket:
    async def work(rows: Rows, rule: LockRule) -> PutTicket:
        found = await locate_path(View(rows, wanted), principal, path, rule.now)
        parent, node = found.parent, found.node
        if not found.mount_root:
            check_name(found.name)
        found.require(PERMISSION_CREATE if node is None else PERMISSION_UPDATE)
        session = await require_writable(
            rows,
            found.above,
            needs_token=bool(parent.encrypted) and not _takes_drops(principal, found.bits),
            session=wanted,
            rule=rule,
        )
        if node is not None and node.is_folder:
            raise AlreadyExistsError("a folder is there", path=found.path)
        await permit_content(rows, rule, found, wish.length)
        check_precondition(node, if_match=wish.if_match, if_none_match=wish.if_none_match, path=found.path)
        used, quota = await space_of(rows, found.home_id)
        if wish.length is not None:
            refuse_growth(used, quota, wish.length - _freed_bytes(node, session))
        return PutTicket(
            principal=principal,
            path=found.path,
            owner_id=found.owner_id,
            home_id=found.home_id,
            parent_id=parent.id,
            name=node.name if node is not None else found.name,
            session=session,
            bits=found.bits,
            mounted=found.mounted,
            parent_encrypted=bool(parent.encrypted),
            parent_place=(parent.parent_id, parent.name),
            limited=quota is not None,
            length=wish.length,
            if_match=wish.if_match,
            if_none_match=wish.if_none_match,
        )

    ticket = await guarded_read(backend, principal, work)
    folder, _, name = ticket.path.rpartition("/")
    if ticket.session is not None and ticket.name == name and not _WRITE_BITS & ~ticket.bits:
        backend.places.keep(folder, ticket, backend.clock.monotonic())
    return ticket


def _takes_drops(principal: Principal, bits: int) -> bool:
    """Whether this is the visitor of a link for uploads: he has no lock, and adds what nothing lists yet."""
    return principal.link is not None and not bits & PERMISSION_READ


def _freed_bytes(node: Node | None, session: str | None) -> int:
    """Bytes that replacing a node gives back at once: while a session is open the visible content stays."""
    if node is None or (session is not None and not node.staged):
        return 0
    return node.size


class _FolderMovedSignal(Exception):  # noqa: N818 -- not an error of the caller: the ticket is asked for again
    """The folder of a ticket is not where it was."""


async def store_content(backend: Backend, ticket: PutTicket, new: NewContent) -> tuple[NodeInfo, bool]:
    """Make content whose blobs exist the content of the ticket's place; (node, created).

    Without a session the blobs must have been persisted. Everything is checked again, because other requests may
    have come between; errors as ``Files.begin_put``.
    """
    try:
        return await _store(backend, ticket, new)
    except _FolderMovedSignal:
        backend.places.forget()
        wish = _Wish(ticket.length, ticket.if_match, ticket.if_none_match)
        again = await _admit(backend, ticket.principal, ticket.path, ticket.session, wish)
        if again.session != ticket.session:
            raise NotFoundError("the folder is gone", path=ticket.path) from None
    try:
        return await _store(backend, again, new)
    except _FolderMovedSignal:
        raise NotFoundError("the folder is gone", path=ticket.path) from None


async def _store(backend: Backend, ticket: PutTicket, new: NewContent) -> tuple[NodeInfo, bool]:
    if new.mtime is not None and not math.isfinite(new.mtime):
        raise BadRequestError("a time of change is a finite number", path=ticket.path)
    fresh_id, tag = await backend.ids.take(backend.database), backend.tag()

    async def work(rows: Rows, rule: LockRule) -> tuple[NodeInfo, bool]:
        view = View(rows, ticket.session)
        parent = await view.by_id(ticket.parent_id)
        if parent is None or (parent.parent_id, parent.name) != ticket.parent_place:
            raise _FolderMovedSignal
        before = await view.child(parent.id, ticket.name)
        await _check_again(view, ticket, parent, before, rule)
        await permit_stored(view, rule, ticket, parent, before, new.size_bytes)
        if ticket.limited:
            used, quota = await space_of(rows, ticket.home_id)
            refuse_growth(used, quota, new.size_bytes - _freed_bytes(before, ticket.session))
        after = _node_of(new, parent, before, name=ticket.name, fresh_id=fresh_id, tag=tag, now=rule.now)
        if len(new.parts) != 1:
            await rows.many(
                "INSERT INTO parts (content, position, blob_id, size) VALUES ($1, $2, $3, $4)",
                [(new.content, i, part.blob_id, part.size_bytes) for i, part in enumerate(new.parts)],
            )
        if ticket.session is not None:
            growth = await restage(rows, ticket.session, before, after, now=rule.now)
            await touch_session(rows, ticket.session, rule, staged_bytes=growth)
        else:
            await _write_visible(rows, before, after)
            await discard_content(rows, before.content if before else None, rule.now)
            growth = after.size - (before.size if before else 0)
            await spread_one(rows, parent.id, growth, tag=tag, now=rule.now)
        return _shown(ticket, after), before is None

    return await guarded_write(backend, ticket.principal, work, durable=ticket.session is None)


def _shown(ticket: PutTicket, node: Node) -> NodeInfo:
    return node_info(
        node,
        path=ticket.path,
        bits=ticket.bits,
        owner_id=ticket.owner_id,
        parent_encrypted=ticket.parent_encrypted,
        mounted=ticket.mounted,
    )


async def _check_again(view: View, ticket: PutTicket, parent: Node, before: Node | None, rule: LockRule) -> None:
    if before is not None and before.is_folder:
        raise AlreadyExistsError("a folder is there", path=ticket.path)
    check_precondition(before, if_match=ticket.if_match, if_none_match=ticket.if_none_match, path=ticket.path)
    if ticket.mounted:
        place = before.id if before is not None else parent.id
        found = await locate_id(view, ticket.principal, place, rule.now)
        found.require(PERMISSION_CREATE if before is None else PERMISSION_UPDATE)
    if ticket.session is None:
        chain = [*await view.ancestors(parent), parent]
        needs_token = bool(parent.encrypted) and not _takes_drops(ticket.principal, ticket.bits)
        await require_writable(view.rows, chain, needs_token=needs_token, session=None, rule=rule)


def _node_of(
    new: NewContent, parent: Node, before: Node | None, *, name: str, fresh_id: int, tag: str, now: float
) -> Node:
    return Node(
        id=before.id if before is not None else fresh_id,
        parent_id=parent.id,
        name=name,
        is_folder=0,
        encrypted=0,
        content=new.content,
        part_count=len(new.parts),
        size=new.size_bytes,
        mtime=now if new.mtime is None else new.mtime,
        created=before.created if before is not None else now,
        etag=tag,
        checksum=new.checksum,
        owner=None,
        staged=0,
    )


async def _write_visible(rows: Rows, before: Node | None, after: Node) -> None:
    if before is None:
        await insert_node(rows, after)
        return
    await rows.run(
        "UPDATE nodes SET content = $2, part_count = $3, size = $4, mtime = $5, etag = $6, checksum = $7 WHERE id = $1",
        after.id,
        after.content,
        after.part_count,
        after.size,
        after.mtime,
        after.etag,
        after.checksum,
    )


async def insert_node(rows: Rows, node: Node) -> None:
    """Insert a visible node."""
    await rows.run(
        "INSERT INTO nodes (id, parent_id, name, is_folder, encrypted, content, part_count, size, mtime, created, etag,"
        " checksum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        *node[:12],
    )
