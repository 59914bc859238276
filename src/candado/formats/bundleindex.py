"""What holds between the lines of a bundle's index.

Layer: ``formats``; pure. Source: docs/spec/bundle.md.
"""

from typing import TYPE_CHECKING, Final

from candado.errors import LimitExceededError, MalformedError
from candado.formats.bundle import BODIES_MAX, FOLDERS_MAX, BodyLine, BundleManifest, FolderLine, IndexLine

if TYPE_CHECKING:
    from candado.types import FileId

__all__ = ["DEPTH_MAX", "IndexCheck"]

DEPTH_MAX: Final = 128


class IndexCheck:
    """Holds the lines of an index against each other, and their number against the manifest.

    Parents come first, so that no folder can be below itself; nothing is listed twice, also not where case does not
    count; the bodies of a folder follow its own line.
    """

    def __init__(self) -> None:
        self._depths: dict[FileId, int] = {}
        self._places: set[tuple[FileId, str]] = set()
        self._names: set[str] = set()
        self._folder: FileId | None = None
        self._roots = self._bodies = self._body_bytes = 0

    def add(self, line: IndexLine) -> None:
        """Take the next line; MalformedError, LimitExceededError when it cannot stand here."""
        if isinstance(line, BodyLine):
            self._add_body(line)
        else:
            self._add_folder(line)

    def finish(self, manifest: BundleManifest) -> None:
        """MalformedError when the index has another number of things than the manifest says."""
        found = (self._roots, len(self._depths), self._bodies, self._body_bytes)
        if found != (manifest.roots, manifest.folders, manifest.bodies, manifest.body_bytes):
            raise MalformedError("the index does not have what the manifest counts")

    def _add_folder(self, line: FolderLine) -> None:
        if line.file_id in self._depths:
            raise MalformedError("the index has a folder twice")
        if line.parent_id is None or line.sealed_name is None:
            depth = 0
            self._roots += 1
        else:
            if line.parent_id not in self._depths:
                raise MalformedError("the index has a folder before the one it is in")
            depth = self._depths[line.parent_id] + 1
            place = (line.parent_id, line.sealed_name.casefold())
            if place in self._places:
                raise MalformedError("the index has two folders at one place")
            self._places.add(place)
        if depth > DEPTH_MAX:
            raise LimitExceededError(f"folders are nested more than {DEPTH_MAX} deep")
        if len(self._depths) >= FOLDERS_MAX:
            raise LimitExceededError(f"an index has more than {FOLDERS_MAX} folders")
        self._depths[line.file_id] = depth
        self._folder, self._names = line.file_id, set()

    def _add_body(self, line: BodyLine) -> None:
        if line.folder_id != self._folder:
            raise MalformedError("the index has a body that does not follow its folder")
        name = line.sealed_name.casefold()
        if name in self._names:
            raise MalformedError("the index has a body twice")
        if self._bodies >= BODIES_MAX:
            raise LimitExceededError(f"an index has more than {BODIES_MAX} bodies")
        self._names.add(name)
        self._bodies += 1
        self._body_bytes += line.size_bytes
