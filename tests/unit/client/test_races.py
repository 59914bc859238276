"""Two devices that write at the same time, and devices that come late."""

import asyncio
from typing import Any

import pytest
from tests.sim import World
from tests.unit.client.devices import Device, MemoryTree

from candado.client import edit
from candado.client.lock import left_locks
from candado.client.trust import forget_folder
from candado.errors import (
    CounterRollbackError,
    LocalNameError,
    LocalStorageError,
    LockLostError,
    NotFoundError,
    TransportError,
    UnsignedDeletionError,
    UsageError,
)


async def _pair() -> tuple[World, Device, Device]:
    world = World()
    one = Device(world, remote=world.hostile("alice"))
    await edit.encrypt_folder(one.account, "/Secret")
    await one.put("/Secret", {"a": b"1", "in/b": b"2", "in/deep/c": b"3"})
    other = Device(world)
    await other.tree()
    return world, one, other


@pytest.mark.parametrize("folder", ["/Secret", "/Secret/in"])
async def test_an_edit_of_somebody_else_right_after_ours_is_no_alarm(folder: str) -> None:
    _world, one, other = await _pair()
    honest = one.remote.remote.unlock

    async def unlock(*args: Any, **kwargs: Any) -> None:
        await honest(*args, **kwargs)
        await other.put(folder, {"theirs": b"t"})

    one.remote.remote.unlock = unlock
    await one.put(folder, {"mine": b"m"})
    one.remote.remote.unlock = honest
    prefix = folder.removeprefix("/Secret").strip("/")
    prefix = f"{prefix}/" if prefix else ""
    tree = await one.tree()
    assert (tree[f"{prefix}mine"], tree[f"{prefix}theirs"]) == (b"m", b"t")
    assert one.account.issues() == []
    # The later state was pinned, not ours: going back to ours is a rollback.
    pin = next(pin for pin in one.account.book.roots()) if folder == "/Secret" else one.account.book.hinted(folder)
    assert pin is not None
    shown = (await other.reader().open_folder(folder)).folder
    assert shown is not None
    assert pin.digest == shown.digest


async def test_a_state_that_does_not_contain_our_acknowledged_write_is_a_lie() -> None:
    _world, one, other = await _pair()
    honest = one.remote.remote.unlock

    async def unlock(file_id: Any, token: Any, *, abort: bool = False) -> None:
        if abort:
            await honest(file_id, token, abort=True)
            return
        await honest(file_id, token, abort=True)
        await other.put("/Secret", {"theirs": b"t"})

    one.remote.remote.unlock = unlock
    with pytest.raises(Exception, match="does not follow") as caught:
        await one.put("/Secret", {"mine": b"m"})
    assert type(caught.value).__name__ == "StoreLieError"
    assert "store.lie" in one.codes()


async def test_a_session_that_was_undone_without_an_answer_is_told_from_a_lie() -> None:
    world, one, other = await _pair()
    honest = one.remote.remote.unlock

    async def unlock(file_id: Any, token: Any, *, abort: bool = False) -> None:
        if token.reveal() in world.server.locks:
            await honest(file_id, token, abort=True)
            await other.put("/Secret", {"theirs": b"t"})
        raise TransportError("no answer")

    one.remote.remote.unlock = unlock
    with pytest.raises(LockLostError):
        await one.put("/Secret", {"mine": b"m"})
    one.remote.remote.unlock = honest
    one.start()
    await one.put("/Secret", {"mine": b"m"})
    tree = await other.tree()
    assert (tree["mine"], tree["theirs"]) == (b"m", b"t")


async def test_a_device_that_knows_nothing_yet_writes_into_the_depth() -> None:
    world, one, _ = await _pair()
    fresh = Device(world)
    report = await fresh.put("/Secret/in/deep", {"new": b"n"})
    assert report.failures == []
    assert (await one.tree())["in/deep/new"] == b"n"


async def test_a_folder_renamed_by_another_device_is_found_under_its_new_name() -> None:
    _, one, other = await _pair()
    await edit.mv(one.account, "/Secret/in", "/Secret/out")
    with pytest.raises(NotFoundError):
        await other.put("/Secret/in", {"x": b"1", "y": b"2"})
    await other.put("/Secret/out", {"x": b"1"})
    assert (await one.tree())["out/x"] == b"1"


async def test_a_folder_removed_by_another_device_is_gone_here_without_alarm() -> None:
    _, one, other = await _pair()
    await edit.rm(one.account, "/Secret/in", recursive=True)
    assert await other.tree() == {"a": b"1"}
    await edit.mkdir(one.account, "/Secret/in")
    assert await other.tree() == {"a": b"1", "in": None}
    assert {issue.severity for issue in other.account.issues()} <= {"notice"}


async def test_a_person_can_say_that_a_vanished_root_was_removed_on_purpose() -> None:
    _, one, other = await _pair()
    await edit.rm(one.account, "/Secret", recursive=True)
    with pytest.raises(UnsignedDeletionError):
        await other.tree()
    forget_folder(other.account, "/Secret")
    with pytest.raises(NotFoundError):
        await other.reader().open_path("/Secret")
    with pytest.raises(NotFoundError):
        forget_folder(other.account, "/Secret")
    await edit.encrypt_folder(other.account, "/Secret")
    assert await other.tree() == {}


async def test_an_issue_is_counted_listed_and_dismissed_with_its_evidence() -> None:
    _world, one, _ = await _pair()
    root = (await one.reader().open_root("/Secret")).file_id
    old = one.remote.remember(root)
    await one.put("/Secret", {"x": b"1"})
    one.remote.replay(root, old)
    for _ in range(3):
        with pytest.raises(CounterRollbackError):
            await one.tree()
    refused = [issue for issue in one.account.issues() if issue.severity == "refused"]
    assert [issue.count for issue in refused] == [3]
    assert one.account.issue_book.evidence(refused[0].issue_id) is not None
    assert one.account.issue_book.dismiss(refused[0].issue_id)
    assert not one.account.issue_book.dismiss(refused[0].issue_id)
    assert one.account.issue_book.evidence(refused[0].issue_id) is None
    assert [issue for issue in one.account.issues() if issue.severity == "refused"] == []


@pytest.mark.parametrize(
    ("conflict", "files"),
    [
        ("fail", {"a": b"local"}),
        ("skip", {"a": b"local"}),
        ("replace", {"a": b"1"}),
        ("keep-both", {"a": b"local", "a (remote 1)": b"1"}),
    ],
)
async def test_what_happens_to_a_taken_local_name_is_as_asked(conflict: Any, files: dict[str, bytes]) -> None:
    _, one, _ = await _pair()
    tree = MemoryTree({"a": b"local"})
    await edit.get(one.account, "/Secret/a", tree, "a", conflict=conflict)
    assert tree.files == files


async def test_two_names_that_are_one_on_this_disk_are_reported_and_not_merged() -> None:
    _, one, _ = await _pair()
    await one.put("/Secret", {"A": b"big letter"})
    tree = MemoryTree()
    report = await edit.get(one.account, "/Secret", tree, "")
    assert [failure.path for failure in report.failures] == ["/Secret/a"]
    assert tree.files["A"] == b"big letter"


async def test_words_that_make_no_sense_are_refused_before_anything_is_sent() -> None:
    _, one, _ = await _pair()
    for act in (
        edit.cp(one.account, "/Secret/in", "/Secret/copy"),
        edit.cp(one.account, "/Secret/in", "/Secret/in", recursive=True),
        edit.mv(one.account, "/Secret", "/Other"),
        edit.mv(one.account, "/Secret/in", "/Secret/in/deep"),
        edit.get(one.account, "/Secret", MemoryTree(), "", recursive=False),
        edit.cat(one.account, "/Secret/in", lambda _: None),
        edit.encrypt_folder(one.account, "/"),
    ):
        with pytest.raises(UsageError):
            await act
    report = await edit.put(one.account, [edit.PutSource(MemoryTree({"x": b""}), "x", "a\\b")], "/Secret")
    assert [type(failure.error) for failure in report.failures] == [LocalNameError]
    report = await edit.put(one.account, [edit.PutSource(MemoryTree(), "absent", "absent")], "/Secret")
    assert [type(failure.error) for failure in report.failures] == [LocalStorageError]
    with pytest.raises(NotFoundError):
        await edit.put(one.account, [], "/Nowhere")


@pytest.mark.parametrize("answer", ["granted", "refused"])
async def test_a_command_that_is_interrupted_while_it_asks_for_the_lock_leaves_none(answer: str) -> None:
    world, one, other = await _pair()
    honest = one.remote.remote.lock
    asked, answering = asyncio.Event(), asyncio.Event()

    async def lock(*args: Any, **kwargs: Any) -> Any:
        token = await honest(*args, **kwargs)
        if answer == "refused":
            world.server.expire_locks()
        asked.set()
        await answering.wait()
        if answer == "refused":
            raise TransportError("the answer was lost")
        return token

    one.remote.remote.lock = lock
    putting = asyncio.create_task(one.put("/Secret", {"mine": b"m"}))
    await asked.wait()
    putting.cancel()
    await asyncio.sleep(0)
    answering.set()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert (world.server.locks, left_locks(one.account)) == ({}, [])
    await other.put("/Secret", {"theirs": b"t"})
    assert set(await other.tree()) == {"a", "in", "in/b", "in/deep", "in/deep/c", "theirs"}
