"""The power fails at every step of a write session; afterwards there is all of the old state or all of the new."""

import itertools
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from tests.unit.server.world import ALICE, HandClock, MemoryObjects, World, add_users

from candado.adapters.sqlite import SqliteDatabase
from candado.ports.server import Rows
from candado.server.schema import MIGRATIONS
from candado.server.sweep import sweep
from candado.types import LockToken

T = TypeVar("T")


class PowerCut(BaseException):
    """The machine is off."""


class Power:
    """Counts what reaches the disk and fails before the n-th time."""

    def __init__(self, cut_at: int | None = None) -> None:
        self.cut_at = cut_at
        self.steps = 0

    def step(self) -> None:
        if self.steps == self.cut_at:
            raise PowerCut
        self.steps += 1


class PoweredDatabase:
    """A database of which a power cut leaves what the last durable write left."""

    def __init__(self, database: SqliteDatabase, power: Power, folder: Path) -> None:
        self._database = database
        self._power = power
        self._folder = folder
        self.snapshot()

    @property
    def epoch(self) -> str:
        return ""

    def snapshot(self) -> None:
        (self._folder / "durable").mkdir(exist_ok=True)
        for name in ("rows.sqlite", "rows.sqlite-wal"):
            shutil.copy(self._folder / name, self._folder / "durable" / name)

    async def write(self, work: Callable[[Rows], Awaitable[T]], *, durable: bool = True) -> T:
        self._power.step()
        result = await self._database.write(work, durable=durable)
        if durable:
            self.snapshot()
        self._power.step()
        return result

    async def read(self, work: Callable[[Rows], Awaitable[T]]) -> T:
        return await self._database.read(work)

    @property
    def pending(self) -> int:
        return self._database.pending

    async def skip_numbers(self, count: int) -> None:
        await self._database.skip_numbers(count)

    async def close(self) -> None:
        await self._database.close()


class PoweredObjects(MemoryObjects):
    """Blobs of which each is persisted in a step of its own."""

    power = Power()

    async def persist(self, blob_ids: Sequence[str]) -> None:
        for blob_id in blob_ids:
            self.power.step()
            await super().persist([blob_id])
        self.power.step()

    async def delete(self, blob_ids: Sequence[str]) -> None:
        self.power.step()
        await super().delete(blob_ids)


async def start(folder: Path, objects: PoweredObjects, power: Power) -> World:
    database = await SqliteDatabase.open(folder / "rows.sqlite", migrations=MIGRATIONS)
    await add_users(database)
    objects.power = power
    return World(PoweredDatabase(database, power, folder), objects, HandClock())


async def prepare(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    sub = await world.files.make_folder(ALICE, "Secret/sub", token=token)
    await world.metadata.mark_encrypted(ALICE, sub.file_id, token=token)
    for name in ("a", "b", "sub/c"):
        await world.put(f"Secret/{name}", f"old {name}".encode(), token=token)
    await world.metadata.update(ALICE, root.file_id, text="old", signature="s", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)


async def session(world: World) -> LockToken:
    """Everything a session can do, up to its unlock."""
    root = await world.files.stat(ALICE, "Secret")
    token = await world.lock(root, 3)
    await world.put("Secret/a", b"new a", token=token)
    await world.put("Secret/a", b"newer a", token=token)
    await world.put("Secret/d", b"new d", token=token)
    await world.files.delete(ALICE, "Secret/b", token=token)
    made = await world.files.make_folder(ALICE, "Secret/made", token=token)
    await world.metadata.mark_encrypted(ALICE, made.file_id, token=token)
    await world.metadata.create(ALICE, made.file_id, text="made", signature="s", token=token)
    await world.files.move(ALICE, "Secret/sub/c", "Secret/made/c", token=token, overwrite=False)
    await world.uploads.begin(ALICE, "t")
    for number in range(2):
        blob_id = await world.objects.put(bytes([65 + number]) * 100)
        await world.uploads.put_chunk(ALICE, "t", str(number), blob_id=blob_id, size_bytes=100)
    await world.uploads.finish(ALICE, "t", "Secret/big", token=token, total_length=200, mtime=1.0)
    await world.metadata.update(ALICE, root.file_id, text="new", signature="s", token=token)
    return token


async def state(world: World) -> dict[str, object]:
    root = await world.files.stat(ALICE, "Secret")
    metadata = await world.metadata.get(ALICE, root.file_id)
    return {**await world.tree(), "metadata": (metadata.text, metadata.counter)}


OLD = {
    "Secret": (True, 20 - 1),
    "Secret/a": b"old a",
    "Secret/b": b"old b",
    "Secret/sub": (True, 9),
    "Secret/sub/c": b"old sub/c",
    "metadata": ("old", 2),
}
NEW = {
    "Secret": (True, 7 + 5 + 9 + 200),
    "Secret/a": b"newer a",
    "Secret/big": b"A" * 100 + b"B" * 100,
    "Secret/d": b"new d",
    "Secret/made": (True, 9),
    "Secret/made/c": b"old sub/c",
    "Secret/sub": (True, 0),
    "metadata": ("new", 3),
}


async def run(folder: Path, objects: PoweredObjects, power: Power) -> bool:
    """Prepare with the power safe, then run the session; True when the unlock returned."""
    folder.mkdir()
    world = await start(folder, objects, Power())
    await prepare(world)
    await world.close()
    world = await start(folder, objects, power)
    try:
        token = await session(world)
        root = await world.files.stat(ALICE, "Secret")
        await world.sessions.unlock(ALICE, root.file_id, token=token)
    except PowerCut:
        return False
    else:
        return True
    finally:
        await world.close()


async def test_the_states_this_test_tells_apart_are_the_real_ones(tmp_path: Path) -> None:
    objects = PoweredObjects()
    assert await run(tmp_path / "w", objects, Power())
    world = await start(tmp_path / "w", objects, Power())
    assert await state(world) == NEW
    await world.close()


@pytest.mark.parametrize("rows_kept", [True, False], ids=["rows kept", "rows lost"])
@pytest.mark.parametrize("torn", [True, False], ids=["bodies torn", "bodies lost"])
async def test_a_session_is_all_or_nothing_wherever_the_power_fails(
    tmp_path: Path, rows_kept: bool, torn: bool
) -> None:
    seen: list[bool] = []
    for cut_at in itertools.count():
        folder, objects = tmp_path / str(cut_at), PoweredObjects()
        power = Power(cut_at)
        acknowledged = await run(folder, objects, power)
        if acknowledged:
            assert power.steps == cut_at  # every step was a cut point
            break
        if not rows_kept:
            for name in ("rows.sqlite", "rows.sqlite-wal"):
                (folder / name).unlink(missing_ok=True)
                shutil.copy(folder / "durable" / name, folder / name)
        objects.cut_power(torn=torn)
        world = await start(folder, objects, Power())
        found = await state(world)
        assert found in (OLD, NEW), cut_at
        seen.append(found == NEW)
        assert [f for f in await world.findings(read_data=True) if f.severity == "error"] == []
        await sweep(world.backend)
        world.clock.time += 100_000
        await sweep(world.backend)
        assert await state(world) == found
        root = await world.files.stat(ALICE, "Secret")
        token = await world.lock(root, 4)
        await world.put("Secret/later", b"x", token=token)
        await world.sessions.unlock(ALICE, root.file_id, token=token)
        assert [f for f in await world.findings(read_data=True) if f.severity == "error"] == []
        await world.close()
    assert seen == sorted(seen)
    assert (seen[0], seen[-1], len(seen) > 40) == (False, True, True)


async def test_a_killed_server_goes_on_with_the_session_where_it_was(tmp_path: Path) -> None:
    folder, objects = tmp_path / "w", PoweredObjects()
    folder.mkdir()
    world = await start(folder, objects, Power())
    await prepare(world)
    token = await session(world)
    await world.close()
    world = await start(folder, objects, Power())
    assert await state(world) == OLD
    root = await world.files.stat(ALICE, "Secret")
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await state(world) == NEW
    await world.close()


async def test_a_plain_file_is_there_after_put_returned_whatever_happens_then(tmp_path: Path) -> None:
    for cut_at in itertools.count():
        folder, objects, power = tmp_path / str(cut_at), PoweredObjects(), Power(cut_at)
        folder.mkdir()
        world = await start(folder, objects, Power())
        await world.put("f", b"before")
        await world.close()
        world = await start(folder, objects, power)
        try:
            await world.put("f", b"afterwards")
            acknowledged = True
        except PowerCut:
            acknowledged = False
        await world.close()
        for name in ("rows.sqlite", "rows.sqlite-wal"):
            (folder / name).unlink(missing_ok=True)
            shutil.copy(folder / "durable" / name, folder / name)
        objects.cut_power(torn=True)
        world = await start(folder, objects, Power())
        found = await world.get("f")
        assert found in ((b"afterwards",) if acknowledged else (b"before", b"afterwards"))
        assert [f for f in await world.findings(read_data=True) if f.severity == "error"] == []
        await world.close()
        if acknowledged:
            assert cut_at > 3
            break
