"""The HTTP/1.1 connections of the server: stricter than the library's, and none of them for ever.

Layer: ``apps``. What comes before a request reaches a route is bounded here: the size and the shape of its head, the
time it takes to come, the rate of its body and of its answer, and how many connections there are. One task looks at all
connections from time to time, so that a request costs no timer.
"""

import asyncio
import fcntl
import json
import re
import socket
import struct
import termios
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

__all__ = ["HttpLimits", "StrictHttpProtocol", "strict_protocol", "watch_connections"]

_HEAD_BYTES_MAX: Final = 64 * 1024
_FIELDS_MAX: Final = 200
_LEAST_RATE: Final = 100
_EVICT_SHARE: Final = 20
_LINGER_SECONDS: Final = 2.0
_RESET: Final = struct.pack("ii", 1, 0)
_HOST: Final = re.compile(rb"[A-Za-z0-9._~-]{1,253}(:[0-9]{0,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{0,5})?")
_ONCE: Final = frozenset(
    (b"host", b"authorization", b"content-type", b"destination", b"e2e-token", b"transfer-encoding")
)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one worker puts up with."""

    header_seconds: float
    """A new connection and a begun request have this long until the head of the request is whole."""
    stall_seconds: float
    """Over any such time a body, or an answer on its way to a slow reader, moves at least 100 bytes a second."""
    connections_max: int


class _RefusedError(Exception):
    """Raised into the parser to end a connection; the answer is ready by then."""


class StrictHttpProtocol(HttpToolsProtocol):
    """One connection.

    A request target has no fragment (RFC 9112, section 3.2). The library would cut one off, so that ``DELETE /a#b``
    removed ``/a``; here it is 400. Encoded as ``%23`` the character is part of a name as any other. A head that two
    programs could read in two ways (RFC 9112, sections 3.2 and 6) is 400 and the end of the connection, too.
    """

    limits: HttpLimits

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._running: RequestResponseCycle | None = None
        self._in_head = True
        self._since: float | None = None
        """When the head began; None between requests."""
        self.heard = self.loop.time()
        """When the last whole head came, or the connection."""
        self._unparsed = 0
        """Bytes that came since the last head or piece of a body was whole."""
        self._received = 0
        """Bytes of bodies so far."""
        self._window: tuple[float, int] | None = None
        """When slowness began to be measured, and the number of bytes then."""
        self._ended: float | None = None
        """When it was refused; what still comes is thrown away, so that the client gets to read why."""
        self._refusal = (400, "BAD_REQUEST", "This is not a request of HTTP/1.1.")

    # --- what the library calls --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, if need be in the place of the one that has been idle longest."""
        self._since = self.heard
        full = len(self.connections) >= self.limits.connections_max and not _make_room(self.connections)
        super().connection_made(transport)
        if full:
            self._refuse(503, "BUSY", "The server has as many connections as it can hold; try again.", retry=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered; the library tells the newest, which may be waiting behind it."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the client goes on and on without completing anything."""
        if self._ended is not None or self.transport.is_closing():
            return
        if self._since is None and self._in_head:
            self._since = self.loop.time()
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > _HEAD_BYTES_MAX and self._ended is None:
            self._refuse(431, "LIMIT_EXCEEDED", "The head of a request has at most 64 KiB.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._since = True, self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        if b"#" in url:
            self._fail("A request target has no fragment; encode # as %23.")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind the body (a trailer) means nothing here and is dropped."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head and start the request."""
        self._check_head()
        self._in_head, self._since, self._unparsed, self._window = False, None, 0, None
        self.heard = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._unparsed = 0
        self._received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_head, self._unparsed = True, 0
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "ASGI3Application") -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def resume_writing(self) -> None:
        """The answer moves again."""
        self._window = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What the parser could not read: an answer with code and text, and the end of the connection."""
        del msg
        self._refuse(*self._refusal)

    # --- heads -------------------------------------------------------------------------------------------

    def _fail(self, message: str, status: int = 400, code: str = "BAD_REQUEST") -> None:
        """Leave the parser, which ends in ``send_400_response``."""
        self._refusal = (status, code, message)
        raise _RefusedError

    def _check_head(self) -> None:
        headers = self.headers
        size = len(self.url) + sum([len(name) + len(value) for name, value in headers])
        if size > _HEAD_BYTES_MAX or len(headers) > _FIELDS_MAX:
            self._fail("The head of a request has at most 64 KiB and 200 headers.", 431, "LIMIT_EXCEEDED")
        once = [name for name, _ in headers if name in _ONCE]
        if len(once) != len(set(once)):
            self._fail("A header that can be there once only is there twice.")
        known = dict(headers)
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self._fail("The version of HTTP is 1.0 or 1.1.")
        host = known.get(b"host")
        if (host is None and version == "1.1") or (host is not None and not _HOST.fullmatch(host)):
            self._fail("A request has exactly one header Host with a name or an address.")
        coding = known.get(b"transfer-encoding")
        if coding is not None and (version == "1.0" or coding.strip().lower() != b"chunked"):
            self._fail("The only transfer coding is chunked, and HTTP/1.0 has none.")

    # --- time --------------------------------------------------------------------------------------------

    @property
    def _request(self) -> RequestResponseCycle | None:
        """The request that came last, if one did."""
        return self.cycle

    @property
    def is_idle(self) -> bool:
        """Whether no request of the connection is being answered."""
        request = self._request
        done = request is None or (request.response_complete and not self.pipeline)
        return done or self._ended is not None

    def look(self, now: float) -> None:
        """End the connection if it has been too slow; ``now`` is the time of the loop."""
        waiting = self.transport.get_write_buffer_size()
        if waiting:
            # Also of a closed one, which stays until its last byte is out. Downwards, so that more is progress.
            self._measure(now, -(waiting + _unsent(self.transport)))
        elif self.transport.is_closing():
            return
        elif self._ended is not None:
            if now - self._ended > _LINGER_SECONDS:
                self.transport.abort()
        elif self.is_idle and self._in_head:
            if self._since is not None and now - self._since > self.limits.header_seconds:
                self._refuse(408, "TIMEOUT", "The head of the request took too long.")
        elif self._awaits_body:
            self._measure(now, 0 if self.cycle.response_complete else self._received)
        else:
            self._window = None

    @property
    def _awaits_body(self) -> bool:
        """Whether the client has something to send, and is let."""
        return not (self._in_head or self.flow.read_paused or self.cycle.waiting_for_100_continue)

    def _measure(self, now: float, progress: int) -> None:
        if self._window is None:
            self._window = (now, progress)
        elif now - self._window[0] >= self.limits.stall_seconds:
            if progress - self._window[1] < _LEAST_RATE * self.limits.stall_seconds:
                self._refuse(408, "TIMEOUT", "The body of the request came too slowly.")
            self._window = (now, progress)

    def _refuse(self, status: int, code: str, message: str, *, retry: bool = False) -> None:
        """Answer and close; without an answer when another one is under way."""
        self._unset_keepalive_if_required()
        request = self._request
        begun = request is not None and not request.response_complete and (request.response_started or self._in_head)
        if begun or self.transport.get_write_buffer_size():
            # Else the system would keep what it has of the answer, and go on asking whether it is wanted.
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
            return
        answered = request is not None and request.response_complete and not self._in_head
        if answered or (status == 408 and self._in_head and not self._unparsed):
            self.transport.close()  # the rest of a body that was refused before, or nothing was asked
            return
        body = json.dumps({"error": {"code": code, "message": message}}).encode("ascii")
        lines = [
            b"content-type: application/json",
            b"cache-control: no-store",
            b"content-length: " + str(len(body)).encode("ascii"),
            *([b"retry-after: 5"] if retry else []),
            b"connection: close",
        ]
        self.transport.write(STATUS_LINE[status] + b"\r\n".join(lines) + b"\r\n\r\n" + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()  # over TLS there is no half of a connection
        self._ended = self.loop.time()
        if request is not None:
            request.disconnected = True
            request.message_event.set()


def strict_protocol(limits: HttpLimits) -> type[StrictHttpProtocol]:
    """The class of connections with these limits."""
    return type("LimitedHttpProtocol", (StrictHttpProtocol,), {"limits": limits})


async def watch_connections(connections: Iterable[object], limits: HttpLimits) -> None:
    """Look at all connections for ever, several times in the shortest of the times."""
    loop = asyncio.get_running_loop()
    pause = min(2.0, limits.header_seconds / 4, limits.stall_seconds / 4)
    while True:
        await asyncio.sleep(pause)
        now = loop.time()
        for connection in _ours(connections):
            connection.look(now)


def _ours(connections: Iterable[object]) -> list[StrictHttpProtocol]:
    return [connection for connection in connections if isinstance(connection, StrictHttpProtocol)]


def _make_room(connections: Iterable[object]) -> bool:
    """Close those that have been idle longest, a twentieth of them at once; whether there were any."""
    idle = [c for c in _ours(connections) if c.is_idle and not c.transport.is_closing()]
    idle.sort(key=lambda connection: connection.heard)
    for connection in idle[: max(1, len(idle) // _EVICT_SHARE)]:
        connection.transport.abort()
    return bool(idle)


def _unsent(transport: asyncio.Transport) -> int:
    """Bytes that the system holds and the other side has not confirmed."""
    number = transport.get_extra_info("socket").fileno()
    answer: bytes = fcntl.ioctl(number, termios.TIOCOUTQ, b"\0" * 4)
    return int(struct.unpack("i", answer)[0])
