"""Delivering the audit log to its outputs: in order, nothing left out, by whichever worker holds the lease.

Layer: ``server``. Each output has a row with the number of the next record. A worker takes the lease of the row, hands
over a batch, and moves the number on; a batch of which nobody knows whether it arrived is handed over again, and its
receiver tells duplicates by their numbers. A lease ends by itself, after any call under it has ended, so a worker that
was killed is followed by another one, and two never deliver at once.

A receiver that fails is tried again after 1, 2, 4 ... 60 seconds, with smaller batches, for ever: a record is never
skipped. The first failure and the recovery are events themselves.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from candado.crypto.checkpoint import origin_of
from candado.encoding import encode_b64
from candado.errors import CandadoError, CorruptStateError, TransportError
from candado.formats.auditlines import LineFormat, render
from candado.formats.auditrecord import AuditRecord, CheckpointLine, StartLine, format_line, parse_line
from candado.formats.auditsiem import syslog_severity
from candado.ports.auditsink import AuditSink, SinkLine
from candado.ports.server import Rows, SqlValue
from candado.server.audit import Event, audited, record
from candado.server.auditlog import log_salt, read_head
from candado.server.auditproofs import edge_at, removed_before
from candado.server.model import Backend

__all__ = ["Delivery", "SinkSettings", "drop_sink", "register_sinks"]

T = TypeVar("T")

_LOG = logging.getLogger("candado.server")
_IDLE_SECONDS: Final = 1.0
_BACK_OFF_MAX: Final = 60.0
_ASK_AGAIN_SECONDS: Final = 60.0
_REGISTER: Final = """INSERT INTO audit_sinks (name, closed, lag_seconds, position, checkpointed)
    VALUES ($1, $2, $3, $4, $4)
    ON CONFLICT (name) DO UPDATE SET closed = excluded.closed, lag_seconds = excluded.lag_seconds"""
_KNOWN: Final = "SELECT closed, lag_seconds FROM audit_sinks WHERE name = $1"
_STATE: Final = """SELECT position, checkpointed, begun, holder, until, failing_since, attempts, next_try
    FROM audit_sinks WHERE name = $1"""
_TAKE: Final = "UPDATE audit_sinks SET holder = $2, until = $3 WHERE name = $1 AND (holder = $2 OR until < $4)"
_MOVE: Final = """UPDATE audit_sinks SET position = $3, checkpointed = $4, delivered = $5, failing_since = NULL,
    fault = '', attempts = 0, next_try = 0 WHERE name = $1 AND holder = $2"""
_FAIL: Final = """UPDATE audit_sinks SET failing_since = COALESCE(failing_since, $3), fault = $4,
    attempts = attempts + 1, next_try = $5, holder = '', until = 0 WHERE name = $1 AND holder = $2"""
_FREE: Final = "UPDATE audit_sinks SET holder = '', until = 0 WHERE name = $1 AND holder = $2"
_BEGIN: Final = "UPDATE audit_sinks SET begun = $3 WHERE name = $1 AND holder = $2"
_RECORDS: Final = """SELECT sequence, record FROM audit_records WHERE sequence >= $1 AND sequence < $2
    ORDER BY sequence LIMIT $3"""
_POINTS: Final = "SELECT size, note FROM audit_checkpoints WHERE size > $1 AND size <= $2 ORDER BY size"
_LAST_POINT: Final = "SELECT size FROM audit_checkpoints ORDER BY size DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """One output as it is configured; sizes in bytes, times in seconds.

    ``seconds`` is the longest silence of its receiver. ``rotate_bytes`` and ``rotate_seconds`` say when a file is set
    aside, 0 never.
    """

    name: str
    line_format: LineFormat = "native"
    is_closed: bool = True
    lag_seconds: float = 300.0
    batch: int = 500
    seconds: float = 10.0
    rotate_bytes: int = 0
    rotate_seconds: float = 0.0

    @property
    def call_seconds(self) -> float:
        """The longest time of one call."""
        return 2 * self.seconds

    @property
    def lease_seconds(self) -> float:
        """So long a lease lasts: longer than all the calls of one step."""
        return 8 * self.seconds + 30


@dataclass(frozen=True, slots=True)
class _State:
    """The row of an output."""

    position: int
    checkpointed: int
    begun: float
    holder: str
    until: float
    failing_since: float | None
    attempts: int
    next_try: float


@dataclass(frozen=True, slots=True)
class _Batch:
    """What to hand over: records to before ``end``, checkpoints up to the size ``checkpointed``."""

    lines: list[SinkLine]
    end: int
    checkpointed: int


async def register_sinks(backend: Backend, settings: Sequence[SinkSettings]) -> None:
    """Give each output its row, beginning with the oldest record there is; a change of its rules is an event."""

    async def work(rows: Rows) -> None:
        for one in settings:
            known = await rows.one(_KNOWN, one.name)
            wanted = (int(one.is_closed), one.lag_seconds)
            if known is not None and (known[0], known[1]) == wanted:
                continue
            await rows.run(_REGISTER, one.name, *wanted, await removed_before(rows))
            details = {"on_failure": "closed" if one.is_closed else "open", "lag_seconds": int(one.lag_seconds)}
            await record(rows, Event("audit.configured", target=f"sink:{one.name}", details=details))

    with audited(clock=backend.clock):
        await backend.database.write(work)


async def drop_sink(backend: Backend, name: str) -> bool:
    """Forget an output, so that nothing waits for it any more; False when there is none of this name."""

    async def work(rows: Rows) -> bool:
        if await rows.run("DELETE FROM audit_sinks WHERE name = $1", name) == 0:
            return False
        await record(rows, Event("audit.configured", target=f"sink:{name}", reason="dropped"))
        return True

    with audited(clock=backend.clock):
        return await backend.database.write(work)


class Delivery:
    """One output, delivered to by this worker when it holds the lease."""

    def __init__(self, backend: Backend, sink: AuditSink, settings: SinkSettings, *, version: str) -> None:
        self._backend = backend
        self._database = backend.database
        self._clock = backend.clock
        self._sink = sink
        self._settings = settings
        self._version = version
        self._worker = backend.random.token(8).hex()
        self._position: int | None = None
        """The next record, while the output is open."""
        self._batch = settings.batch
        self._asked = 0.0

    async def run(self) -> None:
        """Deliver until it is cancelled."""
        try:
            while True:
                more = False
                try:
                    more = await self.step()
                except CandadoError as error:  # the database; the receiver's faults are in its row
                    _LOG.warning("the audit output %s waits: %s", self._settings.name, error.code)
                if not more:
                    await self._clock.sleep(_IDLE_SECONDS)
        finally:
            await self._let_go()

    async def drain(self) -> None:
        """Deliver what is outstanding, until nothing is, a receiver fails or another worker has the lease."""
        try:
            while await self.step():
                pass
        finally:
            await self._let_go()
            await self._write(_FREE, self._settings.name, self._worker)

    async def step(self) -> bool:
        """Deliver one batch if there is one and this worker holds the lease; whether there may be more at once."""
        state, now = await self._database.read(self._read_state), self._clock.now()
        taken = state is not None and state.holder not in ("", self._worker) and now <= state.until
        if state is None or taken or now < state.next_try or not await self._hold(state, now):
            await self._let_go()
            return False
        try:
            position = await self._open(state)
            batch = await self._database.read(lambda rows: self._collect(rows, state, position))
            if batch is None:
                return await self._rotate_if_due(state, position)
            await self._limited(self._sink.send(batch.lines))
        except CandadoError as error:
            await self._failed(state, error)
            return False
        await self._moved(state, batch)
        return True

    async def _let_go(self) -> None:
        self._position = None
        await self._sink.close()

    async def _hold(self, state: _State, now: float) -> bool:
        lease, name, worker = self._settings.lease_seconds, self._settings.name, self._worker
        if state.holder == worker and state.until - now > lease / 2:
            return True
        return await self._write(_TAKE, name, worker, now + lease, now)

    async def _write(self, sql: str, *values: SqlValue) -> bool:
        """One statement on the row; whether it hit it. What a power cut undoes of it is only done again."""
        return bool(await self._database.write(lambda rows: rows.run(sql, *values), durable=False))

    async def _open(self, state: _State) -> int:
        """Make the output ready; the number of the record that it needs next."""
        if self._position is not None:
            return self._position
        wanted = await self._limited(self._sink.open())

        async def look(rows: Rows) -> tuple[int, int]:
            return (await read_head(rows)).size, await removed_before(rows)

        size, first = await self._database.read(look)
        if wanted is not None and wanted > size:
            raise CorruptStateError(
                f"the output has records up to {wanted - 1}, the log has {size}",
                advice="Was the database restored? Move the file away and keep it; a new one is begun.",
            )
        self._position = state.position if wanted is None else max(wanted, first)
        if not state.begun:
            await self._write(_BEGIN, self._settings.name, self._worker, self._clock.now())
        return self._position

    async def _limited(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._settings.call_seconds):
                return await call
        except TimeoutError as exc:
            raise TransportError("no answer in time") from exc

    def _is_due(self, state: _State) -> bool:
        """Whether what is in the output should be set aside."""
        settings, now = self._settings, self._clock.now()
        if self._sink.is_fresh:
            return False
        too_large = 0 < settings.rotate_bytes <= self._sink.size_bytes
        return too_large or 0 < settings.rotate_seconds <= now - (state.begun or now)

    async def _collect(self, rows: Rows, state: _State, position: int) -> _Batch | None:
        native = self._settings.line_format == "native"
        end = (await read_head(rows)).size
        if native and self._is_due(state):
            if state.checkpointed == position:
                return None
            # A file ends with a checkpoint of exactly what is in it and before it.
            newest = await rows.one(_LAST_POINT)
            end = max(position, 0 if newest is None else _whole(newest[0]))
        found = await rows.all(_RECORDS, position, end, self._batch)
        lines = [self._record_line(number, str(text)) for number, (_, text) in enumerate(found, position)]
        if any(row[0] != line.sequence for row, line in zip(found, lines, strict=True)) or (
            not found and end > position
        ):
            raise CorruptStateError(f"the log lacks the record {position} or one of those behind it")
        end, checkpointed = position + len(lines), state.checkpointed
        for size, note in await rows.all(_POINTS, checkpointed, end) if native else []:
            lines.append(SinkLine(format_line(CheckpointLine(str(note)))))
            checkpointed = _whole(size)
        if not lines:
            return None
        if native and self._sink.is_fresh:
            lines.insert(0, await _start_line(rows, position))
        return _Batch(lines, end, checkpointed)

    def _record_line(self, number: int, text: str) -> SinkLine:
        raw = text.encode("utf-8")
        found = parse_line(raw)
        if not isinstance(found, AuditRecord) or found.sequence != number:
            raise CorruptStateError(f"the record {number} of the log is missing, or is another one")
        line = render(self._settings.line_format, raw, found, version=self._version)
        return SinkLine(line, number, found.event, syslog_severity(found), found.time)

    async def _rotate_if_due(self, state: _State, position: int) -> bool:
        """Set the file aside when it is due and ends with a checkpoint; ask for one when it does not."""
        name, worker, now = self._settings.name, self._worker, self._clock.now()
        if not self._is_due(state):
            return False
        if self._settings.line_format == "native" and state.checkpointed != position:
            if now - self._asked >= _ASK_AGAIN_SECONDS:
                self._asked = now
                await self._tell("audit.rotated", outcome="intent")  # after such an event comes a checkpoint
            return False
        await self._limited(self._sink.rotate(position - 1))
        await self._write(_BEGIN, name, worker, now)
        await self._tell("audit.rotated", end=position)
        return True

    async def _tell(self, kind: str, *, outcome: str = "done", **details: int) -> None:
        event = Event(kind, target=f"sink:{self._settings.name}", outcome=outcome, details=details)
        with audited(clock=self._clock):
            await self._database.write(lambda rows: record(rows, event))

    async def _moved(self, state: _State, batch: _Batch) -> None:
        name, worker, now = self._settings.name, self._worker, self._clock.now()

        async def work(rows: Rows) -> bool:
            if await rows.run(_MOVE, name, worker, batch.end, batch.checkpointed, now) == 0:
                return False
            if state.failing_since is not None:
                seconds = int(max(0.0, now - state.failing_since))
                await record(rows, Event("sink.recovered", target=f"sink:{name}", details={"seconds": seconds}))
            return True

        with audited(clock=self._clock):
            kept = await self._database.write(work, durable=False)
        self._position = batch.end
        self._batch = min(self._settings.batch, 2 * self._batch)
        if state.failing_since is not None:
            _LOG.info("the audit output %s works again", name)
        if not kept:
            await self._let_go()

    async def _failed(self, state: _State, error: CandadoError) -> None:
        await self._let_go()
        name, worker, now = self._settings.name, self._worker, self._clock.now()
        self._batch = max(1, self._batch // 2)
        next_try = now + min(_BACK_OFF_MAX, 2.0 ** min(state.attempts, 10))

        async def work(rows: Rows) -> None:
            if await rows.run(_FAIL, name, worker, now, error.code, next_try) and state.failing_since is None:
                event = Event("sink.failed", target=f"sink:{name}", outcome="failed", reason=error.code)
                await record(rows, event)

        with audited(clock=self._clock):
            await self._database.write(work, durable=False)
        if state.failing_since is None:
            _LOG.warning("the audit output %s fails: %s %s", name, error.code, error.message)

    async def _read_state(self, rows: Rows) -> _State | None:
        row = await rows.one(_STATE, self._settings.name)
        if row is None:
            return None
        position, checkpointed, begun, holder, until, failing, attempts, next_try = row
        return _State(
            position=_whole(position),
            checkpointed=_whole(checkpointed),
            begun=_time(begun),
            holder=str(holder),
            until=_time(until),
            failing_since=None if failing is None else _time(failing),
            attempts=_whole(attempts),
            next_try=_time(next_try),
        )


async def _start_line(rows: Rows, position: int) -> SinkLine:
    salt = await log_salt(rows)
    assert salt is not None  # there is a record, so there is a log
    edge = tuple(encode_b64(one) for one in await edge_at(rows, position))
    return SinkLine(format_line(StartLine(origin_of(salt), position, edge)))


def _whole(value: SqlValue) -> int:
    assert isinstance(value, int)
    return value


def _time(value: SqlValue) -> float:
    assert isinstance(value, int | float)
    return float(value)
