"""The state of one device: a SQLite file in which nothing is readable or replaceable without the device secret.

Layer: ``adapters``; implements ``ports.client.StateStore``.

One table. A row is found by two keyed hashes, so that neither spaces nor keys (which are often clear paths) can be
read from the file::

    space  = BLAKE2b-128(index key, space)
    name   = BLAKE2b-128(index key, len(space) || space || key)
    sealed = nonce (12) || AES-256-GCM(sealing key, nonce, len(key) (4) || key || value, aad = space || name)

Both keys come from the device secret by HKDF-SHA256. The associated data bind a value to its place, so an altered row,
a row that was swapped with another one or moved to another space does not open: CorruptStateError. An old copy of a row
put back into its own place, or a whole old file, opens: see the threat model, "local state rolled back".
"""

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from candado.errors import BusyError, CorruptStateError, DiskFullError, LocalPermissionError
from candado.types import SecretBytes

__all__ = ["DeviceLock", "SqliteState"]

_NONCE_BYTES: Final = 12
_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS rows ("
    "space BLOB NOT NULL, name BLOB NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (space, name)) WITHOUT ROWID"
)
_LOCK_POLL_SECONDS: Final = 0.05


class DeviceLock:
    """Keeps a second candado process off the same state directory for as long as it is held.

    The lock belongs to the open file, so the operating system frees it when the process dies.
    """

    def __init__(self, path: Path, *, wait_seconds: float) -> None:
        """Take the lock, waiting up to ``wait_seconds``; BusyError when another process keeps it."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                if time.monotonic() >= deadline:
                    os.close(self._fd)
                    raise BusyError("another candado process works with this device's state", path=str(path)) from exc
                time.sleep(_LOCK_POLL_SECONDS)
            else:
                return

    def release(self) -> None:
        """Give the lock back; harmless twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class SqliteState:
    """Sealed key-value rows in one SQLite file; implements ``StateStore``. Thread-safe.

    Args:
        path: the file; it is created with mode 0600.
        secret: the device secret, 32 bytes.
        lock: released by ``close`` when given.
    """

    def __init__(self, path: Path, secret: SecretBytes, *, lock: DeviceLock | None = None) -> None:
        keys = HKDF(SHA256(), 64, salt=None, info=b"candado device state 1").derive(secret.reveal())
        self._index_key, self._cipher = keys[:32], AESGCM(keys[32:])
        self._path = path
        self._lock = lock
        self._mutex = threading.Lock()
        self._space_ids: dict[str, bytes] = {}
        self._durable: bool | None = None
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.close(fd)
        with self._translated():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._prepare_schema()

    def load(self, space: str, key: str) -> bytes | None:
        """One value or None; CorruptStateError when the row does not belong here."""
        space_id = self._space_id(space)
        name = self._name(space, key)
        with self._mutex, self._translated():
            row = self._db.execute("SELECT sealed FROM rows WHERE space = ? AND name = ?", (space_id, name)).fetchone()
        if row is None:
            return None
        return self._open(space_id, name, row[0])[1]

    def load_all(self, space: str) -> dict[str, bytes]:
        """All values of a space by key; CorruptStateError when any row does not belong here."""
        space_id = self._space_id(space)
        with self._mutex, self._translated():
            rows = self._db.execute("SELECT name, sealed FROM rows WHERE space = ?", (space_id,)).fetchall()
        return dict(self._open(space_id, name, sealed) for name, sealed in rows)

    def commit(self, changes: Iterable[tuple[str, str, bytes | None]], *, durable: bool = True) -> None:
        """Write or delete rows in one transaction.

        With ``durable`` the rows survive a power cut; without it they may be lost, all together.
        """
        puts: list[tuple[bytes, bytes, bytes]] = []
        deletes: list[tuple[bytes, bytes]] = []
        last: dict[tuple[str, str], bytes | None] = {(space, key): value for space, key, value in changes}
        for (space, key), value in last.items():
            space_id, name = self._space_id(space), self._name(space, key)
            if value is None:
                deletes.append((space_id, name))
            else:
                puts.append((space_id, name, self._seal(space_id, name, key, value)))
        if not last:
            return
        with self._mutex, self._translated():
            if self._durable is not durable:
                self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("DELETE FROM rows WHERE space = ? AND name = ?", deletes)
                self._db.executemany("INSERT OR REPLACE INTO rows (space, name, sealed) VALUES (?, ?, ?)", puts)
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file and release the device; harmless twice."""
        with self._mutex:
            self._db.close()
        if self._lock is not None:
            self._lock.release()

    def _prepare_schema(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > _SCHEMA_VERSION:
            raise CorruptStateError(
                f"the device state has version {version}, this candado knows {_SCHEMA_VERSION}",
                path=str(self._path),
                advice="Use the newer candado that wrote it.",
            )
        if version < _SCHEMA_VERSION:
            self._db.execute(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")

    def _space_id(self, space: str) -> bytes:
        space_id = self._space_ids.get(space)
        if space_id is None:
            space_id = blake2b(space.encode(), digest_size=16, key=self._index_key, person=b"space").digest()
            self._space_ids[space] = space_id
        return space_id

    def _name(self, space: str, key: str) -> bytes:
        head = space.encode()
        text = len(head).to_bytes(4, "big") + head + key.encode("utf-8", "surrogatepass")
        return blake2b(text, digest_size=16, key=self._index_key, person=b"name").digest()

    def _seal(self, space_id: bytes, name: bytes, key: str, value: bytes) -> bytes:
        head = key.encode("utf-8", "surrogatepass")
        nonce = os.urandom(_NONCE_BYTES)  # noqa: TID251 -- an adapter that seals its own rows
        return nonce + self._cipher.encrypt(nonce, len(head).to_bytes(4, "big") + head + value, space_id + name)

    def _open(self, space_id: bytes, name: bytes, sealed: bytes) -> tuple[str, bytes]:
        try:
            text = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], space_id + name)
        except (InvalidTag, ValueError, TypeError) as exc:
            raise CorruptStateError("a row of the device state was altered", path=str(self._path)) from exc
        stop = 4 + int.from_bytes(text[:4], "big")
        return text[4:stop].decode("utf-8", "surrogatepass"), text[stop:]

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn SQLite's exceptions into ours."""
        try:
            yield
        except sqlite3.OperationalError as exc:
            path = str(self._path)
            name = getattr(exc, "sqlite_errorname", "")
            if name.startswith("SQLITE_FULL"):
                raise DiskFullError("there is no space for the device state", path=path) from exc
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise BusyError("the device state is in use", path=path) from exc
            if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
                raise LocalPermissionError("the device state cannot be written", path=path) from exc
            raise CorruptStateError(f"the device state cannot be used: {name or exc}", path=path) from exc
        except sqlite3.DatabaseError as exc:
            raise CorruptStateError("the device state is damaged", path=str(self._path)) from exc
