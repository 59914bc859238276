"""Rows that leave a database and come back are the same rows, page by page."""

from pathlib import Path

import pytest
from tests.unit.server.world import ALICE, BOB, World, open_rows

from candado.apps import server_copy
from candado.apps.server_copy import compare_rows, export_rows, import_rows, named_bodies
from candado.ports.server import Rows


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_copy, "_PAGE", 3)


async def fill(world: World) -> None:
    for n in range(8):
        await world.put(f"f{n}", b"x" * n)

    async def work(rows: Rows) -> None:
        sql = "INSERT INTO node_properties (node_id, user_id, name, value) VALUES ($1, $2, $3, 'ä\n\"')"
        await rows.many(sql, [(n, who.user_id, f"{{x}}{m}") for n in (1, 2) for who in (ALICE, BOB) for m in range(3)])
        await rows.run("INSERT INTO settings (name, value) VALUES ('backup:x', '1')")

    await world.backend.database.write(work)


async def test_rows_come_back_as_they_were(world: World, tmp_path: Path) -> None:
    await fill(world)
    source, copy = world.backend.database, tmp_path / "copy.db"
    (tmp_path / "other").mkdir()
    await export_rows(source, copy)
    assert (copy.stat().st_mode & 0o777, len(named_bodies(copy))) == (0o600, 8)
    other = await open_rows(tmp_path / "other" / "rows.sqlite")
    await import_rows(copy, other)
    assert await compare_rows(copy, other) == []
    await export_rows(other, tmp_path / "again.db")
    assert await compare_rows(tmp_path / "again.db", other) == []
    changes = {
        "node_properties": "UPDATE node_properties SET value = '' WHERE node_id = 2 AND user_id = 'bob' AND name = '{x}2'",
        "nodes": "DELETE FROM nodes WHERE name = 'f7'",
        "settings": "INSERT INTO settings (name, value) VALUES ('zzz', '')",
    }
    for sql in changes.values():
        await other.write(lambda rows, sql=sql: rows.run(sql))  # type: ignore[misc]
    expected = [f"database: the rows of {table} are not those of the backup" for table in sorted(changes)]
    assert sorted(await compare_rows(copy, other)) == expected
    await other.close()


async def test_a_copy_that_fails_leaves_no_half_of_it(world: World, tmp_path: Path) -> None:
    await fill(world)
    await export_rows(world.backend.database, tmp_path / "copy.db")
    fresh = await open_rows(tmp_path / "fresh.sqlite")

    class FailingError(Exception):
        pass

    async def failing(work: object, *, durable: bool = True) -> None:
        del durable

        async def wrapped(rows: Rows) -> None:
            await work(rows)  # type: ignore[operator]
            raise FailingError

        await type(fresh).write(fresh, wrapped)

    class Failing:
        write = staticmethod(failing)

    with pytest.raises(FailingError):
        await import_rows(tmp_path / "copy.db", Failing())  # type: ignore[arg-type]
    assert await fresh.read(lambda rows: rows.all("SELECT name FROM nodes")) == []
    await fresh.close()
