"""Sync of a local folder in which something cannot go along: it is told, and nothing takes it for deleted."""

import os
from pathlib import Path

import pytest
from tests.unit.client.sync_world import FOLDER, Pair, numbers


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    await made.start()
    return made


def _problems(pair: Pair) -> list[tuple[str, str]]:
    return [(issue.code, issue.path) for issue in pair.laptop.account.issues() if issue.severity == "problem"]


async def test_a_name_that_is_not_utf_8_is_an_error_and_an_issue_until_it_is_renamed(pair: Pair) -> None:
    odd = pair.laptop.root / "d" / os.fsdecode(b"latin-\xe9")
    odd.write_text("x")
    pair.laptop.write("new", "n")
    report = await pair.laptop.sync()
    assert numbers(report) == {"uploaded": 1}
    assert [(one.code, one.path) for one in report.errors] == [("NAME_UNSAFE", "d/latin-\\udce9")]
    assert _problems(pair) == [("NAME_UNSAFE", f"{FOLDER}/d/latin-\\udce9")]
    odd.rename(odd.with_name("good"))
    assert (await pair.laptop.sync()).errors == []
    assert _problems(pair) == []


async def test_links_and_special_files_are_left_out_without_being_errors(pair: Pair) -> None:
    (pair.laptop.root / "link").symlink_to("a")
    os.mkfifo(pair.laptop.root / "d" / "pipe")
    report = await pair.laptop.sync()
    assert (report.errors, _problems(pair)) == ([], [])
    assert report.to_json()["left_out"] == [
        {"path": "link", "reason": "a link"},
        {"path": "d/pipe", "reason": "not a regular file"},
    ]
