"""Backup and restore of a server on the embedded database and a directory.

Layer: ``apps``. Order of a backup: a snapshot of the database first, then the bodies it names. Bodies never change, so
the copy is consistent while the server goes on; a body that is gone by the time it is copied belonged to something
deleted since, and a newer snapshot is taken. What an unfinished write session staged is no part of a backup.

    DEST/backup.json     schema, time, counts, SHA-256 of the database
    DEST/bodies.txt      one line a body: SHA-256, size, id
    DEST/candado.db  DEST/config.toml  DEST/authority.pem  DEST/blobs/..
"""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from candado.adapters.ambient import SystemClock
from candado.adapters.sqlite import require_database
from candado.apps.cli.output import rfc3339
from candado.apps.server_config import CONFIG_NAME, ServerConfig
from candado.errors import (
    AlreadyExistsError,
    BusyError,
    CandadoError,
    CorruptStateError,
    DiskFullError,
    LocalStorageError,
    NotFoundError,
    UnsupportedVersionError,
)

__all__ = ["make_backup", "restore_backup", "verify_restored"]

_SCHEMA: Final = "candado.backup/1"
_MANIFEST: Final = "backup.json"
_BODIES: Final = "bodies.txt"
_DATABASE: Final = "candado.db"
_KEY: Final = "authority.pem"
_OTHER_BACKUP: Final = "Restore another backup."
_PIECE: Final = 1 << 20
_IDS_SKIPPED: Final = 2**24
_SNAPSHOTS_MAX: Final = 10
_UNFINISHED: Final = (
    "DELETE FROM locks",
    "DELETE FROM lock_counters",
    "DELETE FROM staged",
    "DELETE FROM staged_metadata",
    "DELETE FROM uploads",
    "DELETE FROM chunks",
    "DELETE FROM login_flows",
    "DELETE FROM browsers",
    "DELETE FROM garbage",
    "DELETE FROM parts WHERE content NOT IN (SELECT content FROM nodes WHERE content IS NOT NULL)",
)
_NAMED: Final = """SELECT content, size FROM nodes WHERE content IS NOT NULL AND part_count = 1
    UNION SELECT p.blob_id, p.size FROM parts p JOIN nodes n ON n.content = p.content WHERE n.part_count > 1"""


def make_backup(config: ServerConfig, dest: Path) -> dict[str, Any]:
    """Write or renew a backup in ``dest``; what was copied, for people and programs.

    Raises:
        NotFoundError: there is no database. AlreadyExistsError: ``dest`` holds something else.
        DiskFullError, LocalStorageError.
        BusyError: bodies kept vanishing while they were copied.
        CorruptStateError: a body has another size than its row says.
    """
    known: dict[str, tuple[str, int]] = {}
    with _translated(dest):
        require_database(config.database_path)
        if (dest / _MANIFEST).exists():
            known = _read_bodies(dest)
            # Until the new manifest is written this is no backup to restore from.
            (dest / _MANIFEST).unlink()
        elif dest.is_dir() and any(entry.name not in (_DATABASE, "blobs", _BODIES) for entry in dest.iterdir()):
            raise AlreadyExistsError("the target is neither empty nor a backup", path=str(dest))
        dest.mkdir(mode=0o700, parents=True, exist_ok=True)
        copied = 0
        for _ in range(_SNAPSHOTS_MAX):
            named = _snapshot(config.database_path, dest / _DATABASE)
            fresh = [
                blob_id for blob_id in named if blob_id not in known or not _place(dest / "blobs", blob_id).exists()
            ]
            missing = False
            for blob_id in fresh:
                done = _copy_blob(config.storage_path, dest / "blobs", blob_id, named[blob_id])
                missing = missing or done is None
                if done is not None:
                    known[blob_id] = (done, named[blob_id])
                    copied += 1
            if not missing:
                return _finish_backup(config, dest, named, known, copied)
    raise BusyError("bodies kept vanishing while they were copied", path=str(dest), advice="Run the backup again.")


def _finish_backup(
    config: ServerConfig, dest: Path, named: dict[str, int], known: dict[str, tuple[str, int]], copied: int
) -> dict[str, Any]:
    for name, source in ((CONFIG_NAME, config.data / CONFIG_NAME), (_KEY, config.authority_key_path)):
        _copy_private(source, dest / name)
    for old in known.keys() - named.keys():
        _place(dest / "blobs", old).unlink(missing_ok=True)
    lines = [f"{known[blob_id][0]} {size} {blob_id}\n" for blob_id, size in sorted(named.items())]
    _write_durably(dest / _BODIES, "".join(lines).encode("ascii"))
    summary: dict[str, Any] = {
        "blobs": len(named),
        "bytes": sum(named.values()),
        "copied": copied,
        "time": rfc3339(SystemClock().now()),
        "database_sha256": _hash_file(dest / _DATABASE),
        "bodies_sha256": _hash_file(dest / _BODIES),
    }
    _write_durably(dest / _MANIFEST, json.dumps({"schema": _SCHEMA, **summary}, indent=1).encode("ascii"))
    return summary


def _snapshot(source: Path, target: Path) -> dict[str, int]:
    """Copy the database as of now; the bodies it names with their sizes."""
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)
    with contextlib.closing(sqlite3.connect(source)) as live, contextlib.closing(sqlite3.connect(target)) as copy:
        live.backup(copy, pages=1024)
        with copy:
            for sql in _UNFINISHED:
                copy.execute(sql)
        copy.execute("PRAGMA journal_mode=DELETE").fetchall()
        named = {str(blob_id): int(size) for blob_id, size in copy.execute(_NAMED)}
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return named


def _place(root: Path, blob_id: str) -> Path:
    return root / blob_id[0:2] / blob_id[2:4] / blob_id


def _copy_blob(source: Path, target: Path, blob_id: str, size: int) -> str | None:
    """Copy one body durably; its SHA-256, None when it is gone."""
    place = _place(target, blob_id)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, count = hashlib.sha256(), 0
    try:
        with _place(source, blob_id).open("rb") as given, place.with_suffix(".new").open("wb") as taken:
            while piece := given.read(_PIECE):
                digest.update(piece)
                count += len(piece)
                taken.write(piece)
            taken.flush()
            os.fsync(taken.fileno())
    except FileNotFoundError:
        return None
    if count != size:
        raise CorruptStateError(
            f"a body has {count} bytes where its row says {size}",
            path=str(_place(source, blob_id)),
            safe="Nothing was changed but the copy, which is not finished.",
            advice="Run `candado-server check --read-data` to see what else is damaged; an older backup may hold it.",
        )
    place.with_suffix(".new").replace(place)
    return digest.hexdigest()


def restore_backup(src: Path, data: Path) -> dict[str, Any]:
    """Make the data directory ``data``, which must be absent or empty, from a backup.

    Raises:
        NotFoundError: no finished backup there. UnsupportedVersionError: of another version.
        AlreadyExistsError: ``data`` is in use. CorruptStateError: the backup is damaged; nothing to serve was made.
    """
    with _translated(src):
        manifest = _read_manifest(src)
    with _unfinished(data), _translated(data):
        if data.is_dir() and any(data.iterdir()):
            raise AlreadyExistsError(
                "the data directory is not empty", path=str(data), advice="Choose a new directory."
            )
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        data.chmod(0o700)
        (data / "blobs").mkdir(mode=0o700)
        bodies = _read_bodies(src)
        for blob_id, (digest, size) in bodies.items():
            if _copy_blob(src / "blobs", data / "blobs", blob_id, size) != digest:
                raise CorruptStateError(
                    "a body of the backup is missing or altered", path=str(_place(src / "blobs", blob_id))
                )
        _copy_private(src / _DATABASE, data / _DATABASE)
        if _hash_file(data / _DATABASE) != manifest["database_sha256"]:
            raise CorruptStateError("the database of the backup was altered", path=str(src / _DATABASE))
        _skip_ids(data / _DATABASE)
        _copy_private(src / _KEY, data / _KEY)
        # Last: without it the directory is no data directory. Places that were elsewhere come home.
        lines = (src / CONFIG_NAME).read_text("utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(("database", "storage"))]
        _write_durably(data / CONFIG_NAME, "".join(kept).encode())
    return {"blobs": len(bodies), "bytes": sum(size for _, size in bodies.values()), "time": manifest["time"]}


def _skip_ids(path: Path) -> None:
    """Leave out the ids that were given out after the backup: clients know them as other files and folders."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE sequences SET next = next + ? WHERE name = 'node'", (_IDS_SKIPPED,))


@contextlib.contextmanager
def _unfinished(data: Path) -> Iterator[None]:
    """Say of any failure what was made so far, and how to begin anew."""
    try:
        yield
    except AlreadyExistsError:
        raise
    except CandadoError as exc:
        exc.safe = f"Nothing to serve from was made: {data} is no data directory yet. The backup was not touched."
        again = "restore another backup" if isinstance(exc, CorruptStateError) else "restore again"
        exc.advice = f"Remove {data} and {again}."
        raise


async def verify_restored(src: Path, config: ServerConfig) -> list[str]:
    """Read back what was restored; one sentence a problem, none when it is what the backup has."""
    from candado.apps.server_wiring import open_services
    from candado.server.check import check_store

    problems: list[str] = []
    for blob_id, (digest, _) in _read_bodies(src).items():
        place = _place(config.storage_path, blob_id)
        if not place.is_file() or _hash_file(place) != digest:
            problems.append(f"body {blob_id} is missing or altered")
    with contextlib.closing(sqlite3.connect(config.database_path)) as database:
        problems += [f"database: {row[0]}" for row in database.execute("PRAGMA integrity_check") if row[0] != "ok"]
    async with open_services(config) as services:
        await services.pki.check_signer()
        problems += [f"{f.code} {f.subject}: {f.message}" for f in await check_store(services.backend, read_data=True)]
    return problems


def _read_manifest(src: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((src / _MANIFEST).read_bytes())
    except FileNotFoundError as exc:
        raise NotFoundError(
            "there is no finished backup here",
            path=str(src),
            advice="Name the directory that `candado-server backup` wrote; a backup that was cut off is made again.",
        ) from exc
    except ValueError as exc:
        raise CorruptStateError(
            "the backup's manifest is damaged", path=str(src / _MANIFEST), advice=_OTHER_BACKUP
        ) from exc
    if not isinstance(manifest, dict) or manifest.get("schema") != _SCHEMA:
        raise UnsupportedVersionError(f"the backup is not of the form {_SCHEMA}", path=str(src))
    if _hash_file(src / _BODIES) != manifest.get("bodies_sha256"):
        raise CorruptStateError("the list of bodies was altered", path=str(src / _BODIES), advice=_OTHER_BACKUP)
    return manifest


def _read_bodies(src: Path) -> dict[str, tuple[str, int]]:
    bodies: dict[str, tuple[str, int]] = {}
    for line in (src / _BODIES).read_text("ascii").splitlines():
        digest, size, blob_id = line.split(" ")
        bodies[blob_id] = (digest, int(size))
    return bodies


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _copy_private(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _write_durably(target: Path, data: bytes) -> None:
    fresh = target.with_name(target.name + ".new")
    fresh.touch(mode=0o600)
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Errors of the system and the database library as ours."""
    try:
        yield
    except OSError as exc:
        kind = DiskFullError if exc.errno == 28 else LocalStorageError
        raise kind(f"cannot read or write: {exc.strerror}", path=exc.filename or str(path)) from exc
    except sqlite3.Error as exc:
        raise CorruptStateError(f"the database cannot be copied: {exc}", path=str(path)) from exc
