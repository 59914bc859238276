"""Three trees to operations: what a sync has to do, by pure computation.

Layer: ``protocol``. Theory of operation:

1. Renames. A node that is gone from one side at P and new there at Q with the same identity was renamed. When the other
   side still has it at P and nothing at Q, the rename is planned for the other side, and the other two trees are looked at
   as if it had happened. Every other case falls apart into a removal and a creation, which loses nothing.
2. Every path that is not equal in all three trees is decided on its own, children before parents, by the table in
   ``_decide_file`` and ``_decide_folder``. Content beats removal: a file that was changed on one side and removed on the
   other comes back. Two changes keep both: the local one moves aside under a conflict name.
3. Nothing is guessed. Where only the bytes can tell, the plan asks a ``Question``, and the caller plans again.
4. The guard refuses a plan that deletes too much (``check_deletions``).

Left alone are ``blocked`` paths (what the scan could not look into) and everything below them.
"""

from collections.abc import Collection, Mapping

from candado.protocol.plan_model import AgreedNode, LocalFacts, Plan, PlanOptions, RemoteFacts

__all__ = ["make_plan"]


def make_plan(
    local: Mapping[str, LocalFacts],
    remote: Mapping[str, RemoteFacts],
    agreed: Mapping[str, AgreedNode],
    *,
    options: PlanOptions,
    blocked: Collection[str] = (),
    verdicts: Mapping[tuple[str, str], bool] | None = None,
) -> Plan:
    """Return what makes both sides equal.

    Args:
        local: the scan, by path.
        remote: the accepted remote tree, by path.
        agreed: what both sides last agreed upon, by path.
        options: mode, limits, names.
        blocked: paths the scan left out without knowing what they are; no operation touches them or what is below.
        verdicts: answers to earlier questions, by (local path, content id).

    Raises:
        SafetyLimitError: the plan would delete more than is allowed, or everything because the local root is empty.
    """
    raise NotImplementedError(local, remote, agreed, options, blocked, verdicts)
