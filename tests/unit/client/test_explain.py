"""An exported log is explained with what this device knows, and nothing but its own name is ever sent for it."""

from dataclasses import replace

import pytest
from tests.sim import World, rsa_key
from tests.sim.keylog import SimLog
from tests.unit.client.devices import Device

from candado.client import edit, sharing
from candado.client.explain import Explained, Wanted, count_weeks, explain_log, known_names, verify_log
from candado.crypto import merkle
from candado.crypto.checkpoint import opaque_id, origin_of
from candado.errors import NotFoundError, UsageError
from candado.formats.auditrecord import AuditRecord, CheckpointLine, StartLine, format_line
from candado.types import UserId

ALICE, BOB = UserId("alice"), UserId("bob")


@pytest.fixture
def world() -> World:
    return World("alice", "bob")


@pytest.fixture
def log(world: World) -> SimLog:
    return world.server.start_log()


@pytest.fixture
async def alice(world: World, log: SimLog) -> Device:
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    await sharing.share(device.account, "/Secret", BOB)
    return device


def exported(log: SimLog, records: list[AuditRecord]) -> list[bytes]:
    lines = [format_line(record) for record in records]
    edge, _ = merkle.grow(0, [], [merkle.leaf_hash(line) for line in lines])
    note = log.note(len(lines), merkle.root_of(edge))
    return [format_line(StartLine(origin_of(log.salt), 0, ())), *lines, format_line(CheckpointLine(note))]


def events(log: SimLog, folder: int) -> list[AuditRecord]:
    alice, bob = (opaque_id(log.salt, "user", user) for user in (ALICE, BOB))
    stranger = opaque_id(log.salt, "user", "somebody else")
    key = f"k:{rsa_key('bob').public.fingerprint_hex}"
    base = AuditRecord(0, "2026-01-05T10:00:00.000Z", 3001, "folder.marked", actor=alice, target=f"n:{folder}")
    return [
        base,
        replace(base, sequence=1, time="2026-01-12T23:59:59.900Z", number=4001, event="share.made", target="sh:9",
                details={"node": f"n:{folder}", "with": bob, "permissions": 31}),
        replace(base, sequence=2, time="2026-01-13T00:00:00.000Z", number=4003, event="share.ended", actor=stranger,
                target="sh:9", details={"with": bob}),
        replace(base, sequence=3, time="2026-01-13T01:00:00.000Z", number=2001, event="certificate.issued", actor=bob,
                target=key, details={"subject": bob}),
    ]  # fmt: skip


async def shown(device: Device, lines: list[bytes], wanted: Wanted | None = None) -> list[Explained]:
    names = await known_names(device.account, lambda: lines)
    return list(explain_log(lambda: lines, names, wanted or Wanted()))


def folder_of(device: Device) -> int:
    (root,) = device.account.book.roots()
    return root.file_id


async def test_ids_become_the_names_that_this_device_knows(log: SimLog, alice: Device) -> None:
    lines = exported(log, events(log, folder_of(alice)))
    found = await shown(alice, lines)
    assert [(one.shown(one.record.actor), one.shown(one.record.target)) for one in found] == [
        ("alice", "/Secret"),
        ("alice", "sh:9"),
        (opaque_id(log.salt, "user", "somebody else"), "sh:9"),
        ("bob", "key of bob"),
    ]
    assert [one.shown(str(value)) for one in found[1:2] for value in one.record.details.values()] == [
        "/Secret",
        "31",
        "bob",
    ]
    report = verify_log(alice.account, lambda: lines)
    assert report is not None
    assert (report.signed, report.findings) == (4, ())


async def test_names_are_never_sent_and_the_salt_is_asked_for_once(world: World, log: SimLog, alice: Device) -> None:
    lines = exported(log, events(log, folder_of(alice)))
    alice.account.store.commit([("cache", "audit-salt", None)])
    before = len(world.server.log)
    await shown(alice, lines)
    sent = world.server.log[before:]
    assert [(request.user, request.method, request.detail) for request in sent] == [("alice", "key_log", "alice")]
    await shown(alice, lines)
    assert len(world.server.log) == before + 1


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted(), [0, 1, 2, 3]),
        (Wanted(kind="share.made"), [1]),
        (Wanted(kind="share."), [1, 2]),
        (Wanted(kind="share"), []),
        (Wanted(actor="alice"), [0, 1]),
        (Wanted(actor="bob"), [3]),
        (Wanted(target="/Secret"), [0, 1]),
        (Wanted(target="bob"), [1, 2, 3]),
        (Wanted(target="sh:9"), [1, 2]),
        (Wanted(since="2026-01-12"), [1, 2, 3]),
        (Wanted(until="2026-01-12"), [0, 1]),
        (Wanted(since="2026-01-12", until="2026-01-13T00:00:00Z"), [1, 2]),
        (Wanted(since="2026-01-13", kind="share.", target="bob"), [2]),
    ],
)
async def test_filters_take_names_and_times(log: SimLog, alice: Device, wanted: Wanted, numbers: list[int]) -> None:
    lines = exported(log, events(log, folder_of(alice)))
    assert [one.record.sequence for one in await shown(alice, lines, wanted)] == numbers


@pytest.mark.parametrize("text", ["yesterday", "2026-1-1", "2026-01-01T10:00", "2026-01-01\n"])
def test_a_time_that_is_none_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        Wanted(since=text)
    with pytest.raises(UsageError):
        Wanted(until=text)


async def test_events_are_counted_by_week(log: SimLog, alice: Device) -> None:
    records = events(log, folder_of(alice))
    records.append(replace(records[0], sequence=4, time="2026-02-30T00:00:00.000Z"))
    found = await shown(alice, exported(log, records))
    assert count_weeks(found) == {
        "-": {"folder.marked": 1},
        "2026-W02": {"folder.marked": 1},
        "2026-W03": {"certificate.issued": 1, "share.ended": 1, "share.made": 1},
    }


async def test_the_log_of_another_server_is_refused(log: SimLog, alice: Device) -> None:
    lines = exported(log, events(log, folder_of(alice)))
    lines[0] = format_line(StartLine(origin_of(b"x" * 32), 0, ()))
    with pytest.raises(UsageError, match="another server"):
        await known_names(alice.account, lambda: lines)


async def test_a_salt_that_is_none_is_refused(world: World, log: SimLog, alice: Device) -> None:
    lines = exported(log, events(log, folder_of(alice)))
    for salt in (b"short", b"y" * 32, b"y" * 500):
        log.salt = salt
        with pytest.raises(UsageError):
            await known_names(alice.account, lambda: lines)
    assert alice.account.store.load("cache", "audit-salt") is None


async def test_a_log_from_before_a_restore_is_explained_as_well(log: SimLog, alice: Device) -> None:
    lines = exported(log, events(log, folder_of(alice)))
    log.salt += b"restored"
    assert (await shown(alice, lines))[0].shown(opaque_id(log.salt, "user", ALICE)) == "alice"


async def test_a_server_without_a_log_has_nothing_to_explain(world: World, log: SimLog, alice: Device) -> None:
    lines = exported(log, events(log, folder_of(alice)))
    world.server.key_log = None
    alice.account.store.commit([("cache", "capabilities", None)])
    alice.start()
    with pytest.raises(NotFoundError):
        await known_names(alice.account, lambda: lines)


async def test_lines_that_are_no_records_are_left_out_and_told(log: SimLog, alice: Device) -> None:
    lines = exported(log, events(log, folder_of(alice)))
    lines.insert(2, b"no record")
    assert [one.record.sequence for one in await shown(alice, lines)] == [0, 1, 2, 3]
    report = verify_log(alice.account, lambda: lines)
    assert report is not None
    assert "audit.malformed" in [finding.code for finding in report.findings]


async def test_a_record_that_somebody_changed_is_found_with_the_pinned_key(log: SimLog, alice: Device) -> None:
    lines = exported(log, events(log, folder_of(alice)))
    changed = [
        line.replace(b'"outcome":"done"', b'"outcome":"failed"') if n == 2 else line for n, line in enumerate(lines)
    ]
    assert changed != lines
    report = verify_log(alice.account, lambda: changed)
    assert report is not None
    assert not report.is_whole
    assert "audit.edited" in [finding.code for finding in report.findings]
