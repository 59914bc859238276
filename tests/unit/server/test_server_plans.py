"""No request reads a whole table: the watch over all statements (``tests/plans.py``) sees one that does."""

import pytest
from tests.plans import TABLES, TableScanError, check_postgres, check_sqlite, tables_of
from tests.postgres import cluster
from tests.unit.server.world import SeededRandom

from candado.adapters.postgres import PostgresDatabase
from candado.adapters.sqlite import SqliteDatabase
from candado.ports.server import Rows
from candado.server.nodes import _ANY_CHILD, _BY_ID
from candado.server.schema import MIGRATIONS

SCANS = (
    "SELECT id FROM nodes WHERE size = $1",
    "UPDATE nodes SET size = 0 WHERE checksum = $1",
    "SELECT n.id FROM users u JOIN nodes n ON n.mtime > u.created WHERE u.id = $1",
    "SELECT id FROM users WHERE email = $1 ORDER BY id",
)
FINE = (_BY_ID, _ANY_CHILD, "SELECT name FROM nodes WHERE parent_id = $1 ORDER BY name")


def value_for(sql: str) -> int | str:
    return "x" if "checksum" in sql or "email" in sql or "u.id" in sql else 1


def test_the_watch_knows_tables_by_the_names_a_statement_gives_them() -> None:
    assert tables_of("SELECT 1 FROM nodes n JOIN shares ON x LEFT JOIN up AS u ON y") == {
        "nodes": "nodes",
        "n": "nodes",
        "shares": "shares",
    }
    assert {"nodes", "staged", "locks", "shares", "users", "uploads"} < TABLES


@pytest.mark.parametrize("sql", SCANS)
async def test_a_statement_that_reads_a_whole_table_is_seen_on_sqlite(tmp_path: object, sql: str) -> None:
    database = await SqliteDatabase.open(tmp_path / "rows.sqlite", migrations=MIGRATIONS)  # type: ignore[operator]

    async def look(rows: Rows) -> None:
        for good in FINE:
            check_sqlite(rows._connection, good, (1,), "candado.server.some")  # type: ignore[attr-defined]
        with pytest.raises(TableScanError, match=r"candado\.server\.some reads all of"):
            check_sqlite(rows._connection, sql, (value_for(sql),), "candado.server.some")  # type: ignore[attr-defined]

    await database.read(look)
    await database.close()


async def test_a_statement_that_reads_a_whole_table_is_seen_on_postgresql() -> None:
    url = await cluster().fresh()
    database = await PostgresDatabase.open(url, migrations=MIGRATIONS, random=SeededRandom(), connections=1)

    async def look(rows: Rows) -> None:
        with rows._waiting():  # type: ignore[attr-defined]
            for good in FINE:
                await check_postgres(rows._connection, good, (1,), "candado.server.some")  # type: ignore[attr-defined]
            for sql in SCANS:
                with pytest.raises(TableScanError, match=r"candado\.server\.some reads all of"):
                    await check_postgres(rows._connection, sql, (value_for(sql),), "candado.server.some")  # type: ignore[attr-defined]

    await database.read(look)
    await database.close()
