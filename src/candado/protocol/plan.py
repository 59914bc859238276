"""Three trees to operations: what a sync has to do, by pure computation.

Layer: ``protocol``. Theory of operation:

1. Renames. A node that is gone from one side at P and new there at Q with the same identity was renamed. When the
   other side still has it at P and nothing at Q, the rename is planned for the other side, and the trees are looked
   at as if it had happened (``plan_moves``). Every other case falls apart into a removal and a creation, which loses
   nothing.
2. Every path that is not equal in all three trees is decided on its own, children before parents, by the tables in
   ``_file``, ``_folder`` and ``_clash``. Content beats removal: a file that was changed on one side and removed on
   the other comes back. Two changes keep both: the local one moves aside under a conflict name.
3. Nothing is guessed. Where only the bytes can tell, the plan asks a ``Question``, and the caller plans again.
4. A guard refuses a plan that deletes too much.

Left alone are blocked paths (what an observation could not look into) and everything below them: what was not seen
is not gone. In one-way modes the operations of the other direction are left out, and a conflict is reported instead
of solved.
"""

from collections.abc import Collection, Mapping

from candado.errors import SafetyLimitError
from candado.folder.names import windows_fault
from candado.protocol.plan_decide import Decisions, is_same_local, is_same_remote
from candado.protocol.plan_model import (
    DELETE_COUNT_FLOOR,
    DELETE_COUNT_MAX,
    DELETE_SHARE_MAX,
    AgreedNode,
    DeleteLimit,
    DeleteLocal,
    DeleteRemote,
    LocalFacts,
    Mode,
    Operation,
    Plan,
    PlanOptions,
    Problem,
    RemoteFacts,
    RemoveFolderRemote,
)
from candado.protocol.plan_moves import Draft, Tree, plan_moves
from candado.protocol.plan_names import clashes, name_of, name_problem

__all__ = ["make_plan"]


def make_plan(
    local: Mapping[str, LocalFacts],
    remote: Mapping[str, RemoteFacts],
    agreed: Mapping[str, AgreedNode],
    *,
    options: PlanOptions,
    blocked_local: Collection[str] = (),
    blocked_remote: Collection[str] = (),
    verdicts: Mapping[tuple[str, str], bool] | None = None,
) -> Plan:
    """Return what makes both sides equal.

    Args:
        local: the scan, by path.
        remote: the accepted remote tree, by path.
        agreed: what both sides last agreed upon, by path.
        options: mode, limits, names.
        blocked_local: local paths the scan left out; no operation touches them or what is below. A folder that could
            not be read is among ``local`` too.
        blocked_remote: the same for remote paths, such as a folder whose metadata was refused.
        verdicts: answers to the questions of earlier plans, by (local path, content id).

    Raises:
        SafetyLimitError: the plan would delete more than is allowed, or the local root is empty though it was not.
    """
    if not local and any(not node.is_folder for node in agreed.values()):
        if options.mode is not Mode.PULL:
            raise SafetyLimitError(
                "the local folder is empty, but it held files at the last sync",
                advice="Mount the disk or bring the files back; `--mode pull` fetches them from the server. "
                "To remove them on purpose use `candado rm`.",
            )
        agreed = {}
    draft = Draft(
        local=Tree(local),
        remote=Tree(remote),
        agreed=Tree(agreed),
        options=options,
        verdicts={} if verdicts is None else verdicts,
        blocked_local=set(blocked_local),
        blocked_remote=set(blocked_remote),
    )
    _block_renamed(draft)
    _check_names(draft)
    plan_moves(draft)
    decisions = Decisions(draft)
    decisions.decide(_unequal_paths(draft))
    operations = decisions.in_order()
    if not draft.questions:
        _check_deletions(operations, agreed, options.max_delete)
    return Plan(operations, tuple(draft.questions.values()), tuple(draft.problems))


def _block_renamed(draft: Draft) -> None:
    """Block the old place of a local folder that was renamed and cannot be read in its new one: it is not gone."""
    unread = {
        node.inode for path in draft.blocked_local if (node := draft.local.nodes.get(path)) is not None and node.inode
    }
    if unread:
        agreed = draft.agreed.nodes.items()
        draft.blocked_local |= {
            path for path, node in agreed if node.is_folder and node.inode in unread and path not in draft.local.nodes
        }


def _check_names(draft: Draft) -> None:
    """Block what cannot be stored on the other side, and all but one of the names that fall together."""
    local, remote, agreed = draft.local.nodes, draft.remote.nodes, draft.agreed.nodes
    new_local = local.keys() - agreed.keys()
    new_remote = remote.keys() - agreed.keys()
    for path in sorted(new_local - remote.keys()):
        name = name_of(path)
        reason, fault = name_problem(name), windows_fault(name)
        if (reason is None and fault is None) or draft.is_blocked(path):
            continue
        if reason is not None:
            draft.blocked_local.add(path)
            draft.problems.append(Problem(path, "NAME_UNSAFE", reason))
        elif fault is not None and draft.options.mode is not Mode.PULL:
            draft.problems.append(Problem.name_windows(path, fault))
    if new_local or new_remote:
        found = clashes(
            local.keys() | remote.keys(),
            agreed=agreed.keys(),
            shared=local.keys() & remote.keys(),
            fold_case=draft.options.fold_case,
        )
        for problem in found:
            if not problem.is_warning:
                draft.blocked_local.add(problem.path)
                draft.blocked_remote.add(problem.path)
        draft.problems += found


def _unequal_paths(draft: Draft) -> list[str]:
    """All paths that are not equal in the three trees, children before parents, without blocked ones."""
    local, remote, agreed = draft.local.nodes, draft.remote.nodes, draft.agreed.nodes
    unequal: set[str] = (local.keys() | remote.keys()) - agreed.keys()
    for path, node in agreed.items():
        here, there = local.get(path), remote.get(path)
        if here is None or there is None or not is_same_local(here, node) or not is_same_remote(there, node):
            unequal.add(path)
    if draft.blocked_local or draft.blocked_remote:
        unequal = {path for path in unequal if not draft.is_blocked(path)}
    return sorted(unequal, reverse=True)


def _check_deletions(
    operations: tuple[Operation, ...], agreed: Mapping[str, AgreedNode], limit: DeleteLimit | None
) -> None:
    """Refuse a plan that deletes too many files on one side."""
    here = sum(1 for op in operations if isinstance(op, DeleteLocal))
    there = sum(_files_removed(op) for op in operations if isinstance(op, DeleteRemote | RemoveFolderRemote))
    total = sum(1 for node in agreed.values() if not node.is_folder)
    for count, side in ((here, "local"), (there, "remote")):
        if _is_too_much(count, total, limit):
            raise SafetyLimitError(
                f"{count} of {total} files would be deleted on the {side} side",
                advice=f"Look with --dry-run; if the deletions are wanted, allow them with --max-delete {count}.",
            )


def _is_too_much(count: int, total: int, limit: DeleteLimit | None) -> bool:
    if limit is None:
        return count > DELETE_COUNT_MAX or (count > DELETE_COUNT_FLOOR and count > total * DELETE_SHARE_MAX)
    if limit.count is not None and count > limit.count:
        return True
    return limit.percent is not None and count * 100 > total * limit.percent


def _files_removed(op: DeleteRemote | RemoveFolderRemote) -> int:
    if isinstance(op, DeleteRemote):
        return 1
    return sum(1 for node in op.contents.values() if not node.is_folder)
