"""A dry run decides as the real run does, and sends nothing that changes anything."""

from collections.abc import Awaitable, Callable

import pytest
from tests.sim import World
from tests.unit.client.devices import Device, MemoryTree

from candado.client import edit
from candado.client.rehearsal import Rehearsal
from candado.client.session import WriteSession
from candado.errors import AlreadyExistsError, LocalStorageError, NotFoundError, RootDeletedError

READS = {"list_folder", "metadata", "capabilities", "get"}
TREE = {"a": b"1", "in": None, "in/a": b"2", "in/b": b"3", "other": None, "other/a": b"4"}


async def _secret() -> Device:
    device = Device(World())
    await edit.encrypt_folder(device.account, "/Secret")
    await edit.encrypt_folder(device.account, "/Second")
    await device.put("/Secret", {path: content for path, content in TREE.items() if content is not None})
    device.world.server.log.clear()
    return device


def _kept(device: Device) -> dict[str, dict[str, bytes]]:
    """The state of the device without the pins, which every reader commits."""
    return {space: dict(rows) for space, rows in device.state.spaces.items() if not space.startswith("pin")}


def _plan(rehearsal: Rehearsal) -> list[tuple[str, ...]]:
    return [(step.do, step.path, step.to or "") for step in rehearsal.steps]


async def test_no_dry_run_locks_or_writes_anything() -> None:
    device = await _secret()
    account, state = device.account, _kept(device)
    files = MemoryTree()
    commands: list[Callable[[Rehearsal], Awaitable[object]]] = [
        lambda dry: device.put("/Secret", {"new/x": b"1", "a": b"2"}, conflict="newer", rehearsal=dry),
        lambda dry: edit.cp(account, "/Secret/*", "/Second", recursive=True, rehearsal=dry),
        lambda dry: edit.mv(account, "/Secret/in/b", "/Secret", rehearsal=dry),
        lambda dry: edit.mv(account, "/Secret/in", "/Second/moved", rehearsal=dry),
        lambda dry: edit.mkdir(account, "/Secret/x/y/z", parents=True, rehearsal=dry),
        lambda dry: edit.rm(account, "/Secret/in", recursive=True, rehearsal=dry),
        lambda dry: edit.rm(account, "/Secret", recursive=True, rehearsal=dry),
        lambda dry: edit.get(account, "/Secret", files, "here", rehearsal=dry),
    ]
    for command in commands:
        await command(Rehearsal())
    assert {request.method for request in device.world.server.log} <= READS
    assert _kept(device) == state
    assert (files.files, files.folders) == ({}, set())
    assert await device.tree() == TREE


async def test_what_a_command_would_have_done_is_seen_by_what_it_does_next() -> None:
    device = await _secret()
    account, dry = device.account, Rehearsal()
    await edit.mkdir(account, "/Secret/x", rehearsal=dry)
    await edit.mkdir(account, "Secret/x/y", rehearsal=dry)
    await edit.mkdir(account, "/Secret/x/y/z", parents=True, rehearsal=dry)
    with pytest.raises(AlreadyExistsError):
        await edit.mkdir(account, "/Secret/x", rehearsal=dry)
    assert [path for _, path, _ in _plan(dry)] == ["/Secret/x", "/Secret/x/y", "/Secret/x/y/z"]
    dry = Rehearsal()
    assert (await edit.rm(account, "/Secret/in", recursive=True, rehearsal=dry)).files == 2
    for path in ("/Secret/in/a", "/Secret/in"):
        with pytest.raises(NotFoundError):
            await edit.rm(account, path, recursive=True, rehearsal=dry)
    assert (await edit.rm(account, "/Secret", recursive=True, rehearsal=dry)).files == 4
    for path in ("/Secret/a", "/Secret"):
        with pytest.raises(NotFoundError):
            await edit.rm(account, path, recursive=True, rehearsal=dry)


@pytest.mark.parametrize("conflict", ["fail", "skip", "replace", "keep-both", "newer"])
async def test_downloads_of_one_name_meet_each_other_as_they_would(conflict: edit.Conflict) -> None:
    device = await _secret()
    told: list[list[tuple[int, list[str], list[str]]]] = []
    for dry in (Rehearsal(), None):
        tree, reports = MemoryTree(), list[tuple[int, list[str], list[str]]]()
        for path in ("/Secret/in/a", "/Secret/other/a", "/Secret/in"):
            report = await edit.get(device.account, path, tree, path[-2:].strip("/"), conflict=conflict, rehearsal=dry)
            reports.append((report.files, report.skipped, [one.path for one in report.failures]))
        told.append(reports)
    assert told[0] == told[1]


async def test_a_local_file_in_the_place_of_a_folder_is_told() -> None:
    device = await _secret()
    tree = MemoryTree({"in": b"file"})
    with pytest.raises(LocalStorageError):
        await edit.get(device.account, "/Secret/in", tree, "in", rehearsal=Rehearsal())


async def test_a_root_that_is_marked_as_deleted_takes_nothing_in_a_dry_run_either() -> None:
    device = await _secret()
    async with WriteSession(device.reader(), "/Secret", deletes=True) as session:
        session.delete_root(remove=False)
    for command in (
        lambda: device.put("/Secret", {"x": b""}, rehearsal=Rehearsal()),
        lambda: edit.mkdir(device.account, "/Secret/x", rehearsal=Rehearsal()),
    ):
        with pytest.raises(RootDeletedError):
            await command()
    assert (await edit.rm(device.account, "/Secret", recursive=True, rehearsal=Rehearsal())).files == 0
