"""What every ``Database`` must do; today SQLite's file."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from candado.adapters.sqlite import SqliteDatabase
from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    BusyError,
    CorruptStateError,
    LocalStorageError,
    MisuseError,
    NotFoundError,
    QuotaExceededError,
    UnsupportedVersionError,
)
from candado.ports.server import Database, Rows

STEPS = ((1, ("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",)),)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await SqliteDatabase.open(tmp_path / "rows.sqlite", migrations=STEPS)
    yield opened
    await opened.close()


async def texts(database: Database) -> list[object]:
    async def work(rows: Rows) -> list[object]:
        return [row[0] for row in await rows.all("SELECT text FROM t ORDER BY id")]

    return await database.read(work)


def insert(text: str) -> Callable[[Rows], Awaitable[int]]:
    async def work(rows: Rows) -> int:
        return await rows.run("INSERT INTO t (text) VALUES ($1)", text)

    return work


async def test_a_unit_sees_its_own_rows_and_returns_its_value(database: Database) -> None:
    async def work(rows: Rows) -> tuple[object, ...]:
        first = await rows.one("INSERT INTO t (text) VALUES ($1) RETURNING id", "a")
        await rows.many("INSERT INTO t (text) VALUES ($1)", [("b",), ("c",)])
        changed = await rows.run("UPDATE t SET text = text || $2 || $2 WHERE text <> $1", "a", "!")
        return first, changed, await rows.all("SELECT text FROM t ORDER BY id"), await rows.one("SELECT 1 WHERE 1 = 2")

    assert await database.write(work) == ((1,), 2, [("a",), ("b!!",), ("c!!",)], None)
    assert await texts(database) == ["a", "b!!", "c!!"]


async def test_a_failing_unit_undoes_itself_and_nobody_else(database: Database) -> None:
    async def failing(rows: Rows) -> None:
        await rows.run("INSERT INTO t (text) VALUES ('lost')")
        raise NotFoundError("no")

    answers = await asyncio.gather(
        database.write(insert("a")),
        database.write(failing),
        database.write(insert("b")),
        return_exceptions=True,
    )
    assert [type(a).__name__ for a in answers] == ["int", "NotFoundError", "int"]
    assert await texts(database) == ["a", "b"]


async def test_a_key_that_exists_and_a_null_are_told_apart(database: Database) -> None:
    async def twice(rows: Rows) -> None:
        await rows.many("INSERT INTO t (id, text) VALUES ($1, 'x')", [(1,), (1,)])

    async def null(rows: Rows) -> None:
        await rows.run("INSERT INTO t (text) VALUES ($1)", None)

    with pytest.raises(AlreadyExistsError):
        await database.write(twice)
    with pytest.raises(MisuseError):
        await database.write(null)
    assert await texts(database) == []


async def test_a_unit_may_wait_for_nothing_but_its_rows(database: Database) -> None:
    async def sleeper(rows: Rows) -> None:
        await rows.run("INSERT INTO t (text) VALUES ('lost')")
        await asyncio.sleep(0)

    async def sleeping_reader(rows: Rows) -> None:
        await rows.one("SELECT 1")
        await asyncio.sleep(0)

    with pytest.raises(MisuseError):
        await database.write(sleeper)
    with pytest.raises(MisuseError):
        await database.read(sleeping_reader)
    assert await texts(database) == []


async def test_values_that_no_database_can_hold_are_refused(database: Database) -> None:
    for value in (2**63, "\ud800"):

        async def work(rows: Rows, value: int | str = value) -> None:
            await rows.run("INSERT INTO t (text) VALUES ($1)", value)

        with pytest.raises(BadRequestError):
            await database.write(work)
    assert await texts(database) == []


async def test_workers_that_start_together_all_open_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "together.sqlite"
    opened = await asyncio.gather(*[SqliteDatabase.open(path, migrations=STEPS) for _ in range(6)])
    await asyncio.gather(*[database.write(insert(str(n))) for n, database in enumerate(opened)])
    assert sorted(map(str, await texts(opened[0]))) == ["0", "1", "2", "3", "4", "5"]
    for database in opened:
        await database.close()


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(LocalStorageError):
        await database.read(insert("x"))


async def test_increments_from_many_tasks_are_all_counted(database: Database) -> None:
    async def add(rows: Rows) -> None:
        row = await rows.one("SELECT COUNT(*) FROM t")
        assert row is not None
        await rows.run("INSERT INTO t (id, text) VALUES ($1, 'x')", int(str(row[0])) + 1)

    await asyncio.gather(*[database.write(add, durable=bool(i % 2)) for i in range(200)])
    assert len(await texts(database)) == 200


async def test_what_one_turn_of_the_loop_submits_is_one_transaction(tmp_path: Path, database: Database) -> None:
    def seen_by_others() -> int:
        with contextlib.closing(sqlite3.connect(tmp_path / "rows.sqlite")) as other:
            return int(other.execute("SELECT COUNT(*) FROM t").fetchone()[0])

    async def look(rows: Rows) -> int:
        del rows
        return seen_by_others()

    units = [database.write(unit, durable=False) for unit in (insert("x"), look, insert("y"), look)]
    assert await asyncio.gather(*units) == [1, 0, 1, 0]
    assert seen_by_others() == 2


async def test_two_processes_share_the_file(tmp_path: Path, database: Database) -> None:
    other = await SqliteDatabase.open(tmp_path / "rows.sqlite", migrations=STEPS)

    async def add(rows: Rows) -> None:
        row = await rows.one("SELECT COUNT(*) FROM t")
        assert row is not None
        await rows.run("INSERT INTO t (id, text) VALUES ($1, 'x')", int(str(row[0])) + 1)

    await asyncio.gather(*[(database if i % 2 else other).write(add) for i in range(100)])
    assert (len(await texts(database)), len(await texts(other))) == (100, 100)
    await other.close()


async def test_a_read_is_one_snapshot_while_others_write(tmp_path: Path, database: Database) -> None:
    entered, release = threading.Event(), threading.Event()

    async def slow(rows: Rows) -> tuple[object, object]:
        before = await rows.one("SELECT COUNT(*) FROM t")
        entered.set()
        release.wait(10)
        return before, await rows.one("SELECT COUNT(*) FROM t")

    reading = asyncio.create_task(database.read(slow))
    await asyncio.to_thread(entered.wait, 10)
    await database.write(insert("x"))
    release.set()
    assert await reading == ((0,), (0,))
    assert await texts(database) == ["x"]


async def test_a_caller_that_goes_away_does_not_disturb_the_others(database: Database) -> None:
    gone = asyncio.create_task(database.write(insert("gone")))
    await asyncio.sleep(0)
    gone.cancel()
    await database.write(insert("here"))
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert (await texts(database))[-1] == "here"


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "again.sqlite"
    first = await SqliteDatabase.open(path, migrations=STEPS)
    await first.write(insert("kept"), durable=False)
    await first.close()
    await first.close()
    with pytest.raises(MisuseError):
        await first.write(insert("late"))
    second = await SqliteDatabase.open(path, migrations=STEPS)
    assert await texts(second) == ["kept"]
    await second.close()


async def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "p.sqlite", migrations=STEPS)
    await database.write(insert("x"))
    files = list(tmp_path.glob("p.sqlite*"))
    assert (len(files), {file.stat().st_mode & 0o777 for file in files}) == (3, {0o600})
    await database.close()


async def test_durable_units_commit_with_full_sync_and_others_without(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "s.sqlite", migrations=STEPS)

    async def level(rows: Rows) -> object:
        row = await rows.one("PRAGMA synchronous")
        assert row is not None
        return row[0]

    full, normal = 2, 1
    assert [await database.write(level, durable=d) for d in (True, False, True)] == [full, normal, full]
    await database.close()


async def test_migrations_run_once_in_order_and_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    two = (*STEPS, (2, ("ALTER TABLE t ADD COLUMN more TEXT", "INSERT INTO t (text, more) VALUES ('made', 'by 2')")))
    for steps in (STEPS, two, two):
        await (await SqliteDatabase.open(path, migrations=steps)).close()
    before = path.read_bytes()
    with pytest.raises(UnsupportedVersionError):
        await SqliteDatabase.open(path, migrations=STEPS)
    assert path.read_bytes() == before
    database = await SqliteDatabase.open(path, migrations=two)
    assert await texts(database) == ["made"]
    await database.close()


async def test_a_migration_that_fails_leaves_the_old_schema(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    await (await SqliteDatabase.open(path, migrations=STEPS)).close()
    broken = (*STEPS, (2, ("ALTER TABLE t ADD COLUMN more TEXT", "this is not SQL")))
    with pytest.raises(MisuseError):
        await SqliteDatabase.open(path, migrations=broken)
    database = await SqliteDatabase.open(path, migrations=STEPS)
    assert await texts(database) == []
    await database.close()


async def test_a_file_that_is_no_database_is_named_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"this is no database, but it is longer than a header " * 40)
    with pytest.raises(CorruptStateError) as caught:
        await SqliteDatabase.open(path, migrations=STEPS)
    assert caught.value.path == str(path)


async def test_a_full_disk_fails_the_unit_with_its_own_error_and_the_next_one_works(tmp_path: Path) -> None:
    path = tmp_path / "full.sqlite"
    database = await SqliteDatabase.open(path, migrations=STEPS)

    async def limit(rows: Rows, pages: int) -> None:
        await rows.one(f"PRAGMA max_page_count={pages}")

    await database.write(lambda rows: limit(rows, 8))
    with pytest.raises(QuotaExceededError):
        await database.write(insert("x" * 100_000))
    await database.write(insert("small"))
    assert await texts(database) == ["small"]
    await database.close()


async def test_a_database_held_by_another_program_is_busy_and_not_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candado.adapters.sqlite._BUSY_MILLISECONDS", 20)
    path = tmp_path / "busy.sqlite"
    database = await SqliteDatabase.open(path, migrations=STEPS)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusyError):
        await database.write(insert("x"))
    holder.execute("ROLLBACK")
    holder.close()
    await database.write(insert("y"))
    assert await texts(database) == ["y"]
    await database.close()
