"""A database of an earlier release is brought up to date, and nothing in it is lost."""

from pathlib import Path

from candado.adapters.sqlite import SqliteDatabase
from candado.ports.server import Rows, SqlValue
from candado.server.schema import MIGRATIONS


async def test_a_database_with_user_shares_of_the_first_release_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old = await SqliteDatabase.open(path, migrations=MIGRATIONS[:1])

    async def fill(rows: Rows) -> None:
        await rows.run("INSERT INTO users (id, display_name, password_hash, created) VALUES ('a', 'A', '', 0)")
        await rows.run(
            "INSERT INTO shares (node_id, share_type, owner_id, initiator_id, share_with, permissions, target, created)"
            " VALUES (7, 0, 'a', 'a', 'b', 31, 'Folder', 1.5)"
        )

    await old.write(fill)
    await old.close()
    new = await SqliteDatabase.open(path, migrations=MIGRATIONS)

    async def look(rows: Rows) -> list[tuple[SqlValue, ...]]:
        return await rows.all("SELECT node_id, share_with, permissions, parent_share, hide_download, token FROM shares")

    assert await new.read(look) == [(7, "b", 31, None, 0, None)]
    await new.close()


def test_the_steps_are_numbered_without_a_gap() -> None:
    assert [version for version, _ in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
