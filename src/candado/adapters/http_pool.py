"""Short requests over kept connections: HTTP/1.1 with the parser of httptools, nothing more than the protocol needs.

Layer: ``adapters``. Everything whose body and answer fit in memory goes this way: listings, metadata, locks, small
files. A request costs a fraction of what a general client needs, and commands that only do such requests need not
import one. Bodies that stream go through aiohttp, see ``http_wire``. Responses: Content-Length, chunked, or until the
end of the connection; a limit is enforced while an answer arrives; bodies of refusals are thrown away.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpResponseParser

from candado.adapters.http_tls import tls_reason
from candado.errors import CandadoError, LimitExceededError, MalformedError, MisuseError, TlsError, TransportError

__all__ = ["PLAIN_BODY_BYTES_MAX", "HttpPool", "Reply"]

PLAIN_BODY_BYTES_MAX: Final = 4 << 20
"""Larger bodies are streamed."""

_HEADER_BYTES_MAX: Final = 64 * 1024
_REFUSAL_BYTES_MAX: Final = 64 * 1024
_IDLE_SECONDS_MAX: Final = 3.0
_IDLE_SECONDS_MAX_ONCE: Final = 0.5
"""How long a connection may have rested before it is used again; servers close resting ones after some seconds.
Requests that must not be sent twice get a fresh one sooner."""
_REPEATABLE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "PROPFIND", "OPTIONS"})


class Reply:
    """An answer: status, headers with lower-case names (the last one counts), body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class _BrokenError(Exception):
    """The connection ended before the answer did."""


class _Connection(asyncio.Protocol):
    """One connection that carries one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.usable = True
        self.rested_since = 0.0
        self.got_something = False
        self._loop = asyncio.get_running_loop()
        self._parser: HttpResponseParser | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle_seconds = 0.0
        self._active_at = 0.0
        self._unsent = 0
        self._limit = 0
        self._reset()

    def _reset(self) -> None:
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._pieces: list[bytes] = []
        self._body_bytes = 0
        self._has_headers = False
        self._room = 0

    async def send(self, head: bytes, body: bytes | None, *, limit: int, idle_seconds: float) -> Reply:
        """Send one request and wait for its answer; ``_BrokenError``, TransportError, FormatError."""
        assert self.transport is not None
        self._reset()
        self._parser = HttpResponseParser(self)
        self._limit = limit
        self._idle_seconds = idle_seconds
        self.got_something = False
        self._active_at = self._loop.time()
        self._waiter = self._loop.create_future()
        if self._timer is None:
            self._timer = self._loop.call_later(idle_seconds, self._look_at_clock)
        self.transport.write(head if not body else head + body if len(body) < 65536 else head)
        if body and len(body) >= 65536:
            self.transport.write(body)
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiter = None

    def abort(self) -> None:
        """Close at once."""
        self.usable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.transport is not None:
            self.transport.abort()

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        # The transports of uvloop have the methods of asyncio.Transport, but not its class.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A part of an answer, or something that nobody asked for."""
        if self._waiter is None or self._waiter.done() or self._parser is None:
            self.abort()
            return
        self.got_something = True
        self._active_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except HttpParserError as exc:
            cause = exc.__context__
            self._fail(cause if isinstance(cause, CandadoError) else MalformedError("the server's answer is not HTTP"))
        if self._header_bytes + len(data) > _HEADER_BYTES_MAX and not self._has_headers:
            self._header_bytes += len(data)
            self._fail(LimitExceededError("the headers of the server's answer are too long"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side closed, or the connection broke."""
        self.usable = False
        ends_here = self._has_headers and not {"content-length", "transfer-encoding"} & self._headers.keys()
        if exc is None and ends_here:
            self.on_message_complete()
        self._fail(_BrokenError())

    # --- what the parser calls ---

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _HEADER_BYTES_MAX:
            raise LimitExceededError("the headers of the server's answer are too long")
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """All headers; the announced length is checked before the body arrives."""
        assert self._parser is not None
        self._has_headers = True
        self._room = self._limit if 200 <= self._parser.get_status_code() < 300 else -1
        length = self._headers.get("content-length", "")
        if self._room >= 0 and length.isdigit() and int(length) > self._room:
            raise LimitExceededError(f"the answer has {length[:30]} bytes, more than {self._room}")

    def on_body(self, data: bytes) -> None:
        """A part of the body; that of a refusal is only counted."""
        self._body_bytes += len(data)
        if self._room >= 0:
            if self._body_bytes > self._room:
                raise LimitExceededError(f"the answer has more than {self._room} bytes")
            self._pieces.append(data)
        elif self._body_bytes > _REFUSAL_BYTES_MAX:
            self.usable = False
            self._finish()

    def on_message_complete(self) -> None:
        """The whole answer; an interim one (1xx) is passed over."""
        assert self._parser is not None
        if 100 <= self._parser.get_status_code() < 200:
            self._reset()
            return
        self.usable = self.usable and self._parser.should_keep_alive()
        self._finish()

    def _finish(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            assert self._parser is not None
            body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._waiter.set_result(Reply(self._parser.get_status_code(), self._headers, body))

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
            self.abort()

    def _look_at_clock(self) -> None:
        """Give up when nothing moved for too long in either direction; one timer serves many requests."""
        self._timer = None
        if self._waiter is None or self._waiter.done() or self.transport is None:
            return
        unsent = self.transport.get_write_buffer_size()
        now = self._loop.time()
        if unsent != self._unsent:
            self._unsent, self._active_at = unsent, now
        rest = self._active_at + self._idle_seconds - now
        if rest <= 0:
            self._fail(TransportError("the server stopped answering"))
        else:
            self._timer = self._loop.call_later(rest, self._look_at_clock)


class HttpPool:
    """Connections to one origin.

    Args:
        base_url: scheme, host and port are used.
        tls: context for https; None for http.
        size: how many connections there may be.
        connect_seconds: longest time for making one.
    """

    def __init__(self, base_url: str, *, tls: ssl.SSLContext | None, size: int, connect_seconds: float) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._netloc = parts.netloc.encode("ascii", "strict") if parts.netloc.isascii() else parts.netloc.encode("idna")
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._resting: deque[_Connection] = deque()
        self._places = asyncio.Semaphore(size)

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        limit: int,
        idle_seconds: float,
    ) -> Reply:
        """One request and its whole answer, whatever its status.

        Raises:
            TransportError, TlsError: no connection, or it broke; ``outcome_known`` says whether the request was sent.
            LimitExceededError, MalformedError: the answer is too large or not HTTP.
        """
        head = self._head(method, target, headers, body)
        async with self._places:
            connection = self._rested(_IDLE_SECONDS_MAX if method in _REPEATABLE else _IDLE_SECONDS_MAX_ONCE)
            if connection is not None:
                try:
                    return await self._use(connection, head, body, limit, idle_seconds)
                except _BrokenError as exc:
                    # A server may close a resting connection at the moment it is used again.
                    if connection.got_something or method not in _REPEATABLE:
                        raise TransportError("the connection broke") from exc
            try:
                return await self._use(await self._connect(), head, body, limit, idle_seconds)
            except _BrokenError as exc:
                raise TransportError("the connection broke") from exc

    def close(self) -> None:
        """Close the connections that rest."""
        while self._resting:
            self._resting.pop().abort()

    async def _use(
        self, connection: _Connection, head: bytes, body: bytes | None, limit: int, idle_seconds: float
    ) -> Reply:
        reply = await connection.send(head, body, limit=limit, idle_seconds=idle_seconds)
        if connection.usable:
            connection.rested_since = asyncio.get_running_loop().time()
            self._resting.append(connection)
        else:
            connection.abort()
        return reply

    def _rested(self, seconds_max: float) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._resting:
            connection = self._resting.pop()
            if connection.usable and now - connection.rested_since <= seconds_max:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        name = self._host if self._tls is not None else None
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(
                    _Connection, self._host, self._port, ssl=self._tls, server_hostname=name
                )
        except ssl.SSLError as exc:
            raise TlsError(f"the server's TLS certificate is not accepted: {tls_reason(exc)}") from exc
        except TimeoutError as exc:
            raise TransportError("the server does not answer in time", outcome_known=True) from exc
        except OSError as exc:
            reason = exc.strerror or "no answer"
            raise TransportError(f"the server cannot be reached: {reason}", outcome_known=True) from exc
        return connection

    def _head(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or not text.isascii():
            raise MisuseError("a header must not contain line breaks or anything but ASCII")
        return text.encode("ascii") + b"\r\nHost: " + self._netloc + b"\r\n\r\n"
