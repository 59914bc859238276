"""Links by which users set their password: once, for a while, and for the user they were made for."""

import asyncio

import pytest
from tests.unit.server.world import ALICE, World

from candado.errors import AlreadyExistsError, BadRequestError, NotFoundError
from candado.server.accounts import Accounts
from candado.server.invitations import INVITATION_SECONDS, RESET_SECONDS, Invitation, Invitations
from candado.types import SecretText, UserId

GOOD = SecretText("four random words suffice")


class Plain:
    """A hasher that hides nothing, so that tests see what was stored."""

    async def hash(self, password: SecretText) -> str:
        await asyncio.sleep(0)
        return f"hash of {password.reveal()}"

    async def verify(self, hashed: str, password: SecretText) -> bool:
        return hashed == f"hash of {password.reveal()}"

    async def verify_nobody(self, password: SecretText) -> None:
        del password


class Desk:
    def __init__(self, world: World) -> None:
        self.world = world
        self.accounts = Accounts(world.backend, Plain())
        self.invitations = Invitations(world.backend, self.accounts, Plain())

    async def stored(self, user: str) -> tuple[object, ...]:
        found = await self.world.rows(f"SELECT password_hash, version FROM users WHERE id = '{user}'")
        return found[0]


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


def token_of(invitation: Invitation) -> SecretText:
    assert invitation.token is not None
    return invitation.token


async def test_a_new_user_sets_the_password_with_the_link(desk: Desk) -> None:
    account, made = await desk.invitations.invite("dora", display_name="Dora", email="d@example.org", quota_bytes=5)
    assert (account.user_id, account.display_name, account.email, account.quota_bytes) == (
        "dora", "Dora", "d@example.org", 5,
    )  # fmt: skip
    token = token_of(made)
    assert len(token.reveal()) == 64
    assert made.expires_at == desk.world.clock.now() + INVITATION_SECONDS
    assert await desk.invitations.find(token) == Invitation(UserId("dora"), made.expires_at)
    assert await desk.invitations.of("dora") == Invitation(UserId("dora"), made.expires_at)
    assert await desk.invitations.accept(token, GOOD) == "dora"
    assert await desk.stored("dora") == ("hash of four random words suffice", 2)
    assert await desk.invitations.of("dora") is None


async def test_the_database_has_the_hash_of_a_link_only(desk: Desk) -> None:
    token = token_of(await desk.invitations.make("alice")).reveal()
    for table in ("invitations", "users"):
        assert token not in repr(await desk.world.rows(f"SELECT * FROM {table}"))


async def test_a_link_works_once_even_for_two_at_the_same_time(desk: Desk) -> None:
    token = token_of(await desk.invitations.make("alice"))
    words = [SecretText("first password of two"), SecretText("second password of two")]
    done = await asyncio.gather(*[desk.invitations.accept(token, word) for word in words], return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["NotFoundError", "str"]
    assert (await desk.stored("alice"))[1] == 2
    with pytest.raises(NotFoundError):
        await desk.invitations.accept(token, GOOD)


@pytest.mark.parametrize("bad", ["", "short", "x" * 1025])
async def test_a_bad_password_does_not_use_the_link_up(desk: Desk, bad: str) -> None:
    token = token_of(await desk.invitations.make("alice"))
    before = await desk.stored("alice")
    with pytest.raises(BadRequestError):
        await desk.invitations.accept(token, SecretText(bad))
    assert await desk.stored("alice") == before
    assert await desk.invitations.accept(token, GOOD) == "alice"


async def test_a_link_ends_with_its_time_a_newer_link_a_new_password_or_the_user(desk: Desk) -> None:
    async def is_void(token: SecretText) -> bool:
        try:
            await desk.invitations.find(token)
        except NotFoundError:
            with pytest.raises(NotFoundError, match="was used, is over or never was"):
                await desk.invitations.accept(token, GOOD)
            return True
        return False

    first, second = [token_of(await desk.invitations.make("alice")) for _ in range(2)]
    assert [await is_void(token) for token in (first, second)] == [True, False]
    await desk.accounts.set_enabled("alice", enabled=False)
    assert await is_void(second)
    await desk.accounts.set_enabled("alice", enabled=True)
    assert not await is_void(second)
    await desk.accounts.set_password("alice", GOOD)
    assert await is_void(second)
    third = token_of(await desk.invitations.make("alice"))
    desk.world.clock.time += RESET_SECONDS - 1
    assert not await is_void(third)
    desk.world.clock.time += 1
    assert await is_void(third)
    assert await desk.invitations.of("alice") is None
    fourth = token_of(await desk.invitations.make("bob"))
    await desk.world.files.ensure_home(UserId("bob"))
    await desk.accounts.delete("bob")
    assert await is_void(fourth)
    for wrong in ("", "x" * 64, "\udcff", fourth.reveal().lower()):
        assert await is_void(SecretText(wrong))


async def test_nobody_is_invited_twice_and_a_stranger_gets_no_link(desk: Desk) -> None:
    before = await desk.stored(ALICE.user_id)
    with pytest.raises(AlreadyExistsError):
        await desk.invitations.invite("Alice")
    with pytest.raises(NotFoundError):
        await desk.invitations.invite("erin", groups=("nothing",))
    with pytest.raises(NotFoundError):
        await desk.invitations.make("nobody")
    with pytest.raises(NotFoundError):
        await desk.accounts.set_password("nobody", GOOD)
    assert (await desk.stored("alice"), await desk.world.rows("SELECT * FROM invitations")) == (before, [])
