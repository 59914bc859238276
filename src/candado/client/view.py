"""What a folder shows: clear names put together from a listing and accepted metadata.

Layer: ``client``; pure values and the one function that joins the two sides. An entry without a body or a body
without an entry is a problem of that name alone, never of the folder (threats.md A58).
"""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from candado.crypto.filebody import BODY_OVERHEAD_BYTES
from candado.errors import RootDeletedError, UsageError
from candado.folder.model import OpenFolder
from candado.formats.metadata import Entry
from candado.ports.client import RemoteNode
from candado.types import FileId, SealedName

__all__ = [
    "FolderView",
    "Located",
    "RemoteEntry",
    "Tree",
    "ViewKind",
    "ViewProblem",
    "clear_path",
    "join",
    "root_deleted",
    "split",
]

ViewKind = Literal["plain", "root", "nested"]


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """One file or folder by its clear name.

    ``path`` is clear, ``remote_path`` is what the server knows. ``size_bytes`` is that of the plaintext (of a
    folder: what the server says). ``entry`` is there for files inside an encrypted folder only, ``sealed_name`` for
    everything inside one.
    """

    path: str
    remote_path: str
    is_folder: bool
    size_bytes: int
    mtime_seconds: float
    file_id: FileId
    etag: str
    is_encrypted: bool
    permissions: str
    owner_id: str
    sealed_name: SealedName | None = None
    entry: Entry | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The last part of the clear path."""
        return self.path.rpartition("/")[2]

    @property
    def content_id(self) -> str:
        """A name of this content version: equal only for equal bytes; empty for folders.

        It tells nothing of the key.
        """
        if self.is_folder:
            return ""
        if self.entry is None:
            return f"{self.file_id}:{self.etag}"
        return self.entry.nonce.hex() + self.entry.tag.hex()

    @property
    def stored_bytes(self) -> int:
        """Size of the body as the server stores it."""
        return self.size_bytes + (BODY_OVERHEAD_BYTES if self.entry is not None else 0)


@dataclass(frozen=True, slots=True)
class ViewProblem:
    """One name that cannot be used as it is; ``code`` as in the threat model."""

    code: str
    path: str
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class FolderView:
    """One folder as this account sees it.

    Args:
        path: clear path, "/" alone for the home.
        remote_path: path made of sealed names.
        kind: ``plain``, ``root`` or ``nested``.
        node: the folder's own line of the listing; None only for a root that a member deleted with a signature.
        folder: its accepted state; None for plain folders.
        root: the accepted state of its root; the same as ``folder`` for a root, None for plain folders.
        parent_id: file id of the parent of a nested folder.
        entries: what can be used, by clear name.
        missing: clear names that the metadata lists but that cannot be read now. They are not deleted: whoever
        compares
            trees must leave them alone.
        problems: one line for each thing that is wrong.
        deleted: a member signed the deletion of this root.
        must_rotate: the next writer must make a new metadata key (A33).
        old_key: sealed under an older key of its root; the next writer seals it anew (A82).
    """

    path: str
    remote_path: str
    kind: ViewKind
    node: RemoteNode | None
    folder: OpenFolder | None = field(default=None, repr=False)
    root: OpenFolder | None = field(default=None, repr=False)
    parent_id: FileId | None = None
    sealed_name: SealedName | None = None
    entries: dict[str, RemoteEntry] = field(default_factory=dict[str, RemoteEntry])
    missing: frozenset[str] = frozenset()
    problems: tuple[ViewProblem, ...] = ()
    deleted: bool = False
    must_rotate: bool = False
    old_key: bool = False

    @property
    def is_encrypted(self) -> bool:
        """True for a root and for what is below one."""
        return self.kind != "plain"

    @property
    def file_id(self) -> FileId:
        """The server's number of this folder."""
        if self.folder is not None:
            return self.folder.file_id
        assert self.node is not None
        return self.node.file_id

    @property
    def root_id(self) -> FileId | None:
        """The server's number of the root above, or of this folder when it is the root; None for a plain folder."""
        return None if self.root is None else self.root.file_id

    @property
    def etag(self) -> str:
        """Changes when anything below changes; empty for a deleted root."""
        return "" if self.node is None else self.node.etag


def root_deleted(view: FolderView, user_id: str) -> RootDeletedError:
    """The refusal of a root that a member deleted, with the way out for this user."""
    path, owner = shlex.quote(view.path), "" if view.node is None else view.node.owner_id
    if view.node is None:
        advice = f"It is gone from the server; `candado encrypt {path}` makes a new one."
    elif owner == user_id:
        advice = f"Run `candado rm -r {path}`, which takes away what is left of it, then `candado encrypt {path}`."
    else:
        advice = f"Run `candado rm -r {path}`, which takes it off your files, and ask {owner} for a new folder."
    return RootDeletedError(path=view.path, advice=advice)


@dataclass(frozen=True, slots=True)
class Located:
    """What is at a path: ``view`` is the folder itself, or, for a ``file``, the folder that holds ``entry``."""

    kind: Literal["plain", "root", "nested", "file"]
    view: FolderView
    entry: RemoteEntry | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder and everything below it: views by clear path, and the folders that the caller asked to leave out."""

    top: FolderView
    folders: dict[str, FolderView]
    skipped: tuple[RemoteEntry, ...] = ()

    def entries(self) -> Iterable[RemoteEntry]:
        """Every file and folder below the top, parents before children."""
        for path in sorted(self.folders):
            view = self.folders[path]
            for name in sorted(view.entries):
                yield view.entries[name]


def split(path: str) -> list[str]:
    """The parts of an absolute path, without empty ones and ``.``; UsageError when it climbs with ``..``."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise UsageError("a remote path starts at the home folder and has no '..'", path=path)
    return parts


def join(folder: str, name: str) -> str:
    """The path of a name in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def clear_path(path: str) -> str:
    """The normal form of a path: absolute, no trailing slash, "/" alone for the home."""
    return "/" + "/".join(split(path))


def plain_entries(path: str, children: Sequence[RemoteNode]) -> dict[str, RemoteEntry]:
    """Entries of a plain folder, by name."""
    found: dict[str, RemoteEntry] = {}
    for node in children:
        name = node.path.rpartition("/")[2]
        found[name] = _entry(join(path, name), node, None, None)
    return found


def sealed_entries(
    path: str, folder: OpenFolder, children: Sequence[RemoteNode], *, pinned: Iterable[FileId]
) -> tuple[dict[str, RemoteEntry], frozenset[str], tuple[ViewProblem, ...]]:
    """Entries, missing names and problems of an encrypted folder.

    ``pinned`` are the ids of nested folders whose state was accepted before: one of them without its flag stays an
    entry, so that opening it is refused as a downgrade; an unknown one without the flag is an unfinished folder.
    """
    known = frozenset(pinned)
    entries: dict[str, RemoteEntry] = {}
    missing: set[str] = set()
    problems: list[ViewProblem] = []
    seen: set[str] = set()
    # Of two bodies under one clear name the newest is shown; oldest first makes the newest win.
    for node in sorted(children, key=lambda child: (child.mtime_seconds, child.path)):
        sealed = SealedName(node.path.rpartition("/")[2])
        seen.add(sealed)
        entry = folder.files.get(sealed) if not node.is_folder else None
        name = entry.filename if entry is not None else folder.folders.get(sealed) if node.is_folder else None
        if name is None:
            problems.append(_unlisted(path, node))
            continue
        where = join(path, name)
        if node.is_folder and not node.is_encrypted and node.file_id not in known:
            problems.append(_unfinished(where))
            missing.add(name)
        elif entry is not None and node.size_bytes < BODY_OVERHEAD_BYTES:
            problems.append(_too_short(where))
            missing.add(name)
        else:
            if name in entries:
                problems.append(_twice(where))
            entries[name] = _entry(where, node, sealed, entry)
    for sealed, name in _listed(folder):
        if sealed not in seen and name not in entries:
            missing.add(name)
            problems.append(_missing(join(path, name)))
    problems.extend(
        ViewProblem(
            "name.unsafe",
            join(path, skipped.identifier),
            f"An entry cannot be used: {skipped.reason}.",
            "Ask the person who wrote it to rename it.",
        )
        for skipped in folder.content.skipped
    )
    return entries, frozenset(missing), tuple(problems)


def _listed(folder: OpenFolder) -> Iterable[tuple[SealedName, str]]:
    for sealed, entry in folder.files.items():
        yield sealed, entry.filename
    yield from folder.folders.items()


def _entry(path: str, node: RemoteNode, sealed: SealedName | None, entry: Entry | None) -> RemoteEntry:
    return RemoteEntry(
        path=path,
        remote_path=node.path,
        is_folder=node.is_folder,
        size_bytes=node.size_bytes - (BODY_OVERHEAD_BYTES if entry is not None else 0),
        mtime_seconds=node.mtime_seconds,
        file_id=node.file_id,
        etag=node.etag,
        is_encrypted=node.is_encrypted,
        permissions=node.permissions,
        owner_id=node.owner_id,
        sealed_name=sealed,
        entry=entry,
    )


def _unlisted(path: str, node: RemoteNode) -> ViewProblem:
    return ViewProblem(
        "file.unlisted",
        join(path, node.path.rpartition("/")[2]),
        "The server stores something here that the folder's metadata does not list; it has no name and no key.",
        "It is usually left over from an interrupted upload; the person who uploaded last can look.",
    )


def _unfinished(path: str) -> ViewProblem:
    return ViewProblem(
        "folder.unfinished",
        path,
        "A folder was not set up completely: it is listed, but not marked as encrypted.",
        "Make it again with `candado mkdir`; nothing can be in it.",
    )


def _too_short(path: str) -> ViewProblem:
    return ViewProblem(
        "file.params",
        path,
        "The stored body is shorter than its tag.",
        "Put the file again from a device that has it.",
    )


def _twice(path: str) -> ViewProblem:
    return ViewProblem(
        "name.duplicate",
        path,
        "Two things have this name; the one that was written last is shown.",
        "Rename it, then look at the other one.",
    )


def _missing(path: str) -> ViewProblem:
    return ViewProblem(
        "file.missing",
        path,
        "The folder lists this name, but the server shows nothing for it.",
        "Put it again from a device that has it; local copies are kept.",
    )
