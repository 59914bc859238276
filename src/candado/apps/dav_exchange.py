"""One HTTP exchange on the raw ASGI path: headers in, status and pieces out.

Layer: ``apps``. Bodies never pass a framework: a piece is handed on as it arrives, every ``receive`` and ``send`` is
awaited, and nothing is queued, so back-pressure reaches the other end in both directions.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

from candado.apps.server_errors import dav_error_body
from candado.errors import BadRequestError, FormatError, LimitExceededError
from candado.formats.dav import unquote_href
from candado.server.model import Principal
from candado.types import LockToken, UserId

__all__ = ["ClientGoneError", "Exchange", "Header", "decode_path", "split_path"]

Header = tuple[bytes, bytes]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

NOBODY: Final = Principal(UserId(""))
_DOCUMENT_BYTES_MAX: Final = 1 << 20
_TOKEN_CHARS_MAX: Final = 128
_SLASHES: Final = re.compile("/{2,}")


class ClientGoneError(Exception):
    """The client closed the connection; there is nobody left to answer."""


def decode_path(raw: bytes) -> str:
    """Return a percent-encoded path as text, parts joined by "/", without leading and trailing slash.

    Doubled slashes count as one: stock clients join a base URL and a path without looking.

    Raises:
        BadRequestError: not UTF-8, a slash or NUL hidden in a part, ``.`` or ``..``, too long.
    """
    try:
        return unquote_href("/" + _SLASHES.sub("/", raw.decode("utf-8")).strip("/")).strip("/")
    except (UnicodeDecodeError, FormatError) as exc:
        raise BadRequestError("the path cannot be decoded, or has a part that is no name") from exc


def split_path(path: str) -> tuple[str, str]:
    """Return the first part of a decoded path and the rest."""
    head, _, rest = path.partition("/")
    return head, rest


class Exchange:
    """One request and its answer."""

    __slots__ = ("_receive", "_send", "address", "headers", "method", "principal", "raw_path", "scope", "status")

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send, *, address: str) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.address = address
        self.principal = NOBODY
        self.status = 0
        """0 until the answer has begun."""
        self._receive = receive
        self._send = send

    # --- request -----------------------------------------------------------------------------------------

    def text(self, name: bytes) -> str | None:
        """A header as text, None when absent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    def number(self, name: bytes, *, most: int = 2**62) -> int | None:
        """A header as a whole number, None when absent; BadRequestError when it is none, negative or too big."""
        value = self.text(name)
        if value is None or value == "":
            return None
        if not (value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= most):
            raise BadRequestError(f"the header {name.decode('ascii')} is not a number")
        return int(value)

    @property
    def token(self) -> LockToken | None:
        """The lock token in the header or the query, None when absent or empty."""
        found = self.text(b"e2e-token")
        if found is None:
            query: bytes = self.scope.get("query_string", b"")
            found = parse_qs(query.decode("latin-1")).get("e2e-token", [""])[0] if query else ""
        return LockToken(found) if 0 < len(found) <= _TOKEN_CHARS_MAX else None

    @property
    def length(self) -> int | None:
        """Announced size of the body; None for a chunked one."""
        if b"transfer-encoding" in self.headers:
            return None
        return self.number(b"content-length") or 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives; BadRequestError when compressed, ClientGoneError when the client leaves early."""
        if self.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise BadRequestError("a compressed body is not taken; send it as it is")
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            more = message.get("more_body", False)
            body = message.get("body", b"")
            if body:
                yield body

    async def document(self, bytes_max: int = _DOCUMENT_BYTES_MAX) -> bytes:
        """The whole body of a small request; LimitExceededError beyond ``bytes_max``."""
        if (self.length or 0) > bytes_max:
            raise LimitExceededError("the request body is too large")
        collected = bytearray()
        async for piece in self.pieces():
            collected += piece
            if len(collected) > bytes_max:
                raise LimitExceededError("the request body is too large")
        return bytes(collected)

    # --- answer ------------------------------------------------------------------------------------------

    async def reply(self, status: int, headers: Iterable[Header] = (), body: bytes = b"") -> None:
        """Send a complete answer."""
        self.status = status
        shown = [*headers]
        if status not in (204, 304):
            shown.append((b"content-length", str(len(body)).encode("ascii")))
        await self._send({"type": "http.response.start", "status": status, "headers": shown})
        await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    async def refuse(self, status: int, exception: str, message: str, headers: Iterable[Header] = ()) -> None:
        """Send a refusal that no error stands for, as DAV clients parse it; ``exception`` without namespace."""
        body = dav_error_body(f"Sabre\\DAV\\Exception\\{exception}", message)
        await self.reply(status, [(b"content-type", b"application/xml; charset=utf-8"), *headers], body)

    async def not_allowed(self, allow: bytes, status: int = 405) -> None:
        """Say that there is no such method here, and which there are."""
        name = "NotImplemented" if status == 501 else "MethodNotAllowed"
        await self.refuse(status, name, f"{self.method} is not offered here", [(b"allow", allow)])

    async def start(self, status: int, headers: list[Header]) -> None:
        """Send status and headers of an answer whose body follows in pieces."""
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def stream(self, pieces: AsyncIterator[bytes | memoryview]) -> None:
        """Send the body in pieces and stop as soon as the client has gone: ``send`` itself does not say so."""
        watch = asyncio.ensure_future(self._gone())
        try:
            async for piece in pieces:
                if watch.done():
                    raise ClientGoneError
                # The transport may keep the object beyond this call; only bytes are sure not to change meanwhile.
                data = piece if type(piece) is bytes else bytes(piece)
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            watch.cancel()

    async def send_last(self, data: bytes | memoryview) -> None:
        """Send the only piece of a body."""
        await self._send({"type": "http.response.body", "body": bytes(data)})

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
