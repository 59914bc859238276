"""Where a copy goes: a slash at the end says folder, and what comes from a pipe needs a name."""

import pytest
from tests.sim import World
from tests.unit.client.devices import Device, MemoryTree

from candado.client import edit
from candado.errors import NotFoundError, UsageError


async def _secret() -> Device:
    device = Device(World())
    await edit.encrypt_folder(device.account, "/Secret")
    await device.put("/Secret", {"a": b"1", "in/b": b"2"})
    return device


async def test_a_file_does_not_take_the_name_of_a_folder_that_is_not_there() -> None:
    device = await _secret()
    before = await device.tree()
    for act in (
        device.put("/Secret/new/", {"x": b"x"}),
        edit.cp(device.account, "/Secret/a", "/Secret/new/"),
        edit.mv(device.account, "/Secret/a", "/Secret/new/"),
    ):
        with pytest.raises(NotFoundError) as caught:
            await act
        assert caught.value.path == "/Secret/new"
    with pytest.raises(UsageError):
        await device.put("/Secret/a/", {"x": b"x"})
    assert await device.tree() == before


async def test_a_slash_after_an_existing_folder_or_the_new_name_of_a_folder_changes_nothing() -> None:
    device = await _secret()
    await device.put("/Secret/in/", {"x": b"x"})
    await edit.mv(device.account, "/Secret/in", "/Secret/moved/")
    await edit.cp(device.account, "/Secret/moved", "/Secret/copy/", recursive=True)
    await device.put("/Secret/third/", {"folder/c": b"c"})
    assert set(await device.tree()) == {
        "a", "moved", "moved/b", "moved/x", "copy", "copy/b", "copy/x", "third", "third/c",
    }  # fmt: skip


async def test_what_comes_from_a_pipe_needs_a_name_in_a_folder() -> None:
    device = await _secret()
    pipe = edit.PutSource(MemoryTree({"stdin": b"new"}), "stdin", "")
    for folder in ("/Secret", "/Secret/in"):
        with pytest.raises(UsageError) as caught:
            await edit.put(device.account, [pipe], folder)
        assert (caught.value.path, f"{folder}/NAME" in caught.value.advice) == (folder, True)
    await edit.put(device.account, [pipe], "/Secret/named")
    await edit.put(device.account, [pipe], "/Secret/a", conflict="replace")
    tree = await device.tree()
    assert (tree["named"], tree["a"]) == (b"new", b"new")
