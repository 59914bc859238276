"""Numbers for operators in Prometheus' text form; no user names, paths or ids in them.

Layer: ``apps``. With several workers each keeps its numbers in files below a directory that ``serve`` makes, and
whichever worker is asked adds them up.
"""

import os
from typing import Final

from candado.apps.server_wiring import Services
from candado.ports.server import Rows

__all__ = ["MULTIPROCESS_VARIABLE", "Metrics"]

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_METHODS: Final = frozenset(
    {"GET", "HEAD", "PUT", "POST", "DELETE", "MKCOL", "MOVE", "COPY", "PROPFIND", "PROPPATCH", "OPTIONS"}
)


class Metrics:
    """Counters of one worker. The library is loaded here because it reads its set-up from the environment then."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge

        self._registry = CollectorRegistry()
        self._requests = Counter(
            "candado_requests",
            "Requests answered, by part of the server, method and class of status.",
            ["part", "method", "status"],
            registry=self._registry,
        )
        self._children: dict[tuple[str, str, int], Counter] = {}
        self._own = CollectorRegistry()
        self._locks = Gauge("candado_locks", "Locks held now.", registry=self._own)
        self._oldest = Gauge("candado_oldest_lock_seconds", "Age of the oldest lock.", registry=self._own)

    def count(self, part: str, method: str, status: int) -> None:
        """Count one answered request."""
        key = (part, method, status // 100)
        counter = self._children.get(key)
        if counter is None:
            shown = method if method in _METHODS else "other"
            counter = self._requests.labels(part, shown, f"{status // 100}xx")
            if shown == method:
                self._children[key] = counter
        counter.inc()

    async def render(self, services: Services) -> tuple[bytes, str]:
        """The text and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        async def work(rows: Rows) -> tuple[int, float]:
            row = await rows.one("SELECT COUNT(*), MIN(created) FROM locks")
            assert row is not None
            count, oldest = row
            assert isinstance(count, int)
            return count, float(oldest) if isinstance(oldest, int | float) else services.backend.clock.now()

        count, oldest = await services.backend.database.read(work)
        self._locks.set(count)
        self._oldest.set(max(0.0, services.backend.clock.now() - oldest))
        registry = self._registry
        if MULTIPROCESS_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry) + generate_latest(self._own), CONTENT_TYPE_LATEST
