"""What a recovery finds: folders that were opened, with the bodies that belong to them, and gaps.

Layer: ``client``; values between the readers (``bundle_reader``, ``loose``) and ``recover``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from candado.errors import CandadoError
from candado.folder.model import OpenFolder, RawText
from candado.formats.metadata import Entry
from candado.ports.bundle import SourceFile
from candado.types import FileId, SealedName, UserId

__all__ = ["FoundFolder", "Gap", "RawRoot"]


@dataclass(frozen=True, slots=True)
class FoundFolder:
    """A folder that was opened.

    Args:
        path: clear names from the root, the root's own first.
        files: entries by sealed name.
        folders: clear names of nested folders by sealed name.
        body: opens the stored body of a sealed name; None when it is not there.
        doubt: why nothing in it is verified; "" when it was accepted.
        folder: the accepted state; None when there is a doubt.
    """

    path: tuple[str, ...]
    files: Mapping[SealedName, Entry] = field(repr=False)
    folders: Mapping[SealedName, str]
    body: Callable[[SealedName], SourceFile | None] = field(repr=False)
    doubt: str = ""
    folder: OpenFolder | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be opened; the rest goes on."""

    path: tuple[str, ...]
    error: CandadoError

    @property
    def shown(self) -> str:
        """The path for people."""
        return "/".join(self.path)


@dataclass(frozen=True, slots=True)
class RawRoot:
    """The document of a root as it lies in a bundle; not verified."""

    file_id: FileId
    path: str
    raw: RawText
    members: tuple[UserId, ...]
