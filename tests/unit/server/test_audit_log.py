"""Events get numbers without gaps whoever numbers them, the tree grows, and what is signed can be proved."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.world import ALICE, HandClock, World, add_users
from tests.vectors.keys import private_key

from candado.adapters.signers import SoftwareSigner
from candado.crypto import merkle
from candado.crypto.checkpoint import Checkpoint, open_checkpoint, origin_of
from candado.crypto.x509 import make_csr
from candado.errors import AuthorityChangedError, BadRequestError, NotFoundError, SignerUnavailableError
from candado.formats.auditrecord import AuditRecord, CheckpointLine, format_line, parse_line
from candado.ports.server import Rows
from candado.protocol.auditcheck import check_log
from candado.server.audit import Actor, Event, audited, key_ref, record, user_ref
from candado.server.auditlog import AuditLog, opaque, read_head, rename_log
from candado.server.auditproofs import AuditProofs
from candado.server.authority import hand_over, pin_authority
from candado.server.pki import Pki

AUTHORITY = private_key("authority")
SIGNER = SoftwareSigner(AUTHORITY)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    """Two server processes on one database."""
    worlds = await World.open(tmp_path), await World.open(tmp_path, seed=8)
    yield worlds
    for world in worlds:
        await world.close()


async def _act(world: World, *events: Event) -> None:
    async def work(rows: Rows) -> None:
        for event in events:
            await record(rows, event)

    with audited(clock=world.clock):
        await world.database.write(work)


async def _lines(world: World) -> list[bytes]:
    page = await AuditProofs(world.backend).records(0, 1000)
    return [line.encode() for _, line in page.records]


async def _records(world: World) -> list[AuditRecord]:
    found = [parse_line(line) for line in await _lines(world)]
    return [one for one in found if isinstance(one, AuditRecord)]


def _key_event(kind: str, user: str, key: str) -> Event:
    return Event(kind, Actor(user), key_ref(key * 64), details={"subject": user_ref(user), "serial": "7"})


async def test_a_log_begins_with_the_certificates_that_are_in_use(world: World) -> None:
    key = private_key("alice")
    await add_users(world.database)
    await Pki(world.backend, SIGNER).register(ALICE, make_csr(key, "alice"))

    async def as_before(rows: Rows) -> None:
        await rows.run("DELETE FROM audit_pending")

    await world.database.write(as_before)
    log = AuditLog(world.backend)
    await log.sequence()
    found = await _records(world)
    assert [(one.sequence, one.event, one.actor, one.reason) for one in found] == [
        (0, "audit.started", "server", ""),
        (1, "certificate.stored", "server", "existing"),
    ]
    assert (found[1].target, found[1].details["subject"]) == (
        key_ref(key.public.fingerprint_hex),
        opaque(await log.salt(), "user:alice"),
    )


async def test_nobody_is_named_and_everything_else_is_there(world: World) -> None:
    log = AuditLog(world.backend)
    salt = await log.salt()
    await log.sequence()
    event = Event(
        "metadata.written",
        Actor("alice", device=3),
        "n:7",
        details={"counter_before": 3, "counter_after": 4, "owner": user_ref("bob")},
    )
    with audited(request="ab", address="fe80::1%eth0", versions=("e2ee/2",)):
        await _act(world, event)
    assert await log.sequence() == 1
    found = (await _records(world))[1]
    assert found == AuditRecord(
        sequence=1,
        time="1970-01-12T13:46:40.000Z",
        number=3020,
        event="metadata.written",
        actor=opaque(salt, "user:alice"),
        device="d:3",
        address="fe80::1_eth0",
        target="n:7",
        request="ab",
        versions=("e2ee/2",),
        counter=(3, 4),
        details={"owner": opaque(salt, "user:bob")},
    )
    assert found.actor.startswith("u:")
    assert len(found.actor) == 34
    assert opaque(salt, "group:alice") not in (found.actor, "group:alice")


async def test_two_processes_number_every_event_once(two: tuple[World, World]) -> None:
    logs = [AuditLog(world.backend) for world in two]
    await logs[0].salt()
    for burst in range(6):
        await asyncio.gather(
            *(_act(world, Event("session.locked", target=f"n:{burst}"), Event("session.unlocked")) for world in two * 5)
        )
        await asyncio.gather(*(log.sequence() for log in logs * 2))
    await logs[0].sequence()
    found = await _records(two[1])
    assert [one.sequence for one in found] == list(range(121))
    assert sum(one.event == "session.locked" for one in found) == 60
    assert sum(one.event == "session.unlocked" for one in found) == 60


async def test_the_chain_goes_on_after_a_restart_and_a_clock_that_went_back(tmp_path: Path) -> None:
    world = await World.open(tmp_path)
    await _act(world, Event("session.locked"))
    await AuditLog(world.backend).sequence()
    first = await AuditLog(world.backend).checkpoint(SIGNER)
    assert first is not None
    await world.close()

    world = await World.open(tmp_path)
    world.clock.time -= 5000
    await _act(world, Event("session.unlocked"))
    log = AuditLog(world.backend)
    await log.sequence()
    second = await log.checkpoint(SIGNER, force=True)
    assert second is not None
    found = await _records(world)
    assert [(one.sequence, one.time) for one in found] == [
        (0, "1970-01-12T13:46:40.000Z"),
        (1, "1970-01-12T13:46:40.000Z"),
        (2, "1970-01-12T12:23:20.000Z"),
    ]
    proof = await AuditProofs(world.backend).consistency(first.size, second.size)
    merkle.check_consistency(first.size, first.root, second.size, second.root, proof)
    await world.close()


async def test_a_checkpoint_is_due_soon_after_acts_on_keys_and_else_within_the_hour(world: World) -> None:
    log, clock = AuditLog(world.backend), world.clock
    assert isinstance(clock, HandClock)
    await log.sequence()
    assert await log.checkpoint(SIGNER) is not None
    await _act(world, Event("session.locked"))
    await log.sequence()
    assert await log.checkpoint(SIGNER) is None
    await _act(world, _key_event("certificate.issued", "alice", "a"))
    await log.sequence()
    urgent = await log.checkpoint(SIGNER)
    assert urgent is not None
    assert urgent.size == 3
    await _act(world, Event("session.unlocked"))
    await log.sequence()
    clock.time += 3000
    hourly = await log.checkpoint(SIGNER)
    assert hourly is not None
    clock.time += 100_000
    assert await log.checkpoint(SIGNER, force=True) is None  # nothing came
    size, note = await AuditProofs(world.backend).checkpoint()
    assert (size, open_checkpoint(note, AUTHORITY.public, origin=origin_of(await log.salt()))) == (4, hourly)


async def test_what_is_exported_is_whole(world: World) -> None:
    log = AuditLog(world.backend)
    await _act(world, *[Event("session.locked", target=f"n:{n}") for n in range(300)])
    assert await log.sequence() == 301
    await log.checkpoint(SIGNER)
    _, note = await AuditProofs(world.backend).checkpoint()
    lines = await _lines(world)
    report = check_log(lambda: iter([*lines, format_line(CheckpointLine(note))]), AUTHORITY.public)
    assert (report.findings, report.signed) == ((), 301)


async def test_a_page_names_where_it_starts_and_odd_pages_are_refused(world: World) -> None:
    log, proofs = AuditLog(world.backend), AuditProofs(world.backend)
    await _act(world, *[Event("session.locked", target=f"n:{n}") for n in range(20)])
    await log.sequence()
    lines = await _lines(world)
    page = await proofs.records(13, 3)
    assert (page.first, page.size, [sequence for sequence, _ in page.records]) == (13, 21, [13, 14, 15])
    assert list(page.edge) == merkle.grow(0, [], [merkle.leaf_hash(line) for line in lines[:13]])[0]
    end = await proofs.records(21, 3)
    assert (end.first, end.records) == (21, ())
    for first, limit in ((22, 1), (-1, 1), (0, 0), (0, 1001)):
        with pytest.raises(BadRequestError):
            await proofs.records(first, limit)


async def test_a_users_leaves_are_a_chain_that_is_proved(world: World) -> None:
    log, proofs = AuditLog(world.backend), AuditProofs(world.backend)
    with pytest.raises(NotFoundError):
        await proofs.keys(["alice"], 0)
    await _act(world, _key_event("certificate.issued", "alice", "a"), _key_event("certificate.issued", "bob", "b"))
    await log.sequence()
    first = await log.checkpoint(SIGNER)
    assert first is not None
    await _act(world, _key_event("certificate.revoked", "alice", "a"), _key_event("certificate.issued", "alice", "c"))
    await log.sequence()
    second = await log.checkpoint(SIGNER)
    assert second is not None
    await _act(world, _key_event("certificate.issued", "alice", "d"))
    await log.sequence()
    found = await proofs.keys(["alice", "carol"], first.size)
    assert open_checkpoint(found.checkpoint, AUTHORITY.public, origin=origin_of(found.salt)) == second
    merkle.check_consistency(first.size, first.root, second.size, second.root, list(found.consistency))
    told: list[tuple[str, Any, str]] = []
    for leaf in found.users["alice"]:
        merkle.check_inclusion(
            leaf.sequence, second.size, merkle.leaf_hash(leaf.record.encode()), leaf.proof, second.root
        )
        document = json.loads(leaf.record)
        told.append((document["event"], document["details"]["previous"], document["target"][:3]))
    start = found.users["alice"][-1].sequence
    assert told == [
        ("certificate.issued", start + 4, "k:c"),
        ("certificate.revoked", start + 1, "k:a"),
        ("certificate.issued", 0, "k:a"),
    ]
    assert found.users["carol"] == ()
    assert (await proofs.keys(["alice"], 99)).consistency == ()
    for users, size in ((["x"] * 101, 0), (["x"], -1)):
        with pytest.raises(BadRequestError):
            await proofs.keys(users, size)


async def test_events_of_a_newer_server_wait_for_it(world: World) -> None:
    log = AuditLog(world.backend)
    await log.sequence()

    async def newer(rows: Rows) -> None:
        await rows.run("INSERT INTO audit_pending (at, kind, body) VALUES (1.0, 'dream.dreamt', '{}')")

    await world.database.write(newer)
    await _act(world, Event("session.locked"))
    assert await log.sequence() == 1
    assert await log.sequence() == 0


class _CutRows:
    """Rows of a transaction that ends after so many statements, as when the process is killed."""

    def __init__(self, rows: Rows, left: int) -> None:
        self._rows, self._left = rows, left

    def __getattr__(self, name: str) -> Any:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return getattr(self._rows, name)


async def test_numbering_that_is_cut_anywhere_has_done_nothing_and_is_done_again(world: World) -> None:
    log = AuditLog(world.backend)
    await log.sequence()
    await _act(world, _key_event("certificate.issued", "alice", "a"), Event("session.locked"))
    real = world.database.write
    for cut in range(5):

        async def cut_write(work: Any, *, durable: bool = True, cut: int = cut) -> Any:
            return await real(lambda rows: work(_CutRows(rows, cut)), durable=durable)

        world.database.write = cut_write  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            await log.sequence()
        world.database.write = real  # type: ignore[method-assign]
        assert (await world.database.read(read_head)).size == 1
    assert await log.sequence() == 2
    await log.checkpoint(SIGNER)
    _, note = await AuditProofs(world.backend).checkpoint()
    lines = [*await _lines(world), format_line(CheckpointLine(note))]
    assert check_log(lambda: iter(lines), AUTHORITY.public).is_whole


async def test_a_server_that_runs_with_an_old_key_signs_nothing_after_the_hand_over(world: World) -> None:
    log, successor = AuditLog(world.backend), SoftwareSigner(private_key("mallory"))
    await pin_authority(world.backend, AUTHORITY.public)
    await log.sequence()
    await log.checkpoint(SIGNER)
    await hand_over(world.backend, SIGNER, successor)
    await log.sequence()
    with pytest.raises(AuthorityChangedError):
        await log.checkpoint(SIGNER)
    point = await log.checkpoint(successor)
    assert point is not None
    size, note = await AuditProofs(world.backend).checkpoint()
    assert (size, open_checkpoint(note, private_key("mallory").public)) == (point.size, point)


async def test_a_restored_log_has_another_name_and_the_same_beginning(world: World) -> None:
    log, proofs = AuditLog(world.backend), AuditProofs(world.backend)
    await world.database.write(lambda rows: rename_log(rows, b"unstarted"))
    await _act(world, _key_event("certificate.issued", "alice", "a"))
    await log.sequence()
    before = await log.checkpoint(SIGNER)
    assert before is not None
    await world.database.write(lambda rows: rename_log(rows, b"12345678"))
    with pytest.raises(NotFoundError):
        await proofs.checkpoint()
    await log.sequence()
    after = await log.checkpoint(SIGNER)
    assert after is not None
    assert (after.size, (await _records(world))[-1].event) == (3, "backup.restored")
    assert before.origin != after.origin == origin_of(await log.salt())
    found = await proofs.keys(["alice"], before.size)
    assert len(found.users["alice"]) == 1
    merkle.check_consistency(before.size, before.root, after.size, after.root, found.consistency)


class _Away(SoftwareSigner):
    async def sign(self, message: bytes) -> bytes:
        raise SignerUnavailableError("the token is away")


async def test_an_authority_that_is_away_is_told_once_and_waited_for(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    log = AuditLog(world.backend)
    for _ in range(3):
        await log.tend(_Away(AUTHORITY))
    assert [one.message.split(":")[0] for one in caplog.records] == ["the audit log waits"]
    assert (await world.database.read(read_head)).size == 1
    await log.tend(SIGNER)
    size, _ = await AuditProofs(world.backend).checkpoint()
    assert size == 1


async def test_proofs_ask_for_few_rows_in_a_long_log(world: World) -> None:
    log, proofs = AuditLog(world.backend), AuditProofs(world.backend)
    await _act(world, *[Event("session.locked") for _ in range(2000)])
    await log.sequence()
    head = await world.database.read(read_head)
    assert await log.checkpoint(SIGNER) == Checkpoint(origin_of(await log.salt()), 2001, merkle.root_of(head.edge))
    assert len(await proofs.consistency(1, 2001)) <= 12
