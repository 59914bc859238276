"""Files of somebody else: a folder or a tar file that is read and never trusted.

Layer: ``adapters``; implements ``ports.bundle.SourceFiles``. Only what every Python has is used, so that it works on
Windows too. A tar is never unpacked: its members are found once, by name, and read in place.
"""

import os
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from candado.adapters.disk_calls import translated
from candado.errors import LimitExceededError, MalformedError, NotFoundError
from candado.ports.bundle import FileFact

__all__ = ["OpenedFile", "SourceFolder", "SourceTar", "open_regular", "open_source"]

_FILES_MAX: Final = 12_000_000
_DEPTH_MAX: Final = 300
_BLOCK: Final = tarfile.BLOCKSIZE
_READ_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class OpenedFile:
    """Part of an open file; implements ``SourceFile``.

    Args:
        fd: of the file; closed at the end.
        size_bytes: how much belongs to it.
        mtime_seconds: its time.
        path: for messages.
    """

    def __init__(self, fd: int, size_bytes: int, mtime_seconds: float, path: str) -> None:
        self._fd = fd
        self._left = self.size_bytes = size_bytes
        self.mtime_seconds = mtime_seconds
        self._path = path

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer as far as the file goes; 0 at the end."""
        filled, wanted = 0, min(len(buffer), self._left)
        try:
            while filled < wanted:
                piece = os.read(self._fd, wanted - filled)
                if not piece:
                    break
                buffer[filled : filled + len(piece)] = piece
                filled += len(piece)
        except OSError as exc:
            raise translated(exc, self._path) from exc
        self._left -= filled
        return filled

    def close(self) -> None:
        """Close it; harmless twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_regular(path: Path) -> tuple[int, os.stat_result] | None:
    """Open a regular file; None when there is none, or something else."""
    try:
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode):
            return None
        fd = os.open(path, _READ_FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise translated(exc, str(path)) from exc
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode):
        os.close(fd)
        return None
    return fd, facts


class SourceFolder:
    """A folder and all below it.

    Args:
        root: the folder; a link at this very place is the person's choice.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.where = str(root)

    def facts(self) -> Iterator[FileFact]:
        """All regular files below; links and special files are left out."""
        count = 0
        waiting: list[tuple[str, int]] = [("", 0)]
        while waiting:
            folder, depth = waiting.pop()
            try:
                with os.scandir(self._root / folder) as entries:
                    found = list(entries)
            except OSError as exc:
                raise translated(exc, str(self._root / folder)) from exc
            for entry in found:
                name = f"{folder}/{entry.name}" if folder else entry.name
                count += 1
                if count > _FILES_MAX or depth > _DEPTH_MAX:
                    raise LimitExceededError("a folder has too many files in it, or is too deep", path=self.where)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((name, depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    facts = entry.stat(follow_symlinks=False)
                    yield FileFact(name, facts.st_size, facts.st_mtime)

    def open(self, name: str) -> OpenedFile | None:
        """A regular file; no part of its name may be a link."""
        path = self._root
        *folders, last = name.split("/")
        for part in folders:
            path /= part
            try:
                if not stat.S_ISDIR(path.lstat().st_mode):
                    return None
            except OSError:
                return None
        opened = open_regular(path / last)
        if opened is None:
            return None
        fd, facts = opened
        return OpenedFile(fd, facts.st_size, facts.st_mtime, str(path / last))

    def close(self) -> None:
        """Nothing is held."""


class SourceTar:
    """A tar file; every member has to be a regular file of an expected name, each once.

    Args:
        path: the file.
        expected: whether a name may occur.
        lenient: pass over what is not expected, and take a tar as far as it can be read.

    Raises:
        MalformedError: not such a tar. LimitExceededError: too many members. LocalStorageError.
    """

    def __init__(self, path: Path, *, expected: Callable[[str], bool], lenient: bool = False) -> None:
        self.where = str(path)
        opened = open_regular(path)
        if opened is None:
            raise NotFoundError("There is no such file.", path=self.where, advice="Name the bundle.")
        self._fd, facts = opened
        self._size = facts.st_size
        self._mutex = threading.Lock()
        self._members: dict[str, tuple[int, int, float]] = {}
        try:
            self._look(expected, lenient=lenient)
        except MalformedError:
            if not lenient or not self._members:
                self.close()
                raise
        except BaseException:
            self.close()
            raise

    def _look(self, expected: Callable[[str], bool], *, lenient: bool) -> None:
        at = 0
        while True:
            header = self._read(at, _BLOCK)
            if len(header) < _BLOCK:
                raise self._malformed("it is cut off")
            if not any(header):
                return
            try:
                info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
            except (tarfile.HeaderError, UnicodeDecodeError) as exc:
                raise self._malformed("it is damaged, or no tar file") from exc
            at += _BLOCK
            if info.size < 0 or at + info.size > self._size:
                raise self._malformed("it is cut off")
            if len(self._members) >= _FILES_MAX:
                raise LimitExceededError("a tar file has too many members", path=self.where)
            if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and expected(info.name):
                if info.name in self._members:
                    raise self._malformed("it has a file twice")
                self._members[info.name] = (at, info.size, float(info.mtime))
            elif not lenient:
                raise self._malformed("it has something in it that no bundle has")
            at += -(-info.size // _BLOCK) * _BLOCK

    def _malformed(self, reason: str) -> MalformedError:
        return MalformedError(
            f"This file is not a whole bundle: {reason}.",
            path=self.where,
            safe="Nothing was written.",
            advice="Use another copy of it, or add --salvage to take what can be read.",
        )

    def _read(self, at: int, count: int) -> bytes:
        try:
            with self._mutex:
                os.lseek(self._fd, at, os.SEEK_SET)
                return os.read(self._fd, count)
        except OSError as exc:
            raise translated(exc, self.where) from exc

    def facts(self) -> Iterator[FileFact]:
        """All members."""
        for name, (_, size, mtime) in self._members.items():
            yield FileFact(name, size, mtime)

    def open(self, name: str) -> OpenedFile | None:
        """A member, over a descriptor of its own."""
        if name not in self._members:
            return None
        at, size, mtime = self._members[name]
        try:
            fd = os.open(self.where, _READ_FLAGS)
            os.lseek(fd, at, os.SEEK_SET)
        except OSError as exc:
            raise translated(exc, self.where) from exc
        return OpenedFile(fd, size, mtime, f"{self.where}: {name}")

    def close(self) -> None:
        """Close the file; harmless twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_source(path: Path, *, expected: Callable[[str], bool], lenient: bool = False) -> SourceFolder | SourceTar:
    """What is at a path; NotFoundError when nothing is."""
    if path.is_dir():
        return SourceFolder(path)
    return SourceTar(path, expected=expected, lenient=lenient)
