"""A dry run of one command: it reads and decides as the real run does, and notes the steps that it does not take.

Layer: ``client``. Nothing is written and no lock is asked for; what is read is verified as always. The command itself
looks again, so what others do in between is noticed then.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from candado.client.drafts import Drafts
from candado.client.orgrules import OrgRules, refresh_rules
from candado.client.reader import FolderReader
from candado.client.session import WriteSession
from candado.client.view import FolderView, Located, clear_path, join
from candado.errors import CryptoError, FormatError, LocalStorageError, NotFoundError, TamperError
from candado.ports.client import LocalStat, LocalTree
from candado.types import FileId, SealedName

__all__ = ["Rehearsal", "RehearsedSession", "RehearsedTree", "Step", "count_files", "session_on"]

_NO_ID: Final = FileId(0)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``do`` is what would happen to ``path``; ``to`` is where it would go, ``size_bytes`` what it holds."""

    do: str
    path: str
    to: str | None = None
    size_bytes: int | None = None

    def to_json(self) -> dict[str, object]:
        """As in the list ``plan`` of a command's answer."""
        more = {"to": self.to, "bytes": self.size_bytes}
        return {"do": self.do, "path": self.path} | {key: value for key, value in more.items() if value is not None}


class Rehearsal:
    """What one command would have done so far; whatever it decides next sees that as done."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.made: set[str] = set()
        """Clear paths of the remote folders that would be there by now."""
        self.local: dict[str, LocalStat] = {}
        """What would be in the local folder by now, by local path."""
        self._opened: list[Drafts] = []
        self._ended: set[str] = set()

    def end_root(self, path: str) -> None:
        """Take a whole root for gone from here on, removed or left. NotFoundError when it is gone already."""
        self._need_there(path)
        self._ended.add(path)

    async def drafts(self, reader: FolderReader, scope: str) -> Drafts:
        """The folders at and below ``scope`` as they would be by now; the errors of a session that opens there."""
        self._need_there(scope)
        for opened in self._opened:
            if _is_within(scope, opened.top.path):
                return opened
        drafts = Drafts(reader, deletes=False)
        place, file_id, _ = await drafts.locate(scope)
        await drafts.open(place, file_id)
        self._opened.append(drafts)
        return drafts

    def _need_there(self, path: str) -> None:
        if any(_is_within(path, root) for root in self._ended):
            raise NotFoundError(path=path)


class RehearsedSession:
    """Stands in for a ``WriteSession``: the same names, refusals and errors, no lock, and steps instead of changes."""

    def __init__(self, reader: FolderReader, scope: str, rehearsal: Rehearsal) -> None:
        self._reader = reader
        self._scope = clear_path(scope)
        self._rehearsal = rehearsal
        self._drafts = Drafts(reader, deletes=False)
        self._rules = OrgRules(reader.account)

    async def __aenter__(self) -> Self:
        await refresh_rules(self._reader.account)
        self._rules = OrgRules(self._reader.account)
        self._drafts = await self._rehearsal.drafts(self._reader, self._scope)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._drafts.refused is not None:
            raise self._drafts.refused

    async def names(self, path: str) -> dict[str, bool]:
        """As in ``WriteSession``."""
        return (await self._drafts.folder(path)).shown()

    async def folder(self, path: str) -> FolderView | None:
        """As in ``WriteSession``."""
        return (await self._drafts.folder(path)).view

    async def add_folder(self, path: str) -> None:
        """As in ``WriteSession``."""
        parent, name = await self._drafts.parent(path)
        if name in parent.names and parent.is_unfinished(name):
            parent.drop(name)
        parent.check_free(name)
        self._rules.check_folder(path)
        # A path is the sealed name of nothing else.
        sealed = SealedName(path)
        parent.put_back(name, sealed, None)
        self._drafts.made(parent, name, sealed, _NO_ID)
        self._rehearsal.made.add(path)
        self._rehearsal.steps.append(Step("make folder", path))

    async def add_file(self, path: str, *, replace: bool, size_bytes: int) -> bool:
        """Take the place of a file; whether another one is there.

        AlreadyExistsError, LocalNameError, NotFoundError, ClientRuleError.
        """
        parent, name = await self._drafts.parent(path)
        taken = parent.check_place(name, may_replace=replace)
        self._rules.check_file(path, lambda: size_bytes, replaces=taken is not None)
        parent.reserved.add(name)
        return taken is not None and not parent.is_missing(name)

    async def move(self, source: str, target: str) -> None:
        """As in ``WriteSession``; the caller has seen that no folder would go into itself."""
        old, old_name = await self._drafts.parent(source)
        new, new_name = await self._drafts.parent(target)
        sealed = old.sealed(old_name)
        new.check_free(new_name)
        entry = old.files.get(sealed)
        self._rules.check_move(source, target, is_folder=entry is None)
        old.drop(old_name)
        new.put_back(new_name, sealed, entry)
        self._rehearsal.steps.append(Step("move", source, target))

    async def remove(self, path: str) -> None:
        """As in ``WriteSession``."""
        parent, name = await self._drafts.parent(path)
        parent.drop(name)
        self._rehearsal.steps.append(Step("remove", path))


class RehearsedTree:
    """Stands in for a local tree while places are decided."""

    def __init__(self, tree: LocalTree, rehearsal: Rehearsal) -> None:
        self._tree = tree
        self._rehearsal = rehearsal

    def stat(self, path: str) -> LocalStat | None:
        """As in ``LocalTree``."""
        taken = self._rehearsal.local.get(path)
        return self._tree.stat(path) if taken is None else taken

    def make_folder(self, path: str, source: str) -> None:
        """As in ``LocalTree``; ``source`` is what it would be made for."""
        stat = self.stat(path)
        if stat is None:
            self._rehearsal.local[path] = LocalStat(is_folder=True, size_bytes=0, mtime_ns=0, inode=0)
            self._rehearsal.steps.append(Step("make folder", source, path))
        elif not stat.is_folder:
            raise LocalStorageError(
                "a file stands where a folder should be", path=path, advice="Move it away and run it again."
            )

    def add_file(self, path: str, source: str, stat: LocalStat, *, replaces: bool) -> None:
        """Take the place of a file that would come from ``source``."""
        self._rehearsal.local[path] = stat
        self._rehearsal.steps.append(Step("replace" if replaces else "download", source, path, stat.size_bytes))


def session_on(reader: FolderReader, scope: str, rehearsal: Rehearsal | None) -> WriteSession | RehearsedSession:
    """A write session, or what stands in for one in a dry run."""
    return WriteSession(reader, scope) if rehearsal is None else RehearsedSession(reader, scope, rehearsal)


async def count_files(reader: FolderReader, found: Located) -> int | None:
    """The number of files at and below a place; None when something there is refused, which keeps nobody from removing.

    TransportError.
    """
    if found.kind == "file":
        return 1
    try:
        tree = await reader.walk(found.view)
    except (CryptoError, FormatError, TamperError):
        return None
    return sum(not entry.is_folder for entry in tree.entries())


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(join(folder, ""))
