"""Sync on bad days: what is not there is not deleted, what fails is told, and the next run finishes the work."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.sync_world import FOLDER, Device, Pair, numbers

from candado.client import edit
from candado.errors import (
    CandadoError,
    CounterRollbackError,
    DiskFullError,
    LocalPermissionError,
    LockedError,
    QuotaExceededError,
    SafetyLimitError,
    TransportError,
    UnsignedDeletionError,
)
from candado.protocol.plan_model import DeleteLimit, Mode
from candado.types import Counter


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    await made.start()
    made.calls()
    return made


# --- what is not there is not deleted ---------------------------------------------------------------------------


async def test_an_empty_disk_deletes_nothing_and_pull_brings_it_back(pair: Pair) -> None:
    whole = pair.laptop.files()
    shutil.rmtree(pair.laptop.root)
    with pytest.raises(SafetyLimitError):
        await pair.laptop.sync(max_delete=DeleteLimit(percent=100.0))
    assert not {"lock", "delete"} & set(pair.calls())
    assert numbers(await pair.laptop.sync(mode=Mode.PULL)) == {"downloaded": 3}
    assert pair.laptop.files() == whole
    assert numbers(await pair.laptop.sync()) == {}


@pytest.mark.parametrize("side", ["laptop", "phone"])
async def test_too_many_deletions_stop_the_run_before_anything_happens(tmp_path: Path, side: str) -> None:
    pair = Pair(tmp_path)
    await pair.start(*(f"d/{n}" for n in range(20)), "keep")
    deleting: Device = getattr(pair, side)
    shutil.rmtree(deleting.root / "d")
    if side == "phone":
        await pair.phone.sync(max_delete=DeleteLimit(count=20))
    before = pair.laptop.files()
    with pytest.raises(SafetyLimitError) as caught:
        await pair.laptop.sync()
    assert ("--max-delete 20" in caught.value.advice, pair.laptop.files()) == (True, before)
    assert caught.value.path == str(pair.laptop.root)
    shown = await pair.laptop.sync(dry_run=True)
    assert ([problem.code for problem in shown.errors], shown.exceeds_limit) == (["SAFETY_LIMIT"], True)
    assert numbers(shown) == {"deleted": 21}  # with the folder
    assert pair.laptop.files() == before
    await pair.laptop.sync(max_delete=DeleteLimit(percent=96.0))
    await pair.phone.sync(max_delete=DeleteLimit(percent=96.0))
    assert pair.laptop.files() == pair.phone.files() == {"keep": b"content of keep"}
    if side == "phone":
        assert len(pair.laptop.trash()) == 20


async def test_a_root_that_vanished_without_a_signature_deletes_nothing(pair: Pair) -> None:
    before = pair.laptop.files()
    root = (await pair.phone.remote.list_folder(FOLDER, depth=0))[0]
    pair.hostile.vanish(root.file_id)
    with pytest.raises(UnsignedDeletionError):
        await pair.laptop.sync()
    assert pair.laptop.files() == before


async def test_a_file_replaced_by_a_link_or_ignored_is_not_taken_for_deleted(pair: Pair) -> None:
    (pair.laptop.root / "a").unlink()
    (pair.laptop.root / "a").symlink_to("/etc/hostname")
    pair.laptop.write(".candadoignore", "b\n")
    await pair.laptop.sync()
    await pair.phone.sync()
    assert {"a", "d/b"} <= pair.phone.files().keys()


async def test_a_folder_removed_there_stays_here_when_something_ignored_is_in_it(pair: Pair) -> None:
    pair.laptop.write("d/e/.DS_Store", "litter")
    shutil.rmtree(pair.phone.root / "d/e")
    await pair.phone.sync()
    await pair.laptop.sync()
    await pair.phone.sync()
    assert ("d/e" in pair.phone.files(), pair.laptop.files()["d/e/.DS_Store"]) == (False, b"litter")


# --- bad days -----------------------------------------------------------------------------------------------------


async def test_an_altered_body_is_reported_and_the_good_copy_and_the_others_are_kept(pair: Pair) -> None:
    before = pair.laptop.files()
    pair.phone.write("a", "new content of a")
    pair.phone.write("other", "fine")
    await pair.phone.sync()
    pair.hostile.replace("get_bytes", lambda body: body[:-1] + bytes([body[-1] ^ 1]) if len(body) == 32 else body)
    report = await pair.laptop.sync()
    assert [(problem.path, problem.code) for problem in report.errors] == [("a", "OPEN_FAILED")]
    assert pair.laptop.files() == before | {"other": b"fine"}
    pair.hostile.honest()
    assert numbers(await pair.laptop.sync()) == {"downloaded": 1}
    assert pair.laptop.files() == pair.phone.files()


async def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_run(pair: Pair) -> None:
    pair.laptop.write("busy", "one")
    pair.laptop.write("calm", "two")
    tree = pair.laptop.tree()
    original = tree.open_read

    def open_read(path: str) -> Any:
        file = original(path)
        if path == "busy":
            pair.laptop.write("busy", "more and more")
        return file

    tree.open_read = open_read  # type: ignore[method-assign]
    pair.laptop.tree = lambda: tree  # type: ignore[method-assign]
    report = await pair.laptop.sync()
    del pair.laptop.tree
    assert [(p.path, p.code, p.retry) for p in report.errors] == [("busy", "FILE_CHANGED", True)]
    assert numbers(report) == {"uploaded": 1}
    assert numbers(await pair.laptop.sync()) == {"uploaded": 1}


async def test_a_full_quota_ends_the_run_with_what_fitted_in(pair: Pair) -> None:
    pair.phone.write("theirs", "t")
    await pair.phone.sync()
    for number in range(6):
        pair.laptop.write(f"n{number}", "x" * 5000)
    put, room = pair.hostile.put_bytes, [1, 2, 3]

    async def put_bytes(*args: Any, **kwargs: Any) -> Any:
        if not room:
            raise QuotaExceededError
        room.pop()
        return await put(*args, **kwargs)

    vars(pair.hostile)["put_bytes"] = put_bytes
    with pytest.raises(QuotaExceededError):
        await pair.laptop.sync()
    del vars(pair.hostile)["put_bytes"]
    assert pair.laptop.files()["theirs"] == b"t"
    report = await pair.laptop.sync()
    assert (numbers(report), report.errors) == ({"uploaded": 3}, [])
    await pair.phone.sync()
    assert pair.laptop.files() == pair.phone.files()


async def test_a_full_disk_ends_the_run_and_keeps_what_was_finished(pair: Pair) -> None:
    for number in range(8):
        pair.phone.write(f"n{number}", "x" * number)
    await pair.phone.sync()
    tree = pair.laptop.tree()
    original = tree.open_spool
    opened: list[int] = []

    def open_spool() -> Any:
        opened.append(1)
        if len(opened) > 3:
            raise DiskFullError
        return original()

    tree.open_spool = open_spool  # type: ignore[method-assign]
    pair.laptop.tree = lambda: tree  # type: ignore[method-assign]
    with pytest.raises(DiskFullError):
        await pair.laptop.sync()
    del pair.laptop.tree
    assert sum(path.startswith("n") for path in pair.laptop.files()) == 3
    assert numbers(await pair.laptop.sync()) == {"downloaded": 5}
    assert pair.laptop.files() == pair.phone.files()


@pytest.mark.parametrize("method", ["list_folder", "put_bytes", "update_metadata", "unlock"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_lost_server_ends_the_run_and_the_next_one_finishes_it(pair: Pair, method: str, after: bool) -> None:
    pair.laptop.write("n/new", "1")
    pair.laptop.write("a", "changed a")
    failed = await _lose(pair, method, after=after)
    pair.hostile.honest()
    pair.world.clock.advance(pair.world.server.lock_seconds + 1)
    assert failed is None or isinstance(failed, TransportError)
    assert (await pair.laptop.sync()).errors == []
    await pair.phone.sync()
    assert pair.laptop.files() == pair.phone.files()
    assert set(pair.laptop.files()) == {"a", "d", "d/b", "d/e", "d/e/c", "n", "n/new"}


async def _lose(pair: Pair, method: str, *, after: bool) -> CandadoError | None:
    pair.hostile.cut(method, after=after)
    return await pair.laptop.try_sync()


async def test_a_lock_held_by_somebody_else_is_waited_for_and_then_reported(pair: Pair) -> None:
    root = (await pair.phone.remote.list_folder(FOLDER, depth=0))[0]
    await pair.phone.remote.lock(root.file_id, Counter(10_000))
    pair.world.server.lock_seconds = 10**6
    pair.laptop.write("new", "1")
    with pytest.raises(LockedError):
        await pair.laptop.sync()


async def test_a_signed_deletion_of_the_root_moves_synced_files_to_the_trash_and_leaves_the_rest(pair: Pair) -> None:
    pair.laptop.write("mine", "never synced")
    pair.laptop.write("a", "edited here, not synced")
    async for _ in _signed_deletion(pair):
        report = await pair.laptop.sync()
    assert ([problem.code for problem in report.errors], report.warnings) == (["ROOT_DELETED"], [])
    assert {path for path, content in pair.laptop.files().items() if content is not None} == {"a", "mine"}
    assert pair.laptop.trash() == {b"content of d/b", b"content of d/e/c"}


async def _signed_deletion(pair: Pair) -> AsyncIterator[None]:
    """The phone signs the deletion; the server still shows the signed document while the body runs."""
    from candado.client.reader import FolderReader
    from candado.client.session import WriteSession

    async with WriteSession(FolderReader(pair.phone.start()), FOLDER) as session:
        session.delete_root(remove=False)
    yield
    await edit.rm(pair.phone.account, FOLDER, recursive=True)


async def test_names_that_cannot_be_stored_are_reported_and_the_others_go_on(pair: Pair) -> None:
    pair.laptop.write("bad\\name", "1")
    pair.laptop.write("good name", "2")
    report = await pair.laptop.sync()
    assert [(problem.path, problem.code) for problem in report.errors] == [("bad\\name", "NAME_UNSAFE")]
    assert numbers(report) == {"uploaded": 1}


async def test_what_was_removed_as_a_file_and_then_as_a_folder_finds_room_in_the_trash(pair: Pair) -> None:
    (pair.phone.root / "a").unlink()
    await pair.phone.sync()
    await pair.laptop.sync()
    pair.phone.write("a/x", "inside")
    await pair.phone.sync()
    await pair.laptop.sync()
    shutil.rmtree(pair.phone.root / "a")
    await pair.phone.sync()
    report = await pair.laptop.sync()
    assert (report.errors, pair.laptop.trash()) == ([], {b"content of a", b"inside"})


async def test_an_entry_whose_body_is_gone_is_told_and_neither_deleted_nor_sent_again(pair: Pair) -> None:
    pair.phone.write("a", "newer")
    await pair.phone.sync()
    root = (await pair.phone.remote.list_folder(FOLDER, depth=1))[0]
    pair.hostile.replace("list_folder", lambda nodes: [node for node in nodes if node.is_folder])
    before = pair.laptop.files()
    pair.calls()
    for _ in range(3):
        report = await pair.laptop.sync()
        assert {problem.code for problem in report.warnings} == {"file.missing"}
    assert (pair.laptop.files(), "lock" in pair.calls(), root.is_encrypted) == (before, False, True)
    pair.hostile.honest()
    assert numbers(await pair.laptop.sync()) == {"downloaded": 1}


async def test_an_older_state_of_the_server_is_refused_and_nothing_moves(pair: Pair) -> None:
    root = (await pair.phone.remote.list_folder(FOLDER, depth=0))[0]
    old = pair.hostile.remember(root.file_id)
    pair.phone.write("a", "newer")
    await pair.phone.sync()
    await pair.laptop.sync()
    before = pair.laptop.files()
    pair.hostile.replay(root.file_id, old)
    (pair.laptop.root / "a").unlink()
    pair.laptop.write("new", "n")
    pair.phone.write("later", "so that the etag is another one")
    await pair.phone.sync()
    pair.calls()
    with pytest.raises(CounterRollbackError):
        await pair.laptop.sync()
    assert "lock" not in pair.calls()
    expected = {path: content for path, content in before.items() if path != "a"} | {"new": b"n"}
    assert pair.laptop.files() == expected


async def test_a_folder_is_emptied_by_renames_and_removed_in_one_session(pair: Pair) -> None:
    (pair.laptop.root / "d/b").rename(pair.laptop.root / "b")
    (pair.laptop.root / "d/e").rename(pair.laptop.root / "e")
    (pair.laptop.root / "d").rmdir()
    pair.calls()
    report = await pair.laptop.sync()
    assert (numbers(report), pair.calls().count("lock")) == ({"renamed": 2, "deleted": 1}, 1)
    await pair.phone.sync()
    assert pair.phone.files() == {"a": b"content of a", "b": b"content of d/b", "e": None, "e/c": b"content of d/e/c"}


async def test_a_rename_that_fails_here_is_told_and_tried_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    (pair.phone.root / "a").rename(pair.phone.root / "b")
    await pair.phone.sync()

    def move(self: object, source: str, target: str) -> None:
        raise LocalPermissionError(path=source)

    with monkeypatch.context() as patch:
        patch.setattr("candado.adapters.disk.DiskTree.move", move)
        report = await pair.laptop.sync()
    assert [(problem.path, problem.code) for problem in report.errors] == [("b", "LOCAL_PERMISSION")]
    assert numbers(await pair.laptop.sync()) == {"renamed": 1}
    assert pair.laptop.files() == pair.phone.files()
