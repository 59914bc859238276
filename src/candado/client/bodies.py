"""Ciphertext made while it is sent, from a local file, a remote file or memory.

Layer: ``client``; implements ``ports.client.Body``. Two buffers take turns: while one is on the wire a thread reads
and seals the next, so memory does not depend on the size of the file.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from candado.crypto.filebody import BodyOpener, BodySealer, sealed_size
from candado.errors import CandadoError, FileChangedError, OpenFailedError
from candado.ports.client import LocalFile, LocalStat
from candado.types import FileKey, Nonce, Tag

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.view import RemoteEntry

__all__ = ["PIECE_BYTES", "CopyBody", "FileBody", "MemoryFile", "Progress", "ProgressEvent"]

PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far one file is: ``direction`` is ``up`` or ``down``; plaintext bytes done and in total."""

    path: str
    direction: str
    bytes_done: int
    bytes_total: int
    finished: bool


Progress = Callable[[ProgressEvent], None]
"""Called often and from the event loop; it must return at once."""


class FileBody:
    """A local file, sealed piece by piece in a thread while the piece before is on the wire."""

    def __init__(self, file: LocalFile, key: FileKey, nonce: Nonce, meter: Callable[[int], None]) -> None:
        self._file = file
        self._sealer = BodySealer(key, nonce)
        self._meter = meter
        self._plain_size = file.stat.size_bytes
        self._read = 0
        self._plain = bytearray(PIECE_BYTES)
        self._buffers = (bytearray(PIECE_BYTES + 32), bytearray(PIECE_BYTES + 32))
        self._pending: asyncio.Task[int] | None = None
        self.failure: CandadoError | None = None
        self.tag = Tag(bytes(16))

    @property
    def size_bytes(self) -> int:
        """Length of the ciphertext with its tag."""
        return sealed_size(self._plain_size)

    async def chunks(self) -> AsyncIterator[bytes | memoryview]:
        """Yield the ciphertext; see ``Body``."""
        turn = 0
        self._pending = self._start(turn)
        try:
            while True:
                count = await asyncio.shield(self._pending)
                if count == 0:
                    return
                ready = memoryview(self._buffers[turn])[:count]
                turn = 1 - turn
                self._pending = self._start(turn)
                yield ready
                self._meter(min(self._read, self._plain_size))
        except CandadoError as error:
            self.failure = error
            raise

    async def stop(self) -> None:
        """Wait for the thread that works ahead; to be called before the file is closed, however the upload ended."""
        if self._pending is not None:
            await asyncio.wait([self._pending])
            if not self._pending.cancelled():
                # A fault of a piece that nobody asked for any more is no news; one that was asked for was raised.
                self._pending.exception()

    def _start(self, turn: int) -> "asyncio.Task[int]":
        return asyncio.create_task(asyncio.to_thread(self._next, self._buffers[turn]))

    def _next(self, out: bytearray) -> int:
        """Read and seal the next piece into ``out``; 0 at the end. Runs in a thread."""
        if self._read > self._plain_size:
            return 0
        wanted = min(PIECE_BYTES, self._plain_size - self._read)
        view = memoryview(self._plain)[:wanted]
        filled = 0
        while filled < wanted:
            count = self._file.read_into(view[filled:])
            if count == 0:
                raise FileChangedError("The file became shorter while it was read.")
            filled += count
        written = self._sealer.update_into(view, memoryview(out)) if wanted else 0
        self._read += wanted
        if self._read == self._plain_size:
            self._file.check_unchanged()
            self.tag = self._sealer.finish()
            out[written : written + 16] = self.tag
            written += 16
            self._read += 1
        return written


class CopyBody:
    """A remote file, opened and sealed again; its last piece waits for the verification of the original."""

    def __init__(
        self, account: "Account", entry: "RemoteEntry", key: FileKey, nonce: Nonce, progress: Progress | None
    ) -> None:
        self._account = account
        self._entry = entry
        self._sealer = BodySealer(key, nonce)
        self._progress = progress
        self.failure: CandadoError | None = None
        self.tag = Tag(bytes(16))

    @property
    def size_bytes(self) -> int:
        """Length of the ciphertext with its tag."""
        return sealed_size(self._entry.size_bytes)

    async def chunks(self) -> AsyncIterator[bytes | memoryview]:
        """Yield the ciphertext; see ``Body``."""
        entry = self._entry
        assert entry.entry is not None
        sealed = sealed_size(entry.size_bytes)
        opener = BodyOpener(entry.entry.key, entry.entry.nonce, sealed)
        plain = bytearray(PIECE_BYTES + 32)
        held = b""
        done = 0
        try:
            async for piece in self._account.remote.get(entry.remote_path, size_expected=sealed):
                for start in range(0, len(piece), PIECE_BYTES):
                    part = memoryview(piece)[start : start + PIECE_BYTES]
                    out = bytearray(len(part) + 32)
                    size = await asyncio.to_thread(self._turn, opener, part, plain, out)
                    if held:
                        yield held
                    held = bytes(out[:size])
                    done += size
                    if self._progress is not None:
                        self._progress(ProgressEvent(entry.path, "up", done, entry.size_bytes, finished=False))
            opener.finish()
            self.tag = self._sealer.finish()
        except OpenFailedError as error:
            self.failure = _named(error, entry)
            raise self.failure from error
        except CandadoError as error:
            self.failure = error
            raise
        yield held + self.tag

    def _turn(self, opener: BodyOpener, part: memoryview, plain: bytearray, out: bytearray) -> int:
        size = opener.update_into(part, memoryview(plain))
        return self._sealer.update_into(memoryview(plain)[:size], memoryview(out)) if size else 0


def _named(error: CandadoError, entry: "RemoteEntry") -> CandadoError:
    error.path = entry.path
    return error


class MemoryFile:
    """``LocalFile`` over bytes."""

    def __init__(self, data: bytes, mtime_ns: int) -> None:
        self.stat = LocalStat(is_folder=False, size_bytes=len(data), mtime_ns=mtime_ns, inode=0)
        self._data = memoryview(data)
        self._at = 0

    def read_into(self, buffer: memoryview) -> int:
        """Copy the next bytes."""
        count = min(len(buffer), len(self._data) - self._at)
        buffer[:count] = self._data[self._at : self._at + count]
        self._at += count
        return count

    def check_unchanged(self) -> None:
        """Bytes do not change."""

    def close(self) -> None:
        """Nothing is held."""
