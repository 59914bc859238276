import asyncio

import pytest
from tests.unit.server.world import ALICE, BOB, World

from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    CandadoError,
    ForbiddenError,
    LimitExceededError,
    NotFoundError,
    PreconditionFailedError,
    QuotaExceededError,
)
from candado.ports.server import Rows
from candado.server.filedrops import FileDrops
from candado.server.model import Principal, Quota
from candado.server.sweep import sweep
from candado.types import UserId


async def test_a_file_is_visible_and_durable_when_put_returns(world: World) -> None:
    node, created = await world.put("a.txt", b"hello")
    again, created_again = await world.put("a.txt", b"hello, world")
    assert (created, created_again, node.file_id == again.file_id, node.etag != again.etag) == (True, False, True, True)
    assert await world.tree() == {"a.txt": b"hello, world"}
    shown = await world.files.stat(ALICE, "a.txt")
    assert (shown.etag, shown.mtime, shown.permissions, shown.content_type) == (
        again.etag,
        123.0,
        "RGDNVW",
        "text/plain",
    )


async def test_every_folder_above_a_change_gets_a_new_tag_and_the_right_size(world: World) -> None:
    for path in ("a", "a/b", "c"):
        await world.files.make_folder(ALICE, path, token=None)
    before = {p: (await world.files.stat(ALICE, p)).etag for p in ("", "a", "a/b", "c")}
    await world.put("a/b/f", bytes(10))
    after = {p: await world.files.stat(ALICE, p) for p in before}
    assert {p: after[p].etag != before[p] for p in before} == {"": True, "a": True, "a/b": True, "c": False}
    assert {p: after[p].size_bytes for p in before} == {"": 10, "a": 10, "a/b": 10, "c": 0}


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("missing/f", NotFoundError),
        ("file/f", NotFoundError),
        ("folder", AlreadyExistsError),
        ("a/../b", BadRequestError),
        (".", BadRequestError),
        ("nul\0", BadRequestError),
        ("new\nline", BadRequestError),
        ("back\\slash", BadRequestError),
        ("half\ud800", BadRequestError),
        ("x.e2e-to-save", ForbiddenError),
        ("x.e2e-to-delete", ForbiddenError),
        ("", ForbiddenError),
        ("n" * 251, LimitExceededError),
        ("d/" * 101, LimitExceededError),
    ],
)
async def test_places_where_nothing_can_be_put(world: World, path: str, error: type[CandadoError]) -> None:
    await world.files.make_folder(ALICE, "folder", token=None)
    await world.put("file", b"")
    with pytest.raises(error):
        await world.files.begin_put(ALICE, path, token=None, length=1)


async def test_preconditions_hold_before_the_body_and_after_it(world: World) -> None:
    node, _ = await world.put("f", b"1")
    for kind in ({"if_match": "other"}, {"if_none_match": True}):
        with pytest.raises(PreconditionFailedError):
            await world.put("f", b"2", **kind)
    with pytest.raises(PreconditionFailedError):
        await world.put("absent", b"2", if_match="*")
    tickets = [await world.files.begin_put(ALICE, "f", token=None, length=1, if_match=node.etag) for _ in range(2)]
    blobs = [await world.objects.put(b"3") for _ in tickets]
    answers = await asyncio.gather(
        *[
            world.files.commit_put(ticket, blob_id=blob, size_bytes=1, mtime=None)
            for ticket, blob in zip(tickets, blobs, strict=True)
        ],
        return_exceptions=True,
    )
    assert sorted(type(a).__name__ for a in answers) == ["PreconditionFailedError", "tuple"]


async def test_the_quota_is_checked_before_the_body_and_again_after_it(world: World) -> None:
    await world.set_quota(ALICE.user_id, 100)
    await world.put("f", bytes(60))
    with pytest.raises(QuotaExceededError):
        await world.files.begin_put(ALICE, "g", token=None, length=41)
    ticket = await world.files.begin_put(ALICE, "g", token=None, length=None)
    blob_id = await world.objects.put(bytes(41))
    with pytest.raises(QuotaExceededError):
        await world.files.commit_put(ticket, blob_id=blob_id, size_bytes=41, mtime=None)
    await world.put("f", bytes(100))
    await world.put("f", bytes(10))
    assert await world.files.quota(ALICE.user_id) == Quota(10, 100)
    await world.put("f", bytes(51))
    with pytest.raises(QuotaExceededError):
        await world.files.copy(ALICE, "f", "f2", token=None, overwrite=False)


async def test_what_is_staged_counts_for_the_quota(world: World) -> None:
    await world.set_quota(ALICE.user_id, 100)
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.put("Secret/a", bytes(60), token=token)
    with pytest.raises(QuotaExceededError):
        await world.put("Secret/b", bytes(60), token=token)
    await world.put("Secret/a", bytes(90), token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token, abort=True)
    assert (await world.files.quota(ALICE.user_id)).used_bytes == 0


async def test_folders_are_moved_and_removed_with_all_they_hold(world: World) -> None:
    for path in ("a", "a/b", "z"):
        await world.files.make_folder(ALICE, path, token=None)
    file, _ = await world.put("a/b/f", b"12345")
    await world.files.patch_properties(ALICE, "a/b/f", {"{x}p": "v"})
    moved, created = await world.files.move(ALICE, "a/b", "z/c", token=None, overwrite=False)
    assert (created, moved.path) == (True, "z/c")
    shown = await world.files.stat(ALICE, "z/c/f")
    assert (shown.file_id, dict(shown.properties)) == (file.file_id, {"{x}p": "v"})
    assert await world.tree() == {"a": (False, 0), "z": (False, 5), "z/c": (False, 5), "z/c/f": b"12345"}
    await world.files.delete(ALICE, "z", token=None)
    assert await world.tree() == {"a": (False, 0)}
    assert await world.rows("SELECT node_id FROM node_properties") == []


async def test_a_move_replaces_only_when_told_to_and_never_itself(world: World) -> None:
    await world.files.make_folder(ALICE, "d", token=None)
    await world.files.make_folder(ALICE, "d/e", token=None)
    await world.put("a", b"A")
    await world.put("b", b"BB")
    with pytest.raises(PreconditionFailedError):
        await world.files.move(ALICE, "a", "b", token=None, overwrite=False)
    for source, target in (("d", "d/e/f"), ("d", "d"), ("d/e", "d"), ("a", "a")):
        with pytest.raises(ForbiddenError):
            await world.files.move(ALICE, source, target, token=None, overwrite=True)
    with pytest.raises(ForbiddenError):
        await world.files.move(ALICE, "", "x", token=None, overwrite=False)
    node, created = await world.files.move(ALICE, "a", "b", token=None, overwrite=True)
    assert (created, node.name) == (False, "b")
    assert await world.tree() == {"b": b"A", "d": (False, 0), "d/e": (False, 0)}


async def test_copies_share_their_content_and_outlive_each_other(world: World) -> None:
    await world.files.make_folder(ALICE, "d", token=None)
    await world.put("d/f", b"body")
    await world.files.copy(ALICE, "d", "e", token=None, overwrite=False)
    await world.files.copy(ALICE, "d/f", "g", token=None, overwrite=False)
    await world.files.delete(ALICE, "d", token=None)
    world.clock.time += 4000
    assert (await sweep(world.backend))["blobs"] == 0
    assert await world.tree() == {"e": (False, 4), "e/f": b"body", "g": b"body"}
    await world.files.copy(ALICE, "g", "e", token=None, overwrite=True)
    await world.files.delete(ALICE, "g", token=None)
    await world.files.delete(ALICE, "e", token=None)
    world.clock.time += 4000
    assert (await sweep(world.backend))["blobs"] == 1
    assert [blob async for blob in world.objects.scan()] == []


async def test_a_received_share_shows_at_the_top_with_its_rights(world: World) -> None:
    await world.files.make_folder(ALICE, "Photos", token=None)
    await world.files.make_folder(ALICE, "Photos/2026", token=None)
    await world.put("Photos/2026/p", b"pixels")
    year = await world.files.stat(ALICE, "Photos/2026")
    await world.share(year, BOB.user_id, permissions=1, target="From Alice")
    shown = await world.files.stat(BOB, "From Alice")
    assert (shown.permissions, shown.mount_root, shown.owner_id) == ("SGDNV", True, "alice")
    assert await world.tree(who=BOB) == {"From Alice": (False, 6), "From Alice/p": b"pixels"}
    assert (await world.files.stat_id(BOB, year.file_id)).path == "From Alice"
    inner = await world.files.stat(BOB, "From Alice/p")
    assert (await world.files.stat_id(BOB, inner.file_id)).path == "From Alice/p"
    for call in (
        world.put("From Alice/p", b"x", who=BOB),
        world.put("From Alice/q", b"x", who=BOB),
        world.files.delete(BOB, "From Alice/p", token=None),
        world.files.move(BOB, "From Alice/p", "mine", token=None, overwrite=False),
        world.files.make_folder(BOB, "From Alice/d", token=None),
    ):
        with pytest.raises(ForbiddenError):
            await call
    with pytest.raises(NotFoundError):
        await world.files.stat_id(BOB, (await world.files.stat(ALICE, "Photos")).file_id)
    assert (await world.files.stat(ALICE, "Photos/2026")).share_types == (0,)


async def test_a_recipient_renames_and_leaves_a_share_without_touching_it(world: World) -> None:
    folder = await world.files.make_folder(ALICE, "Docs", token=None)
    await world.put("Docs/f", b"x")
    await world.share(folder, BOB.user_id)
    await world.files.move(BOB, "Docs", "Papers", token=None, overwrite=False)
    assert await world.tree(who=BOB) == {"Papers": (False, 1), "Papers/f": b"x"}
    with pytest.raises(AlreadyExistsError):
        await world.files.make_folder(BOB, "Papers", token=None)
    await world.files.delete(BOB, "Papers", token=None)
    assert (await world.tree(who=BOB), await world.tree()) == ({}, {"Docs": (False, 1), "Docs/f": b"x"})


async def test_a_change_in_a_share_changes_the_tag_of_the_recipients_home(world: World) -> None:
    folder = await world.files.make_folder(ALICE, "Docs", token=None)
    await world.share(folder, BOB.user_id)
    before = await world.files.stat(BOB, "")
    await world.put("Docs/f", b"x", who=BOB)
    after = await world.files.stat(BOB, "")
    assert (after.etag != before.etag, after.size_bytes) == (True, 0)
    assert await world.files.quota(BOB.user_id) == Quota(0, None)


async def test_files_move_between_storages_but_encrypted_folders_do_not(world: World) -> None:
    folder = await world.files.make_folder(ALICE, "Docs", token=None)
    await world.share(folder, BOB.user_id)
    await world.put("mine", b"12", who=BOB)
    await world.files.move(BOB, "mine", "Docs/now alice's", token=None, overwrite=False)
    assert await world.tree() == {"Docs": (False, 2), "Docs/now alice's": b"12"}
    await world.encrypted_root("Vault", who=BOB)
    with pytest.raises(ForbiddenError):
        await world.files.move(BOB, "Vault", "Docs/Vault", token=None, overwrite=False)


async def test_strangers_see_nothing_by_path_or_id(world: World) -> None:
    node, _ = await world.put("secret", b"x")
    root = await world.encrypted_root()
    with pytest.raises(NotFoundError):
        await world.files.stat(BOB, "secret")
    with pytest.raises(NotFoundError):
        await world.files.stat_id(BOB, node.file_id)
    with pytest.raises(ForbiddenError):
        await world.metadata.get(BOB, root.file_id)
    with pytest.raises(NotFoundError):
        await world.metadata.mark_encrypted(BOB, root.file_id)


async def test_two_users_of_one_name_race_for_one_home(world: World) -> None:
    ids = await asyncio.gather(*[world.files.ensure_home(ALICE.user_id) for _ in range(8)])
    assert len(set(ids)) == 1


async def test_only_an_empty_folder_changes_its_flag(world: World) -> None:
    await world.files.make_folder(ALICE, "d", token=None)
    file, _ = await world.put("d/f", b"x")
    folder = await world.files.stat(ALICE, "d")
    for node in (folder, file):
        with pytest.raises(NotFoundError):
            await world.metadata.mark_encrypted(ALICE, node.file_id)
    root = await world.encrypted_root()
    before = (await world.files.stat(ALICE, "")).etag
    token = await world.lock(root, 2)
    await world.put("Secret/f", b"x", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token, abort=True)
    await world.metadata.unmark(ALICE, root.file_id)
    shown = await world.files.stat(ALICE, "Secret")
    assert (shown.encrypted, (await world.files.stat(ALICE, "")).etag != before) == (False, True)
    with pytest.raises(NotFoundError):
        await world.metadata.get(ALICE, root.file_id)


async def test_all_encrypted_folders_go_at_once_and_nothing_else(world: World) -> None:
    root = await world.encrypted_root()
    await world.files.make_folder(ALICE, "Box", token=None)
    await world.encrypted_root("Box/Deep")
    await world.put("Box/plain", b"stays")
    token = await world.lock(root, 2)
    await world.put("Secret/f", bytes(9), token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    await world.lock(root, 3)
    removed = await world.metadata.delete_all_encrypted(ALICE)
    assert (len(removed), root.file_id in removed) == (2, True)
    assert await world.tree() == {"Box": (False, 5), "Box/plain": b"stays"}


async def test_a_drop_is_merged_into_the_metadata_and_keeps_its_signature(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    for name in ("one", "two"):
        await world.put(f"Secret/{name}", b"", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    drop = FileDrops(world.backend).add
    for drops in ('{"one":{"a":"é"}}', '{"two":{}}'):
        await drop(ALICE, root.file_id, drops)
    got = await world.metadata.get(ALICE, root.file_id)
    assert (got.text, got.signature) == ('{"filedrop":{"one":{"a":"\\u00e9"},"two":{}}}', "c2ln")
    for bad in ("[]", "{", "NaN", "[" * 100_000):
        with pytest.raises((BadRequestError, LimitExceededError)):
            await drop(ALICE, root.file_id, bad)
    await world.lock(root, 3)
    with pytest.raises(PreconditionFailedError):
        await drop(ALICE, root.file_id, "{}")


async def test_properties_belong_to_one_user_and_a_time_needs_the_right_to_write(world: World) -> None:
    folder = await world.files.make_folder(ALICE, "Docs", token=None)
    node, _ = await world.put("Docs/f", b"x")
    await world.share(folder, BOB.user_id, permissions=1)
    await world.files.patch_properties(ALICE, "Docs/f", {"{x}a": "1", "{x}b": "2"}, mtime=77.0)
    await world.files.patch_properties(ALICE, "Docs/f", {"{x}a": None, "{x}b": "3"})
    await world.files.patch_properties(BOB, "Docs/f", {"{x}a": "bob's"})
    with pytest.raises(ForbiddenError):
        await world.files.patch_properties(BOB, "Docs/f", {}, mtime=78.0)
    shown = await world.files.stat(ALICE, "Docs/f")
    assert (dict(shown.properties), shown.mtime, shown.etag != node.etag) == ({"{x}b": "3"}, 77.0, True)
    _, [listed] = await world.files.list_folder(BOB, "Docs", with_properties=True)
    assert dict(listed.properties) == {"{x}a": "bob's"}


async def test_a_request_that_outlives_its_user_makes_no_home(world: World) -> None:
    ghost = Principal(UserId("deleted-meanwhile"))
    with pytest.raises(NotFoundError):
        await world.put("late.txt", b"x", who=ghost)

    async def homes(rows: Rows) -> object:
        return await rows.one("SELECT count(*) FROM nodes WHERE owner = $1", ghost.user_id)

    assert await world.database.read(homes) == (0,)
