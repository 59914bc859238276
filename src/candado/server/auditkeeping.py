"""How long the audit log is kept: removal of what is old, and what must not be removed.

Layer: ``server``. Removed are records from the oldest on, never one from the middle, so that what remains is one log.
An event of kind ``audit.tombstone`` says first which go, why, and under which root they were; only when a signed
checkpoint covers that event are they deleted. Their hashes stay, so every proof and every checkpoint stays true, and
whoever has kept the records can show that they were these. Leaves of the key directory stay altogether: clients look
for them.

Nothing is removed that a hold covers, that an output has not got yet, or that no checkpoint vouches for.
"""

from dataclasses import dataclass
from typing import Final

from candado.crypto import merkle
from candado.errors import AlreadyExistsError, BusyError, NotFoundError
from candado.ports.server import Rows, Signer, SqlValue
from candado.server.audit import Event, record
from candado.server.auditlog import AuditLog, read_head
from candado.server.auditproofs import edge_at, removed_before
from candado.server.model import Backend

__all__ = ["AuditKeeping", "Hold", "RemovalPlan"]

_PAGE: Final = 2000
_AFTER: Final = "SELECT sequence FROM audit_records WHERE sequence >= $1 AND at >= $2 ORDER BY sequence LIMIT 1"
_WITHIN: Final = """SELECT sequence FROM audit_records WHERE sequence >= $1 AND at >= $2 AND at <= $3
    ORDER BY sequence LIMIT 1"""
_HOLDS: Final = "SELECT name, since, until, made FROM audit_holds ORDER BY name"
_REMEMBER: Final = """INSERT INTO settings (name, value) VALUES ('audit_removed', $1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
_DELETE: Final = """DELETE FROM audit_records WHERE sequence IN (SELECT r.sequence FROM audit_records r
    WHERE r.sequence < $1 AND NOT EXISTS (SELECT 1 FROM audit_keys k WHERE k.sequence = r.sequence)
    ORDER BY r.sequence LIMIT $2)"""
_HOLD: Final = "INSERT INTO audit_holds (name, since, until, made) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold: records from ``since`` to ``until`` (None: and all that come) are not removed."""

    name: str
    since: float
    until: float | None
    made: float


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """Records ``first`` to before ``end`` can go; ``because`` says what keeps the next one, in words of ours."""

    first: int
    end: int
    because: str

    @property
    def count(self) -> int:
        """How many numbers that are."""
        return self.end - self.first


class AuditKeeping:
    """Retention and holds of one log."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._log = AuditLog(backend)

    async def plan(self, before: float) -> RemovalPlan:
        """What could be removed of what is older than ``before``."""
        return await self._database.read(lambda rows: _plan(rows, before))

    async def remove(self, before: float, signer: Signer, *, days: int) -> RemovalPlan:
        """Remove what is older than ``before``, which is ``days`` ago, behind a signed tombstone.

        Raises:
            SignerUnavailableError, SignerSetupError: the tombstone was not signed; nothing was removed.
            BusyError: a hold came meanwhile; nothing was removed.
        """
        await self._log.sequence()
        await self._log.checkpoint(signer, force=True)
        plan = await self.plan(before)
        if plan.count:
            await self._database.write(lambda rows: _bury(rows, plan, days))
            await self._log.sequence()
            await self._log.checkpoint(signer, force=True)
            await self._database.write(lambda rows: _give_up(rows, plan, before))
        first = await self._database.read(removed_before)
        while await self._database.write(lambda rows: rows.run(_DELETE, first, _PAGE)):
            pass
        return plan

    async def holds(self) -> list[Hold]:
        """Every hold, by name."""
        return await self._database.read(_holds)

    async def hold(self, name: str, *, since: float, until: float | None) -> None:
        """Keep records of that time from now on; AlreadyExistsError when there is one of this name."""
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            if await rows.run(_HOLD, name, since, until, now) == 0:
                raise AlreadyExistsError("there is a hold of this name", path=name)
            details = {"since": int(since)} if until is None else {"since": int(since), "until": int(until)}
            await record(rows, Event("audit.held", target=f"hold:{name}", details=details))

        await self._database.write(work)

    async def release(self, name: str) -> None:
        """End a hold; NotFoundError."""

        async def work(rows: Rows) -> None:
            if await rows.run("DELETE FROM audit_holds WHERE name = $1", name) == 0:
                raise NotFoundError("there is no hold of this name", path=name)
            await record(rows, Event("audit.released", target=f"hold:{name}"))

        await self._database.write(work)


async def _plan(rows: Rows, before: float) -> RemovalPlan:
    first = await removed_before(rows)
    newest = await rows.one("SELECT size FROM audit_checkpoints ORDER BY size DESC LIMIT 1")
    ends = [(0 if newest is None else _whole(newest[0]), "what follows is not signed yet")]
    young = await rows.one(_AFTER, first, before)
    if young is not None:
        ends.append((_whole(young[0]), "what follows is younger"))
    for name, position in await rows.all("SELECT name, position FROM audit_sinks ORDER BY position, name LIMIT 1"):
        ends.append((_whole(position), f"the output {name!s} has not got what follows"))
    for hold in await _holds(rows):
        bounds = (first, hold.since) if hold.until is None else (first, hold.since, hold.until)
        held = await rows.one(_AFTER if hold.until is None else _WITHIN, *bounds)
        if held is not None:
            ends.append((_whole(held[0]), f"the hold {hold.name} covers what follows"))
    # Of several that end at one place the last is the strongest reason.
    end, because = min(reversed(ends), key=lambda one: one[0])
    return RemovalPlan(first, max(first, end), because)


async def _bury(rows: Rows, plan: RemovalPlan, days: int) -> None:
    root = merkle.root_of(await edge_at(rows, plan.end)).hex()
    details: dict[str, str | int] = {"first": plan.first, "end": plan.end, "days": days, "root": root}
    await record(rows, Event("audit.tombstone", target="log", reason="age", details=details))


async def _give_up(rows: Rows, plan: RemovalPlan, before: float) -> None:
    """From here on the records count as removed, if nothing has come in between."""
    head = await read_head(rows)
    signed = await rows.one("SELECT size FROM audit_checkpoints ORDER BY size DESC LIMIT 1")
    now = await _plan(rows, before)
    tombstone = await rows.one("SELECT 1 FROM audit_pending WHERE kind = 'audit.tombstone' LIMIT 1")
    if now.first != plan.first or now.end < plan.end or tombstone is not None or signed is None:
        raise BusyError(
            f"nothing was removed, because meanwhile {now.because}",
            advice="Run the command again; it looks anew.",
        )
    if not plan.end < _whole(signed[0]) <= head.size:
        raise BusyError("nothing was removed, because the tombstone is not signed yet")
    await rows.run(_REMEMBER, str(plan.end))


async def _holds(rows: Rows) -> list[Hold]:
    return [
        Hold(str(name), _time(since), None if until is None else _time(until), _time(made))
        for name, since, until, made in await rows.all(_HOLDS)
    ]


def _whole(value: SqlValue) -> int:
    assert isinstance(value, int)
    return value


def _time(value: SqlValue) -> float:
    assert isinstance(value, int | float)
    return float(value)
