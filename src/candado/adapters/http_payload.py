"""Request bodies of known length, sent in slices with back-pressure.

Layer: ``adapters``; imports aiohttp, so it is imported only when a body is to be sent. A known length means no chunked
transfer encoding, which some WebDAV servers refuse.
"""

import asyncio
from typing import Final

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from candado.adapters.http_chunks import closing_chunks
from candado.adapters.http_settings import Throttle
from candado.errors import MisuseError, TransportError
from candado.ports.client import Body

__all__ = ["BlockPayload", "BodyPayload"]

_SLICE_BYTES: Final = 256 * 1024


class _SlicedPayload(Payload):
    """What both bodies share: the length, and writing one piece in slices that each make progress in time."""

    def __init__(self, value: object, size_bytes: int, throttle: Throttle, idle_seconds: float) -> None:
        super().__init__(value)
        self._size = size_bytes
        self._throttle = throttle
        self._idle_seconds = idle_seconds

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """A ciphertext is no text: MisuseError."""
        raise MisuseError(f"a ciphertext cannot be shown as text ({encoding}, {errors})")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send everything; TransportError when nothing moves for too long."""
        raise NotImplementedError

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Send everything; the length was announced already."""
        del content_length
        await self.write(writer)

    async def _send(self, writer: AbstractStreamWriter, piece: bytes | memoryview) -> None:
        await self._throttle.take(len(piece))
        async with asyncio.timeout(self._idle_seconds):
            await writer.write(piece)
            await writer.drain()


class BodyPayload(_SlicedPayload):
    """A body that is made while it is sent, once only.

    ``fault`` is the error of the body itself, such as a local file that changed; it is not the server's.
    """

    def __init__(self, body: Body, throttle: Throttle, idle_seconds: float) -> None:
        super().__init__(body, body.size_bytes, throttle, idle_seconds)
        self._body = body
        self.fault: Exception | None = None

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the body in order; each slice is copied, because the view it comes from is used again."""
        if self._consumed:
            raise TransportError("the connection broke before the file was sent", outcome_known=False)
        self._consumed = True
        rest = self._body.size_bytes
        async with closing_chunks(self._body) as chunks:
            while True:
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    break
                except Exception as exc:
                    self.fault = exc
                    raise
                rest -= len(chunk)
                if rest < 0:
                    break
                for start in range(0, len(chunk), _SLICE_BYTES):
                    await self._send(writer, bytes(chunk[start : start + _SLICE_BYTES]))
        if rest != 0:
            self.fault = MisuseError("a body does not have the size it announced")
            raise self.fault


class BlockPayload(_SlicedPayload):
    """A block of memory that stays as it is until the answer came; it can be sent again."""

    def __init__(self, block: bytes | memoryview, throttle: Throttle, idle_seconds: float) -> None:
        super().__init__(block, len(block), throttle, idle_seconds)
        self._block = memoryview(block)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the block."""
        for start in range(0, len(self._block), _SLICE_BYTES):
            await self._send(writer, self._block[start : start + _SLICE_BYTES])
