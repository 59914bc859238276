"""The local half of a sync: renames, removals, folders, downloads.

Layer: ``client``. Each step is checked against what the plan saw; what changed meanwhile is left for the next run.
A row of the agreed tree is written after the step it tells of.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from candado.client.groups import fetch_together, in_groups
from candado.client.sync_report import SyncOptions, SyncProblem, SyncReport
from candado.client.sync_state import PairState
from candado.client.transfer import download, keep
from candado.client.view import RemoteEntry, join
from candado.errors import (
    AuthRequiredError,
    CandadoError,
    DiskFullError,
    FileChangedError,
    MisuseError,
    TamperError,
    TransportError,
)
from candado.ports.client import LocalStat
from candado.protocol.plan_model import (
    AgreedNode,
    DeleteLocal,
    DeleteRemote,
    Download,
    LocalFacts,
    MakeFolderLocal,
    MakeFolderRemote,
    MoveLocal,
    MoveRemote,
    Operation,
    RemoveFolderLocal,
    RemoveFolderRemote,
    Upload,
)

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.ports.client import LocalTree, Spool

__all__ = ["FATAL", "LocalHalf", "LocalStep", "RemoteStep", "local_steps", "row_of", "settled"]

FATAL: Final = (TransportError, AuthRequiredError, DiskFullError, TamperError)
"""Errors that would meet every further file too, or after which nothing may go on."""

_SECOND_NS: Final = 10**9
_STEP_NS: Final = 50 * 10**6
"""Longer than the steps of file systems that keep fractions of a second."""

_COARSE_STEP_NS: Final = 2 * _SECOND_NS
"""The step of file systems that do not."""

_BATCH_FILES: Final = 256
_BATCH_BYTES: Final = 256 << 20

LocalStep = MoveLocal | DeleteLocal | RemoveFolderLocal | MakeFolderLocal
"""Operations that touch only the local tree."""

RemoteStep = MoveRemote | DeleteRemote | RemoveFolderRemote | MakeFolderRemote | Upload
"""Operations that change only the remote tree."""

_Fetched = tuple["Spool", Download]


class LocalHalf:
    """Carries out the local operations of one plan.

    ``moved`` has the state after the rename of every renamed file, ``failed`` the paths that were left alone,
    ``fatal`` is the error that ended the downloads early.
    """

    def __init__(
        self,
        account: "Account",
        tree: "LocalTree",
        state: PairState,
        options: SyncOptions,
        report: SyncReport,
        *,
        top_path: str,
    ) -> None:
        self._account = account
        self._tree = tree
        self._state = state
        self._options = options
        self._report = report
        self._top_path = top_path
        self._fetched: list[_Fetched] = []
        self._fetched_bytes = 0
        self._publishing: asyncio.Task[None] | None = None
        self.moved: dict[str, LocalStat] = {}
        self.failed: set[str] = set()
        self._row_moves: list[tuple[str, str, LocalStat | None, LocalStat | None]] = []
        self.fatal: CandadoError | None = None

    async def arrange(self, operations: Sequence[LocalStep]) -> None:
        """Renames, removals and new folders, in order, in one thread."""
        if operations:
            await asyncio.to_thread(self._arrange, operations)

    def move_rows(self) -> None:
        """Let the rows follow the local renames; owed after the remote ones, for the plan renamed in that order."""
        for source, target, before, after in self._row_moves:
            self._state.move(source, target)
            row = self._state.nodes.get(target)
            # The rename touched the attribute-change time; a file that differed from its row before still must.
            if (
                row is not None
                and before is not None
                and after is not None
                and not row.is_folder
                and _is_row(before, row)
            ):
                self._state.set(target, replace(row, ctime_ns=after.ctime_ns))
        self._row_moves.clear()

    def _arrange(self, operations: Sequence[LocalStep]) -> None:
        for op in operations:
            path = op.target if isinstance(op, MoveLocal) else op.path
            try:
                self._do(op)
            except CandadoError as error:
                self._fail(path, error)

    def _do(self, op: LocalStep) -> None:
        match op:
            case MoveLocal():
                self._move(op)
            case DeleteLocal():
                self._tree.remove(op.path, _stat(op.expected))
                self._state.drop(op.path)
                self._report.count(op)
            case RemoveFolderLocal():
                if self._tree.remove_folder(op.path):
                    self._state.drop(op.path)
                    self._report.count(op)
                else:
                    self._report.warnings.append(
                        SyncProblem(
                            op.path,
                            "FOLDER_KEPT",
                            "The folder was removed on the other side, but something that is not synced is in it.",
                            "Look into it and remove it yourself.",
                            "What is in it was not touched.",
                        )
                    )
            case MakeFolderLocal():
                self._tree.make_folder(op.path)
                made = self._tree.stat(op.path)
                if made is None or not made.is_folder:
                    raise FileChangedError("the new folder is gone again", path=op.path)
                self._state.set(op.path, row_of(made, file_id=op.remote.file_id, content_id=""))

    def _move(self, op: MoveLocal) -> None:
        before = self._tree.stat(op.source)
        self._tree.move(op.source, op.target)
        after = self._tree.stat(op.target)
        self._report.count(op)
        if before is not None and after is not None and not after.is_folder:
            self.moved[op.target] = after
        if op.conflict:
            self._account.issue_book.add(
                "notice",
                "conflict.copy",
                f"Both sides changed {op.source}; both are kept.",
                path=join(self._top_path, op.target),
            )
            return
        self._row_moves.append((op.source, op.target, before, after))

    # --- downloads ----------------------------------------------------------------------------------------

    async def fetch(self, work: Sequence[Download]) -> None:
        """Download in parallel and publish in batches. Stops early, with what arrived published, on a fatal error."""
        turns = await in_groups(self._account, work, _entry)
        workers = [asyncio.create_task(self._worker(turns)) for _ in range(min(self._options.transfers, len(work)))]
        try:
            await asyncio.gather(*workers)
            if self._publishing is not None:
                await self._publishing
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            if self._publishing is not None:
                await asyncio.wait([self._publishing])
            # Verified files are put in place even when the run was interrupted.
            if self._fetched:
                await asyncio.shield(self._publish(self._fetched))

    async def _worker(self, turns: Iterator[list[Download]]) -> None:
        for group in turns:
            contents = await fetch_together(self._account, [_entry(op) for op in group])
            for op in group:
                if self.fatal is not None:
                    return
                spool = await self._fetch_one(op, contents.pop(_entry(op).path, None))
                if spool is not None:
                    await self._take(spool, op)

    async def _take(self, spool: "Spool", op: Download) -> None:
        self._fetched.append((spool, op))
        self._fetched_bytes += op.remote.size_bytes
        if len(self._fetched) >= _BATCH_FILES or self._fetched_bytes >= _BATCH_BYTES:
            batch, self._fetched, self._fetched_bytes = self._fetched, [], 0
            self._publishing = asyncio.create_task(self._publish_after(self._publishing, batch))
            # Only this worker waits: the others fetch on while the disk works.
            await asyncio.wait([self._publishing])

    async def _publish_after(self, previous: "asyncio.Task[None] | None", batch: list[_Fetched]) -> None:
        if previous is not None:
            await previous
        await self._publish(batch)

    async def _fetch_one(self, op: Download, content: bytes | None) -> "Spool | None":
        progress = self._options.progress
        try:
            if content is not None:
                return keep(content, _entry(op), self._tree, progress)
            return await download(self._account, _entry(op), self._tree, progress=progress)
        except CandadoError as error:
            if not isinstance(error, FATAL) or isinstance(error, DiskFullError):
                self._fail(op.path, error)
            if isinstance(error, FATAL):
                self.fatal = self.fatal or error
            return None

    async def _publish(self, batch: list[_Fetched]) -> None:
        def publish() -> list[LocalStat | Exception]:
            return self._tree.publish(
                [(spool, op.path, _entry(op).mtime_seconds, self._expected(op)) for spool, op in batch]
            )

        try:
            results = await asyncio.to_thread(publish)
        except CandadoError as error:
            results = [error] * len(batch)
        for (spool, op), result in zip(batch, results, strict=True):
            if isinstance(result, LocalStat):
                self._state.set(op.path, row_of(result, file_id=op.remote.file_id, content_id=op.remote.content_id))
                self._report.count(op)
                continue
            spool.discard()
            if not isinstance(result, CandadoError):
                raise result
            self._fail(op.path, result)
            if isinstance(result, DiskFullError):
                result.path = _entry(op).path
                self.fatal = self.fatal or result
        self._state.commit()

    def _expected(self, op: Download) -> LocalStat | None:
        if op.expected is None:
            return None
        return self.moved.get(op.path, _stat(op.expected))

    def _fail(self, path: str, error: CandadoError) -> None:
        self.failed.add(path)
        self._report.fail(path, error)


def local_steps(operations: Sequence[Operation]) -> tuple[list[LocalStep], list[LocalStep]]:
    """Local steps before the downloads and those after everything else."""
    early: list[LocalStep] = []
    late: list[LocalStep] = []
    remote_seen = False
    for op in operations:
        if isinstance(op, LocalStep):
            (late if remote_seen else early).append(op)
        elif isinstance(op, Download | RemoteStep):
            remote_seen = True
    return early, late


def row_of(here: LocalFacts, *, file_id: int, content_id: str) -> AgreedNode:
    """The row of a node that is equal on both sides now."""
    return AgreedNode(here.is_folder, here.size_bytes, here.mtime_ns, here.inode, here.ctime_ns, file_id, content_id)


def settled(row: AgreedNode, seen_ns: int) -> AgreedNode:
    """The row, or one that makes the next run compare the bytes, when the file was written to just before it was seen.

    Clocks of file systems tick in steps: a file that is changed twice within one step, with a look between, keeps its
    time. ``seen_ns`` is a time before the bytes were read, in nanoseconds since the epoch.
    """
    step = _STEP_NS if row.mtime_ns % _SECOND_NS else _COARSE_STEP_NS
    return replace(row, ctime_ns=0) if row.mtime_ns > seen_ns - step and not row.is_folder else row


def _is_row(here: LocalFacts, row: AgreedNode) -> bool:
    return here.mtime_ns == row.mtime_ns and here.inode == row.inode and here.ctime_ns == row.ctime_ns


def _stat(facts: LocalFacts) -> LocalStat:
    if not isinstance(facts, LocalStat):
        raise MisuseError("local facts of a plan must come from the scan")
    return facts


def _entry(op: Download) -> RemoteEntry:
    if not isinstance(op.remote, RemoteEntry):
        raise MisuseError("a download needs an entry that was read in this run", path=op.path)
    return op.remote
