"""A small HTTP server on the loopback interface whose answers are written by the test, byte by byte if need be."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass
class Got:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """An answer; ``raw`` replaces everything, ``cut`` ends the connection after that many body bytes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    cut: int | None = None
    hang: bool = False
    read_body: bool = True


Script = Callable[[Got], Reply | Awaitable[Reply]]


class LyingServer:
    """Answers each request with what ``script`` returns; keeps what arrived in ``got``."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.got: list[Got] = []
        self.connections = 0
        self._tls = tls
        self._stop = asyncio.Event()
        self._open: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, limit=1 << 20)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._server.close()
        await self._server.wait_closed()
        for writer in self._open.values():
            writer.close()
        if tasks := [task for task in self._open if task is not None]:
            await asyncio.wait(tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open[asyncio.current_task()] = writer
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()
            del self._open[asyncio.current_task()]

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = (await reader.readline()).decode("latin-1").strip()
        if not line:
            return False
        method, target, _ = line.split(" ")
        headers = {}
        while header := (await reader.readline()).decode("latin-1").strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        assert "transfer-encoding" not in headers, "chunked encoding is never to be used"
        got = Got(method, target, headers, b"")
        early = self.script(got) if int(headers.get("content-length", 0)) > (1 << 24) else None
        if not (isinstance(early, Reply) and not early.read_body):
            got.body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.got.append(got)
        reply = early or self.script(got)
        if not isinstance(reply, Reply):
            reply = await reply
        if reply.hang:
            await self._stop.wait()
            return False
        writer.write(reply.raw if reply.raw is not None else self._format(reply))
        await writer.drain()
        return reply.raw is None and reply.cut is None and reply.read_body

    @staticmethod
    def _format(reply: Reply) -> bytes:
        headers = {"Content-Length": str(len(reply.body)), **reply.headers}
        head = f"HTTP/1.1 {reply.status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        return head.encode("latin-1") + reply.body[: reply.cut]


@asynccontextmanager
async def lying(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[LyingServer]:
    async with LyingServer(script, tls=tls) as server:
        yield server
