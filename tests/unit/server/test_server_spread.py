"""What a change deep in a tree does above it, and what that costs."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
from tests.unit.server.world import ALICE, BOB, World

from candado.ports.server import Rows, SqlValue

T = TypeVar("T")


class Ledger:
    """The statements that a world runs, by what they do."""

    def __init__(self, world: World) -> None:
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.transactions = 0
        database = world.database
        read, write = database.read, database.write

        async def reading(work: Callable[[Rows], Awaitable[T]]) -> T:
            return await read(lambda rows: work(_Noted(rows, self)))

        async def writing(work: Callable[[Rows], Awaitable[T]], *, durable: bool = True) -> T:
            self.transactions += 1
            return await write(lambda rows: work(_Noted(rows, self)), durable=durable)

        database.read = reading  # type: ignore[method-assign]
        database.write = writing  # type: ignore[method-assign]

    def note(self, sql: str) -> None:
        changes = any(word in sql for word in ("INSERT ", "UPDATE ", "DELETE "))
        (self.writes if changes else self.reads).append(sql)


class _Noted:
    def __init__(self, rows: Rows, ledger: Ledger) -> None:
        self._rows = rows
        self._ledger = ledger

    async def one(self, sql: str, *values: SqlValue) -> tuple[SqlValue, ...] | None:
        self._ledger.note(sql)
        return await self._rows.one(sql, *values)

    async def all(self, sql: str, *values: SqlValue) -> list[tuple[SqlValue, ...]]:
        self._ledger.note(sql)
        return await self._rows.all(sql, *values)

    async def run(self, sql: str, *values: SqlValue) -> int:
        self._ledger.note(sql)
        return await self._rows.run(sql, *values)

    async def many(self, sql: str, rows: Sequence[Sequence[SqlValue]]) -> None:
        for _ in rows:
            self._ledger.note(sql)
        await self._rows.many(sql, rows)


async def dig(world: World, depth: int) -> list[str]:
    """Paths of folders within folders, from the home down."""
    paths = [""]
    for level in range(depth):
        paths.append(f"{paths[-1]}/{level}".strip("/"))
        await world.files.make_folder(ALICE, paths[-1], token=None)
    return paths


async def seen(world: World, paths: list[str]) -> list[tuple[str, int]]:
    nodes = [await world.files.stat(ALICE, path) for path in paths]
    return [(node.etag, node.size_bytes) for node in nodes]


@pytest.mark.parametrize("shared", [False, True])
async def test_a_file_fifty_levels_deep_changes_all_above_it_in_one_transaction(world: World, shared: bool) -> None:
    paths = await dig(world, 50)
    if shared:
        await world.share(await world.files.stat(ALICE, paths[3]), BOB.user_id)
    await world.put(f"{paths[-1]}/warm", b"")  # takes a block of ids
    before, bob_before = await seen(world, paths), (await world.files.stat(BOB, "")).etag
    ledger = Ledger(world)
    await world.put(f"{paths[-1]}/f", b"12345")
    assert ledger.transactions == 1
    after = await seen(world, paths)
    assert all(now[0] != then[0] and now[1] == then[1] + 5 for now, then in zip(after, before, strict=True))
    assert len({etag for etag, _ in after}) == 1
    assert (bob_before != (await world.files.stat(BOB, "")).etag) == shared
    await world.put(f"{paths[-1]}/f", b"1")
    assert [size for _, size in await seen(world, paths)] == [1] * 51


@pytest.mark.parametrize("shared", [False, True])
async def test_depth_costs_at_most_one_look_for_each_part_of_the_path_and_no_write(world: World, shared: bool) -> None:
    paths = await dig(world, 60)
    if shared:
        await world.share(await world.files.stat(ALICE, paths[1]), BOB.user_id)
    await world.put("warm", b"")
    ledger = Ledger(world)
    costs: list[tuple[int, int]] = []
    for depth in (10, 60):
        ledger.reads.clear()
        ledger.writes.clear()
        await world.put(f"{paths[depth]}/f", b"12345")
        costs.append((len(ledger.reads), len(ledger.writes)))
    (shallow_reads, shallow_writes), (deep_reads, deep_writes) = costs
    assert deep_reads - shallow_reads == 50  # the first eight parts of a path are one look
    assert shallow_reads < 15
    assert deep_writes == shallow_writes <= 4
    for change in (
        world.files.delete(ALICE, f"{paths[60]}/f", token=None),
        world.files.make_folder(ALICE, f"{paths[60]}/d", token=None),
    ):
        ledger.writes.clear()
        await change
        assert len(ledger.writes) <= 15


async def test_more_folders_than_one_statement_holds_are_all_told_to_their_recipients(world: World) -> None:
    paths = await dig(world, 2)
    for number in range(140):
        await world.files.make_folder(ALICE, f"{paths[-1]}/{number}", token=None)
    last = await world.files.stat(ALICE, f"{paths[-1]}/139")
    await world.share(last, BOB.user_id)
    before = (await world.files.stat(BOB, "")).etag

    from candado.server.spread import spread

    ids = {int((await world.files.stat(ALICE, f"{paths[-1]}/{number}")).file_id): 0 for number in range(140)}

    async def work(rows: Rows) -> None:
        await spread(rows, "batch", ids, tag="fresh", now=1.0)

    await world.database.write(work)
    assert (await world.files.stat(BOB, "")).etag == "fresh" != before
