"""The schema of an SQLite file: is there one, of which version, and the way to the newest.

Layer: ``adapters``.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from candado.adapters.steps import check_version
from candado.errors import LocalStorageError, NotFoundError
from candado.ports.server import Migration

__all__ = ["migrate", "require_database", "stored_version"]


def require_database(path: Path) -> None:
    """NotFoundError unless there is a database with a schema of ours; nothing is written, not even a journal.

    SQLite makes a file that is absent, and the migrations would turn any other database into one of ours.
    """
    if path.is_file():
        # What a crash left in the journal is part of the database, so this cannot be opened as immutable.
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"
            if connection.execute(sql).fetchone():
                return
    elif path.exists():
        raise LocalStorageError("the database is not a file", path=str(path))
    raise NotFoundError(
        "there is no database of candado-server here",
        path=str(path),
        advice="Check --database and config.toml; when the file was lost, restore the latest backup.",
    )


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Bring the schema to the last version in one transaction; UnsupportedVersionError when it is newer."""
    connection.execute("PRAGMA synchronous=FULL").close()
    connection.execute("BEGIN IMMEDIATE").close()
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)").close()
        row = connection.execute("SELECT version FROM schema_version").fetchone()
        current = int(row[0]) if row else 0
        newest = migrations[-1][0] if migrations else 0
        check_version(current, newest)
        for version, statements in migrations:
            if version > current:
                for statement in statements:
                    connection.execute(statement).close()
        connection.execute("DELETE FROM schema_version").close()
        connection.execute("INSERT INTO schema_version (version) VALUES (?)", (newest,)).close()
        connection.execute("COMMIT").close()
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK").close()
        raise


def stored_version(path: Path) -> int:
    """The version of the schema in the file, which is left as it is; NotFoundError as ``require_database``."""
    require_database(path)
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT version FROM schema_version").fetchone()
    return int(row[0]) if row else 0
