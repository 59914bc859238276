"""Blobs in a directory.

Layer: ``adapters``; implements ``ports.server.ObjectStore``.

Layout: ``<id[0:2]>/<id[2:4]>/<id>``; a large blob being received is ``incoming/<id>`` and takes its place by rename.
An id is random, with a checksum of the bytes at its end (``blobids``).
Nothing is synced to disk before ``persist``, which syncs the files and then each directory once. Small bodies
are written in place at once on the calling thread; of larger ones 1 MiB is gathered and written by a thread while the
next is received.
"""
# ruff: noqa: PTH103, PTH104, PTH108, PTH116 -- a Path for each call would be a tenth of the cost of a small blob

import asyncio
import contextlib
import os
import re
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from candado.adapters.ambient import machine_epoch
from candado.adapters.blobfiles import read_through, storage_error, write_all
from candado.adapters.blobids import RandomIds, checksum_in, with_checksum
from candado.errors import LocalStorageError, MisuseError, NotFoundError, QuotaExceededError
from candado.ports.ambient import Random

__all__ = ["DirectoryObjects"]

T = TypeVar("T")

INLINE_BYTES_MAX: Final = 64 * 1024
PIECE_BYTES: Final = 1024 * 1024
_THREADS: Final = 8
_SYNC_SLICE: Final = 32
_RECEIVING: Final = "incoming"
_BLOB_ID = re.compile(r"[a-z0-9]{32}\Z")


class _Writer:
    """A blob that is being received; implements ``BlobWriter``."""

    __slots__ = (
        "_blob_id",
        "_checksum",
        "_descriptor",
        "_done",
        "_gathered",
        "_pieces",
        "_random_id",
        "_store",
        "_task",
    )

    def __init__(self, store: "DirectoryObjects", random_id: str) -> None:
        self._store = store
        self._random_id = random_id
        self._blob_id: str | None = None
        self._checksum = 0
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._descriptor: int | None = None
        self._task: asyncio.Future[Any] | None = None
        self._done = False

    async def write(self, data: bytes | memoryview) -> None:
        """Append; see ``BlobWriter``."""
        if self._done:
            raise MisuseError("the blob is finished")
        if data:
            self._pieces.append(bytes(data))
            self._gathered += len(data)
        if self._gathered >= PIECE_BYTES:
            await self._settle()
            self._task = self._store.in_thread(self._append, self._take())

    async def finish(self) -> str:
        """Close it and return its id; see ``BlobWriter``."""
        if self._done:
            raise MisuseError("the blob is finished")
        if self._descriptor is None and self._task is None and self._gathered <= INLINE_BYTES_MAX:
            blob_id = self._finish_small(self._take())
        else:
            await self._settle()
            self._task = finishing = self._store.in_thread(self._finish, self._take())
            await self._settle()
            blob_id = finishing.result()
        self._done = True
        return blob_id

    async def discard(self) -> None:
        """Throw it away; see ``BlobWriter``."""
        if self._done:
            return
        self._done = True
        with contextlib.suppress(LocalStorageError, QuotaExceededError):
            await self._settle()
        self._close()
        # A finish whose caller went away may have moved it already; nobody was told its id.
        paths = [self._store.temporary(self._random_id)]
        if self._blob_id is not None:
            paths.append(self._store.place(self._blob_id))
        for path in paths:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _take(self) -> list[bytes]:
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        return pieces

    async def _settle(self) -> None:
        if self._task is not None:
            # The thread goes on when the caller is cancelled, so ``discard`` must be able to wait for it.
            await asyncio.shield(self._task)
            self._task = None

    def _digest(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._checksum = zlib.crc32(piece, self._checksum)

    def _append(self, pieces: list[bytes]) -> None:
        self._digest(pieces)
        try:
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._descriptor = os.open(self._store.temporary(self._random_id), flags, 0o600)
            write_all(self._descriptor, pieces)
        except OSError as exc:
            raise storage_error(exc) from exc

    def _finish_small(self, pieces: list[bytes]) -> str:
        self._digest(pieces)
        blob_id = with_checksum(self._random_id, self._checksum)
        self._store.write_small(blob_id, pieces)
        return blob_id

    def _finish(self, pieces: list[bytes]) -> str:
        self._append(pieces)
        self._close()
        self._blob_id = blob_id = with_checksum(self._random_id, self._checksum)
        try:
            self._store.adopt(self._random_id, blob_id)
        except OSError as exc:
            raise storage_error(exc) from exc
        return blob_id

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


class DirectoryObjects:
    """Blobs below one directory; implements ``ObjectStore``."""

    def __init__(self, root: Path, random: Random, *, epoch: str | None = None, create: bool = True) -> None:
        """``create`` makes the directory; without it an absent one is a NotFoundError."""
        if not create and not root.is_dir():
            raise NotFoundError(
                "there is no directory of bodies here",
                path=str(root),
                advice="Check --storage and config.toml; when it was lost, restore the latest backup.",
            )
        self._root = str(root)
        self._ids = RandomIds(random)
        self._epoch = machine_epoch() if epoch is None else epoch
        self._made: set[str] = set()
        self._rooted: set[str] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="candado-blob")
        # Apart from the others: thousands of syncs must not stand in the way of a download.
        self._syncing = ThreadPoolExecutor(_THREADS, thread_name_prefix="candado-sync")
        (root / _RECEIVING).mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def epoch(self) -> str:
        """Changes when blobs that were not persisted may have been lost: with a new start of the machine."""
        return self._epoch

    def create(self, *, size_hint: int | None = None) -> _Writer:
        """Start a new blob; see ``ObjectStore``. The size hint is not needed here."""
        del size_hint
        return _Writer(self, self._ids.fresh())

    async def put(self, data: bytes) -> str:
        """Store a small blob in one go."""
        writer = self.create(size_hint=len(data))
        try:
            await writer.write(data)
            return await writer.finish()
        except BaseException:
            await writer.discard()
            raise

    async def persist(self, blob_ids: Sequence[str]) -> None:
        """Sync the blobs and their directories, which are few (see above); see ``ObjectStore``."""
        slices = [blob_ids[i : i + _SYNC_SLICE] for i in range(_SYNC_SLICE, len(blob_ids), _SYNC_SLICE)]
        await asyncio.gather(*[self._in_sync_thread(self._sync_files, part) for part in slices])
        # A way to a thread and back costs a small body more than all the rest, so what is left is done on one.
        await self._in_sync_thread(self._sync_rest, blob_ids)

    async def read(self, blob_id: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """Bytes start..stop in pieces of at most 1 MiB; see ``ObjectStore``."""
        descriptor = self._open(blob_id)
        try:
            size = os.fstat(descriptor).st_size
            end = size if stop is None else min(stop, size)
            position = start
            while position < end:
                count = min(PIECE_BYTES, end - position)
                if count <= INLINE_BYTES_MAX:
                    piece = os.pread(descriptor, count, position)
                else:
                    piece = await self.in_thread(os.pread, descriptor, count, position)
                if not piece:
                    raise LocalStorageError("a blob ended before its size", path=blob_id)
                position += len(piece)
                yield piece
        except OSError as exc:
            raise storage_error(exc) from exc
        finally:
            os.close(descriptor)

    async def size(self, blob_id: str) -> int:
        """Size in bytes; NotFoundError."""
        try:
            return os.stat(self.place(blob_id)).st_size
        except FileNotFoundError as exc:
            raise NotFoundError("no such blob", path=blob_id) from exc
        except OSError as exc:
            raise storage_error(exc) from exc

    async def check(self, blob_id: str) -> tuple[int, bool | None]:
        """Read it to its end: its size, and whether it is as it was written; see ``ObjectStore``."""
        size, checksum = await self.in_thread(read_through, self._open(blob_id))
        wanted = checksum_in(blob_id)
        return size, None if wanted is None else checksum == wanted

    async def delete(self, blob_ids: Sequence[str]) -> None:
        """Remove blobs; absent is success."""
        if len(blob_ids) == 1:
            self._unlink(blob_ids)
        elif blob_ids:
            await self.in_thread(self._unlink, blob_ids)

    async def scan(self) -> AsyncIterator[tuple[str, int, float]]:
        """All blobs, and what unfinished receptions left (``incoming/..``): name, size, time of writing."""
        for outer in await self.in_thread(self._folders, "."):
            for inner in await self.in_thread(self._folders, outer):
                for found in await self.in_thread(self._files, f"{outer}/{inner}"):
                    yield found
        for name, size, written in await self.in_thread(self._files, _RECEIVING):
            yield f"{_RECEIVING}/{name}", size, written

    # --- paths and system calls -----------------------------------------------------------------------

    def in_thread(self, function: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
        """Run a blocking function on the store's own threads."""
        return asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *arguments))

    def _in_sync_thread(self, function: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._syncing, partial(function, *arguments))

    def temporary(self, random_id: str) -> str:
        """Path of a blob that is being received."""
        return f"{self._root}/{_RECEIVING}/{random_id}"

    def place(self, blob_id: str) -> str:
        """Path of a finished blob, or of what ``scan`` names; NotFoundError when the text cannot be one."""
        if blob_id.startswith(f"{_RECEIVING}/") and _BLOB_ID.match(blob_id[len(_RECEIVING) + 1 :]):
            return f"{self._root}/{blob_id}"
        if not _BLOB_ID.match(blob_id):
            raise NotFoundError("no such blob", path=blob_id)
        return f"{self._root}/{blob_id[0:2]}/{blob_id[2:4]}/{blob_id}"

    def adopt(self, random_id: str, blob_id: str) -> None:
        """Move a received blob to its place; OSError."""
        self._make_folder(blob_id)
        os.rename(self.temporary(random_id), self.place(blob_id))

    def write_small(self, blob_id: str, pieces: list[bytes]) -> None:
        """Write a whole blob where it belongs.

        Nobody can know its id before this returns, and without a row it is an orphan like any other, so it needs no
        temporary name; on a journalling file system the rename would cost more than the rest.
        """
        place = self.place(blob_id)
        try:
            self._make_folder(blob_id)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                write_all(descriptor, pieces)
            except OSError:
                os.unlink(place)
                raise
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise storage_error(exc) from exc

    def _make_folder(self, blob_id: str) -> None:
        folder = blob_id[0:4]
        if folder not in self._made:
            os.makedirs(f"{self._root}/{blob_id[0:2]}/{blob_id[2:4]}", mode=0o700, exist_ok=True)
            self._made.add(folder)

    def _open(self, blob_id: str) -> int:
        try:
            return os.open(self.place(blob_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as exc:
            raise NotFoundError("no such blob", path=blob_id) from exc
        except OSError as exc:
            raise storage_error(exc) from exc

    def _sync_rest(self, blob_ids: Sequence[str]) -> None:
        self._sync_files(blob_ids[:_SYNC_SLICE])
        for folder in sorted({f"{blob_id[0:2]}/{blob_id[2:4]}" for blob_id in blob_ids}):
            self._sync_folder(folder)
            if folder not in self._rooted:
                # The names of the directories themselves, once in the life of the process.
                self._sync_folder(folder[0:2])
                self._sync_folder(".")
                self._rooted.add(folder)

    def _sync_files(self, blob_ids: Sequence[str]) -> None:
        for blob_id in blob_ids:
            descriptor = self._open(blob_id)
            try:
                os.fsync(descriptor)
            except OSError as exc:
                raise storage_error(exc) from exc
            finally:
                os.close(descriptor)

    def _sync_folder(self, folder: str) -> None:
        try:
            descriptor = os.open(f"{self._root}/{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise storage_error(exc) from exc

    def _unlink(self, blob_ids: Sequence[str]) -> None:
        for blob_id in blob_ids:
            try:
                os.unlink(self.place(blob_id))
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise storage_error(exc) from exc

    def _folders(self, folder: str) -> list[str]:
        with os.scandir(f"{self._root}/{folder}") as found:
            return sorted(e.name for e in found if len(e.name) == 2 and e.is_dir(follow_symlinks=False))

    def _files(self, folder: str) -> list[tuple[str, int, float]]:
        files: list[tuple[str, int, float]] = []
        with os.scandir(f"{self._root}/{folder}") as found:
            for entry in found:
                with contextlib.suppress(FileNotFoundError):
                    facts = entry.stat(follow_symlinks=False)
                    files.append((entry.name, facts.st_size, facts.st_mtime))
        return sorted(files)
