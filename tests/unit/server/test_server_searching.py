"""Searches on a real database: what they find, what they never see, and what they cost."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.unit.server.world import ALICE, BOB, World

from candado.adapters.sqlite import SqliteDatabase
from candado.errors import NotFoundError
from candado.formats.davsearch import Condition, IsCollection, Junction, Negation, Order, SearchRequest, parse_search
from candado.ports.server import Rows, SqlValue
from candado.server import searching
from candado.server.model import Principal
from candado.server.schema import MIGRATIONS
from candado.server.searching import Found, Searching

T = TypeVar("T")
OC = "{http://owncloud.org/ns}"
EVERYTHING = SearchRequest(names=(), scope="", depth=None, where=None, order=(), limit=None, first=0)


def read(kind: str, prop: str, literal: object) -> Condition:
    """A condition as it comes off the wire."""
    body = (
        f'<searchrequest xmlns="DAV:" xmlns:d="DAV:" xmlns:oc="{OC[1:-1]}"><basicsearch><select><allprop/></select><from><scope>'
        f"<href>/</href><depth>0</depth></scope></from><where><{kind}><prop><{prop}/></prop><literal>{literal}</literal></{kind}>"
        "</where></basicsearch></searchrequest>"
    )
    found = parse_search(body.encode()).where
    assert found is not None
    return found


async def find(
    world: World, where: Condition | None, path: str = "", *, who: Principal = ALICE, **changes: Any
) -> list[str]:
    """Paths of the results; the answer must be complete."""
    found = await Searching(world.backend).search(who, path, replace(EVERYTHING, where=where, **changes))
    assert found.complete
    return [node.path for node in found.nodes]


async def plant(world: World, *paths: str, who: Principal = ALICE) -> None:
    for path in paths:
        if path.endswith("/"):
            await world.files.make_folder(who, path.strip("/"), token=None)
        else:
            await world.put(path, path.encode(), who=who)


async def star(world: World, path: str, value: str | None = "1", who: Principal = ALICE) -> None:
    await world.files.patch_properties(who, path, {f"{OC}favorite": value})


async def test_a_walk_finds_everything_below_its_scope_down_to_its_depth(world: World) -> None:
    await plant(world, "a/", "a/b/", "a/b/c/", "a/b/c/f", "a/g", "h", "a.x")
    assert await find(world, None) == ["", "a", "a.x", "h", "a/b", "a/g", "a/b/c", "a/b/c/f"]
    assert await find(world, None, "a") == ["a", "a/b", "a/g", "a/b/c", "a/b/c/f"]
    assert await find(world, None, "a", depth=1) == ["a", "a/b", "a/g"]
    assert await find(world, None, "a", depth=0) == ["a"]
    assert await find(world, None, "h") == ["h"]
    with pytest.raises(NotFoundError):
        await find(world, None, "not here")


async def test_conditions_compare_what_listings_show(world: World) -> None:
    await plant(world, "docs/", "docs/Report.TXT", "docs/photo.png", "big.png")
    await world.put("big.png", b"x" * 1000)
    assert await find(world, read("like", "displayname", "%report%")) == ["docs/Report.TXT"]
    assert await find(world, read("eq", "displayname", "report.txt")) == []
    assert await find(world, read("like", "getcontenttype", "image/%")) == ["big.png", "docs/photo.png"]
    assert await find(world, read("gte", "oc:size", 1000)) == ["", "big.png"]
    assert await find(world, read("eq", "getlastmodified", 123), depth=1) == ["big.png"]
    assert await find(world, IsCollection()) == ["", "docs"]
    assert await find(world, Negation(IsCollection()), "docs") == ["docs/photo.png", "docs/Report.TXT"][::-1]
    both = Junction(True, (read("like", "displayname", "%png"), read("lt", "oc:size", 1000)))
    either = Junction(False, (both, IsCollection()))
    assert await find(world, both) == ["docs/photo.png"]
    assert await find(world, either) == ["", "docs", "docs/photo.png"]
    assert await find(world, read("gt", "creationdate", "2030-01-01")) == []
    assert len(await find(world, read("eq", "oc:owner-id", "alice"))) == 5


async def test_results_come_in_the_order_asked_for_and_in_slices(world: World) -> None:
    await plant(world, "one", "two", "three", "four")
    await star(world, "two")
    names = (Order("{DAV:}displayname", descending=True),)
    files = Negation(IsCollection())
    assert await find(world, files, order=names) == ["two", "three", "one", "four"]
    sizes = (Order(f"{OC}size", descending=False), *names)
    assert await find(world, files, order=sizes) == ["two", "one", "four", "three"]
    assert await find(world, files, order=sizes, limit=2) == ["two", "one"]
    assert await find(world, files, order=sizes, limit=2, first=1) == ["one", "four"]
    assert await find(world, files, limit=1) == ["four"]
    assert await find(world, files, limit=0) == []
    marked = (Order(f"{OC}favorite", descending=True), *names)
    assert await find(world, files, order=marked) == ["two", "three", "one", "four"]


async def test_an_id_is_found_without_a_walk_and_only_in_scope(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "NODES_MAX", 2)
    await plant(world, "a/", "a/b/", "a/b/f", "a2/", "c")
    key = (await world.files.stat(ALICE, "a/b/f")).file_id
    wanted = read("eq", "oc:fileid", key)
    assert await find(world, wanted) == ["a/b/f"]
    assert await find(world, wanted, "a") == ["a/b/f"]
    assert await find(world, wanted, "a/b/f") == ["a/b/f"]
    assert await find(world, wanted, "a2") == await find(world, wanted, "a", depth=1) == []
    assert await find(world, wanted, "a/b", depth=1) == ["a/b/f"]
    assert await find(world, wanted, depth=1) == await find(world, wanted, "a/b", depth=0) == []
    assert await find(world, Junction(True, (wanted, IsCollection()))) == []
    other = read("eq", "oc:fileid", (await world.files.stat(ALICE, "c")).file_id)
    assert await find(world, Junction(False, (wanted, other))) == ["a/b/f", "c"]
    assert await find(world, Junction(True, (IsCollection(), Negation(IsCollection()))), "c") == []
    assert await find(world, read("eq", "oc:fileid", 2**62)) == await find(world, read("eq", "oc:fileid", -1)) == []


async def test_favourites_are_those_of_the_caller(world: World) -> None:
    await plant(world, "a/", "a/f", "g")
    folder = await world.files.stat(ALICE, "a")
    await world.share(folder, BOB.user_id)
    await star(world, "a/f")
    await star(world, "g")
    await star(world, "g", "0")
    await star(world, "a", who=BOB)
    yes, no = read("eq", "oc:favorite", 1), read("eq", "oc:favorite", 0)
    assert await find(world, yes) == ["a/f"]
    assert await find(world, yes, who=BOB) == ["a"]
    assert await find(world, no) == await find(world, Negation(yes)) == ["", "a", "g"]
    looking = Searching(world.backend)
    found = await looking.favourites(ALICE, "")
    assert [(node.path, node.properties) for node in found.nodes] == [("a/f", {f"{OC}favorite": "1"})]
    assert found.complete
    assert (await looking.favourites(ALICE, "g")).nodes == []
    assert [node.path for node in (await looking.favourites(BOB, "a")).nodes] == ["a"]
    await star(world, "a/f", None)
    assert (await looking.favourites(ALICE, "")).nodes == []


async def test_received_shares_are_searched_and_nothing_else_of_other_people(world: World) -> None:
    await plant(world, "shared/", "shared/sub/", "shared/sub/f", "private/", "private/f", "single")
    await plant(world, "own/", "own/f", "hidden", who=BOB)
    await world.share(await world.files.stat(ALICE, "shared"), BOB.user_id, permissions=1)
    await world.share(await world.files.stat(ALICE, "shared/sub"), BOB.user_id, permissions=1, target="again")
    await world.share(await world.files.stat(ALICE, "single"), BOB.user_id, target="hidden")
    assert await find(world, read("eq", "displayname", "f"), who=BOB) == ["again/f", "shared/sub/f", "own/f"]
    assert await find(world, None, who=BOB, depth=1) == ["", "again", "shared", "hidden", "own"]
    assert await find(world, None, "shared", who=BOB) == ["shared", "shared/sub", "shared/sub/f"]
    assert len(await find(world, read("eq", "oc:owner-id", "alice"), who=BOB)) == 5
    for path, seen in (("private/f", []), ("shared", ["shared"]), ("single", []), ("shared/sub/f", ["again/f"])):
        key = (await world.files.stat(ALICE, path)).file_id
        assert await find(world, read("eq", "oc:fileid", key), who=BOB) == seen
    found = await Searching(world.backend).search(BOB, "shared/sub", EVERYTHING)
    assert {node.permissions for node in found.nodes} == {"SG"}
    assert [node.share_types for node in found.nodes] == [(0,), ()]


async def test_sealed_names_are_what_an_encrypted_folder_has(world: World) -> None:
    root = await world.encrypted_root("Secret")
    token = await world.lock(root, 2)
    await world.put("Secret/5ea1ed.png", b"sealed", token=token)
    assert await find(world, read("like", "displayname", "%5ea1ed%")) == []
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await find(world, read("like", "displayname", "%5ea1ed%")) == ["Secret/5ea1ed.png"]
    assert await find(world, read("like", "getcontenttype", "image/%")) == []


async def test_a_folder_and_a_tree_of_many_pages_are_found_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_PAGE_ROWS", 5)
    monkeypatch.setattr(searching, "_PAGE_ORDER", " ORDER BY parent_id, name LIMIT 5")
    monkeypatch.setattr(searching, "_OF_FOLDER", searching._OF_FOLDER.replace("LIMIT 500", "LIMIT 5"))
    monkeypatch.setattr(searching, "IDS_MAX", 16)
    monkeypatch.setattr(searching, "_INLINE_NODES", 2)
    paths = [f"{name}/" for name in "abcef"]
    paths += [f"{name}/{number:02}" for name in "abe" for number in range(13)] + [f"f/{n}" for n in range(5)]
    await plant(world, *paths)
    found = await find(world, Negation(read("eq", "displayname", "x")))
    assert found == ["", *(path.strip("/") for path in paths)]
    assert await find(world, None, limit=50) == found[:50]


async def test_an_answer_that_holds_less_than_there_is_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await plant(world, "a/", *(f"a/{number}" for number in range(6)), "b")
    for number in range(4):
        await star(world, f"a/{number}")
    looking = Searching(world.backend)

    async def search(**changes: Any) -> Found:
        return await looking.search(ALICE, "", replace(EVERYTHING, **changes))

    monkeypatch.setattr(searching, "RESULTS_MAX", 3)
    for changes in ({}, {"limit": 5}, {"order": (Order("{DAV:}displayname", descending=False),)}):
        cut = await search(**changes)
        assert (len(cut.nodes), cut.complete) == (3, False)
    wished = await search(limit=3)
    assert (len(wished.nodes), wished.complete) == (3, True)
    monkeypatch.setattr(searching, "_FAVOURITES", searching._FAVOURITES.replace("10001", "4"))
    marks = await looking.favourites(ALICE, "")
    assert (len(marks.nodes), marks.complete) == (3, False)
    assert not (await search(where=read("eq", "oc:favorite", 1))).complete
    monkeypatch.setattr(searching, "RESULTS_MAX", 100)
    monkeypatch.setattr(searching, "NODES_MAX", 2)
    walked = await search(where=read("eq", "displayname", "5"))
    assert (walked.nodes, walked.complete) == ([], False)


async def test_a_search_costs_nothing_for_what_other_people_have(world: World) -> None:
    await plant(world, "a/", "a/f", "g")
    await star(world, "g")
    statements = Statements(world)
    looking = Searching(world.backend)
    costs = []
    for turn in ("h", "i"):
        statements.rows = 0
        for where in (None, read("eq", "oc:favorite", 1), read("like", "displayname", "g%")):
            await looking.search(ALICE, "", replace(EVERYTHING, where=where))
        await looking.favourites(ALICE, "")
        costs.append(statements.rows)
        await plant(world, f"{turn}/", *(f"{turn}/{number}" for number in range(20)), who=BOB)
        for number in range(20):
            await star(world, f"{turn}/{number}", who=BOB)
    assert costs[0] == costs[1]


async def test_favourites_are_found_by_an_index(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "rows.sqlite", migrations=MIGRATIONS)

    async def explain(rows: Rows) -> list[str]:
        sql = searching._FAVOURITES.replace("$1", "'alice'").replace("$2", "'x'")
        return [str(row[3]) for row in await rows.all("EXPLAIN QUERY PLAN " + sql)]

    plan = await database.read(explain)
    await database.close()
    assert any("USING INDEX node_properties_user" in step for step in plan)
    assert not any(step.startswith("SCAN") for step in plan)


class Statements:
    """Counts the rows that reads of a world return."""

    def __init__(self, world: World) -> None:
        self.rows = 0
        real = world.database.read

        async def counted(work: Callable[[Rows], Awaitable[T]]) -> T:
            return await real(lambda rows: work(_Counted(rows, self)))

        world.database.read = counted  # type: ignore[method-assign]


class _Counted:
    def __init__(self, rows: Rows, statements: Statements) -> None:
        self._rows = rows
        self._statements = statements

    async def one(self, sql: str, *values: SqlValue) -> tuple[SqlValue, ...] | None:
        self._statements.rows += 1
        return await self._rows.one(sql, *values)

    async def all(self, sql: str, *values: SqlValue) -> list[tuple[SqlValue, ...]]:
        found = await self._rows.all(sql, *values)
        self._statements.rows += 1 + len(found)
        return found

    async def run(self, sql: str, *values: SqlValue) -> int:
        return await self._rows.run(sql, *values)

    async def many(self, sql: str, rows: Any) -> None:
        await self._rows.many(sql, rows)


async def test_a_folder_that_waits_under_two_names_is_read_for_each(world: World) -> None:
    await plant(world, "a/", "a/f")
    folder = await world.files.stat(ALICE, "a")
    waiting = deque(
        [searching._Folder(folder, mounted=True), searching._Folder(folder._replace(path="b"), mounted=True)]
    )
    seen = []
    while waiting:
        page, unread = await Searching(world.backend)._page(ALICE, waiting)
        seen += [child.info.path for child in page]
        assert unread == []
    assert seen == ["a/f", "b/f"]
