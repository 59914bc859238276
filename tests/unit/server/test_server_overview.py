"""What administrators see of the whole server, and ending a write session of somebody else."""

import asyncio

import pytest
from tests.unit.server.test_server_revocations import KEYS, Signer
from tests.unit.server.world import ALICE, BOB, World
from tests.vectors.keys import private_key

from candado.crypto.x509 import make_csr
from candado.errors import NotFoundError
from candado.ports.server import Rows
from candado.server.devices import Devices
from candado.server.model import Principal
from candado.server.overview import HeldLock, Overview, Overviews
from candado.server.pki import Pki
from candado.types import UserId


@pytest.fixture
def overviews(world: World) -> Overviews:
    return Overviews(world.backend)


async def test_the_numbers_of_a_server(world: World, overviews: Overviews) -> None:
    assert await overviews.numbers() == Overview(2, 0, 0, 0, 0, 0, 0)
    pki = Pki(world.backend, Signer(private_key("authority")))
    for who in (ALICE, BOB):
        await pki.register(who, make_csr(KEYS[who.user_id], who.user_id))

    async def rest(rows: Rows) -> None:
        await rows.run("UPDATE user_keys SET private_key = 'x' WHERE user_id = 'alice'")
        await rows.run("UPDATE users SET enabled = 0 WHERE id = 'bob'")
        await rows.run("INSERT INTO user_keys (user_id, private_key, certificate) VALUES ('s:link', 'x', 'y')")
        await rows.run("INSERT INTO key_requests VALUES ('f', 'bob', 0, 'open'), ('g', 'bob', 0, 'rejected')")

    await world.database.write(rest)
    await Devices(world.backend).make("alice", "phone")
    await world.lock(await world.encrypted_root(), 2)
    numbers = await overviews.numbers()
    assert numbers == Overview(2, 1, 1, 1, 1, 1, 1)
    assert numbers.without_keys == 1


async def test_a_released_session_is_undone_as_if_it_had_never_begun(world: World, overviews: Overviews) -> None:
    folder = await world.encrypted_root()
    begun = world.clock.now()
    token = await world.lock(folder, 2)
    await world.put("Secret/body", b"12345", token=token)
    before = await world.tree()
    (held,) = await overviews.locks()
    assert held == HeldLock(held.session, folder.file_id, "Secret", "alice", "alice", begun, begun, 5)
    assert await overviews.release(held.session) == held
    assert (await overviews.locks(), await world.tree()) == ([], before)
    with pytest.raises(NotFoundError):
        await world.sessions.unlock(ALICE, folder.file_id, token=token)
    # The next one is another session, which an old page does not end.
    await world.lock(folder, 2)
    with pytest.raises(NotFoundError, match="this lock is over"):
        await overviews.release(held.session)
    assert len(await overviews.locks()) == 1
    assert await world.findings() == []


async def test_of_two_administrators_one_releases(world: World, overviews: Overviews) -> None:
    await world.lock(await world.encrypted_root(), 2)
    (held,) = await overviews.locks()
    done = await asyncio.gather(*[overviews.release(held.session) for _ in range(2)], return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["HeldLock", "NotFoundError"]


async def test_the_secret_of_a_link_is_not_in_the_list(world: World, overviews: Overviews) -> None:
    folder = await world.encrypted_root()
    await world.lock(folder, 2)
    await world.database.write(lambda rows: rows.run("UPDATE locks SET user_id = 's:SECRET'"))
    (held,) = await overviews.locks()
    assert (held.holder, held.owner) == ("", "alice")
    assert Principal(UserId(""), link=1, link_token="SECRET").member_id == "s:SECRET"
