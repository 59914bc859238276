"""What only a person can decide: a folder that was removed on purpose, a history of keys that an app shortened."""

import re
import shlex
from dataclasses import replace

import pytest
from tests.sim import World
from tests.unit.client.devices import Device

from candado.client import edit, sharing, trust
from candado.crypto.keywrap import key_checksum
from candado.errors import CounterRollbackError, KeyHistoryError, NotFoundError, UnsignedDeletionError
from candado.folder.model import OpenFolder
from candado.folder.sealing import seal_root
from candado.ports.client import RemoteNode
from candado.types import Counter, Nonce, UserId

FILES = {"top": b"1", "in/x": b"2"}
TREE = {"top": b"1", "in": None, "in/x": b"2"}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def alice(world: World) -> Device:
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    await device.put("/Secret", FILES)
    return device


async def _shortened_by_another_app(world: World, alice: Device) -> OpenFolder:
    """Another app of bob's writes the root without the older keys in its history."""
    await sharing.share(alice.account, "/Secret", UserId("bob"))
    root = (await alice.reader().open_root("/Secret")).folder
    assert root is not None
    write = seal_root(
        content=replace(
            root.content,
            counter=Counter(root.content.counter + 1),
            key_checksums=(key_checksum(root.metadata_key),),
        ),
        members=list(root.members),
        metadata_key=root.metadata_key,
        version="2.0",
        file_id=root.file_id,
        identity=world.identity("bob"),
        drops_raw={},
        nonce=Nonce(world.random.token(12)),
        now=world.clock.now(),
    )
    remote = world.remote("bob")
    token = await remote.lock(root.file_id, write.folder.content.counter)
    await remote.update_metadata(root.file_id, token, write.text, write.signature_b64)
    await remote.unlock(root.file_id, token)
    return root


async def test_a_shortened_history_passes_only_after_a_person_accepted_that_very_state(
    world: World, alice: Device
) -> None:
    assert await trust.short_history(alice.account, "/Secret") is None
    await _shortened_by_another_app(world, alice)
    with pytest.raises(KeyHistoryError) as caught:
        await alice.tree()
    assert "accept-history" in caught.value.advice
    short = await trust.short_history(alice.account, "Secret")
    assert short is not None
    assert (short.path, short.digest) == ("/Secret", caught.value.got)
    with pytest.raises(KeyHistoryError):
        await trust.accept_history(alice.account, replace(short, digest="0" * 64))
    assert "mk.history" in alice.codes()
    await trust.accept_history(alice.account, short)
    assert "mk.history" not in alice.codes()
    alice.start()
    assert await alice.tree() == TREE
    await alice.put("/Secret/in", {"y": b"3"})
    assert await Device(world, "bob").tree() == TREE | {"in/y": b"3"}


async def test_accepting_a_history_lets_nothing_else_pass(world: World) -> None:
    hostile = world.hostile("alice")
    alice = Device(world, remote=hostile)
    await edit.encrypt_folder(alice.account, "/Secret")
    await alice.put("/Secret", FILES)
    root = await _shortened_by_another_app(world, alice)
    old = hostile.remember(root.file_id)
    short = await trust.short_history(alice.account, "/Secret")
    assert short is not None
    await trust.accept_history(alice.account, short)
    await alice.put("/Secret", {"new": b"4"})
    hostile.replay(root.file_id, old)
    with pytest.raises(CounterRollbackError):
        await trust.accept_history(alice.account, short)
    with pytest.raises(CounterRollbackError):
        await trust.short_history(alice.account, "/Secret")


async def test_a_folder_that_a_person_removed_can_be_forgotten_and_made_anew(world: World) -> None:
    hostile = world.hostile("alice")
    alice = Device(world, remote=hostile)
    await edit.encrypt_folder(alice.account, "/Secret")
    await alice.put("/Secret", FILES)
    root = await alice.reader().open_root("/Secret")
    hostile.vanish(root.file_id)
    with pytest.raises(UnsignedDeletionError) as caught:
        await alice.tree()
    assert "trust forget --folder" in caught.value.advice
    trust.forget_folder(alice.account, "Secret")
    assert "root.vanished" not in alice.codes()
    alice.start()
    with pytest.raises(NotFoundError):
        await alice.reader().open_root("/Secret")
    with pytest.raises(NotFoundError):
        trust.forget_folder(alice.account, "/Secret")


async def _advised(device: Device, path: str) -> str:
    """The command that the refusal advises, taken as a shell takes it: the path of ``trust forget --folder``."""
    with pytest.raises(UnsignedDeletionError) as caught:
        await device.reader().open_path(path)
    issue = next(one for one in device.account.issues() if one.severity == "refused")
    assert (issue.advice, "this device has seen no signed deletion" in caught.value.message) == (
        caught.value.advice,
        True,
    )
    words = shlex.split(re.findall("`([^`]*)`", caught.value.advice)[0])
    assert words[:-1] == ["candado", "trust", "forget", "--folder"]
    return words[-1]


@pytest.mark.parametrize("is_made_anew", [False, True])
async def test_a_root_that_the_own_other_device_removed_is_told_truly_and_with_its_path(*, is_made_anew: bool) -> None:
    world = World("alice")
    device, other = Device(world), Device(world)
    path = "/It's a folder"
    await edit.encrypt_folder(other.account, path)
    await device.tree(path)
    await edit.rm(other.account, path, recursive=True)
    if is_made_anew:
        await edit.encrypt_folder(other.account, path)
    assert await _advised(device, path) == path
    trust.forget_folder(device.account, path)
    if is_made_anew:
        assert await device.tree(path) == {}
    else:
        await edit.encrypt_folder(device.account, path)


async def test_a_nested_folder_without_its_metadata_is_told_with_the_path_of_its_root() -> None:
    world = World("alice")
    remote = world.hostile("alice")
    device = Device(world, remote=remote)
    await edit.encrypt_folder(device.account, "/The root")
    await device.put("/The root", {"in/a": b"1"})
    nested = next(at for at in world.server.tree.metadata if at != world.server.at("alice", "/The root").file_id)

    def without(nodes: list[RemoteNode]) -> list[RemoteNode]:
        return [replace(node, metadata_text=None) if node.file_id == nested else node for node in nodes]

    remote.replace("list_folder", without)
    remote.fail("metadata", NotFoundError())
    device.start()
    assert await _advised(device, "/The root/in") == "/The root"
