"""Old records go only behind a signed tombstone, never past a hold or an output, and what remains verifies."""

from collections.abc import Sequence

import pytest
from tests.unit.server.test_audit_sinks import AUTHORITY, KEY, NATIVE, PLAIN, SIGNER, Memory, Scene, drain
from tests.unit.server.world import World

from candado.crypto import merkle
from candado.encoding import encode_b64
from candado.errors import AlreadyExistsError, BusyError, NotFoundError, SignerUnavailableError
from candado.formats.auditrecord import AuditRecord, CheckpointLine, StartLine, format_line, parse_line
from candado.protocol.auditcheck import check_log
from candado.server.audit import audited, user_ref
from candado.server.auditkeeping import AuditKeeping, Hold, RemovalPlan
from candado.server.auditproofs import AuditProofs, edge_at, removed_before
from candado.server.auditsinks import register_sinks

DAY = 86_400.0


class Away:
    """An authority that is away."""

    public_key_pem = SIGNER.public_key_pem

    async def sign(self, message: bytes) -> bytes:
        raise SignerUnavailableError

    async def check(self) -> None:
        raise SignerUnavailableError

    async def close(self) -> None:
        return


@pytest.fixture
async def scene(world: World) -> Scene:
    """Records 0 to 4 of the first day, 5 and 6 of the fourth."""
    scene = Scene(world)
    await scene.act(PLAIN, times=4)
    world.clock.time += 3 * DAY
    await scene.act(PLAIN, times=2)
    return scene


async def _lines(scene: Scene) -> list[bytes]:
    """What an export has: where the log begins, its records, its checkpoints."""
    database = scene.world.database
    first = await database.read(removed_before)
    page = await AuditProofs(scene.world.backend).records(first, 1000)
    edge = await database.read(lambda rows: edge_at(rows, first))
    lines = [format_line(StartLine("candado.audit/x", first, tuple(map(encode_b64, edge))))]
    lines += [line.encode() for _, line in page.records]
    notes = await scene.world.rows("SELECT note FROM audit_checkpoints ORDER BY size")
    return lines + [format_line(CheckpointLine(str(note))) for (note,) in notes]


def _records(lines: Sequence[bytes]) -> list[AuditRecord]:
    return [one for one in map(parse_line, lines) if isinstance(one, AuditRecord)]


async def test_old_records_go_behind_a_tombstone_and_the_rest_verifies(scene: Scene) -> None:
    keeping, now = AuditKeeping(scene.world.backend), scene.world.clock.time
    root = merkle.root_of(await scene.world.database.read(lambda rows: edge_at(rows, 5)))
    with audited(clock=scene.world.clock, who="operator"):
        plan = await keeping.remove(now - DAY, SIGNER, days=1)
    assert plan == RemovalPlan(0, 5, "what follows is younger")
    assert plan.count == 5
    lines = await _lines(scene)
    found = _records(lines)
    assert [(one.sequence, one.event) for one in found] == [
        (5, "share.made"),
        (6, "share.made"),
        (7, "audit.tombstone"),
    ]
    assert (found[-1].actor, found[-1].reason, found[-1].details) == (
        "operator",
        "age",
        {"first": 0, "end": 5, "days": 1, "root": root.hex()},
    )
    report = check_log(lambda: lines, AUTHORITY.public)
    assert (report.first, report.end, report.signed, report.is_whole) == (5, 8, 8, True)
    # An older checkpoint from elsewhere still fits: the log only grew.
    assert await AuditProofs(scene.world.backend).consistency(3, 8) != []


async def test_nothing_old_is_no_tombstone(scene: Scene) -> None:
    plan = await AuditKeeping(scene.world.backend).remove(0.0, SIGNER, days=1)
    assert plan == RemovalPlan(0, 0, "what follows is younger")
    assert await scene.world.rows("SELECT COUNT(*) FROM audit_records WHERE kind = 9004") == [(0,)]


async def test_an_authority_that_is_away_keeps_everything(scene: Scene) -> None:
    keeping, now = AuditKeeping(scene.world.backend), scene.world.clock.time
    with pytest.raises(SignerUnavailableError):
        await keeping.remove(now - DAY, Away(), days=1)
    assert await keeping.plan(now - DAY) == RemovalPlan(0, 0, "what follows is not signed yet")

    class Leaving(Away):
        """Signs once."""

        signs = True

        async def sign(self, message: bytes) -> bytes:
            if not self.signs:
                raise SignerUnavailableError
            self.signs = False
            return await SIGNER.sign(message)

    with pytest.raises(SignerUnavailableError):  # the tombstone is in the log, nothing vouches for it
        await keeping.remove(now - DAY, Leaving(), days=1)
    assert await scene.world.rows("SELECT COUNT(*) FROM audit_records WHERE kind = 9004") == [(1,)]
    assert await scene.world.rows("SELECT COUNT(*) FROM audit_records WHERE sequence < 5") == [(5,)]
    assert await scene.world.database.read(removed_before) == 0


async def test_a_hold_keeps_what_it_covers_and_all_behind_it(scene: Scene) -> None:
    keeping, clock = AuditKeeping(scene.world.backend), scene.world.clock
    first_day = clock.time - 3 * DAY
    with audited(clock=clock):
        await keeping.hold("case-7", since=first_day + 1, until=first_day + 2 * DAY)
        await keeping.hold("case-8", since=first_day, until=None)
        with pytest.raises(AlreadyExistsError):
            await keeping.hold("case-7", since=0, until=None)
    await scene.log.sequence()
    await scene.log.checkpoint(SIGNER, force=True)
    assert await keeping.holds() == [
        Hold("case-7", first_day + 1, first_day + 2 * DAY, clock.time),
        Hold("case-8", first_day, None, clock.time),
    ]
    assert await keeping.plan(clock.time - DAY) == RemovalPlan(0, 0, "the hold case-8 covers what follows")
    assert (await keeping.remove(clock.time - DAY, SIGNER, days=1)).count == 0
    with audited(clock=clock):
        await keeping.release("case-8")
        with pytest.raises(NotFoundError):
            await keeping.release("case-8")
    # No record is of the time that the other one covers.
    assert (await keeping.remove(clock.time - DAY, SIGNER, days=1)).end == 5
    events = [one.event for one in _records(await _lines(scene))]
    assert [event for event in events if event.startswith("audit.")] == [
        "audit.held",
        "audit.held",
        "audit.released",
        "audit.tombstone",
    ]


async def test_a_hold_that_comes_meanwhile_is_kept(scene: Scene) -> None:
    clock = scene.world.clock
    keeping = AuditKeeping(scene.world.backend)

    class Holding(Away):
        """Signs, and somebody holds the records after the first signature."""

        calls = 0

        async def sign(self, message: bytes) -> bytes:
            self.calls += 1
            if self.calls == 2:
                await keeping.hold("late", since=0, until=None)
            return await SIGNER.sign(message)

    with pytest.raises(BusyError, match="the hold late"):
        await keeping.remove(clock.time - DAY, Holding(), days=1)
    assert await scene.world.rows("SELECT COUNT(*) FROM audit_records WHERE sequence < 5") == [(5,)]
    assert await scene.world.database.read(removed_before) == 0


async def test_an_output_that_lags_keeps_what_it_has_not_got(scene: Scene) -> None:
    await register_sinks(scene.world.backend, [NATIVE])
    clock, keeping, memory = scene.world.clock, AuditKeeping(scene.world.backend), Memory()
    assert (
        await keeping.remove(clock.time - DAY, SIGNER, days=1)
    ).because == "the output siem has not got what follows"
    await drain(scene.delivery(memory, NATIVE))
    assert (await keeping.remove(clock.time - DAY, SIGNER, days=1)).end == 5
    await drain(scene.delivery(memory, NATIVE))
    assert memory.numbers()[:5] == list(range(5))


async def test_an_output_that_is_set_up_later_begins_with_what_is_left(scene: Scene) -> None:
    clock, memory = scene.world.clock, Memory()
    await AuditKeeping(scene.world.backend).remove(clock.time - DAY, SIGNER, days=1)
    await register_sinks(scene.world.backend, [NATIVE])
    await drain(scene.delivery(memory, NATIVE))
    assert memory.numbers()[0] == 5


async def test_leaves_of_the_key_directory_stay(scene: Scene) -> None:
    clock = scene.world.clock
    await scene.act(KEY)
    await scene.act(PLAIN)
    clock.time += 5 * DAY
    plan = await AuditKeeping(scene.world.backend).remove(clock.time - DAY, SIGNER, days=1)
    assert plan.end == 9
    assert await scene.world.rows("SELECT sequence FROM audit_records ORDER BY sequence") == [(7,), (9,)]
    assert [sequence for sequence, _ in (await AuditProofs(scene.world.backend).records(0, 100)).records] == [9]
    leaves = await AuditProofs(scene.world.backend).keys(["alice"], 0)
    assert [leaf.sequence for leaf in leaves.users["alice"]] == [7]
    assert user_ref("alice") not in str(leaves)


async def test_a_second_removal_goes_on_where_the_first_ended(scene: Scene) -> None:
    clock, keeping = scene.world.clock, AuditKeeping(scene.world.backend)
    await keeping.remove(clock.time - DAY, SIGNER, days=1)
    clock.time += 5 * DAY
    plan = await keeping.remove(clock.time - DAY, SIGNER, days=1)
    assert (plan.first, plan.end) == (5, 8)
    lines = await _lines(scene)
    assert [one.details["first"] for one in _records(lines)] == [5]
    assert check_log(lambda: lines, AUTHORITY.public).is_whole
