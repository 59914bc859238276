"""Whole reads and writes of a blob's file, and what the system's refusals mean.

Layer: ``adapters``. Everything here blocks.
"""

import errno
import os
import zlib
from typing import Final

from candado.errors import LocalPermissionError, LocalStorageError, QuotaExceededError

__all__ = ["read_through", "storage_error", "write_all"]

_PIECE_BYTES: Final = 1024 * 1024
_VECTORS_MAX: Final = 512


def storage_error(exc: OSError) -> LocalStorageError | QuotaExceededError:
    """The error of our tree for one of the system."""
    if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        return QuotaExceededError("there is no space left for file bodies")
    if exc.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return LocalPermissionError(f"the object store cannot be used: {exc.strerror}")
    return LocalStorageError(f"the object store failed: {exc.strerror}")


def write_all(descriptor: int, pieces: list[bytes]) -> None:
    """Append all pieces; OSError."""
    for start in range(0, len(pieces), _VECTORS_MAX):
        vector: list[bytes | memoryview] = list(pieces[start : start + _VECTORS_MAX])
        while vector:
            written = os.writev(descriptor, vector)
            while vector and written >= len(vector[0]):
                written -= len(vector[0])
                del vector[0]
            if written:
                vector[0] = memoryview(vector[0])[written:]


def read_through(descriptor: int) -> tuple[int, int]:
    """Read to the end and close: size and CRC-32; an error of our tree."""
    size = checksum = 0
    try:
        while piece := os.read(descriptor, _PIECE_BYTES):
            size += len(piece)
            checksum = zlib.crc32(piece, checksum)
    except OSError as exc:
        raise storage_error(exc) from exc
    finally:
        os.close(descriptor)
    return size, checksum
