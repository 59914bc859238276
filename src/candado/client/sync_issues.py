"""What a sync leaves among the issues: problems of single files, and the end of those that are solved.

Layer: ``client``. A problem is taken off the list only by a complete two-way run that would have met it again and did
not; a run that ended early adds what it met and takes nothing off.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from candado.client.view import join

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.issues import Issue
    from candado.client.sync_report import SyncProblem
    from candado.client.sync_state import PairState

__all__ = ["SyncIssues"]

_MET_AT_EVERY_LOOK: Final = frozenset({"file.missing", "file.params", "folder.unfinished", "name.unsafe"})
"""Whoever opens the folder around meets these again."""


class SyncIssues:
    """The issues of one pair of folders during one run.

    Args:
        account: whose issues.
        top_path: clear path of the remote folder.
        pair: name of the pair, which tells its problems from those of another local folder.
    """

    def __init__(self, account: "Account", top_path: str, pair: str) -> None:
        self._account = account
        self._top_path = top_path
        self._pair = pair
        self._counts = {issue.issue_id: issue.count for issue in account.issues()}
        self._opened: set[str] = set()

    def opened(self, folders: Iterable[str]) -> None:
        """Say which remote folders were opened in this run, by their path relative to the top."""
        self._opened.update(folders)

    def keep(self, problems: "list[SyncProblem]") -> None:
        """Record the files that were left alone."""
        for problem in problems:
            self._account.issue_book.add(
                "problem",
                problem.code,
                problem.message,
                path=problem.path if problem.path.startswith("/") else join(self._top_path, problem.path),
                safe=problem.safe,
                advice=problem.advice,
                pair=self._pair,
            )

    def settle(self, state: "PairState") -> None:
        """After a two-way run that came to its end: take off what it would have met again and did not."""
        for issue in self._account.issues():
            met = issue.count != self._counts.get(issue.issue_id)
            if issue.severity == "problem" and not met and self._is_solved(issue, state):
                self._account.issue_book.dismiss(issue.issue_id)

    def _is_solved(self, issue: "Issue", state: "PairState") -> bool:
        if issue.pair:
            return issue.pair == self._pair
        if issue.path == self._top_path:
            return issue.code == "share.ended"
        prefix = self._top_path.rstrip("/") + "/"
        if issue.code not in _MET_AT_EVERY_LOOK or not issue.path.startswith(prefix):
            return False
        folder = issue.path.removeprefix(prefix).rpartition("/")[0]
        # A folder that was not opened because its etag is the known one proves nothing.
        return folder in self._opened or (folder != "" and folder not in state.nodes)
