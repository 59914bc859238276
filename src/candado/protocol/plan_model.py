"""Words of the planner: facts that go in, operations that come out.

Layer: ``protocol``. A *path* is relative to the synced folder, "/" separated, the same text on both sides; the folder
itself is not in any tree. Everything here is a value; nothing reads a disk, a network or a clock.

The three trees of a plan are observations: what the local scan saw, what the accepted remote metadata says, and
what both sides were when they last agreed. ``content_id`` names one content version of a remote file: every version
has a fresh file key and nonce, so two entries with one ``content_id`` have the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

__all__ = [
    "Adopt",
    "AgreedNode",
    "DeleteLimit",
    "DeleteLocal",
    "DeleteRemote",
    "Download",
    "Forget",
    "LocalFacts",
    "MakeFolderLocal",
    "MakeFolderRemote",
    "Mode",
    "MoveLocal",
    "MoveRemote",
    "Operation",
    "Plan",
    "PlanOptions",
    "Problem",
    "Question",
    "RemoteFacts",
    "RemoveFolderLocal",
    "RemoveFolderRemote",
    "Upload",
]


class LocalFacts(Protocol):
    """What a scan knows of a local file or folder (``ports.client.LocalStat`` has this shape)."""

    @property
    def is_folder(self) -> bool:
        """A folder, not a regular file."""
        ...

    @property
    def size_bytes(self) -> int:
        """Size of a file in bytes."""
        ...

    @property
    def mtime_ns(self) -> int:
        """Time of the last change of the content, nanoseconds since the epoch."""
        ...

    @property
    def inode(self) -> int:
        """Number of the object in its file system; 0 where there is none."""
        ...

    @property
    def ctime_ns(self) -> int:
        """Time of the last change of any attribute, nanoseconds; 0 where there is none."""
        ...


class RemoteFacts(Protocol):
    """What accepted metadata says of a remote file or folder."""

    @property
    def is_folder(self) -> bool:
        """A folder, not a file."""
        ...

    @property
    def size_bytes(self) -> int:
        """Size of the plaintext in bytes, by the length of the stored body."""
        ...

    @property
    def file_id(self) -> int:
        """The server's number; 0 when it is not known."""
        ...

    @property
    def content_id(self) -> str:
        """Name of the content version of a file; empty for a folder."""
        ...


@dataclass(frozen=True, slots=True)
class AgreedNode:
    """One file or folder as both sides had it when they last were equal.

    ``size_bytes`` .. ``ctime_ns`` are the local side, ``file_id`` and ``content_id`` the remote side.
    """

    is_folder: bool
    size_bytes: int
    mtime_ns: int
    inode: int
    ctime_ns: int
    file_id: int
    content_id: str


class Mode(Enum):
    """Direction in which changes travel."""

    TWO_WAY = "two-way"
    PUSH = "push"
    PULL = "pull"


@dataclass(frozen=True, slots=True)
class DeleteLimit:
    """How many files one run may delete on one side: at most ``count``, or at most ``percent`` of the agreed files."""

    count: int | None = None
    percent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What a plan depends on besides the trees.

    ``stamp`` is the time of the run as it appears in names, such as ``2026-11-23 153000``. ``max_delete`` None
    means the built-in guard. ``fold_case`` says that the local file system does not tell upper from lower case.
    """

    mode: Mode
    device: str
    stamp: str
    max_delete: DeleteLimit | None
    fold_case: bool


@dataclass(frozen=True, slots=True)
class Question:
    """Does the local file, where the scan saw it, have the content of this remote version?

    The caller finds out and plans again.
    """

    local_path: str
    content_id: str
    remote: RemoteFacts = field(compare=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """A path that is left alone (or, as a warning, only remarked upon)."""

    path: str
    code: str
    message: str
    is_warning: bool = False

    @classmethod
    def name_case(cls, path: str) -> "Problem":
        """A warning of a name that differs from another one only in upper and lower case."""
        return cls(path, "NAME_CASE", "other devices may not tell this name from one in other case", is_warning=True)

    @classmethod
    def name_windows(cls, path: str, fault: str) -> "Problem":
        """A warning of a name that Windows cannot have, and why."""
        return cls(path, "NAME_WINDOWS", f"Windows cannot have this name: {fault}", is_warning=True)


# --- operations -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MoveLocal:
    """Rename a local file or folder, because it was renamed remotely or must make room for a remote one.

    ``conflict`` marks a conflict copy.
    """

    source: str
    target: str
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class MoveRemote:
    """Rename a remote file or folder that is still ``expected``.

    It was renamed locally, or must make room for a local one (``conflict``).
    """

    source: str
    target: str
    conflict: bool = False
    expected: RemoteFacts | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DeleteLocal:
    """Put a local file that is still ``expected`` into the local trash."""

    path: str
    expected: LocalFacts


@dataclass(frozen=True, slots=True)
class DeleteRemote:
    """Remove a remote file that is still ``expected``."""

    path: str
    expected: RemoteFacts


@dataclass(frozen=True, slots=True)
class RemoveFolderLocal:
    """Remove a local folder that is empty by now."""

    path: str


@dataclass(frozen=True, slots=True)
class RemoveFolderRemote:
    """Remove a remote folder with exactly these contents (files and folders below it, by their paths)."""

    path: str
    expected: RemoteFacts
    contents: Mapping[str, RemoteFacts]


@dataclass(frozen=True, slots=True)
class MakeFolderLocal:
    """Create a local folder for a remote one."""

    path: str
    remote: RemoteFacts


@dataclass(frozen=True, slots=True)
class MakeFolderRemote:
    """Create a remote folder for a local one."""

    path: str
    local: LocalFacts


@dataclass(frozen=True, slots=True)
class Download:
    """Bring a remote content to a local path where there is ``expected`` now (None: nothing)."""

    path: str
    remote: RemoteFacts
    expected: LocalFacts | None


@dataclass(frozen=True, slots=True)
class Upload:
    """Bring a local content to a remote path where there is ``expected`` now (None: nothing)."""

    path: str
    local: LocalFacts
    expected: RemoteFacts | None


@dataclass(frozen=True, slots=True)
class Adopt:
    """Both sides are equal: remember that, move nothing."""

    path: str
    local: LocalFacts
    remote: RemoteFacts


@dataclass(frozen=True, slots=True)
class Forget:
    """Both sides are gone: drop the memory."""

    path: str


Operation = (
    MoveLocal
    | MoveRemote
    | DeleteLocal
    | DeleteRemote
    | RemoveFolderLocal
    | RemoveFolderRemote
    | MakeFolderLocal
    | MakeFolderRemote
    | Download
    | Upload
    | Adopt
    | Forget
)

DELETE_COUNT_MAX: Final = 100
"""Files one run deletes on one side without being told so."""

DELETE_COUNT_FLOOR: Final = 10
"""So few files are never too many; above it a quarter of the agreed files is."""

DELETE_SHARE_MAX: Final = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """Operations in an order that is right for each side, and what could not be planned.

    ``operations`` is final only when ``questions`` is empty; else the caller answers them and plans again.
    Operations on the two sides depend on each other only in that uploads read from final local paths, so the local
    ones come first. Remote facts in them are those that went in, whatever the path was then: a download may stand
    before the remote rename that brings its source to the same path.
    """

    operations: tuple[Operation, ...]
    questions: tuple[Question, ...]
    problems: tuple[Problem, ...]
