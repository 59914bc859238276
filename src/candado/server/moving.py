"""Remove, move and copy.

Layer: ``server``. Between folders of one encrypted tree these are staged; elsewhere they are durable when they return.
An encrypted root lies in a plain folder: renaming it is no change of the tree it holds and needs no token,
removing it needs the token of a lock on it.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this package

from dataclasses import dataclass
from typing import Final, cast

from candado.errors import ForbiddenError, LockedError, NotFoundError, PreconditionFailedError
from candado.formats.davsearch import FAVOURITE
from candado.formats.rules import Operation
from candado.ports.server import Rows
from candado.server.guard import check_quota, guarded_change
from candado.server.model import (
    LINK_PREFIX,
    PERMISSION_CREATE,
    PERMISSION_DELETE,
    PERMISSION_READ,
    PERMISSION_UPDATE,
    Backend,
    NodeInfo,
    Principal,
    allocate_ids,
)
from candado.server.mounts import leave_mount
from candado.server.nodes import SUBTREE
from candado.server.permits import permit_journey, permit_renamed, permit_tree
from candado.server.spread import delete_doomed, discard_content, doom, spread, spread_one
from candado.server.staging import (
    LOCK_COLUMNS,
    LockRule,
    drop_session,
    lock_of,
    require_writable,
    restage,
    stage_change,
    stage_removal,
    touch_session,
)
from candado.server.storing import TargetFolderMissingError, check_precondition, insert_node
from candado.server.tree import Located, Node, View, check_name, locate_id, locate_path, node_of
from candado.types import UserId

__all__ = [
    "Errand",
    "copy_node",
    "move_node",
    "release_below",
    "release_held",
    "release_unreachable",
    "remove_node",
]

# A favourite is a mark of its user on a node, and no part of what is copied: the queries below leave it where it is.
_DROP_PROPERTIES: Final = "DELETE FROM node_properties WHERE node_id = $1 AND user_id = $2 AND name <> $3"
_COPY_PROPERTIES: Final = (
    "INSERT INTO node_properties (node_id, user_id, name, value) SELECT $1, user_id, name, value FROM node_properties"
    " WHERE node_id = $2 AND user_id = $3 AND name <> $4"
)
_PROPERTIES_BELOW: Final = (
    "WITH RECURSIVE down(node) AS (SELECT id FROM nodes WHERE id = $1"
    " UNION ALL SELECT n.id FROM nodes n JOIN down ON n.parent_id = down.node)"
    " SELECT node_id, name, value FROM node_properties"
    " WHERE user_id = $2 AND name <> $3 AND node_id IN (SELECT node FROM down)"
)
_INSERT_PROPERTY: Final = "INSERT INTO node_properties (node_id, user_id, name, value) VALUES ($1, $2, $3, $4)"
_LOCKED_BELOW: Final = (
    "WITH RECURSIVE up(session, id) AS (SELECT session, node_id FROM locks WHERE home_id = $1"
    " UNION ALL SELECT up.session, n.parent_id FROM nodes n JOIN up ON n.id = up.id WHERE n.parent_id IS NOT NULL)"
    f" SELECT {LOCK_COLUMNS} FROM locks WHERE session IN (SELECT session FROM up WHERE id = $2)"
)
_LOCK_OF: Final = ", ".join(f"l.{name}" for name in LOCK_COLUMNS.split(", "))
_LOCKS_OF: Final = (
    # The user's own, and those of visitors of the user's links.
    f"SELECT {_LOCK_OF}, NULL, NULL FROM locks l WHERE l.user_id = $1"
    f" UNION ALL SELECT {_LOCK_OF}, s.id, s.token FROM shares s JOIN locks l ON l.user_id = '{LINK_PREFIX}' || s.token"
    " WHERE s.share_type = 3 AND s.initiator_id = $1"
)


@dataclass(frozen=True, slots=True)
class Errand:
    """Who wants it, and under which session's token."""

    backend: Backend
    principal: Principal
    session: str | None


async def release_below(rows: Rows, home_id: int, node: Node, *, session: str | None, rule: LockRule) -> None:
    """LockedError when somebody else holds a lock on the node or below; locks that are over are rolled back."""
    if not node.is_folder:
        return
    for row in await rows.all(_LOCKED_BELOW, home_id, node.id):
        lock = lock_of(row)
        if lock.session == session:
            continue
        if not rule.is_over(lock):
            raise LockedError("somebody else is writing below this folder")
        await drop_session(rows, lock.session, now=rule.now)


async def release_unreachable(rows: Rows, user_id: UserId, *, now: float) -> None:
    """Roll back every session of a user, or of visitors of the user's links, on a folder they may not write any more.

    Called where a share ends or gets fewer rights: the holder can neither go on with such a session nor end it, and
    until it expires nobody else could write there.
    """
    for *columns, link, token in await rows.all(_LOCKS_OF, user_id):
        lock = lock_of(tuple(columns))
        holder = Principal(UserId("") if link else user_id, link=cast("int | None", link), link_token=str(token or ""))
        try:
            (await locate_id(View(rows), holder, lock.node_id, now)).require(PERMISSION_UPDATE)
        except (NotFoundError, ForbiddenError):
            await drop_session(rows, lock.session, now=now, why="no-right")


async def release_held(rows: Rows, user_id: UserId, *, now: float) -> None:
    """Roll back every session of a user who is going, and of visitors of the user's links: nobody could end it."""
    for session, *_ in await rows.all(_LOCKS_OF, user_id):
        await drop_session(rows, str(session), now=now, why="user-removed")


async def remove_node(errand: Errand, path: str, *, if_match: str | None) -> None:
    """Remove a node and everything below; see ``Files.delete``."""
    tag = errand.backend.tag()

    async def work(rows: Rows, rule: LockRule) -> tuple[None, bool]:
        found = await locate_path(View(rows, errand.session), errand.principal, path, rule.now)
        node = found.existing()
        check_precondition(node, if_match=if_match, if_none_match=False, path=found.path)
        if found.mount_root:
            await _leave_share(rows, errand.principal, found.name, tag=tag, now=rule.now)
            return None, False
        parent = found.parent
        found.require(PERMISSION_DELETE)
        await _refuse_through_link(rows, errand.principal, parent, node)
        session = await require_writable(
            rows,
            [*found.above, node],
            needs_token=bool(parent.encrypted or (node.is_folder and node.encrypted)),
            session=errand.session,
            rule=rule,
        )
        await permit_tree(rows, rule, Operation.DELETE, found)
        await release_below(rows, found.home_id, node, session=session, rule=rule)
        if session is not None:
            await stage_removal(rows, session, node)
            await touch_session(rows, session, rule, staged_bytes=-_staged_bytes(node))
            return None, True
        await _remove_visible(rows, node, tag=tag, now=rule.now)
        await spread_one(rows, parent.id, -node.size, tag=tag, now=rule.now)
        return None, False

    errand.backend.places.forget()
    await guarded_change(errand.backend, errand.principal, errand.session, work)


def _staged_bytes(node: Node | None) -> int:
    """Bytes that are no longer staged when this node goes."""
    return node.size if node is not None and node.staged and not node.is_folder else 0


async def _leave_share(rows: Rows, principal: Principal, target: str, *, tag: str, now: float) -> None:
    await leave_mount(rows, principal.user_id, target)
    await rows.run("UPDATE nodes SET etag = $2, mtime = $3 WHERE owner = $1", principal.user_id, tag, now)
    await release_unreachable(rows, principal.user_id, now=now)


async def _remove_visible(rows: Rows, node: Node, *, tag: str, now: float) -> None:
    await doom(rows, tag, [node.id])
    await delete_doomed(rows, tag, tag=tag, now=now)


@dataclass(slots=True)
class _Journey:
    """The two ends of a move or copy, checked."""

    source: Located
    target: Located
    session: str | None

    @property
    def replaced(self) -> Node | None:
        """What lies at the target now."""
        return self.target.node


async def _prepare(
    rows: Rows, errand: Errand, source: str, target: str, rule: LockRule, *, overwrite: bool, leaves: bool
) -> _Journey:
    """Find both ends and check rights, locks and the target; ``leaves`` when the source will be gone."""
    view = View(rows, errand.session)
    start = await locate_path(view, errand.principal, source, rule.now)
    node = start.existing()
    end = await _locate_target(view, errand.principal, target, rule.now)
    replaced = end.node
    parent = end.parent
    check_name(end.name)
    await _refuse_through_link(rows, errand.principal, start.parent, node, replaced)
    if end.mount_root or any(above.id == node.id for above in end.above):
        raise ForbiddenError("the target cannot be replaced, or lies inside the source", path=end.path)
    if replaced is not None and (replaced.id == node.id or replaced.id in {n.id for n in start.above}):
        raise ForbiddenError("source and target are the same, or one holds the other", path=end.path)
    if replaced is not None and not overwrite:
        raise PreconditionFailedError("there is something at the target", path=end.path)
    if bool(start.parent.encrypted) != bool(parent.encrypted):
        raise ForbiddenError("Cannot copy or move between an encrypted and another folder", path=start.path)
    _require_rights(start, end, leaves=leaves)
    needs_token = bool(parent.encrypted)
    chain = [*end.above, replaced] if replaced is not None else end.above
    session = await require_writable(rows, chain, needs_token=needs_token, session=errand.session, rule=rule)
    if leaves:
        held = await require_writable(rows, start.above, needs_token=needs_token, session=errand.session, rule=rule)
        if held != session:
            raise LockedError("both folders must be covered by the lock of the token")
        await release_below(rows, start.home_id, node, session=errand.session, rule=rule)
    if replaced is not None:
        if replaced.is_folder and replaced.encrypted:
            raise ForbiddenError("an encrypted folder cannot be replaced; remove it first", path=end.path)
        await release_below(rows, end.home_id, replaced, session=errand.session, rule=rule)
    await permit_journey(rows, rule, start, end, leaves=leaves)
    return _Journey(start, end, session)


async def _locate_target(view: View, principal: Principal, target: str, now: float) -> Located:
    try:
        return await locate_path(view, principal, target, now)
    except NotFoundError as exc:
        raise TargetFolderMissingError("there is no folder for the target", path=exc.path) from exc


def _require_rights(start: Located, end: Located, *, leaves: bool) -> None:
    renamed_only = leaves and start.parent.id == end.parent.id
    if not leaves:
        start.require(PERMISSION_READ)
    elif renamed_only:
        start.require(PERMISSION_UPDATE)
    else:
        start.require(PERMISSION_DELETE)
    if not renamed_only:
        end.require(PERMISSION_CREATE)
    if end.node is not None:
        end.require(PERMISSION_DELETE if end.node.is_folder else PERMISSION_UPDATE)


async def move_node(errand: Errand, source: str, target: str, *, overwrite: bool) -> tuple[NodeInfo, bool]:
    """Move or rename; see ``Files.move``."""
    tag = errand.backend.tag()

    async def work(rows: Rows, rule: LockRule) -> tuple[tuple[NodeInfo, bool], bool]:
        start = await locate_path(View(rows, errand.session), errand.principal, source, rule.now)
        if start.mount_root:
            return (await _rename_mount(rows, errand, start, target, rule, tag=tag), True), False
        journey = await _prepare(rows, errand, source, target, rule, overwrite=overwrite, leaves=True)
        start, end, replaced = journey.source, journey.target, journey.replaced
        node = start.existing()
        moved = node._replace(parent_id=end.parent.id, name=end.name)
        if journey.session is not None:
            if replaced is not None:
                await stage_removal(rows, journey.session, replaced)
            await stage_change(rows, journey.session, moved)
            await touch_session(rows, journey.session, rule, staged_bytes=-_staged_bytes(replaced))
        else:
            await _move_visible(rows, start, end, tag=tag, now=rule.now)
        end.node = moved
        return (end.info(), replaced is None), journey.session is not None

    errand.backend.places.forget()
    return await guarded_change(errand.backend, errand.principal, errand.session, work)


async def _move_visible(rows: Rows, start: Located, end: Located, *, tag: str, now: float) -> None:
    node, replaced = start.existing(), end.node
    if start.home_id != end.home_id:
        if await _holds_encrypted(rows, node):
            raise ForbiddenError("an encrypted folder stays in the storage of its owner", path=start.path)
        await check_quota(rows, end.home_id, node.size)
    deltas = {start.parent.id: -node.size}
    deltas[end.parent.id] = deltas.get(end.parent.id, 0) + node.size - (replaced.size if replaced else 0)
    if replaced is not None:
        await _remove_visible(rows, replaced, tag=tag, now=now)
    await rows.run("UPDATE nodes SET parent_id = $2, name = $3 WHERE id = $1", node.id, end.parent.id, end.name)
    await spread(rows, tag, deltas, tag=tag, now=now)


async def _holds_encrypted(rows: Rows, node: Node) -> bool:
    return any(row[4] for row in await rows.all(SUBTREE, node.id))


async def _refuse_through_link(rows: Rows, principal: Principal, parent: Node, *nodes: Node | None) -> None:
    """The visitor of a link to a plain folder cannot move or remove encrypted ones together with what they lie in."""
    if principal.link is None or parent.encrypted:
        return
    if any([await _holds_encrypted(rows, node) for node in nodes if node is not None]):
        raise ForbiddenError("there is an end-to-end encrypted folder in it, which a link does not reach")


async def _rename_mount(
    rows: Rows, errand: Errand, start: Located, target: str, rule: LockRule, *, tag: str
) -> NodeInfo:
    """A received share keeps its place at the top of the home; only its name there is the recipient's to choose."""
    end = await _locate_target(View(rows), errand.principal, target, rule.now)
    if end.mounted or len(end.above) != 1:
        raise ForbiddenError("a received share stays at the top of your files", path=start.path)
    if end.node is not None:
        raise PreconditionFailedError("there is something at the target", path=end.path)
    check_name(end.name)
    await permit_renamed(rows, rule, start, end)
    await rows.run(
        "UPDATE shares SET target = $3 WHERE share_with = $1 AND share_type IN (0, 2) AND target = $2",
        errand.principal.user_id,
        start.name,
        end.name,
    )
    await rows.run("UPDATE nodes SET etag = $2, mtime = $3 WHERE owner = $1", errand.principal.user_id, tag, rule.now)
    start.name = start.path = end.name
    return start.info()


async def copy_node(errand: Errand, source: str, target: str, *, overwrite: bool) -> tuple[NodeInfo, bool]:
    """Copy without copying bodies; see ``Files.copy``."""
    tag = errand.backend.tag()

    async def work(rows: Rows, rule: LockRule) -> tuple[tuple[NodeInfo, bool], bool]:
        journey = await _prepare(rows, errand, source, target, rule, overwrite=overwrite, leaves=False)
        node, end, replaced = journey.source.existing(), journey.target, journey.replaced
        folders = bool(node.is_folder or (replaced is not None and replaced.is_folder))
        if folders and (journey.session is not None or await _holds_encrypted(rows, node)):
            raise ForbiddenError("only files can be copied in an encrypted folder", path=journey.source.path)
        await check_quota(rows, end.home_id, node.size)
        if folders:
            end.node = await _copy_tree(rows, journey, errand.principal, tag=tag, now=rule.now)
        else:
            end.node = await _copy_file(rows, journey, errand.principal, rule, tag=tag)
        return (end.info(), replaced is None), journey.session is not None

    return await guarded_change(errand.backend, errand.principal, errand.session, work)


async def _copy_file(rows: Rows, journey: _Journey, principal: Principal, rule: LockRule, *, tag: str) -> Node:
    """The copy keeps the id of what it replaces. Under a lock the properties stay behind: they are never staged."""
    now = rule.now
    end, replaced = journey.target, journey.replaced
    copy_id = replaced.id if replaced is not None else await allocate_ids(rows, 1)
    copy = journey.source.existing()._replace(
        id=copy_id, parent_id=end.parent.id, name=end.name, etag=tag, created=now, staged=0
    )
    if journey.session is not None:
        growth = await restage(rows, journey.session, replaced, copy, now=now)
        await touch_session(rows, journey.session, rule, staged_bytes=growth)
        return copy
    if replaced is not None:
        await discard_content(rows, replaced.content, now)
        await rows.run("DELETE FROM nodes WHERE id = $1", replaced.id)
    await insert_node(rows, copy)
    user = principal.user_id
    await rows.run(_DROP_PROPERTIES, copy.id, user, FAVOURITE)
    await rows.run(_COPY_PROPERTIES, copy.id, journey.source.existing().id, user, FAVOURITE)
    await spread_one(rows, end.parent.id, copy.size - (replaced.size if replaced else 0), tag=tag, now=now)
    return copy


async def _copy_tree(rows: Rows, journey: _Journey, principal: Principal, *, tag: str, now: float) -> Node:
    end, replaced = journey.target, journey.replaced
    root_id, user = journey.source.existing().id, principal.user_id
    nodes = [node_of(row) for row in await rows.all(SUBTREE, root_id)]
    texts = cast("list[tuple[int, str, str]]", await rows.all(_PROPERTIES_BELOW, root_id, user, FAVOURITE))
    first = await allocate_ids(rows, len(nodes))
    ids = {node.id: first + i for i, node in enumerate(nodes)}
    copies = [
        node._replace(id=ids[node.id], parent_id=ids.get(node.parent_id or 0), etag=tag, created=now) for node in nodes
    ]
    copies[0] = copies[0]._replace(parent_id=end.parent.id, name=end.name)
    if replaced is not None:
        await _remove_visible(rows, replaced, tag=tag, now=now)
    for copy in copies:
        await insert_node(rows, copy)
    await rows.many(_INSERT_PROPERTY, [(ids[node_id], user, name, value) for node_id, name, value in texts])
    growth = copies[0].size - (replaced.size if replaced else 0)
    await spread_one(rows, end.parent.id, growth, tag=tag, now=now)
    return copies[0]
