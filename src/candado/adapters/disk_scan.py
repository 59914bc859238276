"""The walk over a local tree.

Layer: ``adapters``; part of ``disk.py``. One ``scandir`` a folder, one ``fstatat`` an entry, no link followed.
"""

import os
import stat
from typing import Final

from candado.adapters.disk_calls import translated
from candado.adapters.disk_ignore import EXCLUDE_FILE, IGNORE_FILE, Rules, is_left_out, is_own_name, parse_rules
from candado.errors import CandadoError, LocalNameError, LocalStorageError
from candado.ports.client import LeftOut, LocalStat

__all__ = ["scan_tree"]

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEPTH_MAX: Final = 200
_RULES_BYTES_MAX: Final = 1 << 20
_NOT_TEXT: Final = "the name is not UTF-8"


class _Level:
    """One folder on the way down: its open descriptor, what is still to be entered, the rules that hold in it."""

    __slots__ = ("fd", "folders", "prefix", "rules")

    def __init__(self, fd: int, prefix: str, rules: tuple[Rules, ...]) -> None:
        self.fd = fd
        self.prefix = prefix
        self.rules = rules
        self.folders: list[str] = []


def scan_tree(root_fd: int) -> tuple[dict[str, LocalStat], list[LeftOut]]:
    """All regular files and folders below an open folder, and what was left out.

    A folder below that cannot be read is in both: its own facts are known, its content is not and must not look
    deleted.

    Raises:
        LocalPermissionError, LocalStorageError: the top folder cannot be read.
    """
    found: dict[str, LocalStat] = {}
    skipped: list[LeftOut] = []
    device = os.fstat(root_fd).st_dev
    levels = [_Level(os.dup(root_fd), "", ())]
    try:
        _read_level(levels[0], device, found, skipped)
        while levels:
            level = levels[-1]
            if not level.folders:
                os.close(levels.pop().fd)
                continue
            name = level.folders.pop()
            path = level.prefix + name
            try:
                below = _Level(os.open(name, _FOLDER_FLAGS, dir_fd=level.fd), path + "/", level.rules)
            except FileNotFoundError:
                del found[path]
                continue
            except OSError as exc:
                skipped.append(_unreadable(path, translated(exc, path)))
                continue
            levels.append(below)
            if len(levels) > _DEPTH_MAX:
                skipped.append(_too_deep(path))
                continue
            try:
                _read_level(below, device, found, skipped)
            except LocalStorageError as error:
                skipped.append(_unreadable(path, error))
    finally:
        for level in levels:
            os.close(level.fd)
    return found, skipped


def _read_level(level: _Level, device: int, found: dict[str, LocalStat], skipped: list[LeftOut]) -> None:
    """Put the entries of one folder into ``found`` and its folders into ``level.folders``; all of them or none."""
    prefix = level.prefix
    try:
        with os.scandir(level.fd) as listing:
            entries = list(listing)
    except OSError as exc:
        raise translated(exc, prefix.rstrip("/") or ".") from exc
    level.rules = _with_rules_of(level, {entry.name for entry in entries} & {IGNORE_FILE, EXCLUDE_FILE})
    listed = [(entry, facts) for entry in entries if (facts := _facts(entry, prefix)) is not None]
    rules = level.rules
    for entry, facts in listed:
        name = entry.name
        path = prefix + name
        if is_own_name(name):
            continue
        is_folder = stat.S_ISDIR(facts.st_mode)
        reason = _reason_to_skip(facts, name, device)
        if is_left_out(path, name, rules, is_folder=is_folder):
            reason = "ignored"
        if reason is not None:
            shown = path.encode("utf-8", "backslashreplace").decode()
            error = LocalNameError("The name is not UTF-8.", path=shown) if reason == _NOT_TEXT else None
            skipped.append(LeftOut(shown, reason, error))
            continue
        size = 0 if is_folder else facts.st_size
        found[path] = LocalStat(is_folder, size, facts.st_mtime_ns, facts.st_ino, facts.st_ctime_ns)
        if is_folder:
            level.folders.append(name)


def _facts(entry: "os.DirEntry[str]", prefix: str) -> os.stat_result | None:
    """The facts of an entry; None when it is gone meanwhile."""
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise translated(exc, prefix + entry.name) from exc


def _reason_to_skip(facts: os.stat_result, name: str, device: int) -> str | None:
    if not name.isascii() and not _is_text(name):
        return _NOT_TEXT
    if stat.S_ISDIR(facts.st_mode):
        return None if facts.st_dev == device else "another file system"
    if stat.S_ISREG(facts.st_mode):
        return None
    return "a link" if stat.S_ISLNK(facts.st_mode) else "not a regular file"


def _with_rules_of(level: _Level, names: set[str]) -> tuple[Rules, ...]:
    """The rules in force in a folder: those from above and those of its own files."""
    rules = level.rules
    for name in (EXCLUDE_FILE, IGNORE_FILE):
        if name in names and (name == IGNORE_FILE or not level.prefix):
            text = _read_text(level.fd, name, level.prefix + name)
            if text:
                rules = (*rules, parse_rules(level.prefix, text, exclude_list=name == EXCLUDE_FILE))
    return rules


def _read_text(folder_fd: int, name: str, path: str) -> str:
    """Content of a small regular file; "" when it is anything else."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return ""
            return file.read(_RULES_BYTES_MAX).decode("utf-8", "replace")
    except OSError as exc:
        raise translated(exc, path) from exc


def _unreadable(path: str, error: CandadoError) -> LeftOut:
    return LeftOut(path, "cannot be read", error)


def _too_deep(path: str) -> LeftOut:
    reason = f"deeper than {_DEPTH_MAX} folders"
    error = LocalStorageError(
        f"Folders are nested more than {_DEPTH_MAX} deep.", path=path, advice="Move it further up."
    )
    return LeftOut(path, reason, error)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
