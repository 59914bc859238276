"""What every ``ObjectStore`` must do: the directory, and the dictionary that tests use in its place."""

import asyncio
import errno
import os
import re
import threading
from pathlib import Path

import pytest
from tests.s3servers import S3_SERVERS
from tests.unit.server.world import MemoryObjects, SeededRandom

from candado.adapters.ambient import SystemRandom, machine_epoch
from candado.adapters.objects import DirectoryObjects
from candado.adapters.s3 import PIECE_BYTES
from candado.errors import LocalStorageError, MisuseError, NotFoundError, QuotaExceededError
from candado.ports.server import ObjectStore

SIZES = (0, 1, 65_536, 65_537, 1_048_576, 1_048_577, 3_500_000, PIECE_BYTES, 2 * PIECE_BYTES + 5)


@pytest.fixture(params=["directory", "memory", *S3_SERVERS])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param in S3_SERVERS:
        return await S3_SERVERS[request.param]().objects(SystemRandom())
    return DirectoryObjects(tmp_path / "blobs", SeededRandom()) if request.param == "directory" else MemoryObjects()


async def load(objects: ObjectStore, blob_id: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([bytes(piece) async for piece in objects.read(blob_id, start=start, stop=stop)])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [1000, 250_000, 4_000_000])
async def test_what_was_written_in_pieces_is_read_back(objects: ObjectStore, size: int, piece: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    writer = objects.create()
    buffer = bytearray(piece)
    for start in range(0, size, piece):
        part = data[start : start + piece]
        buffer[: len(part)] = part
        await writer.write(memoryview(buffer)[: len(part)])
        buffer[:] = bytes(piece)  # the caller may use its buffer again
    blob_id = await writer.finish()
    assert re.fullmatch("[a-z0-9]{32}", blob_id)
    assert (await load(objects, blob_id), await objects.size(blob_id)) == (data, size)
    for start, stop in ((0, 0), (1, size - 1), (size // 2, None), (size, None), (0, size + 10)):
        assert await load(objects, blob_id, start, stop) == data[start:stop]


@pytest.mark.parametrize("size", SIZES)
async def test_a_body_that_was_written_is_told_from_an_altered_one(objects: ObjectStore, size: int) -> None:
    writer = objects.create()
    for start in range(0, size, 300_000):
        await writer.write(bytes(min(300_000, size - start)))
    blob_id = await writer.finish()
    assert await objects.check(blob_id) == (size, True)
    for absent in ("0" * 32, "../../etc/passwd", ""):
        with pytest.raises(NotFoundError):
            await objects.check(absent)


@pytest.mark.parametrize("size", [1, 65_536, 3_500_000])
async def test_one_flipped_bit_is_noticed(tmp_path: Path, size: int) -> None:
    objects = DirectoryObjects(tmp_path, SeededRandom())
    writer = objects.create()
    await writer.write(bytes(size))
    blob_id = await writer.finish()
    with Path(objects.place(blob_id)).open("r+b") as file:
        file.seek(size - 1)
        file.write(b"\x10")
    assert await objects.check(blob_id) == (size, False)


async def test_a_body_of_before_there_were_checksums_is_read_and_not_judged(tmp_path: Path) -> None:
    objects = DirectoryObjects(tmp_path, SeededRandom())
    old = Path(objects.place("ab" * 16))
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    assert await objects.check("ab" * 16) == (3, None)


async def test_pieces_are_at_most_a_mebibyte(objects: ObjectStore) -> None:
    blob_id = await objects.put(bytes(2_500_000))
    pieces = [len(piece) async for piece in objects.read(blob_id)]
    assert (sum(pieces), max(pieces) <= 1_048_576) == (2_500_000, True)


async def test_blobs_that_do_not_exist(objects: ObjectStore) -> None:
    for absent in ("0" * 32, "../../etc/passwd", "", "A" * 32):
        with pytest.raises(NotFoundError):
            await objects.size(absent)
        with pytest.raises(NotFoundError):
            await load(objects, absent)
    await objects.delete(["0" * 32])
    await objects.persist([])


async def test_a_blob_is_there_after_finish_and_gone_after_delete(objects: ObjectStore) -> None:
    kept = [await objects.put(bytes([n])) for n in range(5)]
    large = await objects.put(bytes(200_000))
    await objects.persist([*kept, large])
    await objects.delete(kept[1:3])
    await objects.delete([kept[1]])
    found = sorted([(blob_id, size) async for blob_id, size, _ in objects.scan()])
    assert found == sorted([(kept[0], 1), (kept[3], 1), (kept[4], 1), (large, 200_000)])


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_a_discarded_blob_was_never_there(objects: ObjectStore, size: int) -> None:
    writer = objects.create()
    await writer.write(bytes(size))
    await writer.discard()
    await writer.discard()
    for late in (writer.write(b"x"), writer.finish()):
        with pytest.raises(MisuseError):
            await late
    assert [blob async for blob in objects.scan()] == []


async def test_discarding_after_finish_does_nothing(objects: ObjectStore) -> None:
    writer = objects.create()
    await writer.write(b"kept")
    blob_id = await writer.finish()
    await writer.discard()
    assert await load(objects, blob_id) == b"kept"


async def test_many_writers_at_once_do_not_mix(objects: ObjectStore) -> None:
    async def store(number: int) -> str:
        writer = objects.create()
        for _ in range(30):
            await writer.write(bytes([number]) * 70_000)
            await asyncio.sleep(0)
        return await writer.finish()

    ids = await asyncio.gather(*[store(n) for n in range(6)])
    assert [set(await load(objects, blob_id)) for blob_id in ids] == [{n} for n in range(6)]


async def test_what_an_unfinished_reception_left_is_listed_and_can_be_removed(objects: ObjectStore) -> None:
    kept = [await objects.put(b"kept"), await objects.put(b"kept too")]
    writer = objects.create()
    for _ in range(6):
        await writer.write(bytes(PIECE_BYTES // 2))
    lost = {name: size async for name, size, _ in objects.scan() if name not in kept}
    assert not any(re.fullmatch("[a-z0-9]{32}", name) for name in lost)
    await objects.delete(list(lost))
    assert sorted([name async for name, _, _ in objects.scan()]) == sorted(kept)
    await writer.discard()


async def test_a_body_that_is_gone_is_noticed_when_it_is_to_be_persisted(tmp_path: Path) -> None:
    objects = DirectoryObjects(tmp_path, SeededRandom())
    for absent in ("0" * 32, "../../etc/passwd"):
        with pytest.raises(NotFoundError):
            await objects.persist([await objects.put(b"x"), absent])


async def test_persist_syncs_every_file_and_every_directory_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = DirectoryObjects(tmp_path, SeededRandom())
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    ids = [await objects.put(b"x") for _ in range(100)]
    await objects.persist(ids)
    outer, inner = ids[0][:2], ids[0][2:4]
    folders = [str(tmp_path), f"{tmp_path}/{outer}", f"{tmp_path}/{outer}/{inner}"]
    assert sorted(synced) == sorted([f"{folders[2]}/{blob_id}" for blob_id in ids] + folders)
    synced.clear()
    last = await objects.put(b"y")
    await objects.persist([last])
    assert sorted(synced) == sorted([folders[2], f"{folders[2]}/{last}"])


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_a_full_disk_is_reported_as_such_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    objects = DirectoryObjects(tmp_path, SeededRandom())

    def full(descriptor: int, pieces: list[bytes]) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    writer = objects.create()

    async def receive() -> None:
        for _ in range(2):
            await writer.write(bytes(size))
        await writer.finish()

    with pytest.raises(QuotaExceededError):
        await receive()
    await writer.discard()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("stage", ["write", "finish"])
async def test_a_reception_that_is_cancelled_while_a_thread_writes_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    objects = DirectoryObjects(tmp_path, SeededRandom())
    entered, release = threading.Event(), threading.Event()
    real = os.writev

    def slow(descriptor: int, pieces: list[bytes]) -> int:
        entered.set()
        release.wait(10)
        return real(descriptor, pieces)

    monkeypatch.setattr(os, "writev", slow)
    writer = objects.create()

    async def receive() -> None:
        await writer.write(bytes(2_000_000))
        if stage == "write":
            await writer.write(bytes(2_000_000))
        else:
            await writer.finish()

    receiving = asyncio.create_task(receive())
    await asyncio.to_thread(entered.wait, 10)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    discarding = asyncio.create_task(writer.discard())
    await asyncio.sleep(0)
    release.set()
    await discarding
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = DirectoryObjects(tmp_path, SeededRandom())
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, pieces: real(fd, [bytes(pieces[0])[:70_000]]))
    data = bytes(range(250)) * 1000
    writer = objects.create()
    for start in range(0, len(data), 90_000):
        await writer.write(data[start : start + 90_000])
    assert await load(objects, await writer.finish()) == data


async def test_a_blob_that_was_cut_short_under_us_is_an_error_and_not_a_short_answer(tmp_path: Path) -> None:
    objects = DirectoryObjects(tmp_path, SeededRandom())
    blob_id = await objects.put(bytes(3_000_000))
    pieces = objects.read(blob_id)
    await anext(pieces)
    os.truncate(objects.place(blob_id), 1_048_576)
    with pytest.raises(LocalStorageError):
        await anext(pieces)


def test_the_epoch_stays_the_same_while_the_machine_runs() -> None:
    assert machine_epoch() == machine_epoch() != ""
