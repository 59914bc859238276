"""Rate limits as rows, so that all workers and hosts count together.

Layer: ``server``. A bucket holds tokens that come back evenly over its window; an attempt takes one. Attempts are paid
for *before* they are tried, by compare-and-swap on the row's version, so a hundred at once cannot slip through a
check made earlier.
"""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from candado.errors import BusyError, RateLimitedError
from candado.ports.server import Rows
from candado.server.model import Backend

__all__ = ["Limit", "RateLimiter", "address_bucket", "take_one"]


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``attempts_max`` in ``window_seconds`` for one subject of a bucket."""

    bucket: str
    subject: str
    attempts_max: int
    window_seconds: float


class RateLimiter:
    """Counts attempts."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock

    async def take(self, *limits: Limit) -> None:
        """Count one attempt against every limit, in order, up to the first that is used up.

        Put the limit first whose subjects are few: an attempt it stops leaves no row for the others.

        Raises:
            RateLimitedError: a bucket is empty; ``after_seconds`` says when its next token comes.
        """
        now = self._clock.now()

        async def work(rows: Rows) -> float:
            for limit in limits:
                wait = await take_one(rows, limit, now)
                if wait > 0:
                    return wait
            return 0.0

        wait = await self._database.write(work, durable=False)
        if wait > 0:
            raise RateLimitedError("too many attempts; wait before the next one", after_seconds=wait)

    async def give_back(self, *limits: Limit) -> None:
        """Give back one token to every bucket: the attempt was a legitimate one."""

        async def work(rows: Rows) -> None:
            for limit in limits:
                await rows.run(
                    "UPDATE rate_limits SET version = version + 1,"
                    " tokens = CASE WHEN tokens + 1 > $3 THEN $3 ELSE tokens + 1 END"
                    " WHERE bucket = $1 AND subject = $2",
                    limit.bucket,
                    limit.subject,
                    float(limit.attempts_max),
                )

        await self._database.write(work, durable=False)

    async def sweep(self, *, idle_seconds: float) -> int:
        """Drop rows that were not used for that long (at least the longest window); returns how many."""
        oldest = self._clock.now() - idle_seconds

        async def work(rows: Rows) -> int:
            return await rows.run("DELETE FROM rate_limits WHERE updated < $1", oldest)

        return await self._database.write(work, durable=False)


async def take_one(rows: Rows, limit: Limit, now: float) -> float:
    """Take one token in a transaction; seconds to wait when there is none, else 0. BusyError."""
    capacity, rate = float(limit.attempts_max), limit.attempts_max / limit.window_seconds
    row = await rows.one(
        "SELECT tokens, updated, version FROM rate_limits WHERE bucket = $1 AND subject = $2",
        limit.bucket,
        limit.subject,
    )
    if row is None:
        changed = await rows.run(
            "INSERT INTO rate_limits (bucket, subject, tokens, updated) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            limit.bucket,
            limit.subject,
            capacity - 1,
            now,
        )
        return _settled(changed)
    tokens, updated, version = row
    assert isinstance(tokens, int | float)
    assert isinstance(updated, int | float)
    # A clock that was set back must neither refill nor freeze the bucket.
    available = min(capacity, tokens + max(0.0, now - updated) * rate)
    if available < 1:
        return (1 - available) / rate
    changed = await rows.run(
        "UPDATE rate_limits SET tokens = $3, updated = $4, version = version + 1"
        " WHERE bucket = $1 AND subject = $2 AND version = $5",
        limit.bucket,
        limit.subject,
        available - 1,
        now,
        version,
    )
    return _settled(changed)


def _settled(changed: int) -> float:
    if changed == 0:
        raise BusyError("another process counted at the same moment")
    return 0.0


def address_bucket(address: str) -> str:
    """Return what counts as one address: an IPv6 network of 64 bits belongs to one customer."""
    try:
        parsed = ip_address(address.split("%", 1)[0])
    except ValueError:
        return address
    return str(parsed) if parsed.version == 4 else str(ip_network((parsed.packed, 64), strict=False))
