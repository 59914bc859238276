"""Opening what is left of a server: from parts to folders; see ``loose``.

Layer: ``client``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from candado.client.found import FoundFolder, Gap
from candado.client.loose import LooseParts
from candado.client.opening import Opener, Unverified
from candado.crypto.rsa import PrivateKey
from candado.errors import (
    CandadoError,
    CryptoError,
    FormatError,
    MalformedError,
    NotAMemberError,
    NotFoundError,
    OpenFailedError,
    SignerError,
    TamperError,
    UnsupportedVersionError,
)
from candado.folder.filedrop import merge_drops
from candado.folder.legacy import LegacyOpen, open_legacy
from candado.folder.model import OpenFolder, RawText
from candado.formats.metadata import Entry, FolderContent, document_version, parse_sealed
from candado.ports.bundle import SourceFile
from candado.types import FileId, MetadataKey, SealedName, SecretText

__all__ = ["loose_folders"]

_REFUSALS: Final = (TamperError, FormatError, CryptoError)
_DEPTH_MAX: Final = 128
_OLD: Final = "This folder is of the old format 1.x, which nobody signs."


@dataclass(slots=True)
class _Root:
    """A root that this key opens, and the nested documents that open with its key."""

    name: str
    file_id: FileId
    content: FolderContent
    metadata_key: MetadataKey = field(repr=False)
    folder: OpenFolder | None
    doubt: str
    drops: Mapping[SealedName, Entry]
    nested: dict[str, FolderContent] = field(default_factory=dict[str, FolderContent])


def loose_folders(
    parts: LooseParts, key: PrivateKey, *, now: float, salvage: bool, words: SecretText | None = None
) -> Iterator[FoundFolder | Gap]:
    """Everything in the parts that this private key opens; what it does not are gaps.

    Without the authority's key a root is accepted only when its one member is the owner of the private key.

    Args:
        parts: what was found.
        key: of a member.
        now: seconds since the epoch.
        salvage: open what cannot be verified too.
        words: the twelve words, for the checksum of documents 1.2.

    Raises:
        NotAMemberError: no document is for this key.
    """
    yield from _Search(parts, key, now=now, salvage=salvage, words=words).run()


class _Search:
    def __init__(
        self, parts: LooseParts, key: PrivateKey, *, now: float, salvage: bool, words: SecretText | None
    ) -> None:
        self._parts, self._key, self._salvage, self._words = parts, key, salvage, words
        self._opener = Opener(key, parts.authority or key.public, now=now)
        self._old: dict[str, LegacyOpen] = {}
        self._gaps: list[Gap] = []
        self._found = False

    def run(self) -> Iterator[FoundFolder | Gap]:
        roots, nested = self._sorted()
        for name in nested:
            self._assign(name, roots)
        for root in roots:
            yield from self._root(root)
        yield from self._old_folders()
        yield from self._gaps
        if not self._found:
            raise NotAMemberError(
                "No folder here opens with this key.",
                path=self._parts.files.where,
                advice="Use the words or the key of a member of the folder.",
            )

    # --- sorting --------------------------------------------------------------------------------------------

    def _sorted(self) -> tuple[list[_Root], list[str]]:
        """The roots that this key opens, and the names of all nested documents."""
        roots: list[_Root] = []
        nested: list[str] = []
        for name in self._parts.documents:
            try:
                raw = self._parts.raw(name)
                if document_version(raw.text).startswith("1."):
                    self._old_document(name, raw)
                elif parse_sealed(raw.text).users:
                    root = self._open_root(name, raw)
                    roots += [] if root is None else [root]
                else:
                    nested.append(name)
            except (FormatError, NotFoundError):
                continue  # of another kind, or of nobody's use
        return roots, nested

    def _open_root(self, name: str, raw: RawText) -> _Root | None:
        """The root; None when it is not ours or was refused, which is then a gap."""
        file_id = self._parts.number(name)
        try:
            folder = self._opener.accept_root(file_id, raw)
        except NotAMemberError:
            return None
        except _REFUSALS as error:
            self._found = True
            salvaged = self._salvaged(lambda: self._opener.salvage_root(raw), name, error)
            if salvaged is None:
                return None
            doubt = error.message
            return _Root(name, file_id, salvaged.content, salvaged.metadata_key, None, doubt, salvaged.drops)
        self._found = True
        drops: Mapping[SealedName, Entry] = {}
        if folder.drops:
            drops = merge_drops(folder, self._opener.identity_in(folder)).migrated
        return _Root(name, file_id, folder.content, folder.metadata_key, folder, "", drops)

    def _salvaged(self, salvage: Callable[[], Unverified], name: str, error: CandadoError) -> Unverified | None:
        if self._salvage:
            try:
                return salvage()
            except (FormatError, OpenFailedError) as second:
                error = second
        error.path = name
        self._gaps.append(Gap((name,), error))
        return None

    def _assign(self, name: str, roots: list[_Root]) -> None:
        """Give a nested document to the root whose key opens it."""
        raw = self._parts.raw(name)
        for root in roots:
            try:
                root.nested[name] = self._opener.salvage_nested(raw, root.metadata_key, root.file_id).content
            except (OpenFailedError, FormatError):
                continue
            return

    # --- 2.x ------------------------------------------------------------------------------------------------

    def _root(self, root: _Root) -> Iterator[FoundFolder | Gap]:
        place = self._parts.place_of(_names(root.content) | set(root.drops))
        path = (_last(place) or f"folder-{root.file_id}",)
        files = {**root.content.files, **root.drops}
        yield self._folder(path, place, files, root.content, root.folder, root.doubt)
        yield from self._below(root, path, place, root.content, root.folder, root.doubt)
        for name, content in list(root.nested.items()):
            where = self._parts.place_of(_names(content))
            if self._salvage and where is not None:
                del root.nested[name]
                lost = (*path, f"folder-{self._parts.number(name)}")
                yield self._folder(lost, where, content.files, content, None, "the folder it belongs in is not known")
        left = sum(len(content.files) for content in root.nested.values())
        if left:
            error = NotFoundError(
                f"{left} files are listed in documents whose place is not known: none of their bodies is here.",
                advice="Add the missing bodies and run the command again.",
            )
            yield Gap((*path, "?"), error)

    def _below(
        self,
        root: _Root,
        path: tuple[str, ...],
        place: str | None,
        content: FolderContent,
        folder: OpenFolder | None,
        doubt: str,
    ) -> Iterator[FoundFolder | Gap]:
        if len(path) > _DEPTH_MAX:
            yield Gap(path, MalformedError("folders are nested too deep"))
            return
        for sealed, clear in sorted(content.folders.items()):
            where = f"{place}/{sealed}" if place else sealed
            name = self._document_at(root, where) if place is not None else None
            below = (*path, clear)
            if name is None:
                if any(map(_names, root.nested.values())):
                    yield Gap(below, NotFoundError("No body of this folder is here, so its document is not known."))
                else:
                    yield FoundFolder(below, {}, {}, lambda _: None, doubt)  # all that is left are empty ones
                continue
            inner = root.nested.pop(name)
            try:
                opened, inner_doubt = self._nested(root, name, sealed, folder, doubt)
            except _REFUSALS as error:
                yield Gap(below, error)
                continue
            yield self._folder(below, where, inner.files, inner, opened, inner_doubt)
            yield from self._below(root, below, where, inner, opened, inner_doubt)

    def _document_at(self, root: _Root, where: str) -> str | None:
        """The nested document that lists what is in this folder."""
        for name, content in root.nested.items():
            if any(self._parts.has(where, one) for one in _names(content)):
                return name
        return None

    def _nested(
        self, root: _Root, name: str, sealed: SealedName, parent: OpenFolder | None, doubt: str
    ) -> tuple[OpenFolder | None, str]:
        """The accepted folder, or why it is not verified."""
        try:
            if parent is None or root.folder is None:
                raise SignerError("sig.missing", doubt)
            raw, file_id = self._parts.raw(name), self._parts.number(name)
            return self._opener.accept_nested(file_id, raw, parent=parent, root=root.folder, sealed_name=sealed), ""
        except _REFUSALS as error:
            if not self._salvage:
                raise
            return None, error.message

    def _folder(
        self,
        path: tuple[str, ...],
        place: str | None,
        files: Mapping[SealedName, Entry],
        content: FolderContent,
        folder: OpenFolder | None,
        doubt: str,
    ) -> FoundFolder:
        return FoundFolder(path, files, content.folders, self._bodies(place), doubt, folder)

    def _bodies(self, place: str | None) -> Callable[[SealedName], SourceFile | None]:
        def body(name: SealedName) -> SourceFile | None:
            if place is None:
                return None
            return self._parts.files.open(f"{place}/{name}" if place else name)

        return body

    # --- 1.x ------------------------------------------------------------------------------------------------

    def _old_document(self, name: str, raw: RawText) -> None:
        try:
            opened = open_legacy(raw.text, self._key, self._words)
        except OpenFailedError:
            return  # of somebody else
        except CryptoError as error:
            if not self._salvage:
                self._gap(name, error)
                return
            opened = open_legacy(raw.text, self._key, None)
        self._found = True
        if self._salvage:
            self._old[name] = opened
        else:
            self._gap(name, UnsupportedVersionError(_OLD, advice="Add --salvage to recover it without verification."))

    def _gap(self, name: str, error: CandadoError) -> None:
        self._found = True
        self._gaps.append(Gap((name,), error))

    def _old_folders(self) -> Iterator[FoundFolder]:
        """Old folders stand each for itself; which is in which is told by where their bodies are."""
        places = {self._parts.place_of({*old.files, *old.folders, *old.drops}): old for old in self._old.values()}
        known = {place: old for place, old in places.items() if place is not None}
        for place in sorted(known, key=lambda each: each.count("/")):
            old, path = known[place], self._old_path(place, known)
            yield FoundFolder(path, {**old.files, **old.drops}, old.folders, self._bodies(place), _OLD)

    @staticmethod
    def _old_path(place: str, known: Mapping[str, LegacyOpen]) -> tuple[str, ...]:
        names: list[str] = []
        while place in known:
            above, _, sealed = place.rpartition("/")
            clear = known[above].folders.get(SealedName(sealed)) if above in known else None
            names.append(clear or _last(place) or "old folder")
            if clear is None:
                break
            place = above
        return tuple(reversed(names))


def _names(content: FolderContent) -> set[str]:
    return {*content.files, *content.folders}


def _last(place: str | None) -> str:
    return (place or "").rpartition("/")[2]
