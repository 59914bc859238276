"""What every ``Database`` must do: SQLite's file and a real PostgreSQL."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from tests.contracts.rows import insert, texts
from tests.postgres import cluster
from tests.unit.server.world import SeededRandom

from candado.adapters.postgres import PostgresDatabase
from candado.adapters.sqlite import SqliteDatabase
from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    LocalStorageError,
    MisuseError,
    NotFoundError,
    StoreUnavailableError,
    UnsupportedVersionError,
)
from candado.ports.server import Database, Migration, Rows

STEPS: tuple[Migration, ...] = ((1, ("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",)),)

Open = Callable[[Sequence[Migration]], Awaitable[Database]]


@pytest.fixture(params=["sqlite", "postgresql"])
async def open_one(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens the same database each time, as another process would."""
    opened: list[Database] = []
    url = await cluster().fresh() if request.param == "postgresql" else ""

    async def open_it(steps: Sequence[Migration]) -> Database:
        if url:
            found: Database = await PostgresDatabase.open(url, migrations=steps, random=SeededRandom(), connections=8)
        else:
            found = await SqliteDatabase.open(tmp_path / "rows.sqlite", migrations=steps)
        opened.append(found)
        return found

    yield open_it
    for database in opened:
        await database.close()


@pytest.fixture
async def database(open_one: Open) -> Database:
    return await open_one(STEPS)


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
    assert sorted(map(str, await texts(database))) == ["a", "b"]


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


async def test_a_caller_that_goes_away_does_not_disturb_the_others(database: Database) -> None:
    gone = asyncio.create_task(database.write(insert("gone")))
    await asyncio.sleep(0)
    gone.cancel()
    await database.write(insert("here"))
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert (await texts(database))[-1] == "here"


async def test_databases_that_are_opened_together_share_everything(open_one: Open) -> None:
    opened = await asyncio.gather(*[open_one(STEPS) for _ in range(6)])
    await asyncio.gather(*[database.write(insert(str(n))) for n, database in enumerate(opened)])
    assert sorted(map(str, await texts(opened[0]))) == ["0", "1", "2", "3", "4", "5"]

    async def add(rows: Rows) -> None:
        row = await rows.one("SELECT COUNT(*) FROM t")
        assert row is not None
        await rows.run("INSERT INTO t (id, text) VALUES ($1, 'x')", 1000 + int(str(row[0])))

    await asyncio.gather(*[opened[i % 6].write(add) for i in range(60)])
    assert [len(await texts(database)) for database in opened] == [66] * 6


async def test_what_was_written_is_there_after_reopening(open_one: Open) -> None:
    first = await open_one(STEPS)
    await first.write(insert("kept"), durable=False)
    await first.close()
    await first.close()
    with pytest.raises(MisuseError):
        await first.write(insert("late"))
    assert await texts(await open_one(STEPS)) == ["kept"]


async def test_migrations_run_once_in_order_and_a_newer_schema_is_refused(open_one: Open) -> None:
    two = (*STEPS, (2, ("ALTER TABLE t ADD COLUMN more TEXT", "INSERT INTO t (text, more) VALUES ('made', 'by 2')")))
    for steps in (STEPS, two, two):
        await (await open_one(steps)).close()
    with pytest.raises(UnsupportedVersionError):
        await open_one(STEPS)
    assert await texts(await open_one(two)) == ["made"]


async def test_a_migration_that_fails_leaves_the_old_schema(open_one: Open) -> None:
    await (await open_one(STEPS)).close()
    broken = (*STEPS, (2, ("ALTER TABLE t ADD COLUMN more TEXT", "this is not SQL")))
    with pytest.raises(MisuseError):
        await open_one(broken)
    assert await texts(await open_one(STEPS)) == []


async def test_numbers_and_texts_come_back_as_they_went_in(open_one: Open) -> None:
    made = "CREATE TABLE v (id INTEGER PRIMARY KEY, whole INTEGER, part REAL, text TEXT)"
    database = await open_one(((1, (made,)),))

    async def work(rows: Rows) -> list[object]:
        await rows.many(
            "INSERT INTO v (id, whole, part, text) VALUES ($1, $2, $3, $4)",
            [(1, 2**62, 1.5, "b"), (2, -1, 0.0, "B"), (3, None, None, "\u00e4"), (4, 2**62 - 1, 1e300, "")],
        )
        return [
            await rows.all("SELECT whole, part, text FROM v ORDER BY id"),
            await rows.all("SELECT text FROM v ORDER BY text"),
            await rows.one("SELECT SUM(whole), COUNT(*), MAX(part) FROM v WHERE id < 3"),
            await rows.one("SELECT COALESCE(SUM(whole), 0) FROM v WHERE id = 9"),
        ]

    assert await database.write(work) == [
        [(2**62, 1.5, "b"), (-1, 0.0, "B"), (None, None, "\u00e4"), (2**62 - 1, 1e300, "")],
        [("",), ("B",), ("b",), ("\u00e4",)],
        (2**62 - 1, 2, 1.5),
        (0,),
    ]


async def test_a_write_that_reads_what_another_changes_is_put_in_order(database: Database) -> None:
    async def move(rows: Rows) -> None:
        row = await rows.one("SELECT COUNT(*) FROM t WHERE text = 'free'")
        assert row is not None
        if row[0]:
            await rows.run("UPDATE t SET text = 'taken' WHERE text = 'free'")
            await rows.run("INSERT INTO t (text) VALUES ('winner')")

    await database.write(insert("free"))
    await asyncio.gather(*[database.write(move) for _ in range(20)])
    assert sorted(map(str, await texts(database))) == ["taken", "winner"]


async def test_numbers_begin_behind_those_that_rows_brought_along(open_one: Open) -> None:
    numbered = "CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL)"
    empty = "CREATE TABLE e (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL)"
    database = await open_one(((1, (numbered, empty)),))

    async def bring(rows: Rows) -> None:
        await rows.many("INSERT INTO n (id, text) VALUES ($1, 'old')", [(5,), (70,)])

    async def number(rows: Rows) -> list[object]:
        given = [await rows.one(f"INSERT INTO {table} (text) VALUES ('new') RETURNING id") for table in ("n", "e")]
        return [row[0] for row in given if row is not None]

    await database.write(bring)
    await database.skip_numbers(100)
    assert await database.write(number) == [171, 101]


async def test_a_database_server_of_which_a_process_is_killed_keeps_what_it_answered() -> None:
    url = await cluster().fresh()
    database = await PostgresDatabase.open(url, migrations=STEPS, random=SeededRandom(), connections=1)

    async def number(rows: Rows) -> int:
        row = await rows.one("SELECT pg_backend_pid()")
        assert row is not None
        return int(str(row[0]))

    for text in "abcdef":
        await database.write(insert(text), durable=False)
    os.kill(await database.read(number), signal.SIGKILL)
    await database.close()
    again: PostgresDatabase | None = None
    async with asyncio.timeout(60):
        while again is None:  # it starts anew after the death of one of its own
            try:
                again = await PostgresDatabase.open(url, migrations=STEPS, random=SeededRandom(), create=False)
            except (StoreUnavailableError, LocalStorageError):
                await asyncio.sleep(0.02)
    assert await texts(again) == list("abcdef")
    await again.close()
