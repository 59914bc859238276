"""What a sync leaves among the issues, and what it takes off again."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.sync_world import FOLDER, Device, Pair, numbers

from candado.errors import TransportError
from candado.protocol.plan_model import Mode


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    await made.start()
    return made


def problems(device: Device) -> list[tuple[str, str, int]]:
    return [(issue.code, issue.path, issue.count) for issue in device.account.issues() if issue.severity == "problem"]


def _spoil_small_bodies(body: bytes) -> bytes:
    return body[:-1] + bytes([body[-1] ^ 1]) if len(body) == 32 else body


async def _phone_writes_what_the_server_alters(pair: Pair) -> None:
    pair.phone.write("a", "new content of a")
    await pair.phone.sync()
    pair.hostile.replace("get_bytes", _spoil_small_bodies)


async def test_a_file_that_was_left_alone_is_an_issue_until_a_run_brings_it(pair: Pair) -> None:
    await _phone_writes_what_the_server_alters(pair)
    await pair.laptop.sync()
    await pair.laptop.sync()
    assert problems(pair.laptop) == [("OPEN_FAILED", f"{FOLDER}/a", 2)]
    pair.hostile.honest()
    assert numbers(await pair.laptop.sync()) == {"downloaded": 1}
    assert problems(pair.laptop) == []


async def test_a_run_that_ends_early_still_tells_of_the_files_it_left_alone(pair: Pair) -> None:
    await _phone_writes_what_the_server_alters(pair)
    pair.laptop.write("mine", "m")
    pair.hostile.fail("lock", TransportError(), times=99)
    with pytest.raises(TransportError):
        await pair.laptop.sync()
    assert problems(pair.laptop) == [("OPEN_FAILED", f"{FOLDER}/a", 1)]


async def test_a_run_that_ends_early_or_only_looks_or_goes_one_way_takes_nothing_off(pair: Pair) -> None:
    await _phone_writes_what_the_server_alters(pair)
    await pair.laptop.sync()
    met = problems(pair.laptop)
    pair.hostile.honest()
    pair.laptop.write("mine", "m")
    await pair.laptop.sync(dry_run=True)
    assert problems(pair.laptop) == met
    pair.hostile.fail("lock", TransportError(), times=99)
    with pytest.raises(TransportError):
        await pair.laptop.sync()
    assert problems(pair.laptop) == met
    pair.hostile.honest()
    await pair.laptop.sync(mode=Mode.PULL)
    assert problems(pair.laptop) == met
    await pair.laptop.sync()
    assert problems(pair.laptop) == []


async def test_an_entry_without_a_body_is_an_issue_until_the_body_is_there(pair: Pair) -> None:
    pair.phone.write("d/b", "newer")
    await pair.phone.sync()

    def without_bodies(nodes: list[Any]) -> list[Any]:
        return [node for node in nodes if node.is_folder]

    pair.hostile.replace("list_folder", without_bodies)
    await pair.laptop.sync()
    assert {("file.missing", f"{FOLDER}/d/b", 1), ("file.missing", f"{FOLDER}/a", 1)} <= set(problems(pair.laptop))
    pair.hostile.honest()
    await pair.laptop.sync()
    assert [problem for problem in problems(pair.laptop) if problem[1] in (f"{FOLDER}/a", f"{FOLDER}/d/b")] == []


async def test_a_problem_in_a_folder_that_was_not_looked_into_stays(pair: Pair) -> None:
    book = pair.laptop.account.issue_book
    book.add("problem", "file.missing", "m", path=f"{FOLDER}/d/e/c")
    book.add("problem", "file.missing", "m", path=f"{FOLDER}/gone/x")
    book.add("problem", "file.unlisted", "m", path=f"{FOLDER}/0123")
    book.add("problem", "share.ended", "m", path=FOLDER)
    book.add("problem", "file.missing", "m", path="/Other/x")
    book.add("problem", "FILE_CHANGED", "m", path=f"{FOLDER}/a", pair="another local folder")
    book.add("notice", "conflict.copy", "m", path=f"{FOLDER}/a")
    await pair.laptop.sync()
    left = {(issue.code, issue.path) for issue in pair.laptop.account.issues() if issue.message == "m"}
    assert left == {
        ("file.missing", f"{FOLDER}/d/e/c"),
        ("file.unlisted", f"{FOLDER}/0123"),
        ("file.missing", "/Other/x"),
        ("FILE_CHANGED", f"{FOLDER}/a"),
        ("conflict.copy", f"{FOLDER}/a"),
    }
