"""A root that is marked as deleted and still there: nothing is written into it, and nothing here is lost to it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.sim import World, stock
from tests.unit.client import devices
from tests.unit.client.sync_world import FOLDER, Pair, numbers

from candado.client import edit, sharing
from candado.client.reader import FolderReader
from candado.client.session import WriteSession
from candado.client.sync_report import SyncProblem
from candado.errors import (
    CandadoError,
    CounterRollbackError,
    LockLostError,
    NotEncryptedError,
    NotFoundError,
    RootDeletedError,
)
from candado.protocol.plan_model import Mode
from candado.types import UserId


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    await made.start()
    return made


async def _mark(reader: FolderReader, path: str) -> None:
    """What is left when whoever deletes a root stops half way."""
    async with WriteSession(reader, path) as session:
        session.delete_root(remove=False)


async def _phone_marks(pair: Pair) -> None:
    await _mark(FolderReader(pair.phone.start()), FOLDER)


def _told(problems: list[SyncProblem]) -> list[str]:
    return [problem.code for problem in problems]


def _problems(pair: Pair) -> list[tuple[str, str]]:
    return [(issue.code, issue.path) for issue in pair.laptop.account.issues() if issue.severity == "problem"]


# --- sync -------------------------------------------------------------------------------------------------------


async def test_a_new_file_is_never_sent_into_a_deleted_root_and_never_goes_to_the_trash(pair: Pair) -> None:
    await _phone_marks(pair)
    report = await pair.laptop.sync()
    assert (numbers(report), _told(report.errors), _told(report.warnings)) == ({"deleted": 5}, [], ["ROOT_DELETED"])
    pair.laptop.write("new", "never synced")
    for _ in range(3):
        pair.calls()
        report = await pair.laptop.sync()
        assert (numbers(report), _told(report.errors), _told(report.warnings)) == ({}, ["ROOT_DELETED"], [])
        assert "lock" not in pair.calls()
    assert pair.laptop.files()["new"] == b"never synced"
    assert b"never synced" not in pair.laptop.trash()


async def test_a_deletion_with_something_left_here_is_an_issue_until_nothing_is_left(pair: Pair) -> None:
    await _phone_marks(pair)
    pair.laptop.write("new", "never synced")
    (problem,) = (await pair.laptop.sync()).errors
    assert (problem.code, problem.path, "1 file" in problem.message) == ("ROOT_DELETED", FOLDER, True)
    assert f"candado rm -r {FOLDER}" in problem.advice
    assert f"candado sync {pair.laptop.root} {FOLDER} --encrypt" in problem.advice
    assert _problems(pair) == [("ROOT_DELETED", FOLDER)]
    (pair.laptop.root / "new").unlink()
    assert _told((await pair.laptop.sync()).errors) == []
    assert _problems(pair) == []


async def test_the_way_out_that_is_told_makes_the_folder_anew_from_what_is_here(pair: Pair) -> None:
    await _phone_marks(pair)
    pair.laptop.write("new", "never synced")
    await pair.laptop.sync()
    with pytest.raises(RootDeletedError) as caught:
        await edit.encrypt_folder(pair.laptop.start(), FOLDER)
    assert f"candado rm -r {FOLDER}" in caught.value.advice
    await edit.rm(pair.laptop.start(), FOLDER, recursive=True)
    with pytest.raises(RootDeletedError) as caught:
        await pair.laptop.sync()
    assert "--encrypt" in caught.value.advice
    assert pair.laptop.files()["new"] == b"never synced"
    report = await pair.laptop.sync(encrypt=True)
    assert (numbers(report), _problems(pair)) == ({"uploaded": 1}, [])
    assert not (await FolderReader(pair.laptop.start()).open_root(FOLDER)).deleted


async def test_push_into_a_deleted_root_changes_nothing_on_either_side(pair: Pair) -> None:
    await _phone_marks(pair)
    before = pair.laptop.files()
    for _ in range(2):
        report = await pair.laptop.sync(mode=Mode.PUSH)
        assert (numbers(report), _told(report.errors)) == ({}, ["ROOT_DELETED"])
    assert (pair.laptop.files(), pair.laptop.trash()) == (before, set())


async def test_pull_from_a_deleted_root_leaves_nothing_undone(pair: Pair) -> None:
    pair.laptop.write("new", "never synced")
    await _phone_marks(pair)
    report = await pair.laptop.sync(mode=Mode.PULL)
    assert (_told(report.errors), _told(report.warnings)) == ([], ["ROOT_DELETED"])
    assert pair.laptop.files()["new"] == b"never synced"


async def test_a_deletion_between_the_look_and_the_lock_is_seen_before_anything_is_sent(pair: Pair) -> None:
    pair.laptop.write("new", "never synced")
    grant = pair.hostile.lock
    done: list[bool] = []

    async def delete_first(*args: Any, **options: Any) -> Any:
        if not done:
            done.append(True)
            await _phone_marks(pair)
        return await grant(*args, **options)

    pair.hostile.lock = delete_first  # type: ignore[method-assign]
    pair.calls()
    report = await pair.laptop.sync()
    assert _told(report.errors) == ["ROOT_DELETED"]
    assert "put_bytes" not in pair.calls()
    assert pair.laptop.files()["new"] == b"never synced"


async def test_a_folder_below_a_deleted_root_is_not_synced_either(pair: Pair, tmp_path: Path) -> None:
    part = pair.laptop
    await part.sync(f"{FOLDER}/d", local_root=str(tmp_path / "part"))
    await _phone_marks(pair)
    with pytest.raises(RootDeletedError):
        await FolderReader(part.start()).open_path(f"{FOLDER}/d")
    before = part.files()
    part.write("more", "never synced")
    for encrypt in (False, True):
        with pytest.raises(RootDeletedError):
            await part.sync(f"{FOLDER}/d", local_root=str(tmp_path / "part"), encrypt=encrypt)
    assert part.files() == before | {"more": b"never synced"}
    assert part.trash() == set()


# --- commands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_known", [True, False], ids=["seen", "not seen yet"])
async def test_no_command_writes_into_a_deleted_root(is_known: bool) -> None:
    world = World("alice", "bob")
    device, other = devices.Device(world), devices.Device(world)
    account = device.account
    await edit.encrypt_folder(account, "/Secret")
    await edit.encrypt_folder(account, "/Live")
    await device.put("/Secret", {"a": b"1", "in/b": b"2"})
    await device.put("/Live", {"l": b"3"})
    await other.tree()
    await _mark(other.reader(), "/Secret")
    if is_known:
        assert (await device.reader().open_root("/Secret")).deleted
    marked = world.server.tree.metadata[world.server.at("alice", "/Secret").file_id]
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: device.put("/Secret", {"new": b"x"}),
        lambda: device.put("/Secret/in", {"new": b"x"}),
        lambda: edit.mkdir(account, "/Secret/new"),
        lambda: edit.mkdir(account, "/Secret/in/deep/er", parents=True),
        lambda: edit.mv(account, "/Secret/a", "/Secret/c"),
        lambda: edit.mv(account, "/Live/l", "/Secret"),
        lambda: edit.cp(account, "/Live/l", "/Secret/l"),
        lambda: edit.cp(account, "/Secret", "/Live/copy", recursive=True),
        lambda: edit.rm(account, "/Secret/a"),
        lambda: edit.encrypt_folder(account, "/Secret"),
        lambda: sharing.share(account, "/Secret", UserId("bob")),
    ]
    for act in acts:
        with pytest.raises(RootDeletedError) as caught:
            await act()
        assert "candado rm -r /Secret" in caught.value.advice
    assert world.server.tree.metadata[world.server.at("alice", "/Secret").file_id] == marked
    assert world.server.locks == {}
    assert await device.tree("/Live") == {"l": b"3"}
    assert await sharing.list_shares(account) == []


async def test_a_write_session_refuses_a_root_that_is_marked_as_deleted_unless_it_deletes() -> None:
    world = World("alice")
    device, other = devices.Device(world), devices.Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    await other.tree()
    await _mark(other.reader(), "/Secret")
    for _ in range(2):
        with pytest.raises(CandadoError) as caught:
            async with WriteSession(device.reader(), "/Secret"):
                raise AssertionError
        assert (caught.value.code, world.server.locks) == ("ROOT_DELETED", {})
    async with WriteSession(device.reader(), "/Secret", deletes=True) as session:
        session.delete_root(remove=True)
    assert await device.remote.list_folder("/", depth=1) == (await device.remote.list_folder("/", depth=0))


# --- a received share -------------------------------------------------------------------------------------------


async def _shared(world: World) -> tuple[devices.Device, devices.Device]:
    alice, bob = devices.Device(world), devices.Device(world, "bob")
    await edit.encrypt_folder(alice.account, "/Secret")
    await alice.put("/Secret", {"a": b"1", "in/b": b"2"})
    await sharing.share(alice.account, "/Secret", UserId("bob"))
    assert set(await bob.tree()) == {"a", "in", "in/b"}
    return alice, bob


TREE = {"a": b"1", "in": None, "in/b": b"2"}


async def test_removing_a_received_root_leaves_the_share_and_takes_nothing_from_anybody() -> None:
    world = World("alice", "bob")
    alice, bob = await _shared(world)
    world.server.log.clear()
    report = await edit.rm(bob.account, "/Secret", recursive=True)
    assert report == edit.RemoveReport("/Secret", is_folder=True, is_root=True, left_to="alice")
    assert "lock" not in [request.method for request in world.server.log]
    assert await alice.tree() == TREE
    assert world.server.shares == {}
    with pytest.raises(NotFoundError):
        await bob.tree()
    for target in ("/Secret", "/Secret/in"):
        with pytest.raises((NotFoundError, NotEncryptedError)):
            await bob.put(target, {"x": b"y"})
    await edit.rm(alice.account, "/Secret", recursive=True)
    await edit.encrypt_folder(bob.account, "/Secret")
    assert await bob.tree() == {}


async def test_a_folder_that_was_left_and_is_shared_again_is_still_held_to_what_was_seen_of_it() -> None:
    world = World("alice", "bob")
    alice, bob = await _shared(world)
    root = world.server.at("alice", "/Secret").file_id
    old = world.server.tree.metadata[root]
    await alice.put("/Secret", {"later": b"3"})
    assert await bob.tree() == TREE | {"later": b"3"}
    await edit.rm(bob.account, "/Secret", recursive=True)
    await sharing.share(alice.account, "/Secret", UserId("bob"))
    assert await bob.tree() == TREE | {"later": b"3"}
    world.server.tree.metadata[root] = old
    with pytest.raises(CounterRollbackError):
        await bob.tree()


async def test_a_received_root_that_is_marked_as_deleted_can_be_left_and_its_owner_gets_out() -> None:
    world = World("alice", "bob")
    alice, bob = await _shared(world)
    await _mark(bob.reader(), "/Secret")
    with pytest.raises(RootDeletedError) as caught:
        await bob.put("/Secret", {"x": b"y"})
    assert "takes it off your files, and ask alice for a new folder" in caught.value.advice
    await edit.rm(bob.account, "/Secret", recursive=True)
    with pytest.raises(RootDeletedError):
        await edit.encrypt_folder(alice.account, "/Secret")
    await edit.rm(alice.account, "/Secret", recursive=True)
    await edit.encrypt_folder(alice.account, "/Secret")
    await sharing.share(alice.account, "/Secret", UserId("bob"))
    assert await bob.tree() == await alice.tree() == {}


async def test_what_an_interrupted_command_left_locked_is_given_back_before_the_share_is_left() -> None:
    world = World("alice", "bob")
    alice, bob = await _shared(world)
    world.server.capabilities = stock()
    session = WriteSession(bob.reader(), "/Secret")
    await session.__aenter__()
    bob.start()
    await edit.rm(bob.account, "/Secret", recursive=True)
    assert world.server.locks == {}
    assert await alice.tree() == TREE


async def test_a_folder_of_one_s_own_is_never_taken_for_a_received_one() -> None:
    world = World("alice")
    hostile = world.hostile("alice")
    device = devices.Device(world, remote=hostile)
    await edit.encrypt_folder(device.account, "/Secret")
    hostile.replace("list_folder", lambda nodes: [replace(node, owner_id="mallory") for node in nodes])
    report = await edit.rm(device.account, "/Secret", recursive=True)
    assert report.left_to == ""
    assert device.account.book.roots() == []


async def test_a_share_that_ends_before_the_unlock_undoes_the_session_and_is_no_lie_of_the_server() -> None:
    world = World("alice", "bob")
    alice = devices.Device(world)
    hostile = world.hostile("bob")
    bob = devices.Device(world, "bob", remote=hostile)
    await edit.encrypt_folder(alice.account, "/Secret")
    await sharing.share(alice.account, "/Secret", UserId("bob"))
    await bob.tree()
    unlock = hostile.remote.unlock

    async def too_late(*args: Any, **options: Any) -> None:
        for share_id in list(world.server.shares):
            world.server.end_share(share_id)
        await unlock(*args, **options)

    hostile.remote.unlock = too_late  # type: ignore[method-assign]
    with pytest.raises(LockLostError):
        await bob.put("/Secret", {"x": b"1"})
    assert [issue for issue in bob.account.issues() if issue.severity == "refused"] == []
    assert (await alice.tree(), world.server.locks) == ({}, {})
