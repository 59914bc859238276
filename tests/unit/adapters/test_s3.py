"""What only the S3 adapter does: it cuts large bodies, goes on where a download broke off, and gives up in time."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from typing import Self

import pytest
from tests.seaweed import seaweed
from tests.unit.server.world import SeededRandom

from candado.adapters import s3
from candado.adapters.ambient import SystemRandom
from candado.adapters.s3 import PIECE_BYTES, S3Objects
from candado.adapters.s3_place import S3Place, find_keys
from candado.errors import LimitExceededError, NotFoundError, StoreUnavailableError

LARGE = bytes(range(241)) * (2 * PIECE_BYTES // 241 + 999)


async def place_in(bucket: str, *, endpoint: str = "") -> S3Place:
    return S3Place.parse(seaweed().address(bucket, endpoint=endpoint))


@pytest.fixture
async def objects() -> S3Objects:
    return await seaweed().objects(SystemRandom())


async def store(objects: S3Objects, data: bytes) -> str:
    writer = objects.create()
    await writer.write(data)
    return await writer.finish()


async def load(objects: S3Objects, blob_id: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([bytes(piece) async for piece in objects.read(blob_id, start=start, stop=stop)])


class Wire:
    """Passes requests on to the store, counts them, and breaks off answers after so many bytes when told to."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.cuts: list[int] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def endpoint(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int(seaweed().endpoint.rpartition(":")[2])
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        up = asyncio.create_task(self._up(reader, up_writer))
        try:
            while data := await up_reader.read(65_536):
                if self.cuts and self.cuts[0] <= len(data):
                    data = data[: self.cuts.pop(0)]
                    writer.write(data)
                    await writer.drain()
                    break
                if self.cuts:
                    self.cuts[0] -= len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            up.cancel()
            for each in (writer, up_writer):
                each.close()

    async def _up(self, reader: asyncio.StreamReader, up: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            # The signature covers the host that the client named, so the head goes on unchanged.
            self.requests.append(head.split(b" ")[0].decode())
            up.write(head)
            length = re.search(rb"(?i)content-length: (\d+)", head)
            up.write(await reader.readexactly(int(length[1]) if length else 0))
            await up.drain()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire() as made:
        yield made


@pytest.fixture
async def watched(wire: Wire) -> S3Objects:
    place = await place_in(seaweed().bucket(), endpoint=wire.endpoint)
    opened = await S3Objects.open(place, find_keys(place, {}), SystemRandom())
    wire.requests.clear()
    return opened


async def test_a_small_body_is_one_request_up_and_one_down_and_one_away(wire: Wire, watched: S3Objects) -> None:
    blob_id = await watched.put(b"small")
    await watched.persist([blob_id])
    assert await load(watched, blob_id) == b"small"
    assert await load(watched, blob_id, 1, 3) == b"ma"
    await watched.delete([blob_id])
    assert wire.requests == ["PUT", "GET", "GET", "POST"]


async def test_a_large_body_is_one_request_for_each_eight_mebibytes(wire: Wire, watched: S3Objects) -> None:
    blob_id = await store(watched, LARGE)
    assert wire.requests == ["PUT"] * 3
    wire.requests.clear()
    assert await load(watched, blob_id, PIECE_BYTES - 2, PIECE_BYTES + 2) == LARGE[PIECE_BYTES - 2 : PIECE_BYTES + 2]
    assert await load(watched, blob_id, 2 * PIECE_BYTES) == LARGE[2 * PIECE_BYTES :]
    assert await watched.size(blob_id) == len(LARGE)
    assert wire.requests == ["GET"] * 4


async def test_a_download_that_breaks_off_goes_on_where_it_was(wire: Wire, watched: S3Objects) -> None:
    blob_id = await store(watched, LARGE)
    wire.cuts = [700_000, 3_000_000, 0]
    assert await load(watched, blob_id) == LARGE
    assert wire.cuts == []


async def test_a_download_whose_store_is_gone_ends_with_an_error(wire: Wire, watched: S3Objects) -> None:
    blob_id = await store(watched, LARGE)
    wire.cuts = [0] * 100
    with pytest.raises(StoreUnavailableError):
        await load(watched, blob_id)


async def test_an_upload_whose_answer_is_lost_is_sent_again(wire: Wire, watched: S3Objects) -> None:
    wire.cuts = [0]
    assert await load(watched, await store(watched, b"body")) == b"body"
    assert wire.requests == ["PUT", "PUT", "GET"]


async def test_a_piece_that_is_missing_is_noticed_and_the_size_tells(objects: S3Objects) -> None:
    blob_id = await store(objects, LARGE)
    await objects.delete([f"{blob_id[:19]}.p0001"])
    assert await objects.size(blob_id) == len(LARGE) - PIECE_BYTES
    with pytest.raises(NotFoundError):
        await objects.check(blob_id)


async def test_pieces_without_an_end_are_listed_with_the_time_of_the_newest(objects: S3Objects) -> None:
    blob_id, other = await store(objects, LARGE), await store(objects, LARGE)
    await objects.remove([blob_id])
    times = {name: written async for name, _, written in objects.scan()}
    assert set(times) == {f"{blob_id[:19]}.p0000", f"{blob_id[:19]}.p0001", other}
    assert len({written for name, written in times.items() if name != other}) == 1
    await objects.delete([name for name in times if name != other])
    assert [name async for name, _, _ in objects.scan()] == [other]


async def test_a_body_that_stalls_for_an_hour_is_given_up(objects: S3Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, now = objects.create(), time.monotonic()
    await writer.write(LARGE[: PIECE_BYTES + 1])
    monkeypatch.setattr(time, "monotonic", lambda: now + 3700)
    with pytest.raises(StoreUnavailableError, match="too slowly"):
        await writer.finish()
    await writer.discard()
    assert [name async for name, _, _ in objects.scan()] == []


async def test_a_body_of_more_pieces_than_an_id_can_name_is_refused(
    objects: S3Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PIECES_MAX", 1)
    writer = objects.create()
    with pytest.raises(LimitExceededError):
        await writer.write(LARGE)
    await writer.discard()
    assert [name async for name, _, _ in objects.scan()] == []


async def test_a_reception_that_is_cancelled_leaves_nothing(objects: S3Objects) -> None:
    writer = objects.create()

    async def receive() -> None:
        while True:
            await writer.write(LARGE)

    receiving = asyncio.create_task(receive())
    while not [name async for name, _, _ in objects.scan()]:
        await asyncio.sleep(0.001)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    await writer.discard()
    assert [name async for name, _, _ in objects.scan()] == []


async def test_a_store_that_hangs_is_waited_for_only_so_long() -> None:
    place = await place_in(seaweed().bucket())
    objects = S3Objects(place, find_keys(place, {}), SeededRandom(), patience_seconds=0.5)
    kept = await objects.put(b"kept")
    seaweed().process.send_signal(signal.SIGSTOP)
    os.waitpid(seaweed().process.pid, os.WUNTRACED)  # until all of its threads have stopped
    try:
        async with asyncio.timeout(20):
            with pytest.raises(StoreUnavailableError):
                await objects.put(b"x")
            with pytest.raises(StoreUnavailableError):
                await load(objects, kept)
    finally:
        seaweed().process.send_signal(signal.SIGCONT)
    assert await load(objects, kept) == b"kept"


async def test_a_bucket_that_is_gone_is_no_missing_body(objects: S3Objects) -> None:
    place = await place_in("no-such-bucket")
    gone = S3Objects(place, find_keys(place, {}), SystemRandom())
    with pytest.raises(StoreUnavailableError, match="bucket"):
        await gone.put(b"x")
    with pytest.raises(StoreUnavailableError, match="bucket"):
        await load(gone, await objects.put(b"x"))
