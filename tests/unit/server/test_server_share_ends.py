"""What the end of a share does to a write session that was held through it."""

from collections.abc import Awaitable, Callable

import pytest
from tests.unit.server.world import ALICE, BOB, World

from candado.adapters.passwords import Argon2Passwords
from candado.errors import BadRequestError, CandadoError, NotFoundError
from candado.server.accounts import Accounts
from candado.server.groups import Groups
from candado.server.model import NodeInfo
from candado.server.shares import ShareChange, ShareRequest, Shares
from candado.server.sweep import sweep
from candado.types import LockToken


class _Scene:
    """Alice's folder, shared with bob, who is writing into it."""

    def __init__(self, world: World, root: NodeInfo, token: LockToken) -> None:
        self.world = world
        self.root = root
        self.token = token
        self.shares = Shares(world.backend, world.files, Argon2Passwords(time_cost=1, memory_kib=64))

    async def share_id(self, node: NodeInfo) -> int:
        return next(s.share_id for s in await self.shares.with_me(BOB) if s.node_id == node.file_id)

    async def bob_leaves(self) -> None:
        await self.world.files.delete(BOB, "Secret", token=None)

    async def bob_leaves_with_his_token(self) -> None:
        await self.world.files.delete(BOB, "Secret", token=self.token)

    async def bob_gives_it_back(self) -> None:
        await self.shares.delete(BOB, await self.share_id(self.root))

    async def alice_revokes(self) -> None:
        await self.shares.delete(ALICE, await self.share_id(self.root))

    async def alice_lets_him_read_only(self) -> None:
        await self.shares.update(ALICE, await self.share_id(self.root), ShareChange(permissions=1))


async def _scene(world: World, *, above: bool = False) -> _Scene:
    if above:
        await world.files.make_folder(ALICE, "Secret", token=None)
    root = await world.encrypted_root("Secret/root" if above else "Secret")
    shared = await world.files.stat(ALICE, "Secret")
    await world.put("other", b"plain")
    await world.share(shared, BOB.user_id)
    token = await world.lock(root, 2, BOB)
    await world.put(f"{root.path}/from-bob", b"staged", token=token, who=BOB)
    await world.metadata.update(BOB, root.file_id, text='{"bob":1}', signature="c2ln", token=token)
    scene = _Scene(world, root, token)
    if above:
        scene.root = shared
    return scene


ENDS: list[Callable[[_Scene], Awaitable[None]]] = [
    _Scene.bob_leaves,
    _Scene.bob_leaves_with_his_token,
    _Scene.bob_gives_it_back,
    _Scene.alice_revokes,
    _Scene.alice_lets_him_read_only,
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("above", [False, True], ids=["the root is shared", "a folder above it is shared"])
async def test_a_session_that_its_holder_can_no_longer_reach_is_undone_exactly(
    world: World, end: Callable[[_Scene], Awaitable[None]], *, above: bool
) -> None:
    scene = await _scene(world, above=above)
    path = "Secret/root" if above else "Secret"
    before = await world.tree()
    node = await world.files.stat(ALICE, path)
    await end(scene)
    assert await world.tree() == before
    assert (await world.metadata.get(ALICE, node.file_id)).text == "{}"
    for table in ("locks", "lock_counters", "staged", "staged_metadata"):
        assert await world.rows(f"SELECT * FROM {table}") == [], table
    assert len(await world.rows("SELECT content FROM garbage")) == 1
    token = await world.lock(node, 2)
    await world.put(f"{path}/from-alice", b"mine", token=token)
    await world.sessions.unlock(ALICE, node.file_id, token=token)
    assert await world.get(f"{path}/from-alice") == b"mine"
    with pytest.raises(CandadoError):
        await world.sessions.unlock(BOB, node.file_id, token=scene.token)
    assert [finding for finding in await world.findings() if finding.severity == "error"] == []


async def test_sessions_that_can_be_reached_in_another_way_or_are_somebody_elses_go_on(world: World) -> None:
    scene = await _scene(world)
    mine = await world.encrypted_root("Mine", BOB)
    own = await world.lock(mine, 2, BOB)
    await world.put("Mine/kept", b"kept", token=own, who=BOB)
    alices = await world.encrypted_root("Alices")
    held = await world.lock(alices, 2)
    await world.put("Alices/kept", b"kept", token=held)
    await scene.alice_revokes()
    await world.sessions.unlock(BOB, mine.file_id, token=own)
    await world.sessions.unlock(ALICE, alices.file_id, token=held)
    assert await world.get("Mine/kept", BOB) == await world.get("Alices/kept") == b"kept"


async def test_of_two_shares_that_reach_a_session_the_last_one_undoes_it(world: World) -> None:
    await world.files.make_folder(ALICE, "Up", token=None)
    root = await world.encrypted_root("Up/Secret")
    await world.share(await world.files.stat(ALICE, "Up"), BOB.user_id)
    await world.share(root, BOB.user_id)
    token = await world.lock(root, 2, BOB)
    await world.put("Secret/from-bob", b"1", token=token, who=BOB)
    await world.files.delete(BOB, "Secret", token=None)
    await world.put("Up/Secret/more", b"2", token=token, who=BOB)
    await world.files.delete(BOB, "Up", token=None)
    with pytest.raises(NotFoundError):
        await world.sessions.unlock(BOB, root.file_id, token=token)
    assert await world.tree() == {"Up": (False, 0), "Up/Secret": (True, 0)}


async def _leaves(groups: Groups, shares: Shares, number: int) -> None:
    del shares, number
    await groups.leave("crew", BOB.user_id)


async def _group_goes(groups: Groups, shares: Shares, number: int) -> None:
    del shares, number
    await groups.delete("crew")


async def _gets_less(groups: Groups, shares: Shares, number: int) -> None:
    del groups
    await shares.update(ALICE, number, ShareChange(permissions=1))


async def _is_revoked(groups: Groups, shares: Shares, number: int) -> None:
    del groups
    await shares.delete(ALICE, number)


async def _is_given_back(groups: Groups, shares: Shares, number: int) -> None:
    del groups
    await shares.delete(BOB, number)


@pytest.mark.parametrize("end", [_leaves, _group_goes, _gets_less, _is_revoked, _is_given_back])
async def test_a_session_that_was_reached_through_a_group_is_undone_with_it(
    world: World, end: Callable[[Groups, Shares, int], Awaitable[None]]
) -> None:
    groups = Groups(world.backend)
    shares = Shares(world.backend, world.files, Argon2Passwords(time_cost=1, memory_kib=64))
    await groups.add("crew")
    await groups.join("crew", BOB.user_id)
    await world.files.make_folder(ALICE, "Team", token=None)
    root = await world.encrypted_root("Team/Secret")
    number = (await shares.create(ALICE, ShareRequest("Team", 1, 31, "crew"))).share_id
    before = await world.tree()
    token = await world.lock(root, 2, BOB)
    await world.put("Team/Secret/from-bob", b"staged", token=token, who=BOB)
    await end(groups, shares, number)
    assert await world.tree() == before
    assert await world.rows("SELECT * FROM locks") == []
    held = await world.lock(root, 2)
    await world.sessions.unlock(ALICE, root.file_id, token=held)


# --- ends by time --------------------------------------------------------------------------------------------


async def _timed(world: World, kind: int, who: str) -> tuple[Shares, int]:
    """Alice's folder, shared until the day after tomorrow in one of the ways, and the share's id."""
    await world.files.ensure_home(BOB.user_id)
    await world.files.make_folder(ALICE, "Given", token=None)
    shares = Shares(world.backend, world.files, Argon2Passwords(time_cost=1, memory_kib=64))
    if kind == 1:
        groups = Groups(world.backend)
        await groups.add("staff")
        await groups.join("staff", BOB.user_id)
    request = ShareRequest("Given", kind, 31, who, expires_at=world.clock.time + 1000)
    return shares, (await shares.create(ALICE, request)).share_id


@pytest.mark.parametrize(("kind", "who"), [(0, "bob"), (1, "staff")])
async def test_a_share_that_is_over_gives_nothing_and_is_listed_nowhere(world: World, kind: int, who: str) -> None:
    shares, share_id = await _timed(world, kind, who)
    assert (await world.files.stat(BOB, "Given")).mount_root
    (listed,) = await shares.with_me(BOB)
    assert listed.expires_at == world.clock.time + 1000
    world.clock.time += 1000
    with pytest.raises(NotFoundError):
        await world.files.stat(BOB, "Given")
    assert (await world.files.list_folder(BOB, ""))[1] == []
    assert await shares.with_me(BOB) == await shares.by_me(ALICE) == await shares.of_path(ALICE, "Given") == []
    for who_asks in (ALICE, BOB):
        with pytest.raises(NotFoundError):
            await shares.get(who_asks, share_id)
    assert (await sweep(world.backend))["shares"] == 1
    assert await world.rows("SELECT id FROM shares") == []
    assert (await sweep(world.backend))["shares"] == 0


@pytest.mark.parametrize(("kind", "who"), [(0, "bob"), (1, "staff")])
async def test_the_end_of_a_share_can_be_moved_and_taken_away(world: World, kind: int, who: str) -> None:
    shares, share_id = await _timed(world, kind, who)
    await shares.update(ALICE, share_id, ShareChange(expires=True, expires_at=world.clock.time + 5000))
    world.clock.time += 1000
    assert (await world.files.stat(BOB, "Given")).mount_root
    await shares.update(ALICE, share_id, ShareChange(permissions=1))
    assert (await shares.get(ALICE, share_id)).expires_at == world.clock.time + 4000
    await shares.update(ALICE, share_id, ShareChange(expires=True))
    world.clock.time += 10_000
    assert (await world.files.stat(BOB, "Given")).permission_bits == 1
    with pytest.raises(BadRequestError):
        await shares.update(ALICE, share_id, ShareChange(expires=True, expires_at=world.clock.time))


async def test_who_joins_a_group_later_gets_its_share_with_its_end(world: World) -> None:
    shares, _ = await _timed(world, 1, "staff")
    groups = Groups(world.backend)
    await groups.leave("staff", BOB.user_id)
    await groups.join("staff", BOB.user_id)
    assert [share.expires_at for share in await shares.with_me(BOB)] == [world.clock.time + 1000]
    world.clock.time += 1000
    with pytest.raises(NotFoundError):
        await world.files.stat(BOB, "Given")


async def test_what_was_being_written_through_a_share_is_undone_when_its_time_comes(world: World) -> None:
    root = await world.encrypted_root("Secret")
    await world.files.ensure_home(BOB.user_id)
    shares = Shares(world.backend, world.files, Argon2Passwords(time_cost=1, memory_kib=64))
    await shares.create(ALICE, ShareRequest("Secret", 0, 31, "bob", expires_at=world.clock.time + 100))
    token = await world.lock(root, 2, BOB)
    await world.put("Secret/from-bob", b"staged", token=token, who=BOB)
    world.clock.time += 100
    with pytest.raises(CandadoError):
        await world.put("Secret/more", b"staged", token=token, who=BOB)
    assert (await sweep(world.backend))["shares"] == 1
    await world.lock(root, 2)
    assert await world.tree("Secret") == {}


async def test_a_user_who_goes_leaves_no_lock(world: World) -> None:
    root = await world.encrypted_root("Secret")
    await world.share(root, BOB.user_id)
    await world.lock(root, 2, BOB)
    await Accounts(world.backend, Argon2Passwords(time_cost=1, memory_kib=64)).delete("bob")
    await world.lock(root, 2)
