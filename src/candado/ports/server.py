"""Ports of the server: rows, blobs, signer. Contracts for SQLite and PostgreSQL, a directory and S3.

Layer: ``ports``. All methods that touch the outside are coroutines. The SQL adapter for SQLite runs a whole unit of
work on its one owner thread, so a unit of work must await nothing but its ``Rows``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")

SqlValue = str | int | float | bytes | None

Migration = tuple[int, tuple[str, ...]]
"""A schema version and the statements that lead to it from the one before."""


class Rows(Protocol):
    """One transaction.

    Statements use ``$1 .. $n`` placeholders and the SQL that SQLite and PostgreSQL share (RETURNING, ON CONFLICT,
    common table expressions; no functions of one dialect).
    """

    async def one(self, sql: str, *values: SqlValue) -> tuple[SqlValue, ...] | None:
        """First row or None."""
        ...

    async def all(self, sql: str, *values: SqlValue) -> list[tuple[SqlValue, ...]]:
        """All rows."""
        ...

    async def run(self, sql: str, *values: SqlValue) -> int:
        """Execute; number of rows changed."""
        ...

    async def many(self, sql: str, rows: Sequence[Sequence[SqlValue]]) -> None:
        """Execute once per row."""
        ...


class Database(Protocol):
    """The SQL database.

    ``work`` may run more than once (serialization failures are retried), so it has no effect but through its rows, and
    awaits nothing else. An exception rolls back its own unit of work only. It sees the context variables of who asked.
    """

    @property
    def epoch(self) -> str:
        """Text that changes when writes that were not durable may have been lost, such as by a power cut.

        A database whose every write is durable answers with an empty text.
        """
        ...

    async def write(self, work: Callable[[Rows], Awaitable[T]], *, durable: bool = True) -> T:
        """Run ``work`` in a serializable transaction; on return it is committed.

        With ``durable`` it survives a power cut; without it a later durable write makes it survive too.
        """
        ...

    async def read(self, work: Callable[[Rows], Awaitable[T]]) -> T:
        """Run ``work`` on one consistent snapshot; it must not write."""
        ...

    @property
    def pending(self) -> int:
        """Units of work that this process asked for and that have not ended."""
        ...

    async def skip_numbers(self, count: int) -> None:
        """Give out no row number below the greatest there is plus ``count`` in any table that numbers its rows itself.

        For rows that came with numbers of their own, and after a restore, when clients know numbers given out since.
        """
        ...

    async def close(self) -> None:
        """Close the database."""
        ...


class BlobWriter(Protocol):
    """A blob that is being received; not readable before ``finish``."""

    async def write(self, data: bytes | memoryview) -> None:
        """Append. The data may be reused by the caller after return. QuotaExceededError when the store is full."""
        ...

    async def finish(self) -> str:
        """Close it and return its id (random text, [a-z0-9]{32}); durable only after ``ObjectStore.persist``.

        StoreUnavailableError when the store does not answer; it may be repeated, or ended with ``discard``.
        """
        ...

    async def discard(self) -> None:
        """Throw it away; harmless twice and after ``finish`` (then it does nothing)."""
        ...


class ObjectStore(Protocol):
    """Immutable blobs by random id.

    Blob first, row second: a visible row may name a blob only after ``persist`` returned; a blob without a row is an
    orphan that ``candado-server check`` finds and collects after a grace time.
    """

    @property
    def epoch(self) -> str:
        """Text that changes when blobs that were not persisted may have been lost, such as by a power cut.

        A store whose ``finish`` is already durable answers with an empty text.
        """
        ...

    def create(self, *, size_hint: int | None = None) -> BlobWriter:
        """Start a new blob; a size hint below 64 KiB lets the adapter work without a thread."""
        ...

    async def put(self, data: bytes) -> str:
        """Store a small blob in one go."""
        ...

    async def persist(self, blob_ids: Sequence[str]) -> None:
        """Return when these blobs survive a power cut.

        NotFoundError when one is found to be absent; a store whose ``finish`` is already durable does not look.
        """
        ...

    def read(self, blob_id: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """Bytes start..stop (exclusive) in pieces of at most 1 MiB; NotFoundError. A view is valid until the next."""
        ...

    async def size(self, blob_id: str) -> int:
        """Size in bytes; NotFoundError."""
        ...

    async def check(self, blob_id: str) -> tuple[int, bool | None]:
        """Read it to its end: its size, and whether its bytes are those that were written; NotFoundError.

        None for a blob that was written before the store kept checksums.
        """
        ...

    async def delete(self, blob_ids: Sequence[str]) -> None:
        """Remove blobs, or what else ``scan`` named; absent is success."""
        ...

    def scan(self) -> AsyncIterator[tuple[str, int, float]]:
        """All blobs: (id, size in bytes, time of writing in seconds since the epoch).

        What receptions that were never finished left behind is among them, under names that are no ids.
        """
        ...


class Signer(Protocol):
    """The authority's key. The private half never leaves the adapter."""

    @property
    def public_key_pem(self) -> str:
        """PEM SubjectPublicKeyInfo; what ``server-key`` returns."""
        ...

    async def sign(self, message: bytes) -> bytes:
        """RSA PKCS#1 v1.5 signature with SHA-256 over ``message``; no other key signs when this one is away.

        Raises:
            SignerUnavailableError: the key cannot be reached now. SignerSetupError: waiting will not mend it.
        """
        ...

    async def check(self) -> None:
        """Return when ``sign`` would work now; the same errors. Nothing is signed that anybody could use."""
        ...

    async def close(self) -> None:
        """Let go of what holds the key; harmless twice."""
        ...
