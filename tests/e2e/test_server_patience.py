"""Slow clients, endless heads, and very many connections: nobody else waits, and nothing stays."""

import asyncio
import base64
import json
import re
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.e2e.server_process import PASSWORD, Caller, ServerProcess, make_data, serving

AUTH = b"Authorization: Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()) + b"\r\n"
HEAD = b" HTTP/1.1\r\nHost: x\r\n" + AUTH
FILES = b"/remote.php/dav/files/alice/"
BIG = 30_000_000
CONNECTIONS = 1500


def configured(folder: Path, *lines: str) -> Path:
    data = make_data(folder, "alice")
    with (data / "config.toml").open("a") as config:
        config.write("\n".join(lines) + "\n")
    return data


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = configured(
        tmp_path_factory.mktemp("patience"),
        "header_seconds = 2",
        "stall_seconds = 2",
        f"connections = {CONNECTIONS}",
    )
    with serving(data) as running:
        yield running
        log = (running.data.parent / "server.log").read_text()
        assert "Traceback" not in log, log


@asynccontextmanager
async def connected(server: ServerProcess) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Everything up to the end of the connection."""
    found = bytearray()
    try:
        while piece := await asyncio.wait_for(reader.read(65536), 20):
            found += piece
    except ConnectionError:
        pass
    return bytes(found)


async def trickle(
    server: ServerProcess, first: bytes, drop: bytes, seconds: float = 0.05, drops: int = 1_000_000
) -> bytes:
    """Send ``first`` and then a little from time to time; the answer that ends it."""
    async with connected(server) as (reader, writer):
        answer = asyncio.create_task(rest(reader))
        writer.write(first)
        for _ in range(drops):
            await asyncio.wait([answer], timeout=seconds)
            if answer.done() or writer.is_closing():
                break
            writer.write(drop)
            try:
                await writer.drain()
            except ConnectionError:
                break
        return await answer


def refusal(answer: bytes) -> tuple[int, str]:
    """Status and code of an answer that has to have both, a text, and nothing behind."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower(), answer
    error = json.loads(body)["error"]
    assert error["message"].endswith((".", "again.")), error
    return int(head.split(b" ")[1]), error["code"]


def blobs(server: ServerProcess) -> int:
    return sum(1 for path in (server.data / "blobs").rglob("*") if path.is_file())


async def until_blobs(server: ServerProcess, count: int) -> None:
    async with asyncio.timeout(10):
        while blobs(server) != count:
            await asyncio.sleep(0.05)


async def test_a_head_that_trickles_in_is_408_after_its_time(server: ServerProcess) -> None:
    assert refusal(await trickle(server, b"GET /status.php HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"a")) == (408, "TIMEOUT")


async def test_empty_lines_for_ever_are_no_head(server: ServerProcess) -> None:
    assert refusal(await trickle(server, b"\r\n", b"\r\n")) == (408, "TIMEOUT")


async def test_a_second_request_has_no_more_time_than_the_first(server: ServerProcess) -> None:
    answer = await trickle(server, b"GET /204 HTTP/1.1\r\nHost: x\r\n\r\nGET /2", b"a")
    first, _, second = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 204")
    assert refusal(second) == (408, "TIMEOUT")


async def test_a_connection_that_says_nothing_is_closed_without_a_word(server: ServerProcess) -> None:
    async with connected(server) as (reader, _):
        assert await rest(reader) == b""


@pytest.mark.parametrize(
    ("lines", "drop"),
    [(b"Content-Length: 90000000\r\n\r\n", b"x"), (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")],
    ids=["announced", "chunked"],
)
async def test_a_body_that_trickles_in_is_408_and_leaves_nothing(
    server: ServerProcess, alice: Caller, lines: bytes, drop: bytes
) -> None:
    before = blobs(server)
    answer = await trickle(server, b"PUT " + FILES + b"slow" + HEAD + lines, drop)
    assert refusal(answer) == (408, "TIMEOUT")
    await until_blobs(server, before)
    assert (await alice.dav("GET", "slow")).status == 404


async def test_a_call_with_a_slow_body_is_408(server: ServerProcess) -> None:
    start = b"POST /login/v2/poll" + HEAD + b"Content-Length: 5000\r\n\r\n"
    assert refusal(await trickle(server, start, b"x")) == (408, "TIMEOUT")


async def test_the_rest_of_a_refused_body_is_not_waited_for(server: ServerProcess) -> None:
    answer = await trickle(
        server, b"PUT " + FILES + b"no/folder" + HEAD + b"Content-Length: 90000000\r\n\r\n", b"x" * 999
    )
    assert answer.startswith(b"HTTP/1.1 409")


async def test_a_slow_reader_is_cut_off_and_others_are_served_meanwhile(server: ServerProcess, alice: Caller) -> None:
    await alice.dav("PUT", "big", body=bytes(BIG))
    readers = []
    for method in (b"GET " + FILES + b"big", b"GET /index.php/remote.php/webdav/big"):
        reader, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"), limit=1024)
        writer.write(method + HEAD + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        readers.append((reader, writer))
    other = await alice.dav("GET", "big")
    assert len(other.body) == BIG
    for reader, writer in readers:
        await until_cut(server, writer)
        assert len(await rest(reader)) < BIG
        writer.close()


async def until_cut(server: ServerProcess, writer: asyncio.StreamWriter) -> None:
    """Wait until the server has no connection with this port any more."""
    port = writer.get_extra_info("sockname")[1]
    mark = re.compile(rf":{int(server.url.rpartition(':')[2]):04X} [0-9A-F]+:{port:04X} 0[14589]")
    async with asyncio.timeout(15):
        while mark.search(Path("/proc/net/tcp").read_text()):
            await asyncio.sleep(0.1)


async def test_a_slow_reader_that_gave_up_asking_is_cut_off_too(server: ServerProcess, alice: Caller) -> None:
    await alice.dav("PUT", "middle", body=bytes(60_000))
    async with connected(server) as (reader, writer):
        request = b"GET " + FILES + b"middle" + HEAD
        # So many answers that the last ones stay with the server, which has nothing more to do for them.
        writer.write((request + b"\r\n") * 300 + request + b"Connection: close\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await until_cut(server, writer)


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"GET /", b"a" * 9000),
        (b"GET / HTTP/1.1\r\nHost: x\r\nCookie: ", b"a" * 9000),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a: b\r\n" * 1500),
        (b"PUT " + FILES + b"endless" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 9000),
        (b"PUT " + FILES + b"endless" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nt: ", b"a" * 9000),
        (b"PUT " + FILES + b"endless" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 1500),
    ],
    ids=["target", "value", "headers", "extension", "trailer", "trailers"],
)
async def test_what_never_ends_is_431_and_is_not_kept(
    server: ServerProcess, alice: Caller, start: bytes, drop: bytes
) -> None:
    before = server.memory_peak()
    # Quick, because the time alone would end it as well.
    answer = await trickle(server, start, drop, 0)
    assert refusal(answer) == (431, "LIMIT_EXCEEDED")
    assert server.memory_peak() - before < 4_000_000
    assert (await alice.dav("GET", "endless")).status == 404


@pytest.mark.parametrize("lines", [b"a: b\r\n" * 201, b"a: " + b"b" * 66_000 + b"\r\n"], ids=["many", "long"])
async def test_a_large_head_in_one_piece_is_431(server: ServerProcess, lines: bytes) -> None:
    async with connected(server) as (reader, writer):
        writer.write(b"GET /204 HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")
        assert refusal(await rest(reader)) == (431, "LIMIT_EXCEEDED")


def memory(server: ServerProcess) -> int:
    """Resident bytes now."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def open_files(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


async def test_thousands_of_connections_keep_nobody_out(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 6000), hard))
    data = configured(tmp_path_factory.mktemp("many"), f"connections = {CONNECTIONS}")
    with serving(data) as server:
        async with Caller(server.url, "alice") as alice:
            await alice.dav("PUT", "f", body=b"x" * 5000)
            before = memory(server)
            host, _, port = server.url.removeprefix("http://").partition(":")
            crowd = []
            for number in range(3500):
                _, writer = await asyncio.open_connection(host, int(port))
                if number % 7 == 0:
                    writer.write(b"PUT " + FILES + b"f HTTP/1.1\r\nHost: x\r\nX-Half: ")
                crowd.append(writer)
                if number % 50 == 0:
                    async with Caller(server.url, "alice") as fresh, asyncio.timeout(15):
                        assert (await fresh.dav("GET", "f")).body == b"x" * 5000
            assert open_files(server) < CONNECTIONS + 100
            assert memory(server) - before < CONNECTIONS * 32 * 1024
            for writer in crowd:
                writer.transport.abort()
            assert (await alice.dav("GET", "f")).status == 200
            async with asyncio.timeout(20):
                while open_files(server) > 100:
                    await asyncio.sleep(0.05)


async def test_when_all_are_at_work_the_next_is_told_to_come_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(configured(tmp_path_factory.mktemp("full"), "connections = 3")) as server:
        uploads = []
        for number in range(3):
            reader, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"))
            path = FILES + str(number).encode()
            writer.write(b"PUT " + path + HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            uploads.append((reader, writer))
        async with connected(server) as (reader, writer):
            answer = await rest(reader)
            assert refusal(answer) == (503, "BUSY")
            assert b"\r\nretry-after: 5\r\n" in answer
        for reader, writer in uploads:
            writer.write(b"hello")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201")
            writer.close()
