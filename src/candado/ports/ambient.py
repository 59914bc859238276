"""What the core never asks for itself: time and randomness."""

from typing import Protocol


class Clock(Protocol):
    """Wall clock and monotonic clock."""

    def now(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``; a simulated clock returns at once and moves on."""
        ...


class Random(Protocol):
    """Source of unpredictable bytes."""

    def token(self, size_bytes: int) -> bytes:
        """``size_bytes`` unpredictable bytes; never the same twice."""
        ...
