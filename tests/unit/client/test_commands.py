"""Single commands on a simulated server, ours and a stock one."""

from collections.abc import Callable

import pytest
from tests.sim import Canaries, World, stock
from tests.unit.client.devices import Device, MemoryTree

from candado.client import edit
from candado.errors import (
    AlreadyExistsError,
    FolderNotEmptyError,
    NotEncryptedError,
    NotFoundError,
    UsageError,
)

MakeDevice = Callable[..., Device]


@pytest.fixture(params=["ours", "stock"])
def world(request: pytest.FixtureRequest) -> World:
    world = World()
    if request.param == "stock":
        world.server.capabilities = stock()
    return world


async def _secret(world: World) -> Device:
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    return device


async def test_an_encrypted_folder_shows_the_files_that_were_put_into_it(world: World) -> None:
    device = await _secret(world)
    report = await device.put("/Secret", {"a.txt": b"alpha", "b.bin": bytes(3_000_000)})
    assert (report.files, report.bytes, report.failures) == (2, 3_000_005, [])
    assert await device.tree() == {"a.txt": b"alpha", "b.bin": bytes(3_000_000)}
    assert world.server.locks == {}


async def test_a_tree_of_folders_arrives_whole(world: World) -> None:
    device = await _secret(world)
    report = await device.put("/Secret", {"docs/deep/er/x": b"1", "docs/y": b"2", "docs/deep/z": b""})
    assert (report.files, report.folders, report.failures) == (3, 3, [])
    expected = {
        "docs": None,
        "docs/deep": None,
        "docs/deep/er": None,
        "docs/deep/er/x": b"1",
        "docs/deep/z": b"",
        "docs/y": b"2",
    }
    assert await device.tree() == expected
    other = Device(world)
    assert await other.tree() == expected


async def test_no_clear_name_and_no_content_reaches_the_server(world: World) -> None:
    canaries = Canaries()
    name, folder, content = (canaries.text(label) for label in ("name", "folder", "content"))
    device = await _secret(world)
    await device.put("/Secret", {f"{folder}/{name}": content.encode() * 3})
    await edit.mv(device.account, f"/Secret/{folder}/{name}", f"/Secret/{name}")
    await edit.rm(device.account, f"/Secret/{folder}", recursive=True)
    assert canaries.found_in(world.server.received) == set()
    assert canaries.found_in([str(request).encode() for request in world.server.log]) == set()


async def test_a_rename_in_one_folder_changes_the_metadata_only(world: World) -> None:
    device = await _secret(world)
    await device.put("/Secret", {"old.txt": b"same"})
    before = (await device.reader().open_path("/Secret/old.txt")).entry
    world.server.log.clear()
    await edit.mv(device.account, "/Secret/old.txt", "/Secret/new.txt")
    after = (await device.reader().open_path("/Secret/new.txt")).entry
    assert before is not None
    assert after is not None
    assert (before.file_id, before.sealed_name, before.content_id) == (
        after.file_id,
        after.sealed_name,
        after.content_id,
    )
    methods = [request.method for request in world.server.log]
    assert {"move", "put", "put_bytes", "delete"}.isdisjoint(methods)


async def test_a_move_between_folders_keeps_the_body_on_the_server(world: World) -> None:
    device = await _secret(world)
    await device.put("/Secret", {"a/x": b"one", "b/y": b"two"})
    before = (await device.reader().open_path("/Secret/a/x")).entry
    world.server.log.clear()
    await edit.mv(device.account, "/Secret/a/x", "/Secret/b")
    after = (await device.reader().open_path("/Secret/b/x")).entry
    assert before is not None
    assert after is not None
    assert before.file_id == after.file_id
    assert "put_bytes" not in [request.method for request in world.server.log]
    assert await Device(world).tree() == {"a": None, "b": None, "b/x": b"one", "b/y": b"two"}


async def test_a_folder_moves_with_everything_below_it(world: World) -> None:
    device = await _secret(world)
    other = Device(world)
    await device.put("/Secret", {"a/deep/x": b"one", "b/y": b"two"})
    await other.tree()
    await edit.mv(device.account, "/Secret/a/deep", "/Secret/b/deeper")
    expected = {"a": None, "b": None, "b/deeper": None, "b/deeper/x": b"one", "b/y": b"two"}
    assert await device.tree() == expected
    assert await other.tree() == expected
    await device.put("/Secret/b/deeper", {"z": b"three"})
    assert await other.tree() == expected | {"b/deeper/z": b"three"}


async def test_a_move_to_another_root_copies_under_fresh_keys_and_then_removes(world: World) -> None:
    device = await _secret(world)
    await edit.encrypt_folder(device.account, "/Other")
    await device.put("/Secret", {"a/x": b"one", "big": bytes(2_500_000)})
    await edit.mv(device.account, "/Secret/a", "/Other")
    await edit.mv(device.account, "/Secret/big", "/Other/big2")
    assert await device.tree() == {}
    assert await device.tree("/Other") == {"a": None, "a/x": b"one", "big2": bytes(2_500_000)}


async def test_a_copy_has_other_keys_than_the_original(world: World) -> None:
    device = await _secret(world)
    await device.put("/Secret", {"a/x": b"one"})
    await edit.cp(device.account, "/Secret/a", "/Secret/b", recursive=True)
    first = (await device.reader().open_path("/Secret/a/x")).entry
    second = (await device.reader().open_path("/Secret/b/x")).entry
    assert first is not None
    assert second is not None
    assert first.entry is not None
    assert second.entry is not None
    assert first.entry.key != second.entry.key
    assert await device.tree() == {"a": None, "a/x": b"one", "b": None, "b/x": b"one"}


async def test_a_folder_with_content_is_removed_only_when_that_was_said(world: World) -> None:
    device = await _secret(world)
    await device.put("/Secret", {"a/x": b"one"})
    with pytest.raises(UsageError):
        await edit.rm(device.account, "/Secret/a")
    assert await device.tree() == {"a": None, "a/x": b"one"}
    await edit.rm(device.account, "/Secret/a", recursive=True)
    assert await device.tree() == {}
    await edit.mkdir(device.account, "/Secret/a")
    assert await Device(world).tree() == {"a": None}


async def test_a_removed_root_is_gone_and_known_as_deleted_here(world: World) -> None:
    device = await _secret(world)
    await device.put("/Secret", {"x": b"one"})
    report = await edit.rm(device.account, "/Secret", recursive=True)
    assert report == edit.RemoveReport("/Secret", is_folder=True, is_root=True)
    with pytest.raises(NotFoundError):
        await device.reader().open_path("/Secret")
    await edit.encrypt_folder(device.account, "/Secret")
    assert await device.tree() == {}


async def test_mkdir_makes_what_is_missing_above_when_asked(world: World) -> None:
    device = await _secret(world)
    with pytest.raises(NotFoundError):
        await edit.mkdir(device.account, "/Secret/a/b/c")
    await edit.mkdir(device.account, "/Secret/a/b/c", parents=True)
    await edit.mkdir(device.account, "/Secret/a/b", parents=True)
    with pytest.raises(AlreadyExistsError):
        await edit.mkdir(device.account, "/Secret/a/b")
    assert await device.tree() == {"a": None, "a/b": None, "a/b/c": None}


@pytest.mark.parametrize(
    ("conflict", "content", "names"),
    [
        ("fail", b"old", {"x.txt"}),
        ("skip", b"old", {"x.txt"}),
        ("replace", b"new", {"x.txt"}),
        ("keep-both", b"old", {"x.txt", "x (2).txt"}),
    ],
)
async def test_what_happens_to_a_taken_name_is_as_asked(
    world: World, conflict: str, content: bytes, names: set[str]
) -> None:
    device = await _secret(world)
    await device.put("/Secret", {"x.txt": b"old"})
    report = await device.put("/Secret", {"x.txt": b"new"}, conflict=conflict)
    tree = await device.tree()
    assert tree["x.txt"] == content
    assert set(tree) == names
    assert [type(failure.error) for failure in report.failures] == ([AlreadyExistsError] if conflict == "fail" else [])


async def test_a_plain_folder_is_never_written_to(world: World) -> None:
    device = await _secret(world)
    await device.remote.make_folder("/Plain", token=None)
    world.server.log.clear()
    with pytest.raises(NotEncryptedError):
        await device.put("/Plain", {"x": b"one"})
    with pytest.raises(NotEncryptedError):
        await edit.mkdir(device.account, "/Plain/x")
    with pytest.raises(NotEncryptedError):
        await edit.cp(device.account, "/Plain", "/Plain/y", recursive=True)
    assert {request.method for request in world.server.log} <= {"list_folder", "capabilities"}


async def test_only_an_empty_folder_becomes_an_encrypted_one(world: World) -> None:
    device = Device(world)
    await device.remote.make_folder("/Full", token=None)
    await device.remote.put_bytes("/Full/x", b"1", token=None)
    with pytest.raises(FolderNotEmptyError):
        await edit.encrypt_folder(device.account, "/Full")
    await device.remote.make_folder("/Empty", token=None)
    await edit.encrypt_folder(device.account, "/Empty")
    with pytest.raises(AlreadyExistsError):
        await edit.encrypt_folder(device.account, "/Empty")
    with pytest.raises(UsageError):
        await edit.encrypt_folder(device.account, "/Empty/inner")
    with pytest.raises(NotFoundError):
        await edit.encrypt_folder(device.account, "/Nowhere/inner")


async def test_an_interrupted_encrypt_is_finished_by_the_next_one(world: World) -> None:
    device = Device(world)
    file_id = await device.remote.make_folder("/Half", token=None)
    await device.remote.mark_encrypted(file_id)
    with pytest.raises(NotEncryptedError):
        await device.tree("/Half")
    await edit.encrypt_folder(device.account, "/Half")
    assert await device.tree("/Half") == {}


async def test_get_brings_a_tree_and_leaves_no_spool_behind(world: World) -> None:
    device = await _secret(world)
    files = {"docs/a": b"1", "docs/deep/b": bytes(range(256)) * 9000, "top": b"3"}
    await device.put("/Secret", files)
    tree = MemoryTree()
    report = await edit.get(device.account, "/Secret", tree, "")
    assert (report.files, report.folders, report.failures) == (3, 2, [])
    assert tree.files == files
    assert tree.rest() == []
    again = await edit.get(device.account, "/Secret/top", tree, "top")
    assert [type(failure.error) for failure in again.failures] == [AlreadyExistsError]


async def test_cat_hands_out_small_and_big_files(world: World) -> None:
    device = await _secret(world)
    big = bytes(range(256)) * 13_000
    await device.put("/Secret", {"small": b"s", "big": big})
    pieces: list[bytes] = []
    assert await edit.cat(device.account, "/Secret/small", pieces.append) == 1
    assert await edit.cat(device.account, "/Secret/big", pieces.append) == len(big)
    assert b"".join(pieces) == b"s" + big


async def test_plain_files_can_be_read_beside_encrypted_ones(world: World) -> None:
    device = await _secret(world)
    await device.remote.make_folder("/Plain", token=None)
    big = bytes(range(256)) * 9000
    await device.remote.put_bytes("/Plain/small", b"s", token=None)
    await device.remote.put_bytes("/Plain/big", big, token=None)
    tree = MemoryTree()
    report = await edit.get(device.account, "/", tree, "")
    assert (report.failures, tree.files) == ([], {"Plain/small": b"s", "Plain/big": big})
    pieces: list[bytes] = []
    await edit.cat(device.account, "/Plain/big", pieces.append)
    assert b"".join(pieces) == big
