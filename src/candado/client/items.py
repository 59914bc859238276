"""What goes into a write session and what comes out of it, file by file.

Layer: ``client``.
"""

from dataclasses import dataclass
from typing import Final

from candado.client.transfer import Source
from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    CryptoError,
    ForbiddenError,
    LimitExceededError,
    LocalStorageError,
    NotFoundError,
    PreconditionFailedError,
)
from candado.formats.metadata import Entry
from candado.types import FileId, SealedName

__all__ = ["PER_FILE_ERRORS", "UploadItem", "Written"]

PER_FILE_ERRORS: Final = (
    LocalStorageError,
    ForbiddenError,
    AlreadyExistsError,
    LimitExceededError,
    BadRequestError,
    CryptoError,
    NotFoundError,
    PreconditionFailedError,
)
"""Faults of one file; the others go on without it."""


@dataclass(frozen=True, slots=True)
class UploadItem:
    """One file to upload: clear target path, source, and whether an existing file of that name is replaced."""

    path: str
    source: Source
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """One file that was sent; visible to others after the session.

    ``file_id`` is None when the server did not say it.
    """

    path: str
    sealed_name: SealedName
    entry: Entry
    size_bytes: int
    mtime_ns: int
    file_id: FileId | None
    etag: str
