"""Ports of export and recovery: files that are read, a bundle that is written, a folder that is filled.

Layer: ``ports``; the docstrings are binding. All methods block. Names are relative, "/" separated.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from candado.ports.local import LocalFile, LocalStat, Spool

__all__ = ["BundleSpool", "BundleTarget", "FileFact", "RecoveryTree", "SourceFile", "SourceFiles"]


@dataclass(frozen=True, slots=True)
class FileFact:
    """A regular file: size in bytes, time in seconds since the epoch."""

    name: str
    size_bytes: int
    mtime_seconds: float


class SourceFile(Protocol):
    """A file that is being read from its beginning."""

    size_bytes: int
    mtime_seconds: float

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer from the current position as far as the file goes; 0 at the end; LocalStorageError."""
        ...

    def close(self) -> None:
        """Close it; harmless twice."""
        ...


class SourceFiles(Protocol):
    """Files of somebody else, perhaps hostile: no link is followed, nothing outside is read."""

    where: str
    """For people."""

    def facts(self) -> Iterator[FileFact]:
        """All regular files, in no order; LimitExceededError when there are too many."""
        ...

    def open(self, name: str) -> SourceFile | None:
        """A regular file; None when there is none of this name. LocalPermissionError, LocalStorageError."""
        ...

    def close(self) -> None:
        """Let go of it; harmless twice."""
        ...


class BundleSpool(Protocol):
    """A file of a bundle that is being written; it has no name before ``keep``."""

    def write(self, data: bytes | memoryview) -> None:
        """Append; DiskFullError, LocalStorageError."""
        ...

    def keep(self) -> None:
        """Make it durable under its name, in place of what was there."""
        ...

    def discard(self) -> None:
        """Remove it; harmless twice and after ``keep``."""
        ...


class BundleTarget(SourceFiles, Protocol):
    """An unfinished bundle. Opened again after a crash it has every file that was kept, whole."""

    def spool(self, name: str) -> BundleSpool:
        """Begin a file; thread-safe for different names."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file that no folder lists any more; harmless when absent."""
        ...

    def finish(self, manifest: bytes) -> None:
        """Write the manifest when all else is durable: from now on it is a bundle."""
        ...


class RecoveryTree(Protocol):
    """The folder that recovered files go to; as ``LocalTree``, of which it is a part."""

    def stat(self, path: str) -> LocalStat | None:
        """State of one path; None when there is no regular file or folder."""
        ...

    def open_read(self, path: str) -> LocalFile:
        """Open a regular file."""
        ...

    def open_spool(self) -> Spool:
        """New private temporary file."""
        ...

    def publish(self, items: Iterable[tuple[Spool, str, float, LocalStat | None]]) -> list[LocalStat | Exception]:
        """Make spools durable, then visible under their paths; never over anything that is not expected there."""
        ...

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents; an existing folder is success."""
        ...

    def close(self) -> None:
        """Let go of it; harmless twice."""
        ...
