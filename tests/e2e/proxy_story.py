"""What must work through a proxy that ends TLS, whichever it is."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
from tests.e2e.cli_world import Cloud
from tests.e2e.proxies import Proxy
from tests.e2e.server_process import Caller

MEBIBYTE = 1 << 20
PIECE = bytes(range(256)) * (MEBIBYTE // 256)
PROXY_BYTES_MAX = 96 * MEBIBYTE


class SecureCaller(Caller):
    """A caller that trusts one authority, and may come from another address of this machine."""

    def __init__(
        self, url: str, user: str | None, authority: Path | None, *, address: str = "", password: str = ""
    ) -> None:
        super().__init__(url, user, **({"password": password} if password else {}))
        self._authority = authority
        self._address = address

    async def __aenter__(self) -> Self:
        context: Any = ssl.create_default_context(cafile=self._authority) if self._authority else True
        local = (self._address, 0) if self._address else None
        connector = aiohttp.TCPConnector(ssl=context, local_addr=local, family=socket.AF_INET)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self


async def until(done: Callable[[], object]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def received(data: Path) -> int:
    """Bytes of bodies that the server is receiving."""
    total = 0
    for path in (data / "blobs" / "incoming").iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # it got its name meanwhile
            continue
    return total


async def bodies_stream_both_ways(caller: Caller, proxy: Proxy, data: Path, mebibytes: int) -> None:
    """The server has the first half before the client sends the second; parts come back as asked for."""
    half = mebibytes // 2

    async def body() -> AsyncIterator[bytes]:
        for _ in range(half):
            yield PIECE
        await until(lambda: received(data) >= (half - 3) * MEBIBYTE)
        for _ in range(mebibytes - half):
            yield PIECE

    size = str(mebibytes * MEBIBYTE)
    assert (await caller.dav("PUT", "big", body=body(), Content_Length=size)).status == 201
    whole = await caller.dav("GET", "big")
    assert (whole.status, len(whole.body), whole.body == PIECE * mebibytes) == (200, mebibytes * MEBIBYTE, True)
    part = await caller.dav("GET", "big", Range=f"bytes={MEBIBYTE - 2}-{MEBIBYTE + 1}")
    assert (part.status, part.body) == (206, b"\xfe\xff\x00\x01")
    assert part.headers["Content-Range"] == f"bytes {MEBIBYTE - 2}-{MEBIBYTE + 1}/{size}"
    assert proxy.memory_peak() < PROXY_BYTES_MAX


async def webdav_works_with_destinations_of_the_outside(caller: Caller, url: str) -> None:
    """The Destination is https and of the proxy, the server behind it is asked by http."""
    home = f"/remote.php/dav/files/{caller.user}"
    assert (await caller.dav("MKCOL", "dir")).status == 201
    assert (await caller.dav("PUT", "dir/a%20b", body=b"x")).status == 201
    assert (await caller.dav("COPY", "dir/a%20b", Destination=f"{url}{home}/dir/copy")).status == 201
    assert (await caller.dav("MOVE", "dir/copy", Destination=f"{url}{home}/moved%23%3F")).status == 201
    assert (await caller.dav("MOVE", "dir/a%20b", Destination=f"{url}{home}/moved%23%3F", Overwrite="F")).status == 412
    assert (await caller.dav("GET", "moved%23%3F")).body == b"x"
    listed = await caller.dav("PROPFIND", "dir", Depth="1")
    assert (listed.status, listed.text.count("<d:response>"), "a%20b" in listed.text) == (207, 2, True)
    assert (await caller.dav("DELETE", "dir")).status == 204
    assert (await caller.dav("GET", "absent")).status == 404
    uploads = f"/remote.php/dav/uploads/{caller.user}/one"
    target = f"{url}{home}/joined"
    assert (await caller.send("MKCOL", uploads, Destination=target)).status == 201
    for number, text in ((1, b"first"), (2, b"second")):
        assert (await caller.send("PUT", f"{uploads}/{number:05}", body=text, Destination=target)).status == 201
    joined = await caller.send("MOVE", f"{uploads}/.file", Destination=target, OC_Total_Length="11")
    assert joined.status == 201
    assert (await caller.dav("GET", "joined")).body == b"firstsecond"


def two_devices_and_a_person_share_a_folder(cloud: Cloud, authority: Path, here: Path, there: Path) -> None:
    """Our client, through the proxy, with an authority of its own: encrypt, sync, a second device, share, read."""
    (here / "sub").mkdir(parents=True)
    content = {f"sub/Ünïcode {n}": bytes([n]) * 30_000 for n in range(12)} | {"empty": b""}
    for name, body in content.items():
        (here / name).write_bytes(body)
    options = ("--insecure-storage", "--ca-file", authority)
    devices = []
    for user, words in (("rosa", "--phrase-out"), ("rosa", "--phrase-file"), ("tom", "--phrase-out")):
        device = cloud.device(user if words == "--phrase-file" else cloud.user(user))
        device.login(*options)
        device.run("init", words, cloud.folder / f"{user}.words")
        devices.append(device)
    laptop, phone, friend = devices
    laptop.run("sync", here, "Docs", "--encrypt")
    phone.run("sync", there, "Docs")
    found = {str(p.relative_to(there)): p.read_bytes() for p in there.rglob("*") if p.is_file() and p.name[0] != "."}
    assert found == content
    laptop.run("share", "Docs", "tom")
    assert friend.run("cat", "Docs/sub/Ünïcode 3").out.encode() == content["sub/Ünïcode 3"]
