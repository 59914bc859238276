"""Tags of administrators: on one thing, for everything below it, and what access rules make of them."""

import pytest
from tests.unit.server.test_policy import Ruled, asking
from tests.unit.server.world import ALICE, World

from candado.errors import BadRequestError, LimitExceededError, NotFoundError, PolicyDeniedError
from candado.ports.server import Rows
from candado.server.tags import TAGS_MAX, Tags, tags_of
from candado.types import UserId


@pytest.fixture
async def tags(world: World) -> Tags:
    await world.files.make_folder(ALICE, "a", token=None)
    await world.files.make_folder(ALICE, "a/b", token=None)
    return Tags(world.backend)


async def test_a_tag_is_put_on_listed_and_taken_off(tags: Tags) -> None:
    assert await tags.change(ALICE.user_id, "a", "Secret", put=True) == ["Secret"]
    assert await tags.change(ALICE.user_id, "/a/b/", "Draft", put=True) == ["Draft"]
    assert await tags.change(ALICE.user_id, "a/b", "Draft", put=True) == ["Draft"]
    assert await tags.on(ALICE.user_id, "a/b") == (["Draft"], ["Secret"])
    assert await tags.on(ALICE.user_id, "a") == (["Secret"], [])
    assert await tags.change(ALICE.user_id, "a", "Secret", put=False) == []
    assert await tags.change(ALICE.user_id, "a", "Secret", put=False) == []
    assert await tags.on(ALICE.user_id, "a/b") == (["Draft"], [])


async def test_each_change_is_an_event_and_what_changes_nothing_is_none(world: World, tags: Tags) -> None:
    for put in (True, True, False, False):
        await tags.change(ALICE.user_id, "a", "Secret", put=put)

    async def recorded(rows: Rows) -> list[str]:
        return [str(kind) for (kind,) in await rows.all("SELECT kind FROM audit_pending WHERE kind = 'policy.tagged'")]

    assert await world.database.read(recorded) == ["policy.tagged"] * 2


@pytest.mark.parametrize("tag", ["", "x" * 65, " x", "x\ny"])
async def test_a_tag_is_a_short_text(tags: Tags, tag: str) -> None:
    with pytest.raises(BadRequestError):
        await tags.change(ALICE.user_id, "a", tag, put=True)


async def test_what_is_not_there_has_no_tags(tags: Tags) -> None:
    with pytest.raises(NotFoundError):
        await tags.change(ALICE.user_id, "c", "x", put=True)
    with pytest.raises(NotFoundError):
        await tags.on(UserId("carol"), "a")


async def test_there_are_not_endless_tags(tags: Tags) -> None:
    for number in range(TAGS_MAX):
        await tags.change(ALICE.user_id, "a", f"t{number}", put=True)
    with pytest.raises(LimitExceededError):
        await tags.change(ALICE.user_id, "a", "one more", put=True)
    assert len((await tags.on(ALICE.user_id, "a"))[0]) == TAGS_MAX


async def test_a_tag_goes_with_what_it_is_on_and_not_with_a_copy(world: World, tags: Tags) -> None:
    await tags.change(ALICE.user_id, "a/b", "Secret", put=True)
    await world.files.copy(ALICE, "a/b", "copy", overwrite=False, token=None)
    await world.files.move(ALICE, "a/b", "moved", overwrite=False, token=None)
    assert await tags.on(ALICE.user_id, "moved") == (["Secret"], [])
    assert await tags.on(ALICE.user_id, "copy") == ([], [])
    await world.files.delete(ALICE, "moved", token=None)

    async def left(rows: Rows) -> object:
        row = await rows.one("SELECT COUNT(*) FROM node_tags")
        assert row is not None
        return row[0]

    assert await world.database.read(left) == 0


async def test_tags_of_many_nodes_are_found_and_of_none_there_are_none(world: World, tags: Tags) -> None:
    node = (await world.files.stat(ALICE, "a")).file_id
    await tags.change(ALICE.user_id, "a", "Secret", put=True)
    ids = [*range(10_000, 10_300), int(node)]
    assert await world.database.read(lambda rows: tags_of(rows, ids)) == {"Secret"}
    assert await world.database.read(lambda rows: tags_of(rows, [])) == frozenset()


async def test_a_rule_on_a_tag_holds_for_everything_below(world: World) -> None:
    ruled = Ruled(world)
    await ruled.files.make_folder(asking(), "a", token=None)
    await ruled.files.make_folder(asking(), "a/b", token=None)
    await ruled.put("a/b/old.txt")
    ruled.rule("create, update, delete when tag = secret")
    await ruled.put("a/b/free.txt")
    await Tags(world.backend).change(ALICE.user_id, "a", "Secret", put=True)
    for path in ("a/new.txt", "a/b/new.txt", "a/b/old.txt"):
        with pytest.raises(PolicyDeniedError):
            await ruled.put(path)
    with pytest.raises(PolicyDeniedError):
        await ruled.files.delete(asking(), "a/b/old.txt", token=None)
    with pytest.raises(PolicyDeniedError):
        await ruled.files.delete(asking(), "a", token=None)
    await ruled.put("elsewhere.txt")
