"""What a machine for ceremonies needs of its system: whether it is on a network, and new private files.

Layer: ``adapters``.
"""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from candado.adapters.disk_calls import translated
from candado.errors import CandadoError, UsageError

__all__ = ["has_route", "new_folder", "replace_private", "write_all", "write_private"]

_FAR: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses of documentation (RFC 5737, RFC 3849); nothing is sent to them."""


def has_route() -> bool:
    """Whether the system knows a way to other machines; connecting a datagram socket asks for it and sends nothing."""
    for family, address in _FAR:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return True
    return False


def write_private(path: Path, data: bytes) -> None:
    """Write a new file, mode 0600, durably, and nothing at all when that fails.

    Raises:
        UsageError: there is something of that name. DiskFullError, LocalPermissionError, LocalStorageError.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as exc:
        raise UsageError("there is a file of that name already", path=str(path), advice="Choose another name.") from exc
    except OSError as exc:
        raise _fault(exc, path) from exc
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        _sync_folder(path.parent)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _fault(error, path) from error
        raise


def replace_private(path: Path, data: bytes) -> None:
    """Put another content into the place of a file that ``write_private`` wrote: the old one, or the new, is there."""
    spare = path.with_name(f".{path.name}.new")
    spare.unlink(missing_ok=True)
    write_private(spare, data)
    try:
        spare.replace(path)
        _sync_folder(path.parent)
    except OSError as exc:
        spare.unlink(missing_ok=True)
        raise _fault(exc, path) from exc


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """A new folder, mode 0700, or an empty one that is there; on an error in the block all that was put in is removed.

    Raises:
        UsageError: there is something in it, or it is no folder. LocalPermissionError, LocalStorageError.
    """
    made = False
    try:
        try:
            path.mkdir(mode=0o700)
            made = True
        except FileExistsError:
            if not path.is_dir() or any(path.iterdir()):
                raise UsageError(
                    "there is something there already", path=str(path), advice="Name a new folder or an empty one."
                ) from None
            path.chmod(0o700)
    except OSError as exc:
        raise _fault(exc, path) from exc
    try:
        yield
    except BaseException:
        _clear(path)
        if made:
            path.rmdir()
        raise


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write new private files, in folders that are made below ``folder``; see ``write_private``."""
    for name, data in files.items():
        path = folder / name
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError as exc:
            raise _fault(exc, path.parent) from exc
        write_private(path, data)


def _fault(exc: OSError, path: Path) -> CandadoError:
    error = translated(exc, str(path))
    error.safe = "Nothing that was begun was left behind."
    error.advice = "Make room, or see who may write there, and run the command again."
    return error


def _clear(folder: Path) -> None:
    for child in folder.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
