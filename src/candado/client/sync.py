"""Two-way sync of a local folder with an encrypted folder.

Layer: ``client``; see ``candado.protocol.plan`` for what is decided, here is how it is carried out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from candado.protocol.plan_model import DeleteLimit, Mode, Operation

__all__ = ["SyncOptions", "SyncProblem", "SyncReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """How to sync.

    ``encrypt`` makes the remote folder an encrypted one when it is absent or empty. ``max_delete`` None means the built-in
    guard. ``transfers`` bodies are under way at once. ``device`` appears in the names of conflict copies. ``fold_case``
    says that the local file system does not tell upper from lower case. ``on_progress`` is called with
    (event, path, bytes): ``plan``, ``up``, ``down``, ``skip``.
    """

    mode: Mode = Mode.TWO_WAY
    encrypt: bool = False
    dry_run: bool = False
    max_delete: DeleteLimit | None = None
    transfers: int = 16
    device: str = "this device"
    fold_case: bool = False
    session_files_max: int = 5000
    session_bytes_max: int = 4 << 30
    on_progress: Callable[[str, str, int], None] | None = None


@dataclass(frozen=True, slots=True)
class SyncProblem:
    """One path that was left alone, with the four facts of an error."""

    path: str
    code: str
    message: str
    advice: str
    safe: str
    retry: bool = False
    is_warning: bool = False


@dataclass(slots=True)
class SyncReport:
    """What a sync did; or, after a dry run, would do (``operations``).

    Counts are files and folders, ``bytes_*`` are plaintext bytes. ``deleted`` counts removals on both sides, ``renamed``
    renames on both sides without conflict copies, which are ``conflicts``.
    """

    uploaded: int = 0
    downloaded: int = 0
    deleted: int = 0
    renamed: int = 0
    conflicts: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    requests: int = 0
    seconds: float = 0.0
    errors: list[SyncProblem] = field(default_factory=list)
    warnings: list[SyncProblem] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    conflict_paths: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """The document of ``candado sync --json``: schema ``candado.sync/1``."""
        return {
            "schema": "candado.sync/1",
            "uploaded": self.uploaded,
            "downloaded": self.downloaded,
            "deleted": self.deleted,
            "renamed": self.renamed,
            "conflicts": self.conflicts,
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "errors": [_problem_json(problem) for problem in self.errors],
            "warnings": [_problem_json(problem) for problem in self.warnings],
        }


def _problem_json(problem: SyncProblem) -> dict[str, object]:
    return {
        "path": problem.path,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.advice,
        "safe": problem.safe,
        "retryable": problem.retry,
    }
