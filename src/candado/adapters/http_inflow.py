"""The body of one answer on its way from the socket to its reader: a few buffers that are used again and again.

Layer: ``adapters``. The socket is read straight into the buffer that is filled now; a full one, or the last one, goes
to the reader, who gives it back by asking for the next. So a body is copied once, by the kernel, and memory does not
depend on its size.
"""

import asyncio
from collections import deque
from typing import Final

__all__ = ["PIECE_BYTES", "Inflow"]

PIECE_BYTES: Final = 1 << 20
_READY_MAX: Final = 2


class Inflow:
    """Buffers of one body; used from one event loop."""

    def __init__(self) -> None:
        self._ready: deque[tuple[bytearray, int]] = deque()
        self._spare: list[bytearray] = []
        self._lent: bytearray | None = None
        self._buffer: bytearray | None = None
        self._filled = 0
        self._piece_bytes = PIECE_BYTES
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        """True when nothing more should be read before the reader took something."""
        return len(self._ready) >= _READY_MAX

    def expect(self, size_bytes: int) -> None:
        """Announce how many bytes will come at most: a short body gets a short buffer."""
        self._piece_bytes = max(1, min(PIECE_BYTES, size_bytes))

    def room(self, bytes_max: int) -> memoryview:
        """Where the next bytes go: at least one and at most ``bytes_max`` (positive) of them."""
        if self._buffer is None:
            self._buffer = self._spare.pop() if self._spare else bytearray(self._piece_bytes)
        return memoryview(self._buffer)[self._filled : self._filled + bytes_max]

    def filled(self, count: int) -> None:
        """So many bytes were put where ``room`` said."""
        assert self._buffer is not None
        self._filled += count
        if self._filled == len(self._buffer):
            self._hand_on()

    def put(self, data: bytes) -> None:
        """Append a copy of ``data``."""
        rest = memoryview(data)
        while rest:
            room = self.room(len(rest))
            room[:] = rest[: len(room)]
            rest = rest[len(room) :]
            self.filled(len(room))

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes; what came is read first, then ``error`` is raised. Only the first call counts."""
        if not self._ended:
            self._ended = True
            self._error = error
            if self._filled:
                self._hand_on()
            self._wake()

    async def next(self) -> memoryview | None:
        """The next piece, None at the end; valid until the next one is asked for. Raises the error of ``end``."""
        if self._lent is not None:
            self._spare.append(self._lent)
            self._lent = None
        while not self._ready:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._lent, size = self._ready.popleft()
        return memoryview(self._lent)[:size]

    def _hand_on(self) -> None:
        assert self._buffer is not None
        self._ready.append((self._buffer, self._filled))
        self._buffer, self._filled = None, 0
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
