"""What only SQLite's file can do or suffer; the contract itself is in ``test_database``."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contracts.rows import insert, texts

from candado.adapters.sqlite import SqliteDatabase
from candado.errors import (
    BusyError,
    CorruptStateError,
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
