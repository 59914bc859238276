"""Kept connections to one server.

Layer: ``adapters``. A connection that rested is used again when it is fresh enough; a request that may be sent twice
gets a new one when the server closed the old one at that moment. Downloads, uploads that are made while they are sent,
and short exchanges have places of their own, because an upload may wait for a download and nobody should wait for
either to ask a question.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from candado.adapters.http_connection import BrokenError, Connection, Reply, RequestBody
from candado.adapters.http_inflow import Inflow
from candado.adapters.http_settings import Throttle
from candado.adapters.http_tls import tls_reason
from candado.errors import MisuseError, TlsError, TransportError

__all__ = ["HttpPool", "LongReply", "Reply"]

_IDLE_SECONDS_MAX: Final = 3.0
_IDLE_SECONDS_MAX_ONCE: Final = 0.5
"""How long a connection may have rested before it is used again; servers close resting ones after some seconds.
Requests that must not be sent twice get a fresh one sooner."""
_REPEATABLE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "PROPFIND", "OPTIONS"})


class LongReply:
    """An answer whose body is read while it arrives; nothing to read when the status is not success."""

    def __init__(self, reply: Reply, connection: Connection) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self.announced_bytes = reply.announced_bytes
        self._connection = connection

    async def next_piece(self) -> memoryview | None:
        """The next piece of at most 1 MiB, None at the end; valid until the next one is asked for.

        Raises:
            TransportError, MalformedError: the body broke off; all that came before was handed out.
        """
        try:
            return await self._connection.next_piece()
        except BrokenError as exc:
            raise TransportError("the connection broke") from exc


class HttpPool:
    """Connections to one origin.

    Args:
        base_url: scheme, host and port are used.
        tls: context for https; None for http.
        size: how many connections there may be for each purpose.
        connect_seconds: longest time for making one.
        sent: the brake for request bodies that do not go out in one piece.
    """

    def __init__(
        self, base_url: str, *, tls: ssl.SSLContext | None, size: int, connect_seconds: float, sent: Throttle
    ) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._netloc = parts.netloc.encode("ascii", "strict") if parts.netloc.isascii() else parts.netloc.encode("idna")
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._resting: deque[Connection] = deque()
        self._sent = sent
        self._places = asyncio.Semaphore(size)
        self._uploads = asyncio.Semaphore(size)
        self._downloads = asyncio.Semaphore(size)

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: RequestBody,
        limit: int,
        idle_seconds: float,
    ) -> Reply:
        """One request and its whole answer, whatever its status.

        Raises:
            TransportError, TlsError: no connection, or it broke; ``outcome_known`` says whether the request was sent.
            LimitExceededError, MalformedError: the answer is too large or not HTTP.
            Exception: of a body that is made while it is sent, as it is.
        """
        head = self._head(method, target, headers, body)
        again = method in _REPEATABLE and (body is None or isinstance(body, bytes | memoryview))
        async with self._places if body is None or isinstance(body, bytes) else self._uploads:
            reply, connection = await self._exchange(head, body, limit, idle_seconds, None, again=again)
            self._rest(connection)
            return reply

    @contextlib.asynccontextmanager
    async def download(
        self, target: str, *, headers: Mapping[str, str], idle_seconds: float
    ) -> AsyncIterator[LongReply]:
        """One GET whose answer is read while it arrives; as ``request``. Leaving early closes the connection."""
        head = self._head("GET", target, headers, None)
        async with self._downloads:
            reply, connection = await self._exchange(head, None, 0, idle_seconds, Inflow(), again=True)
            try:
                yield LongReply(reply, connection)
            finally:
                self._rest(connection)

    def close(self) -> None:
        """Close the connections that rest."""
        while self._resting:
            self._resting.pop().abort()

    async def _exchange(
        self, head: bytes, body: RequestBody, limit: int, idle_seconds: float, inflow: Inflow | None, *, again: bool
    ) -> tuple[Reply, Connection]:
        connection = self._rested(_IDLE_SECONDS_MAX if again else _IDLE_SECONDS_MAX_ONCE)
        rested = connection is not None
        while True:
            if connection is None:
                connection = await self._connect()
            try:
                reply = await connection.exchange(
                    head, body, sent=self._sent, limit=limit, idle_seconds=idle_seconds, inflow=inflow
                )
            except BrokenError as exc:
                # A server may close a resting connection at the moment it is used again.
                if not rested or connection.got_something or not again:
                    raise TransportError("the connection broke") from exc
            else:
                return reply, connection
            connection, rested = None, False
            inflow = None if inflow is None else Inflow()

    def _rest(self, connection: Connection) -> None:
        if connection.usable and not connection.busy:
            connection.rested_since = asyncio.get_running_loop().time()
            self._resting.append(connection)
        else:
            connection.abort()

    def _rested(self, seconds_max: float) -> Connection | None:
        now = asyncio.get_running_loop().time()
        while self._resting:
            connection = self._resting.pop()
            if connection.usable and now - connection.rested_since <= seconds_max:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        name = self._host if self._tls is not None else None
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(
                    Connection, self._host, self._port, ssl=self._tls, server_hostname=name
                )
        except ssl.SSLError as exc:
            raise TlsError(f"the server's TLS certificate is not accepted: {tls_reason(exc)}") from exc
        except TimeoutError as exc:
            raise TransportError("the server does not answer in time", outcome_known=True) from exc
        except OSError as exc:
            reason = exc.strerror or "no answer"
            raise TransportError(f"the server cannot be reached: {reason}", outcome_known=True) from exc
        return connection

    def _head(self, method: str, target: str, headers: Mapping[str, str], body: RequestBody) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if body is not None:
            size = len(body) if isinstance(body, bytes | memoryview) else body.size_bytes
            lines.append(f"Content-Length: {size}")
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or not text.isascii():
            raise MisuseError("a header must not contain line breaks or anything but ASCII")
        return text.encode("ascii") + b"\r\nHost: " + self._netloc + b"\r\n\r\n"
