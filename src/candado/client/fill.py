"""Fill an encrypted folder with files and folders, in as few write sessions as the server allows.

Layer: ``client``. Our own server takes a whole tree in one session. On others a folder that was made in a session
can be filled in the next one, so a tree costs one session a level. Big sets are split, so that an interruption loses
little.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import floor
from typing import Final, Literal

from candado.client.held import settle_denials
from candado.client.items import PER_FILE_ERRORS, UploadItem, Written
from candado.client.reader import FolderReader
from candado.client.rehearsal import Rehearsal, RehearsedSession, Step
from candado.client.session import WriteSession
from candado.client.taken import TakenNames
from candado.client.transfer import Progress, TreeSource
from candado.client.view import RemoteEntry, join, split
from candado.errors import AlreadyExistsError, CandadoError, LocalNameError, LocalStorageError
from candado.folder.names import check_clear_name, unique_name
from candado.ports.client import LeftOut, LocalStat, LocalTree
from candado.protocol.plan_model import Problem

__all__ = ["TAKEN_ADVICE", "Conflict", "CopyReport", "Filler", "ItemFailure"]

Conflict = Literal["fail", "skip", "replace", "keep-both", "newer"]

TAKEN_ADVICE: Final = "Choose another name, or add --conflict skip, replace, keep-both or newer."
_FILES_MAX: Final = 5000
_BYTES_MAX: Final = 4 << 30


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """One file that was left out, and why."""

    path: str
    error: CandadoError


@dataclass(slots=True)
class CopyReport:
    """What a transfer did.

    ``skipped`` are files whose name was taken, ``failures`` what should have been transferred and was not, ``left_out``
    what nobody expects to be: links, special files, what an ignore rule names. ``warnings`` are names that not every
    device can have.
    """

    files: int = 0
    folders: int = 0
    bytes: int = 0
    skipped: list[str] = field(default_factory=list[str])
    failures: list[ItemFailure] = field(default_factory=list[ItemFailure])
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    warnings: list[Problem] = field(default_factory=list[Problem])

    def add(self, other: "CopyReport") -> None:
        """Count what another transfer of the same command did."""
        self.files += other.files
        self.folders += other.folders
        self.bytes += other.bytes
        self.skipped += other.skipped
        self.failures += other.failures
        self.left_out += other.left_out
        self.warnings += other.warnings


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size_bytes: int
    mtime_seconds: int
    local: TreeSource | None
    remote: RemoteEntry | None


class Filler:
    """Collects what shall be in a folder, then puts it there.

    Args:
        reader: of the account.
        folder: clear path of an encrypted folder that exists; everything goes below it.
        conflict: what happens to a file whose name is taken.
    """

    def __init__(
        self,
        reader: FolderReader,
        folder: str,
        *,
        conflict: Conflict,
        transfers: int = 16,
        progress: Progress | None = None,
    ) -> None:
        self._reader = reader
        self._folder = folder
        self._conflict = conflict
        self._transfers = transfers
        self._progress = progress
        self._folders: dict[str, None] = {}
        self._files: list[_File] = []
        self.strict_folders = False
        self.files = 0
        self.folders = 0
        self.bytes = 0
        self.skipped: list[str] = []
        self.failures: list[ItemFailure] = []
        self.left_out: list[LeftOut] = []
        self.warnings: list[Problem] = []
        self._taken: dict[str, TakenNames] = {}
        self._sent: list[str] = []

    # --- collecting -------------------------------------------------------------------------------------------

    def add_folder(self, path: str) -> None:
        """A folder that shall exist."""
        self._folders.setdefault(path)

    def add_local(self, tree: LocalTree, local: str, path: str) -> None:
        """A local file or, with all below it, a folder but for what the tree leaves out."""
        stat = tree.stat(local) if local else None
        if local and stat is None:
            gone = LocalStorageError("There is no regular file at this path.", path=local, advice="Check the path.")
            self.failures.append(ItemFailure(path, gone))
            return
        if stat is not None and not stat.is_folder:
            self._files.append(_file(path, stat, TreeSource(tree, local)))
            return
        self.add_folder(path)
        prefix = f"{local}/" if local else ""
        nodes = tree.scan()
        left_out = tree.skipped()
        unread = {one.path for one in left_out}
        for inner, found in sorted(nodes.items()):
            if not inner.startswith(prefix) or inner in unread:
                continue
            place = join(path, inner.removeprefix(prefix))
            if not self._is_possible(place):
                continue
            if found.is_folder:
                self.add_folder(place)
            else:
                self._files.append(_file(place, found, TreeSource(tree, inner)))
        for one in left_out:
            if one.path.startswith(prefix):
                self._leave_out(join(path, one.path.removeprefix(prefix)), one)

    def _leave_out(self, place: str, one: LeftOut) -> None:
        if one.error is None:
            self.left_out.append(replace(one, path=place))
        else:
            self.failures.append(ItemFailure(place, one.error))

    def add_remote(self, entry: RemoteEntry, path: str) -> None:
        """A remote file, to be copied under a fresh key."""
        self._files.append(_File(path, entry.size_bytes, floor(entry.mtime_seconds), None, entry))

    def _is_possible(self, path: str) -> bool:
        try:
            check_clear_name(path.rpartition("/")[2])
        except LocalNameError as error:
            self.failures.append(ItemFailure(path, error))
            return False
        return True

    # --- filling ------------------------------------------------------------------------------------------------

    async def run(self, rehearsal: Rehearsal | None = None) -> "Filler":
        """Put everything in place; returns itself, with the counts and the failures.

        In a dry run these are the counts of what would be done, and the failures that can be foreseen.
        """
        if rehearsal is not None:
            return await self._rehearse(rehearsal)
        made: set[str] = set()
        files = self._files
        while True:
            fresh: set[str] = set()
            rest: list[_File] = []
            self._taken.clear()
            async with WriteSession(
                self._reader, self._folder, transfers=self._transfers, progress=self._progress
            ) as session:
                for path in _by_depth(self._folders.keys() - made):
                    if not session.one_session and _parent(path) in fresh | (self._folders.keys() - made):
                        continue
                    if await self._make(session, path):
                        fresh.add(path)
                    made.add(path)
                blocked = set() if session.one_session else fresh | (self._folders.keys() - made)
                ready = [item for item in files if _parent(item.path) not in blocked]
                rest = [item for item in files if _parent(item.path) in blocked]
                batch, later = _cut(ready)
                await self._send(session, batch)
                rest += later
            files = rest
            if not files and not self._folders.keys() - made:
                settle_denials(self._reader.account, self._sent)
                return self

    async def _rehearse(self, rehearsal: Rehearsal) -> "Filler":
        overwrite = self._conflict in {"replace", "newer"}
        async with RehearsedSession(self._reader, self._folder, rehearsal) as session:
            for path in _by_depth(self._folders):
                await self._make(session, path)
            for file in self._files:
                try:
                    place = await self._place(session, file)
                    is_there = place is not None and await session.add_file(
                        place, replace=overwrite, size_bytes=file.size_bytes
                    )
                except PER_FILE_ERRORS as error:
                    self.failures.append(ItemFailure(file.path, error))
                    continue
                if place is None:
                    self.skipped.append(file.path)
                    continue
                rehearsal.steps.append(_step(file, place, replaces=is_there))
                self.files += 1
                self.bytes += file.size_bytes
        return self

    async def _make(self, session: WriteSession | RehearsedSession, path: str) -> bool:
        """Make one folder; False when it is there already or cannot be made."""
        try:
            taken = await self._names(session, _parent(path))
            name = path.rpartition("/")[2]
            if taken.names.get(name) and not self.strict_folders:
                return False
            warnings = taken.look_at(path)
            await session.add_folder(path)
        except PER_FILE_ERRORS as error:
            self.failures.append(ItemFailure(path, error))
            return False
        taken.add(name, is_folder=True)
        self.warnings += warnings
        self.folders += 1
        return True

    async def _send(self, session: WriteSession, batch: list[_File]) -> None:
        items: list[UploadItem] = []
        copies: list[tuple[RemoteEntry, str]] = []
        overwrite = self._conflict in {"replace", "newer"}
        for file in batch:
            try:
                place = await self._place(session, file)
            except PER_FILE_ERRORS as error:
                self.failures.append(ItemFailure(file.path, error))
                continue
            if place is None:
                self.skipped.append(file.path)
            elif file.local is not None:
                items.append(UploadItem(place, file.local, replace=overwrite))
            elif file.remote is not None:
                copies.append((file.remote, place))
        for item, result in zip(items, await session.put_files(items), strict=True):
            self._count(item.path, result)
        for (_, place), copied in zip(copies, await session.copy_files(copies, replace=overwrite), strict=True):
            self._count(place, copied)

    async def _place(self, session: WriteSession | RehearsedSession, file: _File) -> str | None:
        """Where a file goes as the names stand; None to skip it."""
        path = file.path
        parent, name = _parent(path), path.rpartition("/")[2]
        taken = await self._names(session, parent)
        names = taken.names
        if name in names and self._conflict == "keep-both":
            name = unique_name(name, taken.keys)
        elif name in names and self._conflict == "skip":
            return None
        elif name in names and (self._conflict == "fail" or names[name]):
            raise AlreadyExistsError(path=path, advice=TAKEN_ADVICE)
        elif name in names and self._conflict == "newer" and not await _is_newer(session, file):
            return None
        place = join(parent, name)
        self.warnings += taken.look_at(place)
        taken.add(name, is_folder=False)
        return place

    async def _names(self, session: WriteSession | RehearsedSession, folder: str) -> TakenNames:
        if folder not in self._taken:
            self._taken[folder] = TakenNames(await session.names(folder))
        return self._taken[folder]

    def _count(self, path: str, result: Written | CandadoError) -> None:
        if isinstance(result, CandadoError):
            self.failures.append(ItemFailure(path, result))
        else:
            self.files += 1
            self.bytes += result.size_bytes
            self._sent.append(path)


def _file(path: str, stat: LocalStat, source: TreeSource) -> _File:
    return _File(path, stat.size_bytes, stat.mtime_ns // 10**9, source, None)


def _step(file: _File, place: str, *, replaces: bool) -> Step:
    if file.remote is not None:
        return Step("copy", file.remote.path, place, file.size_bytes)
    return Step("replace" if replaces else "upload", place, None, file.size_bytes)


async def _is_newer(session: WriteSession | RehearsedSession, file: _File) -> bool:
    """Whether a file is newer, by whole seconds as servers keep them, than what is at its place.

    Not so when that came in this very session.
    """
    view = await session.folder(_parent(file.path))
    there = None if view is None else view.entries.get(file.path.rpartition("/")[2])
    return there is not None and file.mtime_seconds > floor(there.mtime_seconds)


def _cut(files: list[_File]) -> tuple[list[_File], list[_File]]:
    """As many files as one session takes, and the others."""
    total = 0
    for at, file in enumerate(files):
        total += file.size_bytes
        if at and (at >= _FILES_MAX or total > _BYTES_MAX):
            return files[:at], files[at:]
    return files, []


def _by_depth(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=lambda path: (len(split(path)), path))


def _parent(path: str) -> str:
    return "/" + "/".join(split(path)[:-1])
