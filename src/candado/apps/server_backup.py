"""Backup and restore of a server, whatever holds its rows.

Layer: ``apps``. Order of a backup: the rows of one moment first, then the bodies they name. Bodies never change, and
none is collected while a backup runs (``server.holding``), so the copy is consistent while the server goes on. What an
unfinished write session staged is no part of a backup.

    DEST/backup.json     schema, time, counts, SHA-256 of the database; DEST/unfinished instead while it is being made
    DEST/bodies.txt      one line a body: SHA-256, size, id
    DEST/candado.db      the rows, as a database of SQLite
    DEST/config.toml  DEST/blobs/..
    DEST/authority.pem   unless the authority's key is on a token
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

from candado.adapters.ambient import SystemClock, SystemRandom
from candado.adapters.sqlite import SqliteDatabase
from candado.apps.cli.output import rfc3339
from candado.apps.server_config import CONFIG_NAME, ServerConfig, load_config, rewrite_places
from candado.apps.server_copy import compare_rows, export_rows, import_rows, named_bodies
from candado.apps.server_wiring import open_backend, open_database
from candado.apps.signer_wiring import open_signer
from candado.crypto.checkpoint import RESTORED_BYTES
from candado.errors import (
    AlreadyExistsError,
    CandadoError,
    CorruptStateError,
    DiskFullError,
    LocalStorageError,
    NotFoundError,
    UnsupportedVersionError,
)
from candado.ports.server import Database, ObjectStore, Rows
from candado.server.audit import Event, audited, record
from candado.server.auditlog import rename_log
from candado.server.check import check_store
from candado.server.holding import hold_deletions
from candado.server.schema import MIGRATIONS

__all__ = ["make_backup", "restore_backup", "verify_restored"]

_SCHEMA: Final = "candado.backup/1"
_MANIFEST: Final = "backup.json"
_UNFINISHED: Final = "unfinished"
_BODIES: Final = "bodies.txt"
_DATABASE: Final = "candado.db"
_KEY: Final = "authority.pem"
_OTHER_BACKUP: Final = "Restore another backup."
_PIECE: Final = 1 << 20
_IDS_SKIPPED: Final = 2**24
_NUMBERS_SKIPPED: Final = 2**16
_LISTS_SKIPPED: Final = """INSERT INTO sequences (name, next) VALUES ('revocations', $1)
    ON CONFLICT (name) DO UPDATE SET next = sequences.next + $1"""


async def make_backup(config: ServerConfig, dest: Path) -> dict[str, Any]:
    """Write or renew a backup in ``dest``; what was copied, for people and programs.

    Raises:
        NotFoundError: there is no database. AlreadyExistsError: ``dest`` holds something else.
        DiskFullError, LocalStorageError.
        CorruptStateError: a body is missing, or has another size than its row says.
    """
    async with open_backend(config) as backend:
        await backend.database.write(lambda rows: record(rows, Event("backup.started", outcome="intent")))
        with _translated(dest):
            known = _begin(dest)
            async with hold_deletions(backend):
                await export_rows(backend.database, dest / _DATABASE)
                _sync(dest / _DATABASE)
                named = named_bodies(dest / _DATABASE)
                fresh = [one for one in named if one not in known or not _place(dest / "blobs", one).exists()]
                for blob_id in fresh:
                    digest = await _take_body(backend.objects, dest / "blobs", blob_id, named[blob_id])
                    known[blob_id] = (digest, named[blob_id])
            summary = _finish_backup(config, dest, named, known, len(fresh))
        details = {"bodies": len(named), "database": summary["database_sha256"]}
        await backend.database.write(lambda rows: record(rows, Event("backup.made", details=details)))
        return summary


def _begin(dest: Path) -> dict[str, tuple[str, int]]:
    """Make ``dest`` a place for a backup; the bodies that a finished one left there."""
    mark = dest / _UNFINISHED
    if (dest / _MANIFEST).exists():
        # Until the new manifest is written this is no backup to restore from.
        (dest / _MANIFEST).replace(mark)
    elif not mark.exists():
        if dest.is_dir() and any(dest.iterdir()):
            raise AlreadyExistsError("the target is neither empty nor a backup", path=str(dest))
        dest.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.touch(mode=0o600)
    return _read_bodies(dest) if (dest / _BODIES).exists() else {}


def _finish_backup(
    config: ServerConfig, dest: Path, named: dict[str, int], known: dict[str, tuple[str, int]], copied: int
) -> dict[str, Any]:
    _copy_private(config.data / CONFIG_NAME, dest / CONFIG_NAME)
    if config.authority_uri is None:
        _copy_private(config.authority_key_path, dest / _KEY)
    else:
        (dest / _KEY).unlink(missing_ok=True)
    # What earlier backups had, finished or not, and this one has not.
    for place in (dest / "blobs").glob("*/*/*"):
        if place.name not in named:
            place.unlink()
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
    (dest / _UNFINISHED).unlink()
    return summary


def _place(root: Path, blob_id: str) -> Path:
    return root / blob_id[0:2] / blob_id[2:4] / blob_id


async def _take_body(objects: ObjectStore, target: Path, blob_id: str, size: int) -> str:
    """Copy one body durably; its SHA-256."""
    place = _place(target, blob_id)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, count = hashlib.sha256(), 0
    try:
        with place.with_suffix(".new").open("wb") as taken:
            async for piece in objects.read(blob_id):
                digest.update(piece)
                count += len(piece)
                taken.write(piece)
            taken.flush()
            os.fsync(taken.fileno())
    except NotFoundError as exc:
        raise _damaged("a body is missing", blob_id) from exc
    if count != size:
        raise _damaged(f"a body has {count} bytes where its row says {size}", blob_id)
    place.with_suffix(".new").replace(place)
    return digest.hexdigest()


def _damaged(what: str, blob_id: str) -> CorruptStateError:
    return CorruptStateError(
        what,
        path=blob_id,
        safe="Nothing was changed but the copy, which is not finished.",
        advice="Run `candado-server check --read-data` to see what else is damaged; an older backup may hold it.",
    )


async def restore_backup(src: Path, config: ServerConfig) -> dict[str, Any]:
    """Make the data directory of ``config``, absent or empty so far, from a backup.

    Rows and bodies go where ``config`` says.

    Raises:
        NotFoundError: no finished backup there. UnsupportedVersionError: of another version.
        AlreadyExistsError: the directory or the database is in use.
        CorruptStateError: the backup is damaged; nothing to serve was made.
    """
    data = config.data
    with _translated(src):
        manifest = _read_manifest(src)
    with _unfinished(config), _translated(data):
        for place in (data, config.storage_path):
            if place.is_dir() and any(place.iterdir()):
                raise AlreadyExistsError("the directory is not empty", path=str(place), advice="Choose a new one.")
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.chmod(0o700)
        database = await _new_database(config)
        try:
            bodies = _read_bodies(src)
            for blob_id, (digest, size) in bodies.items():
                if _copy_body(src / "blobs", config.storage_path, blob_id) != (digest, size):
                    raise CorruptStateError(
                        "a body of the backup is missing or altered", path=str(_place(src / "blobs", blob_id))
                    )
            await _restore_rows(src, data / ".restoring.db", manifest, database)
        finally:
            await database.close()
        if (src / _KEY).exists() or load_config(src, os.environ).authority_uri is None:
            _copy_private(src / _KEY, data / _KEY)
        # Last: without it the directory is no data directory. Places are those of this restore, not those of then.
        text = rewrite_places((src / CONFIG_NAME).read_text("utf-8"), database=config.database, storage=config.storage)
        _write_durably(data / CONFIG_NAME, text.encode())
    return {"blobs": len(bodies), "bytes": sum(size for _, size in bodies.values()), "time": manifest["time"]}


async def _new_database(config: ServerConfig) -> Database:
    """An empty database with our tables; AlreadyExistsError when there is one already."""
    if not config.uses_postgres and config.database_path.exists():
        raise AlreadyExistsError("the database exists", path=str(config.database_path), advice="Name a new file.")
    try:
        there = await open_database(config, SystemRandom(), create=False)
    except NotFoundError:
        return await open_database(config, SystemRandom(), create=True)
    await there.close()
    raise AlreadyExistsError("the database is in use", advice="Name an empty one.")


async def _restore_rows(src: Path, temporary: Path, manifest: dict[str, Any], database: Database) -> None:
    _copy_private(src / _DATABASE, temporary)
    if _hash_file(temporary) != manifest["database_sha256"]:
        raise CorruptStateError("the database of the backup was altered", path=str(src / _DATABASE))
    # A backup of an earlier release gets the tables of this one first.
    copy = await SqliteDatabase.open(temporary, migrations=MIGRATIONS, create=False)
    await copy.close()
    await import_rows(temporary, database)
    os.unlink(temporary)  # noqa: PTH108 -- the linter takes methods of a path for asynchronous ones here

    async def skip(rows: Rows) -> None:
        await rows.run("UPDATE sequences SET next = next + $1 WHERE name = 'node'", _IDS_SKIPPED)
        # Lists of revoked keys that were published after the backup have higher numbers than the backup knows.
        await rows.run(_LISTS_SKIPPED, _IDS_SKIPPED)

    # Ids that were given out after the backup are left out: clients know them as other files, folders and shares.
    await database.write(skip)
    await database.skip_numbers(_NUMBERS_SKIPPED)
    fresh = SystemRandom().token(RESTORED_BYTES)
    with audited(who="operator", clock=SystemClock()):
        await database.write(lambda rows: rename_log(rows, fresh))


def _copy_body(source: Path, target: Path, blob_id: str) -> tuple[str, int]:
    """Copy one body of a backup durably; SHA-256 and size, of nothing when it is absent."""
    place = _place(target, blob_id)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, count = hashlib.sha256(), 0
    try:
        with _place(source, blob_id).open("rb") as given, place.open("wb") as taken:
            while piece := given.read(_PIECE):
                digest.update(piece)
                count += len(piece)
                taken.write(piece)
            taken.flush()
            os.fsync(taken.fileno())
    except FileNotFoundError:
        return "", 0
    return digest.hexdigest(), count


@contextlib.contextmanager
def _unfinished(config: ServerConfig) -> Iterator[None]:
    """Say of any failure what was made so far, and how to begin anew."""
    try:
        yield
    except AlreadyExistsError:
        raise
    except CandadoError as exc:
        data = config.data
        exc.safe = f"Nothing to serve from was made: {data} is no data directory yet. The backup was not touched."
        again = "restore another backup" if isinstance(exc, CorruptStateError) else "restore again"
        empty = ", make the database anew" if config.uses_postgres else ""
        exc.advice = f"Remove {data}{empty} and {again}."
        raise


async def verify_restored(src: Path, config: ServerConfig) -> list[str]:
    """Read back what was restored; one sentence a problem, none when it is what the backup has."""
    problems: list[str] = []
    async with open_backend(config) as backend:
        for blob_id, (digest, _) in _read_bodies(src).items():
            if await _hash_body(backend.objects, blob_id) != digest:
                problems.append(f"body {blob_id} is missing or altered")
        problems += await compare_rows(src / _DATABASE, backend.database)
        problems += [f"{f.code} {f.subject}: {f.message}" for f in await check_store(backend, read_data=True)]
        async with open_signer(config, backend) as signer:
            await signer.check()
    return problems


async def _hash_body(objects: ObjectStore, blob_id: str) -> str:
    digest = hashlib.sha256()
    try:
        async for piece in objects.read(blob_id):
            digest.update(piece)
    except NotFoundError:
        return ""
    return digest.hexdigest()


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
    _sync(target)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
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
