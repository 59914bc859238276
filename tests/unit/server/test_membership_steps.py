"""Membership steps: the documents that changed who the members are, for devices that were away meanwhile."""

import json

import pytest
from tests.unit.server.world import ALICE, BOB, World

from candado.errors import ForbiddenError
from candado.server.model import MetadataRow, NodeInfo
from candado.server.staging import STEP_CHARS_MAX, STEPS_MAX


def _members(*names: str, body: str = "") -> str:
    return json.dumps({"users": [{"userId": name, "certificate": f"c-{name}"} for name in names], "body": body})


async def _write(world: World, root: NodeInfo, counter: int, text: str) -> None:
    token = await world.lock(root, counter)
    await world.metadata.update(ALICE, root.file_id, text=text, signature=f"s{counter}", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)


async def test_only_the_newest_changes_of_members_are_kept_and_no_huge_ones(world: World) -> None:
    root = await world.encrypted_root()
    for counter in range(2, STEPS_MAX + 8):
        await _write(world, root, counter, _members("alice", f"guest-{counter}"))
    kept = await world.metadata.steps(ALICE, root.file_id, after=0)
    assert [row.counter for row in kept] == list(range(8, STEPS_MAX + 8))
    assert kept[-1] == MetadataRow(_members("alice", f"guest-{STEPS_MAX + 7}"), f"s{STEPS_MAX + 7}", STEPS_MAX + 7)
    await _write(world, root, 100, _members("alice", body="x" * STEP_CHARS_MAX))
    assert [row.counter for row in await world.metadata.steps(ALICE, root.file_id, after=STEPS_MAX + 7)] == []


@pytest.mark.parametrize("text", ["no json", "[1]", '{"users": 5}', '{"users": []}', '{"users": ["x"]}', "[" * 100_000])
async def test_a_document_without_readable_members_is_no_step(world: World, text: str) -> None:
    root = await world.encrypted_root()
    await _write(world, root, 2, _members("alice"))
    await _write(world, root, 3, text)
    assert [row.counter for row in await world.metadata.steps(ALICE, root.file_id, after=0)] == [2]


async def test_steps_go_with_the_metadata_and_are_for_readers_only(world: World) -> None:
    root = await world.encrypted_root()
    await _write(world, root, 2, _members("alice", "bob"))
    with pytest.raises(ForbiddenError):
        await world.metadata.steps(BOB, root.file_id, after=0)
    token = await world.lock(root, 3)
    await world.metadata.delete(ALICE, root.file_id, token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await world.rows("SELECT * FROM membership_steps") == []
    assert await world.metadata.steps(ALICE, root.file_id, after=0) == []


@pytest.mark.parametrize("way", ["unmark", "delete", "all"])
async def test_steps_go_with_their_folder(world: World, way: str) -> None:
    root = await world.encrypted_root()
    await _write(world, root, 2, _members("alice", "bob"))
    if way == "unmark":
        await world.metadata.unmark(ALICE, root.file_id)
    elif way == "delete":
        token = await world.lock(root, 3)
        await world.files.delete(ALICE, "Secret", token=token)
        await world.sessions.unlock(ALICE, root.file_id, token=token)
    else:
        await world.metadata.delete_all_encrypted(ALICE)
    assert await world.rows("SELECT * FROM membership_steps") == []
    assert await world.findings() == []
