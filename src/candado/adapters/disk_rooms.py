"""The three places beside the visible tree: spools in the making, the trash, the quarantine.

Layer: ``adapters``; part of ``disk.py``.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import threading
import time
from itertools import count
from pathlib import Path
from typing import Final

from candado.adapters.disk_calls import names_in, rename_new, translated
from candado.adapters.disk_files import DiskSpool, OpenSpools
from candado.errors import MisuseError
from candado.ports.ambient import Clock

__all__ = ["Quarantine", "SpoolRoom", "Trash"]

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPOOLS: Final = ".candado-tmp-"
_TRASH: Final = ".candado-trash"
_TRASH_DAYS: Final = 30
_QUARANTINE_FILES_MAX: Final = 50
_OPEN_SPOOLS_MAX: Final = 128


class SpoolRoom:
    """A private folder inside the tree, made at the first spool and removed at the end.

    It is locked while its process lives, so that another device working in the same tree can tell it from a left one.
    """

    def __init__(self, root_fd: int, root: str) -> None:
        self._root_fd = root_fd
        self._root = root
        self._fd = -1
        self._name = ""
        self._numbers = count()
        self._mutex = threading.Lock()
        self._open_spools = OpenSpools(_OPEN_SPOOLS_MAX)

    @property
    def folder_fd(self) -> int:
        """The open folder; MisuseError before the first spool."""
        if self._fd < 0:
            raise MisuseError("there is no spool yet")
        return self._fd

    def create(self) -> DiskSpool:
        """A new spool; DiskFullError, LocalPermissionError."""
        with self._mutex:
            if self._fd < 0:
                self._make()
            name = f"{next(self._numbers):08d}"
        return DiskSpool(self._fd, name, self._open_spools)

    def clean(self) -> None:
        """Remove the folders of processes that died."""
        for name in names_in(self._root_fd):
            if not name.startswith(_SPOOLS):
                continue
            with contextlib.suppress(OSError):
                fd = os.open(name, _FOLDER_FLAGS, dir_fd=self._root_fd)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _empty(fd)
                    os.rmdir(name, dir_fd=self._root_fd)
                finally:
                    os.close(fd)

    def close(self) -> None:
        """Remove the own folder with what is left in it."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                _empty(self._fd)
                os.rmdir(self._name, dir_fd=self._root_fd)
            os.close(self._fd)
            self._fd = -1

    def _make(self) -> None:
        name = _SPOOLS + secrets.token_hex(4)
        try:
            os.mkdir(name, 0o700, dir_fd=self._root_fd)
            fd = os.open(name, _FOLDER_FLAGS, dir_fd=self._root_fd)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise translated(exc, self._root) from exc
        self._name, self._fd = name, fd


class Trash:
    """What a sync removed, below one folder a day, at the path it had."""

    def __init__(self, root_fd: int, clock: Clock) -> None:
        self._root_fd = root_fd
        self._clock = clock

    def take(self, folder_fd: int, name: str, path: str) -> tuple[int, str]:
        """Move a file here; the open folder it is in now (the caller closes it) and its name there. OSError."""
        parts = [_TRASH, self._day(0), *path.split("/")[:-1]]
        fd = os.dup(self._root_fd)
        try:
            for part in parts:
                below = _entered(fd, part)
                os.close(fd)
                fd = below
            kept, number = path.rpartition("/")[2], 1
            while not _renamed(folder_fd, name, fd, kept):
                number += 1
                kept = _numbered(path.rpartition("/")[2], number)
        except BaseException:
            os.close(fd)
            raise
        return fd, kept

    def purge(self) -> None:
        """Remove the days that are older than 30 days."""
        oldest = self._day(-_TRASH_DAYS)
        with contextlib.suppress(OSError):
            fd = os.open(_TRASH, _FOLDER_FLAGS, dir_fd=self._root_fd)
            try:
                for day in names_in(fd):
                    if len(day) == len(oldest) and day < oldest:
                        _remove_all(fd, day)
            finally:
                os.close(fd)

    def _day(self, offset: int) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(self._clock.now() + offset * 86400))


class Quarantine:
    """Downloads that failed their check, in the state folder; the oldest go when there are more than 50."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def take(self, source_fd: int, source: str, name: str, reason: str) -> str:
        """Move or copy a spool here; its path."""
        label = "".join(c if c.isalnum() or c in "._-" else "_" for c in name.rpartition("/")[2])[:80]
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock.now()))
        kept = f"{stamp}-{secrets.token_hex(3)}-{label}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                try:
                    rename_new(source_fd, source, fd, kept)
                except OSError as exc:
                    if exc.errno != errno.EXDEV:
                        raise
                    _copy(source_fd, source, fd, kept)
                    os.unlink(source, dir_fd=source_fd)
            finally:
                os.close(fd)
            note = self._folder / f"{kept}.reason.txt"
            with os.fdopen(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
                file.write(f"{name}\n{reason}\n")
            for old in sorted(self._folder.iterdir())[: -2 * _QUARANTINE_FILES_MAX]:
                old.unlink()
        except OSError as exc:
            raise translated(exc, str(self._folder)) from exc
        return str(self._folder / kept)


def _entered(fd: int, name: str) -> int:
    """The open folder of this name, made when absent; another name when a file has this one already."""
    number, free = 1, name
    while True:
        with contextlib.suppress(FileExistsError):
            os.mkdir(free, 0o700, dir_fd=fd)
        try:
            return os.open(free, _FOLDER_FLAGS, dir_fd=fd)
        except OSError as exc:
            if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
        number += 1
        free = _numbered(name, number)


def _numbered(name: str, number: int) -> str:
    """The name with a number before it, at most 255 bytes long."""
    return f"{number} {name}".encode()[:255].decode("utf-8", "ignore")


def _renamed(source_fd: int, source: str, target_fd: int, target: str) -> bool:
    try:
        rename_new(source_fd, source, target_fd, target)
    except FileExistsError:
        return False
    return True


def _copy(source_fd: int, source: str, target_fd: int, target: str) -> None:
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source_fd)
    try:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target_fd)
        try:
            while os.sendfile(writer, reader, None, 1 << 24):
                pass
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _empty(fd: int) -> None:
    """Remove what is in an open folder that holds files only."""
    for name in names_in(fd):
        os.unlink(name, dir_fd=fd)


def _remove_all(folder_fd: int, name: str) -> None:
    """Remove a folder and all below it without following links."""
    fd = os.open(name, _FOLDER_FLAGS, dir_fd=folder_fd)
    try:
        for child in names_in(fd):
            if stat.S_ISDIR(os.stat(child, dir_fd=fd, follow_symlinks=False).st_mode):
                _remove_all(fd, child)
            else:
                os.unlink(child, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=folder_fd)
