"""What is at a local path that a person typed, with the errors of our own tree.

Layer: ``apps``. ``Path.is_dir`` and its like raise, or say False, where a folder above may not be looked into.
"""

import os
import stat
from pathlib import Path

from candado.errors import NotFoundError, UsageError

__all__ = ["download_target", "is_folder", "upload_source"]


def _facts(path: Path) -> os.stat_result | None:
    """Facts of what a path leads to, links followed; None when nothing is there.

    Raises:
        LocalPermissionError: a folder above may not be looked into.
        LocalStorageError: links lead in a circle, or the disk fails.
    """
    from candado.adapters.disk_calls import translated

    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise translated(exc, str(path)) from exc


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder; LocalPermissionError when that cannot be known."""
    facts = _facts(path)
    return facts is not None and stat.S_ISDIR(facts.st_mode)


def upload_source(source: str) -> tuple[Path, bool]:
    """The real path of something to upload, and whether it is a folder.

    Raises:
        NotFoundError: there is nothing.
        UsageError: it is neither a regular file nor a folder.
        LocalPermissionError: it cannot be looked at.
    """
    path = Path(source)
    facts = _facts(path)
    if facts is None:
        raise NotFoundError("there is no such local file", path=source, advice="Check the path.")
    if not stat.S_ISDIR(facts.st_mode) and not stat.S_ISREG(facts.st_mode):
        raise UsageError(
            "this is neither a regular file nor a folder",
            path=source,
            advice="To send what a program prints: PROGRAM | candado put - REMOTE",
        )
    return path.resolve(), stat.S_ISDIR(facts.st_mode)


def download_target(local: str, name: str, *, single: bool = True) -> Path:
    """The absolute local path of a download: ``local`` itself, or ``name`` in it when it is a folder.

    Of several downloads (``single`` is False) each goes into it.

    Raises:
        NotFoundError: the folder that it goes into does not exist.
        LocalPermissionError: it cannot be looked at.
    """
    target = Path(local)
    if not single or is_folder(target):
        target = target / name
    target = target.absolute()
    if not is_folder(target.parent):
        raise NotFoundError("the local folder does not exist", path=str(target.parent), advice="Make it first.")
    return target
