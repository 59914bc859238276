"""A folder while a write session changes it: the accepted state, and what it will be.

Layer: ``client``; no I/O. Changes are made in mutable maps, because copying the state for every one of thousands of
files would cost the square of their number; ``content`` makes the next ``FolderContent`` once, at the commit.
"""

from dataclasses import dataclass, field, replace
from functools import cache
from mimetypes import MimeTypes
from typing import Final

from candado.client.transfer import SealedUpload
from candado.client.view import FolderView, join
from candado.errors import AlreadyExistsError, MisuseError, NotFoundError
from candado.folder.model import FolderKind, FolderPin, OpenFolder
from candado.folder.names import check_clear_name
from candado.folder.sealing import new_content, next_counter
from candado.formats.metadata import Entry, FolderContent
from candado.types import FileId, SealedName

__all__ = ["Draft", "media_type"]

_UNKNOWN_TYPE: Final = "application/octet-stream"


def media_type(name: str) -> str:
    """The media type that stock apps go by when they choose a preview; by the name's ending alone."""
    return _types().guess_type(name)[0] or _UNKNOWN_TYPE


@cache
def _types() -> MimeTypes:
    """The table of endings; making it reads files of the system, which most commands need not wait for."""
    return MimeTypes()


@dataclass(slots=True)
class Draft:
    """One folder of a session.

    ``view`` and ``before`` are None for a folder that the session itself makes. ``files``, ``folders`` and ``names``
    are the state as it will be; ``names`` maps clear names to sealed ones. ``stored`` remembers the size of every
    body written, by sealed name, for the check after the unlock.
    """

    path: str
    remote_path: str
    file_id: FileId
    kind: FolderKind
    parent: "Draft | None"
    sealed_name: SealedName | None
    view: FolderView | None
    before: OpenFolder | None
    pin: FolderPin | None
    files: dict[SealedName, Entry] = field(default_factory=dict[SealedName, Entry])
    folders: dict[SealedName, str] = field(default_factory=dict[SealedName, str])
    names: dict[str, SealedName] = field(default_factory=dict[str, SealedName])
    children: dict[SealedName, "Draft"] = field(default_factory=dict[SealedName, "Draft"])
    stored: dict[SealedName, int] = field(default_factory=dict[SealedName, int])
    reserved: set[str] = field(default_factory=set[str])
    changed: bool = False
    deleted: bool = False
    removed: bool = False
    moved: bool = False

    @classmethod
    def of_view(cls, view: FolderView, parent: "Draft | None", pin: FolderPin | None) -> "Draft":
        """A draft of a folder that was read and accepted."""
        folder = view.folder
        if folder is None:
            raise MisuseError("only an encrypted folder can be changed in a session", path=view.path)
        draft = cls(
            path=view.path,
            remote_path=view.remote_path,
            file_id=folder.file_id,
            kind=folder.kind,
            parent=parent,
            sealed_name=view.sealed_name,
            view=view,
            before=folder,
            pin=pin,
            files=dict(folder.files),
            folders=dict(folder.folders),
            changed=view.old_key,
        )
        for sealed, entry in draft.files.items():
            draft.names.setdefault(entry.filename, sealed)
        for sealed, name in draft.folders.items():
            draft.names.setdefault(name, sealed)
        # Of two bodies under one name the view shows one; changes mean that one.
        for name, shown in view.entries.items():
            if shown.sealed_name is not None:
                draft.names[name] = shown.sealed_name
        return draft

    @property
    def is_new(self) -> bool:
        """True for a folder that this session makes."""
        return self.before is None

    @property
    def depth(self) -> int:
        """Number of drafts above."""
        return 0 if self.parent is None else self.parent.depth + 1

    def is_within(self, other: "Draft") -> bool:
        """True when this is ``other`` or below it."""
        return self is other or (self.parent is not None and self.parent.is_within(other))

    def has_no_path_yet(self) -> bool:
        """True when this folder, or one above it, was made or moved in this session."""
        if self.moved or (self.is_new and self.kind == "nested"):
            return True
        return self.parent is not None and self.parent.has_no_path_yet()

    def sealed(self, name: str) -> SealedName:
        """The sealed name of a clear one; NotFoundError."""
        found = self.names.get(name)
        if found is None:
            raise NotFoundError(path=join(self.path, name))
        return found

    def is_missing(self, name: str) -> bool:
        """True when the metadata lists the name but the server shows nothing usable for it."""
        return self.view is not None and name in self.view.missing

    def is_unfinished(self, name: str) -> bool:
        """True for a nested folder whose set-up was interrupted before it was marked as encrypted."""
        path = join(self.path, name)
        return self.view is not None and any(
            problem.code == "folder.unfinished" and problem.path == path for problem in self.view.problems
        )

    def check_free(self, name: str) -> None:
        """Return when ``name`` may be made here; LocalNameError, AlreadyExistsError."""
        check_clear_name(name)
        if name in self.names or name in self.reserved:
            raise AlreadyExistsError(path=join(self.path, name))

    def check_place(self, name: str, *, may_replace: bool) -> SealedName | None:
        """Return when a file may go to ``name``: the sealed name of what it replaces. Errors as ``check_free``."""
        taken = self.names.get(name)
        if taken is None or taken in self.folders or not (may_replace or self.is_missing(name)):
            self.check_free(name)
        if name in self.reserved:
            raise AlreadyExistsError(path=join(self.path, name))
        return taken

    def shown(self) -> dict[str, bool]:
        """Clear names as they will be, True for folders; without files whose body the server does not have."""
        return {
            name: sealed in self.folders
            for name, sealed in self.names.items()
            if sealed in self.folders or not self.is_missing(name)
        }

    def add_file(self, name: str, sealed: SealedName, sent: SealedUpload, before: Entry | None) -> Entry:
        """Record a body that is on the server under ``sealed``; returns its entry."""
        entry = Entry(
            filename=name,
            mimetype=media_type(name),
            key=sent.key,
            nonce=sent.nonce,
            tag=sent.tag,
            extra={} if before is None else before.extra,
        )
        self.files[sealed] = entry
        self.names[name] = sealed
        self.stored[sealed] = sent.size_bytes
        self.changed = True
        return entry

    def drop(self, name: str) -> SealedName:
        """Take a name out of the metadata; returns its sealed name."""
        sealed = self.sealed(name)
        self.files.pop(sealed, None)
        self.folders.pop(sealed, None)
        self.stored.pop(sealed, None)
        self.children.pop(sealed, None)
        del self.names[name]
        self.changed = True
        return sealed

    def put_back(self, name: str, sealed: SealedName, entry: Entry | None) -> None:
        """Enter a file (or, without ``entry``, a nested folder) under a clear name."""
        if entry is None:
            self.folders[sealed] = name
        else:
            self.files[sealed] = replace(entry, filename=name)
        self.names[name] = sealed
        self.changed = True

    def relocate(self, path: str, remote_path: str) -> None:
        """The folder is somewhere else now; what is below moves along."""
        self.path = path
        self.remote_path = remote_path
        for sealed, child in self.children.items():
            child.relocate(join(path, self.folders[sealed]), join(remote_path, sealed))

    def content(self) -> FolderContent:
        """The state as it will be, with the next counter."""
        base = new_content() if self.before is None else self.before.content
        pinned = None if self.pin is None else self.pin.counter
        counter = next_counter(base.counter, pinned)
        if self.deleted:
            return replace(base, counter=counter, deleted=True, files={}, folders={}, skipped=())
        return replace(base, counter=counter, files=dict(self.files), folders=dict(self.folders))
