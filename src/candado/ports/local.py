"""Port of the client: the local tree.

Layer: ``ports``; part of ``client``, which has all its names. A *local path* is relative to the root of the tree, "/"
separated, NFC as found on disk.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from candado.errors import CandadoError

__all__ = ["LeftOut", "LocalFile", "LocalStat", "LocalTree", "Spool"]


@dataclass(frozen=True, slots=True)
class LocalStat:
    """What is known of a local file or folder without reading it."""

    is_folder: bool
    size_bytes: int
    mtime_ns: int
    inode: int
    """0 where the file system has none."""
    ctime_ns: int = 0
    """Time of the last change of any attribute; 0 where the file system has none. It tells a file that was replaced by
    another one of the same size, time and inode, as unpacking an archive over an old tree does."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One thing that a scan left out; a folder stands for all below it.

    ``error`` is there when nobody asked for that and it can be mended: a name that cannot be used, a folder that cannot
    be read. Links, special files and what an ignore rule names (reason ``ignored``) have none.
    """

    path: str
    reason: str
    error: CandadoError | None = None


class LocalFile(Protocol):
    """An open local file that is being read for an upload."""

    @property
    def stat(self) -> LocalStat:
        """State at the time of opening."""
        ...

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer from the current position; 0 at the end. Blocking; call it in a thread for big files."""
        ...

    def check_unchanged(self) -> None:
        """FileChangedError when size, mtime or identity differ from ``stat``."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class Spool(Protocol):
    """A private temporary file on the same file system that becomes visible only by ``publish``."""

    def write(self, data: bytes | memoryview) -> None:
        """Append; DiskFullError. Blocking."""
        ...

    def discard(self) -> None:
        """Remove it; harmless twice and after ``publish``."""
        ...


class LocalTree(Protocol):
    """The folder a person sees. Never follows links, never leaves its root, never shows a half-written file.

    Methods are blocking and thread-safe; the engine calls them in threads where that pays.
    """

    def scan(self) -> dict[str, LocalStat]:
        """All regular files and folders below the root by local path.

        Links and special files are left out and reported by ``skipped``. A folder that cannot be read is here, is also
        reported, and what is in it is not known.
        """
        ...

    def skipped(self) -> list[LeftOut]:
        """What the last scan left out.

        What is left out is not gone: a sync that did not know would delete the other side's copy.
        """
        ...

    def stat(self, path: str) -> LocalStat | None:
        """State of one path; None when absent."""
        ...

    def open_read(self, path: str) -> LocalFile:
        """Open a regular file."""
        ...

    def open_spool(self) -> Spool:
        """New private temporary file, mode 0600."""
        ...

    def publish(self, items: Iterable[tuple[Spool, str, float, LocalStat | None]]) -> list[LocalStat | Exception]:
        """Make spools durable, then rename each to its path with its mtime.

        The fourth member is what is expected at the path now (None: nothing); when something else is there the item
        fails with FileChangedError and the other items go on. Order: data of all items durable, then the renames.
        """
        ...

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents; an existing folder is success."""
        ...

    def move(self, source: str, target: str) -> None:
        """Rename without overwriting; AlreadyExistsError."""
        ...

    def remove(self, path: str, expected: LocalStat) -> None:
        """Move a file that is still as expected into the local trash; FileChangedError when it is not."""
        ...

    def remove_folder(self, path: str) -> bool:
        """Remove an empty folder; False when it is not empty."""
        ...

    def quarantine(self, spool: Spool, name: str, reason: str) -> str:
        """Keep an unverified download outside the tree for inspection; returns where."""
        ...
