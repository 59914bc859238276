"""What use cases ask of the access rules, in the words they have: places, nodes, tickets.

Layer: ``server``. Every function asks the ``Guard`` of the unit of work, does nothing when there is none, and raises
PolicyDeniedError for what a rule denies. Called when the rights of the caller are known, before anything changes.
"""

from dataclasses import replace
from typing import Final, cast

from candado.formats.rules import Operation
from candado.ports.server import Rows
from candado.server.model import Backend, Principal, PutTicket
from candado.server.nodes import SUBTREE
from candado.server.policy import Guard, Target
from candado.server.staging import LockRule
from candado.server.tree import Located, Node, View, node_of

_STAGED: Final = "SELECT node_id, is_new, gone, is_folder, size FROM staged WHERE session = $1"

__all__ = [
    "denies_below",
    "has_rules",
    "permit",
    "permit_content",
    "permit_dropped",
    "permit_folder",
    "permit_journey",
    "permit_marked",
    "permit_renamed",
    "permit_session",
    "permit_staged",
    "permit_stored",
    "permit_tree",
    "target_of",
]


def target_of(found: Located) -> Target:
    """The place a request is about, and what is there."""
    node = found.node
    inside = any(folder.encrypted for folder in found.above)
    return Target(
        names=None if inside else _names(found),
        is_folder=node is not None and bool(node.is_folder),
        encrypted=inside or (node is not None and bool(node.encrypted)),
        nodes=(*(() if node is None else (node.id,)), *(folder.id for folder in reversed(found.above))),
        size_bytes=None if node is None else node.size,
    )


def _names(found: Located) -> tuple[str, ...]:
    # What a link leads to has no path, but a name.
    return tuple(found.path.split("/")) if found.path else (found.name,)


async def permit(rows: Rows, rule: LockRule, operation: Operation, found: Located) -> None:
    """Ask whether something may be done to what is at a place; PolicyDeniedError."""
    if rule.guard is not None:
        await rule.guard.check(rows, operation, target_of(found))


async def permit_content(rows: Rows, rule: LockRule, found: Located, size_bytes: int | None) -> None:
    """Ask whether content of this size, None when nobody knows yet, may be stored at a place; PolicyDeniedError."""
    if rule.guard is not None:
        operation = Operation.CREATE if found.node is None else Operation.UPDATE
        await rule.guard.check(rows, operation, replace(target_of(found), size_bytes=size_bytes))


async def permit_folder(rows: Rows, rule: LockRule, found: Located) -> None:
    """Ask whether a folder may be made at a place; PolicyDeniedError."""
    if rule.guard is not None:
        await rule.guard.check(rows, Operation.CREATE, replace(target_of(found), is_folder=True, size_bytes=None))


async def permit_stored(
    view: View, rule: LockRule, ticket: PutTicket, parent: Node, before: Node | None, size_bytes: int
) -> None:
    """Ask once more for a body that has arrived: its size is known now, and the rules may be others by now."""
    if rule.guard is None:
        return
    inside = ticket.parent_encrypted
    above = await view.ancestors(parent) if rule.guard.asks_for_tags else []
    target = Target(
        names=None if inside else tuple(ticket.path.split("/")) if ticket.path else (ticket.name,),
        is_folder=False,
        encrypted=inside,
        nodes=(*(() if before is None else (before.id,)), parent.id, *(folder.id for folder in reversed(above))),
        size_bytes=size_bytes,
    )
    operation = Operation.CREATE if before is None else Operation.UPDATE
    await rule.guard.check(view.rows, operation, target)


async def has_rules(backend: Backend, principal: Principal) -> bool:
    """Whether there is anything to ask for this principal."""
    return backend.policy is not None and await backend.policy.guard(principal) is not None


def _below(folder: Target, node: Node) -> Target:
    """A child of a folder; what is in an encrypted one has no name that we know."""
    sealed = folder.encrypted or folder.names is None
    return Target(
        names=None if sealed else (*(folder.names or ()), node.name),
        is_folder=bool(node.is_folder),
        encrypted=folder.encrypted or bool(node.encrypted),
        nodes=(node.id, *folder.nodes),
        size_bytes=node.size,
    )


async def denies_below(rows: Rows, rule: LockRule, operation: Operation, folder: Located, node: Node) -> bool:
    """Whether a rule denies an operation on a child of a folder; nothing is noted."""
    return rule.guard is not None and await rule.guard.denies(rows, operation, _below(target_of(folder), node))


async def _targets_below(rows: Rows, top: Target, node: Node) -> list[tuple[Node, Target]]:
    """A node and everything below it, each as something is done to it; ``top`` is what the node itself counts as."""
    found = [(node, top)]
    known = {node.id: top}
    for row in await rows.all(SUBTREE, node.id) if node.is_folder else ():
        below = node_of(row)
        above = known.get(below.parent_id or 0)
        if below.id != node.id and above is not None:
            known[below.id] = _below(above, below)
            found.append((below, known[below.id]))
    return found


async def permit_tree(rows: Rows, rule: LockRule, operation: Operation, found: Located) -> None:
    """Ask for what is at a place and for everything below it; PolicyDeniedError."""
    if rule.guard is not None and rule.guard.asks_for(operation):
        for _, target in await _targets_below(rows, target_of(found), found.existing()):
            await rule.guard.check(rows, operation, target)


def _arrived(node: Node, end: Located) -> Target:
    """What a node will be at another place."""
    there = target_of(replace(end, node=None))
    return replace(
        there,
        is_folder=bool(node.is_folder),
        encrypted=there.encrypted or bool(node.encrypted),
        nodes=(node.id, *there.nodes),
        size_bytes=node.size,
    )


async def permit_renamed(rows: Rows, rule: LockRule, start: Located, end: Located) -> None:
    """Ask whether what is at a place may have another: by the rules about renaming at both, and those about making it.

    What could have been made where it is, but not where it goes, would pass the rules by a detour. PolicyDeniedError.
    """
    guard = rule.guard
    if guard is None:
        return
    here, there = target_of(start), _arrived(start.existing(), end)
    await guard.check(rows, Operation.RENAME, here)
    await guard.check(rows, Operation.RENAME, there)
    if not await guard.denies(rows, Operation.CREATE, here):
        await guard.check(rows, Operation.CREATE, there)


async def permit_journey(rows: Rows, rule: LockRule, start: Located, end: Located, *, leaves: bool) -> None:
    """Ask for a move, or without ``leaves`` for a copy; what is replaced counts as updated, or a folder as removed.

    A copy reads all there is below the source and creates it anew. PolicyDeniedError.
    """
    guard, replaced = rule.guard, end.node
    if guard is None:
        return
    node = start.existing()
    if replaced is not None and replaced.is_folder:
        await permit_tree(rows, rule, Operation.DELETE, end)
    elif replaced is not None:
        await guard.check(rows, Operation.UPDATE, replace(target_of(end), size_bytes=node.size))
    if leaves:
        await permit_renamed(rows, rule, start, end)
        return
    if not guard.asks_for(Operation.READ) and not guard.asks_for(Operation.CREATE):
        return
    here, there = target_of(start), _arrived(node, end)
    for operation, top in ((Operation.READ, here), (Operation.CREATE, there)):
        for below, target in await _targets_below(rows, top, node):
            is_update = operation is Operation.CREATE and below is node and replaced is not None
            if not is_update and not (operation is Operation.READ and target.is_folder):
                await guard.check(rows, operation, target)


async def permit_marked(rows: Rows, rule: LockRule, found: Located) -> None:
    """Ask whether a folder may become an encrypted one, which updates it; PolicyDeniedError."""
    if rule.guard is not None:
        await rule.guard.check(rows, Operation.UPDATE, replace(target_of(found), encrypted=True))


async def permit_dropped(rows: Rows, rule: LockRule, folder: Located) -> None:
    """Ask whether entries may be left in an encrypted folder, each of which makes a file; PolicyDeniedError."""
    if rule.guard is not None:
        there = target_of(folder)
        made = Target(names=None, is_folder=False, encrypted=True, nodes=there.nodes)
        await rule.guard.check(rows, Operation.CREATE, made)


async def permit_session(rows: Rows, rule: LockRule, folder: Located) -> None:
    """Ask before the lock for what every session ends with: else all its bodies would be sent in vain."""
    if rule.guard is not None:
        # The document that follows is asked for and reported itself.
        await rule.guard.check(rows, Operation.UPDATE, target_of(folder), again=True)


async def permit_staged(rows: Rows, guard: Guard, session: str, folder: Located) -> None:
    """Ask once more for all that a session is about to make visible: the rules may be others by now.

    Raises:
        PolicyDeniedError: for one of them; the session must be undone as a whole.
    """
    above = target_of(folder).nodes
    for node_id, is_new, gone, is_folder, size in cast(
        "list[tuple[int, int, int, int, int]]", await rows.all(_STAGED, session)
    ):
        target = Target(names=None, is_folder=bool(is_folder), encrypted=True, nodes=(node_id, *above), size_bytes=size)
        operation = Operation.DELETE if gone else Operation.CREATE if is_new else Operation.UPDATE
        if not (gone and is_new):
            await guard.check(rows, operation, target, again=True)
