"""Single commands: put, get, cat, mkdir, rm, mv, cp, encrypt.

Layer: ``client``. Everything that writes goes through ``WriteSession`` and therefore into encrypted folders only; a
plain folder is never written to. With a ``Rehearsal`` nothing is written at all. Paths are clear and absolute. Reports
name what failed file by file; an error that ends the command is raised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from candado.client.account import Account
from candado.client.fetch import cat, get
from candado.client.fill import Conflict, CopyReport, Filler, ItemFailure
from candado.client.places import expand, need_encrypted, target_of
from candado.client.reader import FolderReader
from candado.client.rehearsal import Rehearsal, count_files, session_on
from candado.client.roots import leave_root, owner_of_received, remove_root
from candado.client.session import WriteSession
from candado.client.transfer import Progress
from candado.client.view import FolderView, Located, RemoteEntry, clear_path, join, root_deleted, split
from candado.errors import (
    AlreadyExistsError,
    FolderNotEmptyError,
    LocalNameError,
    NotEncryptedError,
    NotFoundError,
    UsageError,
)
from candado.folder.names import check_clear_name
from candado.ports.client import LocalTree, RemoteNode
from candado.protocol.plan_model import Problem
from candado.types import FileId

__all__ = [
    "Conflict",
    "CopyReport",
    "ItemFailure",
    "PutSource",
    "RemoveReport",
    "cat",
    "cp",
    "encrypt_folder",
    "get",
    "mkdir",
    "mv",
    "put",
    "removable",
    "rm",
]


@dataclass(frozen=True, slots=True)
class PutSource:
    """One thing to upload: ``path`` in a local tree (empty: all of it, as a folder), and its remote ``name``.

    What comes from a pipe has no name; then the target must be that of a file.
    """

    tree: LocalTree
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class RemoveReport:
    """What was removed: the path, and whether it was a whole root (whose deletion was signed).

    ``left_to`` names the owner of a received root: only the share was left, and all of it is still there. ``files`` is
    the number of files that would go, in a dry run; None when a part of them cannot be read.
    """

    path: str
    is_folder: bool
    is_root: bool
    left_to: str = ""
    files: int | None = None


async def put(
    account: Account,
    sources: Sequence[PutSource],
    target: str,
    *,
    conflict: Conflict = "fail",
    transfers: int = 16,
    progress: Progress | None = None,
    rehearsal: Rehearsal | None = None,
) -> CopyReport:
    """Upload files and folders into the encrypted folder ``target``, or one file as ``target``.

    ``conflict`` says what happens to a file whose name is taken: ``fail`` (reported), ``skip``, ``replace``,
    ``keep-both``, or ``newer``: replace what is older, skip the rest.

    Raises:
        NotFoundError: ``target`` and its folder do not exist; or only the folder does, and a slash at the end of
            ``target`` says that it is a folder for a file.
        NotEncryptedError: it is a plain folder.
        UsageError: a source without a name would go into a folder.
    """
    reader = FolderReader(account)
    is_file = any(source.path and not _is_folder(source) for source in sources)
    folder, rename = await target_of(reader, target, single=len(sources) == 1, is_file=is_file)
    filler = Filler(reader, folder, conflict=conflict, transfers=transfers, progress=progress)
    for source in sources:
        name = rename or source.name
        if not name:
            raise UsageError(
                "this is a folder, and what comes from a pipe has no name",
                path=folder,
                advice=f"Name the file: {join(folder, 'NAME')}, or add --name NAME.",
            )
        try:
            check_clear_name(name)
        except LocalNameError as error:
            filler.failures.append(ItemFailure(join(folder, source.name), error))
            continue
        filler.add_local(source.tree, source.path, join(folder, name))
    return _report(await filler.run(rehearsal))


async def cp(
    account: Account,
    source: str,
    target: str,
    *,
    recursive: bool = False,
    conflict: Conflict = "fail",
    transfers: int = 16,
    progress: Progress | None = None,
    rehearsal: Rehearsal | None = None,
) -> CopyReport:
    """Copy a remote file or (``recursive``) folder into another place; every body is sealed anew under a fresh key.

    ``source`` may be a pattern, see ``expand``.

    Raises:
        UsageError: it is a folder and ``recursive`` is False, or a folder would be copied into itself.
    """
    reader = FolderReader(account)
    sources = {path: await reader.open_path(path) for path in await expand(reader, source, but=target)}
    folder, rename = await target_of(reader, target, single=len(sources) == 1, is_file=_has_file(sources))
    filler = Filler(reader, folder, conflict=conflict, transfers=transfers, progress=progress)
    for path, found in sources.items():
        await _add_remote(reader, filler, found, join(folder, rename or split(path)[-1]), recursive=recursive)
    return _report(await filler.run(rehearsal))


async def mkdir(
    account: Account, path: str, *, parents: bool = False, rehearsal: Rehearsal | None = None
) -> list[Problem]:
    """Make a folder inside an encrypted one; with ``parents`` also what is missing above, and an existing one is fine.

    Returns warnings of names that not every device can have.

    AlreadyExistsError, NotFoundError, NotEncryptedError, LocalNameError.
    """
    reader = FolderReader(account)
    made = set[str]() if rehearsal is None else rehearsal.made
    parts = split(path)
    if not parts:
        raise AlreadyExistsError(path="/")
    missing = [] if parents else [parts.pop()]
    while (place := "/" + "/".join(parts)) not in made:
        try:
            folder = await reader.open_folder(place)
        except NotFoundError:
            if not parents or len(parts) < 2:
                raise
            missing.insert(0, parts.pop())
            continue
        need_encrypted(reader, folder)
        break
    for name in missing:
        check_clear_name(name)
    filler = Filler(reader, place, conflict="fail")
    for name in missing:
        place = join(place, name)
        filler.add_folder(place)
    filler.strict_folders = not parents
    report = await filler.run(rehearsal)
    if report.failures:
        raise report.failures[0].error
    return report.warnings


async def rm(
    account: Account, path: str, *, recursive: bool = False, rehearsal: Rehearsal | None = None
) -> RemoveReport:
    """Remove a file, a folder (``recursive``), or a whole root: its deletion is signed, then it is removed.

    Of a root that somebody else owns only the share is left; it stays as it is for its owner and all others.

    The caller has asked the person. UsageError when a folder is not empty and ``recursive`` is False; NotFoundError.
    """
    reader = FolderReader(account)
    found = await removable(reader, path, recursive=recursive)
    if found.kind == "root":
        owner = owner_of_received(account, found.view)
        files = None
        if rehearsal is not None:
            rehearsal.end_root(found.view.path)
            files = 0 if owner else await count_files(reader, found)
        elif owner:
            await leave_root(account, found.view)
        else:
            await remove_root(reader, found.view)
        return RemoveReport(found.view.path, is_folder=True, is_root=True, left_to=owner, files=files)
    path = clear_path(path)
    if found.kind == "file":
        need_encrypted(reader, found.view)
    async with session_on(reader, _parent(path), rehearsal) as session:
        await session.remove(path)
    files = None if rehearsal is None else await count_files(reader, found)
    return RemoveReport(path, is_folder=found.kind == "nested", is_root=False, files=files)


async def removable(reader: FolderReader, path: str, *, recursive: bool) -> Located:
    """What ``rm`` would remove; the errors that it would raise before it changes anything."""
    found = await reader.open_path(path)
    if found.kind == "plain":
        raise NotEncryptedError("This is a plain folder; candado changes encrypted ones only.", path=found.view.path)
    filled = found.kind != "file" and (found.view.entries or found.view.missing)
    if filled and not recursive:
        raise UsageError(f"{clear_path(path)} is a folder with content; add --recursive to remove it all")
    return found


async def mv(
    account: Account,
    source: str,
    target: str,
    *,
    progress: Progress | None = None,
    rehearsal: Rehearsal | None = None,
) -> None:
    """Rename or move a file or folder, or all that match a pattern (see ``expand``); nothing is overwritten.

    Within one root the body stays on the server as it is. Between roots it is copied under fresh keys, and the
    original is removed only after the copy was confirmed.

    Raises:
        AlreadyExistsError, NotFoundError, NotEncryptedError.
        UsageError: the top of an encrypted folder is meant, or a folder and a place inside itself.
    """
    reader = FolderReader(account)
    paths = await expand(reader, source, but=target)
    sources = {clear_path(path): await reader.open_path(path) for path in paths}
    for found in sources.values():
        if found.kind in {"plain", "root"} or not found.view.is_encrypted:
            raise UsageError("only files and folders inside an encrypted folder can be moved")
    folder, rename = await target_of(reader, target, single=len(sources) == 1, is_file=_has_file(sources))
    places = {path: join(folder, rename or split(path)[-1]) for path in sources}
    if any(place.startswith(f"{path}/") for path, place in places.items()):
        raise UsageError("a folder cannot be moved into itself")
    root_id = await _root_id(reader, folder)
    inside = {path: place for path, place in places.items() if sources[path].view.root_id == root_id and path != place}
    if inside:
        async with session_on(reader, _common([*inside, *inside.values()]), rehearsal) as session:
            for path, place in inside.items():
                await session.move(path, place)
    away = [path for path in sources if sources[path].view.root_id != root_id]
    if not away:
        return
    filler = Filler(reader, folder, conflict="fail", progress=progress)
    for path in away:
        await _add_remote(reader, filler, sources[path], places[path], recursive=True)
    report = await filler.run(rehearsal)
    if report.failures:
        raise report.failures[0].error
    for path in away:
        async with session_on(reader, _parent(path), rehearsal) as session:
            await session.remove(path)


async def encrypt_folder(account: Account, path: str) -> FolderView:
    """Make ``path`` the top of an encrypted folder: a new one, or an existing empty one; finishes an interrupted try.

    Raises:
        FolderNotEmptyError: there is something in it.
        AlreadyExistsError: it is encrypted already. RootDeletedError: it was, and a member deleted it.
        UsageError: it would lie inside an encrypted folder.
        NotFoundError: the folder above does not exist.
    """
    account.require_identity()
    reader = FolderReader(account)
    path = clear_path(path)
    parts = split(path)
    if not parts:
        raise UsageError("the home itself cannot be encrypted")
    for part in parts:
        check_clear_name(part)
    node = await _empty_folder(reader, path, parts)
    if not node.is_encrypted:
        await account.remote.mark_encrypted(node.file_id)
    async with WriteSession.create_root(reader, replace(node, is_encrypted=True)) as session:
        pass
    return session.views[path]


async def _empty_folder(reader: FolderReader, path: str, parts: list[str]) -> RemoteNode:
    """The plain or half-made empty folder at ``path``, made when absent."""
    account = reader.account
    known = next((pin for pin in account.book.roots() if pin.path_hint == path), None)
    try:
        nodes = await account.remote.list_folder(path, depth=1, with_metadata=True)
    except NotFoundError:
        if len(parts) > 1:
            above = await reader.open_folder("/" + "/".join(parts[:-1]))
            _need_plain(above)
        if known is not None:
            # A person asks for a new folder in the place of one that is gone; the old pin stays, without its path.
            account.store.commit(account.book.rows_folder(replace(known, path_hint="")))
        file_id = await account.remote.make_folder(path, token=None)
        return (await _listed(account, path, file_id))[0]
    if nodes[0].is_encrypted and (nodes[0].metadata_text is not None or known is not None):
        root = await reader.open_root(path)
        if root.deleted:
            raise root_deleted(root, account.user_id) from None
        raise AlreadyExistsError("The folder is encrypted already.", path=path) from None
    if known is not None or account.book.folder(nodes[0].file_id) is not None:
        await reader.open_root(path)
    if len(parts) > 1:
        _need_plain(await reader.open_folder("/" + "/".join(parts[:-1])))
    if not nodes[0].is_folder:
        raise AlreadyExistsError("There is a file of this name.", path=path)
    if len(nodes) > 1:
        raise FolderNotEmptyError(path=path)
    return nodes[0]


async def _listed(account: Account, path: str, file_id: FileId) -> list[RemoteNode]:
    nodes = await account.remote.list_folder(path, depth=0)
    if nodes[0].file_id != file_id:
        raise AlreadyExistsError("Somebody made another folder of this name.", path=path)
    return nodes


def _is_folder(source: PutSource) -> bool:
    stat = source.tree.stat(source.path)
    return stat is not None and stat.is_folder


async def _add_remote(reader: FolderReader, filler: Filler, found: Located, place: str, *, recursive: bool) -> None:
    if found.kind == "file":
        assert found.entry is not None
        filler.add_remote(found.entry, place)
        return
    if not recursive:
        raise UsageError(f"{found.view.path} is a folder; add --recursive to copy it")
    if place == found.view.path or place.startswith(f"{found.view.path.rstrip('/')}/"):
        raise UsageError("a folder cannot be copied into itself")
    if found.view.deleted:
        raise root_deleted(found.view, reader.account.user_id)
    tree = await reader.walk(found.view)
    filler.add_folder(place)
    entries: list[RemoteEntry] = list(tree.entries())
    for entry in entries:
        inner = place + entry.path.removeprefix(found.view.path.rstrip("/"))
        if entry.is_folder:
            filler.add_folder(inner)
        else:
            filler.add_remote(entry, inner)


def _report(filler: Filler) -> CopyReport:
    return CopyReport(
        filler.files, filler.folders, filler.bytes, filler.skipped, filler.failures, filler.left_out, filler.warnings
    )


def _need_plain(view: FolderView) -> None:
    if view.is_encrypted:
        raise UsageError(f"{view.path} is inside an encrypted folder; everything in it is encrypted already")


async def _root_id(reader: FolderReader, path: str) -> FileId | None:
    pin = reader.account.book.hinted(path)
    return pin.root_id if pin is not None else (await reader.open_folder(path)).root_id


def _common(paths: Sequence[str]) -> str:
    """The deepest folder that holds all paths."""
    parts = split(_parent(paths[0]))
    for path in paths:
        while split(_parent(path))[: len(parts)] != parts:
            parts.pop()
    return "/" + "/".join(parts)


def _parent(path: str) -> str:
    return "/" + "/".join(split(path)[:-1])


def _has_file(sources: Mapping[str, Located]) -> bool:
    return any(found.kind == "file" for found in sources.values())
