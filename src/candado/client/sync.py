"""Sync of a local folder with an encrypted folder.

Layer: ``client``. One run: look at both sides, plan (``candado.protocol.plan``), carry out the local half, then the
remote half in write sessions, then local removals; remember what both sides agree upon, always after the fact.
Nothing is remembered of a plan: a run that was killed anywhere is finished by the next one, which looks again.
Where another device was faster, what it touched is planned anew, at most three times.

Faults of single files are collected in the report and never stop the others. A full disk or quota, a lost server
and signs of tampering end the run, after what can be finished was finished.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from candado.client.account import SESSION_SPACE
from candado.client.held import HeldBack
from candado.client.reader import FolderReader
from candado.client.sync_compare import compare, stored_tag
from candado.client.sync_issues import SyncIssues
from candado.client.sync_local import LocalHalf, RemoteStep, local_steps, row_of, settled
from candado.client.sync_observe import (
    LocalSight,
    RemoteSight,
    look_at_local,
    look_at_remote,
    mark_folders,
    unchanged_top,
)
from candado.client.sync_report import SyncOptions, SyncProblem, SyncReport
from candado.client.sync_state import PairState
from candado.client.takeover import write_owed
from candado.client.transparency import watch_own
from candado.client.view import FolderView, RemoteEntry, clear_path, join
from candado.errors import (
    AuthRequiredError,
    CandadoError,
    CounterConflictError,
    FolderNotEmptyError,
    LockLostError,
    NotEncryptedError,
    NotFoundError,
    PreconditionFailedError,
    RootDeletedError,
    SafetyLimitError,
    TamperError,
    TransportError,
)
from candado.protocol.plan import make_plan
from candado.protocol.plan_model import (
    Adopt,
    DeleteLimit,
    DeleteLocal,
    Download,
    Forget,
    Mode,
    MoveRemote,
    Operation,
    Plan,
    PlanOptions,
    Question,
    Upload,
)
from candado.protocol.plan_moves import is_under
from candado.types import FileId

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.sync_remote import RemoteHalf
    from candado.ports.client import LocalTree

__all__ = ["SyncOptions", "SyncProblem", "SyncReport", "sync"]

_ATTEMPTS_MAX: Final = 3

Kind = TypeVar("Kind")


async def sync(account: "Account", tree: "LocalTree", remote_path: str, options: SyncOptions) -> SyncReport:
    """Make a local folder and an encrypted folder equal, as far as the mode allows.

    Args:
        account: an account with keys on this device.
        tree: the local folder.
        remote_path: clear path of an encrypted folder, or of a folder below one.
        options: mode, limits, whether to set up the remote folder.

    Returns:
        What was done; ``errors`` lists files left alone. After a dry run ``operations`` is what would be done.

    Raises:
        SafetyLimitError: too much would be deleted; nothing was changed.
        NotEncryptedError, FolderNotEmptyError, NotFoundError: the remote folder is not one to sync with.
        TamperError, FormatError, CryptoError: the server's state was refused; local files are unchanged.
        QuotaExceededError, DiskFullError, TransportError, LockedError: the run ended early; finished files stay.
    """
    await watch_own(account)
    return await _Run(account, tree, clear_path(remote_path), options).run()


class _Run:
    """One call of ``sync``."""

    def __init__(self, account: "Account", tree: "LocalTree", top_path: str, options: SyncOptions) -> None:
        self._account = account
        self._tree = tree
        self._top_path = top_path
        self._options = options
        self._report = SyncReport(dry_run=options.dry_run)
        self._reader = FolderReader(account)
        self._state = PairState(account.store, local_root=options.local_root, remote_path=top_path)
        self._held = HeldBack(account, self._state.name)
        self._issues = SyncIssues(account, top_path, self._state.name)
        self._verdicts: dict[tuple[str, str], bool] = {}

    async def run(self) -> SyncReport:
        clock, remote = self._account.clock, self._account.remote
        started, requests = clock.monotonic(), remote.requests
        try:
            done = await self._attempts()
        finally:
            self._report.seconds = clock.monotonic() - started
            self._report.requests = remote.requests - requests
            if not self._options.dry_run:
                # Also when something else ended the run: that is all its caller is told.
                self._held.keep(self._report)
                self._issues.keep(self._report.errors)
        if done and self._options.mode is Mode.TWO_WAY and not self._options.dry_run:
            self._issues.settle(self._state)
        return self._report

    async def _attempts(self) -> bool:
        """Go until nothing is left to plan anew, at most three times; True when that was reached."""
        if self._account.store.load_all(SESSION_SPACE):
            from candado.client.lock import recover_sessions  # noqa: PLC0415 -- nearly no run has anything to recover

            await recover_sessions(self._account)
        for attempt in range(_ATTEMPTS_MAX):
            # Problems of an earlier attempt are met again or were solved by planning anew.
            self._report.errors.clear()
            self._report.warnings.clear()
            try:
                if not await self._attempt():
                    return True
            except (PreconditionFailedError, CounterConflictError, LockLostError, RootDeletedError):
                if attempt == _ATTEMPTS_MAX - 1:
                    raise
            finally:
                if not self._options.dry_run:
                    self._state.commit()
        return False

    async def _attempt(self) -> bool:
        """One look, one plan, one go; True when it is worth planning anew."""
        self._verdicts.clear()
        here, there = await self._look()
        self._report.take_left_out(here.left_out)
        if there is None:
            return False
        writes = not self._options.dry_run and self._options.mode is not Mode.PULL
        if writes and await write_owed(self._reader, there):
            return True
        self._issues.opened(there.views)
        deleted = there.top if there.top is not None and there.top.deleted else None
        if deleted is not None and self._options.mode is Mode.PUSH:
            # What is here decides, and it cannot go there: neither side is changed.
            self._tell_deleted(deleted, here, set())
            return False
        plan, here = await self._plan(here, there)
        self._take_problems(plan)
        if there.is_read_only:
            plan = replace(plan, operations=self._report.refuse_remote(plan.operations))
        for view in there.views.values():
            self._report.warnings += [
                SyncProblem(problem.path, problem.code, problem.message, problem.advice, "Local copies are kept.")
                for problem in view.problems
                # Without a name it is nothing of ours; `candado issues` has it.
                if problem.code != "file.unlisted"
            ]
        if deleted is not None:
            gone = {op.path for op in plan.operations if isinstance(op, DeleteLocal)}
            self._tell_deleted(deleted, here, gone)
        plan = await self._held.leave_out(plan, self._report)
        if self._options.dry_run:
            self._report.take_plan(plan)
            return False
        return await self._carry_out(plan, here, there)

    # --- looking ------------------------------------------------------------------------------------------

    async def _look(self) -> tuple[LocalSight, RemoteSight | None]:
        """Both sides; no remote side when a dry run stops before the folder exists."""
        scan = asyncio.create_task(look_at_local(self._tree, now=self._account.clock.now()))
        try:
            unchanged = await unchanged_top(self._account, self._state)
            here = await scan
        finally:
            scan.cancel()
        # An empty local folder in pull mode starts anew: everything is fetched, so everything is looked at.
        anew = self._options.mode is Mode.PULL and not here.nodes
        if unchanged is not None and not anew:
            return here, await look_at_remote(self._account, self._reader, self._state, unchanged, skip_known=True)
        top = await self._open_top()
        if top is None:
            self._report.take_plan(await self._plan_first_push(here))
            return here, None
        self._state.bind(top.file_id)
        there = await look_at_remote(self._account, self._reader, self._state, top, skip_known=not anew)
        return here, there

    async def _open_top(self) -> FolderView | None:
        """The remote folder, set up when that was asked for; None when a dry run would set it up."""
        try:
            located = await self._reader.open_path(self._top_path)
        except RootDeletedError:
            raise
        except (NotFoundError, NotEncryptedError) as error:
            # Absent, or its set-up was interrupted.
            if not self._options.encrypt:
                raise self._gone_after_deletion(error) from error
        else:
            if located.kind in ("root", "nested"):
                return located.view
            if located.kind == "file":
                raise NotEncryptedError(
                    "This is a file, not a folder.", path=self._top_path, advice="Name the folder that it is in."
                )
            if not self._options.encrypt:
                raise NotEncryptedError("The folder is not end-to-end encrypted.", path=self._top_path)
            if located.view.entries:
                raise FolderNotEmptyError("The folder is not encrypted, and something is in it.", path=self._top_path)
        if self._options.dry_run:
            return None
        from candado.client.edit import encrypt_folder  # noqa: PLC0415 -- once in the life of a folder

        await encrypt_folder(self._account, self._top_path)
        return (await self._reader.open_path(self._top_path)).view

    def _gone_after_deletion(self, error: CandadoError) -> CandadoError:
        """What is said of a folder that is not there: more than that, when a member deleted it before."""
        top = self._state.top
        if top is None or not self._account.book.is_deleted(FileId(top.file_id)):
            return error
        gone = FolderView(self._top_path, self._top_path, "root", None, deleted=True)
        told = SyncProblem.of_deletion(gone, self._options, self._account.user_id, left=0)
        return RootDeletedError(path=self._top_path, safe="Local files are unchanged.", advice=told.advice)

    # --- planning -----------------------------------------------------------------------------------------

    async def _plan_first_push(self, here: LocalSight) -> Plan:
        """The plan for a remote folder that is not there yet."""
        self._state.bind(0)
        plan, _ = await self._plan(here, RemoteSight({}))
        self._take_problems(plan)
        return plan

    async def _plan(self, here: LocalSight, there: RemoteSight) -> tuple[Plan, LocalSight]:
        """The final plan: questions are answered by comparing, files that cannot be read are left alone."""
        deleted = there.top is not None and there.top.deleted
        options = PlanOptions(
            # A root whose deletion a member signed takes no uploads; local changes stay where they are.
            mode=Mode.PULL if deleted else self._options.mode,
            device=self._account.device_name,
            stamp=datetime.fromtimestamp(self._account.clock.now(), UTC).astimezone().strftime("%Y-%m-%d %H%M%S"),
            max_delete=self._options.max_delete,
            fold_case=self._options.fold_case,
        )
        while True:
            try:
                plan = await asyncio.to_thread(
                    make_plan,
                    here.nodes,
                    there.nodes,
                    self._state.nodes,
                    options=options,
                    blocked_local=here.blocked,
                    blocked_remote=there.blocked,
                    verdicts=self._verdicts,
                )
            except SafetyLimitError as error:
                error.path = self._options.local_root
                if not self._options.dry_run or not here.nodes:
                    raise
                # A dry run changes nothing, and is how a person finds out what would be deleted.
                self._report.errors.append(SyncProblem.of_error(error.path, error))
                self._report.exceeds_limit = True
                options = replace(options, max_delete=DeleteLimit())
                continue
            if not plan.questions:
                return plan, here
            unread = await self._answer(plan.questions, there)
            here = replace(here, blocked=here.blocked | unread)

    async def _answer(self, questions: tuple[Question, ...], there: RemoteSight) -> set[str]:
        """Compare local files with remote versions; returns paths that could not be compared."""
        work = []
        for question in questions:
            entry = await self._entry(question, there)
            work.append((question.local_path, entry, await stored_tag(self._account, entry)))
        unread: set[str] = set()
        answers = await asyncio.to_thread(compare, self._tree, work)
        for question, answer in zip(questions, answers, strict=True):
            if isinstance(answer, CandadoError):
                unread.add(question.local_path)
                self._report.errors.append(SyncProblem.of_error(question.local_path, answer))
            else:
                self._verdicts[question.local_path, question.content_id] = answer
        return unread

    async def _entry(self, question: Question, there: RemoteSight) -> RemoteEntry:
        """The entry a question is about; from a folder that was not opened it is read now."""
        if isinstance(question.remote, RemoteEntry):
            return question.remote
        path = there.path_of(question, self._state)
        located = await self._reader.open_path(join(self._top_path, path))
        if located.entry is None or located.entry.content_id != question.content_id:
            raise PreconditionFailedError("a remote file changed while it was compared", path=path)
        return located.entry

    def _take_problems(self, plan: Plan) -> None:
        for problem in plan.problems:
            told = self._report.warnings if problem.is_warning else self._report.errors
            told.append(SyncProblem.of_plan(problem))

    def _tell_deleted(self, root: FolderView, here: LocalSight, gone: set[str]) -> None:
        """A failure when something that is here should go there: it stays here, and the person has to act."""
        left = sum(not node.is_folder and path not in gone for path, node in here.nodes.items())
        is_left_undone = left > 0 and self._options.mode is not Mode.PULL
        told = self._report.errors if is_left_undone else self._report.warnings
        told.append(SyncProblem.of_deletion(root, self._options, self._account.user_id, left=left))

    # --- doing ----------------------------------------------------------------------------------------------

    async def _carry_out(self, plan: Plan, here: LocalSight, there: RemoteSight) -> bool:
        operations = plan.operations
        downloads = _of(operations, Download)
        uploads = _of(operations, Upload)
        if self._options.on_plan is not None and (downloads or uploads):
            size_bytes = sum(op.remote.size_bytes for op in downloads) + sum(op.local.size_bytes for op in uploads)
            self._options.on_plan(len(downloads) + len(uploads), size_bytes)
        early, late = local_steps(operations)
        steps: list[RemoteStep] = [op for op in operations if isinstance(op, RemoteStep)]
        local = LocalHalf(self._account, self._tree, self._state, self._options, self._report, top_path=self._top_path)
        await local.arrange(early)
        if not any(isinstance(op, MoveRemote) and not op.conflict for op in steps):
            local.move_rows()
        if downloads:
            await local.fetch(downloads)
        if isinstance(local.fatal, TamperError | TransportError | AuthRequiredError):
            raise local.fatal
        remote = await self._carry_out_remotely(steps, local, here) if steps else None
        local.move_rows()
        await local.arrange(late)
        self._remember(operations, here.seen_ns, local.failed | (remote.failed if remote else set()))
        prefix = self._top_path.rstrip("/") + "/"
        views = there.views | {
            "" if path == self._top_path else path.removeprefix(prefix): view
            for path, view in (remote.views if remote else {}).items()
        }
        mark_folders(self._state, views, there.top)
        fatal = local.fatal or (remote.fatal if remote else None)
        if fatal is not None:
            raise fatal
        return remote is not None and remote.stale

    async def _carry_out_remotely(self, steps: list[RemoteStep], local: LocalHalf, here: LocalSight) -> "RemoteHalf":
        from candado.client.sync_remote import RemoteHalf  # noqa: PLC0415 -- a run that only fetches does not need it

        remote = RemoteHalf(
            self._reader,
            self._tree,
            self._state,
            self._options,
            self._report,
            top_path=self._top_path,
            local=local,
            seen_ns=here.seen_ns,
        )
        await remote.carry_out(steps)
        return remote

    def _remember(self, operations: tuple[Operation, ...], seen_ns: int, failed: set[str]) -> None:
        """Rows for what needed no change: it is equal on both sides, or gone from both.

        Not below ``failed`` paths: after a rename that failed, its target is not equal on both sides.
        """
        for op in operations:
            match op:
                case Adopt() if not is_under(op.path, failed):
                    row = row_of(op.local, file_id=op.remote.file_id, content_id=op.remote.content_id)
                    self._state.set(op.path, settled(row, seen_ns))
                case Forget():
                    self._state.drop(op.path)
                case _:
                    pass


def _of(operations: tuple[Operation, ...], kind: type[Kind]) -> list[Kind]:
    return [op for op in operations if isinstance(op, kind)]
