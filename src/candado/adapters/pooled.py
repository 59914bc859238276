"""Unpredictable bytes taken from the operating system in bulk.

Layer: ``adapters``; implements ``ports.ambient.Random``. Every call into the system lets another thread run first,
which costs a busy server more than the bytes. The pool is not shared with child processes: workers are spawned, not
forked.
"""

import threading
from typing import Final

from candado.ports.ambient import Random

__all__ = ["PooledRandom"]

_POOL_BYTES: Final = 8192
_SMALL_BYTES_MAX: Final = 256


class PooledRandom:
    """Hands out every byte of its source once; safe to use from any thread."""

    def __init__(self, source: Random) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._pool = b""
        self._used = 0

    def token(self, size_bytes: int) -> bytes:
        """``size_bytes`` unpredictable bytes; large requests go to the source itself."""
        if size_bytes > _SMALL_BYTES_MAX:
            return self._source.token(size_bytes)
        with self._lock:
            if self._used + size_bytes > len(self._pool):
                self._pool, self._used = self._source.token(_POOL_BYTES), 0
            start = self._used
            self._used += size_bytes
            return self._pool[start : self._used]
