"""System calls that the standard library lacks, and the translation of operating system errors.

Layer: ``adapters``. Source: renameat2(2) of Linux. Where the kernel, the C library or the file system does not know it,
``rename_new`` falls back to link(2) and unlink(2), which also never overwrites, and ``exchange`` says so.
"""

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from typing import Final

from candado.errors import (
    CandadoError,
    DiskFullError,
    FileChangedError,
    LocalNameError,
    LocalPermissionError,
    LocalStorageError,
)

__all__ = ["exchange", "names_in", "rename_new", "translated"]

_NOREPLACE: Final = 1
_EXCHANGE: Final = 2
_UNKNOWN_CALL: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY})


@functools.cache
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    call.restype = ctypes.c_int
    return call


def _rename(source_fd: int, source: str, target_fd: int, target: str, flags: int) -> bool:
    """False when this way is not to be had here; OSError when the rename itself fails."""
    call = _renameat2()
    if call is None:
        return False
    if call(source_fd, os.fsencode(source), target_fd, os.fsencode(target), flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNKNOWN_CALL:
        return False
    raise OSError(code, os.strerror(code), target)


def rename_new(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Rename relative to two open folders without overwriting; FileExistsError, other OSError."""
    if _rename(source_fd, source, target_fd, target, _NOREPLACE):
        return
    try:
        os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
    except PermissionError:
        # Folders and file systems without hard links: the window between look and rename stays open here.
        try:
            os.stat(target, dir_fd=target_fd, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)
            return
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
    os.unlink(source, dir_fd=source_fd)


def exchange(source_fd: int, source: str, target_fd: int, target: str) -> bool:
    """Swap two existing names in one step; False when this file system cannot; OSError."""
    return _rename(source_fd, source, target_fd, target, _EXCHANGE)


def names_in(folder_fd: int) -> list[str]:
    """Names in an open folder; OSError."""
    with os.scandir(folder_fd) as entries:
        return [entry.name for entry in entries]


def translated(exc: OSError, path: str) -> CandadoError:
    """The error of our tree for an operating system error at a local path."""
    reason = exc.strerror or "unknown error"
    match exc.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return DiskFullError("there is no space left on the local disk", path=path)
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return LocalPermissionError(f"the local file system refuses: {reason}", path=path)
        case errno.ENAMETOOLONG | errno.EILSEQ | errno.EINVAL:
            return LocalNameError(f"this name cannot exist here: {reason}", path=path)
        case errno.ENOENT:
            return FileChangedError("the file or its folder is gone", path=path)
        case errno.ELOOP | errno.ENOTDIR:
            return LocalStorageError(
                "a link or a file stands where a folder should be", path=path, advice="Move it away and run it again."
            )
        case _:
            return LocalStorageError(f"the local file system refuses: {reason}", path=path)
