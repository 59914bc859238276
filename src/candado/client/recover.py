"""Recovery: from ciphertext, documents and a private key to files, without a server and without any state.

Layer: ``client``. A file appears under its name when its tag was checked, in batches, and never in place of something
else. What is there already and has the same content is kept, so that a run that was cut goes on. With ``salvage`` what
nobody vouches for appears too, with ``.not-verified`` behind its name.

Source: docs/user/export.md; docs/spec/bundle.md.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from candado.client.bundle_reader import BundleReader
from candado.client.fill import ItemFailure
from candado.client.found import FoundFolder, Gap
from candado.crypto.filebody import BODY_OVERHEAD_BYTES, BodyOpener
from candado.crypto.rsa import PrivateKey
from candado.errors import (
    AlreadyExistsError,
    CandadoError,
    CryptoError,
    DiskFullError,
    FormatError,
    LocalStorageError,
    MalformedError,
    OpenFailedError,
    TamperError,
)
from candado.folder.localnames import local_names
from candado.formats.metadata import Entry
from candado.ports.bundle import RecoveryTree, SourceFile, SourceFiles
from candado.ports.local import LocalStat, Spool
from candado.types import SealedName, UserId

__all__ = ["UNVERIFIED_SUFFIX", "RecoverReport", "fill_tree", "recover"]

UNVERIFIED_SUFFIX: Final = ".not-verified"
_PIECE: Final = 1 << 20
_BATCH: Final = 64

Tell = Callable[[str, int], None]
"""Called with a path and a number of bytes for every file that is done."""


@dataclass(slots=True)
class RecoverReport:
    """What a recovery did; paths are those of the files in the new folder.

    ``kept`` files were there already with the same content. ``missing`` files have no body. ``unverified`` are (path,
    reason), ``renamed`` are (name in the folder, path here). ``failures`` are files and whole folders that could not
    be had.
    """

    files: int = 0
    folders: int = 0
    bytes: int = 0
    kept: int = 0
    missing: list[str] = field(default_factory=list[str])
    unverified: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    renamed: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    failures: list[ItemFailure] = field(default_factory=list[ItemFailure])

    @property
    def is_complete(self) -> bool:
        """Whether everything that the documents list is here and verified."""
        return not (self.missing or self.unverified or self.failures)


def recover(
    files: SourceFiles,
    key: PrivateKey,
    member_id: UserId | None,
    tree: RecoveryTree,
    *,
    now: float,
    salvage: bool = False,
    overwrite: bool = False,
    windows: bool = False,
    authority_fingerprint: str = "",
    tell: Tell | None = None,
) -> RecoverReport:
    """Decrypt a bundle into ``tree`` with the private key of any member.

    Args:
        files: the bundle.
        key: of the member.
        member_id: the member; None looks for the one with this key in each root.
        tree: where the files go, each root under its own name.
        now: seconds since the epoch.
        salvage: take what cannot be verified too.
        overwrite: put files in place of others of the same name.
        windows: give every file a name that Windows can have.
        authority_fingerprint: as in ``BundleReader``.
        tell: progress.

    Raises:
        NotFoundError, FormatError, CryptoError: the bundle as a whole is refused; nothing was written.
        DiskFullError: what is finished is kept.
    """
    reader = BundleReader(files, authority_fingerprint=authority_fingerprint, salvage=salvage)
    found = reader.folders(key, now=now, member_id=member_id)
    return fill_tree(found, tree, salvage=salvage, overwrite=overwrite, windows=windows, tell=tell)


def fill_tree(
    found: Iterable[FoundFolder | Gap],
    tree: RecoveryTree,
    *,
    salvage: bool,
    overwrite: bool,
    windows: bool,
    tell: Tell | None = None,
) -> RecoverReport:
    """Write what was found; see ``recover``."""
    filler = _Filler(tree, salvage=salvage, overwrite=overwrite, windows=windows, tell=tell)
    try:
        for item in found:
            if isinstance(item, Gap):
                filler.fail(item.shown, item.error)
            else:
                filler.fill(item)
        filler.publish()
    except BaseException:
        filler.discard()
        raise
    return filler.report


@dataclass(frozen=True, slots=True)
class _Ready:
    """A file whose content waits for its name."""

    spool: Spool
    place: str
    mtime_seconds: float
    expected: LocalStat | None
    size_bytes: int
    doubt: str


class _Filler:
    def __init__(self, tree: RecoveryTree, *, salvage: bool, overwrite: bool, windows: bool, tell: Tell | None) -> None:
        self.report = RecoverReport()
        self._tree, self._tell = tree, tell
        self._salvage, self._overwrite, self._windows = salvage, overwrite, windows
        self._places: dict[tuple[str, ...], str | None] = {}
        self._tops: list[str] = []
        self._ready: list[_Ready] = []
        self._seen = memoryview(bytearray(_PIECE + 32))

    def fail(self, path: str, error: CandadoError) -> None:
        """Report what cannot be had; advice for somebody at a server is of no use here."""
        if isinstance(error, TamperError | CryptoError | FormatError):
            error.safe = "It was left out; nothing unverified was written."
            if error.advice == error.default_advice or isinstance(error, TamperError):
                error.advice = "Use another copy of the bundle, or add --salvage to take it without verification."
        self.report.failures.append(ItemFailure(path, error))

    def fill(self, found: FoundFolder) -> None:
        """One folder: its own place, those of what is in it, then its files."""
        if len(found.path) == 1:  # a root: two of one name lie side by side
            self._places.clear()
        place = self._place_of(found.path)
        if place is None:
            return  # below a folder that could not be made, which is in the report
        try:
            self._tree.make_folder(place)
        except LocalStorageError as error:
            self.fail(place, error)
            self._places[found.path] = None
            return
        self.report.folders += 1
        folders = sorted(set(found.folders.values()))
        files = sorted(found.files.items(), key=lambda item: (item[1].filename, item[0]))
        clear = [*folders, *(entry.filename for _, entry in files)]
        names = local_names(clear, windows=self._windows)
        for name, here in zip(clear, names, strict=True):
            if name != here:
                self.report.renamed.append((f"{'/'.join(found.path)}/{name}", f"{place}/{here}"))
        for name, here in zip(folders, names, strict=False):
            self._places[*found.path, name] = f"{place}/{here}"
        for (sealed, entry), here in zip(files, names[len(folders) :], strict=True):
            self._file(found, sealed, entry, f"{place}/{here}")

    def _place_of(self, path: tuple[str, ...]) -> str | None:
        if len(path) == 1 and path not in self._places:
            self._tops.append(path[0])
            here = local_names(self._tops, windows=self._windows)[-1]
            if here != path[0]:
                self.report.renamed.append((path[0], here))
            self._places[path] = here
        if path not in self._places:  # of a folder that none above it lists
            above = self._place_of(path[:-1])
            name = local_names([path[-1]], windows=self._windows)[0]
            self._places[path] = None if above is None else f"{above}/{name}"
        return self._places[path]

    def _file(self, found: FoundFolder, sealed: SealedName, entry: Entry, place: str) -> None:
        try:
            body = _Body(found, sealed, entry)
            if body.size_bytes is None:
                self.report.missing.append(place)
            else:
                self._restore(body, place, found.doubt)
        except DiskFullError as error:
            error.path = place
            raise
        except (LocalStorageError, CryptoError, FormatError, AlreadyExistsError) as error:
            self.fail(place, error)

    # --- one file -------------------------------------------------------------------------------------------

    def _restore(self, body: "_Body", place: str, doubt: str) -> None:
        if not doubt:
            if self._is_there(body, place, sound=True):
                self._kept(body, place, doubt)
                return
            self._expected(place)
        spool = self._tree.open_spool()
        try:
            try:
                body.read(spool.write)
            except (OpenFailedError, MalformedError):
                if not self._salvage:
                    raise
                doubt = doubt or "its content was altered or is cut off"
            if doubt:
                place += UNVERIFIED_SUFFIX
                if self._is_there(body, place, sound=False):
                    spool.discard()
                    self._kept(body, place, doubt)
                    return
            ready = _Ready(spool, place, body.mtime_seconds, self._expected(place), body.plain_bytes, doubt)
        except BaseException:
            spool.discard()
            raise
        self._ready.append(ready)
        if len(self._ready) >= _BATCH:
            self.publish()

    def _is_there(self, body: "_Body", place: str, *, sound: bool) -> bool:
        """Whether the file is here already; with ``sound`` also whether its body opens."""
        stat = self._tree.stat(place)
        if stat is None or stat.is_folder or stat.size_bytes != body.plain_bytes:
            return False
        file = self._tree.open_read(place)
        is_same = True

        def compare(piece: bytes | memoryview) -> None:
            nonlocal is_same
            seen = self._seen[: len(piece)]
            is_same = is_same and file.read_into(seen) == len(piece) and seen == piece

        try:
            body.read(compare)
        except (OpenFailedError, MalformedError):
            return is_same and not sound
        finally:
            file.close()
        return is_same

    def _expected(self, place: str) -> LocalStat | None:
        """What may be replaced at a place; AlreadyExistsError when something is there that may not."""
        stat = self._tree.stat(place)
        if stat is not None and (stat.is_folder or not self._overwrite):
            raise AlreadyExistsError(
                "There is something else of this name here.",
                path=place,
                safe="It was not touched.",
                advice="Recover into another folder, or add --overwrite.",
            )
        return stat

    def _kept(self, body: "_Body", place: str, doubt: str) -> None:
        self.report.kept += 1
        self._done(place, body.plain_bytes, doubt)

    def _done(self, place: str, size_bytes: int, doubt: str) -> None:
        if doubt:
            self.report.unverified.append((place, doubt))
        if self._tell is not None:
            self._tell(place, size_bytes)

    def publish(self) -> None:
        """Give the files that wait their names; DiskFullError when there is no room for one."""
        ready, self._ready = self._ready, []
        results = self._tree.publish([(one.spool, one.place, one.mtime_seconds, one.expected) for one in ready])
        for one, result in zip(ready, results, strict=True):
            if isinstance(result, LocalStat):
                self.report.files += 1
                self.report.bytes += one.size_bytes
                self._done(one.place, one.size_bytes, one.doubt)
                continue
            one.spool.discard()
            if isinstance(result, DiskFullError) or not isinstance(result, CandadoError):
                raise result
            self.fail(one.place, result)

    def discard(self) -> None:
        """Let go of what waits."""
        for one in self._ready:
            one.spool.discard()


class _Body:
    """The stored body of one entry, which can be read more than once.

    ``size_bytes`` is that of the ciphertext, None when there is none.
    """

    def __init__(self, found: FoundFolder, sealed: SealedName, entry: Entry) -> None:
        self._found, self._sealed, self._entry = found, sealed, entry
        self.size_bytes: int | None = None
        self.mtime_seconds = 0.0
        file = self._file()
        if file is not None:
            self.size_bytes, self.mtime_seconds = file.size_bytes, file.mtime_seconds
            file.close()

    @property
    def plain_bytes(self) -> int:
        """Size of the plaintext."""
        return max(0, (self.size_bytes or 0) - BODY_OVERHEAD_BYTES)

    def read(self, write: Callable[[bytes | memoryview], None]) -> None:
        """Hand out the plaintext, which is verified when this returns; OpenFailedError, MalformedError."""
        file = self._file()
        if file is None:
            raise OpenFailedError("a stored file went away while it was read")
        try:
            opener = BodyOpener(self._entry.key, self._entry.nonce, file.size_bytes)
            size = min(file.size_bytes, _PIECE)
            buffer, out = memoryview(bytearray(size)), memoryview(bytearray(size + 32))
            while count := file.read_into(buffer):
                write(out[: opener.update_into(buffer[:count], out)])
            opener.finish()
        finally:
            file.close()

    def _file(self) -> SourceFile | None:
        return self._found.body(self._sealed)
