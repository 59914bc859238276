"""What a batch costs in requests, and how many bodies are under way at once."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.sim import World, stock
from tests.unit.client.devices import Device

from candado.client import edit
from candado.errors import QuotaExceededError


@pytest.mark.parametrize("kind", ["ours", "stock"])
@pytest.mark.parametrize("folder", ["/Secret", "/Secret/inner"])
@pytest.mark.parametrize("count", [1, 40])
async def test_n_new_files_in_one_folder_cost_n_uploads_and_at_most_six_other_requests(
    kind: str, folder: str, count: int
) -> None:
    world = World()
    if kind == "stock":
        world.server.capabilities = stock()
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    await edit.mkdir(device.account, "/Secret/inner")
    device.start()
    world.server.log.clear()
    report = await device.put(folder, {f"{n}.txt": b"x" for n in range(count)})
    assert report.failures == []
    methods = Counter(request.method for request in world.server.log)
    assert methods.pop("put_bytes") == count
    assert methods.total() <= 6, methods


async def test_a_tree_costs_one_lock_on_our_server() -> None:
    world = World()
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    world.server.log.clear()
    await device.put("/Secret", {f"d{n}/e/{n}": b"x" for n in range(5)})
    methods = Counter(request.method for request in world.server.log)
    assert (methods["lock"], methods["unlock"], methods["make_folder"], methods["put_bytes"]) == (1, 1, 10, 5)
    assert methods["update_metadata"] + methods["create_metadata"] == 11


async def test_uploads_run_side_by_side_but_never_more_than_allowed() -> None:
    world = World()
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    running = most = 0
    honest = device.remote.put_bytes

    async def slow(*args: Any, **kwargs: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        try:
            return await honest(*args, **kwargs)
        finally:
            running -= 1

    device.remote.put_bytes = slow
    await device.put("/Secret", {str(n): b"x" for n in range(30)}, transfers=7)
    assert most == 7


async def test_a_full_server_undoes_the_whole_session() -> None:
    world = World()
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    await device.put("/Secret", {"old": b"1"})
    world.server.quota_bytes = world.server.used("alice") + 3000
    with pytest.raises(QuotaExceededError):
        await device.put("/Secret", {str(n): bytes(1000) for n in range(10)} | {"big": bytes(5000)})
    assert world.server.locks == {}
    assert await device.tree() == {"old": b"1"}


async def test_the_capabilities_are_asked_for_once_and_kept_for_the_next_process() -> None:
    world = World()
    device = Device(world)
    await device.account.capabilities()
    await device.start().capabilities()
    assert [request.method for request in world.server.log].count("capabilities") == 1
    world.clock.advance(3601)
    await device.start().capabilities()
    assert [request.method for request in world.server.log].count("capabilities") == 2
