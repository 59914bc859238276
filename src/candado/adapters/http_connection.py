"""One connection to a server: HTTP/1.1 with the parser of httptools, nothing more than the protocol needs.

Layer: ``adapters``; used by ``http_pool``. Requests have a body of known length, from memory or made while it is sent.
Answers have a Content-Length, are chunked, or go on until the end of the connection. A short one is collected under a
limit that is enforced while it arrives; a long one goes to an ``Inflow``, past the parser when its length is known.
Bodies of refusals are thrown away.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, cast

from httptools import HttpParserError, HttpResponseParser

from candado.adapters.http_inflow import Inflow
from candado.adapters.http_settings import Throttle
from candado.errors import CandadoError, LimitExceededError, MalformedError, MisuseError, TransportError
from candado.ports.client import Body

__all__ = ["BrokenError", "Connection", "Reply", "RequestBody", "closing_chunks"]

RequestBody = bytes | memoryview | Body | None

_HEADER_BYTES_MAX: Final = 64 * 1024
_REFUSAL_BYTES_MAX: Final = 64 * 1024
_READ_BYTES: Final = 64 * 1024
_JOINED_BYTES_MAX: Final = 64 * 1024
"""A body below this is sent together with its head."""


class Reply:
    """An answer: status, headers with lower-case names (the last one counts), body; that of a long one is empty."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def announced_bytes(self) -> int | None:
        """Length of the body as announced, None when it is not known before its end."""
        return _announced(self.headers)


class BrokenError(Exception):
    """The connection ended before the answer did."""


class Connection(asyncio.BufferedProtocol):
    """One connection that carries one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.usable = True
        self.busy = False
        """True from the begin of a request to the end of its answer."""
        self.rested_since = 0.0
        self.got_something = False
        self._loop = asyncio.get_running_loop()
        self._space = memoryview(bytearray(_READ_BYTES))
        self._parser: HttpResponseParser | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle_seconds = 0.0
        self._active_at = 0.0
        self._unsent = 0
        self._limit = 0
        self._full = False
        self._paused = False
        self._ours = False
        self._inflow: Inflow | None = None
        self._direct = 0
        self._reset()

    def _reset(self) -> None:
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._pieces: list[bytes] = []
        self._body_bytes = 0
        self._has_headers = False
        self._room = 0

    # --- one request and its answer ---

    async def exchange(
        self,
        head: bytes,
        body: RequestBody,
        *,
        sent: Throttle,
        limit: int,
        idle_seconds: float,
        inflow: Inflow | None = None,
    ) -> Reply:
        """Send one request and wait for its answer, with ``inflow`` only for the headers of a successful one.

        Raises:
            BrokenError, TransportError, FormatError: of the connection and the answer.
            Exception: of the request body, as it is.
        """
        assert self.transport is not None
        self._reset()
        self._parser = HttpResponseParser(self)
        self._limit = limit
        self._inflow = inflow
        self._direct = 0
        self.busy = True
        self._idle_seconds = idle_seconds
        self.got_something = False
        self._active_at = self._loop.time()
        self._waiter = self._loop.create_future()
        if self._timer is None:
            self._timer = self._loop.call_later(idle_seconds, self._look_at_clock)
        try:
            if isinstance(body, bytes) and len(body) < _JOINED_BYTES_MAX:
                self.transport.write(head + body)
            else:
                self.transport.write(head)
                if body is not None:
                    await self._send(body, sent)
            return await self._waiter
        except BaseException:
            if self._waiter.done() and not self._waiter.cancelled():
                # The fault of a body came first; the connection's own, if it has one too, is no news.
                self._waiter.exception()
            self.abort()
            raise
        finally:
            self._waiter = None

    async def next_piece(self) -> memoryview | None:
        """The next piece of a long answer, None at its end; valid until the next one is asked for."""
        assert self._inflow is not None
        piece = await self._inflow.next()
        if self._paused and not self._inflow.is_full:
            self._paused = False
            self._active_at = self._loop.time()
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()
        return piece

    def abort(self) -> None:
        """Close at once."""
        self.usable = self.busy = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.transport is not None:
            self.transport.abort()

    async def _send(self, body: bytes | memoryview | Body, sent: Throttle) -> None:
        """Send a body in slices, each of which left before the next is made; stop when the answer came early."""
        assert self._waiter is not None
        if isinstance(body, bytes | memoryview):
            await self._send_slices(memoryview(body), sent)
        else:
            rest = body.size_bytes
            async with closing_chunks(body) as chunks:
                while not self._waiter.done():
                    self._ours = True
                    try:
                        chunk = memoryview(await anext(chunks))
                    except StopAsyncIteration:
                        break
                    finally:
                        self._stirred()
                    rest -= len(chunk)
                    if rest < 0:
                        break
                    await self._send_slices(chunk, sent)
                else:
                    rest = 0
                    self.usable = False
            if rest != 0:
                raise MisuseError("a body does not have the size it announced")

    async def _send_slices(self, block: memoryview, sent: Throttle) -> None:
        assert self._waiter is not None
        assert self.transport is not None
        for start in range(0, len(block), sent.slice_bytes):
            piece = block[start : start + sent.slice_bytes]
            self._ours = True
            try:
                await sent.take(len(piece))
            finally:
                self._stirred()
            if self._waiter.done():
                self.usable = False
                return
            self.transport.write(piece)
            while self._full and not self._waiter.done():
                self._writable = self._loop.create_future()
                await self._writable

    def _stirred(self) -> None:
        """It is the server's turn again."""
        self._ours = False
        self._active_at = self._loop.time()

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        # The transports of uvloop have the methods of asyncio.Transport, but not its class.
        self.transport = cast("asyncio.Transport", transport)
        # Whoever made a slice uses its memory again as soon as this lets him: nothing of it may be left here then.
        # The transports of TLS take the limit as reached at that size, all others beyond it.
        secure = self.transport.get_extra_info("sslcontext") is not None
        self.transport.set_write_buffer_limits(high=1 if secure else 0)

    def pause_writing(self) -> None:
        """Something is left to be sent."""
        self._full = True

    def resume_writing(self) -> None:
        """Everything was sent."""
        self._full = False
        self._wake_sender()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        del sizehint
        if self._direct and self._inflow is not None:
            return self._inflow.room(self._direct)
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        """A part of an answer, or something that nobody asked for."""
        self._active_at = self._loop.time()
        if self._direct and self._inflow is not None:
            self._direct -= nbytes
            self._inflow.filled(nbytes)
            if self._direct == 0:
                self._finish()
        elif self.busy:
            self._parse(self._space[:nbytes])
        else:
            self.abort()
        if self.busy and self._inflow is not None and self._inflow.is_full and not self._paused:
            assert self.transport is not None
            self._paused = True
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side closed, or the connection broke."""
        self.usable = False
        ends_here = self._has_headers and not {"content-length", "transfer-encoding"} & self._headers.keys()
        if exc is None and ends_here:
            self.on_message_complete()
        self._fail(BrokenError())

    def _parse(self, data: memoryview) -> None:
        assert self._parser is not None
        self.got_something = True
        try:
            self._parser.feed_data(data)
        except HttpParserError as exc:
            cause = exc.__context__
            self.usable = False
            self._fail(cause if isinstance(cause, CandadoError) else MalformedError("the server's answer is not HTTP"))
        if self._header_bytes + len(data) > _HEADER_BYTES_MAX and not self._has_headers:
            self._header_bytes += len(data)
            self._fail(LimitExceededError("the headers of the server's answer are too long"))
        if self.busy and self._inflow is not None and self._has_headers and self._room >= 0:
            length = _announced(self._headers)
            if length is not None:
                # What is left of it needs no parser.
                self.usable = self.usable and self._parser.should_keep_alive()
                self._direct = length - self._body_bytes

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        """An answer begins; one that nobody asked for ends the connection."""
        if not self.busy:
            self.usable = False
            raise MalformedError("the server answered more than it was asked")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _HEADER_BYTES_MAX:
            raise LimitExceededError("the headers of the server's answer are too long")
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """All headers; the announced length is checked before the body arrives."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        self._has_headers = True
        self._room = self._limit if 200 <= status < 300 else -1
        length = _announced(self._headers)
        if self._room < 0:
            return
        if self._inflow is None:
            if length is not None and length > self._room:
                raise LimitExceededError(f"the answer has {length} bytes, more than {self._room}")
            return
        if length is not None:
            self._inflow.expect(length)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(Reply(status, self._headers, b""))

    def on_body(self, data: bytes) -> None:
        """A part of the body; that of a refusal is only counted."""
        self._body_bytes += len(data)
        if self._room < 0:
            if self._body_bytes > _REFUSAL_BYTES_MAX:
                self.usable = False
                self._finish()
        elif self._inflow is not None:
            self._inflow.put(data)
        elif self._body_bytes > self._room:
            raise LimitExceededError(f"the answer has more than {self._room} bytes")
        else:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The whole answer; an interim one (1xx) is passed over."""
        assert self._parser is not None
        if 100 <= self._parser.get_status_code() < 200:
            self._reset()
            return
        self.usable = self.usable and self._parser.should_keep_alive()
        self._finish()

    # --- how it ends ---

    def _finish(self) -> None:
        if self.busy:
            self.busy = False
            if self._waiter is not None and not self._waiter.done():
                assert self._parser is not None
                body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
                self._waiter.set_result(Reply(self._parser.get_status_code(), self._headers, body))
            if self._inflow is not None:
                self._inflow.end()
            self._wake_sender()

    def _fail(self, error: Exception) -> None:
        if self.busy:
            self.busy = False
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
            if self._inflow is not None:
                self._inflow.end(error)
            self._wake_sender()
            self.abort()

    def _wake_sender(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def _look_at_clock(self) -> None:
        """Give up when nothing moved for too long in either direction; one timer serves many requests."""
        self._timer = None
        if not self.busy or self.transport is None:
            return
        unsent = self.transport.get_write_buffer_size()
        now = self._loop.time()
        if unsent != self._unsent or self._ours or self._paused:
            # While a body is made or an answer waits to be read, it is not the server that is slow.
            self._unsent, self._active_at = unsent, now
        rest = self._active_at + self._idle_seconds - now
        if rest <= 0:
            self._fail(TransportError("the server stopped answering"))
        else:
            self._timer = self._loop.call_later(rest, self._look_at_clock)


def _announced(headers: dict[str, str]) -> int | None:
    """The length of a body as its headers tell it; the parser refuses lengths that are none, or two."""
    length = headers.get("content-length", "")
    plain = length.isascii() and length.isdigit() and "transfer-encoding" not in headers
    return int(length) if plain else None


@contextlib.asynccontextmanager
async def closing_chunks(body: Body) -> AsyncIterator[AsyncIterator[bytes | memoryview]]:
    """The chunks of a body; whatever it holds is let go at the end, also when they were not used up."""
    chunks = body.chunks()
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
