"""Folders that somebody left half rekeyed, removals under an old key, arrivals of a file drop."""

from dataclasses import replace

import pytest
from tests.sim import World
from tests.unit.client.devices import Device

from candado.client import edit, sharing
from candado.client.session import WriteSession
from candado.crypto.filebody import seal_body
from candado.crypto.keywrap import key_checksum, wrap_key
from candado.crypto.sealing import seal_text
from candado.errors import CandadoError
from candado.folder.members import rotate_key
from candado.folder.model import OpenFolder
from candado.folder.sealing import seal_root
from candado.formats.metadata import Entry, SealedBlock, format_drop, format_drop_content
from candado.types import FileId, FileKey, LockToken, MetadataKey, Nonce, Tag, UserId

BOB = UserId("bob")


async def _shared() -> tuple[World, Device, OpenFolder]:
    world = World()
    alice = Device(world)
    await edit.encrypt_folder(alice.account, "/Secret")
    await alice.put("/Secret", {"top": b"1", "in/x": b"2", "in/deep/y": b"3"})
    await sharing.share(alice.account, "/Secret", BOB)
    root = await alice.reader().open_root("/Secret")
    assert root.folder is not None
    return world, alice, root.folder


async def _write_root(world: World, root: OpenFolder, members: list[UserId], key: MetadataKey) -> None:
    """Another app of bob's writes the root, and nothing else."""
    history = root.content.key_checksums or ()
    checksum = key_checksum(key)
    content = replace(
        root.content,
        counter=root.content.counter + 1,  # type: ignore[arg-type]
        key_checksums=history if checksum in history else (*history, checksum),
    )
    write = seal_root(
        content=content,
        members=[member for member in root.members if member.user_id in members],
        metadata_key=key,
        version="2.0",
        file_id=root.file_id,
        identity=world.identity("bob"),
        drops_raw={},
        nonce=Nonce(world.random.token(12)),
        now=world.clock.now(),
    )
    remote = world.remote("bob")
    token: LockToken = await remote.lock(FileId(root.file_id), content.counter)
    await remote.update_metadata(root.file_id, token, write.text, write.signature_b64)
    await remote.unlock(root.file_id, token)


EVERYTHING = {"top": b"1", "in": None, "in/x": b"2", "in/deep": None, "in/deep/y": b"3"}


async def test_folders_left_under_an_old_key_are_read_and_sealed_anew_by_the_next_write() -> None:
    world, alice, root = await _shared()
    key = MetadataKey(world.random.token(16))
    await _write_root(world, root, [UserId("alice"), BOB], key)
    assert await alice.tree() == EVERYTHING
    fresh = Device(world)
    with pytest.raises(CandadoError):
        await fresh.tree()
    view = await alice.reader().open_folder("/Secret/in")
    assert view.old_key
    await alice.put("/Secret/in/deep", {"z": b"4"})
    await alice.put("/Secret/in", {"w": b"5"})
    assert not (await alice.reader().open_folder("/Secret/in")).old_key
    expected = EVERYTHING | {"in/deep/z": b"4", "in/w": b"5"}
    assert await Device(world).tree() == expected
    assert await Device(world, "bob").tree() == expected


async def test_a_removal_that_kept_the_old_key_is_followed_by_a_new_one_before_anything_is_written() -> None:
    world, alice, root = await _shared()
    carol = Device(world)
    await _write_root_without_rotation(world, root)
    assert await alice.tree() == EVERYTHING
    assert "mk.not-rotated" in alice.codes()
    before = (await alice.reader().open_root("/Secret")).folder
    assert before is not None
    await alice.put("/Secret/in/deep", {"z": b"4"})
    after = await alice.reader().open_root("/Secret")
    assert after.folder is not None
    assert after.folder.metadata_key != before.metadata_key
    assert not after.must_rotate
    assert [member.user_id for member in after.folder.members] == ["alice"]
    assert await carol.tree() == EVERYTHING | {"in/deep/z": b"4"}


async def _write_root_without_rotation(world: World, root: OpenFolder) -> None:
    """Alice's own other app takes bob out and keeps the key."""
    content = replace(root.content, counter=root.content.counter + 1)  # type: ignore[arg-type]
    write = seal_root(
        content=content,
        members=[member for member in root.members if member.user_id == "alice"],
        metadata_key=root.metadata_key,
        version="2.0",
        file_id=root.file_id,
        identity=world.identity("alice"),
        drops_raw={},
        nonce=Nonce(world.random.token(12)),
        now=world.clock.now(),
    )
    remote = world.remote("alice")
    token = await remote.lock(root.file_id, content.counter)
    await remote.update_metadata(root.file_id, token, write.text, write.signature_b64)
    await remote.unlock(root.file_id, token)


async def test_a_new_key_can_be_made_without_a_change_of_members() -> None:
    world, alice, root = await _shared()
    async with WriteSession(alice.reader(), "/Secret") as session:
        await session.rekey(rotate_key)
    assert len(session.written) == 3
    after = (await alice.reader().open_root("/Secret")).folder
    assert after is not None
    assert after.metadata_key != root.metadata_key
    assert await Device(world, "bob").tree() == EVERYTHING
    assert root.metadata_key in alice.account.book.metadata_keys(root.file_id)


async def test_what_arrived_in_the_file_drop_is_taken_over_by_the_next_write_of_its_folder() -> None:
    world, alice, root = await _shared()
    key, nonce = FileKey(b"f" * 16), Nonce(b"n" * 12)
    body = seal_body(key, nonce, b"from a visitor")
    entry = Entry("letter.txt", "text/plain", key, nonce, Tag(body[-16:]))
    drop_key = MetadataKey(b"d" * 16)
    parts = seal_text(drop_key, Nonce(b"m" * 12), format_drop_content(entry))
    drop = format_drop(
        SealedBlock(parts.ciphertext, Nonce(parts.nonce), Tag(parts.tag)),
        [(UserId("alice"), wrap_key(world.identity("alice").key.public, drop_key.reveal()))],
    )
    arrived, unfinished = "d0" * 16, "d1" * 16
    world.server.add_drop(root.file_id, {arrived: drop, unfinished: drop}, {arrived: body})
    assert await alice.tree() == EVERYTHING
    await alice.put("/Secret", {"mine": b"m"})
    assert await alice.tree() == EVERYTHING | {"mine": b"m", "letter (dropped).txt": b"from a visitor"}
    kept = (await alice.reader().open_root("/Secret")).folder
    assert kept is not None
    assert [each.sealed_name for each in kept.drops] == [unfinished]
