"""What a sync is told and what it tells.

Layer: ``client``; plain values.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from candado.client.transfer import ProgressEvent
from candado.client.view import FolderView
from candado.errors import CandadoError, ForbiddenError, PolicyDeniedError, RootDeletedError
from candado.ports.client import LeftOut
from candado.protocol.plan_model import (
    Adopt,
    DeleteLimit,
    DeleteLocal,
    DeleteRemote,
    Download,
    Forget,
    MakeFolderLocal,
    MakeFolderRemote,
    Mode,
    MoveLocal,
    MoveRemote,
    Operation,
    Plan,
    Problem,
    RemoveFolderLocal,
    RemoveFolderRemote,
    Upload,
)

__all__ = ["SyncOptions", "SyncProblem", "SyncReport", "operation_json"]

_WORDS: dict[type[Operation], str] = {
    MoveLocal: "rename here",
    MoveRemote: "rename there",
    DeleteLocal: "delete here",
    DeleteRemote: "delete there",
    RemoveFolderLocal: "remove folder here",
    RemoveFolderRemote: "remove folder there",
    MakeFolderLocal: "make folder here",
    MakeFolderRemote: "make folder there",
    Download: "download",
    Upload: "upload",
    Adopt: "remember",
    Forget: "forget",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """How to sync.

    ``local_root`` is the absolute path of the local folder; with the remote path it names the pair whose last
    agreement is remembered. ``encrypt`` makes the remote folder an encrypted one when it is absent or empty.
    ``max_delete`` None means the built-in guard. ``transfers`` bodies are under way at once. ``fold_case`` says
    that the local file system does not tell upper from lower case. A write session ends after ``session_files_max``
    files or ``session_bytes_max`` bytes, so that an interruption loses little. ``on_plan`` is told the number of
    files and bytes before the first transfer.
    """

    local_root: str
    mode: Mode = Mode.TWO_WAY
    encrypt: bool = False
    dry_run: bool = False
    max_delete: DeleteLimit | None = None
    transfers: int = 16
    fold_case: bool = False
    session_files_max: int = 5000
    session_bytes_max: int = 4 << 30
    progress: Callable[[ProgressEvent], None] | None = None
    on_plan: Callable[[int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class SyncProblem:
    """One path that was left alone, with the four facts of an error.

    ``path`` is relative to the synced folder; what is said of a remote path has that, which starts with a slash.
    """

    path: str
    code: str
    message: str
    advice: str
    safe: str
    retry: bool = False
    known: bool = False
    """It was told by an earlier run, and nothing has changed since."""

    @classmethod
    def of_error(cls, path: str, error: CandadoError) -> "SyncProblem":
        """What an error says of a path."""
        return cls(path, error.code, error.message, error.advice, error.safe, error.retry)

    @classmethod
    def of_plan(cls, problem: Problem) -> "SyncProblem":
        """What the planner says of a path."""
        advice = _ADVICE.get(problem.code, "")
        safe = "It is stored like any other." if problem.is_warning else "Both sides are unchanged at this path."
        return cls(problem.path, problem.code, problem.message, advice, safe)

    @classmethod
    def of_deletion(cls, view: FolderView, options: "SyncOptions", user_id: str, *, left: int) -> "SyncProblem":
        """A member deleted the root; ``left`` files here are not in it and cannot go there."""
        message = "A member deleted the encrypted folder and signed it; nothing is uploaded to it any more."
        if left:
            message = f"A member deleted the encrypted folder and signed it; {_files(left)} here cannot go into it."
        remote, local = shlex.quote(view.path), shlex.quote(options.local_root)
        anew = f"`candado sync {local} {remote} --encrypt` makes it anew from what is here."
        owner = "" if view.node is None else view.node.owner_id
        if view.node is None:
            advice = f"It is gone from the server; {anew}"
        elif owner == user_id:
            advice = f"Run `candado rm -r {remote}`, which takes away what is left of it; then {anew}"
        else:
            advice = f"Ask {owner} for a new folder, or keep what is here with `candado sync {local} OTHER --encrypt`."
        safe = "Files that were synced went to the local trash; files that were changed or new stay where they are."
        if options.mode is Mode.PUSH or options.dry_run:
            safe = "Nothing was changed."
        return cls(view.path, RootDeletedError.code, message, advice, safe)

    def to_json(self) -> dict[str, object]:
        """As in the list ``errors`` of ``candado.sync/1``."""
        return {
            "path": self.path,
            "code": self.code,
            "message": self.message,
            "hint": self.advice,
            "safe": self.safe,
            "retryable": self.retry,
        }


_ADVICE = {
    "NAME_UNSAFE": "Rename it and run the command again.",
    "NAME_CASE": "Rename one of the two if devices with Windows or macOS take part.",
    "NAME_WINDOWS": "Rename it if devices with Windows take part.",
    "CONFLICT": "Run `candado sync` without --mode: it keeps both versions.",
}


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


@dataclass(slots=True)
class SyncReport:
    """What a sync did; or, after a dry run, would do.

    Counts are files and folders, ``bytes_*`` are plaintext bytes. ``deleted`` counts removals on both sides,
    ``renamed`` renames on both sides without conflict copies, which are ``conflicts`` and listed in
    ``conflict_paths``. ``left_out`` is what the local scan leaves out by rule. ``operations`` is the plan of a dry
    run, in order; ``exceeds_limit`` says that a real run would stop before it, as the error in ``errors`` tells.
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
    dry_run: bool = False
    errors: list[SyncProblem] = field(default_factory=list[SyncProblem])
    warnings: list[SyncProblem] = field(default_factory=list[SyncProblem])
    conflict_paths: list[str] = field(default_factory=list[str])
    left_out: tuple[LeftOut, ...] = ()
    operations: tuple[Operation, ...] = ()
    exceeds_limit: bool = False
    denials: dict[str, PolicyDeniedError] = field(default_factory=dict[str, PolicyDeniedError])
    """What access rules refused in this run, by path."""

    def fail(self, path: str, error: CandadoError) -> None:
        """Report a file that was left alone."""
        self.errors.append(SyncProblem.of_error(path, error))
        if isinstance(error, PolicyDeniedError):
            self.denials[path] = error

    def take_left_out(self, found: Sequence[LeftOut]) -> None:
        """Report what the scan left out: what can be mended as an error, the rest as a fact."""
        self.left_out = tuple(one for one in found if one.error is None)
        self.errors += [SyncProblem.of_error(one.path, one.error) for one in found if one.error is not None]

    def count(self, op: Operation) -> None:
        """Count an operation that was carried out (or, in a dry run, planned)."""
        match op:
            case Upload():
                self.uploaded += 1
                self.bytes_up += op.local.size_bytes
            case Download():
                self.downloaded += 1
                self.bytes_down += op.remote.size_bytes
            case DeleteLocal() | DeleteRemote() | RemoveFolderLocal():
                self.deleted += 1
            case RemoveFolderRemote():
                self.deleted += 1 + len(op.contents)
            case MoveLocal() | MoveRemote() if op.conflict:
                self.conflicts += 1
                self.conflict_paths.append(op.target)
            case MoveLocal() | MoveRemote():
                self.renamed += 1
            case _:
                pass

    def take_plan(self, plan: Plan) -> None:
        """Report a plan as a dry run does."""
        self.operations = plan.operations
        for op in plan.operations:
            self.count(op)

    def refuse_remote(self, operations: Sequence[Operation]) -> tuple[Operation, ...]:
        """The operations without those that a read-only folder does not take, which are told as errors."""
        kept: list[Operation] = []
        for op in operations:
            if not isinstance(op, Upload | MakeFolderRemote | MoveRemote | DeleteRemote | RemoveFolderRemote):
                kept.append(op)
                continue
            self.errors.append(
                SyncProblem(
                    op.target if isinstance(op, MoveRemote) else op.path,
                    ForbiddenError.code,
                    "The folder is shared with you read-only; this change stays here.",
                    "Ask its owner for the right to write, or undo the change.",
                    "What is here was not touched; what is there is unchanged.",
                )
            )
        return tuple(kept)

    def to_json(self) -> dict[str, object]:
        """The document of ``candado sync --json``: schema ``candado.sync/1``."""
        document: dict[str, object] = {
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
            "dry_run": self.dry_run,
            "errors": [problem.to_json() for problem in self.errors],
            "warnings": [problem.to_json() for problem in self.warnings],
            "conflict_paths": self.conflict_paths,
            "left_out": [{"path": one.path, "reason": one.reason} for one in self.left_out],
        }
        if self.dry_run:
            document["plan"] = [operation_json(op) for op in self.operations]
        return document


def operation_json(op: Operation) -> dict[str, object]:
    """One line of a dry run: ``do`` is the kind of operation, paths are relative to the synced folder."""
    words = _WORDS[type(op)]
    if isinstance(op, MoveLocal | MoveRemote):
        return {"do": "keep both" if op.conflict else words, "path": op.source, "to": op.target}
    size = op.local.size_bytes if isinstance(op, Upload) else op.remote.size_bytes if isinstance(op, Download) else None
    return {"do": words, "path": op.path} | ({} if size is None else {"bytes": size})
