"""From paths and ids to nodes: homes, received shares, and what links lead to.

Layer: ``server``. Functions here run inside one unit of work.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this package

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Final, cast

from candado.errors import ForbiddenError, NotFoundError
from candado.ports.server import Rows
from candado.server.model import PERMISSION_ALL, PERMISSION_SHARE, NodeInfo, Principal, permission_letters
from candado.server.names import check_name, split_path
from candado.server.nodes import NODE_COLUMNS, Node, View, chain_of, node_of
from candado.types import FileId, UserId

__all__ = [
    "NODE_COLUMNS",
    "HomeMissingError",
    "Located",
    "Node",
    "View",
    "check_name",
    "create_home",
    "grants_of",
    "home_of",
    "locate_chain",
    "locate_id",
    "locate_path",
    "node_info",
    "node_of",
    "split_path",
]

_ID_MAX: Final = 2**63 - 1

_HOME: Final = f"SELECT {NODE_COLUMNS} FROM nodes WHERE owner = $1"
_MOUNT: Final = (
    "SELECT node_id, permissions FROM shares WHERE share_with = $1 AND share_type IN (0, 2) AND target = $2"
    " AND permissions > 0"
    " AND (expires IS NULL OR expires > $3)"
)
_GRANTS: Final = (
    "SELECT node_id, permissions, target FROM shares WHERE share_with = $1 AND share_type IN (0, 2)"
    " AND permissions > 0"
    " AND (expires IS NULL OR expires > $2)"
)
_LINK: Final = (
    "SELECT s.node_id, s.permissions, s.initiator_id FROM shares s JOIN users o ON o.id = s.owner_id"
    " JOIN users i ON i.id = s.initiator_id WHERE s.id = $1 AND s.share_type = 3"
    " AND (s.expires IS NULL OR s.expires > $2) AND o.enabled = 1 AND i.enabled = 1"
)


class HomeMissingError(NotFoundError):
    """The user has no home yet; whoever runs the unit of work makes it and tries again."""


@dataclass(slots=True)
class Located:
    """A place in one user's tree.

    ``node`` is None when nothing is there yet; ``above`` are the folders from the storage's home to the parent, those
    above a received share included (they are never shown, but their locks count). ``bits`` are the caller's permissions
    here; ``mounted`` is True inside received shares and links, ``mount_root`` at the top of a received share and
    ``link_root`` at that of a link, where nothing can be done to the node itself.
    """

    node: Node | None
    name: str
    path: str
    above: list[Node]
    bits: int
    owner_id: UserId
    mounted: bool
    mount_root: bool
    link_root: bool = False

    @property
    def parent(self) -> Node:
        """The containing folder; ForbiddenError for a home and for what a link leads to."""
        if not self.above or self.link_root:
            raise ForbiddenError("this cannot be done to the home")
        return self.above[-1]

    @property
    def home_id(self) -> int:
        """Id of the home of the storage."""
        return self.above[0].id if self.above else self.existing().id

    def existing(self) -> Node:
        """The node; NotFoundError when nothing is there."""
        if self.node is None:
            raise NotFoundError("no such file or folder", path=self.path)
        return self.node

    def require(self, bits: int) -> None:
        """ForbiddenError unless the caller has all of these permissions."""
        if bits & ~self.bits:
            raise ForbiddenError("you have no right to do this here", path=self.path)

    def info(self) -> NodeInfo:
        """What the caller may know of the node; NotFoundError."""
        return node_info(
            self.existing(),
            path=self.path,
            bits=self.bits,
            owner_id=self.owner_id,
            parent_encrypted=bool(self.above and self.above[-1].encrypted),
            mounted=self.mounted,
            mount_root=self.mount_root,
            name=self.name,
        )


async def home_of(rows: Rows, user_id: UserId) -> Node | None:
    """The home of a user, or None when it was never made."""
    row = await rows.one(_HOME, user_id)
    return None if row is None else node_of(row)


async def create_home(rows: Rows, user_id: UserId, *, node_id: int, etag: str, now: float) -> None:
    """Make the home of a user; an existing one stays as it is."""
    await rows.run(
        "INSERT INTO nodes (id, parent_id, name, is_folder, mtime, created, etag, owner)"
        " VALUES ($1, NULL, '', 1, $2, $2, $3, $4) ON CONFLICT DO NOTHING",
        node_id,
        now,
        etag,
        user_id,
    )


async def locate_path(view: View, principal: Principal, path: str, now: float) -> Located:
    """The place a path names in the caller's tree.

    Raises:
        NotFoundError: a folder on the way is missing. BadRequestError, LimitExceededError: the path itself.
    """
    parts = split_path(path)
    known: list[Node | None] = []
    if view.session is None and principal.link is None:
        known = await chain_of(view.rows, principal.user_id, parts)
        if not known:
            raise HomeMissingError("this user has no home")
    found = await _start(view, principal, now, known)
    is_plain_link = principal.link is not None and not found.existing().encrypted
    for depth, part in enumerate(parts):
        folder = found.node
        if folder is None or not folder.is_folder:
            raise NotFoundError("no such folder", path="/".join(parts[:depth]))
        found.above.append(folder)
        if depth + 1 < len(known) and not found.mounted:
            found.node = known[depth + 1]
        else:
            found.node = await view.child(folder.id, part)
        found.name = part
        found.mount_root = found.link_root = False
        if is_plain_link:
            _refuse_encrypted([found.node])
        elif principal.link is None and found.node is None and depth == 0:
            await _enter_mount(view, principal, found, now)
    found.path = "/".join(parts)
    return found


async def _start(view: View, principal: Principal, now: float, known: Sequence[Node | None]) -> Located:
    """Where the caller's paths begin: the own home, or what a link leads to."""
    if principal.link is not None:
        return await _enter_link(view, principal.link, now)
    home = known[0] if known else await home_of(view.rows, principal.user_id)
    if home is None:
        raise HomeMissingError("this user has no home")
    return Located(home, "", "", [], PERMISSION_ALL, principal.user_id, mounted=False, mount_root=False)


async def _enter_link(view: View, share_id: int, now: float) -> Located:
    """What a link leads to; NotFoundError when it is over, or its maker could not make it any more."""
    row = await view.rows.one(_LINK, share_id, now)
    if row is None:
        raise NotFoundError("there is no such link")
    node_id, bits, maker = cast("tuple[int, int, str]", row)
    found = await locate_id(view, Principal(UserId(maker)), node_id, now)
    if not found.bits & PERMISSION_SHARE:
        raise NotFoundError("there is no such link")
    node = found.existing()
    _refuse_encrypted(found.above)
    return replace(
        found, name=node.name, path="", bits=found.bits & bits, mounted=True, mount_root=False, link_root=True
    )


def _refuse_encrypted(nodes: Sequence[Node | None]) -> None:
    """A link reaches an encrypted folder only when it was made for this very folder, whose members then know of it."""
    if any(node is not None and node.encrypted for node in nodes):
        raise ForbiddenError("this link does not reach the end-to-end encrypted folder in it")


async def _enter_mount(view: View, principal: Principal, found: Located, now: float) -> None:
    """Turn ``found`` into the received share of its name, if there is one."""
    granted = cast("list[tuple[int, int]]", await view.rows.all(_MOUNT, principal.user_id, found.name, now))
    if not granted:
        return
    node = await view.by_id(granted[0][0])
    if node is None:
        return
    above = await view.ancestors(node)
    owner = above[0].owner if above else None
    if owner is None:
        return
    bits = reduce(or_, [bits for _, bits in granted])
    found.node, found.above, found.bits, found.owner_id = node, above, bits, UserId(owner)
    found.mounted = found.mount_root = True


async def locate_id(view: View, principal: Principal, node_id: int, now: float) -> Located:
    """The place of a node id in the caller's tree.

    Raises:
        NotFoundError: no such node, or not the caller's to see.
    """
    node = await view.by_id(node_id) if 0 < node_id <= _ID_MAX else None
    if node is None:
        raise NotFoundError("no such file or folder", path=str(node_id))
    chain = [*await view.ancestors(node), node]
    if principal.link is not None:
        return await _locate_in_link(view, principal.link, chain, now)
    grants = [] if chain[0].owner == principal.user_id else await grants_of(view.rows, principal, now)
    found = locate_chain(principal, chain, grants)
    if found is None:
        raise NotFoundError("no such file or folder", path=str(node_id))
    return found


Grant = tuple[int, int, str]
"""What a user receives: node id, permission bits, name in the home."""


async def grants_of(rows: Rows, principal: Principal, now: float) -> list[Grant]:
    """Everything a user receives."""
    return cast("list[Grant]", await rows.all(_GRANTS, principal.user_id, now))


def locate_chain(principal: Principal, chain: list[Node], received: Sequence[Grant]) -> Located | None:
    """The end of a chain of nodes, from the home down, in the caller's tree; None when the caller may not see it."""
    *above, node = chain
    owner = UserId(chain[0].owner or "")
    names = [n.name for n in chain][1:]
    if owner == principal.user_id:
        return Located(node, node.name, "/".join(names), above, PERMISSION_ALL, owner, mounted=False, mount_root=False)
    depths = {n.id: depth for depth, n in enumerate(chain)}
    grants = [grant for grant in received if grant[0] in depths]
    if not grants:
        return None
    bits = reduce(or_, [granted for _, granted, _ in grants])
    mount, _, target = max(grants, key=lambda grant: depths[grant[0]])
    path = "/".join([target, *names[depths[mount] :]])
    name = target if mount == node.id else node.name
    return Located(node, name, path, above, bits, owner, mounted=True, mount_root=mount == node.id)


async def _locate_in_link(view: View, share_id: int, chain: list[Node], now: float) -> Located:
    """The end of a chain of nodes as the visitor of a link sees it; NotFoundError outside of it."""
    top = await _enter_link(view, share_id, now)
    depth, node = len(top.above), chain[-1]
    if len(chain) <= depth or chain[depth].id != top.existing().id:
        raise NotFoundError("no such file or folder", path=str(node.id))
    if not top.existing().encrypted:
        _refuse_encrypted(chain)
    path = "/".join(n.name for n in chain[depth + 1 :])
    return replace(top, node=node, name=node.name, path=path, above=chain[:-1], link_root=not path)


def node_info(
    node: Node,
    *,
    path: str,
    bits: int,
    owner_id: UserId,
    parent_encrypted: bool,
    mounted: bool,
    mount_root: bool = False,
    name: str | None = None,
    share_types: Sequence[int] = (),
) -> NodeInfo:
    """What a user with ``bits`` may know of a node."""
    folder = bool(node.is_folder)
    return NodeInfo(
        file_id=FileId(node.id),
        name=node.name if name is None else name,
        path=path,
        is_folder=folder,
        size_bytes=node.size,
        etag=node.etag,
        mtime=node.mtime,
        created=node.created,
        encrypted=bool(node.encrypted),
        parent_encrypted=parent_encrypted,
        permissions=permission_letters(bits, is_folder=folder, shared=mounted, mount_root=mount_root),
        permission_bits=bits,
        owner_id=owner_id,
        mount_root=mount_root,
        checksum=node.checksum,
        share_types=tuple(share_types),
    )
