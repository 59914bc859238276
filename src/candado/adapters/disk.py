"""The folder a person sees, on a POSIX file system.

Layer: ``adapters``; implements ``ports.client.LocalTree``. Every access goes component by component through open
folders (``openat`` with ``O_NOFOLLOW``), so a link that is planted at any moment is never followed and nothing outside
the root is read or written. Working names inside the root, never synced and 0700:

    .candado-tmp-XXXX/   spools of a running process, locked by it; left ones are removed at the next start
    .candado-trash/DAY/  files that a sync removed or replaced, kept for 30 days

A new version becomes visible in this order: data of all spools durable, rename (never over something unexpected),
folders durable.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from candado.adapters.disk_calls import exchange, names_in, rename_new, translated
from candado.adapters.disk_files import DiskFile, DiskSpool, is_same_file, local_stat
from candado.adapters.disk_ignore import is_own_name
from candado.adapters.disk_rooms import Quarantine, SpoolRoom, Trash
from candado.adapters.disk_scan import scan_tree
from candado.errors import (
    AlreadyExistsError,
    CandadoError,
    FileChangedError,
    LocalNameError,
    MisuseError,
)
from candado.ports.ambient import Clock
from candado.ports.client import LeftOut, LocalFile, LocalStat, Spool

__all__ = ["DiskTree"]

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SYNC_THREADS: Final = 8
_TRIED_FILES: Final = 2
_QUICK_SECONDS: Final = 0.0005
"""A disk that makes a small file durable in less does not keep anybody waiting."""

PublishItem = tuple[Spool, str, float, LocalStat | None]


class DiskTree:
    """One local folder and all below it; implements ``LocalTree``. Thread-safe.

    Args:
        root: the folder; it is created when absent. A link at this very place is followed, it is the person's choice.
        quarantine: folder outside the tree for downloads that failed their check.
        clock: names the days of the trash.
    """

    def __init__(self, root: Path, *, quarantine: Path, clock: Clock) -> None:
        self.root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            raise translated(exc, str(root)) from exc
        self._skipped: list[LeftOut] = []
        self._spools = SpoolRoom(self._root_fd, str(root))
        self._trash = Trash(self._root_fd, clock)
        self._quarantine = Quarantine(quarantine, clock)
        self._spools.clean()
        self._trash.purge()

    def scan(self) -> dict[str, LocalStat]:
        """All regular files and folders by local path; LocalPermissionError when the root cannot be read.

        A folder below that cannot be read is here and in ``skipped``: without that it would look emptied.
        """
        found, self._skipped = scan_tree(self._root_fd)
        return found

    def skipped(self) -> list[LeftOut]:
        """What the last scan left out: links, special files, ignored and unusable names, unreadable folders."""
        return list(self._skipped)

    def stat(self, path: str) -> LocalStat | None:
        """State of one path; None when there is no regular file or folder."""
        facts = self._look(path)
        return None if facts is None else local_stat(facts)

    def open_read(self, path: str) -> LocalFile:
        """Open a regular file; FileChangedError when it is gone or no longer one, LocalPermissionError."""
        with self._parent(path) as (folder_fd, name):
            try:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                fd = os.open(name, flags, dir_fd=folder_fd)
            except OSError as exc:
                raise translated(exc, path) from exc
        return DiskFile(fd, path, lambda: self._look(path))

    def open_spool(self) -> DiskSpool:
        """New private temporary file; DiskFullError, LocalPermissionError."""
        return self._spools.create()

    def publish(self, items: Iterable[PublishItem]) -> list[LocalStat | Exception]:
        """Make spools durable, then visible; per item the new state or the error. See the port."""
        work = [(_own(spool), path, round(mtime * 1e9), expected) for spool, path, mtime, expected in items]
        results: list[LocalStat | Exception | None] = []
        results += _settle_all([(spool, path, mtime_ns) for spool, path, mtime_ns, _ in work])
        by_folder: dict[str, list[int]] = {}
        for number, (_, path, _, _) in enumerate(work):
            if results[number] is None:
                by_folder.setdefault(path.rpartition("/")[0], []).append(number)
        for folder, numbers in by_folder.items():
            try:
                with self._folder(folder) as folder_fd:
                    for number in numbers:
                        spool, path, _, expected = work[number]
                        try:
                            results[number] = self._place(spool, folder_fd, path, expected)
                        except CandadoError as exc:
                            results[number] = exc
                    _sync_folder(folder_fd, folder)
            except CandadoError as exc:
                for number in numbers:
                    results[number] = exc
        return [FileChangedError(path=item[1]) if one is None else one for one, item in zip(results, work, strict=True)]

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents, durably; LocalStorageError when something else is there."""
        parts = _parts(path)
        with contextlib.ExitStack() as stack:
            fd = self._root_fd
            for part in parts:
                try:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=fd)
                        _sync_folder(fd, path)
                    fd = os.open(part, _FOLDER_FLAGS, dir_fd=fd)
                except OSError as exc:
                    raise translated(exc, path) from exc
                stack.callback(os.close, fd)

    def move(self, source: str, target: str) -> None:
        """Rename without overwriting; AlreadyExistsError, FileChangedError when the source is gone."""
        with self._parent(source) as (source_fd, old), self._parent(target) as (target_fd, new):
            try:
                rename_new(source_fd, old, target_fd, new)
            except FileExistsError as exc:
                raise AlreadyExistsError("something is already at this local path", path=target) from exc
            except OSError as exc:
                raise translated(exc, source) from exc

    def remove(self, path: str, expected: LocalStat) -> None:
        """Move a file that is still as expected into the trash; FileChangedError when it is not."""
        with self._parent(path) as (folder_fd, name):
            if not _is_expected(_facts_at(folder_fd, name), expected):
                raise FileChangedError("the file changed before it could be removed", path=path)
            try:
                day_fd, kept = self._trash.take(folder_fd, name, path)
            except OSError as exc:
                raise translated(exc, path) from exc
            try:
                if not is_same_file(_facts_at(day_fd, kept), expected):
                    rename_new(day_fd, kept, folder_fd, name)
                    raise FileChangedError("the file changed while it was being removed", path=path)
            finally:
                os.close(day_fd)

    def remove_folder(self, path: str) -> bool:
        """Remove an empty folder; True also when it is absent, False when something is in it."""
        with self._parent(path) as (folder_fd, name):
            try:
                os.rmdir(name, dir_fd=folder_fd)
            except FileNotFoundError:
                return True
            except OSError as exc:
                if _is_busy_folder(folder_fd, name):
                    return False
                raise translated(exc, path) from exc
        return True

    def quarantine(self, spool: Spool, name: str, reason: str) -> str:
        """Keep an unverified download outside the tree, mode 0600, with its reason beside it; returns its path."""
        own = _own(spool)
        own.settle(0)
        kept = self._quarantine.take(self._spools.folder_fd, own.name, name, reason)
        own.published()
        return kept

    def close(self) -> None:
        """Remove the working folder and close; harmless twice."""
        if self._root_fd >= 0:
            self._spools.close()
            os.close(self._root_fd)
            self._root_fd = -1

    def _place(self, spool: DiskSpool, folder_fd: int, path: str, expected: LocalStat | None) -> LocalStat | None:
        name = path.rpartition("/")[2]
        _check_name(name, path)
        spool_fd = self._spools.folder_fd
        try:
            if expected is None:
                rename_new(spool_fd, spool.name, folder_fd, name)
            else:
                if not _is_expected(_facts_at(folder_fd, name), expected):
                    raise FileChangedError("the local file changed meanwhile", path=path)
                if not exchange(spool_fd, spool.name, folder_fd, name):
                    os.rename(spool.name, name, src_dir_fd=spool_fd, dst_dir_fd=folder_fd)
                elif is_same_file(_facts_at(spool_fd, spool.name), expected):
                    self._put_aside(spool_fd, spool.name, path)
                else:
                    exchange(spool_fd, spool.name, folder_fd, name)
                    raise FileChangedError("the local file changed meanwhile", path=path)
        except FileExistsError as exc:
            raise FileChangedError("something appeared at this local path meanwhile", path=path) from exc
        except OSError as exc:
            raise translated(exc, path) from exc
        spool.published()
        return _facts_at(folder_fd, name)

    def _put_aside(self, folder_fd: int, name: str, path: str) -> None:
        """Keep the replaced version in the trash; when that has no room, let it go: the server had it."""
        try:
            os.close(self._trash.take(folder_fd, name, path)[0])
        except OSError:
            os.unlink(name, dir_fd=folder_fd)

    def _look(self, path: str) -> os.stat_result | None:
        try:
            with self._parent(path) as (folder_fd, name):
                return os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        except (FileNotFoundError, FileChangedError):
            return None
        except OSError as exc:
            raise translated(exc, path) from exc

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        folder, _, name = path.rpartition("/")
        _check_name(name, path)
        with self._folder(folder) as fd:
            yield fd, name

    @contextlib.contextmanager
    def _folder(self, path: str) -> Iterator[int]:
        """The open folder at a local path, reached without following any link."""
        fd = os.dup(self._root_fd)
        try:
            for part in _parts(path):
                try:
                    below = os.open(part, _FOLDER_FLAGS, dir_fd=fd)
                except OSError as exc:
                    raise translated(exc, path) from exc
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)


def _parts(path: str) -> list[str]:
    if not path:
        return []
    parts = path.split("/")
    for part in parts:
        _check_name(part, path)
    return parts


def _check_name(name: str, path: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name or is_own_name(name):
        raise LocalNameError("this name cannot be used in the local folder", path=path)


def _facts_at(folder_fd: int, name: str) -> LocalStat | None:
    try:
        return local_stat(os.stat(name, dir_fd=folder_fd, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _is_expected(now: LocalStat | None, expected: LocalStat) -> bool:
    """Whether a file is the expected one, its attributes included where their time is known."""
    return now == expected if expected.ctime_ns else is_same_file(now, expected)


def _is_busy_folder(folder_fd: int, name: str) -> bool:
    """Whether the name is a folder with something in it."""
    try:
        fd = os.open(name, _FOLDER_FLAGS, dir_fd=folder_fd)
    except OSError:
        return False
    try:
        return bool(names_in(fd))
    finally:
        os.close(fd)


def _sync_folder(fd: int, path: str) -> None:
    try:
        os.fsync(fd)
    except OSError as exc:
        raise translated(exc, path) from exc


def _own(spool: Spool) -> DiskSpool:
    if not isinstance(spool, DiskSpool):
        raise MisuseError("only a spool of this tree can be published")
    return spool


def _settle_all(items: Sequence[tuple[DiskSpool, str, int]]) -> list[Exception | None]:
    """Make all spools durable; the error of each in order, or None.

    In threads when the disk lets the first few wait: where it does not, as in memory, they would only be in each
    other's way and in that of the requests.
    """

    def settle(number: int) -> Exception | None:
        spool, path, mtime_ns = items[number]
        try:
            spool.settle(mtime_ns)
        except CandadoError as exc:
            exc.path = exc.path or path
            return exc
        return None

    results: list[Exception | None] = []
    started = time.monotonic()
    while len(results) < len(items):
        if len(results) >= _TRIED_FILES and time.monotonic() - started > len(results) * _QUICK_SECONDS:
            break
        results.append(settle(len(results)))
    rest = range(len(results), len(items))
    if rest:
        with ThreadPoolExecutor(min(_SYNC_THREADS, len(rest))) as pool:
            results += pool.map(settle, rest)
    return results
