"""Links and groups without HTTP: ends on the clock, administrators who race, keys that workers share."""

import asyncio
from typing import cast

import pytest
from tests.unit.server.world import ALICE, BOB, HandClock, World

from candado.adapters.passwords import Argon2Passwords
from candado.errors import AuthRequiredError, CandadoError, ForbiddenError, NotFoundError
from candado.server.accounts import Accounts
from candado.server.groups import Groups
from candado.server.links import COOKIE_SECONDS, Links
from candado.server.model import Principal
from candado.server.ratelimit import RateLimiter
from candado.server.shares import ShareChange, ShareRequest, Shares
from candado.types import SecretText, UserId

PASSWORD = "four random words"


def quick() -> Argon2Passwords:
    return Argon2Passwords(time_cost=1, memory_kib=64)


class Stage:
    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = cast("HandClock", world.backend.clock)
        self.shares = Shares(world.backend, world.files, quick())
        self.links = self.worker()

    def worker(self) -> Links:
        return Links(self.world.backend, quick(), RateLimiter(self.world.backend))


@pytest.fixture
async def stage(world: World) -> Stage:
    await world.files.make_folder(ALICE, "folder", token=None)
    return Stage(world)


async def link(stage: Stage, **more: object) -> str:
    request = ShareRequest("folder", 3, 1, **more)  # type: ignore[arg-type]
    made = await stage.shares.create(ALICE, request)
    assert made.token is not None
    return made.token


async def test_a_link_ends_at_its_end(stage: Stage) -> None:
    token = await link(stage, expires_at=stage.clock.time + 10)
    visitor = await stage.links.enter(await stage.links.find(token), None, "")
    assert (await stage.world.files.stat(visitor, "")).is_folder
    stage.clock.time += 10
    with pytest.raises(NotFoundError):
        await stage.links.find(token)
    with pytest.raises(NotFoundError):
        await stage.world.files.stat(visitor, "")


async def test_a_cookie_ends_and_is_good_for_every_worker(stage: Stage) -> None:
    share = await stage.links.find(await link(stage, password=PASSWORD))
    cookie = await stage.links.cookie(share)
    assert (await stage.worker().enter_with_cookie(share, cookie)).link == share.share_id
    stage.clock.time += COOKIE_SECONDS
    with pytest.raises(AuthRequiredError):
        await stage.links.enter_with_cookie(share, cookie)


async def test_a_visitor_finds_nothing_of_a_user(stage: Stage) -> None:
    visitor = await stage.links.enter(await stage.links.find(await link(stage)), None, "")
    home = await stage.world.files.ensure_home(ALICE.user_id)
    with pytest.raises(NotFoundError):
        await stage.world.files.stat_id(visitor, home)
    with pytest.raises(NotFoundError):
        await stage.world.files.stat(visitor, "folder")
    with pytest.raises(NotFoundError):
        await stage.shares.get(visitor, 1)
    assert await stage.shares.by_me(visitor) == []
    assert await stage.shares.with_me(visitor) == []
    inside = await stage.world.files.stat(visitor, "")
    assert (inside.path, inside.owner_id) == ("", ALICE.user_id)
    by_id = await stage.world.files.stat_id(visitor, inside.file_id)
    assert (by_id.path, by_id.permission_bits) == ("", 1)


async def test_two_administrators_cannot_remove_each_other_at_once(world: World) -> None:
    accounts = Accounts(world.backend, quick())
    for name in ("first", "second"):
        await accounts.add(name, SecretText(PASSWORD), is_admin=True)
    results = await asyncio.gather(
        accounts.set_enabled("first", enabled=False, keep_admin=True),
        accounts.set_admin("second", is_admin=False),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["ForbiddenError", "NoneType"]
    left = [account for account in await accounts.users() if account.is_admin and account.enabled]
    assert len(left) == 1
    with pytest.raises(ForbiddenError):
        await accounts.set_enabled(left[0].user_id, enabled=False, keep_admin=True)
    await accounts.set_enabled(left[0].user_id, enabled=False)


@pytest.mark.parametrize("quota", [-1, 2**62])
async def test_a_quota_is_a_size(world: World, quota: int) -> None:
    with pytest.raises(CandadoError):
        await Accounts(world.backend, quick()).set_quota(UserId("alice"), quota)


async def test_shares_with_groups_stay_sound_whatever_happens_to_the_groups(world: World) -> None:
    accounts, groups = Accounts(world.backend, quick()), Groups(world.backend)
    shares = Shares(world.backend, world.files, quick())

    async def sound() -> bool:
        return [finding.code for finding in await world.findings() if finding.severity == "error"] == []

    for group in ("crew", "staff"):
        await groups.add(group)
        await groups.join(group, BOB.user_id)
        await groups.join(group, ALICE.user_id)
    await world.files.make_folder(ALICE, "folder", token=None)
    numbers = [
        (await shares.create(ALICE, ShareRequest("folder", 1, 31, group))).share_id for group in ("crew", "staff")
    ]
    assert await sound()
    await accounts.add("carol", SecretText(PASSWORD), groups=("crew", "staff"))
    carol = Principal(UserId("carol"))
    assert (await world.files.stat(carol, "folder")).permission_bits == 31
    await shares.update(ALICE, numbers[0], ShareChange(permissions=1))
    await shares.delete(carol, numbers[0])
    assert await sound()
    with pytest.raises(NotFoundError):
        await world.files.stat(carol, "folder")
    await groups.leave("crew", "carol")
    await groups.join("crew", "carol")
    assert (await world.files.stat(carol, "folder")).permission_bits == 1
    await groups.delete("staff")
    assert await sound()
    await accounts.delete("carol")
    await groups.leave("crew", BOB.user_id)
    assert await sound()
    await shares.delete(ALICE, numbers[0])
    assert await world.rows("SELECT * FROM shares") == []
