"""Bodies of the DAV routes: request to blob, parts to answer, both with constant memory.

Layer: ``apps``.
"""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

from candado.apps.dav_exchange import Exchange
from candado.errors import BadRequestError, QuotaExceededError
from candado.ports.ambient import Clock
from candado.ports.server import ObjectStore
from candado.server.model import Part

__all__ = ["announced_checksum", "begun", "digest_parts", "read_parts", "receive_blob"]

_GATHER_BYTES: Final = 1 << 20
_INLINE_BYTES: Final = 1 << 16
_ALIVE_SECONDS: Final = 60.0
_HEX: Final = frozenset("0123456789abcdef")
_HEX_CHARS: Final = {"SHA1": 40, "MD5": 32, "ADLER32": 8, "SHA256": 64}


class _Hash(Protocol):
    """The part of hashlib's interface that is needed."""

    def update(self, data: bytes, /) -> None:
        """Take more."""
        ...

    def hexdigest(self) -> str:
        """Hex of what was taken."""
        ...


class _Adler32:
    """Adler-32 in the same interface."""

    def __init__(self) -> None:
        self._value = 1

    def update(self, data: bytes, /) -> None:
        self._value = zlib.adler32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def announced_checksum(header: str | None) -> tuple[str, str] | None:
    """Return (TYPE, lower-case hex) of an ``OC-Checksum`` header, None when absent or of a type we do not know.

    Raises:
        BadRequestError: it is not ``TYPE:hex`` of the right length.
    """
    if header is None or header == "":
        return None
    kind, colon, value = header.partition(":")
    kind, value = kind.strip().upper(), value.strip().lower()
    if kind not in _HEX_CHARS:
        return None
    if not colon or len(value) != _HEX_CHARS[kind] or not set(value) <= _HEX:
        raise BadRequestError("OC-Checksum is not TYPE:hex")
    return kind, value


def _new_hash(kind: str) -> _Hash:
    if kind == "ADLER32":
        return _Adler32()
    return hashlib.new(kind.lower(), usedforsecurity=False)


async def receive_blob(
    exchange: Exchange,
    objects: ObjectStore,
    *,
    length: int | None,
    bytes_max: int | None,
    checksum: tuple[str, str] | None,
    clock: Clock,
    alive: Callable[[], Awaitable[None]] | None = None,
    believe: bool = True,
) -> tuple[str, int, str | None]:
    """Store the request body as a new blob and return (blob id, size, checksum as TYPE:hex if one was announced).

    ``alive`` is called about once a minute while the body comes in; what it raises ends the reception. Without
    ``believe`` an announced checksum says only which type is wanted, and what is returned is that of the body.

    Raises:
        BadRequestError: the body is not as long as announced, or its checksum differs.
        QuotaExceededError: it is longer than ``bytes_max``; nothing is kept.
        ClientGoneError: the client left; nothing is kept.
    """
    hashing = _new_hash(checksum[0]) if checksum else None
    writer = objects.create(size_hint=length)
    size = 0
    waiting: list[bytes] = []
    waiting_bytes = 0
    last = clock.monotonic()
    try:
        async for piece in exchange.pieces():
            size += len(piece)
            _check_size(size, bytes_max)
            await writer.write(piece)
            if alive is not None and clock.monotonic() - last > _ALIVE_SECONDS:
                last = clock.monotonic()
                await alive()
            if hashing is not None:
                waiting.append(piece)
                waiting_bytes += len(piece)
                if waiting_bytes >= _GATHER_BYTES:
                    await asyncio.to_thread(hashing.update, b"".join(waiting))
                    waiting.clear()
                    waiting_bytes = 0
        _check_length(size, length)
        shown = None
        if hashing is not None and checksum is not None:
            hashing.update(b"".join(waiting))
            shown = f"{checksum[0]}:{hashing.hexdigest()}"
            _check_checksum(shown, f"{checksum[0]}:{checksum[1]}" if believe else shown)
        return await writer.finish(), size, shown
    except BaseException:
        await writer.discard()
        raise


async def digest_parts(objects: ObjectStore, parts: Sequence[Part], kind: str) -> str:
    """The checksum of a stored content as TYPE:hex, with constant memory. BadRequestError for a type not known."""
    kind = kind.strip().upper()
    if kind not in _HEX_CHARS:
        raise BadRequestError(f"the checksum is one of {', '.join(_HEX_CHARS)}")
    hashing = _new_hash(kind)
    async for piece in read_parts(objects, parts, start=0, stop=sum(part.size_bytes for part in parts)):
        if len(piece) < _INLINE_BYTES:
            hashing.update(bytes(piece))
        else:
            await asyncio.to_thread(hashing.update, bytes(piece))
    return f"{kind}:{hashing.hexdigest()}"


def _check_size(size: int, bytes_max: int | None) -> None:
    if bytes_max is not None and size > bytes_max:
        raise QuotaExceededError("the body is larger than the space that is left")


def _check_length(size: int, length: int | None) -> None:
    if length is not None and size != length:
        raise BadRequestError(f"the body has {size} bytes, {length} were announced")


def _check_checksum(found: str, announced: str) -> None:
    if found != announced:
        raise BadRequestError("the checksum of the body differs from OC-Checksum")


async def begun(pieces: AsyncIterator[bytes | memoryview]) -> AsyncIterator[bytes | memoryview]:
    """Return the same pieces, of which the first has been fetched: a store that fails is noticed before any header."""
    first = await anext(pieces, None)

    async def all_of_them() -> AsyncIterator[bytes | memoryview]:
        if first is not None:
            yield first
            async for piece in pieces:
                yield piece

    return all_of_them()


async def read_parts(
    objects: ObjectStore, parts: Sequence[Part], *, start: int, stop: int
) -> AsyncIterator[bytes | memoryview]:
    """Yield bytes ``start`` to ``stop`` (exclusive) of a content made of parts, in pieces of at most 1 MiB."""
    offset = 0
    for part in parts:
        begin, end = max(start, offset), min(stop, offset + part.size_bytes)
        if begin < end:
            async for piece in objects.read(part.blob_id, start=begin - offset, stop=end - offset):
                yield piece
        offset += part.size_bytes
        if offset >= stop:
            return
