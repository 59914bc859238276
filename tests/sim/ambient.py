"""Time and randomness that a test controls, and markers that must never leave the client."""

import base64
import hashlib
import urllib.parse
from collections.abc import Iterable


class FakeClock:
    """A clock that moves only when told; sleeping moves it on at once."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._monotonic = 0.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._monotonic += seconds


class SeededRandom:
    """Bytes from SHA-256 in counter mode over a seed: the same seed gives the same run."""

    def __init__(self, seed: str | int = 0) -> None:
        self._seed = str(seed).encode()
        self._count = 0

    def token(self, size_bytes: int) -> bytes:
        out = b""
        while len(out) < size_bytes:
            self._count += 1
            out += hashlib.sha256(self._seed + b"|" + str(self._count).encode()).digest()
        return out[:size_bytes]


class Canaries:
    """Unique markers planted in names, contents and keys; ``found_in`` tells which ones leaked, in any spelling."""

    def __init__(self) -> None:
        self._markers: dict[str, bytes] = {}

    def text(self, label: str) -> str:
        marker = f"canary-{label}-{hashlib.sha256(label.encode()).hexdigest()[:24]}"
        self._markers[label] = marker.encode()
        return marker

    def secret(self, label: str, value: bytes) -> bytes:
        self._markers[label] = value
        return value

    def found_in(self, haystacks: Iterable[bytes]) -> set[str]:
        blob = b"\x00".join(haystacks)
        lowered = blob.lower()
        return {
            label
            for label, value in self._markers.items()
            if any(spelling in blob for spelling in self._spellings(value)) or value.hex().encode() in lowered
        }

    @staticmethod
    def _spellings(value: bytes) -> list[bytes]:
        spellings = [value, urllib.parse.quote_from_bytes(value).encode()]
        for shift in range(3):
            # The part of the base64 text that does not depend on what stands before or after the value.
            encoded = base64.b64encode(b"\x00" * shift + value)
            spellings.append(encoded[(0, 2, 3)[shift] : -4])
        return spellings
