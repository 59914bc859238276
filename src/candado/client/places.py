"""Which remote things a command means, and where it puts them.

Layer: ``client``. Patterns name things that are there, by their clear names; a target may be a name that is not there
yet, so it is never taken for a pattern.
"""

import re
from contextlib import suppress
from fnmatch import fnmatchcase

from candado.client.reader import FolderReader
from candado.client.view import FolderView, clear_path, join, root_deleted, split
from candado.errors import NotEncryptedError, NotFoundError, UsageError

__all__ = ["expand", "need_encrypted", "target_of"]

_MAGIC = re.compile(r"[*?\[]")


async def expand(reader: FolderReader, pattern: str, *, but: str = "") -> list[str]:
    """The paths that a pattern matches, sorted; without ``*``, ``?`` or ``[`` the very text that was given.

    A pattern speaks of one part of the path at a time. As in a shell, a name that begins with a dot is matched only by
    a pattern that does. What is there under exactly this name wins over what it would match.

    Args:
        reader: of the account.
        pattern: a clear path.
        but: the path of a target, which is not moved or copied into itself.

    Raises:
        NotFoundError: nothing matches.
        TamperError, FormatError, CryptoError: a folder on the way was refused.
    """
    parts = split(pattern)
    first = next((at for at, part in enumerate(parts) if _MAGIC.search(part)), None)
    if first is None:
        return [pattern]
    with suppress(NotFoundError):
        await reader.open_path(pattern)
        return [pattern]
    nothing = NotFoundError("Nothing matches this pattern.", path=clear_path(pattern))
    try:
        views = [await reader.open_folder("/" + "/".join(parts[:first]))]
    except NotFoundError as error:
        raise nothing from error
    for part in parts[first:-1]:
        views = [below for view in views for below in await _folders(reader, view, part)]
    found = {join(view.path, name) for view in views for name in view.entries if _matches(name, parts[-1])}
    found.discard(clear_path(but))
    if not found:
        raise nothing
    return sorted(found)


async def _folders(reader: FolderReader, view: FolderView, pattern: str) -> list[FolderView]:
    """The folders of a folder that match; one whose set-up was interrupted holds nothing."""
    found: list[FolderView] = []
    for name, entry in view.entries.items():
        if entry.is_folder and _matches(name, pattern):
            with suppress(NotEncryptedError):
                found.append(await reader.open_entry(view, entry))
    return found


def _matches(name: str, pattern: str) -> bool:
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return fnmatchcase(name, pattern)


async def target_of(reader: FolderReader, target: str, *, single: bool, is_file: bool) -> tuple[str, str | None]:
    """The folder to write into, and the new name when ``target`` names a thing that is not there yet.

    A folder that this device knows is not read here: the session reads it under its lock.

    Args:
        reader: of the account.
        target: a clear path.
        single: one thing is written; only then the target can be its new name.
        is_file: it is a file, so a target with a slash at its end is the folder it goes into.

    Raises:
        NotFoundError: the target, or the folder above a new name, is not there.
        NotEncryptedError: it is a plain folder.
        UsageError: it is a file and would have to be a folder.
    """
    parts = split(target)
    if reader.account.book.hinted(clear_path(target)) is not None:
        return clear_path(target), None
    try:
        found = await reader.open_path(target)
    except NotFoundError:
        if not single or not parts or (is_file and target.endswith("/")):
            raise
        folder = await reader.open_folder("/" + "/".join(parts[:-1]))
        need_encrypted(reader, folder)
        return folder.path, parts[-1]
    need_encrypted(reader, found.view)
    if found.kind == "file":
        if not single or target.endswith("/"):
            raise UsageError("this is a file, not a folder", path=clear_path(target))
        return found.view.path, parts[-1]
    return found.view.path, None


def need_encrypted(reader: FolderReader, view: FolderView) -> None:
    """Return when a folder can be written to; NotEncryptedError, RootDeletedError when a member deleted it."""
    if not view.is_encrypted:
        raise NotEncryptedError(path=view.path)
    if view.deleted:
        raise root_deleted(view, reader.account.user_id)
