"""The audit log in a file: append, sync, set aside.

Layer: ``adapters``; implements ``ports.auditsink.AuditSink``. One process writes it at a time (a lock of the system
says so). What a power cut or a full disk left of a line is cut off when the file is opened, so that it consists of
whole lines, and its last record says where to go on: no record is in it twice, none is left out.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from candado.adapters.disk_calls import rename_new, translated
from candado.errors import BusyError, CandadoError, LocalStorageError
from candado.formats.auditlines import LineFormat, sequence_of
from candado.ports.auditsink import SinkLine

__all__ = ["AuditFile"]

T = TypeVar("T")

_TAIL_BYTES: Final = 256 * 1024
_BEGINNINGS: Final = (b"{", b"CEF:0|candado|")
_NO_RECORDS: Final = (b'{"start":', b'{"checkpoint":')


class AuditFile:
    """One file, mode 0600, in a directory that exists."""

    def __init__(self, path: Path, line_format: LineFormat) -> None:
        self._path = path
        self._format: LineFormat = line_format
        self._fd: int | None = None
        self._size = 0
        self._hanging: asyncio.Future[Any] | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the file is empty."""
        return self._size == 0

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self._size

    async def open(self) -> int | None:
        """Take the file and mend its end; the number after its last record, None when there is none.

        Raises:
            BusyError: another process writes it. LocalPermissionError, LocalStorageError, DiskFullError.
        """
        return await self._in_thread(self._open)

    async def send(self, lines: Sequence[SinkLine]) -> None:
        """Append the lines and sync them; after an error the file is as it was before."""
        data = b"".join(line.text + b"\n" for line in lines)
        await self._in_thread(lambda: self._append(data))

    async def rotate(self, last_sequence: int) -> None:
        """Rename the file to one with the number in its name, and begin an empty one."""
        await self._in_thread(lambda: self._rotate(last_sequence))

    async def close(self) -> None:
        """Give the file free, or leave that to the next ``open`` when the disk still works on it."""
        if self._hanging is not None and not self._hanging.done():
            return
        fd, self._fd = self._fd, None
        if fd is not None:
            await asyncio.to_thread(os.close, fd)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run it where a disk that hangs holds up nobody else; one at a time, whatever became of who waited."""
        if self._hanging is not None and not self._hanging.done():
            raise BusyError("the disk has not ended what it was asked for", path=str(self._path))
        running = asyncio.ensure_future(asyncio.to_thread(work))
        self._hanging = running
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(_forget)
            raise
        except OSError as exc:
            raise translated(exc, str(self._path)) from exc

    def _open(self) -> int | None:
        if self._fd is not None:  # a call that nobody waited for any more had opened it
            os.close(self._fd)
            self._fd = None
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self._path, flags, 0o600)
        try:
            self._lock(fd)
            self._size = self._mend(fd)
            found = self._last_record(fd)
        except BaseException:
            os.close(fd)
            raise
        self._sync_directory()
        self._fd = fd
        return None if found is None else found + 1

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise BusyError("another process writes this file", path=str(self._path)) from exc
        if not os.path.samestat(os.fstat(fd), self._path.lstat()):
            raise BusyError("another process has just set this file aside", path=str(self._path))

    def _mend(self, fd: int) -> int:
        """Cut off the part of a line at the end; the size."""
        size = os.fstat(fd).st_size
        start = max(0, size - _TAIL_BYTES)
        tail = os.pread(fd, size - start, start)
        if tail.endswith(b"\n") or not tail:
            return size
        cut = tail.rfind(b"\n") + 1
        if cut == 0 and not (start == 0 and tail.startswith(_BEGINNINGS)):
            raise self._not_ours()
        os.ftruncate(fd, start + cut)
        os.fsync(fd)
        return start + cut

    def _last_record(self, fd: int) -> int | None:
        start = max(0, self._size - _TAIL_BYTES)
        lines = os.pread(fd, self._size - start, start).split(b"\n")[:-1]
        for line in reversed(lines):
            found = sequence_of(self._format, line)
            if found is not None:
                return found
        if not all(line.startswith(_NO_RECORDS) for line in lines):
            raise self._not_ours()
        return None

    def _not_ours(self) -> CandadoError:
        return LocalStorageError(
            "this file is no audit log in the format that is set",
            path=str(self._path),
            safe="The file was left as it is.",
            advice="Name another file, or move this one away.",
        )

    def _append(self, data: bytes) -> None:
        fd = self._opened()
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fsync(fd)
        except OSError:
            with contextlib.suppress(OSError):  # the next one who opens it cuts off what is no whole line
                os.ftruncate(fd, self._size)
            raise
        self._size += len(data)

    def _rotate(self, last_sequence: int) -> None:
        fd = self._opened()
        aside = self._path.with_name(f"{self._path.stem}-{last_sequence:012d}{self._path.suffix}")
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            rename_new(directory, self._path.name, directory, aside.name)
            os.fsync(directory)
        finally:
            os.close(directory)
        self._fd = None
        os.close(fd)
        self._open()

    def _sync_directory(self) -> None:
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _opened(self) -> int:
        if self._fd is None:
            raise OSError(errno.EBADF, "the file is not open")
        return self._fd


def _forget(ended: "asyncio.Future[Any]") -> None:
    """Nobody waits for it any more; its error was none of theirs."""
    if not ended.cancelled():
        ended.exception()
