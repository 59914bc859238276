"""Every kind of damage is found and named, and a sound store has no findings."""
# ruff: noqa: ISC004 -- statements of a table, one per row

from pathlib import Path

import pytest
from tests.unit.server.world import ALICE, MemoryObjects, World

from candado.server.check import check_store, collect_orphans
from candado.server.model import Finding
from candado.server.sweep import orphans_due


async def filled(folder: Path) -> tuple[World, MemoryObjects]:
    objects = MemoryObjects()
    world = await World.open(folder, objects=objects)
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.put("Secret/a", b"12345", token=token)
    await world.uploads.begin(ALICE, "t")
    for name in "12":
        blob_id = await objects.put(b"chunk")
        await world.uploads.put_chunk(ALICE, "t", name, blob_id=blob_id, size_bytes=5)
    await world.uploads.finish(ALICE, "t", "Secret/b", token=token, total_length=10, mtime=None)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    return world, objects


async def test_a_sound_store_has_no_findings(tmp_path: Path) -> None:
    world, _ = await filled(tmp_path)
    assert await check_store(world.backend, read_data=True) == []
    await world.close()


@pytest.mark.parametrize(
    ("damage", "codes"),
    [
        ("UPDATE nodes SET size = size + 1 WHERE name = 'Secret'", {"tree.size"}),
        ("UPDATE nodes SET parent_id = 9999 WHERE name = 'a'", {"tree.parent", "tree.unreachable", "tree.size"}),
        ("UPDATE sequences SET next = 2", {"tree.ids"}),
        ("UPDATE nodes SET content = NULL WHERE name = 'a'", {"content.none"}),
        ("DELETE FROM parts WHERE position = 1", {"content.parts"}),
        ("UPDATE nodes SET encrypted = 0", {"metadata.stray"}),
        ("DELETE FROM folder_metadata", {"metadata.none"}),
        ("INSERT INTO lock_counters VALUES ('x', 1, 1)", {"session.stray"}),
        (
            "INSERT INTO locks (session, node_id, home_id, user_id, created, refreshed, epoch)"
            " VALUES ('x', 9999, 1, 'alice', 0, 1000000, '{epoch}')",
            {"session.lock"},
        ),
        (
            "INSERT INTO locks (session, node_id, home_id, user_id, created, refreshed, epoch)"
            " VALUES ('x', (SELECT id FROM nodes WHERE name = 'Secret'), 1, 'alice', 0, 0, '{epoch}')",
            {"session.over"},
        ),
        ("INSERT INTO doomed VALUES ('x', 1)", {"scratch.left"}),
        (
            "INSERT INTO shares (node_id, share_type, owner_id, initiator_id, permissions, target, created)"
            " VALUES (9999, 0, 'a', 'a', 1, 't', 0)",
            {"share.stray"},
        ),
        (
            "INSERT INTO shares (node_id, share_type, owner_id, initiator_id, share_with, permissions, target, created,"
            " parent_share) VALUES (1, 2, 'alice', 'alice', 'bob', 1, 't', 0, 99)",
            {"share.member"},
        ),
        (
            "INSERT INTO shares (node_id, share_type, owner_id, initiator_id, share_with, permissions, target, created,"
            " parent_share) SELECT 1, kind, 'alice', 'alice', who, bits, 't', 0, up FROM"
            " (SELECT 1 AS kind, 'crew' AS who, 1 AS bits, NULL AS up UNION SELECT 2, 'bob', 31, 1) AS made",
            {"share.member"},
        ),
        ("INSERT INTO chunks VALUES ('x', '1', 'b', 1, 0, 'e')", {"upload.stray"}),
    ],
)
async def test_damaged_rows_are_named(tmp_path: Path, damage: str, codes: set[str]) -> None:
    world, _ = await filled(tmp_path)
    await world.database.write(lambda rows: rows.run(damage.replace("{epoch}", world.backend.epoch)))
    assert {finding.code for finding in await world.findings()} == codes
    await world.close()


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("read_data", [True, False])
async def test_missing_and_short_bodies_are_named(tmp_path: Path, name: str, read_data: bool) -> None:
    world, objects = await filled(tmp_path)
    _, parts = await world.files.open_file(ALICE, f"Secret/{name}")
    blob_id = parts[-1].blob_id
    objects.blobs[blob_id] = b"1234"
    message = "a body has 4 bytes instead of 5"
    assert await world.findings(read_data=read_data) == [Finding("blob.size", "error", blob_id, message)]
    del objects.blobs[blob_id]
    message = "the body of a file is missing"
    assert await world.findings(read_data=read_data) == [Finding("blob.missing", "error", blob_id, message)]
    await world.close()


@pytest.mark.parametrize("name", ["a", "b"])
async def test_altered_bodies_are_named_when_everything_is_read(tmp_path: Path, name: str) -> None:
    world, objects = await filled(tmp_path)
    _, parts = await world.files.open_file(ALICE, f"Secret/{name}")
    objects.blobs[parts[-1].blob_id] = b"12x45"
    assert await world.findings() == []
    message = "the bytes of a body are not those that were written"
    assert await world.findings(read_data=True) == [Finding("blob.altered", "error", parts[-1].blob_id, message)]
    await world.close()


async def test_old_orphans_are_named_and_collected_and_young_ones_left_alone(tmp_path: Path) -> None:
    world, objects = await filled(tmp_path)
    orphan = await objects.put(b"nobody's")
    assert await world.findings() == []
    world.clock.time += 86_401
    assert [(f.code, f.subject) for f in await world.findings()] == [("blob.orphan", orphan)]
    assert await collect_orphans(world.backend) == 1
    assert (await world.findings(), await world.get("Secret/b")) == ([], b"chunkchunk")
    await world.close()


async def test_orphans_are_sought_once_a_day_by_one_process_of_all(tmp_path: Path) -> None:
    one, two = await World.open(tmp_path), await World.open(tmp_path, seed=8)
    due = [await orphans_due(one.backend)]
    for hours in (23, 2, 1, 23, 2):
        for world in (one, two):
            world.clock.time += hours * 3600
            due.append(await orphans_due(world.backend))
    assert due == [False, False, False, True, False, False, False, False, False, True, False]
    for world in (one, two):
        await world.close()
