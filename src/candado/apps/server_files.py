"""Small files that commands of the server read and write for people.

Layer: ``apps``.
"""

import os
from pathlib import Path

from candado.errors import AlreadyExistsError, LocalStorageError, NotFoundError

__all__ = ["read_file", "write_new"]


def read_file(path: Path, *, size_max: int) -> bytes:
    """The first ``size_max`` bytes of a file; NotFoundError, LocalStorageError."""
    try:
        with path.open("rb") as file:
            return file.read(size_max)
    except FileNotFoundError as exc:
        raise NotFoundError("there is no such file", path=str(path), advice="Name the right file.") from exc
    except OSError as exc:
        raise LocalStorageError(f"the file cannot be read: {exc.strerror}", path=str(path)) from exc


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, durably; AlreadyExistsError, LocalStorageError."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as exc:
        raise AlreadyExistsError("the file is there already", path=str(path)) from exc
    except OSError as exc:
        raise LocalStorageError(f"the file cannot be written: {exc.strerror}", path=str(path)) from exc
