"""Long bodies over our own connections: memory, pace, and servers that lie about either."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import pytest
import uvloop
from tests.sim import FakeClock
from tests.unit.adapters.lying_server import Got, LyingServer, Reply, lying
from tests.unit.adapters.test_http_remote import Pieces, certificate, ocs, remote_of

from candado.adapters.ambient import SystemClock
from candado.adapters.http import HttpRemote
from candado.adapters.http_connection import Connection
from candado.adapters.http_inflow import Inflow
from candado.adapters.http_settings import HttpSettings, Throttle
from candado.errors import (
    FileChangedError,
    MalformedError,
    NotFoundError,
    QuotaExceededError,
    RedirectError,
    TransportError,
)

MIB: Final = 1 << 20
CONTENT: Final = bytes(range(251)) * (5 * MIB // 251) + b"end"
LOOPS: Final = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


def on_loop(loop: Callable[[], asyncio.AbstractEventLoop], story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())


async def fetched(remote: HttpRemote, size: int) -> bytes:
    return b"".join([bytes(piece) async for piece in remote.get("/f", size_expected=size)])


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def rude(handler: Handler, *, idle_seconds: float) -> AsyncIterator[HttpRemote]:
    """A client of a server that does what ``handler`` does with each connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    tasks: list[asyncio.Task[Any] | None] = []
    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024) as server:
        fake = LyingServer(lambda _: Reply())
        fake.port = server.sockets[0].getsockname()[1]
        remote = remote_of(fake, idle_seconds=idle_seconds)
        yield remote
        await remote.close()
        await asyncio.wait([task for task in tasks if task is not None])


# --- both directions ----------------------------------------------------------------------------------------


@LOOPS
@pytest.mark.parametrize("secure", [False, True])
def test_long_bodies_are_the_same_at_the_other_end(
    loop: Callable[[], asyncio.AbstractEventLoop], *, secure: bool, tmp_path: Path
) -> None:
    async def story() -> None:
        tls, pem = certificate(tmp_path) if secure else (None, None)
        async with lying(lambda got: Reply(200, CONTENT) if got.method == "GET" else Reply(201), tls=tls) as server:
            remote = remote_of(server, ca_file=None if pem is None else str(pem))
            assert await fetched(remote, len(CONTENT)) == CONTENT
            body = Pieces([CONTENT[start : start + MIB] for start in range(0, len(CONTENT), MIB)])
            await remote.put("/f", body, token=None)
            assert await fetched(remote, len(CONTENT)) == CONTENT
            await remote.close()
            assert server.got[1].body == CONTENT
            assert server.connections == 1
            await asyncio.sleep(0)

    on_loop(loop, story)


@LOOPS
def test_a_large_body_goes_up_in_chunks_whose_memory_is_used_again(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def story() -> None:
        def script(got: Got) -> Reply:
            if "capabilities" in got.target:
                return ocs({"version": {}, "capabilities": {}})
            return Reply(201)

        async with lying(script) as server:
            remote = remote_of(server, chunk_threshold_bytes=1000, chunk_bytes=700_000)
            await remote.put(
                "/f", Pieces([CONTENT[at : at + 99_999] for at in range(0, len(CONTENT), 99_999)]), token=None
            )
            await remote.close()
            assert b"".join(got.body for got in server.got if got.method == "PUT") == CONTENT

    on_loop(loop, story)


# --- downloads ----------------------------------------------------------------------------------------------


async def test_a_download_uses_a_few_buffers_again_and_again() -> None:
    async with lying(lambda _: Reply(200, CONTENT * 4)) as server:
        remote = remote_of(server)
        memory = {}
        async for piece in remote.get("/f", size_expected=len(CONTENT) * 4):
            assert isinstance(piece, memoryview)
            memory[id(piece.obj)] = piece.obj
        await remote.close()
    assert 1 <= len(memory) <= 4
    assert {len(cast("bytearray", block)) for block in memory.values()} == {MIB}


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef",
        b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nabcdef",
    ],
)
async def test_a_download_may_tell_its_end_in_every_way_of_http(head: bytes) -> None:
    async with lying(lambda _: Reply(raw=head)) as server:
        remote = remote_of(server)
        assert await fetched(remote, 6) == b"abcdef"
        await remote.close()


async def test_an_empty_download_has_no_pieces() -> None:
    async with lying(lambda _: Reply(200, b"")) as server:
        remote = remote_of(server)
        assert [bytes(piece) async for piece in remote.get("/f", size_expected=0)] == []
        await remote.close()


@pytest.mark.parametrize(
    "surplus", [b"x", b'HTTP/1.1 200 OK\r\nETag: "other"\r\nContent-Length: 0\r\n\r\n', b"\r\n\r\nHTTP/1.1"]
)
async def test_what_comes_after_an_answer_is_not_the_next_answer(surplus: bytes) -> None:
    answers = [Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef" + surplus), Reply(200, b"second")]
    async with lying(lambda _: answers.pop(0)) as server:
        remote = remote_of(server)
        assert await fetched(remote, 6) == b"abcdef"
        assert await fetched(remote, 6) == b"second"
        await remote.close()
        assert server.connections == 2


async def test_a_chunked_download_that_is_garbled_is_refused() -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nzz\r\n"
    async with lying(lambda _: Reply(raw=raw)) as server:
        remote = remote_of(server)
        with pytest.raises(MalformedError) as caught:
            await fetched(remote, 6)
        await remote.close()
        assert caught.value.path == "/f"


@pytest.mark.parametrize(
    "lengths",
    [
        "Content-Length: 6\r\nContent-Length: 7",
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity\r\nContent-Length: 6",
        "Content-Length: -6",
        "Content-Length: 6x",
        "Content-Length: \xb2",
        "Content-Length: 99999999999999999999999999",
    ],
)
@pytest.mark.parametrize("act", ["get", "get_bytes"])
async def test_a_length_that_is_none_or_two_is_refused(lengths: str, act: str) -> None:
    raw = f"HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nabcdef".encode("latin-1")
    async with lying(lambda _: Reply(raw=raw)) as server:
        remote = remote_of(server, attempts=1)
        with pytest.raises(MalformedError):
            await (fetched(remote, 6) if act == "get" else remote.get_bytes("/f", size_max=6))
        await remote.close()


async def test_a_download_that_falls_silent_is_given_up_and_says_where() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        await reader.read()

    async with rude(handler, idle_seconds=0.05) as remote:
        with pytest.raises(TransportError, match="stopped answering") as caught:
            await fetched(remote, 6)
        assert caught.value.path == "/f"


async def test_a_reader_who_takes_his_time_is_not_a_silent_server() -> None:
    async with lying(lambda _: Reply(200, CONTENT * 4)) as server:
        remote = remote_of(server, idle_seconds=0.05)
        size = 0
        async for piece in remote.get("/f", size_expected=len(CONTENT) * 4):
            if size == 0:
                await SystemClock().sleep(0.2)
            size += len(piece)
        await remote.close()
        assert (size, len(server.got)) == (len(CONTENT) * 4, 1)


async def test_a_download_that_nobody_reads_to_its_end_closes_its_connection() -> None:
    async with lying(lambda _: Reply(200, CONTENT)) as server:
        remote = remote_of(server)
        async with aclosing(cast("Any", remote.get("/f", size_expected=len(CONTENT)))) as pieces:
            assert bytes(await anext(pieces)) == CONTENT[:MIB]
        assert await fetched(remote, len(CONTENT)) == CONTENT
        await remote.close()
        assert server.connections == 2


async def test_a_download_follows_a_redirect_inside_the_origin_only() -> None:
    answers = {
        "/f": Reply(302, b"moved", {"Location": "/elsewhere"}),
        "/elsewhere": Reply(200, b"sixsix"),
        "/away": Reply(302, headers={"Location": "https://other.example/f"}),
        "/circle": Reply(302, headers={"Location": "/circle"}),
    }
    async with lying(lambda got: answers["/" + got.target.rpartition("/")[2]]) as server:
        remote = remote_of(server)
        assert await fetched(remote, 6) == b"sixsix"
        for path in ("/away", "/circle"):
            with pytest.raises(RedirectError):
                await anext(remote.get(path, size_expected=6))
        await remote.close()


async def test_a_download_that_is_refused_has_the_error_of_its_status() -> None:
    async with lying(lambda _: Reply(404, b"x" * 200_000)) as server:
        remote = remote_of(server)
        with pytest.raises(NotFoundError) as caught:
            await fetched(remote, 6)
        await remote.close()
        assert (caught.value.path, len(server.got)) == ("/f", 1)


async def test_a_connection_that_was_closed_while_it_rested_costs_a_download_nothing() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef"
    async with lying(lambda got: Reply(raw=raw) if got.target.endswith("raw") else Reply(200, b"second")) as server:
        remote = remote_of(server)
        assert await remote.get_bytes("/raw", size_max=6) == b"abcdef"
        assert await fetched(remote, 6) == b"second"
        await remote.close()
        assert len(server.got) == 2


# --- uploads ------------------------------------------------------------------------------------------------


class SlowPieces(Pieces):
    """A body whose first piece takes longer than any server may be silent."""

    async def chunks(self) -> AsyncIterator[bytes | memoryview]:
        await SystemClock().sleep(0.2)
        async for piece in super().chunks():
            yield piece


async def test_a_body_that_is_made_slowly_is_not_the_fault_of_the_server() -> None:
    async with lying(lambda _: Reply(201)) as server:
        remote = remote_of(server, idle_seconds=0.05)
        await remote.put("/f", SlowPieces([b"x" * 10]), token=None)
        await remote.close()
        assert server.got[0].body == b"x" * 10


async def test_a_server_that_takes_nothing_in_is_given_up() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader, writer
        await done.wait()

    done = asyncio.Event()
    async with rude(handler, idle_seconds=0.1) as remote:
        with pytest.raises(TransportError, match="stopped answering"):
            await remote.put("/f", Pieces([bytes(MIB)] * 64), token=None)
        done.set()


async def test_a_refusal_that_comes_early_ends_the_upload_and_the_connection() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 507 X\r\nContent-Length: 0\r\n\r\n")
        connections.append(writer)
        with suppress(ConnectionError):
            await reader.read()

    connections: list[asyncio.StreamWriter] = []
    async with rude(handler, idle_seconds=5.0) as remote:
        for count in (1, 2):
            with pytest.raises(QuotaExceededError):
                await remote.put("/f", EndlessPieces(), token=None)
            assert len(connections) == count


class EndlessPieces:
    """A body that goes on for so long that it must be stopped by the answer."""

    size_bytes = 1 << 26

    async def chunks(self) -> AsyncIterator[bytes | memoryview]:
        for _ in range(1 << 16):
            await SystemClock().sleep(0.001)
            yield bytes(1024)


async def test_a_fault_of_the_body_in_the_middle_ends_the_connection() -> None:
    fault = FileChangedError("it changed", path="local/f")
    async with lying(lambda _: Reply(201)) as server:
        remote = remote_of(server)
        with pytest.raises(FileChangedError) as caught:
            await remote.put("/f", Pieces([bytes(MIB)] * 3, 9 * MIB, fault), token=None)
        assert caught.value is fault
        await remote.put("/f", Pieces([b"x"]), token=None)
        await remote.close()
        assert (server.connections, [len(got.body) for got in server.got]) == (2, [1])


async def test_uploads_that_wait_for_downloads_do_not_wait_for_ever() -> None:
    class Copy:
        size_bytes = len(CONTENT)

        async def chunks(self) -> AsyncIterator[bytes | memoryview]:
            async for piece in remote.get("/f", size_expected=len(CONTENT)):
                yield piece

    async with lying(lambda got: Reply(200, CONTENT) if got.method == "GET" else Reply(201)) as server:
        remote = remote_of(server, connections=2)
        async with asyncio.timeout(20):
            await asyncio.gather(*[remote.put(f"/{number}", Copy(), token=None) for number in range(6)])
        await remote.close()
        assert [got.body == CONTENT for got in server.got if got.method == "PUT"] == [True] * 6


# --- pace ---------------------------------------------------------------------------------------------------


class FakeTransport:
    """Notes what a connection asks of its transport."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def write(self, data: bytes) -> None:
        del data

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> None:
        del name

    def set_write_buffer_limits(self, *, high: int) -> None:
        self.asked.append(f"high {high}")

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")

    def abort(self) -> None:
        self.asked.append("abort")


async def test_the_socket_is_not_read_further_than_two_pieces_ahead() -> None:
    transport = FakeTransport()
    connection = Connection()
    connection.connection_made(cast("asyncio.Transport", transport))

    def feed(data: bytes) -> None:
        room = connection.get_buffer(0)[: len(data)]
        room[:] = data
        connection.buffer_updated(len(data))

    throttle = Throttle(None, FakeClock())
    asking = asyncio.ensure_future(
        connection.exchange(b"GET", None, sent=throttle, limit=0, idle_seconds=60.0, inflow=Inflow())
    )
    await asyncio.sleep(0)
    feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (4 * MIB))
    assert (await asking).announced_bytes == 4 * MIB
    assert transport.asked == ["high 0"]
    feed(b"1" * MIB)
    feed(b"2" * MIB)
    assert transport.asked == ["high 0", "pause"]
    first = await connection.next_piece()
    assert first is not None
    assert bytes(first) == b"1" * MIB
    assert transport.asked == ["high 0", "pause", "resume"]
    feed(b"3" * MIB)
    assert transport.asked == ["high 0", "pause", "resume", "pause"]
    assert bytes(first) == b"1" * MIB
    assert bytes(await connection.next_piece() or b"") == b"2" * MIB
    feed(b"4" * MIB)
    assert not connection.busy
    assert connection.usable
    assert [bytes(await connection.next_piece() or b"") for _ in range(3)] == [b"3" * MIB, b"4" * MIB, b""]
    connection.abort()


def test_a_brake_makes_the_slices_small() -> None:
    settings = HttpSettings()
    assert Throttle(settings.bytes_per_second, FakeClock()).slice_bytes == MIB
    assert Throttle(1000.0, FakeClock()).slice_bytes == 64 * 1024
