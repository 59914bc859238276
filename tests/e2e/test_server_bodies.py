"""Big, broken and lying bodies: constant memory, nothing half-made, nothing read for nobody."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.e2e.server_process import PASSWORD, Caller, ServerProcess, make_data, run_server, serving

BIG = 150 * 1024 * 1024
MEMORY_MAX = 110 * 1024 * 1024
AUTH = b"Authorization: Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()) + b"\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = make_data(tmp_path_factory.mktemp("bodies"), "alice")
    password = data.parent / "password"
    run_server("user", "add", "small", "--password-file", str(password), "--quota", "100K", "--data", str(data))
    with serving(data) as running:
        yield running


async def blobs(server: ServerProcess) -> int:
    return sum(1 for path in (server.data / "blobs").rglob("*") if path.is_file())


async def settled_blobs(server: ServerProcess, expected: int) -> int:
    """The number of files below the store once it is ``expected``, or after five seconds."""
    for _ in range(100):
        if await blobs(server) == expected:
            break
        await asyncio.sleep(0.05)
    return await blobs(server)


async def raw(server: ServerProcess, *pieces: bytes, close: bool = False) -> bytes:
    """Send bytes as they are; the answer up to its first blank line."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if close:
            return b""
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    finally:
        writer.close()


async def test_a_big_file_goes_both_ways_in_constant_memory(server: ServerProcess, alice: Caller) -> None:
    piece = hashlib.sha256(b"seed").digest() * 8192
    sent, received = hashlib.sha1(), hashlib.sha1()

    async def chunks() -> AsyncIterator[bytes]:
        for n in range(BIG // len(piece)):
            block = n.to_bytes(8, "big") + piece[8:]
            sent.update(block)
            yield block

    answer = await alice.dav("PUT", "big", body=chunks())
    assert answer.status == 201
    assert alice._session is not None
    async with alice._session.get(f"{server.url}/remote.php/dav/files/alice/big", headers=alice.headers) as got:
        assert got.headers["Content-Length"] == str(BIG)
        async for part in got.content.iter_any():
            received.update(part)
    assert received.hexdigest() == sent.hexdigest()
    assert server.memory_peak() < MEMORY_MAX


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(server: ServerProcess) -> None:
    before = await blobs(server)
    head = b"PUT /remote.php/dav/files/alice/half HTTP/1.1\r\nHost: x\r\n" + AUTH + b"Content-Length: 9000000\r\n\r\n"
    await raw(server, head, b"x" * 3_000_000, close=True)
    assert await settled_blobs(server, before) == before
    async with Caller(server.url, "alice") as alice:
        assert (await alice.dav("GET", "half")).status == 404


async def test_a_download_nobody_reads_ends(server: ServerProcess, alice: Caller) -> None:
    await alice.dav("PUT", "unread", body=b"y" * 40_000_000)
    request = b"GET /remote.php/dav/files/alice/unread HTTP/1.1\r\nHost: x\r\n" + AUTH + b"\r\n"
    for _ in range(3):
        assert b"200 OK" in await raw(server, request)
    assert (await alice.dav("HEAD", "unread")).status == 200
    descriptors = Path(f"/proc/{server.process.pid}/fd")
    store = str(server.data / "blobs")
    for _ in range(100):
        held = [link for link in descriptors.iterdir() if link.is_symlink() and str(link.readlink()).startswith(store)]
        if not held:
            break
        await asyncio.sleep(0.05)
    assert held == []


async def test_a_chunked_body_without_length_is_accepted(server: ServerProcess, alice: Caller) -> None:
    head = (
        b"PUT /remote.php/dav/files/alice/chunked HTTP/1.1\r\nHost: x\r\n"
        + AUTH
        + b"Transfer-Encoding: chunked\r\n\r\n"
    )
    answer = await raw(server, head, b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 201")
    assert (await alice.dav("GET", "chunked")).body == b"hello world"


async def test_a_refusal_comes_before_the_body_is_asked_for(server: ServerProcess) -> None:
    for path, status in ((b"no/such/folder/f", b"409"), (b"", b"405")):
        head = (
            b"PUT /remote.php/dav/files/alice/"
            + path
            + b" HTTP/1.1\r\nHost: x\r\n"
            + AUTH
            + b"Content-Length: 50000000\r\nExpect: 100-continue\r\n\r\n"
        )
        answer = await raw(server, head)
        assert b"100 Continue" not in answer
        assert answer.split(b" ")[1] in (status, b"403", b"409")


async def test_too_big_for_the_quota_is_507_by_announcement_and_by_count(server: ServerProcess) -> None:
    before = await blobs(server)
    async with Caller(server.url, "small") as small:
        announced = await small.dav("PUT", "f", body=b"z" * 200_000)
        assert (announced.status, "InsufficientStorage" in announced.text) == (507, True)

        async def unannounced() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"z" * 10_000

        assert (await small.dav("PUT", "f", body=unannounced())).status == 507
        assert (await small.dav("GET", "f")).status == 404
        assert (await small.dav("PUT", "f", body=b"z" * 90_000)).status == 201
        assert (await small.dav("PUT", "f", body=b"y" * 95_000)).status == 204
        assert (await small.dav("PUT", "g", body=b"z" * 20_000)).status == 507
        await small.send("MKCOL", "/remote.php/dav/uploads/small/t")
        assert (await small.send("PUT", "/remote.php/dav/uploads/small/t/1", body=b"z" * 90_000)).status == 507
    assert await settled_blobs(server, before + 2) <= before + 2


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
    ],
)
async def test_contradicting_lengths_never_make_a_file(server: ServerProcess, alice: Caller, lines: bytes) -> None:
    head = b"PUT /remote.php/dav/files/alice/smuggled HTTP/1.1\r\nHost: x\r\n" + AUTH + lines + b"\r\n"
    answer = await raw(server, head, b"hello")
    assert answer.split(b" ")[1].startswith(b"4")
    assert (await alice.dav("GET", "smuggled")).status == 404


async def test_many_small_files_at_once_are_all_stored(server: ServerProcess, alice: Caller) -> None:
    await alice.dav("MKCOL", "many")
    answers = await asyncio.gather(*[alice.dav("PUT", f"many/{n}", body=str(n).encode()) for n in range(300)])
    assert {answer.status for answer in answers} == {201}
    bodies = await asyncio.gather(*[alice.dav("GET", f"many/{n}") for n in range(300)])
    assert [answer.body for answer in bodies] == [str(n).encode() for n in range(300)]
