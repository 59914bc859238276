"""The clock and the random source of this machine.

Layer: ``adapters``; implements ``ports.ambient``. The only places of the client that ask the operating system for time
or randomness.
"""

import asyncio
import os
import time
from pathlib import Path

__all__ = ["SystemClock", "SystemRandom", "machine_epoch"]


class SystemClock:
    """The clocks of the operating system; implements ``Clock``."""

    def now(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        return time.time()  # noqa: TID251 -- this is the Clock port

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``; at once when not positive."""
        await asyncio.sleep(max(0.0, seconds))


class SystemRandom:
    """The operating system's generator; implements ``Random``."""

    def token(self, size_bytes: int) -> bytes:
        """``size_bytes`` unpredictable bytes."""
        return os.urandom(size_bytes)  # noqa: TID251 -- this is the Random port


def machine_epoch() -> str:
    """Text that is the same until the machine starts anew; what was written without a sync may be lost then."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        # Other systems: the minute of the start, by the wall clock.
        return str(int((time.time_ns() / 1e9 - time.monotonic()) // 60))
