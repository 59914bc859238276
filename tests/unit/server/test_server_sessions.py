import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from tests.unit.server.counting import CountingDatabase
from tests.unit.server.world import ALICE, BOB, MemoryObjects, World

from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    CandadoError,
    CounterConflictError,
    ForbiddenError,
    LockedError,
    LockLostError,
    NotEncryptedError,
    NotFoundError,
    PreconditionFailedError,
)
from candado.ports.server import Rows
from candado.server.files import Files
from candado.server.sessions import Sessions
from candado.server.sweep import sweep
from candado.types import FileId, LockToken

WRONG = LockToken("x" * 64)
T = TypeVar("T")


async def test_what_a_session_writes_is_invisible_until_its_unlock_and_then_all_there(world: World) -> None:
    root = await world.encrypted_root()
    before = await world.files.stat(ALICE, "")
    token = await world.lock(root, 2)
    a, created = await world.put("Secret/a", b"one", token=token)
    await world.files.make_folder(ALICE, "Secret/sub", token=token)
    await world.put("Secret/sub/b", b"four", token=token)
    assert created
    assert await world.tree() == {"Secret": (True, 0)}
    assert await world.files.stat(ALICE, "") == before
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await world.tree() == {
        "Secret": (True, 7),
        "Secret/a": b"one",
        "Secret/sub": (False, 4),
        "Secret/sub/b": b"four",
    }
    after = await world.files.stat(ALICE, "")
    assert (after.size_bytes, after.etag != before.etag) == (7, True)
    assert (await world.files.stat(ALICE, "Secret/a")).etag == a.etag
    assert await world.rows("SELECT * FROM staged UNION ALL SELECT * FROM staged") == []


async def test_an_aborted_session_leaves_no_trace(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.put("Secret/a", b"one", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    nodes = await world.rows("SELECT * FROM nodes ORDER BY id")
    token = await world.lock(root, 3)
    await world.put("Secret/a", b"changed", token=token)
    await world.put("Secret/new", b"new", token=token)
    await world.files.move(ALICE, "Secret/a", "Secret/z", token=token, overwrite=False)
    await world.files.delete(ALICE, "Secret/z", token=token)
    await world.metadata.update(ALICE, root.file_id, text="no", signature="no", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token, abort=True)
    assert await world.rows("SELECT * FROM nodes ORDER BY id") == nodes
    assert (await world.metadata.get(ALICE, root.file_id)).text == "{}"
    assert await world.get("Secret/a") == b"one"
    assert await world.rows("SELECT session FROM staged UNION SELECT session FROM locks") == []


async def test_a_file_keeps_its_id_when_it_is_written_and_renamed_under_a_lock(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    first, _ = await world.put("Secret/a", b"one", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    token = await world.lock(root, 3)
    second, created = await world.put("Secret/a", b"two", token=token)
    moved, _ = await world.files.move(ALICE, "Secret/a", "Secret/b", token=token, overwrite=False)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert (created, second.file_id, moved.file_id) == (False, first.file_id, first.file_id)
    shown = await world.files.stat(ALICE, "Secret/b")
    assert (shown.file_id, shown.etag, await world.get("Secret/b")) == (first.file_id, second.etag, b"two")


async def test_names_can_be_swapped_in_one_session(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.put("Secret/a", b"A", token=token)
    await world.put("Secret/b", b"B", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    token = await world.lock(root, 3)
    for source, target in (("a", "t"), ("b", "a"), ("t", "b")):
        await world.files.move(ALICE, f"Secret/{source}", f"Secret/{target}", token=token, overwrite=False)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await world.tree() == {"Secret": (True, 2), "Secret/a": b"B", "Secret/b": b"A"}


async def test_a_folder_made_in_a_session_can_be_written_flagged_and_described_at_once(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    for number, path in enumerate(("Secret/1", "Secret/1/2", "Secret/1/2/3")):
        folder = await world.files.make_folder(ALICE, path, token=token)
        # Stock clients do not name the token when they flag.
        await world.metadata.mark_encrypted(ALICE, folder.file_id, token=token if number % 2 else None)
        await world.metadata.create(ALICE, folder.file_id, text=path, signature="s", token=token)
        await world.put(f"{path}/f", b"x", token=token)
    assert await world.tree() == {"Secret": (True, 0)}
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await world.tree() == {
        "Secret": (True, 3),
        "Secret/1": (True, 3),
        "Secret/1/f": b"x",
        "Secret/1/2": (True, 2),
        "Secret/1/2/f": b"x",
        "Secret/1/2/3": (True, 1),
        "Secret/1/2/3/f": b"x",
    }
    _, children = await world.files.list_folder(ALICE, "Secret/1", with_metadata=True)
    assert [c.metadata.text if c.metadata else None for c in children] == ["Secret/1/2", None]


async def test_a_folder_moved_and_one_removed_in_the_same_session_keep_the_sums_right(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    for path in ("x", "y", "x/a", "x/a/b"):
        folder = await world.files.make_folder(ALICE, f"Secret/{path}", token=token)
        await world.metadata.mark_encrypted(ALICE, folder.file_id, token=token)
    for path, size in (("x/1", 10), ("x/a/2", 20), ("x/a/b/3", 30), ("y/4", 40)):
        await world.put(f"Secret/{path}", bytes(size), token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    token = await world.lock(root, 3)
    await world.files.move(ALICE, "Secret/x/a/b", "Secret/y/b", token=token, overwrite=False)
    await world.put("Secret/y/b/5", bytes(5), token=token)
    await world.files.move(ALICE, "Secret/y", "Secret/x/a/y", token=token, overwrite=False)
    await world.files.move(ALICE, "Secret/x/a", "Secret/top", token=token, overwrite=False)
    await world.files.delete(ALICE, "Secret/x", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await world.tree() == {
        "Secret": (True, 95),
        "Secret/top": (True, 95),
        "Secret/top/2": bytes(20),
        "Secret/top/y": (True, 75),
        "Secret/top/y/4": bytes(40),
        "Secret/top/y/b": (True, 35),
        "Secret/top/y/b/3": bytes(30),
        "Secret/top/y/b/5": bytes(5),
    }


async def test_a_folder_made_and_removed_in_one_session_leaves_nothing(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.files.make_folder(ALICE, "Secret/d", token=token)
    await world.put("Secret/d/f", b"x", token=token)
    await world.files.delete(ALICE, "Secret/d", token=token)
    await world.put("Secret/d", b"a file now", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await world.tree() == {"Secret": (True, 10), "Secret/d": b"a file now"}


@pytest.mark.parametrize(
    ("counter", "error"),
    [(None, BadRequestError), (0, BadRequestError), (-1, BadRequestError), (1, CounterConflictError)],
)
async def test_a_lock_needs_a_counter_above_the_stored_one(
    world: World, counter: int | None, error: type[CandadoError]
) -> None:
    root = await world.encrypted_root()  # its first metadata stored counter 1
    with pytest.raises(error):
        await world.sessions.lock(ALICE, root.file_id, counter=counter)


async def test_the_counter_becomes_final_only_with_metadata_and_only_at_the_unlock(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 5)
    await world.metadata.update(ALICE, root.file_id, text="five", signature="s", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token, abort=True)
    token = await world.lock(root, 3)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    token = await world.lock(root, 3)
    await world.metadata.update(ALICE, root.file_id, text="three", signature="s", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert (await world.metadata.get(ALICE, root.file_id)).counter == 3
    with pytest.raises(CounterConflictError):
        await world.lock(root, 3)


async def test_the_right_token_resumes_and_any_other_is_refused(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    assert await world.sessions.lock(ALICE, root.file_id, counter=1, token=token) == token
    for other in (None, WRONG):
        with pytest.raises(LockedError):
            await world.sessions.lock(ALICE, root.file_id, counter=9, token=other)


async def test_of_many_who_lock_at_once_one_wins(world: World) -> None:
    root = await world.encrypted_root()
    answers = await asyncio.gather(*[world.lock(root, 2) for _ in range(20)], return_exceptions=True)
    assert sorted(type(a).__name__ for a in answers) == ["LockToken", *["LockedError"] * 19]


async def test_a_lock_covers_what_is_below_and_refuses_to_be_covered(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    inner = await world.files.make_folder(ALICE, "Secret/in", token=token)
    await world.metadata.mark_encrypted(ALICE, inner.file_id, token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    outer_lock = await world.lock(root, 3)
    with pytest.raises(LockedError):
        await world.lock(inner, 1)
    assert await world.sessions.lock(ALICE, inner.file_id, counter=1, token=outer_lock) == outer_lock
    await world.sessions.unlock(ALICE, inner.file_id, token=outer_lock)  # the outer one still holds
    await world.put("Secret/in/f", b"x", token=outer_lock)
    await world.sessions.unlock(ALICE, root.file_id, token=outer_lock)
    inner_lock = await world.lock(inner, 1)
    with pytest.raises(LockedError):
        await world.lock(root, 4)
    with pytest.raises(LockedError):
        await world.put("Secret/f", b"x", token=inner_lock)
    await world.put("Secret/in/g", b"y", token=inner_lock)
    await world.sessions.unlock(ALICE, inner.file_id, token=inner_lock)
    assert await world.tree() == {
        "Secret": (True, 2),
        "Secret/in": (True, 2),
        "Secret/in/f": b"x",
        "Secret/in/g": b"y",
    }


async def test_only_folders_of_encrypted_trees_that_one_may_write_can_be_locked(world: World) -> None:
    root = await world.encrypted_root()
    plain = await world.files.make_folder(ALICE, "Plain", token=None)
    home = await world.files.stat(ALICE, "")
    file, _ = await world.put("Plain/f", b"x")
    await world.share(root, BOB.user_id, permissions=1)
    for who, file_id in (
        (ALICE, plain.file_id),
        (ALICE, home.file_id),
        (ALICE, file.file_id),
        (ALICE, FileId(99_999)),
        (BOB, root.file_id),
        (BOB, plain.file_id),
    ):
        with pytest.raises(ForbiddenError):
            await world.sessions.lock(who, file_id, counter=9)


async def test_an_unlock_needs_the_token_of_that_very_lock(world: World) -> None:
    root = await world.encrypted_root()
    other = await world.encrypted_root("Other")
    token = await world.lock(root, 2)
    with pytest.raises(BadRequestError):
        await world.sessions.unlock(ALICE, root.file_id, token=None)
    with pytest.raises(ForbiddenError):
        await world.sessions.unlock(ALICE, root.file_id, token=WRONG)
    with pytest.raises(ForbiddenError):
        await world.sessions.unlock(ALICE, other.file_id, token=token)
    with pytest.raises(NotFoundError):
        await world.sessions.unlock(ALICE, other.file_id, token=WRONG)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    with pytest.raises(NotFoundError):
        await world.sessions.unlock(ALICE, root.file_id, token=token)


async def test_writes_need_the_token_of_a_lock_that_covers_the_place(world: World) -> None:
    root = await world.encrypted_root()
    other = await world.encrypted_root("Other")
    token = await world.lock(root, 2)
    for wrong, error in ((None, ForbiddenError), (WRONG, LockedError)):
        with pytest.raises(error):
            await world.put("Secret/a", b"x", token=wrong)
        with pytest.raises(error):
            await world.files.make_folder(ALICE, "Secret/d", token=wrong)
        with pytest.raises(error):
            await world.files.delete(ALICE, "Secret", token=wrong)
    with pytest.raises(LockedError):
        await world.put("Other/a", b"x", token=token)
    with pytest.raises(ForbiddenError):
        await world.files.delete(ALICE, "Other", token=None)
    assert other.encrypted


async def test_nothing_moves_between_an_encrypted_and_a_plain_folder(world: World) -> None:
    root = await world.encrypted_root()
    await world.put("plain", b"x")
    token = await world.lock(root, 2)
    await world.put("Secret/a", b"y", token=token)
    for call in (world.files.move, world.files.copy):
        with pytest.raises(ForbiddenError):
            await call(ALICE, "plain", "Secret/b", token=token, overwrite=False)
        with pytest.raises(ForbiddenError):
            await call(ALICE, "Secret/a", "b", token=token, overwrite=False)


async def test_an_encrypted_root_is_removed_at_the_unlock_and_renamed_without_a_lock(world: World) -> None:
    root = await world.encrypted_root()
    moved, _ = await world.files.move(ALICE, "Secret", "Renamed", token=None, overwrite=False)
    assert (moved.file_id, moved.encrypted) == (root.file_id, True)
    token = await world.lock(root, 2)
    with pytest.raises(LockedError):
        await world.files.move(ALICE, "Renamed", "Again", token=None, overwrite=False)
    await world.put("Renamed/f", b"x", token=token)
    await world.files.delete(ALICE, "Renamed", token=token)
    assert await world.tree() == {"Renamed": (True, 0)}
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await world.tree() == {}
    assert await world.rows("SELECT * FROM folder_metadata") == []


async def test_a_plain_folder_cannot_be_removed_or_moved_around_a_lock_below_it(world: World) -> None:
    await world.files.make_folder(ALICE, "Box", token=None)
    root = await world.encrypted_root("Box/Secret")
    token = await world.lock(root, 2)
    with pytest.raises(LockedError):
        await world.files.delete(ALICE, "Box", token=None)
    with pytest.raises(LockedError):
        await world.files.move(ALICE, "Box", "Bag", token=None, overwrite=False)
    await world.put("Box/Secret/f", b"x", token=token)
    world.clock.time += 901
    await world.files.delete(ALICE, "Box", token=None)
    assert (await world.tree(), await world.rows("SELECT session FROM locks")) == ({}, [])


async def test_an_expired_lock_is_rolled_back_when_somebody_else_locks(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.put("Secret/a", b"lost", token=token)
    world.clock.time += 900
    with pytest.raises(LockedError):
        await world.lock(root, 2)
    world.clock.time += 1
    fresh = await world.lock(root, 2)
    await world.put("Secret/b", b"kept", token=fresh)
    await world.sessions.unlock(ALICE, root.file_id, token=fresh)
    assert await world.tree() == {"Secret": (True, 4), "Secret/b": b"kept"}


@pytest.mark.parametrize("access", ["put", "folder", "delete", "unlock", "metadata"])
async def test_an_expired_lock_is_rolled_back_at_any_access_under_its_token(world: World, access: str) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.put("Secret/a", b"lost", token=token)
    world.clock.time += 901

    async def attempt() -> None:
        if access == "put":
            await world.put("Secret/b", b"x", token=token)
        elif access == "folder":
            await world.files.make_folder(ALICE, "Secret/d", token=token)
        elif access == "delete":
            await world.files.delete(ALICE, "Secret/a", token=token)
        elif access == "unlock":
            await world.sessions.unlock(ALICE, root.file_id, token=token)
        else:
            await world.metadata.update(ALICE, root.file_id, text="t", signature="s", token=token)

    with pytest.raises(CandadoError) as caught:
        await attempt()
    assert caught.value.code == {"unlock": "NOT_FOUND", "metadata": "PRECONDITION_FAILED"}.get(access, "LOCK_LOST")
    assert await world.tree() == {"Secret": (True, 0)}
    assert await world.rows("SELECT session FROM locks UNION SELECT session FROM staged") == []


async def test_every_write_under_a_lock_renews_its_time(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    for number in range(4):
        world.clock.time += 800
        await world.put(f"Secret/{number}", b"x", token=token)
    world.clock.time += 800
    ticket = await world.files.begin_put(ALICE, "Secret/long", token=token, length=None)
    for _ in range(3):
        world.clock.time += 800
        await world.files.keep_alive(ticket)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert (await world.files.stat(ALICE, "Secret")).size_bytes == 4


async def test_a_body_that_arrives_after_the_session_ended_is_refused_and_removed(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    ticket = await world.files.begin_put(ALICE, "Secret/a", token=token, length=1)
    blob_id = await world.objects.put(b"x")
    await world.sessions.unlock(ALICE, root.file_id, token=token, abort=True)
    with pytest.raises(LockedError):
        await world.files.commit_put(ticket, blob_id=blob_id, size_bytes=1, mtime=None)
    with pytest.raises(NotFoundError):
        await world.objects.size(blob_id)


async def test_a_put_races_the_flag_and_loses(world: World) -> None:
    folder = await world.files.make_folder(ALICE, "Soon", token=None)
    ticket = await world.files.begin_put(ALICE, "Soon/plain", token=None, length=1)
    await world.metadata.mark_encrypted(ALICE, folder.file_id)
    blob_id = await world.objects.put(b"x")
    with pytest.raises(ForbiddenError):
        await world.files.commit_put(ticket, blob_id=blob_id, size_bytes=1, mtime=None)
    assert await world.tree() == {"Soon": (True, 0)}


async def test_the_sweep_ends_expired_sessions_and_collects_their_bodies_later(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.put("Secret/a", b"old", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    token = await world.lock(root, 3)
    await world.put("Secret/a", b"new", token=token)
    await world.put("Secret/a", b"newer", token=token)
    await world.files.move(ALICE, "Secret/a", "Secret/b", token=token, overwrite=False)
    world.clock.time += 901
    first = await sweep(world.backend)
    world.clock.time += 3601
    second = await sweep(world.backend)
    assert (first["sessions"], first["blobs"], second["sessions"], second["blobs"]) == (1, 0, 0, 2)
    assert await world.tree() == {"Secret": (True, 3), "Secret/a": b"old"}


async def test_locks_of_a_boot_that_is_over_do_not_count(tmp_path: Path) -> None:
    objects = MemoryObjects()
    world = await World.open(tmp_path, objects=objects)
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.put("Secret/a", b"perhaps lost", token=token)
    objects.boot += 1
    with pytest.raises(LockLostError):
        await world.put("Secret/b", b"x", token=token)
    assert await world.lock(root, 2) != token
    await world.close()


async def test_a_sharee_writes_under_the_same_rules_and_only_with_the_right(world: World) -> None:
    root = await world.encrypted_root()
    await world.share(root, BOB.user_id, permissions=31, target="From Alice")
    token = await world.lock(root, 2, who=BOB)
    with pytest.raises(LockedError):
        await world.put("Secret/a", b"x", token=WRONG)
    node, _ = await world.put("From Alice/b", b"from bob", token=token, who=BOB)
    home = await world.files.stat(BOB, "")
    await world.sessions.unlock(BOB, root.file_id, token=token)
    assert (await world.get("Secret/b"), node.owner_id) == (b"from bob", "alice")
    assert (await world.files.stat(BOB, "")).etag != home.etag
    await world.database.write(lambda rows: rows.run("UPDATE shares SET permissions = 1"))
    with pytest.raises(ForbiddenError):
        await world.lock(root, 3, who=BOB)


async def test_two_processes_carry_one_session(world: World, tmp_path: Path) -> None:
    root = await world.encrypted_root()
    other = await World.open(tmp_path, seed=8)
    token = await world.lock(root, 2)
    await asyncio.gather(*[(other if n % 2 else world).put(f"Secret/{n}", b"x", token=token) for n in range(30)])
    made = await world.files.make_folder(ALICE, "Secret/d", token=token)
    await world.metadata.mark_encrypted(ALICE, made.file_id, token=token)
    await other.put("Secret/d/f", b"y", token=token)
    await world.files.move(ALICE, "Secret/d", "Secret/e", token=token, overwrite=False)
    with pytest.raises(NotFoundError):
        await other.put("Secret/d/g", b"z", token=token)
    again = await other.files.make_folder(ALICE, "Secret/d", token=token)
    await world.put("Secret/d/h", b"w", token=token)
    await other.sessions.unlock(ALICE, root.file_id, token=token)
    tree = await world.tree("Secret")
    assert {p: v for p, v in tree.items() if "/" in p[7:] or isinstance(v, tuple)} == {
        "Secret/d": (False, 1),
        "Secret/d/h": b"w",
        "Secret/e": (True, 1),
        "Secret/e/f": b"y",
    }
    assert (len(tree), again.file_id != made.file_id) == (34, True)
    await other.close()


async def test_a_put_that_comes_during_the_unlock_is_in_it_or_refused(world: World) -> None:
    root = await world.encrypted_root()
    for round_number in range(2, 7):
        token = await world.lock(root, round_number)
        puts = [world.put(f"Secret/{round_number}-{n}", b"x", token=token) for n in range(10)]
        unlock = world.sessions.unlock(ALICE, root.file_id, token=token)
        *answers, ended = await asyncio.gather(*puts[:5], unlock, *puts[5:], return_exceptions=True)
        accepted = sum(isinstance(answer, tuple) for answer in [*answers, ended])
        refused = [a for a in [*answers, ended] if isinstance(a, BaseException)]
        assert all(isinstance(answer, LockedError) for answer in refused)
        tree = await world.tree("Secret")
        assert accepted == len([path for path in tree if path.startswith(f"Secret/{round_number}-")])


async def test_the_number_of_statements_of_an_unlock_does_not_grow_with_the_session(world: World) -> None:
    root = await world.encrypted_root()
    counts: list[int] = []
    for counter, size in ((2, 3), (3, 300)):
        token = await world.lock(root, counter)
        for number in range(size):
            await world.put(f"Secret/{counter}-{number}", b"x", token=token)
        traced = CountingDatabase(world.database)
        await Sessions(replace(world.backend, database=traced)).unlock(ALICE, root.file_id, token=token)
        counts.append(len(traced.asked))
    assert counts[0] == counts[1] < 60


@pytest.mark.parametrize("file_id", [0, -1, 2**63, 10**30])
async def test_ids_that_cannot_be_are_unknown(world: World, file_id: int) -> None:
    with pytest.raises(NotFoundError):
        await world.files.stat_id(ALICE, file_id)
    with pytest.raises(ForbiddenError):
        await world.sessions.lock(ALICE, file_id, counter=1)


async def test_values_from_headers_and_bodies_that_cannot_be_stored_are_bad_requests(world: World) -> None:
    root = await world.encrypted_root()
    with pytest.raises(BadRequestError):
        await world.lock(root, 2**53)
    token = await world.lock(root, 2)
    for text, signature in (("\ud800", "s"), ("t", "\ud800"), ("", "s"), ("t", "")):
        with pytest.raises(BadRequestError):
            await world.metadata.update(ALICE, root.file_id, text=text, signature=signature, token=token)
    for mtime in (float("nan"), float("inf")):
        ticket = await world.files.begin_put(ALICE, "Secret/f", token=token, length=1)
        blob_id = await world.objects.put(b"x")
        with pytest.raises(BadRequestError):
            await world.files.commit_put(ticket, blob_id=blob_id, size_bytes=1, mtime=mtime)


async def test_a_place_remembered_by_one_process_is_found_again_when_another_replaced_the_folder(
    world: World, tmp_path: Path
) -> None:
    root = await world.encrypted_root()
    other = await World.open(tmp_path, seed=8)
    token = await world.lock(root, 2)
    await world.files.make_folder(ALICE, "Secret/d", token=token)
    await other.put("Secret/d/old", b"1", token=token)
    await world.files.move(ALICE, "Secret/d", "Secret/e", token=token, overwrite=False)
    await world.files.make_folder(ALICE, "Secret/d", token=token)
    await other.put("Secret/d/new", b"2", token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert await world.tree("Secret") == {
        "Secret/d": (False, 1),
        "Secret/d/new": b"2",
        "Secret/e": (False, 1),
        "Secret/e/old": b"1",
    }
    await other.close()


async def test_an_unlock_that_misses_a_body_undoes_the_session(tmp_path: Path) -> None:
    world = await World.open(tmp_path, objects=MemoryObjects())
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    await world.put("Secret/a", b"x", token=token)
    await world.objects.delete([blob async for blob, _, _ in world.objects.scan()])
    with pytest.raises(NotFoundError):
        await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert (await world.tree(), await world.rows("SELECT session FROM locks")) == ({"Secret": (True, 0)}, [])
    await world.close()


async def test_a_change_outside_encrypted_folders_is_durable_whatever_token_comes_along(world: World) -> None:
    written: list[bool] = []
    inner = world.database

    class Recorded(CountingDatabase):
        async def write(self, work: Callable[[Rows], Awaitable[T]], *, durable: bool = True) -> T:
            written.append(durable)
            return await inner.write(work, durable=durable)

    files = Files(replace(world.backend, database=Recorded(inner)))
    await world.files.ensure_home(ALICE.user_id)
    for token in (None, WRONG):
        for work in (
            files.make_folder(ALICE, "d", token=token),
            files.copy(ALICE, "d", "e", token=token, overwrite=False),
            files.move(ALICE, "e", "f", token=token, overwrite=False),
            files.delete(ALICE, "f", token=token),
            files.delete(ALICE, "d", token=token),
        ):
            written.clear()
            await work
            assert written[-1]


async def test_metadata_needs_the_right_and_the_lock_of_its_folder_and_its_flag_may_come_later(world: World) -> None:
    root = await world.encrypted_root()
    other = await world.encrypted_root("Other")
    await world.share(root, BOB.user_id, permissions=1)
    token = await world.lock(root, 2)
    plain = await world.files.make_folder(ALICE, "Secret/plain", token=token)
    deeper = await world.files.make_folder(ALICE, "Secret/plain/deeper", token=token)
    flagged = await world.files.make_folder(ALICE, "Secret/flagged", token=token)
    await world.metadata.mark_encrypted(ALICE, flagged.file_id, token=token)
    create, update = world.metadata.create, world.metadata.update
    for call, who, file_id, given, error in (
        (create, ALICE, flagged.file_id, None, BadRequestError),
        (create, ALICE, flagged.file_id, WRONG, ForbiddenError),
        (create, ALICE, deeper.file_id, token, NotEncryptedError),
        (create, BOB, flagged.file_id, token, ForbiddenError),
        (create, ALICE, 99_999, token, ForbiddenError),
        (update, ALICE, root.file_id, None, BadRequestError),
        (update, ALICE, root.file_id, WRONG, PreconditionFailedError),
        (update, ALICE, other.file_id, token, PreconditionFailedError),
        (update, ALICE, flagged.file_id, token, NotFoundError),
        (update, BOB, root.file_id, token, ForbiddenError),
    ):
        with pytest.raises(error):
            await call(who, file_id, text="t", signature="s", token=given)
    with pytest.raises(PreconditionFailedError):
        await world.metadata.delete(ALICE, root.file_id, token=WRONG)
    assert (await world.metadata.get(BOB, root.file_id)).text == "{}"
    # Phones and browsers send the first document of a nested folder before they flag it.
    await create(ALICE, plain.file_id, text="t", signature="s", token=token)


async def test_the_last_of_several_metadata_writes_counts_and_a_removal_is_one(world: World) -> None:
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    for text in ("one", "two"):
        await world.metadata.update(ALICE, root.file_id, text=text, signature=text, token=token)
    assert (await world.metadata.get(ALICE, root.file_id)).text == "{}"
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert (await world.metadata.get(ALICE, root.file_id)).text == "two"
    token = await world.lock(root, 3)
    await world.metadata.delete(ALICE, root.file_id, token=token)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    with pytest.raises(NotFoundError):
        await world.metadata.get(ALICE, root.file_id)
    await world.metadata.unmark(ALICE, root.file_id)


async def test_a_locked_folder_keeps_its_flag(world: World) -> None:
    root = await world.encrypted_root()
    await world.share(root, BOB.user_id)
    token = await world.lock(root, 2)
    with pytest.raises(LockedError):
        await world.metadata.unmark(ALICE, root.file_id)
    with pytest.raises(LockedError):
        await world.metadata.mark_encrypted(BOB, root.file_id)
    await world.metadata.mark_encrypted(ALICE, root.file_id)
    await world.put("Secret/f", b"x", token=token)
    with pytest.raises(NotFoundError):
        await world.metadata.unmark(ALICE, root.file_id)


async def test_a_slow_disk_does_not_cost_a_large_session(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("candado.server.sessions._PERSIST_SLICE", 2)
    root = await world.encrypted_root()
    token = await world.lock(root, 2)
    for number in range(10):
        await world.put(f"Secret/{number}", b"x", token=token)
    persist = world.objects.persist

    async def slow(blob_ids: Sequence[str]) -> None:
        world.clock.time += 600
        await sweep(world.backend)
        await persist(blob_ids)

    monkeypatch.setattr(world.objects, "persist", slow)
    await world.sessions.unlock(ALICE, root.file_id, token=token)
    assert (await world.files.stat(ALICE, "Secret")).size_bytes == 10


async def test_metadata_rules_of_one_session(world: World) -> None:
    folder = await world.files.make_folder(ALICE, "New", token=None)
    await world.metadata.mark_encrypted(ALICE, folder.file_id)
    with pytest.raises(NotFoundError):
        await world.metadata.get(ALICE, folder.file_id)
    token = await world.lock(folder, 1)
    await world.metadata.create(ALICE, folder.file_id, text="first", signature="s1", token=token)
    with pytest.raises(AlreadyExistsError):
        await world.metadata.create(ALICE, folder.file_id, text="again", signature="s", token=token)
    with pytest.raises(NotFoundError):
        await world.metadata.update(ALICE, folder.file_id, text="too early", signature="s", token=token)
    with pytest.raises(NotFoundError):
        await world.metadata.get(ALICE, folder.file_id)
    await world.sessions.unlock(ALICE, folder.file_id, token=token)
    got = await world.metadata.get(ALICE, folder.file_id)
    assert (got.text, got.signature, got.counter) == ("first", "s1", 1)
