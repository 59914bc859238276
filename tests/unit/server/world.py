"""A server without HTTP for tests: real SQLite file, real or remembered blobs, a clock that is set by hand."""

import os
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.postgres import cluster
from tests.seaweed import seaweed

from candado.adapters.ambient import SystemRandom
from candado.adapters.objects import DirectoryObjects
from candado.adapters.postgres import PostgresDatabase
from candado.adapters.sqlite import SqliteDatabase
from candado.errors import MisuseError, NotFoundError
from candado.ports.server import Database, ObjectStore, Rows
from candado.server.check import check_store
from candado.server.files import Files
from candado.server.metadata import FolderMetadata
from candado.server.model import Backend, Finding, NodeInfo, Principal, ServerSettings
from candado.server.schema import MIGRATIONS
from candado.server.sessions import Sessions
from candado.server.uploads import Uploads
from candado.types import LockToken, UserId

ALICE = Principal(UserId("alice"))
BOB = Principal(UserId("bob"))


_CLUSTERS: dict[Path, str] = {}
_BUCKETS: dict[Path, str] = {}


async def open_rows(path: Path, *, seed: int = 7) -> Database:
    """The database of a test: SQLite's file, or PostgreSQL when the suite is run on that."""
    if os.environ.get("CANDADO_TEST_DATABASE") != "postgresql":
        return await SqliteDatabase.open(path, migrations=MIGRATIONS)
    if path not in _CLUSTERS:
        _CLUSTERS[path] = await cluster().fresh()
    return await PostgresDatabase.open(_CLUSTERS[path], migrations=MIGRATIONS, random=SeededRandom(seed), connections=4)


async def open_bodies(path: Path, *, seed: int) -> ObjectStore:
    """The bodies of a test: a directory, or a bucket when the suite is run on that."""
    if os.environ.get("CANDADO_TEST_OBJECTS") != "s3":
        return DirectoryObjects(path, SeededRandom(seed))
    if path not in _BUCKETS:
        _BUCKETS[path] = seaweed().fresh()
    return seaweed().at(_BUCKETS[path], SystemRandom())


async def add_users(database: Database) -> None:
    """Rows for the users of the tests; a home is made only for a user who exists."""

    async def work(rows: Rows) -> None:
        for who in (ALICE, BOB):
            await rows.run(
                "INSERT INTO users (id, display_name, password_hash, created) VALUES ($1, $1, '', 0)"
                " ON CONFLICT DO NOTHING",
                who.user_id,
            )

    await database.write(work)


class HandClock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class SeededRandom:
    """The same bytes in every run."""

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)

    def token(self, size_bytes: int) -> bytes:
        return self._random.randbytes(size_bytes)


class MemoryWriter:
    def __init__(self, store: "MemoryObjects", blob_id: str) -> None:
        self._store = store
        self._blob_id = blob_id
        self._data = bytearray()
        self._done = False

    async def write(self, data: bytes | memoryview) -> None:
        if self._done:
            raise MisuseError("finished")
        self._data += data

    async def finish(self) -> str:
        if self._done:
            raise MisuseError("finished")
        self._done = True
        self._store.blobs[self._blob_id] = self._store.written[self._blob_id] = bytes(self._data)
        return self._blob_id

    async def discard(self) -> None:
        self._done = True


class MemoryObjects:
    """Blobs in a dictionary; implements ``ObjectStore``. ``persisted`` is what a power cut leaves."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.written: dict[str, bytes] = {}
        self.persisted: set[str] = set()
        self.boot = 1
        self.now = 1_000_000.0
        self._random = SeededRandom(11)

    @property
    def epoch(self) -> str:
        return f"boot-{self.boot}"

    def create(self, *, size_hint: int | None = None) -> MemoryWriter:
        return MemoryWriter(self, self._random.token(16).hex())

    async def put(self, data: bytes) -> str:
        writer = self.create()
        await writer.write(data)
        return await writer.finish()

    async def persist(self, blob_ids: Sequence[str]) -> None:
        for blob_id in blob_ids:
            if blob_id not in self.blobs:
                raise NotFoundError("no such blob", path=blob_id)
            self.persisted.add(blob_id)

    async def read(self, blob_id: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes | memoryview]:
        data = self.blobs.get(blob_id)
        if data is None:
            raise NotFoundError("no such blob", path=blob_id)
        data = data[start:stop]
        for position in range(0, len(data), 1024 * 1024):
            yield data[position : position + 1024 * 1024]

    async def size(self, blob_id: str) -> int:
        if blob_id not in self.blobs:
            raise NotFoundError("no such blob", path=blob_id)
        return len(self.blobs[blob_id])

    async def check(self, blob_id: str) -> tuple[int, bool | None]:
        size = await self.size(blob_id)
        return size, self.written.get(blob_id) == self.blobs[blob_id]

    async def delete(self, blob_ids: Sequence[str]) -> None:
        for blob_id in blob_ids:
            self.blobs.pop(blob_id, None)
            self.persisted.discard(blob_id)

    async def scan(self) -> AsyncIterator[tuple[str, int, float]]:
        for blob_id, data in list(self.blobs.items()):
            yield blob_id, len(data), self.now

    def cut_power(self, *, torn: bool) -> None:
        """Lose what was not persisted, or half of it."""
        for blob_id in set(self.blobs) - self.persisted:
            if torn:
                self.blobs[blob_id] = self.blobs[blob_id][: len(self.blobs[blob_id]) // 2]
            else:
                del self.blobs[blob_id]
        self.boot += 1


class World:
    """The use cases on one store, and short words for what tests do."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        clock: HandClock,
        settings: ServerSettings | None = None,
        *,
        seed: int = 7,
    ) -> None:
        self.database = database
        self.objects = objects
        self.clock = clock
        self.backend = Backend(database, objects, clock, SeededRandom(seed), settings or ServerSettings())
        self.files = Files(self.backend)
        self.sessions = Sessions(self.backend)
        self.metadata = FolderMetadata(self.backend)
        self.uploads = Uploads(self.backend)

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        objects: ObjectStore | None = None,
        settings: ServerSettings | None = None,
        seed: int = 7,
        users: bool = True,
    ) -> "World":
        database = await open_rows(folder / "rows.sqlite", seed=seed)
        if users:
            await add_users(database)
        store = objects if objects is not None else await open_bodies(folder / "blobs", seed=seed)
        return cls(database, store, HandClock(), settings, seed=seed)

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        token: LockToken | None = None,
        who: Principal = ALICE,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> tuple[NodeInfo, bool]:
        ticket = await self.files.begin_put(
            who, path, token=token, length=len(data), if_match=if_match, if_none_match=if_none_match
        )
        blob_id = await self.objects.put(data)
        return await self.files.commit_put(ticket, blob_id=blob_id, size_bytes=len(data), mtime=123.0)

    async def get(self, path: str, who: Principal = ALICE) -> bytes:
        _, parts = await self.files.open_file(who, path)
        data = b""
        for part in parts:
            async for piece in self.objects.read(part.blob_id):
                data += piece
        return data

    async def encrypted_root(self, name: str = "Secret", who: Principal = ALICE) -> NodeInfo:
        folder = await self.files.make_folder(who, name, token=None)
        await self.metadata.mark_encrypted(who, folder.file_id)
        token = await self.sessions.lock(who, folder.file_id, counter=1)
        await self.metadata.create(who, folder.file_id, text="{}", signature="c2ln", token=token)
        await self.sessions.unlock(who, folder.file_id, token=token)
        return await self.files.stat(who, name)

    async def lock(self, folder: NodeInfo, counter: int, who: Principal = ALICE) -> LockToken:
        return await self.sessions.lock(who, folder.file_id, counter=counter)

    async def tree(self, path: str = "", who: Principal = ALICE) -> dict[str, object]:
        """Everything below a folder: files as bytes, folders as (encrypted, size)."""
        found: dict[str, object] = {}
        _, children = await self.files.list_folder(who, path)
        for node in children:
            if node.is_folder:
                found[node.path] = (node.encrypted, node.size_bytes)
                found.update(await self.tree(node.path, who))
            else:
                found[node.path] = await self.get(node.path, who)
        return found

    async def rows(self, sql: str) -> list[tuple[object, ...]]:
        async def work(rows: Rows) -> list[tuple[object, ...]]:
            return [tuple(row) for row in await rows.all(sql)]

        return await self.database.read(work)

    async def share(self, node: NodeInfo, who: UserId, permissions: int = 31, target: str | None = None) -> None:
        async def work(rows: Rows) -> None:
            await rows.run(
                "INSERT INTO shares (node_id, share_type, owner_id, initiator_id, share_with, permissions, target,"
                " created) VALUES ($1, 0, $2, $2, $3, $4, $5, 0)",
                node.file_id,
                node.owner_id,
                who,
                permissions,
                target or node.name,
            )

        await self.files.ensure_home(who)
        await self.database.write(work)

    async def set_quota(self, who: UserId, quota_bytes: int) -> None:
        async def work(rows: Rows) -> None:
            await rows.run(
                "UPDATE users SET quota_bytes = $2 WHERE id = $1",
                who,
                quota_bytes,
            )

        await self.database.write(work)

    async def findings(self, *, read_data: bool = False) -> list[Finding]:
        return await check_store(self.backend, read_data=read_data)

    async def close(self) -> None:
        await self.database.close()
