"""Sync as a person meets it on good days: real disk trees, the simulated server."""

import os
import shutil
from pathlib import Path

import pytest
from tests.unit.client.sync_world import FOLDER, Device, Pair, copy_of, numbers

from candado.errors import (
    FolderNotEmptyError,
    NotEncryptedError,
    NotFoundError,
    TransportError,
)
from candado.protocol.plan_model import Mode


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    await made.start()
    made.calls()
    return made


# --- everyday -----------------------------------------------------------------------------------------------


async def test_an_idle_sync_asks_one_question_and_writes_nothing(pair: Pair) -> None:
    state = {space: dict(rows) for space, rows in pair.laptop.state.spaces.items()}
    report = await pair.laptop.sync()
    assert (numbers(report), report.requests, pair.calls()) == ({}, 1, ["list_folder"])
    assert state == pair.laptop.state.spaces


async def test_after_a_change_only_the_folders_on_its_way_are_looked_at(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.start(*(f"d{n}/e{m}/f" for n in range(6) for m in range(4)))
    pair.phone.write("d3/e2/f", "changed")
    await pair.phone.sync()
    pair.calls()
    report = await pair.laptop.sync()
    assert numbers(report) == {"downloaded": 1}
    # The top twice (its etag, then its listing), d3, d3/e2, and the body.
    assert report.requests == 5


async def test_many_new_files_cost_one_request_each_and_a_few(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.start()
    pair.calls()
    for number in range(300):
        pair.laptop.write(f"d/{number}", f"{number}")
    report = await pair.laptop.sync()
    assert numbers(report) == {"uploaded": 300}
    assert report.requests <= 300 + 8
    report = await pair.phone.sync()
    assert numbers(report) == {"downloaded": 300}
    assert report.requests <= 300 + 4
    assert pair.laptop.files() == pair.phone.files()


async def test_more_files_than_fit_into_one_batch_are_all_published(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candado.client.sync_local._BATCH_FILES", 3)
    for number in range(40):
        pair.phone.write(f"d/{number}", f"{number}")
    await pair.phone.sync()
    assert numbers(await pair.laptop.sync(transfers=16)) == {"downloaded": 40}
    assert pair.laptop.files() == pair.phone.files()


async def test_a_renamed_folder_moves_no_bytes(pair: Pair) -> None:
    (pair.laptop.root / "d").rename(pair.laptop.root / "renamed")
    first = await pair.laptop.sync()
    second = await pair.phone.sync()
    assert [numbers(first), numbers(second)] == [{"renamed": 1}, {"renamed": 1}]
    assert not {"put", "put_bytes", "get", "get_bytes"} & set(pair.calls())
    assert set(pair.phone.files()) == {"a", "renamed", "renamed/b", "renamed/e", "renamed/e/c"}


async def test_a_moved_and_then_edited_file_arrives_once(pair: Pair) -> None:
    (pair.laptop.root / "a").rename(pair.laptop.root / "d/moved")
    pair.laptop.write("d/moved", "edited, longer than before")
    await pair.laptop.sync()
    await pair.phone.sync()
    assert pair.laptop.files() == pair.phone.files()
    assert pair.phone.files()["d/moved"] == b"edited, longer than before"


async def test_two_edits_of_one_file_are_both_kept_and_listed(pair: Pair) -> None:
    pair.laptop.write("a", "mine")
    pair.phone.write("a", "theirs")
    await pair.phone.sync()
    report = await pair.laptop.sync()
    copy = copy_of("a", pair.laptop)
    assert (numbers(report), report.conflict_paths) == ({"uploaded": 1, "downloaded": 1, "conflicts": 1}, [copy])
    await pair.phone.sync()
    assert pair.phone.files() == pair.laptop.files()
    assert (pair.laptop.files()["a"], pair.laptop.files()[copy]) == (b"theirs", b"mine")
    assert [issue.path for issue in pair.laptop.account.issues() if issue.code == "conflict.copy"] == [
        f"{FOLDER}/{copy}"
    ]


async def test_two_equal_trees_are_adopted_without_moving_a_byte(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.start()
    other = Device(pair.world, tmp_path, "third")
    shutil.copytree(pair.laptop.root, other.root)
    pair.calls()
    report = await other.sync()
    assert (numbers(report), report.errors) == ({}, [])
    assert not {"put", "put_bytes", "get", "get_bytes", "lock"} & set(pair.calls())
    assert (await other.sync()).requests == 1


async def test_a_first_sync_of_two_different_trees_keeps_everything(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.start()
    other = Device(pair.world, tmp_path, "third")
    other.write("a", "quite different")
    other.write("d/mine", "only here")
    await other.sync()
    await pair.laptop.sync()
    assert pair.laptop.files() == other.files()
    assert {b"quite different", b"content of a", b"only here"} <= set(other.files().values())


async def test_a_touched_file_is_compared_and_not_sent(pair: Pair) -> None:
    os.utime(pair.laptop.root / "a", ns=(1, 1))
    pair.calls()
    assert numbers(await pair.laptop.sync()) == {}
    assert not {"put_bytes", "get_bytes", "lock"} & set(pair.calls())
    assert (await pair.laptop.sync()).requests == 1


async def test_other_bytes_of_the_same_size_and_time_are_noticed(pair: Pair) -> None:
    place = pair.laptop.root / "a"
    before = place.stat()
    while place.stat().st_ctime_ns == before.st_ctime_ns:
        place.write_bytes(b"CONTENT OF A")
        os.utime(place, ns=(before.st_mtime_ns, before.st_mtime_ns))
    after = place.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    await pair.laptop.sync()
    await pair.phone.sync()
    assert pair.phone.files()["a"] == b"CONTENT OF A"


async def test_a_file_written_just_before_the_look_is_compared_once_more(pair: Pair) -> None:
    now_ns = round(pair.world.clock.now() * 1e9) + 1
    pair.laptop.write("fresh", "1")
    os.utime(pair.laptop.root / "fresh", ns=(now_ns, now_ns))
    await pair.laptop.sync()
    # Within one step of the file system's clock: the time stays, and so may the attribute-change time.
    (pair.laptop.root / "fresh").write_bytes(b"2")
    os.utime(pair.laptop.root / "fresh", ns=(now_ns, now_ns))
    pair.world.clock.advance(10)
    assert numbers(await pair.laptop.sync()) == {"uploaded": 1}
    assert (await pair.laptop.sync()).requests <= 2
    assert (await pair.laptop.sync()).requests == 1


async def test_a_folder_below_the_root_can_be_synced_alone(pair: Pair) -> None:
    part = Device(pair.world, pair.laptop.base, "part")
    await part.sync(f"{FOLDER}/d")
    assert set(part.files()) == {"b", "e", "e/c"}
    part.write("e/new", "n")
    (part.root / "b").unlink()
    assert numbers(await part.sync(f"{FOLDER}/d")) == {"uploaded": 1, "deleted": 1}
    await pair.laptop.sync()
    assert set(pair.laptop.files()) == {"a", "d", "d/e", "d/e/c", "d/e/new"}
    assert (await part.sync(f"{FOLDER}/d")).requests <= 3


@pytest.mark.parametrize("is_stock", [False, True])
async def test_a_tree_is_split_into_sessions_and_arrives_whole(tmp_path: Path, is_stock: bool) -> None:
    pair = Pair(tmp_path, is_stock=is_stock)
    await pair.start()
    for number in range(10):
        pair.laptop.write(f"n/m{number % 3}/{number}", "x" * number)
    assert numbers(await pair.laptop.sync(session_files_max=3)) == {"uploaded": 10}
    await pair.phone.sync()
    assert pair.phone.files() == pair.laptop.files()


async def test_big_files_are_split_by_bytes_and_streamed(pair: Pair) -> None:
    for number in range(3):
        pair.laptop.write(f"big{number}", bytes([number]) * 1_500_000)
    pair.calls()
    assert numbers(await pair.laptop.sync(session_bytes_max=1_000_000)) == {"uploaded": 3}
    assert pair.calls().count("lock") == 3
    await pair.phone.sync()
    assert pair.phone.files() == pair.laptop.files()


async def test_nothing_clear_reaches_the_server(pair: Pair) -> None:
    pair.laptop.write("canary-name-1/canary-name-2", "canary-content")
    await pair.laptop.sync()
    (pair.laptop.root / "canary-name-1").rename(pair.laptop.root / "canary-name-3")
    await pair.laptop.sync()
    received = b"\0".join(pair.world.server.received)
    assert received
    assert b"canary" not in received


# --- dry run ------------------------------------------------------------------------------------------------


async def test_a_dry_run_names_exactly_what_the_run_then_does(pair: Pair) -> None:
    pair.phone.write("theirs", "t")
    (pair.phone.root / "d/b").unlink()
    await pair.phone.sync()
    pair.laptop.write("mine", "m")
    (pair.laptop.root / "d/e").rename(pair.laptop.root / "f")
    before = pair.laptop.files(), {s: dict(r) for s, r in pair.laptop.state.spaces.items() if s.startswith("agreed")}
    pair.calls()
    planned = await pair.laptop.sync(dry_run=True)
    after = pair.laptop.files(), {s: dict(r) for s, r in pair.laptop.state.spaces.items() if s.startswith("agreed")}
    assert before == after
    assert set(pair.calls()) <= {"list_folder", "metadata", "capabilities"}
    done = await pair.laptop.sync()
    assert numbers(planned) == numbers(done) == {"uploaded": 1, "downloaded": 1, "deleted": 1, "renamed": 1}
    plan = planned.to_json()["plan"]
    assert isinstance(plan, list)
    assert [line["do"] for line in plan] == ["download", "rename there", "upload", "delete here"]


async def test_a_dry_run_before_the_first_sync_makes_no_folder(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.laptop.write("a", "1")
    report = await pair.laptop.sync(encrypt=True, dry_run=True)
    assert (numbers(report), pair.laptop.state.spaces.keys() & {"agreed"}) == ({"uploaded": 1}, set())
    with pytest.raises(NotFoundError):
        await pair.laptop.sync()


# --- modes ----------------------------------------------------------------------------------------------------


async def test_push_changes_only_the_server_and_pull_only_the_disk(pair: Pair) -> None:
    pair.phone.write("theirs", "t")
    await pair.phone.sync()
    pair.laptop.write("mine", "m")
    assert numbers(await pair.laptop.sync(mode=Mode.PUSH)) == {"uploaded": 1}
    assert "theirs" not in pair.laptop.files()
    pair.laptop.write("mine too", "m")
    assert numbers(await pair.laptop.sync(mode=Mode.PULL)) == {"downloaded": 1}
    await pair.phone.sync()
    assert "mine too" not in pair.phone.files()
    assert numbers(await pair.laptop.sync()) == {"uploaded": 1}


async def test_a_conflict_in_push_mode_is_reported_and_left_alone(pair: Pair) -> None:
    pair.laptop.write("a", "mine!")
    pair.phone.write("a", "theirs")
    await pair.phone.sync()
    report = await pair.laptop.sync(mode=Mode.PUSH)
    assert [(problem.path, problem.code) for problem in report.errors] == [("a", "CONFLICT")]
    assert pair.laptop.files()["a"] == b"mine!"


# --- setting up -------------------------------------------------------------------------------------------------


async def test_a_plain_folder_is_refused_without_encrypt_and_when_it_is_not_empty(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.laptop.write("a", "1")
    await pair.laptop.remote.make_folder(FOLDER, token=None)
    with pytest.raises(NotEncryptedError):
        await pair.laptop.sync()
    await pair.laptop.remote.put_bytes(f"{FOLDER}/plain", b"x", token=None)
    with pytest.raises(FolderNotEmptyError):
        await pair.laptop.sync(encrypt=True)
    with pytest.raises(NotEncryptedError):
        await pair.laptop.sync(f"{FOLDER}/plain", encrypt=True)
    await pair.laptop.remote.delete(f"{FOLDER}/plain", token=None)
    assert numbers(await pair.laptop.sync(encrypt=True)) == {"uploaded": 1}


async def test_an_interrupted_set_up_is_finished(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.laptop.write("a", "1")
    pair.hostile.cut("lock")
    with pytest.raises(TransportError):
        await pair.laptop.sync(encrypt=True)
    pair.hostile.honest()
    assert numbers(await pair.laptop.sync(encrypt=True)) == {"uploaded": 1}
