"""The one table of the tests of databases."""

from collections.abc import Awaitable, Callable

from candado.ports.server import Database, Rows


async def texts(database: Database) -> list[object]:
    async def work(rows: Rows) -> list[object]:
        return [row[0] for row in await rows.all("SELECT text FROM t ORDER BY id")]

    return await database.read(work)


def insert(text: str) -> Callable[[Rows], Awaitable[int]]:
    async def work(rows: Rows) -> int:
        return await rows.run("INSERT INTO t (text) VALUES ($1)", text)

    return work
