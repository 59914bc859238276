"""The remote half of a sync: write sessions that carry many operations each.

Layer: ``client``. Under the lock every operation is checked against what the plan saw; what another device changed
since is left out and planned anew. A session ends after so many files or bytes that an interruption loses little;
within one everything becomes visible at once. Removals come last, so that a renamed and edited file is never gone
before its successor is there.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from candado.client.bounded import bounded
from candado.client.session import PER_FILE_ERRORS, WriteSession, Written
from candado.client.sync_local import LocalHalf, RemoteStep, row_of, settled
from candado.client.sync_report import SyncOptions, SyncReport
from candado.client.sync_state import PairState
from candado.client.transfer import TreeSource
from candado.client.view import FolderView, join
from candado.errors import AlreadyExistsError, CandadoError, NotFoundError, PreconditionFailedError, QuotaExceededError
from candado.protocol.plan_model import (
    DeleteRemote,
    LocalFacts,
    MakeFolderRemote,
    MoveRemote,
    RemoteFacts,
    RemoveFolderRemote,
    Upload,
)
from candado.protocol.plan_moves import is_under
from candado.protocol.plan_names import name_of, parent_of

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.reader import FolderReader
    from candado.ports.client import LocalTree

__all__ = ["RemoteHalf"]


class RemoteHalf:
    """Carries out the remote operations of one plan.

    ``stale`` says that another device was faster somewhere, ``fatal`` is the error that ended the work early,
    ``views`` are the touched folders as they were after the sessions.
    """

    def __init__(
        self,
        reader: "FolderReader",
        tree: "LocalTree",
        state: PairState,
        options: SyncOptions,
        report: SyncReport,
        *,
        top_path: str,
        local: LocalHalf,
        seen_ns: int,
    ) -> None:
        self._reader = reader
        self._account: Account = reader.account
        self._tree = tree
        self._state = state
        self._options = options
        self._report = report
        self._top_path = top_path
        self._local = local
        self._seen_ns = seen_ns
        self._moved: set[str] = set()
        self._done: list[tuple[RemoteStep, Written | None]] = []
        self.failed: set[str] = set()
        self.stale = False
        self.fatal: CandadoError | None = None
        self.views: dict[str, FolderView] = {}

    async def carry_out(self, steps: Sequence[RemoteStep]) -> None:
        """All steps, in as few sessions as the limits and the server allow.

        Raises:
            CandadoError: a session was undone as a whole; finished sessions stay, and their rows are written.
        """
        one_session = (await self._account.capabilities()).nested_in_one_session
        pending = list(steps)
        while pending and self.fatal is None:
            batch, pending = self._batch(pending, one_session=one_session)
            await self._session(batch)

    # --- sessions -----------------------------------------------------------------------------------------

    def _batch(self, pending: list[RemoteStep], *, one_session: bool) -> tuple[list[RemoteStep], list[RemoteStep]]:
        """The steps of the next session and the others.

        Where a new folder can be filled only after the unlock, uploads and folders wait for their parent, and with
        anything waiting nothing is removed.
        """
        batch: list[RemoteStep] = []
        waiting: list[RemoteStep] = []
        made: set[str] = set()
        size_bytes = 0
        for number, step in enumerate(pending):
            full = len(batch) >= self._options.session_files_max or size_bytes >= self._options.session_bytes_max
            needs = [step.source, step.target] if isinstance(step, MoveRemote) else [step.path]
            blocked = not one_session and any(is_under(parent_of(path), made) for path in needs)
            may_wait = isinstance(step, MakeFolderRemote | Upload)
            if full or ((blocked or waiting) and not may_wait):
                return batch, waiting + pending[number:]
            if blocked:
                waiting.append(step)
                continue
            batch.append(step)
            if isinstance(step, MakeFolderRemote):
                made.add(step.path)
            elif isinstance(step, Upload):
                size_bytes += step.local.size_bytes
        return batch, waiting

    async def _session(self, batch: list[RemoteStep]) -> None:
        self._done = []
        self._moved = set()
        session = WriteSession(
            self._reader, self._scope(batch), transfers=self._options.transfers, progress=self._options.progress
        )
        async with session:
            await self._write(session, batch)
        self.views.update(session.views)
        self._settle(session)

    def _scope(self, batch: list[RemoteStep]) -> str:
        """The deepest folder that holds all steps."""
        parents = [parent_of(step.path) for step in batch if not isinstance(step, MoveRemote)]
        for step in batch:
            if isinstance(step, MoveRemote):
                parents += [parent_of(step.source), parent_of(step.target)]
        common = parents[0]
        for parent in parents:
            while common and parent != common and not parent.startswith(common + "/"):
                common = parent_of(common)
        return self._at(common)

    async def _write(self, session: WriteSession, batch: list[RemoteStep]) -> None:
        uploads: list[Upload] = []
        for step in batch:
            if isinstance(step, Upload):
                uploads.append(step)
                continue
            if uploads:
                await self._upload(session, uploads)
                uploads = []
            await self._guarded(session, step)
        await self._upload(session, uploads)

    async def _guarded(self, session: WriteSession, step: RemoteStep) -> None:
        path = step.target if isinstance(step, MoveRemote) else step.path
        try:
            await self._change(session, step)
        except PER_FILE_ERRORS as error:
            self._fail(path, error)
        else:
            self._done.append((step, None))

    async def _change(self, session: WriteSession, step: RemoteStep) -> None:
        match step:
            case MoveRemote():
                assert step.expected is not None
                await self._expect(session, step.source, step.expected)
                await session.move(self._at(step.source), self._at(step.target))
                self._moved.add(step.target)
            case MakeFolderRemote():
                await session.add_folder(self._at(step.path))
            case DeleteRemote():
                await self._expect(session, step.path, step.expected)
                await session.remove(self._at(step.path))
            case RemoveFolderRemote():
                await self._expect(session, step.path, step.expected)
                await self._expect_contents(session, step)
                await session.remove(self._at(step.path))
            case Upload():
                raise AssertionError

    # --- uploads ------------------------------------------------------------------------------------------

    async def _upload(self, session: WriteSession, steps: list[Upload]) -> None:
        ready: list[Upload] = []
        for step in steps:
            try:
                if step.expected is not None:
                    await self._expect(session, step.path, step.expected)
            except PER_FILE_ERRORS as error:
                self._fail(step.path, error)
            else:
                ready.append(step)
        await bounded(lambda step: self._upload_one(session, step), ready, self._options.transfers)

    async def _upload_one(self, session: WriteSession, step: Upload) -> None:
        if self.fatal is not None:
            return
        source = TreeSource(self._tree, step.path)
        try:
            written = await session.put_file(self._at(step.path), source, replace=step.expected is not None)
        except PER_FILE_ERRORS as error:
            self._fail(step.path, error)
        except QuotaExceededError as error:
            # The uploads under way come to their end and the session is kept: what fitted in is not lost.
            error.safe = "What was finished stays on both sides; local files are unchanged."
            self._fail(step.path, error)
            self.fatal = error
        else:
            self._done.append((step, written))

    # --- checks under the lock --------------------------------------------------------------------------------

    async def _expect(self, session: WriteSession, path: str, expected: RemoteFacts) -> None:
        """Return when the node is still the one the plan saw.

        Raises:
            PreconditionFailedError: it is another one, or gone.
        """
        if path in self._moved:
            return
        view = await session.folder(self._at(parent_of(path)))
        entry = None if view is None else view.entries.get(name_of(path))
        if entry is None or not _is_same(entry, expected):
            raise PreconditionFailedError("another device changed it meanwhile", path=path)

    async def _expect_contents(self, session: WriteSession, step: RemoveFolderRemote) -> None:
        found: set[str] = set()
        waiting = [step.path]
        while waiting:
            folder = waiting.pop()
            view = await session.folder(self._at(folder))
            if view is None or view.missing:
                raise PreconditionFailedError("something in the folder cannot be read", path=step.path)
            # What this session moved out of the folder is not among the names any more.
            for name in await session.names(self._at(folder)):
                path = f"{folder}/{name}"
                entry, expected = view.entries.get(name), step.contents.get(path)
                if entry is None or expected is None or not _is_same(entry, expected):
                    raise PreconditionFailedError("another device changed something in it", path=step.path)
                found.add(path)
                if entry.is_folder:
                    waiting.append(path)
        if found != step.contents.keys():
            raise PreconditionFailedError("another device changed something in it", path=step.path)

    # --- afterwards -----------------------------------------------------------------------------------------

    def _settle(self, session: WriteSession) -> None:
        """Count what the session did and write the rows: it is visible to everybody now."""
        for step, written in self._done:
            self._report.count(step)
            match step:
                case MoveRemote():
                    if not step.conflict:
                        self._state.move(step.source, step.target)
                case DeleteRemote():
                    self._state.drop(step.path)
                case RemoveFolderRemote():
                    for path in (step.path, *step.contents):
                        self._state.drop(path)
                case MakeFolderRemote():
                    self._state.set(
                        step.path, row_of(step.local, file_id=self._file_id(session, step.path), content_id="")
                    )
                case Upload():
                    assert written is not None
                    self._agree(session, step, written)
        self._state.commit()

    def _agree(self, session: WriteSession, step: Upload, written: Written) -> None:
        file_id = written.file_id or self._file_id(session, step.path)
        content_id = written.entry.nonce.hex() + written.entry.tag.hex()
        here: LocalFacts = self._local.moved.get(step.path, step.local)
        row = row_of(here, file_id=file_id, content_id=content_id)
        if (here.size_bytes, here.mtime_ns) != (written.size_bytes, written.mtime_ns):
            # Written to between the scan and the upload: the next run compares the bytes once.
            row = replace(row, size_bytes=written.size_bytes, mtime_ns=written.mtime_ns, ctime_ns=0)
        self._state.set(step.path, settled(row, self._seen_ns))

    def _file_id(self, session: WriteSession, path: str) -> int:
        """The server's number of a node of the session; 0 when it did not say."""
        view = session.views.get(self._at(parent_of(path)))
        entry = None if view is None else view.entries.get(name_of(path))
        return 0 if entry is None else entry.file_id

    def _fail(self, path: str, error: CandadoError) -> None:
        if isinstance(error, PreconditionFailedError | AlreadyExistsError | NotFoundError):
            self.stale = True
        self.failed.add(path)
        self._report.fail(path, error)

    def _at(self, path: str) -> str:
        return join(self._top_path, path) if path else self._top_path


def _is_same(entry: RemoteFacts, expected: RemoteFacts) -> bool:
    if entry.is_folder or expected.is_folder:
        return entry.is_folder and expected.is_folder and entry.file_id == expected.file_id
    return entry.content_id == expected.content_id
