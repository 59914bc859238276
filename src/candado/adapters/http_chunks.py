"""Chunked upload, version 2: a folder of numbered chunks that one MOVE turns into the file.

Layer: ``adapters``. Two blocks of memory take turns: while one is sent, the next part of the body is sealed into the
other. A chunk that fails is sent again from its block, so a broken connection costs one block and not the whole file.
The e2e-token goes along with every request, as stock clients do.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import quote

from candado.adapters.http_connection import closing_chunks
from candado.adapters.http_errors import Meanings, ServerFailedError
from candado.adapters.http_wire import Answer, HttpWire
from candado.errors import CandadoError, LimitExceededError, MisuseError, RateLimitedError, TransportError
from candado.ports.ambient import Clock, Random
from candado.ports.client import Body

__all__ = ["ChunkedUpload"]

_CHUNKS_MAX: Final = 10_000
_ANSWER_BYTES_MAX: Final = 64 * 1024


class ChunkedUpload:
    """One file on its way.

    Args:
        wire: the connection.
        user: user id in the path of the uploads.
        chunk_bytes: size of a block; the last chunk may be shorter.
        clock: for pauses between repetitions.
        random: names the upload.
    """

    def __init__(self, wire: HttpWire, user: str, *, chunk_bytes: int, clock: Clock, random: Random) -> None:
        self._wire = wire
        self._chunk_bytes = chunk_bytes
        self._clock = clock
        name = f"candado-{random.token(12).hex()}"
        self._folder = f"/remote.php/dav/uploads/{quote(user, safe='')}/{name}"

    async def run(
        self,
        body: Body,
        *,
        target: str,
        where: str,
        headers: Mapping[str, str],
        final_headers: Mapping[str, str],
        meanings: Meanings,
    ) -> Answer:
        """Send the body and let it appear at ``target``; the answer to the final MOVE.

        Args:
            body: what to send.
            target: absolute URL of the file.
            where: names the file in errors.
            headers: on every request.
            final_headers: on the MOVE only.
            meanings: errors of statuses.

        Raises:
            LimitExceededError: the file needs more than 10,000 chunks.
            CandadoError: of the server, or of the body itself. The chunks were removed as far as that was possible.
        """
        if body.size_bytes > _CHUNKS_MAX * self._chunk_bytes:
            raise LimitExceededError("the file is too large for a chunked upload", path=where)
        every = {**headers, "Destination": target, "OC-Total-Length": str(body.size_bytes)}
        await self._wire.ask(
            "MKCOL", self._folder, limit=_ANSWER_BYTES_MAX, where=where, headers=every, meanings=meanings
        )
        try:
            await self._send_all(body, every, where, meanings)
            return await self._wire.ask(
                "MOVE",
                f"{self._folder}/.file",
                limit=_ANSWER_BYTES_MAX,
                where=where,
                headers={**every, **final_headers},
                meanings=meanings,
                idle_seconds=self._wire.settings.commit_seconds,
            )
        except BaseException:
            with contextlib.suppress(CandadoError, asyncio.CancelledError):
                await asyncio.shield(
                    self._wire.ask("DELETE", self._folder, limit=_ANSWER_BYTES_MAX, where=where, headers=headers)
                )
            raise

    async def _send_all(self, body: Body, headers: Mapping[str, str], where: str, meanings: Meanings) -> None:
        async with closing_chunks(body) as chunks:
            total = await self._send_blocks(_Filler(chunks), headers, where, meanings)
        if total != body.size_bytes:
            raise MisuseError("a body does not have the size it announced", path=where)

    async def _send_blocks(self, source: "_Filler", headers: Mapping[str, str], where: str, meanings: Meanings) -> int:
        """Send everything block by block; the number of bytes."""
        blocks = [bytearray(self._chunk_bytes), bytearray(self._chunk_bytes)]
        sending: asyncio.Task[None] | None = None
        number = 0
        try:
            while True:
                block = blocks[number % 2]
                filled = await source.fill(block)
                if sending is not None:
                    await sending
                    sending = None
                if filled == 0:
                    break
                number += 1
                sending = asyncio.create_task(self._send(number, memoryview(block)[:filled], headers, where, meanings))
        finally:
            if sending is not None:
                sending.cancel()
                with contextlib.suppress(CandadoError, asyncio.CancelledError):
                    await sending
        return source.total

    async def _send(
        self, number: int, block: memoryview, headers: Mapping[str, str], where: str, meanings: Meanings
    ) -> None:
        settings = self._wire.settings
        for attempt in range(1, settings.attempts + 1):
            try:
                await self._wire.ask(
                    "PUT",
                    f"{self._folder}/{number:05d}",
                    limit=_ANSWER_BYTES_MAX,
                    where=where,
                    headers=headers,
                    data=block,
                    meanings=meanings,
                )
            except (TransportError, ServerFailedError, RateLimitedError) as exc:
                pause = self._wire.pause_before_repeat(exc, attempt)
                if attempt == settings.attempts or pause is None:
                    raise
                await self._clock.sleep(pause)
            else:
                return


class _Filler:
    """Packs the pieces of a body into blocks."""

    def __init__(self, chunks: AsyncIterator[bytes | memoryview]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self.total = 0

    async def fill(self, block: bytearray) -> int:
        """Fill the block as far as the body goes; number of bytes, 0 at the end."""
        filled = 0
        while filled < len(block):
            if not self._rest:
                try:
                    self._rest = memoryview(await anext(self._chunks))
                except StopAsyncIteration:
                    break
            count = min(len(self._rest), len(block) - filled)
            block[filled : filled + count] = self._rest[:count]
            self._rest = self._rest[count:]
            filled += count
        self.total += filled
        return filled
