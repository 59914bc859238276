"""The power is cut at every commit of the local state and around every request; the next start makes it whole.

After the restart everybody sees the old state or the new one, no lock is left, and the same command works again.
"""

import contextlib
from collections.abc import Awaitable, Callable

import pytest
from tests.sim import World, rsa_key, stock
from tests.unit.client.devices import Device, Power, PowerCut

from candado.client import edit, enrol, sharing
from candado.client.account import Account
from candado.client.lock import left_locks, recover_sessions
from candado.client.reader import FolderReader
from candado.client.session import UploadItem, WriteSession
from candado.client.transfer import BytesSource
from candado.crypto.rsa import PrivateKey
from candado.errors import AlreadyExistsError, CandadoError, NotFoundError
from candado.types import UserId

BOB = UserId("bob")
OLD = {"keep": b"k", "a": None, "a/x": b"one", "gone": b"g"}
NEW = {"keep": b"changed", "a": None, "a/y": b"one", "new": None, "new/z": b"z", "added": b"+"}


async def _old_world(kind: str) -> tuple[World, Device]:
    world = World()
    if kind == "stock":
        world.server.capabilities = stock()
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    await device.put("/Secret", {"keep": b"k", "a/x": b"one", "gone": b"g"})
    return world, device


async def _session(account: Account) -> None:
    reader = FolderReader(account)
    async with WriteSession(reader, "/Secret", transfers=1) as session:
        items = [
            UploadItem("/Secret/keep", BytesSource(b"changed", 0), replace=True),
            UploadItem("/Secret/added", BytesSource(b"+", 0)),
        ]
        await session.put_files(items)
        await session.move("/Secret/a/x", "/Secret/a/y")
        await session.remove("/Secret/gone")
        await session.add_folder("/Secret/new")
        await session.put_file("/Secret/new/z", BytesSource(b"z", 0))


async def _moments(act: Callable[[Account], Awaitable[object]], device: Device) -> list[str]:
    power = Power()
    await act(device.start(power))
    return list(power.log)


async def _cut(act: Callable[[Account], Awaitable[object]], device: Device, at: int) -> str:
    power = Power(cut_at=at)
    with pytest.raises(PowerCut):
        await act(device.start(power))
    device.start()
    return power.log[at - 1]


async def _settle(world: World, device: Device, where: str) -> None:
    """What the next start does; a lock whose token was lost with the power is freed by the server's own time limit."""
    await recover_sessions(device.account)
    assert left_locks(device.account) == [], where
    if where == "after lock" or where.startswith("before commit ['session']"):
        world.clock.advance(100_000)
        world.server.expire_locks()
    assert world.server.locks == {}, where


async def test_a_session_is_all_or_nothing_at_every_moment() -> None:
    world, device = await _old_world("ours")
    moments = await _moments(_session, device)
    assert await device.tree() == NEW
    assert len(moments) == 38
    seen: set[str] = set()
    for at in range(1, len(moments) + 1):
        world, device = await _old_world("ours")
        other = Device(world)
        assert await other.tree() == OLD
        where = await _cut(_session, device, at)
        await _settle(world, device, where)
        found = await device.tree()
        assert found in (OLD, NEW), where
        assert await other.tree() == found, where
        seen.add("new" if found == NEW else "old")
        if found == OLD:
            await _session(device.account)
        assert await device.tree() == NEW, where
        assert await other.tree() == NEW, where
    assert seen == {"old", "new"}


@pytest.mark.parametrize("kind", ["ours", "stock"])
async def test_a_share_is_finished_by_the_next_one_wherever_it_stopped(kind: str) -> None:
    async def act(account: Account) -> object:
        return await sharing.share(account, "/Secret", BOB)

    _, device = await _old_world(kind)
    moments = await _moments(act, device)
    for at in range(1, len(moments) + 1):
        world, device = await _old_world(kind)
        where = await _cut(act, device, at)
        await _settle(world, device, where)
        assert await device.tree() == OLD, where
        await sharing.share(device.account, "/Secret", BOB)
        assert await Device(world, "bob").tree() == OLD, where
        assert await device.tree() == OLD, where


async def test_a_revocation_is_finished_by_the_next_one_wherever_it_stopped() -> None:
    async def act(account: Account) -> object:
        return await sharing.unshare(account, "/Secret", BOB)

    async def shared() -> tuple[World, Device]:
        world, device = await _old_world("ours")
        await sharing.share(device.account, "/Secret", BOB)
        return world, device

    _, device = await shared()
    moments = await _moments(act, device)
    for at in range(1, len(moments) + 1):
        world, device = await shared()
        where = await _cut(act, device, at)
        await _settle(world, device, where)
        # When the first run was cut after its last request there is nothing left to take back.
        with contextlib.suppress(NotFoundError):
            await sharing.unshare(device.account, "/Secret", BOB)
        assert await device.tree() == OLD, where
        assert await sharing.list_shares(device.account, "/Secret") == [], where
        with pytest.raises(CandadoError):
            await Device(world, "bob").tree()


@pytest.mark.parametrize("kind", ["ours", "stock"])
async def test_an_interrupted_encrypt_can_be_run_again(kind: str) -> None:
    async def act(account: Account) -> object:
        return await edit.encrypt_folder(account, "/Fresh")

    _, device = await _old_world(kind)
    moments = await _moments(act, device)
    for at in range(1, len(moments) + 1):
        world, device = await _old_world(kind)
        where = await _cut(act, device, at)
        await _settle(world, device, where)
        with contextlib.suppress(AlreadyExistsError):
            await edit.encrypt_folder(device.account, "/Fresh")
        await device.put("/Fresh", {"x": b"1"})
        assert await device.tree("/Fresh") == {"x": b"1"}, where
        assert await Device(world).tree("/Fresh") == {"x": b"1"}, where


async def test_an_interrupted_set_up_of_keys_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    # Making an RSA key takes seconds on a busy machine; the keys are real, only not fresh for every cut.
    key, _authority = rsa_key("carol"), rsa_key("authority")
    monkeypatch.setattr(PrivateKey, "generate", lambda: key)
    world = World("carol")
    world.server.users["carol"].certificate = None
    device = Device(world, "carol", enrolled=False)
    moments = await _moments(enrol.init_first, device)
    for at in range(1, len(moments) + 1):
        world = World("carol")
        world.server.users["carol"].certificate = None
        device = Device(world, "carol", enrolled=False)
        where = await _cut(enrol.init_first, device, at)
        if device.account.identity is None:
            await enrol.init_first(device.account)
        words = enrol.show_mnemonic(device.account)
        second = Device(world, "carol", enrolled=False)
        await enrol.init_further(second.account, words)
        await edit.encrypt_folder(device.account, "/Secret")
        await device.put("/Secret", {"x": b"1"})
        assert await second.tree() == {"x": b"1"}, where
