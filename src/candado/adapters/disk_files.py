"""Open local files: one that is read for an upload, and the spool that a download is written to.

Layer: ``adapters``; implements ``ports.client.LocalFile`` and ``Spool`` for ``disk.py``.
"""

import contextlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from candado.adapters.disk_calls import translated
from candado.errors import FileChangedError, MisuseError
from candado.ports.client import LocalStat

__all__ = ["DiskFile", "DiskSpool", "OpenSpools", "is_same_file", "local_stat"]

_HELD_BYTES_MAX: Final = 1 << 16


def local_stat(facts: os.stat_result) -> LocalStat | None:
    """The facts of a regular file or a folder; None of anything else."""
    is_folder = stat.S_ISDIR(facts.st_mode)
    if not is_folder and not stat.S_ISREG(facts.st_mode):
        return None
    size = 0 if is_folder else facts.st_size
    return LocalStat(is_folder, size, facts.st_mtime_ns, facts.st_ino, facts.st_ctime_ns)


def is_same_file(now: LocalStat | None, expected: LocalStat) -> bool:
    """Whether a file is the expected one but for the time of its attributes, which a rename changes."""
    return now is not None and replace(now, ctime_ns=expected.ctime_ns) == expected


class DiskFile:
    """A regular file that is being read; implements ``LocalFile``.

    Args:
        fd: open for reading; owned.
        path: for messages.
        look: the facts of what is at the path now, None when nothing is.
    """

    def __init__(self, fd: int, path: str, look: Callable[[], os.stat_result | None]) -> None:
        self._fd = fd
        self._path = path
        self._look = look
        self._facts = os.fstat(fd)
        found = local_stat(self._facts)
        if found is None or found.is_folder:
            os.close(fd)
            raise FileChangedError("this is not a regular file any more", path=path)
        self._stat = found

    @property
    def stat(self) -> LocalStat:
        """State at the time of opening."""
        return self._stat

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer as far as the file goes; 0 at the end."""
        filled = 0
        try:
            while filled < len(buffer):
                count = os.readv(self._fd, [buffer[filled:]])
                if count == 0:
                    break
                filled += count
        except OSError as exc:
            raise translated(exc, self._path) from exc
        return filled

    def check_unchanged(self) -> None:
        """FileChangedError when the open file was written to or another file is at its path."""
        there = self._look()
        for now in (os.fstat(self._fd), there):
            if now is None or _identity(now) != _identity(self._facts):
                raise FileChangedError("the file changed while it was read", path=self._path)

    def close(self) -> None:
        """Close the file; harmless twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _identity(facts: os.stat_result) -> tuple[int, ...]:
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


class OpenSpools:
    """Bounds the number of spools that are open at once; the others are closed and open again when written to."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._open: OrderedDict[int, DiskSpool] = OrderedDict()
        self._mutex = threading.Lock()

    def opened(self, spool: "DiskSpool") -> None:
        """Count a spool as open and close the one that waits longest when there are too many."""
        with self._mutex:
            self._open[id(spool)] = spool
            surplus = None
            if len(self._open) > self._count_max:
                surplus = self._open.popitem(last=False)[1]
        if surplus is not None:
            surplus.pause()

    def closed(self, spool: "DiskSpool") -> None:
        """Count it no more."""
        with self._mutex:
            self._open.pop(id(spool), None)


class DiskSpool:
    """A private temporary file, mode 0600; implements ``Spool``. Its errors name no path: people never see its name.

    Small content waits in memory for ``settle``, which a batch calls in threads: creating a file for each of
    thousands, one after the other, would hold up the requests for the next ones.

    Args:
        folder_fd: the open working folder; not owned.
        name: its name there.
        open_spools: bounds how many are open.
    """

    _FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW

    def __init__(self, folder_fd: int, name: str, open_spools: OpenSpools) -> None:
        self.name = name
        self._folder_fd = folder_fd
        self._open_spools = open_spools
        self._mutex = threading.Lock()
        self._done = False
        self._exists = False
        self._held = b""
        self._fd = -1

    def write(self, data: bytes | memoryview) -> None:
        """Append; DiskFullError, LocalPermissionError, LocalStorageError, of small content at ``settle``."""
        with self._mutex:
            if not self._exists and not self._done and len(self._held) + len(data) <= _HELD_BYTES_MAX:
                self._held = b"".join((self._held, data))
                return
            opened = self._fd < 0
            self._write_out(data)
        if opened:
            self._open_spools.opened(self)

    def settle(self, mtime_ns: int) -> None:
        """Set the time, make data and time durable, close."""
        with self._mutex:
            try:
                self._write_out(b"")
                os.utime(self._fd, ns=(mtime_ns, mtime_ns))
                os.fsync(self._fd)
            except OSError as exc:
                raise translated(exc, "") from exc
            finally:
                self._close()
        self._open_spools.closed(self)

    def published(self) -> None:
        """It has a final name now: ``discard`` does nothing any more."""
        self._done = True

    def pause(self) -> None:
        """Close the file for now."""
        with self._mutex:
            self._close()

    def discard(self) -> None:
        """Remove it; harmless twice and after ``publish``."""
        with self._mutex:
            self._close()
            self._held = b""
            if not self._done:
                self._done = True
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.name, dir_fd=self._folder_fd)
        self._open_spools.closed(self)

    def _write_out(self, data: bytes | memoryview) -> None:
        """Append what waits and ``data`` to the file, which is made or opened again where needed."""
        if self._done:
            raise MisuseError("a spool was used after discard or publish")
        try:
            if self._fd < 0:
                flags = self._FLAGS if self._exists else self._FLAGS | os.O_CREAT | os.O_EXCL
                self._fd = os.open(self.name, flags, 0o600, dir_fd=self._folder_fd)
                self._exists = True
            held, self._held = self._held, b""
            for piece in (held, data):
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
        except OSError as exc:
            raise translated(exc, "") from exc

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
