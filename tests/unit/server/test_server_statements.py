"""How many statements lists and searches ask: a number that does not grow with what is found."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.server.counting import CountingDatabase
from tests.unit.server.world import ALICE, BOB, World

from candado.adapters.passwords import Argon2Passwords
from candado.formats.davsearch import FAVOURITE
from candado.server.searching import Searching
from candado.server.shares import ShareRequest, Shares


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncIterator[tuple[World, CountingDatabase]]:
    plain = await World.open(tmp_path)
    database = CountingDatabase(plain.database)
    yield World(database, plain.objects, plain.clock), database
    await plain.close()


async def _spread_out(world: World, count: int, *, at: int) -> None:
    """Folders of alice, each below another one and shared with bob and by link, all of them bob's favourites."""
    shares = Shares(world.backend, world.files, Argon2Passwords(time_cost=1, memory_kib=64))
    for number in range(at, at + count):
        await world.files.make_folder(ALICE, f"top{number}", token=None)
        await world.files.make_folder(ALICE, f"top{number}/sub{number}", token=None)
        path = f"top{number}/sub{number}"
        await shares.create(ALICE, ShareRequest(path, 0, 31, "bob"))
        await shares.create(ALICE, ShareRequest(path, 3, 1))
        await world.files.patch_properties(BOB, f"sub{number}", {FAVOURITE: "1"})


async def test_lists_of_shares_ask_the_same_for_three_as_for_thirty(
    counted: tuple[World, CountingDatabase],
) -> None:
    world, database = counted
    await world.files.ensure_home(BOB.user_id)
    shares = Shares(world.backend, world.files, Argon2Passwords(time_cost=1, memory_kib=64))
    numbers: list[list[int]] = []
    for count, at in ((3, 0), (27, 3)):
        await _spread_out(world, count, at=at)
        asked: list[int] = []
        for listed in (
            lambda: shares.by_me(ALICE),
            lambda: shares.with_me(BOB),
            lambda: shares.in_folder(ALICE, "top1"),
            lambda: shares.get(ALICE, 1),
        ):
            database.asked.clear()
            assert await listed()
            asked.append(len(database.asked))
        numbers.append(asked)
    assert len(await shares.by_me(ALICE)) == 60
    assert {share.path for share in await shares.by_me(ALICE)} == {f"/top{n}/sub{n}" for n in range(30)}
    assert numbers[0] == numbers[1]
    assert max(numbers[1]) <= 6


async def test_a_search_by_ids_asks_the_same_for_three_as_for_thirty(
    counted: tuple[World, CountingDatabase],
) -> None:
    world, database = counted
    await world.files.ensure_home(BOB.user_id)
    looking, numbers = Searching(world.backend), list[int]()
    for count, at in ((3, 0), (27, 3)):
        await _spread_out(world, count, at=at)
        database.asked.clear()
        found = await looking.favourites(BOB, "")
        assert [node.path for node in found.nodes] == [f"sub{n}" for n in range(at + count)]
        numbers.append(len(database.asked))
    database.asked.clear()
    assert len((await world.files.list_folder(BOB, "", with_properties=True))[1]) == 30
    assert len(database.asked) <= 12
    # Ids come in one of few numbers, so that there are few statements; how many of them there are is another thing.
    assert numbers[0] == numbers[1]


async def test_an_own_node_hides_a_received_one_of_its_name_in_searches_by_id(
    counted: tuple[World, CountingDatabase],
) -> None:
    world, _ = counted
    await world.files.ensure_home(BOB.user_id)
    await _spread_out(world, 2, at=0)
    await world.database.write(lambda rows: rows.run("UPDATE shares SET target = 'mine' WHERE target = 'sub1'"))
    await world.files.make_folder(BOB, "own", token=None)
    await world.database.write(lambda rows: rows.run("UPDATE nodes SET name = 'mine' WHERE name = 'own'"))
    assert [node.path for node in (await Searching(world.backend).favourites(BOB, "")).nodes] == ["sub0"]
