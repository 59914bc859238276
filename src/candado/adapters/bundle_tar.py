"""A finished bundle in one tar file.

Layer: ``adapters``. Plain headers only, the manifest last; the file appears under its name when it is whole.
"""

import contextlib
import os
import shutil
import tarfile
from pathlib import Path
from typing import Final

from candado.adapters.disk_calls import rename_new, translated
from candado.errors import AlreadyExistsError
from candado.formats.bundle import INDEX_NAME, MANIFEST_NAME, MANIFEST_SIGNATURE_NAME, is_member_name

__all__ = ["pack_bundle"]

_PIECE: Final = 1 << 20
_LAST: Final = (INDEX_NAME, MANIFEST_SIGNATURE_NAME, MANIFEST_NAME)


def pack_bundle(folder: Path, target: Path) -> None:
    """Pack the finished bundle in ``folder`` into ``target`` and remove the folder.

    Raises:
        AlreadyExistsError: there is something at ``target``; the folder stays.
        DiskFullError, LocalStorageError: the folder stays.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as out:
            for name in [*sorted(_inner_names(folder)), *_LAST]:
                _add(out.fileno(), folder / name, name)
            _write(out.fileno(), bytes(2 * tarfile.BLOCKSIZE))
            os.fsync(out.fileno())
        parent_fd = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            rename_new(parent_fd, part.name, parent_fd, target.name)
            os.fsync(parent_fd)
        finally:
            os.close(parent_fd)
    except FileExistsError as exc:
        part.unlink()
        raise AlreadyExistsError(
            "There is something at this path.", path=str(target), safe="What is there was not touched."
        ) from exc
    except OSError as exc:
        with contextlib.suppress(OSError):
            part.unlink()
        raise translated(exc, str(target)) from exc
    shutil.rmtree(folder)


def _inner_names(folder: Path) -> list[str]:
    found: list[str] = []
    for path, _, files in os.walk(folder):
        below = Path(path).relative_to(folder).as_posix()
        found += [f"{below}/{name}" for name in files if is_member_name(f"{below}/{name}")]
    return found


def _add(out: int, path: Path, name: str) -> None:
    with path.open("rb", buffering=0) as file:
        facts = os.fstat(file.fileno())
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = facts.st_size, int(facts.st_mtime), 0o600
        _write(out, info.tobuf(tarfile.GNU_FORMAT))
        while piece := file.read(_PIECE):
            _write(out, piece)
    _write(out, bytes(-facts.st_size % tarfile.BLOCKSIZE))


def _write(out: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(out, rest) :]
