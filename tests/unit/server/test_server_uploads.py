from pathlib import Path

import pytest
from tests.unit.server.world import ALICE, BOB, MemoryObjects, World

from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    CandadoError,
    ForbiddenError,
    LimitExceededError,
    NotFoundError,
    QuotaExceededError,
)
from candado.server.model import ChunkInfo, ServerSettings
from candado.server.sweep import sweep
from candado.types import LockToken


async def chunk(world: World, name: str, data: bytes, transfer: str = "t1") -> None:
    await world.uploads.check_chunk(ALICE, transfer, name, length=len(data))
    blob_id = await world.objects.put(data)
    await world.uploads.put_chunk(ALICE, transfer, name, blob_id=blob_id, size_bytes=len(data))


async def finish(
    world: World, target: str, *, token: LockToken | None = None, total: int | None = None
) -> tuple[object, bool]:
    return await world.uploads.finish(ALICE, "t1", target, token=token, total_length=total, mtime=5.0)


async def test_chunks_are_joined_in_the_natural_order_of_their_names(world: World) -> None:
    await world.uploads.begin(ALICE, "t1")
    for name, data in (("10", b"C"), ("02", b"B"), ("1", b"old"), ("1", b"a")):
        await chunk(world, name, data)
    listed = await world.uploads.list_chunks(ALICE, "t1")
    assert listed == [ChunkInfo(name, 1, world.clock.time) for name in ("1", "02", "10")]
    _, created = await finish(world, "joined", total=3)
    assert (created, await world.get("joined")) == (True, b"aBC")
    with pytest.raises(NotFoundError):
        await world.uploads.list_chunks(ALICE, "t1")


async def test_two_chunks_of_one_number_have_no_order(world: World) -> None:
    await world.uploads.begin(ALICE, "t1")
    for name in ("1", "00001", "2"):
        await chunk(world, name, name.encode())
    with pytest.raises(BadRequestError, match="the same number"):
        await finish(world, "joined")
    assert len(await world.uploads.list_chunks(ALICE, "t1")) == 3


async def test_a_large_upload_into_an_encrypted_folder_is_staged_like_a_small_one(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.uploads.begin(ALICE, "t1")
    for number in range(3):
        await chunk(world, str(number), bytes([number]) * 1000)
    with pytest.raises(ForbiddenError):
        await finish(world, "Secret/big")
    await finish(world, "Secret/big", token=token)
    assert await world.tree() == {"Secret": (True, 0)}
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await world.get("Secret/big") == bytes(1000) + b"\1" * 1000 + b"\2" * 1000
    token = await world.lock(root, 3)
    await world.put("Secret/big", b"small now", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    world.clock.time += 4000
    assert (await sweep(world.backend))["blobs"] == 3
    assert (await world.get("Secret/big"), await world.rows("SELECT * FROM parts")) == (b"small now", [])


async def test_a_wrong_total_leaves_the_upload_open(world: World) -> None:
    await world.uploads.begin(ALICE, "t1")
    with pytest.raises(BadRequestError):
        await finish(world, "f")
    await chunk(world, "1", b"abc")
    with pytest.raises(BadRequestError):
        await finish(world, "f", total=4)
    await chunk(world, "2", b"d")
    await finish(world, "f", total=4)
    assert await world.tree() == {"f": b"abcd"}


async def test_an_upload_belongs_to_its_user_and_opens_once(world: World) -> None:
    await world.uploads.begin(ALICE, "t1")
    with pytest.raises(AlreadyExistsError):
        await world.uploads.begin(ALICE, "t1")
    with pytest.raises(NotFoundError):
        await world.uploads.list_chunks(BOB, "t1")
    with pytest.raises(NotFoundError):
        await world.uploads.abort(BOB, "t1")


@pytest.mark.parametrize("name", [".file", "", "a/b", "..", "x" * 129, "a b"])
async def test_chunk_names_that_are_refused_leave_no_blob(world: World, name: str) -> None:
    await world.uploads.begin(ALICE, "t1")
    with pytest.raises(BadRequestError):
        await world.uploads.check_chunk(ALICE, "t1", name, length=1)
    blob_id = await world.objects.put(b"x")
    with pytest.raises(CandadoError):
        await world.uploads.put_chunk(ALICE, "t1", name, blob_id=blob_id, size_bytes=1)
    assert [blob async for blob in world.objects.scan()] == []


async def test_chunks_count_for_the_quota_before_they_are_joined(world: World) -> None:
    await world.set_quota(ALICE.user_id, 100)
    await world.uploads.begin(ALICE, "t1")
    await chunk(world, "1", bytes(60))
    with pytest.raises(QuotaExceededError):
        await world.uploads.check_chunk(ALICE, "t1", "2", length=41)


async def test_aborted_stale_and_lost_uploads_are_collected(tmp_path: Path) -> None:
    objects = MemoryObjects()
    world = await World.open(tmp_path, objects=objects)
    for transfer in ("t1", "t2", "t3"):
        await world.uploads.begin(ALICE, transfer)
        await chunk(world, "1", b"x", transfer)
    await world.uploads.abort(ALICE, "t1")
    world.clock.time += 86_401
    await world.uploads.begin(ALICE, "t4")
    await chunk(world, "1", b"x", "t4")
    done = await sweep(world.backend)
    assert (done["uploads"], done["blobs"]) == (2, 1)
    objects.boot += 1
    assert await world.uploads.list_chunks(ALICE, "t4") == []
    world.clock.time += 3601
    assert (await sweep(world.backend))["blobs"] == 2
    world.clock.time += 3601
    assert (await sweep(world.backend))["blobs"] == 1
    assert [blob async for blob in world.objects.scan()] == []
    await world.close()


async def test_an_upload_has_a_largest_number_of_chunks(tmp_path: Path) -> None:
    world = await World.open(tmp_path, settings=ServerSettings(chunks_max=2))
    await world.uploads.begin(ALICE, "t1")
    for name in "12":
        await chunk(world, name, b"x")
    with pytest.raises(LimitExceededError):
        await world.uploads.check_chunk(ALICE, "t1", "3", length=1)
    await world.close()


async def test_chunks_renew_the_lock_they_are_sent_with(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.uploads.begin(ALICE, "t1")
    for name in "123":
        world.clock.time += 800
        blob_id = await world.objects.put(b"x")
        await world.uploads.put_chunk(ALICE, "t1", name, blob_id=blob_id, size_bytes=1, token=token)
    await finish(world, "Secret/f", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await world.get("Secret/f") == b"xxx"
