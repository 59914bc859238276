"""Outputs of the audit log get every record in order, once they can; and what must be logged waits for them."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.server.world import World
from tests.vectors.keys import private_key

from candado.adapters.audit_file import AuditFile
from candado.adapters.signers import SoftwareSigner
from candado.errors import AuditBehindError, CorruptStateError, DiskFullError, TransportError
from candado.ports.auditsink import SinkLine
from candado.ports.server import Rows
from candado.protocol.auditcheck import check_log
from candado.server.audit import Event, audited, key_ref, node_ref, record, user_ref
from candado.server.auditgate import SinkState, sink_states
from candado.server.auditlog import AuditLog
from candado.server.auditsinks import Delivery, SinkSettings, drop_sink, register_sinks

AUTHORITY = private_key("authority")
SIGNER = SoftwareSigner(AUTHORITY)


class Memory:
    """An output in memory that fails when it is told to."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.fault: Exception | None = None
        self.opens = 0
        self.is_open = False
        self.knows: int | None = None

    is_fresh = False
    size_bytes = 0

    async def open(self) -> int | None:
        self.opens += 1
        self.is_open = True
        return self.knows

    async def send(self, lines: Sequence[SinkLine]) -> None:
        assert self.is_open
        if self.fault is not None:
            raise self.fault
        self.lines += [line.text for line in lines]

    async def rotate(self, last_sequence: int) -> None:
        raise AssertionError

    async def close(self) -> None:
        self.is_open = False

    def numbers(self) -> list[int]:
        return [json.loads(line)["seq"] for line in self.lines if b'"seq"' in line[:400] and b"checkpoint" not in line]

    def events(self) -> list[str]:
        return [json.loads(line).get("event", "-") for line in self.lines]


class Scene:
    """A log with an output on it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = AuditLog(world.backend)

    async def act(self, *events: Event, times: int = 1) -> None:
        async def work(rows: Rows) -> None:
            for event in events * times:
                await record(rows, event)

        with audited(clock=self.world.clock):
            await self.world.database.write(work)
        await self.log.sequence()

    def delivery(self, sink: Memory | AuditFile, settings: SinkSettings) -> Delivery:
        return Delivery(self.world.backend, sink, settings, version="1")

    async def settle(self, delivery: Delivery) -> None:
        """What the loops of a server do in a while."""
        for _ in range(4):
            await self.log.tend(SIGNER)
            await drain(delivery)

    async def states(self) -> list[SinkState]:
        now = self.world.clock.now()
        return await self.world.database.read(lambda rows: sink_states(rows, now))


@pytest.fixture
async def scene(world: World) -> Scene:
    return Scene(world)


PLAIN = Event("share.made", target=node_ref(7))
NATIVE = SinkSettings("siem")
KEY = Event("certificate.issued", target=key_ref("a" * 64), details={"subject": user_ref("alice"), "serial": "7"})


async def drain(delivery: Delivery) -> None:
    while await delivery.step():
        pass


async def test_an_output_gets_every_record_once_in_order_with_checkpoints_between(scene: Scene) -> None:
    memory = Memory()
    await register_sinks(scene.world.backend, [NATIVE])
    await scene.act(PLAIN, times=3)
    delivery = scene.delivery(memory, SinkSettings("siem", batch=2))
    await drain(delivery)
    assert memory.numbers() == [0, 1, 2, 3, 4]
    assert memory.events() == ["audit.configured", *["share.made"] * 3, "audit.started"]
    await scene.log.checkpoint(SIGNER, force=True)
    await scene.act(PLAIN)
    await drain(delivery)
    assert memory.events()[5:] == ["share.made", "-"]
    assert memory.opens == 1
    report = check_log(lambda: memory.lines, AUTHORITY.public)
    assert (report.signed, report.end, report.is_whole) == (5, 6, True)
    assert [finding.code for finding in report.findings] == ["audit.unsigned"]


async def test_the_same_settings_are_registered_once_and_others_are_an_event(scene: Scene) -> None:
    await register_sinks(scene.world.backend, [NATIVE])
    await register_sinks(scene.world.backend, [NATIVE])
    await register_sinks(scene.world.backend, [SinkSettings("siem", is_closed=False, lag_seconds=60)])
    await scene.log.sequence()
    memory = Memory()
    await drain(scene.delivery(memory, NATIVE))
    found = [json.loads(line) for line in memory.lines]
    assert [(one["target"], one["details"]) for one in found if one["event"] == "audit.configured"] == [
        ("sink:siem", {"on_failure": "closed", "lag_seconds": 300}),
        ("sink:siem", {"on_failure": "open", "lag_seconds": 60}),
    ]


async def test_the_other_formats_have_no_checkpoints(scene: Scene) -> None:
    memory = Memory()
    settings = SinkSettings("siem", line_format="cef")
    await register_sinks(scene.world.backend, [settings])
    await scene.log.sequence()
    await scene.log.checkpoint(SIGNER, force=True)
    await drain(scene.delivery(memory, settings))
    assert [line.split(b"|")[5] for line in memory.lines] == [b"audit.configured", b"audit.started"]


async def test_a_receiver_that_fails_is_tried_again_later_and_misses_nothing(scene: Scene) -> None:
    memory = Memory()
    await register_sinks(scene.world.backend, [NATIVE])
    await scene.act(PLAIN, times=4)
    delivery = scene.delivery(memory, SinkSettings("siem", batch=4))
    memory.fault = TransportError("it is away")
    waits = []
    for _ in range(8):
        assert not await delivery.step()
        assert not memory.is_open
        before = memory.opens
        assert not await delivery.step()  # not before its time
        assert memory.opens == before
        row = (await scene.world.rows("SELECT next_try FROM audit_sinks"))[0][0]
        assert isinstance(row, float)
        waits.append(row - scene.world.clock.time)
        scene.world.clock.time = row
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [(state.fault, state.failing_since) for state in await scene.states()] == [("TRANSPORT", 1_000_000.0)]
    memory.fault = None
    await scene.log.sequence()
    await drain(delivery)
    await scene.log.sequence()
    await drain(delivery)
    assert memory.numbers() == list(range(8))
    assert memory.events()[-2:] == ["sink.failed", "sink.recovered"]
    failed, recovered = (json.loads(line) for line in memory.lines[-2:])
    assert (failed["target"], failed["outcome"], failed["reason"]) == ("sink:siem", "failed", "TRANSPORT")
    assert recovered["details"] == {"seconds": 183}
    assert [(state.fault, state.failing_since) for state in await scene.states()] == [("", None)]


async def test_two_workers_never_deliver_at_once_and_one_follows_a_dead_one(scene: Scene) -> None:
    memory, other = Memory(), Memory()
    await register_sinks(scene.world.backend, [NATIVE])
    await scene.log.sequence()
    first, second = scene.delivery(memory, NATIVE), scene.delivery(other, NATIVE)
    await drain(first)
    await scene.act(PLAIN)
    assert not await second.step()
    assert other.opens == 0
    scene.world.clock.time += NATIVE.lease_seconds + 1  # the first was killed
    await drain(second)
    assert other.numbers() == [2]
    await scene.act(PLAIN)
    assert not await first.step()  # it was not killed, only slow: its lease is gone
    assert not memory.is_open
    await drain(second)
    assert other.numbers() == [2, 3]


async def test_a_lease_that_was_lost_meanwhile_moves_nothing(scene: Scene) -> None:
    await register_sinks(scene.world.backend, [NATIVE])
    await scene.log.sequence()
    world = scene.world

    class Slow(Memory):
        async def send(self, lines: Sequence[SinkLine]) -> None:
            await super().send(lines)
            await world.database.write(lambda rows: rows.run("UPDATE audit_sinks SET holder = 'another'"))

    slow = Slow()
    await scene.delivery(slow, NATIVE).step()
    assert slow.numbers() == [0, 1]
    assert not slow.is_open
    assert [state.position for state in await scene.states()] == [0]


async def test_a_call_that_hangs_is_given_up(scene: Scene) -> None:
    class Hanging(Memory):
        async def send(self, lines: Sequence[SinkLine]) -> None:
            await asyncio.Event().wait()

    settings = SinkSettings("siem", seconds=0.02)
    await register_sinks(scene.world.backend, [settings])
    await scene.log.sequence()
    assert not await scene.delivery(Hanging(), settings).step()
    assert [state.fault for state in await scene.states()] == ["TRANSPORT"]


async def test_a_record_that_is_gone_is_never_skipped(scene: Scene) -> None:
    memory = Memory()
    await register_sinks(scene.world.backend, [NATIVE])
    await scene.act(PLAIN, times=2)
    await scene.world.database.write(lambda rows: rows.run("DELETE FROM audit_records WHERE sequence = 1"))
    delivery = scene.delivery(memory, NATIVE)
    await drain(delivery)
    assert [state.fault for state in await scene.states()] == [CorruptStateError.code]
    await scene.world.database.write(lambda rows: rows.run("DELETE FROM audit_records"))
    scene.world.clock.time += 10
    await drain(delivery)
    assert (memory.lines, [state.fault for state in await scene.states()]) == ([], [CorruptStateError.code])


async def test_an_output_that_was_dropped_is_waited_for_no_more(scene: Scene) -> None:
    memory = Memory()
    await register_sinks(scene.world.backend, [NATIVE])
    assert await drop_sink(scene.world.backend, "siem")
    assert not await drop_sink(scene.world.backend, "siem")
    assert not await scene.delivery(memory, NATIVE).step()
    await scene.log.sequence()
    assert await scene.states() == []
    assert await scene.world.rows("SELECT COUNT(*) FROM audit_records WHERE kind = 9002") == [(2,)]


# --- fail closed ---


async def test_acts_on_keys_wait_for_a_closed_output_that_is_behind_and_others_go_on(scene: Scene) -> None:
    memory = Memory()
    await register_sinks(scene.world.backend, [NATIVE])
    await scene.act(KEY)
    scene.world.clock.time += 300
    await scene.act(KEY)  # exactly the limit
    scene.world.clock.time += 1
    with pytest.raises(AuditBehindError, match="siem"):
        await scene.act(KEY)
    with pytest.raises(AuditBehindError):
        await scene.act(Event("authority.signing", target="certificate", outcome="intent"))
    await scene.act(Event("authority.signing", target="revocations", outcome="intent"))
    await scene.act(PLAIN, Event("certificate.revoked", target=key_ref("b" * 64), details={"subject": "u:1"}))
    memory.fault = TransportError("away")
    delivery = scene.delivery(memory, NATIVE)
    await drain(delivery)
    with pytest.raises(AuditBehindError):
        await scene.act(KEY)
    assert [(state.is_behind, state.lag_seconds) for state in await scene.states()] == [(True, 301.0)]
    memory.fault = None
    scene.world.clock.time += 60
    await drain(delivery)
    await scene.act(KEY)
    assert [state.is_behind for state in await scene.states()] == [False]


async def test_events_that_nobody_numbers_are_behind_as_well(scene: Scene) -> None:
    await register_sinks(scene.world.backend, [NATIVE])
    scene.world.clock.time += 301
    with pytest.raises(AuditBehindError):
        await scene.act(KEY)
    assert [state.lag_seconds for state in await scene.states()] == [301.0]


async def test_an_open_output_holds_up_nothing(scene: Scene) -> None:
    await register_sinks(scene.world.backend, [SinkSettings("siem", is_closed=False)])
    await scene.log.sequence()
    scene.world.clock.time += 10_000
    await scene.act(KEY)
    assert [(state.is_behind, state.is_closed) for state in await scene.states()] == [(True, False)]


# --- files ---


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


async def test_a_file_is_a_log_that_can_be_verified_and_so_is_each_that_was_set_aside(
    scene: Scene, tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    settings = SinkSettings("file", rotate_bytes=2000)
    await register_sinks(scene.world.backend, [settings])
    delivery = scene.delivery(AuditFile(path, "native"), settings)
    for _ in range(4):
        await scene.act(PLAIN, times=6)
        await scene.settle(delivery)
    await scene.log.checkpoint(SIGNER, force=True)
    await drain(delivery)
    aside = sorted(tmp_path.glob("audit-*.jsonl"))
    assert len(aside) == 3
    ends = [int(one.stem.removeprefix("audit-")) + 1 for one in aside]
    for one, end in zip(aside, ends, strict=True):
        report = check_log(lambda one=one: lines_of(one), AUTHORITY.public)  # type: ignore[misc]
        assert (report.signed, report.end, report.findings) == (end, end, ())
        assert lines_of(one)[-1].startswith(b'{"checkpoint":')
    whole = [line for one in [*aside, path] for line in lines_of(one)]
    report = check_log(lambda: whole, AUTHORITY.public)
    assert (report.first, report.is_whole, report.records) == (0, True, report.end)
    await delivery._let_go()


async def test_a_file_is_set_aside_by_age_and_waits_for_the_authority(scene: Scene, tmp_path: Path) -> None:
    path, settings = tmp_path / "audit.jsonl", SinkSettings("file", rotate_seconds=3600)
    await register_sinks(scene.world.backend, [settings])
    await scene.log.sequence()
    delivery = scene.delivery(AuditFile(path, "native"), settings)
    await drain(delivery)
    scene.world.clock.time += 3600
    for _ in range(3):  # nobody signs
        await drain(delivery)
        await scene.log.sequence()
    assert list(tmp_path.glob("audit-*")) == []
    assert [state.fault for state in await scene.states()] == [""]
    await scene.settle(delivery)
    assert [one.name for one in tmp_path.glob("audit-*")] == ["audit-000000000002.jsonl"]
    assert [json.loads(line)["outcome"] for line in lines_of(path) if b"audit.rotated" in line] == ["done"]
    await delivery._let_go()


async def test_another_format_is_set_aside_without_the_authority(scene: Scene, tmp_path: Path) -> None:
    path, settings = tmp_path / "audit.cef", SinkSettings("file", line_format="cef", rotate_bytes=1)
    await register_sinks(scene.world.backend, [settings])
    await scene.log.sequence()
    delivery = scene.delivery(AuditFile(path, "cef"), settings)
    await drain(delivery)
    assert [one.name for one in tmp_path.glob("audit-*")] == ["audit-000000000001.cef"]
    await delivery._let_go()


@pytest.mark.parametrize("lost", [1, 3])
async def test_after_a_crash_the_file_itself_says_where_to_go_on(scene: Scene, tmp_path: Path, lost: int) -> None:
    path, settings = tmp_path / "audit.jsonl", SinkSettings("file")
    await register_sinks(scene.world.backend, [settings])
    await scene.act(PLAIN, times=4)
    delivery = scene.delivery(AuditFile(path, "native"), settings)
    await drain(delivery)
    await delivery._let_go()
    # The row was not durable, and the end of the last line did not reach the disk.
    await scene.world.database.write(lambda rows: rows.run("UPDATE audit_sinks SET position = $1, until = 0", lost))
    path.write_bytes(path.read_bytes()[:-5])
    again = scene.delivery(AuditFile(path, "native"), settings)
    await drain(again)
    await scene.log.checkpoint(SIGNER, force=True)
    await drain(again)
    report = check_log(lambda: lines_of(path), AUTHORITY.public)
    assert (report.signed, report.end, report.findings) == (6, 6, ())
    await again._let_go()


async def test_a_file_from_another_history_is_not_gone_on_with(scene: Scene, tmp_path: Path) -> None:
    path, settings = tmp_path / "audit.jsonl", SinkSettings("file")
    await register_sinks(scene.world.backend, [settings])
    path.write_bytes(b'{"seq":50}\n')
    await scene.log.sequence()
    await drain(scene.delivery(AuditFile(path, "native"), settings))
    assert [state.fault for state in await scene.states()] == ["CORRUPT_STATE"]
    assert path.read_bytes() == b'{"seq":50}\n'


async def test_a_file_that_was_moved_away_is_begun_anew_where_the_log_is(scene: Scene, tmp_path: Path) -> None:
    path, settings = tmp_path / "audit.jsonl", SinkSettings("file")
    await register_sinks(scene.world.backend, [settings])
    await scene.act(PLAIN, times=2)
    delivery = scene.delivery(AuditFile(path, "native"), settings)
    await drain(delivery)
    await delivery._let_go()
    path.rename(tmp_path / "elsewhere.jsonl")
    await scene.act(PLAIN)
    await drain(delivery)
    await scene.log.checkpoint(SIGNER, force=True)
    await drain(delivery)
    report = check_log(lambda: lines_of(path), AUTHORITY.public)
    assert (report.first, report.signed, report.findings) == (4, 5, ())
    await delivery._let_go()


async def test_a_full_disk_is_told_and_waited_for(scene: Scene, tmp_path: Path) -> None:
    path, settings = tmp_path / "audit.jsonl", SinkSettings("file")
    await register_sinks(scene.world.backend, [settings])
    await scene.log.sequence()
    file = AuditFile(path, "native")

    def full(data: bytes) -> None:
        raise DiskFullError

    real, file._append = file._append, full  # type: ignore[method-assign]
    delivery = scene.delivery(file, settings)
    await drain(delivery)
    assert [state.fault for state in await scene.states()] == ["DISK_FULL"]
    file._append = real  # type: ignore[method-assign]
    scene.world.clock.time += 2
    await drain(delivery)
    assert [state.fault for state in await scene.states()] == [""]
    await delivery._let_go()
