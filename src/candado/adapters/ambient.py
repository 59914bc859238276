"""The clock and the random source of this machine.

Layer: ``adapters``; implements ``ports.ambient``. The only places of the client that ask the operating system for time
or randomness.
"""

import asyncio
import os
import time


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
