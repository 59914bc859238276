"""Rows in one SQLite file.

Layer: ``adapters``; implements ``ports.server.Database`` with the standard ``sqlite3``.

Theory of operation. One thread owns the writing connection. Everything queued while it worked becomes the next batch:
one BEGIN IMMEDIATE, one SAVEPOINT for each unit of work so that a failing one undoes itself only, one COMMIT, one
wake-up of the event loop. The journal is write-ahead (WAL): a commit under synchronous=NORMAL survives the process, and
one under FULL, used when any unit of the batch is durable, also a power cut, and with it all that was committed before.
Reads run on a second thread and connection, a batch on one snapshot, and never wait for the writer.
Several processes may share the file: SQLite's own lock orders their batches.
"""

import asyncio
import contextlib
import contextvars
import queue
import re
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from candado.adapters.ambient import machine_epoch
from candado.adapters.sqlite_schema import migrate, require_database
from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    BusyError,
    CandadoError,
    CorruptStateError,
    LocalStorageError,
    MisuseError,
    QuotaExceededError,
)
from candado.ports.server import Migration, Rows, SqlValue

__all__ = ["SqliteDatabase"]

T = TypeVar("T")

_BATCH_MAX: Final = 512
_WORK: Final = "work"
_END: Final = "end"
_BUSY_MILLISECONDS: Final = 10_000
_PAUSE_SECONDS: Final = 0.01
_CHECKPOINT_PAGES: Final = 4_000
_CACHE_KIBIBYTES: Final = 32 * 1024
_NUMBER_ALL: Final = (
    "INSERT INTO sqlite_sequence (name, seq) SELECT name, 0 FROM sqlite_master"
    " WHERE sql LIKE '%AUTOINCREMENT%' AND name NOT IN (SELECT name FROM sqlite_sequence)"
)
_PLACEHOLDER = re.compile(r"\$(\d+)")


@lru_cache(maxsize=2048)
def _translate(sql: str) -> str:
    return _PLACEHOLDER.sub(r"?\1", sql)


def _translated_error(exc: sqlite3.Error) -> CandadoError:
    """The error of our tree that stands for one of SQLite's."""
    extended = getattr(exc, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if extended in {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}:
        return AlreadyExistsError("a row with this key exists")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return BusyError("the database is busy; another process holds it")
    if code == sqlite3.SQLITE_FULL:
        return QuotaExceededError("there is no space left for the database")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return CorruptStateError(f"the database is damaged: {exc}", advice="Restore the latest backup.")
    if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return LocalStorageError(f"the database cannot be read or written: {exc}")
    return MisuseError(f"the database refused a statement: {exc}")


class _SqliteRows:
    """One transaction; implements ``Rows``. Its coroutines never suspend."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def one(self, sql: str, *values: SqlValue) -> tuple[SqlValue, ...] | None:
        """First row or None."""
        cursor = self._connection.execute(_translate(sql), values)
        row = cursor.fetchone()
        cursor.close()
        return cast("tuple[SqlValue, ...] | None", row)

    async def all(self, sql: str, *values: SqlValue) -> list[tuple[SqlValue, ...]]:
        """All rows."""
        return self._connection.execute(_translate(sql), values).fetchall()

    async def run(self, sql: str, *values: SqlValue) -> int:
        """Execute; number of rows changed."""
        cursor = self._connection.execute(_translate(sql), values)
        changed = cursor.rowcount
        cursor.close()
        return max(0, changed)

    async def many(self, sql: str, rows: Sequence[Sequence[SqlValue]]) -> None:
        """Execute once per row."""
        self._connection.executemany(_translate(sql), rows).close()


def _drive(work: Callable[[Rows], Awaitable[Any]], rows: _SqliteRows) -> Any:
    """Run a unit of work to its end without an event loop; MisuseError when it waits for something else."""
    steps = work(rows).__await__()
    try:
        next(steps)
    except StopIteration as done:
        return done.value
    except sqlite3.Error as exc:
        raise _translated_error(exc) from exc
    except (OverflowError, UnicodeEncodeError) as exc:
        raise BadRequestError("a value cannot be stored: a number too large, or text with half a character") from exc
    with contextlib.suppress(RuntimeError):
        cast("Any", steps).close()
    raise MisuseError("a unit of work may await nothing but its rows")


@dataclass(slots=True)
class _Job:
    work: Callable[[Rows], Awaitable[Any]]
    durable: bool
    future: asyncio.Future[Any]
    context: contextvars.Context
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None


def _settle(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # the caller has gone
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


class _Worker:
    """A thread that owns one connection and takes its jobs in batches."""

    def __init__(self, name: str, connection: sqlite3.Connection, *, writes: bool) -> None:
        self._connection = connection
        self._rows = _SqliteRows(connection)
        self._writes = writes
        self._full: bool | None = None
        self._jobs: deque[_Job] = deque()
        self._bells: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._ringing: set[asyncio.AbstractEventLoop] = set()
        self._closed = False
        self.pending = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def submit(self, work: Callable[[Rows], Awaitable[T]], *, durable: bool) -> T:
        if self._closed:
            raise MisuseError("the database is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._jobs.append(_Job(work, durable, future, contextvars.copy_context(), loop))
        if loop not in self._ringing:
            # Waking the thread costs more than a job: what else this turn of the loop submits goes along.
            self._ringing.add(loop)
            loop.call_soon(self._ring, loop)
        self.pending += 1
        try:
            return cast("T", await future)
        finally:
            self.pending -= 1

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ringing.discard(loop)
        self._bells.put(_WORK)

    def stop(self) -> None:
        """Finish what is queued, then close the connection; blocks."""
        if not self._closed:
            self._closed = True
            self._bells.put(_END)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            ended = self._bells.get() == _END
            while self._jobs:
                batch = [self._jobs.popleft() for _ in range(min(_BATCH_MAX, len(self._jobs)))]
                self._execute(batch)
                self._answer(batch)
        with contextlib.suppress(sqlite3.Error):
            if self._writes:
                self._connection.execute("PRAGMA optimize").close()
        self._connection.close()

    def _execute(self, batch: list[_Job]) -> None:
        try:
            self._begin(any(job.durable for job in batch))
            for job in batch:
                self._execute_one(job)
            self._connection.execute("COMMIT").close()
        except sqlite3.Error as exc:
            error = _translated_error(exc)
            error.__cause__ = exc
            for job in batch:
                job.error = job.error or error
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK").close()

    def _begin(self, full: bool) -> None:
        if not self._writes:
            self._connection.execute("BEGIN").close()
            return
        if full != self._full:
            # A pragma inside a transaction has no effect, so it is set before.
            self._connection.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}").close()
            self._full = full
        self._connection.execute("BEGIN IMMEDIATE").close()

    def _execute_one(self, job: _Job) -> None:
        if not self._writes:
            try:
                job.result = job.context.run(_drive, job.work, self._rows)
            except BaseException as exc:  # noqa: BLE001 -- it belongs to the caller, who gets it
                job.error = exc
            return
        self._connection.execute("SAVEPOINT unit").close()
        try:
            job.result = job.context.run(_drive, job.work, self._rows)
        except BaseException as exc:  # noqa: BLE001 -- it belongs to the caller, who gets it
            job.error = exc
            # Some failures (a full disk) have rolled back everything already; the batch then fails at its next step.
            self._connection.execute("ROLLBACK TO unit").close()
        self._connection.execute("RELEASE unit").close()

    @staticmethod
    def _answer(batch: list[_Job]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        for job in batch:
            by_loop.setdefault(job.loop, []).append(job)
        for loop, jobs in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, jobs)


def _connect(path: Path) -> sqlite3.Connection:
    # Password hashes are in there; the journal files take the mode of the database.
    with contextlib.suppress(OSError):  # what is wrong with the place, SQLite says better
        path.touch(mode=0o600)
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=_BUSY_MILLISECONDS / 1000
    )
    try:
        _keep_ahead_log(connection)
    except sqlite3.Error:
        connection.close()
        raise
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}").close()
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIBIBYTES}").close()
    connection.execute("PRAGMA temp_store=MEMORY").close()
    return connection


def _keep_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log.

    Of several that open a new file at once SQLite lets only one do it, and the others do not wait as they do otherwise.
    """
    until = time.monotonic() + _BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as exc:
            busy = exc.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not busy or time.monotonic() > until:
                raise
        else:
            return
        time.sleep(_PAUSE_SECONDS)


class SqliteDatabase:
    """One SQLite file; implements ``Database``."""

    def __init__(self, path: Path, writer: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        self.path = path
        self.epoch = machine_epoch()
        """Changes when commits that were not synced may have been lost: with a new start of the machine."""
        self._writer = _Worker("candado-sql-write", writer, writes=True)
        self._reader = _Worker("candado-sql-read", reader, writes=False)

    @classmethod
    async def open(cls, path: Path, *, migrations: Sequence[Migration], create: bool = True) -> "SqliteDatabase":
        """Open the file, or create it when that is wished, and bring its schema to the last of ``migrations``.

        Raises:
            NotFoundError: not to be created, and there is no database with a schema of ours; nothing was written.
            UnsupportedVersionError: the file was written by a newer program; it is left as it is.
            BusyError, CorruptStateError, LocalStorageError: the file cannot be used.
        """
        return await asyncio.to_thread(cls._open, path, migrations, create=create)

    @classmethod
    def _open(cls, path: Path, migrations: Sequence[Migration], *, create: bool) -> "SqliteDatabase":
        opened: list[sqlite3.Connection] = []
        try:
            if not create:
                require_database(path)
            opened.append(_connect(path))
            migrate(opened[0], migrations)
            opened.append(_connect(path))
            opened[1].execute("PRAGMA query_only=1").close()
        except BaseException as exc:
            for connection in opened:
                connection.close()
            if isinstance(exc, sqlite3.Error):
                error = _translated_error(exc)
                error.path = str(path)
                raise error from exc
            raise
        return cls(path, *opened)

    async def write(self, work: Callable[[Rows], Awaitable[T]], *, durable: bool = True) -> T:
        """Run ``work`` in a transaction of its own; see ``Database``."""
        return await self._writer.submit(work, durable=durable)

    async def read(self, work: Callable[[Rows], Awaitable[T]]) -> T:
        """Run ``work`` on one snapshot; see ``Database``."""
        return await self._reader.submit(work, durable=False)

    @property
    def pending(self) -> int:
        """Units of work that were asked for and have not ended."""
        return self._writer.pending + self._reader.pending

    async def skip_numbers(self, count: int) -> None:
        """Leave out row numbers; see ``Database``."""

        async def work(rows: Rows) -> None:
            await rows.run(_NUMBER_ALL)
            await rows.run("UPDATE sqlite_sequence SET seq = seq + $1", count)

        await self.write(work)

    async def close(self) -> None:
        """Finish what is queued and close; harmless twice."""
        await asyncio.to_thread(self._reader.stop)
        await asyncio.to_thread(self._writer.stop)
