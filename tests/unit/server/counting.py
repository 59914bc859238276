"""The port of a database that keeps every statement it is asked."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from candado.ports.server import Database, Rows, SqlValue

T = TypeVar("T")


class _CountingRows:
    def __init__(self, rows: Rows, asked: list[str]) -> None:
        self._rows = rows
        self._asked = asked

    async def one(self, sql: str, *values: SqlValue) -> tuple[SqlValue, ...] | None:
        self._asked.append(sql)
        return await self._rows.one(sql, *values)

    async def all(self, sql: str, *values: SqlValue) -> list[tuple[SqlValue, ...]]:
        self._asked.append(sql)
        return await self._rows.all(sql, *values)

    async def run(self, sql: str, *values: SqlValue) -> int:
        self._asked.append(sql)
        return await self._rows.run(sql, *values)

    async def many(self, sql: str, values: Sequence[Sequence[SqlValue]]) -> None:
        self._asked += [sql] * len(values)
        await self._rows.many(sql, values)


class CountingDatabase:
    """Stands before a database; ``asked`` has each statement, those of many rows once for each row."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.asked: list[str] = []
        self.epoch = database.epoch

    @property
    def pending(self) -> int:
        return self._database.pending

    async def skip_numbers(self, count: int) -> None:
        await self._database.skip_numbers(count)

    async def write(self, work: Callable[[Rows], Awaitable[T]], *, durable: bool = True) -> T:
        return await self._database.write(lambda rows: work(_CountingRows(rows, self.asked)), durable=durable)

    async def read(self, work: Callable[[Rows], Awaitable[T]]) -> T:
        return await self._database.read(lambda rows: work(_CountingRows(rows, self.asked)))

    async def close(self) -> None:
        await self._database.close()
