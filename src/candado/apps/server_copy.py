"""Rows of a server in a file of their own: out of any database, and into any.

Layer: ``apps``. The file is an SQLite database with the server's own schema, whatever the rows came from. Pages are
read in the order of the primary key, so memory does not grow with the number of rows, and one unit of work reads all
of it: the copy is of one moment. What is under way is left out: sessions, uploads, sign-ins, garbage.
"""
# ruff: noqa: S608 -- names of tables and columns come from the schema, never from outside

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from candado.adapters.sqlite import SqliteDatabase
from candado.ports.server import Database, Rows, SqlValue
from candado.server.schema import MIGRATIONS

__all__ = ["compare_rows", "export_rows", "import_rows", "named_bodies"]

_PAGE: Final = 1000
_PAGES: Final = {"folder_metadata": 8, "membership_steps": 8}
"""Rows of a page where a row can have megabytes."""
_LEFT_OUT: Final = frozenset(
    {
        "browsers",
        "chunks",
        "deltas",
        "doomed",
        "garbage",
        "invitations",
        "lock_counters",
        "locks",
        "login_flows",
        "rate_limits",
        "schema_version",
        "staged",
        "staged_metadata",
        "uploads",
    }
)
_GOES_ON: Final = frozenset({"audit_checkpoints", "audit_head", "audit_pending", "sequences"})
"""What a restore changes on purpose."""
_TIDY: Final = (
    "DELETE FROM settings WHERE name LIKE 'backup:%'",
    # The server signs a new one at once, with a number above all that were published.
    "DELETE FROM settings WHERE name = 'revocation_list'",
    "DELETE FROM parts WHERE content NOT IN (SELECT content FROM nodes WHERE content IS NOT NULL)",
)
_NAMED: Final = """SELECT content, size FROM nodes WHERE content IS NOT NULL AND part_count = 1
    UNION SELECT p.blob_id, p.size FROM parts p JOIN nodes n ON n.content = p.content WHERE n.part_count > 1"""


@dataclass(frozen=True, slots=True)
class _Table:
    """A table, its columns, and how many of them, which come first, are its primary key."""

    name: str
    columns: tuple[str, ...]
    key_columns: int

    @property
    def page(self) -> int:
        return _PAGES.get(self.name, _PAGE)

    @property
    def listed(self) -> str:
        return ", ".join(f'"{column}"' for column in self.columns)

    @property
    def key(self) -> str:
        return ", ".join(f'"{column}"' for column in self.columns[: self.key_columns])

    def key_of(self, row: tuple[SqlValue, ...]) -> tuple[SqlValue, ...]:
        return row[: self.key_columns]


def _tables(copy: sqlite3.Connection) -> list[_Table]:
    found: list[_Table] = []
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
    for (name,) in copy.execute(sql).fetchall():
        if name not in _LEFT_OUT:
            columns = copy.execute(f'PRAGMA table_info("{name}")').fetchall()
            key = sorted((row for row in columns if row[5]), key=lambda row: int(row[5]))
            assert key, name
            rest = [row for row in columns if not row[5]]
            found.append(_Table(str(name), tuple(str(row[1]) for row in key + rest), len(key)))
    return found


async def _pages(rows: Rows, table: _Table) -> AsyncIterator[list[tuple[SqlValue, ...]]]:
    last: tuple[SqlValue, ...] = ()
    while True:
        places = ", ".join(f"${n}" for n in range(1, len(last) + 1))
        after = f"WHERE ({table.key}) > ({places}) " if last else ""
        sql = f'SELECT {table.listed} FROM "{table.name}" {after}ORDER BY {table.key} LIMIT {table.page}'
        page = await rows.all(sql, *last)
        if page:
            yield page
            last = table.key_of(page[-1])
        if len(page) < table.page:
            return


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    # A unit of work runs on whatever thread the database has.
    copy = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with contextlib.closing(copy):
        yield copy


async def export_rows(database: Database, target: Path) -> None:
    """Write the rows as of now into the new file ``target``, readable by its owner only.

    Raises:
        LocalStorageError, QuotaExceededError: the file cannot be written.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)  # noqa: PTH108 -- the linter takes methods of a path for asynchronous ones here
    made = await SqliteDatabase.open(target, migrations=MIGRATIONS)
    await made.close()
    with _opened(target) as copy:
        copy.execute("PRAGMA journal_mode=DELETE").fetchall()
        copy.execute("PRAGMA synchronous=OFF").close()  # the caller syncs the whole file
        tables = _tables(copy)

        async def work(rows: Rows) -> None:
            copy.execute("BEGIN").close()
            try:
                for table in tables:
                    copy.execute(f'DELETE FROM "{table.name}"').close()
                    places = ", ".join("?" for _ in table.columns)
                    sql = f'INSERT INTO "{table.name}" ({table.listed}) VALUES ({places})'
                    async for page in _pages(rows, table):
                        copy.executemany(sql, page).close()
                for sql in _TIDY:
                    copy.execute(sql).close()
                copy.execute("COMMIT").close()
            except BaseException:
                copy.execute("ROLLBACK").close()
                raise

        await database.read(work)


def named_bodies(path: Path) -> dict[str, int]:
    """The bodies that the rows in the file name, with their sizes."""
    with _opened(path) as copy:
        return {str(blob_id): int(size) for blob_id, size in copy.execute(_NAMED)}


async def import_rows(source: Path, database: Database) -> None:
    """Put the rows of the file, which has the newest schema, into a database that has tables and nothing in them."""
    with _opened(source) as copy:
        tables = _tables(copy)

        async def work(rows: Rows) -> None:
            for table in tables:
                await rows.run(f'DELETE FROM "{table.name}"')
                places = ", ".join(f"${n}" for n in range(1, len(table.columns) + 1))
                sql = f'INSERT INTO "{table.name}" ({table.listed}) VALUES ({places})'
                with contextlib.closing(copy.execute(f'SELECT {table.listed} FROM "{table.name}"')) as cursor:
                    while page := cursor.fetchmany(table.page):
                        await rows.many(sql, page)

        await database.write(work)


async def compare_rows(source: Path, database: Database) -> list[str]:
    """One sentence for each table whose rows are not those of the file; the counters are beyond it on purpose."""
    problems: list[str] = []
    with _opened(source) as copy:
        tables = [table for table in _tables(copy) if table.name not in _GOES_ON]

        async def work(rows: Rows) -> None:
            problems.clear()
            for table in tables:
                sql = f'SELECT {table.listed} FROM "{table.name}" ORDER BY {table.key}'
                with contextlib.closing(copy.execute(sql)) as cursor:
                    same = True
                    async for page in _pages(rows, table):
                        same = same and cursor.fetchmany(len(page)) == page
                    if not same or cursor.fetchone() is not None:
                        problems.append(f"database: the rows of {table.name} are not those of the backup")

        await database.read(work)
    return problems
