"""A bundle that is being written, in a folder.

Layer: ``adapters``; implements ``ports.bundle.BundleTarget``. A file gets its name when it is whole and durable, the
manifest gets its own when everything else has. Until then ``unfinished.json`` says whose the folder is: an export goes
on only where the same export began, and never touches a folder with anything else in it.
"""

import contextlib
import fcntl
import os
import threading
from itertools import count
from pathlib import Path
from typing import Final

from candado.adapters.disk_calls import translated
from candado.adapters.source_files import SourceFolder
from candado.errors import AlreadyExistsError, BusyError, MisuseError
from candado.formats.bundle import MANIFEST_NAME, UNFINISHED_NAME, is_member_name

__all__ = ["BundleFolder"]

_SPOOLS: Final = "partial"
_SAFE: Final = "What is there was not touched."
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class _Spool:
    """One file on its way; implements ``BundleSpool``."""

    def __init__(self, folder: "BundleFolder", path: Path, target: Path) -> None:
        self._folder, self._path, self._target = folder, path, target
        try:
            self._fd = os.open(path, _WRITE, 0o600)
        except OSError as exc:
            raise translated(exc, str(path)) from exc

    def write(self, data: bytes | memoryview) -> None:
        """Append."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as exc:
            raise translated(exc, str(self._path)) from exc

    def keep(self) -> None:
        """Make it durable, then give it its name."""
        try:
            os.fsync(self._fd)
            self._close()
            self._folder.make(self._target.parent)
            self._path.replace(self._target)
        except OSError as exc:
            raise translated(exc, str(self._target)) from exc

    def discard(self) -> None:
        """Remove it."""
        self._close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class BundleFolder(SourceFolder):
    """The folder of an unfinished bundle; the same process may read what was kept.

    Args:
        root: absent, empty, or begun by the same export.
        mark: tells one export from another.
        staged: the bundle is packed into one file afterwards: the mark stays, and a finished bundle is one too.

    Raises:
        AlreadyExistsError: something else is there. BusyError: another process writes it. LocalStorageError.
    """

    def __init__(self, root: Path, *, mark: bytes, staged: bool = False) -> None:
        super().__init__(root)
        self._root, self._staged = root, staged
        self._numbers = count()
        self._mutex = threading.Lock()
        self._folders: set[Path] = {root}
        try:
            self._fd = self._claim(mark)
        except OSError as exc:
            raise translated(exc, str(root)) from exc
        self.is_finished = (root / MANIFEST_NAME).exists()

    def _claim(self, mark: bytes) -> int:
        with contextlib.suppress(FileExistsError):
            self._root.mkdir(parents=True, mode=0o700)
        names = {path.name for path in self._root.iterdir()}
        if MANIFEST_NAME in names and not (self._staged and UNFINISHED_NAME in names):
            raise AlreadyExistsError("There is a finished bundle here.", path=self.where, safe=_SAFE)
        if names and UNFINISHED_NAME not in names:
            raise AlreadyExistsError("This folder is not empty and not a bundle.", path=self.where, safe=_SAFE)
        fd = os.open(self._root / UNFINISHED_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sign(fd, mark)
            spools = self._root / _SPOOLS
            spools.mkdir(mode=0o700, exist_ok=True)
            for left in spools.iterdir():
                left.unlink()
        except BlockingIOError as exc:
            os.close(fd)
            raise BusyError("Another process writes this bundle.", path=self.where) from exc
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _sign(self, fd: int, mark: bytes) -> None:
        """Write whose the folder is; a beginning of our mark is left by a crash."""
        if not mark.startswith(os.read(fd, len(mark) + 1)):
            raise AlreadyExistsError("Another export began here.", path=self.where, safe=_SAFE)
        os.pwrite(fd, mark, 0)
        os.fsync(fd)

    def spool(self, name: str) -> _Spool:
        """Begin a file."""
        if not is_member_name(name):
            raise MisuseError("a bundle has no file of this name")
        return _Spool(self, self._root / _SPOOLS / str(next(self._numbers)), self._root / name)

    def make(self, folder: Path) -> None:
        """Make a folder of the bundle where it is absent; OSError."""
        with self._mutex:
            if folder not in self._folders:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._folders |= {folder, *folder.parents[: len(folder.relative_to(self._root).parts) - 1]}

    def remove(self, name: str) -> None:
        """Remove a file of the bundle; harmless when absent."""
        if is_member_name(name):
            with contextlib.suppress(FileNotFoundError):
                (self._root / name).unlink()

    def finish(self, manifest: bytes) -> None:
        """Folders durable, then the manifest, then the mark goes."""
        try:
            for folder in sorted(self._folders):
                _sync(folder)
            self.spool_manifest(manifest)
            _sync(self._root)
            (self._root / _SPOOLS).rmdir()
            if not self._staged:
                (self._root / UNFINISHED_NAME).unlink()
        except OSError as exc:
            raise translated(exc, self.where) from exc
        self.is_finished = True

    def spool_manifest(self, manifest: bytes) -> None:
        """Write the manifest."""
        spool = self.spool(MANIFEST_NAME)
        spool.write(manifest)
        spool.keep()

    def close(self) -> None:
        """Let others write; harmless twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
