"""Fetching a plain folder with encrypted ones below it: all of it arrives, or is told."""

from tests.sim import World
from tests.unit.client.devices import Device, MemoryTree

from candado.client import edit
from candado.errors import CandadoError, NoKeysError


async def _home(world: World, device: Device) -> None:
    """A home with an encrypted folder at its top, one in a plain folder, and a plain file."""
    for path in ("/Plain", "/Plain/deep"):
        await device.remote.make_folder(path, token=None)
    await device.remote.put_bytes("/Plain/open.txt", b"open", token=None)
    for path in ("/Docs", "/Plain/deep/Vault"):
        await edit.encrypt_folder(device.account, path)
    await device.put("/Docs", {"a": b"1", "in/b": b"2"})
    await device.put("/Plain/deep/Vault", {"c": b"3"})


async def test_a_plain_folder_arrives_with_what_the_encrypted_folders_below_hold() -> None:
    world = World()
    device = Device(world)
    await _home(world, device)
    tree = MemoryTree()
    report = await edit.get(device.account, "/", tree, "home")
    assert report.failures == []
    assert tree.files == {
        "home/Docs/a": b"1",
        "home/Docs/in/b": b"2",
        "home/Plain/open.txt": b"open",
        "home/Plain/deep/Vault/c": b"3",
    }
    assert (report.files, report.folders) == (4, 5)


async def test_an_encrypted_folder_that_is_refused_is_told_and_the_others_arrive() -> None:
    world = World()
    remote = world.hostile("alice")
    device = Device(world, remote=remote)
    await _home(world, device)
    remote.drop_signature((await device.reader().open_root("/Docs")).file_id)
    tree = MemoryTree()
    report = await edit.get(device.account, "/", tree, "home")
    ((path, error),) = [(failure.path, failure.error) for failure in report.failures]
    assert path == "/Docs"
    assert isinstance(error, CandadoError)
    assert tree.files == {"home/Plain/open.txt": b"open", "home/Plain/deep/Vault/c": b"3"}
    assert "home/Docs" not in tree.folders


async def test_without_keys_the_encrypted_folders_are_told_as_left_out() -> None:
    world = World()
    await _home(world, Device(world))
    tree = MemoryTree()
    report = await edit.get(Device(world, enrolled=False).account, "/", tree, "home")
    assert {failure.path: type(failure.error) for failure in report.failures} == {
        "/Docs": NoKeysError,
        "/Plain/deep/Vault": NoKeysError,
    }
    assert tree.files == {"home/Plain/open.txt": b"open"}


async def test_a_folder_whose_set_up_was_interrupted_holds_nothing_and_is_no_failure() -> None:
    world = World()
    device = Device(world)
    await device.remote.mark_encrypted(await device.remote.make_folder("/Half", token=None))
    tree = MemoryTree()
    report = await edit.get(device.account, "/", tree, "home")
    assert (report.failures, tree.folders) == ([], {"home", "home/Half"})
