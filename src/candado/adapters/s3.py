"""Blobs in a bucket of an S3-compatible store.

Layer: ``adapters``; implements ``ports.server.ObjectStore`` with ``obstore``.

Layout below the prefix of the place: ``candado.txt`` says that the prefix is ours; every blob of up to 8 MiB is one
object ``blobs/<id>``. A larger one is cut: its pieces of 8 MiB are ``blobs/<stem>.p<number>`` and are sent while it is
received, a few at once; what is left is sent last as ``blobs/<id>``, so that a blob is there when its id is. An id says
how many pieces there are (``blobids``), so a range is asked of the right objects and nothing but the id is needed.

Why not the store's own multipart uploads: a killed process leaves them behind invisibly, and their id would have to be
known before the checksum in it is. Pieces are objects like any others: sent again when in doubt, listed, removed.

What was answered by the store is durable, so ``persist`` has nothing to do. A request that fails is tried again for
some seconds and then is a StoreUnavailableError; a download that breaks off goes on where it was.
"""

import asyncio
import contextlib
import re
import time
import zlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError as ObjectExistsError
from obstore.exceptions import BaseError, NotSupportedError

from candado.adapters.blobids import PIECES_MAX, RandomIds, checksum_in, pieces_in, stem_of, with_checksum
from candado.adapters.s3_place import S3Keys, S3Place, connect, http_status, s3_error
from candado.errors import (
    AlreadyExistsError,
    CandadoError,
    LimitExceededError,
    MisuseError,
    NotFoundError,
    StoreUnavailableError,
)
from candado.ports.ambient import Random

__all__ = ["PIECE_BYTES", "S3Objects"]

PIECE_BYTES: Final = 8 * 1024 * 1024
_YIELD_BYTES: Final = 1024 * 1024
_STREAM_BYTES: Final = 512 * 1024
_WRITER_AHEAD: Final = 3
"""Pieces that one reception may have under way."""
_PIECES_UNDER_WAY: Final = 4
"""Of all receptions of a process, which makes 32 MiB; each holds up to 8 MiB more that it gathers."""
_STALL_SECONDS: Final = 3600.0
"""A reception that sends no piece for so long is given up: a day later its pieces would be taken for left-overs."""
_RESUMES: Final = 1
"""How often a download goes on after a break that brought nothing; one that brings something goes on for ever."""
_DELETE_SLICE: Final = 1000
_LIST_PAGE: Final = 1000
_BLOBS: Final = "blobs/"
_MARKER: Final = "candado.txt"
_BLOB_ID: Final = re.compile(r"[a-z0-9]{32}\Z")
_PIECE: Final = re.compile(r"[0-9a-f]{19}\.p[0-9a-f]{4}\Z")
_UNSATISFIABLE: Final = 416
_DISCARD_SECONDS: Final = 5.0
_NO_BUCKET: Final = "<Code>NoSuchBucket</Code>"
_FOREIGN: Final = (BaseError, OSError)


def _piece_name(stem: str, number: int) -> str:
    return f"{stem}.p{number:04x}"


def _objects_of(blob_id: str) -> list[str]:
    """Names of all objects of a blob, its end last; NotFoundError when the text cannot be an id."""
    if not _BLOB_ID.match(blob_id):
        raise NotFoundError("no such blob", path=blob_id)
    stem = stem_of(blob_id)
    return [*(_piece_name(stem, number) for number in range(pieces_in(blob_id))), blob_id]


class _Writer:
    """A blob that is being received; implements ``BlobWriter``."""

    __slots__ = ("_blob_id", "_checksum", "_done", "_gathered", "_id", "_moved", "_parts", "_sent", "_store", "_tasks")

    def __init__(self, store: "S3Objects", random_id: str) -> None:
        self._store = store
        self._id = random_id
        self._blob_id: str | None = None
        self._checksum = 0
        self._parts: list[bytes] = []
        self._gathered = 0
        self._sent = 0
        self._moved = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self._done = False

    async def write(self, data: bytes | memoryview) -> None:
        """Append; see ``BlobWriter``."""
        if self._done:
            raise MisuseError("the blob is finished")
        if data:
            kept = bytes(data)
            self._checksum = zlib.crc32(kept, self._checksum)
            self._parts.append(kept)
            self._gathered += len(kept)
        while self._gathered > PIECE_BYTES:
            await self._send_piece()

    async def finish(self) -> str:
        """Close it and return its id; it is durable. See ``BlobWriter``."""
        if self._done:
            raise MisuseError("the blob is finished")
        while self._tasks:
            await self._tasks.pop(0)
        self._check_stall()
        self._blob_id = with_checksum(self._id, self._checksum, pieces=self._sent)
        await self._store.send(self._blob_id, b"".join(self._parts))
        self._parts.clear()
        self._done = True
        return self._blob_id

    async def discard(self) -> None:
        """Throw it away; see ``BlobWriter``."""
        if self._done:
            return
        self._done = True
        self._parts.clear()
        if self._tasks:
            # A store may keep a piece whose request was broken off, and after the removal nobody would look for it.
            _, late = await asyncio.wait(self._tasks, timeout=_DISCARD_SECONDS)
            for task in late:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        stem = stem_of(self._id)
        names = [_piece_name(stem, number) for number in range(self._sent)]
        if self._blob_id is not None:
            names.append(self._blob_id)  # a finish whose caller went away: nobody was told its id
        with contextlib.suppress(StoreUnavailableError):
            await self._store.remove(names)

    async def _send_piece(self) -> None:
        """Let the first 8 MiB go; wait while as many are under way as may be."""
        if self._sent >= PIECES_MAX:
            raise LimitExceededError(f"a body of more than {(PIECES_MAX + 1) * PIECE_BYTES} bytes cannot be stored")
        last, self._gathered = self._parts.pop(), self._gathered - PIECE_BYTES
        cut = len(last) - self._gathered
        piece = b"".join([*self._parts, last[:cut]])
        self._parts = [last[cut:]]
        while len(self._tasks) >= _WRITER_AHEAD:
            # A caller that goes away leaves the request alone: ``discard`` has to know when its piece is there.
            await asyncio.wait(self._tasks[:1])
            await self._tasks.pop(0)
        self._check_stall()
        name = _piece_name(stem_of(self._id), self._sent)
        sending = await self._store.begin_sending(name, piece)
        self._sent += 1
        self._tasks.append(sending)

    def _check_stall(self) -> None:
        now = time.monotonic()
        if now - self._moved > _STALL_SECONDS and self._sent:
            raise StoreUnavailableError("a body came in too slowly to be stored", advice="Send it again.")
        self._moved = now


class S3Objects:
    """Blobs of one prefix of one bucket; implements ``ObjectStore``."""

    def __init__(self, place: S3Place, keys: S3Keys, random: Random, *, patience_seconds: float = 30.0) -> None:
        """``open`` is the way to get one that is known to work; patience as for ``connect``."""
        self._place = place
        self._client = connect(place, keys, patience_seconds=patience_seconds)
        self._ids = RandomIds(random)
        self._turns = asyncio.Semaphore(_PIECES_UNDER_WAY)

    @classmethod
    async def open(cls, place: S3Place, keys: S3Keys, random: Random, *, create: bool = True) -> "S3Objects":
        """Connect. ``create`` makes the prefix ours; without it one that is not is a NotFoundError.

        Raises:
            AlreadyExistsError: to be made, and already some server's. NotFoundError: no bucket, or nothing of ours.
            LocalPermissionError: keys or time are refused. StoreUnavailableError: no answer.
        """
        opened = cls(place, keys, random)
        try:
            if create:
                await opened._claim()
            else:
                await obstore.get_async(opened._client, _MARKER)
        except ObjectExistsError as exc:
            raise AlreadyExistsError(
                "the bodies of a candado-server are there already",
                path=str(place),
                advice=f"Choose another prefix. Left over from an init that failed? Then remove the object {_MARKER}.",
            ) from exc
        except FileNotFoundError as exc:
            no_bucket = create or _NO_BUCKET in str(exc)
            raise NotFoundError(
                "there is no such bucket" if no_bucket else "no candado-server keeps its bodies in this place",
                path=str(place),
                safe="Nothing was made there.",
                advice="Check --storage and config.toml; a bucket must be made before `candado-server init`.",
            ) from exc
        except _FOREIGN as exc:
            raise s3_error(exc, place) from exc
        return opened

    async def _claim(self) -> None:
        text = b"Bodies of a candado-server lie below this prefix. Do not remove this object.\n"
        try:
            await obstore.put_async(self._client, _MARKER, text, mode="create", use_multipart=False)
        except NotSupportedError:
            # A store without conditional writes.
            with contextlib.suppress(FileNotFoundError):
                await obstore.head_async(self._client, _MARKER)
                raise AlreadyExistsError("the bodies of a candado-server are there already") from None
            await obstore.put_async(self._client, _MARKER, text, use_multipart=False)

    @property
    def epoch(self) -> str:
        """Constant: what was written is durable."""
        return ""

    def create(self, *, size_hint: int | None = None) -> _Writer:
        """Start a new blob; see ``ObjectStore``. The size hint is not needed here."""
        del size_hint
        return _Writer(self, self._ids.fresh())

    async def put(self, data: bytes) -> str:
        """Store a small blob in one request."""
        writer = self.create()
        try:
            await writer.write(data)
            return await writer.finish()
        except BaseException:
            await writer.discard()
            raise

    async def persist(self, blob_ids: Sequence[str]) -> None:
        """Nothing to do: a blob that has an id is durable."""

    async def read(self, blob_id: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """Bytes start..stop in pieces of at most 1 MiB, one ranged request for each object; see ``ObjectStore``."""
        names = _objects_of(blob_id)
        for number in range(start // PIECE_BYTES, len(names)):
            offset = number * PIECE_BYTES
            if stop is not None and stop <= max(offset, start):
                return
            # The end of what a piece holds is its own end.
            until = (
                None if stop is None or (number + 1 < len(names) and stop >= offset + PIECE_BYTES) else stop - offset
            )
            async for data in self._fetch(names[number], max(start - offset, 0), until):
                yield data

    async def _fetch(self, name: str, position: int, stop: int | None) -> AsyncIterator[memoryview]:
        """Bytes of one object; goes on where it was when an answer breaks off."""
        failures = 0
        while stop is None or position < stop:
            before = position
            try:
                async for data in self._stream(name, position, stop):
                    position += len(data)
                    yield data
            except FileNotFoundError as exc:
                raise self._absent(name, exc) from exc
            except _FOREIGN as exc:
                if http_status(exc) == _UNSATISFIABLE:
                    return  # it ends before
                failures = 0 if position > before else failures + 1
                if failures > _RESUMES or http_status(exc):
                    raise s3_error(exc, self._place) from exc
            else:
                return

    async def _stream(self, name: str, start: int, stop: int | None) -> AsyncIterator[memoryview]:
        options: Any = {}
        if stop is not None:
            options = {"range": (start, stop)}
        elif start:
            options = {"range": {"offset": start}}
        found = await obstore.get_async(self._client, _BLOBS + name, options=options)
        async for data in found.stream(min_chunk_size=_STREAM_BYTES):
            view = memoryview(data)
            for begin in range(0, len(view), _YIELD_BYTES):
                yield view[begin : begin + _YIELD_BYTES]

    async def size(self, blob_id: str) -> int:
        """Size in bytes of all that is there of it; NotFoundError."""
        names = _objects_of(blob_id)
        if len(names) == 1:
            found = await self._asked(obstore.head_async(self._client, _BLOBS + blob_id), blob_id)
            return int(found["size"])
        async for name, size, _ in self._listed(after=stem_of(blob_id)):
            if name == blob_id:
                return size
            if not name.startswith(stem_of(blob_id)):
                break
        raise NotFoundError("no such blob", path=blob_id)

    async def check(self, blob_id: str) -> tuple[int, bool | None]:
        """Read it to its end: its size, and whether it is as it was written; see ``ObjectStore``."""
        size = checksum = 0
        async for data in self.read(blob_id):
            size += len(data)
            checksum = zlib.crc32(data, checksum)
        wanted = checksum_in(blob_id)
        return size, None if wanted is None else checksum == wanted

    async def delete(self, blob_ids: Sequence[str]) -> None:
        """Remove blobs, or left-over pieces that ``scan`` named; absent is success."""
        beside, ends = list[str](), list[str]()
        for blob_id in blob_ids:
            names = [blob_id] if _PIECE.match(blob_id) else _objects_of(blob_id)
            beside += names[:-1]
            ends.append(names[-1])
        # Pieces first: without its end nobody would know any more what they belong to, but a left-over of a day.
        await self.remove(beside)
        await self.remove(ends)

    def scan(self) -> AsyncIterator[tuple[str, int, float]]:
        """All blobs, and single pieces whose blob was never finished: name, size, time of the last writing."""
        return self._listed(after="")

    async def _listed(self, *, after: str) -> AsyncIterator[tuple[str, int, float]]:
        """As ``scan``, from behind a name on. In the order of names pieces come just before the end of their blob."""
        pieces: list[tuple[str, int]] = []
        newest, last = 0.0, ""
        listing = obstore.list(
            self._client, _BLOBS[:-1], offset=_BLOBS + after if after else None, chunk_size=_LIST_PAGE
        )
        try:
            async for page in listing:
                for found in page:
                    name = found["path"].removeprefix(_BLOBS)
                    if name <= last:
                        raise StoreUnavailableError("the storage lists names out of order", path=str(self._place))
                    last, written = name, found["last_modified"].timestamp()
                    if pieces and not name.startswith(stem_of(pieces[0][0])):
                        for lost, size in pieces:
                            yield lost, size, newest
                        pieces, newest = [], 0.0
                    if _PIECE.match(name):
                        pieces.append((name, found["size"]))
                        newest = max(newest, written)
                    elif _BLOB_ID.match(name):
                        yield name, found["size"] + sum(size for _, size in pieces), written
                        pieces, newest = [], 0.0
        except _FOREIGN as exc:
            raise s3_error(exc, self._place) from exc
        for lost, size in pieces:
            yield lost, size, newest

    # --- single requests --------------------------------------------------------------------------------

    async def send(self, name: str, data: bytes) -> None:
        """Write one object."""
        await self._asked(obstore.put_async(self._client, _BLOBS + name, data, use_multipart=False), name)

    async def begin_sending(self, name: str, data: bytes) -> asyncio.Task[None]:
        """Begin to write one object as soon as not too many are under way."""
        await self._turns.acquire()
        sending = asyncio.create_task(self.send(name, data))
        sending.add_done_callback(lambda _: self._turns.release())
        return sending

    async def remove(self, names: Sequence[str]) -> None:
        """Remove objects; absent is success."""
        for begin in range(0, len(names), _DELETE_SLICE):
            paths = [_BLOBS + name for name in names[begin : begin + _DELETE_SLICE]]
            with contextlib.suppress(NotFoundError):
                await self._asked(obstore.delete_async(self._client, paths), names[begin])

    async def _asked(self, request: Coroutine[Any, Any, Any], name: str) -> Any:
        try:
            return await request
        except FileNotFoundError as exc:
            raise self._absent(name, exc) from exc
        except _FOREIGN as exc:
            raise s3_error(exc, self._place) from exc

    def _absent(self, name: str, exc: FileNotFoundError) -> CandadoError:
        """404 is the blob's absence, unless it is that of the bucket."""
        if _NO_BUCKET in str(exc):
            return StoreUnavailableError("the bucket of the storage is gone", path=str(self._place))
        return NotFoundError("no such blob", path=name)
