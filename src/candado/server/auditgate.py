"""Acts that wait for the outputs of the audit log.

Layer: ``server``. An output is *behind* when a record that it has not got is older than its limit, whatever the
reason: its receiver is away, no process delivers, nobody numbers events. While one with ``on_failure = "closed"`` is
behind, no event of a guarded kind can be recorded, and since an event is recorded in the transaction of its act, no
such act can be done. All else goes on: files, shares, sign-in. So does what takes trust away (revoking a key, ending
recovery): whoever silences a receiver must not keep a stolen key alive.
"""

from dataclasses import dataclass
from typing import Final

from candado.errors import AuditBehindError
from candado.ports.server import Rows, SqlValue

__all__ = ["GUARDED", "SinkState", "refuse_when_behind", "sink_states"]

GUARDED: Final = frozenset(
    {
        "certificate.issued",
        "certificate.stored",
        "certificate.renewed",
        "privatekey.stored",
        "key.requested",
        "key.approved",
        "authority.adopted",
        "authority.rotated",
        "authority.ceremony",
        "recovery.installed",
        "recovery.accepted",
        "recovery.used",
        "recovery.granted",
        "orgkey.installed",
        "orgpolicy.changed",
    }
)
"""Kinds of events that give trust to a key, or use what must be used in the open."""

_STATES: Final = """SELECT s.name, s.closed, s.lag_seconds, s.position, s.delivered, s.failing_since, s.fault,
    (SELECT r.at FROM audit_records r WHERE r.sequence = s.position) FROM audit_sinks s ORDER BY s.name"""
_OLDEST_PENDING: Final = "SELECT at FROM audit_pending ORDER BY id LIMIT 1"


@dataclass(frozen=True, slots=True)
class SinkState:
    """How far one output has come.

    Shapes: position: number of the next record.   lag_seconds: age of the oldest record that it has not got, 0 for
    none; limit_seconds: what it may be.   delivered: time of the last batch, failing_since: of the first failure, or
    None.   fault: code of the last failure, empty while it works.
    """

    name: str
    is_closed: bool
    limit_seconds: float
    position: int
    delivered: float | None
    failing_since: float | None
    fault: str
    lag_seconds: float

    @property
    def is_behind(self) -> bool:
        """Whether it lacks more than it may."""
        return self.lag_seconds > self.limit_seconds

    @property
    def warning(self) -> str:
        """What an administrator should know of it; empty when there is nothing."""
        if not (self.fault or self.is_behind):
            return ""
        text = f"the audit output {self.name} is {int(self.lag_seconds)} s behind"
        text += f" and fails ({self.fault})" if self.fault else ""
        return text + ("; acts on keys are refused" if self.is_closed and self.is_behind else "")


async def sink_states(rows: Rows, now: float) -> list[SinkState]:
    """Every output that was ever set up and not dropped, by name."""
    pending = await rows.one(_OLDEST_PENDING)
    waiting = _time(pending[0]) if pending is not None else None
    found: list[SinkState] = []
    for name, closed, limit, position, delivered, failing, fault, at in await rows.all(_STATES):
        assert isinstance(position, int)
        # An event that was recorded without a clock has no time until it gets its number.
        times = [time for time in (_time(at), waiting) if time]
        found.append(
            SinkState(
                name=str(name),
                is_closed=bool(closed),
                limit_seconds=_time(limit) or 0.0,
                position=position,
                delivered=_time(delivered),
                failing_since=_time(failing),
                fault=str(fault),
                lag_seconds=max(0.0, now - min(times)) if times else 0.0,
            )
        )
    return found


async def refuse_when_behind(rows: Rows, kind: str, target: str, now: float) -> None:
    """Return when an event of this kind on this target may be recorded at ``now``, 0 for a time that nobody knows.

    AuditBehindError names the outputs that are behind.
    """
    # The authority signs no certificate that could not be stored afterwards; its list of revoked keys it signs always.
    guarded = kind in GUARDED or (kind, target) == ("authority.signing", "certificate")
    if not guarded or not now:
        return
    behind = [state.name for state in await sink_states(rows, now) if state.is_closed and state.is_behind]
    if behind:
        raise AuditBehindError(f"this must be logged, and an output of the audit log is behind: {', '.join(behind)}")


def _time(value: SqlValue) -> float | None:
    return float(value) if isinstance(value, int | float) else None
