"""Numbers for operators in Prometheus' text form; no user names, paths or ids in them.

Layer: ``apps``. With several workers each keeps its numbers in files below a directory that ``serve`` makes, and
whichever worker is asked adds them up. What the database knows is read when somebody asks.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, Literal, Protocol

from candado.apps.server_wiring import Services
from candado.ports.server import Rows
from candado.server.auditgate import SinkState, sink_states
from candado.server.policy import Hit

__all__ = ["MULTIPROCESS_VARIABLE", "Metrics", "Noted", "forget_worker"]

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_METHODS: Final = frozenset(
    {"GET", "HEAD", "PUT", "POST", "DELETE", "MKCOL", "MOVE", "COPY", "PROPFIND", "PROPPATCH", "OPTIONS"}
)
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
_TOLD: Final = frozenset({401, 403, 409, 412, 423, 429, 503, 507})
_STATE: Final = (
    ("candado_locks", "Locks held now, which are write sessions.", "SELECT COUNT(*) FROM locks"),
    (
        "candado_staged_bytes",
        "Bytes written under locks and not visible yet.",
        "SELECT COALESCE(SUM(staged_bytes), 0) FROM locks",
    ),
    ("candado_uploads", "Uploads in chunks that are under way.", "SELECT COUNT(*) FROM uploads"),
    ("candado_garbage", "Contents that nothing names and that wait for their end.", "SELECT COUNT(*) FROM garbage"),
    ("candado_schema_version", "Version of the schema of the database.", "SELECT version FROM schema_version"),
)


class Noted(Protocol):
    """What is noted of one answered request."""

    part: str
    route: str
    status: int
    received: int
    sent: int


def forget_worker(pid: int) -> None:
    """Count no more what was under way in a worker that died; what it had finished stays counted."""
    from prometheus_client.multiprocess import mark_process_dead

    with suppress(OSError):
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


class _Found:
    """What the database says now. Gauges of the library would be shown once more among those of the workers."""

    def __init__(self) -> None:
        self.numbers: list[float] = []

    def collect(self) -> Iterable[Any]:
        """What the library asks for."""
        from prometheus_client.core import GaugeMetricFamily

        names = [
            *((name, text) for name, text, _ in _STATE),
            ("candado_oldest_lock_seconds", "Age of the oldest lock."),
        ]
        for (name, text), number in zip(names, self.numbers, strict=False):
            yield GaugeMetricFamily(name, text, value=number)


class _Outputs:
    """The outputs of the audit log; what was dropped from the database is no longer shown."""

    def __init__(self) -> None:
        self.states: list[SinkState] = []

    def collect(self) -> Iterable[Any]:
        """What the library asks for."""
        from prometheus_client.core import GaugeMetricFamily

        text = "Age of the oldest record that an output of the audit log has not got."
        lag = GaugeMetricFamily("candado_audit_output_lag_seconds", text, labels=["output"])
        text = "1 while an output of the audit log fails."
        failing = GaugeMetricFamily("candado_audit_output_failing", text, labels=["output"])
        for state in self.states:
            lag.add_metric([state.name], state.lag_seconds)
            failing.add_metric([state.name], float(bool(state.fault)))
        return [lag, failing]


class Metrics:
    """Numbers of one worker. The library is loaded here because it reads its set-up from the environment then."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = own = CollectorRegistry()
        live: Literal["livesum"] = "livesum"
        self._requests = Counter(
            "candado_requests",
            "Requests answered, by part of the server, method and class of status.",
            ["part", "method", "status"],
            registry=own,
        )
        self._seconds = Histogram(
            "candado_request_seconds",
            "Time from the head of a request to the end of its answer, by route.",
            ["route"],
            buckets=_SECONDS,
            registry=own,
        )
        self._refused = Counter("candado_refusals", "Refused requests, by status.", ["status"], registry=own)
        self._received = Counter("candado_received_bytes", "Bytes of request bodies.", ["part"], registry=own)
        self._sent = Counter("candado_sent_bytes", "Bytes of answers' bodies.", ["part"], registry=own)
        self._active = Gauge(
            "candado_requests_active", "Requests that are being answered.", registry=own, multiprocess_mode=live
        )
        self._pending = Gauge(
            "candado_database_pending",
            "Units of work that the database had not ended when the last request did.",
            registry=own,
            multiprocess_mode=live,
        )
        workers = Gauge("candado_workers", "Processes that serve.", registry=own, multiprocess_mode=live)
        workers.set(1)
        starts = Counter("candado_worker_starts", "Starts of processes that serve; more than workers: some died.",
                         registry=own)  # fmt: skip
        starts.inc()
        self._hits = Counter(
            "candado_policy_hits",
            "Requests that access rules denied, or would deny if they did not only report, by rule.",
            ["rule", "outcome"],
            registry=own,
        )
        self._children: dict[tuple[str, str, int], Counter] = {}
        self._routes: dict[str, Histogram] = {}
        self._state = CollectorRegistry()
        self._found = _Found()
        self._outputs = _Outputs()
        self._state.register(self._found)
        self._state.register(self._outputs)

    def begin(self) -> None:
        """A request has come."""
        self._active.inc()

    def end(self, noted: Noted, method: str, seconds: float, pending: int) -> None:
        """It was answered, or given up."""
        self._active.dec()
        self._pending.set(pending)
        self._count(noted.part, method, noted.status)
        timed = self._routes.get(noted.route)
        if timed is None:
            timed = self._routes[noted.route] = self._seconds.labels(noted.route)
        timed.observe(seconds)
        if noted.status in _TOLD:
            self._refused.labels(str(noted.status)).inc()
        if noted.received:
            self._received.labels(noted.part).inc(noted.received)
        if noted.sent:
            self._sent.labels(noted.part).inc(noted.sent)

    def hit(self, hit: Hit) -> None:
        """A rule fits a request."""
        self._hits.labels(hit.rule_id, "denied" if hit.denied else "reported").inc()

    def _count(self, part: str, method: str, status: int) -> None:
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

        now = services.backend.clock.now()

        async def work(rows: Rows) -> tuple[list[float], float, list[SinkState]]:
            found = [await rows.one(sql) for _, _, sql in _STATE]
            oldest = await rows.one("SELECT MIN(created) FROM locks")
            assert oldest is not None
            numbers = [float(str(row[0])) if row is not None else 0.0 for row in found]
            age = float(oldest[0]) if isinstance(oldest[0], int | float) else now
            return numbers, age, await sink_states(rows, now)

        numbers, oldest, sinks = await services.backend.database.read(work)
        self._found.numbers = [*numbers, max(0.0, now - oldest)]
        self._outputs.states = sinks
        registry = self._registry
        if MULTIPROCESS_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry) + generate_latest(self._state), CONTENT_TYPE_LATEST
