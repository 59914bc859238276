"""The folder that recovered files go to, on any system that Python runs on.

Layer: ``adapters``; implements ``ports.bundle.RecoveryTree`` with nothing that only POSIX has; where that is there,
``disk.DiskTree`` is used. Every part of a path is looked at before it is used and may not be a link; unlike there, this
does not hold against somebody who changes the folder at the same moment. What is replaced is kept beside the new file
under a name of its own.
"""

import contextlib
import os
import stat
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Final

from candado.adapters.disk_calls import translated
from candado.adapters.source_files import open_regular
from candado.errors import CandadoError, FileChangedError, LocalNameError, LocalStorageError, MisuseError
from candado.ports.local import LocalStat, Spool

__all__ = ["PlainTree"]

_SPOOLS: Final = ".candado-tmp-recover"
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class _Spool:
    """A file without a name; implements ``Spool``."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
            raise translated(exc, "") from exc

    def settle(self, mtime_seconds: float) -> None:
        """Durable, closed, with its time; OSError."""
        os.fsync(self._fd)
        self._close()
        os.utime(self.path, (mtime_seconds, mtime_seconds))

    def discard(self) -> None:
        """Remove it; harmless twice and after it has a name."""
        self._close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _File:
    """A file that is read; implements ``LocalFile``."""

    def __init__(self, fd: int, facts: LocalStat, again: Path) -> None:
        self._fd, self._again = fd, again
        self.stat = facts

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer as far as the file goes."""
        filled = 0
        while filled < len(buffer) and (piece := os.read(self._fd, len(buffer) - filled)):
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def check_unchanged(self) -> None:
        """FileChangedError when it is not as it was."""
        if _stat_of(self._again) != self.stat:
            raise FileChangedError("the file changed while it was read", path=str(self._again))

    def close(self) -> None:
        """Close it; harmless twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class PlainTree:
    """One folder; implements ``RecoveryTree``.

    Args:
        root: the folder, made when absent; a link at this very place is the person's choice.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._numbers = root, count()
        self._spools = root / _SPOOLS
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise translated(exc, str(root)) from exc
        self._clean()

    def stat(self, path: str) -> LocalStat | None:
        """State of one path; None when there is no regular file or folder."""
        place = self._place(path)
        return None if place is None else _stat_of(place)

    def open_read(self, path: str) -> _File:
        """Open a regular file; FileChangedError when there is none."""
        place = self._place(path)
        opened = None if place is None else open_regular(place)
        if opened is None or place is None:
            raise FileChangedError("this is not a regular file any more", path=path)
        fd, facts = opened
        return _File(fd, _local_stat(facts), place)

    def open_spool(self) -> _Spool:
        """New private temporary file."""
        try:
            self._spools.mkdir(mode=0o700, exist_ok=True)
        except OSError as exc:
            raise translated(exc, str(self._spools)) from exc
        return _Spool(self._spools / str(next(self._numbers)))

    def publish(self, items: Iterable[tuple[Spool, str, float, LocalStat | None]]) -> list[LocalStat | Exception]:
        """Make each spool durable, then give it its name."""
        results: list[LocalStat | Exception] = []
        for spool, path, mtime_seconds, expected in items:
            if not isinstance(spool, _Spool):
                raise MisuseError("only a spool of this tree can be published")
            try:
                results.append(self._publish(spool, path, mtime_seconds, expected))
            except CandadoError as exc:
                results.append(exc)
            except OSError as exc:
                results.append(translated(exc, path))
        return results

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents; an existing folder is success."""
        place = self._root
        for part in _parts(path):
            place /= part
            try:
                with contextlib.suppress(FileExistsError):
                    place.mkdir()
                is_folder = stat.S_ISDIR(place.lstat().st_mode)
            except OSError as exc:
                raise translated(exc, path) from exc
            if not is_folder:
                raise LocalStorageError("a link or a file stands where a folder should be", path=path)

    def close(self) -> None:
        """Remove what was left; harmless twice."""
        self._clean()

    def _publish(self, spool: _Spool, path: str, mtime_seconds: float, expected: LocalStat | None) -> LocalStat:
        place = self._place(path)
        if place is None or _stat_of(place) != expected or (expected is None and os.path.lexists(place)):
            raise FileChangedError("something appeared at this local path meanwhile", path=path)
        spool.settle(mtime_seconds)
        if expected is not None:
            place.rename(_free_name(place))
        spool.path.rename(place)
        found = _stat_of(place)
        if found is None:
            raise FileChangedError("the file went away at once", path=path)
        return found

    def _place(self, path: str) -> Path | None:
        """The path on the disk when all above it are folders, not links; None when not."""
        *folders, last = _parts(path)
        place = self._root
        for part in folders:
            place /= part
            try:
                if not stat.S_ISDIR(place.lstat().st_mode):
                    return None
            except OSError:
                return None
        return place / last

    def _clean(self) -> None:
        if self._spools.is_symlink() or not self._spools.is_dir():
            return
        for left in self._spools.iterdir():
            with contextlib.suppress(OSError):
                left.unlink()
        with contextlib.suppress(OSError):
            self._spools.rmdir()


def _parts(path: str) -> list[str]:
    parts = path.split("/")
    if any(part in {"", ".", ".."} or "\0" in part or "\\" in part or part == _SPOOLS for part in parts):
        raise LocalNameError("this name cannot be used in the local folder", path=path)
    return parts


def _stat_of(place: Path) -> LocalStat | None:
    try:
        facts = place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise translated(exc, str(place)) from exc
    if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
        return None
    return _local_stat(facts)


def _local_stat(facts: os.stat_result) -> LocalStat:
    is_folder = stat.S_ISDIR(facts.st_mode)
    return LocalStat(is_folder, 0 if is_folder else facts.st_size, facts.st_mtime_ns, facts.st_ino)


def _free_name(place: Path) -> Path:
    for number in count(1):
        other = place.with_name(f"{place.name}.replaced-{number}")
        if not os.path.lexists(other):
            return other
    raise AssertionError
